"""Which file a store has: opened, perhaps late; opened again when the card was away; replaced when it is damaged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cloud_sync.identity import Lane
from gateway.errors import JournalError, JournalRefusedError
from gateway.journal import directory
from gateway.journal.batch import Batch
from gateway.journal.database import ForeignError, Found, Shape
from gateway.journal.hop import hop
from gateway.journal.journal_file import JournalFile
from gateway.journal.ledger import Ledger
from gateway.journal.plight import Plight
from gateway.journal.reports import Trouble
from gateway.journal.settings import JournalSettings
from gateway.journal.waiting import Waiting


class Host(Protocol):
    """What a store asks of the journal around it."""

    async def take_hold(self) -> None:
        """Make sure that the directory is there and nobody else's. Raises OSError, JournalRefusedError."""

    async def is_card_good(self) -> bool:
        """Whether the card takes another file and gives it back."""

    def number(self) -> int | None:
        """The number of the running epoch, once one was started and a file is open."""

    def is_ours(self, found: Found) -> bool:
        """Whether a file that was opened again knows the running epoch, and by the same number."""

    async def seed(self, shape: Shape) -> Batch:
        """What a new file in the place of a lost one begins with."""

    def found_late(self, shape: Shape, found: Found) -> None:
        """A file that could not be opened at the start is open now. Raises ForeignError when it does not fit in."""

    async def make_room(self) -> bool:
        """The card is full, and an alarm waits. Returns whether trying again is worth it."""

    def tell(self, trouble: Trouble) -> None:
        """Something is wrong, or mended."""

    def set_aside(self, shape: Shape, trouble: Trouble, aside: Path | None) -> None:
        """A file was replaced; the records of the one that was set aside are to be salvaged."""


class Tenure:
    """Used by a store's one task alone, which is why nothing here is locked."""

    def __init__(
        self,
        file: JournalFile,
        settings: JournalSettings,
        host: Host,
        *,
        plight: Plight,
        ledgers: Mapping[Lane, Ledger],
        waiting: Waiting,
    ) -> None:
        self.shape = file.shape
        self.is_loaded = False
        """Whether the ledgers know what is in the file."""
        self.opening: asyncio.Task[Found] | None = None
        self._file = file
        self._settings = settings
        self._host = host
        self._plight = plight
        self._ledgers = ledgers
        self._waiting = waiting
        self._was_reopened = False

    def begin_open(self) -> None:
        """Begin to open it for the first time."""
        self.opening = asyncio.create_task(self._open(), name=f"journal-open-{self.shape.name}")

    async def opened(self, until: float) -> Found | None:
        """Wait for that, until a moment of the loop's clock. None when the card does not take it (yet).

        Every commit tries again, or goes on waiting. Raises JournalRefusedError.
        """
        opening = self.opening
        if opening is None:
            return None
        loop = asyncio.get_running_loop()
        await asyncio.wait([opening], timeout=max(0.0, until - loop.time()))
        if not opening.done():
            self._plight.hangs(until - self._settings.open_s)
            return None
        self.opening = None
        try:
            found = await opening
        except JournalRefusedError:
            raise
        except (sqlite3.Error, OSError, JournalError) as error:
            self._plight.fails(error)
            return None
        self.load(found)
        return found

    async def _open(self) -> Found:
        await self._host.take_hold()
        try:
            return await self._file.open()
        except (sqlite3.Error, OSError):
            if not self.shape.has_memo or not await hop(directory.has_no_room, self._file.name.parent):
                raise
        if not await self._host.make_room():  # what a file needs beside it has no room
            raise JournalError(f"{self._file.name.name} cannot be opened: the card is full")
        return await self._file.open()

    def load(self, found: Found) -> None:
        """Begin with what the file holds."""
        for ledger in self._ledgers.values():
            ledger.load(found)
        self._waiting.load(found)
        self.is_loaded = True

    async def plant(self) -> None:
        """Write into a new file what it must begin with."""
        await self._file.write(await self._host.seed(self.shape))

    async def reopen(self) -> None:
        """Before each commit: see to it that there is a file. Raises what opening it raises."""
        if self._file.damage is not None:
            await self.replace(str(self._file.damage), "damaged")
        elif (self._plight.is_suspect or self._file.is_unreadable) and await self._host.is_card_good():
            if self._was_reopened:
                await self.replace("it fails again and again, and the card is well otherwise", "damaged")
            else:  # perhaps it is another file by now: the card was taken out and put back
                await self._file.close()
            self._was_reopened = not self._was_reopened
        if self._file.is_open and self.opening is None:  # one that came up late has yet to be taken in
            return
        if self.opening is None:
            self.opening = asyncio.create_task(self._open(), name=f"journal-open-{self.shape.name}")
        opening = self.opening
        try:
            found = await asyncio.shield(opening)
        finally:
            if opening.done():
                self.opening = None
        if not self.is_loaded:
            await self._take_late(found)
        elif found.is_fresh:
            await self.planted()
        elif not self._host.is_ours(found):  # another card
            for ledger in self._ledgers.values():
                ledger.present.clear()
                ledger.doomed.clear()
            await self._take_late(found)
            await self.plant()

    async def _take_late(self, found: Found) -> None:
        try:
            self._host.found_late(self.shape, found)
        except ForeignError as error:
            if not found.is_fresh:  # otherwise it is only the remains of a damaged one that do not fit
                await self._file.begin_anew(str(error), "foreign")
            found = Found(is_fresh=True)
        self.load(found)
        if found.is_fresh:
            await self.plant()

    async def replace(self, why: str, what: str) -> None:
        """Begin anew while running: what is known in memory goes into the new file."""
        found = await self._file.begin_anew(why, what)
        self._plight.replaced()
        if self.is_loaded:
            await self.planted()
        else:
            await self._take_late(found)

    async def planted(self) -> None:
        """A new file is in use: forget what was in the old one, and write what it must begin with."""
        for ledger in self._ledgers.values():
            ledger.present.clear()
            ledger.doomed.clear()
        self.is_loaded = True
        await self.plant()

    def is_well(self) -> None:
        """Something came to the card: what was tried with the file has helped."""
        self._was_reopened = False
