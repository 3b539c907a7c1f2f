"""A hub with a backlog on a card that takes everything and does not give it back. Run by test_unread_backlog.

Under simulators/faults/shim.c, because that is where reads fail as they do on a card. Each part of a trial says, as a
line of JSON, what central has of it. Words: the trial, a folder.
"""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from cloud_sync.identity import Lane
from gateway import urgent
from gateway.journal import JournalSettings
from gateway.journal.inspection import dump
from simulators.faults.shim import StorageFaults
from tests.gateway.conftest import Central, HubUnderTest

BACKLOG = 60
ROTTEN = 25
"""On whose page, of those of the backlog, the card fails; the last twenty are looked at when the file is opened."""
PAGE = 4096
LIMIT_S = 30


class Trial:
    """A home whose last run left a backlog."""

    def __init__(self, folder: Path) -> None:
        self.faults = StorageFaults(Path(os.environ["VAKTPOST_FAULTS"]))
        self.central = Central()
        self.home = HubUnderTest(folder, self.central)
        self.journal = self.home.state_dir / "journal"
        self.presses = 0

    async def press(self) -> None:
        """Confirmed by the card or by central, whichever it is."""
        async with asyncio.timeout(LIMIT_S):
            assert await self.home.button.press() is True
        self.presses += 1

    async def leave_a_backlog(self) -> None:
        self.home.lines[0].is_reachable = False
        async with self.home.running():
            for _ in range(BACKLOG):
                await self.press()

    def say(self, what: str) -> None:
        facts = {
            "what": what,
            "missing": self.presses - len(self.central.of_kind("pendant_pressed")),
            "troubles": sorted(self.troubles()),
            "recovered": sorted({str(event.details["file"]) for event in self.central.of_kind("journal_recovered")}),
            "set aside": sorted(path.name for path in self.journal.glob("*.damaged-?")),
        }
        sys.stdout.write(f"{json.dumps(facts)}\n")
        sys.stdout.flush()

    async def is_told(self, *troubles: str) -> None:
        """Each of them: the files tell of themselves, in no order."""
        await self.central.until(lambda: set(troubles) <= self.troubles(), LIMIT_S)

    def troubles(self) -> set[str]:
        details = [event.details for event in self.central.of_kind("journal_trouble")]
        return {f"{one['file']} {one['what']}" for one in details}

    async def has(self, presses: int) -> None:
        await self.central.until(lambda: len(self.central.of_kind("pendant_pressed")) >= presses, LIMIT_S)

    @asynccontextmanager
    async def with_the_first_few_loaded(self) -> AsyncIterator[None]:
        """A run whose line is cut, so that most of the backlog lies on the card."""
        self.home.lines[0].is_reachable = False
        async with self.home.running() as hub:
            async with asyncio.timeout(LIMIT_S):
                while not hub.urgent.is_waiting:
                    await asyncio.sleep(0.01)
            yield


async def at_a_start(trial: Trial) -> None:
    trial.faults.set(f"read {trial.journal} error {errno.EIO}")
    trial.home.lines[0].mend()
    async with trial.home.running():
        await trial.press()
        await trial.is_told("alarm.db unwritable", "bulk.db unwritable")
        trial.say("failing")
        trial.faults.clear()
        await trial.has(trial.presses)
        await trial.central.event("journal_recovered", LIMIT_S)
        trial.say("well again")


async def while_it_runs(trial: Trial) -> None:
    async with trial.with_the_first_few_loaded():
        trial.faults.set(f"read {trial.journal} error {errno.EIO}")
        await trial.press()  # on the card: what SQLite had read before counts no more
        trial.home.lines[0].mend()
        await trial.press()
        await trial.is_told("alarm.db unreadable")
        trial.say("failing")
        trial.faults.clear()
        await trial.has(trial.presses)
        await trial.central.event("journal_recovered", LIMIT_S)
        trial.say("well again")


async def one_page(trial: Trial) -> None:
    row = list(dump(trial.journal, Lane.ALARM))[ROTTEN]
    at = (trial.journal / "alarm.db").read_bytes().index(bytes.fromhex(row.hex)) // PAGE * PAGE
    rule = f"error {errno.EIO} {at} {at + PAGE}"
    aside = trial.journal / "alarm.db.damaged-1"
    async with trial.with_the_first_few_loaded():
        trial.faults.set(f"read journal/alarm.db$ {rule}", f"read {aside.name}$ {rule}")
        await trial.press()  # on the card: what SQLite had read before counts no more
        trial.home.lines[0].mend()
        async with asyncio.timeout(LIMIT_S):
            while not aside.exists():
                await asyncio.sleep(0.005)
        trial.faults.set(f"read {aside.name}$ {rule}")  # the place on the card went with it
        await trial.press()
        await trial.is_told("alarm.db damaged")
        await trial.has(trial.presses - PAGE // 1000)
        trial.say("salvaged")
    trial.faults.clear()
    async with trial.home.running():
        await trial.has(trial.presses)
        trial.say("well again")


TRIALS = {"at a start": at_a_start, "while it runs": while_it_runs, "one page": one_page}


async def main(name: str, folder: Path) -> None:
    trial = Trial(folder)
    await trial.leave_a_backlog()
    await TRIALS[name](trial)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    urgent.MAX_LOADED = 5
    urgent.UNREADABLE_PAUSE_S = 0.2
    chosen = JournalSettings.of
    JournalSettings.of = lambda hub: dataclasses.replace(chosen(hub), replace_after_s=0.5)
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
