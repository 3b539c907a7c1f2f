"""What local response can do, behind one small Protocol; and the desk at which each measure finds what is wished.

A measure is told the whole wish and sees to it that the world fits it. It keeps nothing that must survive a restart:
what it did for an alarm it notes at its desk. One that fails is tried again by itself, and the others go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

from cloud_sync.vocabulary import AlarmClass
from gateway.errors import HubError
from gateway.local_response.policy import Call, Cause, Phrase
from gateway.local_response.watched import Watched


class MeasureError(HubError):
    """A measure did not work. The text is one for people, without personal data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An alarm that the hub acted for and no longer does. `why`: received, taken, on_the_way, closed."""

    alarm: Watched
    why: str

    @property
    def device(self) -> str:
        return self.alarm.device

    @property
    def alarm_class(self) -> AlarmClass:
        return self.alarm.alarm_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be so now."""

    calls: tuple[Call, ...] = ()
    sound: Cause | None = None
    phrase: Phrase | None = None
    is_cut_off: bool = False
    """Without an alarm, and long without contact: people at home are told of that."""
    has_contact: bool = True
    """A path to central can be used. An outage is over with this, not with an alarm in the middle of it."""
    ended: tuple[Ended, ...] = ()
    """For these something is still to be taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a measure could do its work now. `is_ready` None: it cannot be known before it is tried."""

    is_ready: bool | None
    reason: str = ""


class Desk:
    """What one measure sees of local response."""

    def __init__(
        self, name: str, *, watched: Callable[[Call | Ended], Watched | None], on_health: Callable[[str, str], None]
    ) -> None:
        self.name = name
        self.wish = Wish()
        self.on_save: Callable[[], None] = lambda: None
        self.error = ""
        """Why the measure does not work; empty while it does."""
        self.uses = 0
        self._watched = watched
        self._on_health = on_health
        self._news = asyncio.Event()

    def put(self, wish: Wish) -> None:
        """Something else is wished."""
        if wish != self.wish:
            self.wish = wish
            self._news.set()

    def poke(self) -> None:
        """Have the measure look again, although nothing else is wished."""
        self._news.set()

    async def changed(self, timeout_s: float | None = None) -> None:
        """Wait for another wish, or so long."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()

    # what was done for an alarm

    def count(self, call: Call | Ended, key: str) -> int:
        """How often `key` was noted for this alarm."""
        watched = self._watched(call)
        return 0 if watched is None else watched.sent.get(key, 0)

    def note(self, call: Call | Ended, key: str) -> None:
        """It was done once more."""
        watched = self._watched(call)
        if watched is not None:
            watched.sent[key] = watched.sent.get(key, 0) + 1
            self.on_save()

    def unnote(self, call: Call | Ended, key: str) -> None:
        """It was not done after all."""
        watched = self._watched(call)
        if watched is not None and key in watched.sent:
            watched.sent[key] -= 1
            if not watched.sent[key]:
                del watched.sent[key]
            self.on_save()

    def settle(self, call: Call | Ended, key: str) -> None:
        """It has been taken back."""
        watched = self._watched(call)
        if watched is not None and watched.sent.pop(key, None) is not None:
            self.on_save()

    # how it goes

    def worked(self) -> None:
        """The measure does its work."""
        self.uses += 1
        if self.error:
            self.error = ""
            self._on_health(self.name, "")

    def failed(self, reason: str) -> None:
        """The measure does not do its work. Told once."""
        if not self.error:
            self.error = reason[:200] or "fault"
            self._on_health(self.name, self.error)


class Measure(Protocol):
    """One way of calling for help on the spot."""

    name: str
    """A word: lamp_and_buzzer, relay, pager, on_call, voice."""

    async def follow(self, desk: Desk, /) -> NoReturn:
        """Do what is wished until cancelled. Raises MeasureError to be started again after a pause."""

    def readiness(self) -> Readiness:
        """Whether it could do its work now. At once, without trying."""

    async def test(self) -> str:
        """Try it so that whoever is near takes it for a test. Returns what was done. Raises MeasureError."""
