"""What can go wrong inside the hub itself, split by what the daemon does about it."""

from __future__ import annotations


class HubError(Exception):
    """The hub's own fault. The message says what was tried, what happened, and what a person can do."""


class JournalError(HubError):
    """The card would not take it. Never the end of the daemon: alarms go on from memory, a technical event says so.

    It does not say that nothing was written: an append that failed may still be found after a restart. Appending the
    same record again is harmless.
    """


class JournalFullError(JournalError):
    """More waits for the card than there is room for in memory. Nothing was taken."""


class JournalRefusedError(JournalError):
    """The journal must not be touched by this program: it is from a newer version, or another process has it open.

    The one journal error that ends a start, because going on could only do damage.
    """
