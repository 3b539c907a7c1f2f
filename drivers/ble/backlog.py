"""Observations between the radio and the hub: bounded, in order, and never an alarm pushed out by anything else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Self

from drivers.ble.device import Tally
from drivers.contract import Fact, Observation, Scalar

LIMIT: Final = 512


class Backlog:
    """Filled from the radio's callback, emptied by the hub. Ends by the exception given to `fail`.

    `taken` is called with each Observation that the hub takes. Not a generator: giving up waiting must not end it.
    """

    def __init__(
        self, tally: Tally, *, taken: Callable[[Observation], None] = lambda _: None, limit: int = LIMIT
    ) -> None:
        self._tally = tally
        self._taken = taken
        self._limit = limit
        self._waiting: deque[Observation] = deque()
        self._news = asyncio.Event()
        self._failure: Exception | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, observation: Observation) -> None:
        """Keep it until the hub takes it.

        When full, the oldest that cannot alarm goes; then, of those that can, the oldest that a later one tells again.
        An alarm that is told only once goes last. The state of the link counts as one that can.
        """
        if len(self._waiting) >= self._limit:
            victim = self._find_victim(observation)
            if victim is None:
                self._tally.add("observations_dropped")
                return
            del self._waiting[victim]
            self._tally.add("observations_dropped")
        self._waiting.append(observation)
        self._news.set()

    def fail(self, failure: Exception) -> None:
        """End the iteration with this, once what waits has been taken."""
        self._failure = failure
        self._news.set()

    def _find_victim(self, incoming: Observation) -> int | None:
        """Where the one stands that goes; None when it is the incoming one itself."""
        for place, waiting in enumerate(self._waiting):
            if not _matters(waiting):
                return place
        if not _matters(incoming):
            return None
        latest = {_what(waiting): place for place, waiting in enumerate(self._waiting)}
        latest[_what(incoming)] = len(self._waiting)
        told_again = (place for place, waiting in enumerate(self._waiting) if latest[_what(waiting)] != place)
        return next(told_again, 0)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Observation:
        while not self._waiting:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            await self._news.wait()
        observation = self._waiting.popleft()
        self._taken(observation)
        return observation


def _matters(observation: Observation) -> bool:
    return observation.may_alarm or observation.fact is Fact.LINK


def _what(observation: Observation) -> tuple[str, Fact, Scalar]:
    return observation.device, observation.fact, observation.value
