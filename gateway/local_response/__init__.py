"""What the hub does by itself: calls whoever is near when an alarm does not get through, or when nobody takes it."""
