"""What consoles follow: every change to what they show has a number, and a beat comes every five seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

BEAT_S = 5.0


@dataclass(frozen=True, slots=True)
class Change:
    """`topic` is alarm, hub or check; `ref` its id; `what` the word of the log (raised, claimed, returned, ...)."""

    no: int
    at_ms: int
    topic: str
    ref: str
    what: str


@dataclass(frozen=True, slots=True)
class Beat:
    """Central lives. `open_hash` over the open personal alarms: a console that shows others reloads."""

    no: int  # the feed number it stands at
    at_ms: int
    open_count: int
    open_hash: str


@dataclass(frozen=True, slots=True)
class Reset:
    """Changes were missed that are no longer kept: load everything again and follow from `no`."""

    no: int


class Feed:
    """The feed of one database."""

    def follow(self, after: int) -> AsyncIterator[Change | Beat | Reset]:
        """Changes with a number above `after`, and beats, until closed by the caller (`aclosing`)."""
        raise NotImplementedError

    async def now(self) -> int:
        """The newest number: read it before reading what is shown, then follow from it."""
        raise NotImplementedError
