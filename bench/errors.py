"""What keeps a measurement from being made."""

from __future__ import annotations


class BenchError(Exception):
    """Something is missing on this machine; the message says what to do."""
