"""Telling people who are not at a console that an alarm waits for them."""
