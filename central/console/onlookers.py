"""Which consoles are connected now, and which of them a person has taken on duty with sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MAX_PER_ACCOUNT = 12
"""Streams of one account at a time: an open queue in a dozen windows is a mistake, more is an attack."""


@dataclass(slots=True)
class Onlooker:
    """One open stream."""

    console: str
    account: str
    has_sound: bool


class Onlookers:
    """The consoles of this process."""

    def __init__(self) -> None:
        self._open: dict[int, Onlooker] = {}
        self._next = 0

    def is_full_for(self, account: str) -> bool:
        """Whether this account has as many streams as it may."""
        return sum(onlooker.account == account for onlooker in self._open.values()) >= MAX_PER_ACCOUNT

    @contextmanager
    def looking(self, console: str, account: str, *, has_sound: bool) -> Iterator[Onlooker]:
        """While a stream is open."""
        self._next += 1
        number = self._next
        self._open[number] = onlooker = Onlooker(console, account, has_sound)
        try:
            yield onlooker
        finally:
            del self._open[number]

    def set_sound(self, console: str, account: str, *, has_sound: bool) -> None:
        """A person went on or off duty at a console of theirs."""
        for onlooker in self._open.values():
            if onlooker.console == console and onlooker.account == account:
                onlooker.has_sound = has_sound

    def connected(self) -> int:
        """Consoles that are connected."""
        return len({onlooker.console for onlooker in self._open.values()})

    def with_sound(self) -> int:
        """Consoles where somebody heard the tone and is on duty."""
        return len({onlooker.console for onlooker in self._open.values() if onlooker.has_sound})
