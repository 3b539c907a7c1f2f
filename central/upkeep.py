"""What has to be done all the time so that central stays quick and honest: probes, sweeps, flushes, checkpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from central.alarms import Alarms
from central.clock_steps import ClockSteps
from central.errors import NotStoredError
from central.feed import Feed
from central.links import HubLinks
from central.store import Store
from central.windows import Windows
from central.write_ahead import WriteAheadLog
from cloud_sync.vitals import Pulse

log = structlog.get_logger()

PROBE_S = 5.0
SWEEP_S = 1.0
FLUSH_S = 5.0
CHECKPOINT_S = 2.5
"""A checkpoint takes some thirty milliseconds however little there is to copy, and commits stand behind its syncs."""
TRIM_S = 3600.0
STORE_PATIENCE_S = 60.0
CHORE_PATIENCE_S = 60.0
SECONDS = {"escalation": 1.0, "duty": 4.0, "auditor": 10.0, "hearing": 10.0, "call_out": 5.0}
"""How often the chores of other parts come round."""


async def every(
    seconds: float, work: Callable[[], Awaitable[object]], name: str, turn: Callable[[str], None] = lambda _name: None
) -> None:
    """Do something again and again, until cancelled. A database that does not answer is tried again."""
    while True:
        turn(name)
        try:
            await work()
        except NotStoredError as error:
            log.warning("upkeep_not_done", work=name, reason=str(error))
        await asyncio.sleep(seconds)


class Upkeep:
    """The chores of one central."""

    def __init__(
        self,
        store: Store,
        alarms: Alarms,
        feed: Feed,
        windows: Windows,
        links: HubLinks,
        trim: Callable[[], Awaitable[object]],
        steps: ClockSteps | None = None,
    ) -> None:
        self._store = store
        self._alarms = alarms
        self._feed = feed
        self._windows = windows
        self._links = links
        self._trim = trim
        self._steps = steps
        self._probing: asyncio.Task[None] | None = None
        self._was_alive = True
        self._turns: dict[str, float] = {}
        self._more: dict[str, float] = {}
        self.rounds: dict[str, Callable[[], Awaitable[object]]] = {}
        """One round of each chore, by name: for whoever has a clock of their own, and lets nothing run by itself."""

    def chores(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each runs until cancelled."""
        chores = {
            "probe": self._chore("probe", PROBE_S, self.probe),
            "leases": self._chore("leases", SWEEP_S, self.leases),
            "windows": self._chore("windows", FLUSH_S, self._windows.flush),
            "feed_trim": self._chore("feed_trim", TRIM_S, self._feed.trim),
            "trim": self._chore("trim", TRIM_S, self._trim),
        }
        if (file := self._store.dialect.file) is not None:
            chores["checkpoint"] = self._chore("checkpoint", CHECKPOINT_S, WriteAheadLog(self._store, file).tend)
        return chores

    def more(self, works: Mapping[str, Callable[[], Awaitable[object]]]) -> dict[str, Callable[[], Awaitable[None]]]:
        """Chores of other parts, each as often as it asks for with `SECONDS`, and watched like our own."""
        self._more |= {name: SECONDS[name] for name in works}
        return {name: self._chore(name, SECONDS[name], work) for name, work in works.items()}

    def _chore(self, name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[None]]:
        self.rounds[name] = work
        return lambda: every(seconds, work, name, self._turn)

    def _turn(self, name: str) -> None:
        self._turns[name] = time.monotonic()

    def pulses(self) -> list[Pulse]:
        """What a restart would mend: a probe that neither commits nor is refused, a chore that does not come round.

        A database that says no, or is away, is tried again for as long as it takes; no restart brings it back.
        """

        def comes_round(name: str, seconds: float) -> Pulse:
            return Pulse(
                name=f"chore {name}",
                patience_s=CHORE_PATIENCE_S,
                is_alive=lambda: time.monotonic() - self._turns.get(name, 0.0) < seconds + CHORE_PATIENCE_S,
            )

        return [
            Pulse(
                name="store",
                patience_s=STORE_PATIENCE_S,
                is_alive=lambda: self._probing is None or self._probing.done(),
            ),
            comes_round("probe", PROBE_S),
            comes_round("leases", SWEEP_S),
            *(comes_round(name, seconds) for name, seconds in self._more.items()),
        ]

    async def leases(self) -> None:
        """Give back what nobody holds any longer; first find out whether it is only the clock that says so."""
        if self._steps is not None:
            await self._steps.look()
        await self._alarms.sweep()

    async def probe(self) -> None:
        """Commit something with the priority of an alarm. While that fails, hubs must not take us for alive."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._store.probe())
            self._probing.add_done_callback(_look)
        await asyncio.wait([self._probing], timeout=PROBE_S)
        is_alive = self._store.takes_alarms
        if is_alive != self._was_alive:
            log.warning("alarms_can_be_committed" if is_alive else "alarms_cannot_be_committed")
        if not is_alive:
            self._links.close_all()
        self._was_alive = is_alive


def _look(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("probe_failed", reason=str(error))
