"""The small duties of a running hub: the relay, the floor of time, a clock that is not to be trusted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from cloud_sync.identity import Lane
from gateway.annunciator import Annunciator
from gateway.clock import HubClock
from gateway.journal import Journal, LaneCount

TICK_S = 1.0
COUNT_S = 10.0
FLOOR_S = 600.0
CLOCK_PATIENCE_S = 120.0
"""So long after a start a clock may be wrong without anybody being told."""

_log = structlog.get_logger()


class Housekeeping:
    """`is_able` says whether an alarm raised now could get anywhere: onto the card or onto a path."""

    def __init__(
        self,
        *,
        clock: HubClock,
        journal: Journal,
        annunciator: Annunciator,
        is_able: Callable[[], bool],
        report: Callable[..., object],
        clock_patience_s: float = CLOCK_PATIENCE_S,
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._annunciator = annunciator
        self._is_able = is_able
        self._report = report
        self._clock_patience_s = clock_patience_s
        self.counts: Mapping[Lane, LaneCount] = {}

    async def run(self) -> NoReturn:
        """Do all of it until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hold_relay(), name="relay")
            group.create_task(self._count(), name="counts")
            group.create_task(self._keep_floor(), name="floor-time")
            group.create_task(self._watch_clock(), name="clock-trust")
            await asyncio.Event().wait()
        raise AssertionError("the tasks never end")

    async def _hold_relay(self) -> NoReturn:
        while True:
            is_able = self._is_able()
            if is_able is not self._annunciator.is_healthy:
                _log.info("relay_changed", is_healthy=is_able)
                self._annunciator.healthy(is_able)
            await asyncio.sleep(TICK_S)

    async def _count(self) -> NoReturn:
        while True:
            self.counts = await self._journal.counts()
            await asyncio.sleep(COUNT_S)

    async def _keep_floor(self) -> NoReturn:
        while True:
            floor_ms = self._clock.raise_floor()
            if floor_ms:
                self._journal.set_floor(floor_ms)
            await asyncio.sleep(FLOOR_S)

    async def _watch_clock(self) -> NoReturn:
        await asyncio.sleep(self._clock_patience_s)
        is_told = False
        while True:
            is_trusted = self._clock.is_trusted
            if not is_trusted and not is_told:
                self._report("clock_untrusted")
            is_told = not is_trusted
            await asyncio.sleep(self._clock_patience_s)
