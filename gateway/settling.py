"""Telling the journal what central has: receipts are merged while the journal is busy, so none ever waits in line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from gateway.journal import Journal

AGAIN_S = 2.0
"""How often it is looked whether the card has come that a receipt was early for."""


@dataclass(slots=True)
class _News:
    lineage: bytes
    stored: SeqRanges = field(default_factory=SeqRanges)
    unopened: SeqRanges = field(default_factory=SeqRanges)


class Settling:
    """One task that settles. `on_lineage` is called once the journal knows of another lineage."""

    def __init__(self, journal: Journal, lineage: bytes | None, on_lineage: Callable[[], None]) -> None:
        self._journal = journal
        self._lineage = lineage
        self._on_lineage = on_lineage
        self._news: dict[tuple[bytes, Lane], _News] = {}
        self._wake = asyncio.Event()

    def note(self, epoch: bytes, lane: Lane, stored: SeqRanges, unopened: SeqRanges, lineage: bytes) -> None:
        """A receipt came."""
        news = self._news.get((epoch, lane))
        if news is None or news.lineage != lineage:
            news = self._news[epoch, lane] = _News(lineage)
        for first, last in stored:
            news.stored.add(first, last)
        for first, last in unopened:
            news.unopened.add(first, last)
        self._wake.set()

    async def run(self) -> NoReturn:
        """Settle until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if self._news else None):
                    await self._wake.wait()
            self._wake.clear()
            await self.flush()

    async def flush(self) -> None:
        """Settle what is known now. News of a run that no file knows yet is kept for later."""
        while (key := next((key for key in self._news if self._journal.can_settle(key[0])), None)) is not None:
            epoch, lane = key
            news = self._news.pop(key)
            await self._journal.settle(epoch, lane, news.stored, news.unopened, news.lineage)
            if self._lineage is not None and news.lineage != self._lineage:
                self._lineage = news.lineage
                self._on_lineage()
            self._lineage = news.lineage
