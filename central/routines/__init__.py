"""What a municipality has written for its responders: routine cards, and the criteria they judge an alarm by."""
