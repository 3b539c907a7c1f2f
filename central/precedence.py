"""While an alarm is dealt with, bulky work stands still: else each of its steps would wait for a slice of that.

An alarm is dealt with from the moment that it was found authentic until it had time to reach the consoles: they have
to be told of it and read their queues, and that should meet no more in the way than the commit did.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

T = TypeVar("T")

LONGEST_S = 0.05
"""Bulky work waits for alarms, but not for ever."""
TO_THE_SCREEN_S = 0.03
SLICE = 32
LOOK_S = 0.002
"""A thread that computes looks whether an alarm has come every so many items, and then until it has gone this often."""


class Precedence:
    """Of alarms over everything bulky, in one process."""

    def __init__(self) -> None:
        self._alarms = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._turn = asyncio.Lock()

    @property
    def is_claimed(self) -> bool:
        """Whether an alarm is being dealt with. May be asked from any thread."""
        return self._alarms > 0

    @contextmanager
    def claimed(self, linger_s: float = TO_THE_SCREEN_S) -> Iterator[None]:
        """An alarm is being dealt with in this block, and is on its way to the screens for a moment after it."""
        self._alarms += 1
        self._calm.clear()
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(linger_s, self._release)

    def _release(self) -> None:
        self._alarms -= 1
        if not self._alarms:
            self._calm.set()

    async def give_way(self) -> None:
        """Let others go on; while there are alarms, a little longer."""
        if not self._alarms:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_S):
                await self._calm.wait()

    def calmly(self, items: Iterable[T]) -> Iterator[T]:
        """The items, for a thread that has something to compute of many: it stands still while there are alarms.

        Threads take the interpreter from each other, and an alarm gives it away with each of its statements.
        """
        for number, item in enumerate(items):
            if number % SLICE == 0 and self._alarms:
                until_s = time.monotonic() + LONGEST_S
                while self._alarms and time.monotonic() < until_s:
                    time.sleep(LOOK_S)
            yield item

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For a slice of bulky work in this block: one at a time, so that nobody waits for more than one of them."""
        async with self._turn:
            await self.give_way()
            yield
