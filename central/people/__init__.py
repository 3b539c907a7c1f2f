"""The people and places that central serves, and who has looked at what about whom."""
