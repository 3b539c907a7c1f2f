"""A hint that something was committed, so that nobody has to wait for the next poll."""

from __future__ import annotations

import asyncio


class Wakeup:
    """Any number of tasks wait; one call wakes them all. A hint that comes while nobody waits is kept for each."""

    def __init__(self) -> None:
        self._count = 0
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Something is new."""
        self._count += 1
        self._event.set()
        self._event = asyncio.Event()

    @property
    def count(self) -> int:
        """How often it was woken; pass it to `wait` to miss nothing that came since."""
        return self._count

    async def wait(self, seen: int, timeout_s: float) -> int:
        """Returns the new count, at once when it differs from `seen`, and after `timeout_s` in any case."""
        if self._count == seen:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
            except TimeoutError:
                pass
        return self._count
