"""Telephone numbers, so far that one that was asked is known again when it answers."""

from __future__ import annotations

COUNTRY = "+47"
"""Of a number that is written without one."""
_LOCAL = 8


def same_form(number: str) -> str:
    """A number as everybody writes it: with its country, without blanks. What is no number stays what it is."""
    text = "".join(number.split()).replace("-", "")
    if text.startswith("00"):
        return "+" + text[2:]
    if text.isascii() and text.isdigit():
        return COUNTRY + text if len(text) == _LOCAL else "+" + text if len(text) > _LOCAL else text
    return text
