"""Notices that something blocks the event loop, and finds out which driver it was.

While the loop is blocked no task runs, so a thread looks: when the loop has not turned for `BLOCKED_S`, it reads the
stack of the loop's thread. The first frame from the outside that belongs to a driver's package names the culprit. Being
late without a culprit (a busy machine, a slow card) is counted and blamed on nobody.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import NoReturn

BLOCKED_S = 3.0
TURN_S = 1.0


class LoopWatch:
    """`run` turns with the loop and tells `blocked(driver, seconds)` as soon as the loop turns again.

    `drivers` are pairs of a driver's name and the package that its code is in. Of several drivers in one package it is
    the one whose name the running task bears, and if none does, nobody.
    """

    def __init__(
        self,
        drivers: Iterable[tuple[str, str]],
        blocked: Callable[[str, float], None],
        *,
        blocked_s: float = BLOCKED_S,
        turn_s: float = TURN_S,
    ) -> None:
        self._drivers = tuple(drivers)
        self._blocked = blocked
        self._blocked_s = blocked_s
        self._turn_s = turn_s
        self._turned_s = 0.0
        self._culprit: str | None = None
        self._stop = threading.Event()
        self._loop_thread = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.late_turns = 0
        """How often the loop was late for whatever reason."""

    async def run(self) -> NoReturn:
        """Until cancelled."""
        self._loop_thread = threading.get_ident()
        self._loop = asyncio.get_running_loop()
        self._turned_s = time.monotonic()
        self._stop.clear()
        thread = threading.Thread(target=self._look, name="loop-watch", daemon=True)
        thread.start()
        try:
            while True:
                await asyncio.sleep(self._turn_s)
                now_s = time.monotonic()
                late_s, self._turned_s = now_s - self._turned_s - self._turn_s, now_s
                culprit, self._culprit = self._culprit, None
                if late_s >= self._blocked_s:
                    self.late_turns += 1
                    if culprit is not None:
                        self._blocked(culprit, late_s)
        finally:
            self._stop.set()

    def _look(self) -> None:
        limit_s, wait_s = self._blocked_s + self._turn_s / 2, self._turn_s
        while not self._stop.wait(wait_s):
            still_s = time.monotonic() - self._turned_s
            # In time: a block that just counts as one is over half a turn after the limit.
            wait_s = limit_s - still_s if still_s < limit_s else self._turn_s
            if self._culprit is None and still_s >= limit_s:
                # The one way to see what another thread is doing; CPython has had it since 2.5.
                self._culprit = self._find(sys._current_frames().get(self._loop_thread))  # noqa: SLF001

    def _find(self, frame: FrameType | None) -> str | None:
        """The driver whose code is on the loop's stack."""
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            suspects = [name for name, package in self._drivers if f"{module}.".startswith(f"{package}.")]
            if len(suspects) == 1:
                return suspects[0]
            if suspects:
                task = asyncio.current_task(self._loop)
                named = task.get_name() if task is not None else ""
                return next((name for name in suspects if named.endswith(f"-{name}")), None)
            frame = frame.f_back
        return None
