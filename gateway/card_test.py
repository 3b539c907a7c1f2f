"""The journal tests itself: now and then something is really written and synced, as an alarm would be.

Three outcomes. It was written, or the journal told what is wrong with the card: fine, as far as a restart goes. The
journal does not come back, and neither does a plain file beside it: the card hangs, which is told. The journal does not
come back though a plain file does: then the fault is ours, and only a new process mends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from cloud_sync.identity import Lane
from gateway.errors import JournalError
from gateway.journal import ProbeResult
from gateway.journal.database import ALARM
from gateway.journal.reports import Memory

EVERY_S = 300.0
"""About 3 MB a day on the card."""
WRITE_LIMIT_S = 20.0
PROBE_LIMIT_S = 20.0
KEY = "hub/card-test"

_log = structlog.get_logger()


class ProbedJournal(Protocol):
    """What is asked of the journal."""

    def remember(self, lane: Lane, memory: Memory) -> Awaitable[None]:
        """Write and sync, as fast as an event of the lane would be."""
        ...

    async def probe(self) -> ProbeResult:
        """Write and sync a file beside it."""
        ...


class CardTest:
    """`report` raises a technical event."""

    def __init__(
        self,
        journal: ProbedJournal,
        *,
        report: Callable[..., object],
        every_s: float = EVERY_S,
        write_limit_s: float = WRITE_LIMIT_S,
        probe_limit_s: float = PROBE_LIMIT_S,
    ) -> None:
        self._journal = journal
        self._report = report
        self._every_s = every_s
        self._write_limit_s = write_limit_s
        self._probe_limit_s = probe_limit_s
        self._number = 0
        self.is_alive = True
        """False while a test is under way, and while the journal hangs and the card does not."""
        self.is_card_hanging = False

    async def run(self) -> None:
        """Test until cancelled."""
        while True:
            await self.test()
            await asyncio.sleep(self._every_s)

    async def test(self) -> None:
        """Test once. Ends when the journal has come back."""
        self._number += 1
        self.is_alive = False
        try:
            written = asyncio.ensure_future(self._write())
            await asyncio.wait({written}, timeout=self._write_limit_s)
            if not written.done():
                await self._find_out()
                await asyncio.wait({written})
            if self.is_card_hanging:
                self.is_card_hanging = False
                self._report("journal_recovered", details={"file": ALARM.file, "what": "hangs"})
        finally:
            self.is_alive = True

    async def _write(self) -> None:
        try:
            await self._journal.remember(Lane.ALARM, {KEY: self._number})
        except JournalError as error:
            _log.debug("card_test_failed", error=error)  # the journal itself has told it

    async def _find_out(self) -> None:
        probing = asyncio.ensure_future(self._journal.probe())
        done, _ = await asyncio.wait({probing}, timeout=self._probe_limit_s)
        if done and probing.result().error is None:
            _log.error("journal_hangs", card="takes writes")
            return
        probing.add_done_callback(lambda late: late.cancelled() or late.exception())
        self.is_alive = self.is_card_hanging = True
        _log.error("card_hangs")
        self._report("journal_trouble", details={"file": ALARM.file, "what": "hangs"})
