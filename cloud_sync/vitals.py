"""Whether everything that must be alive still is: pulses by name, judged beside the loop, and systemd's watchdog fed.

`Vitals` is pure: beats and times come in. `Watchdog` looks at it from a thread of its own, so that a loop that hangs
can still be named before the program is ended. Times are monotonic seconds, which stand still while a machine sleeps.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, Self

import structlog

from cloud_sync import sd_notify

LOOP = "loop"
LOOP_PATIENCE_S = 15.0
BEAT_S = 1.0
LOOKS = 2
"""So many looks in a row must find somebody silent: after the whole program was stopped, the first one always does."""
_FRAMES = 3

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One that should beat and does not."""

    name: str
    silent_s: float
    patience_s: float


class Vitals:
    """When each was last known to be alive, and for how long it may be silent."""

    def __init__(self) -> None:
        self._patience: dict[str, float] = {}
        self._beats: dict[str, float] = {}

    def expect(self, name: str, patience_s: float, now_s: float) -> None:
        """From now on this one has to beat."""
        self._beats[name] = now_s
        self._patience[name] = patience_s

    def forget(self, name: str) -> None:
        """This one need not beat any longer."""
        self._patience.pop(name, None)

    def beat(self, name: str, now_s: float) -> None:
        """This one is alive."""
        self._beats[name] = now_s

    def silent(self, now_s: float) -> tuple[Silence, ...]:
        """Those that have been silent for longer than they may, longest first."""
        found = [
            Silence(name=name, silent_s=now_s - self._beats[name], patience_s=patience_s)
            for name, patience_s in list(self._patience.items())
            if now_s - self._beats[name] > patience_s
        ]
        return tuple(sorted(found, key=lambda one: -one.silent_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How to find out, in the loop and at once, whether one is alive."""

    name: str
    patience_s: float
    is_alive: Callable[[], bool]


class Watchdog:
    """Takes the pulses in the loop, and feeds systemd from a thread while nobody is silent.

    Without a service manager that waits to be fed, it only says who is silent.
    """

    def __init__(
        self,
        pulses: Iterable[Pulse],
        *,
        interval_s: float | None = None,
        loop_patience_s: float = LOOP_PATIENCE_S,
        feed: Callable[[str], object] = sd_notify.notify,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.vitals = Vitals()
        self._pulses = list(pulses)
        self._interval_s = sd_notify.watchdog_interval_s() if interval_s is None else interval_s
        self._feed = feed
        self._mono_s = mono_s
        self._stop = threading.Event()
        self._looks = 0
        self._is_told = False
        self._loop_thread = threading.get_ident()
        now_s = mono_s()
        self.vitals.expect(LOOP, loop_patience_s, now_s)
        for pulse in self._pulses:
            self.vitals.expect(pulse.name, pulse.patience_s, now_s)

    @property
    def silent(self) -> tuple[Silence, ...]:
        """Who is silent now."""
        return self.vitals.silent(self._mono_s())

    async def run(self) -> NoReturn:
        """The loop's part: take every pulse, until cancelled."""
        with self:
            while True:
                self.take()
                await asyncio.sleep(BEAT_S)

    def take(self) -> None:
        """Take every pulse once."""
        now_s = self._mono_s()
        self.vitals.beat(LOOP, now_s)
        for pulse in self._pulses:
            if pulse.is_alive():
                self.vitals.beat(pulse.name, now_s)

    def __enter__(self) -> Self:
        self._loop_thread = threading.get_ident()
        self._thread = threading.Thread(target=self._keep_looking, name="watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> bool:
        """Feed if nobody is silent. Returns whether it was fed."""
        silent = self.silent
        if not silent:
            self._looks, self._is_told = 0, False
            self._feed("WATCHDOG=1")
            return True
        self._looks += 1
        if self._looks >= LOOKS and not self._is_told:
            self._is_told = True
            names = ", ".join(one.name for one in silent)
            _log.error(
                "watchdog_not_fed",
                silent=[one.name for one in silent],
                for_s=[round(one.silent_s) for one in silent],
                at=self._where() if any(one.name == LOOP for one in silent) else None,
            )
            self._feed(f"STATUS=hangs: {names}")
            self._feed("WATCHDOG=trigger")  # waiting for systemd to run out of patience only costs time
        return False

    def _keep_looking(self) -> None:
        interval_s = BEAT_S if self._interval_s is None else min(self._interval_s, LOOP_PATIENCE_S / 3)
        while not self._stop.wait(interval_s):
            self.look()

    def _where(self) -> list[str]:
        """The innermost places in the code at which the loop's thread stands."""
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  # documented, and the only way to ask
        if frame is None:
            return []
        return [f"{one.filename}:{one.lineno}" for one in traceback.extract_stack(frame)[-_FRAMES:]]
