"""One SQLite file: its two connections, how it is opened, replaced when it is damaged, and read beside the writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from gateway.errors import JournalError
from gateway.journal import database, directory
from gateway.journal.batch import Batch, Outcome, write
from gateway.journal.database import Fault, ForeignError, Found, NewerError, Shape, fault_of
from gateway.journal.hop import hop
from gateway.journal.link import Link
from gateway.journal.reports import Trouble
from gateway.journal.salvage import rescue

T = TypeVar("T")
P = ParamSpec("P")

READ_S = 10.0
"""A card that has not answered a reader by then hangs. The longest reading takes a hundredth of it."""
_ASK_S = 0.5
_UNREADABLE = 3
"""After so many readings that failed one after the other the writer is asked to look at it."""
_log = structlog.get_logger()


class JournalFile:
    """Opened and replaced by one task; read by many, on a connection of their own.

    A file of a newer version stays where it is, untouched; another one beside it is used as long as it is there.
    """

    def __init__(
        self, shape: Shape, path: Path, hub: bytes, on_set_aside: Callable[[Trouble, Path | None], None]
    ) -> None:
        self.shape = shape
        self.name = path
        """What it is called, and what files that are set aside are called after."""
        self.path = path
        """The one in use."""
        self.damage: sqlite3.Error | None = None
        """What a reader met; the file is to be replaced."""
        self.unreadable = 0
        """How many readings failed one after the other."""
        self._hub = hub
        self._on_set_aside = on_set_aside
        self._writer: Link | None = None
        self._reader: Link | None = None
        self._reader_opening: asyncio.Task[Link] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be written to, as far as is known."""
        return self._writer is not None

    @property
    def is_beside(self) -> bool:
        """Whether it stands in for a file of a newer version."""
        return self.path != self.name

    @property
    def is_unreadable(self) -> bool:
        """Whether readers fail again and again."""
        return self.unreadable >= _UNREADABLE

    async def open(self) -> Found:
        """Open it; a damaged or foreign one is set aside, and of it is returned what can be read besides records.

        Raises sqlite3.Error, OSError.
        """
        try:
            await self._choose()
            return await self._connect()
        except ForeignError as error:
            return await self.begin_anew(str(error), "foreign")
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DAMAGED:
                raise
            await self.demand_given()
            return await self.begin_anew(str(error), "damaged")

    async def _choose(self) -> None:
        beside = self.name.with_name(self.shape.beside)
        try:
            await hop(database.refuse_future, self.name)
        except NewerError as error:
            if not self.is_beside:
                _log.error("journal_newer", file=self.name.name, why=str(error))
                self._on_set_aside(Trouble(file=self.name.name, what="newer", detail=str(error)), None)
            self.path = beside
            return
        self.path = self.name
        if await hop(directory.is_there, beside):
            aside = await hop(directory.set_aside, beside, self.name)
            _log.info("journal_beside_taken_back", file=self.name.name, set_aside=aside.name)
            told = Trouble(file=self.name.name, what="beside", set_aside=aside.name)
            self._on_set_aside(told, aside)

    async def _connect(self) -> Found:
        found: list[Found] = []

        def connector() -> sqlite3.Connection:
            connection = database.open_database(self.path, self.shape)
            try:
                found.append(database.load(connection, self.shape))
                self._demand_own(connection, found[0].hub)
            except BaseException:
                connection.close()
                raise
            return connection

        self._writer = await Link.open(connector)
        self.damage = None
        return found[0]

    def _demand_own(self, connection: sqlite3.Connection, hub: bytes | None) -> None:
        if hub is None:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('hub', ?)", (self._hub,))
        elif hub != self._hub:
            raise ForeignError(f"the journal of hub {hub.hex()}")

    async def begin_anew(self, why: str, what: str) -> Found:
        """Set it aside and open an empty one. What was read of the old one is in nothing but the answer."""
        await self.close()
        if not await hop(directory.is_there, self.path):  # set aside before, and then the new one could not be made
            await self._connect()
            return Found(is_fresh=True)
        aside = await hop(directory.set_aside, self.path, self.name)
        _log.error("journal_set_aside", file=self.path.name, what=what, why=why, set_aside=aside.name)
        self._on_set_aside(Trouble(file=self.name.name, what=what, detail=why, set_aside=aside.name), aside)
        found = Found() if what == "foreign" else await hop(rescue, aside, self.shape)
        if found.hub not in {None, self._hub}:
            found = Found()
        found.is_fresh = True
        await self._connect()
        return found

    async def give_up(self) -> None:
        """Delete it and open an empty one."""
        await self.close()
        await hop(directory.delete_database, self.path)
        await self._connect()

    async def write(self, batch: Batch) -> Outcome:
        """Commit, in one hop. Raises sqlite3.Error."""
        if self._writer is None:
            raise JournalError(f"{self.path.name} is not open")
        return await self._writer.run(write, batch)

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something on the writer's connection. Raises sqlite3.Error, JournalError."""
        if self._writer is None:
            raise JournalError(f"{self.path.name} is not open")
        return await self._writer.run(work, *args, **kwargs)

    async def read(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something on the reader's connection. Raises JournalError, also when the card hangs."""
        try:
            async with asyncio.timeout(READ_S):
                reader = await self._reading()
                result = await reader.run(work, *args, **kwargs)
        except TimeoutError:
            raise JournalError(f"{self.path.name} cannot be read (the card does not answer)") from None
        except sqlite3.Error as error:
            fault = fault_of(error)
            if fault is Fault.DAMAGED and await self._is_given():
                self.damage = error
            elif fault in {Fault.DAMAGED, Fault.IO}:
                self.unreadable += 1
            raise JournalError(f"{self.path.name} cannot be read ({error})") from error
        self.unreadable = 0
        return result

    async def demand_given(self) -> None:
        """Raises OSError when what SQLite calls damage is a card that gives nothing back: then nothing is replaced."""
        await hop(directory.demand_given, self.path)

    async def _is_given(self) -> bool:
        try:
            async with asyncio.timeout(READ_S):
                await self.demand_given()
        except OSError:  # a timeout, too
            return False
        return True

    async def _reading(self) -> Link:
        if self._reader is not None:
            return self._reader
        if self._writer is None:
            raise JournalError(f"{self.path.name} is not open")
        if self._reader_opening is None:
            self._reader_opening = asyncio.create_task(self._open_reader(self.path))
        return await asyncio.shield(self._reader_opening)

    async def _open_reader(self, path: Path) -> Link:
        try:
            self._reader = await Link.open(lambda: database.open_reader(path, self.shape))
        finally:
            self._reader_opening = None
        return self._reader

    async def durability(self) -> dict[str, int | str]:
        """What the writing connection says of itself; empty when it is not open or does not answer."""
        try:
            async with asyncio.timeout(_ASK_S):
                return {} if self._writer is None else await self._writer.run(database.durability)
        except (sqlite3.Error, TimeoutError):
            return {}

    async def close(self) -> None:
        """Close both connections; the last one copies the log back."""
        writer, reader, opening = self._writer, self._reader, self._reader_opening
        self._writer = self._reader = self._reader_opening = None
        self.unreadable = 0
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        if reader is not None:
            await reader.close()
        if writer is not None:
            await writer.close()
