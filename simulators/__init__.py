"""The other end of everything a hub or central speaks to. Nothing imports this package."""
