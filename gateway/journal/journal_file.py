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
from gateway.journal.database import Fault, ForeignError, Found, Shape, fault_of
from gateway.journal.link import Link
from gateway.journal.reports import Trouble
from gateway.journal.salvage import rescue

T = TypeVar("T")
P = ParamSpec("P")
_log = structlog.get_logger()


class JournalFile:
    """Opened and replaced by one task; read by many, on a connection of their own."""

    def __init__(self, shape: Shape, path: Path, hub: bytes, on_set_aside: Callable[[Trouble, Path], None]) -> None:
        self.shape = shape
        self.path = path
        self.damage: sqlite3.Error | None = None
        """What a reader met; the file is to be replaced."""
        self._hub = hub
        self._on_set_aside = on_set_aside
        self._writer: Link | None = None
        self._reader: Link | None = None
        self._reader_lock = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether it can be written to, as far as is known."""
        return self._writer is not None

    async def open(self) -> Found:
        """Open it; a damaged or foreign one is set aside, and of it is returned what can be read besides records.

        Raises JournalRefusedError, sqlite3.Error, OSError.
        """
        try:
            return await self._connect()
        except ForeignError as error:
            return await self.begin_anew(str(error), "foreign")
        except sqlite3.Error as error:
            if fault_of(error) is not Fault.DAMAGED:
                raise
            return await self.begin_anew(str(error), "damaged")

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
        if not self.path.exists():  # set aside before, and then the new one could not be made
            await self._connect()
            return Found(is_fresh=True)
        aside = await asyncio.to_thread(directory.set_aside, self.path)
        _log.error("journal_set_aside", file=self.path.name, what=what, why=why, set_aside=aside.name)
        self._on_set_aside(Trouble(file=self.path.name, what=what, detail=why, set_aside=aside.name), aside)
        found = Found() if what == "foreign" else await asyncio.to_thread(rescue, aside, self.shape)
        if found.hub not in {None, self._hub}:
            found = Found()
        found.is_fresh = True
        await self._connect()
        return found

    async def give_up(self) -> None:
        """Delete it and open an empty one."""
        await self.close()
        await asyncio.to_thread(directory.delete_database, self.path)
        await self._connect()

    async def write(self, batch: Batch) -> Outcome:
        """Commit, in one hop. Raises sqlite3.Error."""
        if self._writer is None:
            raise JournalError(f"{self.path.name} is not open")
        return await self._writer.run(write, batch)

    async def read(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something on the reader's connection. Raises JournalError."""
        try:
            async with self._reader_lock:
                if self._writer is None:
                    raise JournalError(f"{self.path.name} is not open")
                if self._reader is None:
                    self._reader = await Link.open(lambda: database.open_reader(self.path, self.shape))
                reader = self._reader
            return await reader.run(work, *args, **kwargs)
        except sqlite3.Error as error:
            if fault_of(error) is Fault.DAMAGED:
                self.damage = error
            raise JournalError(f"{self.path.name} cannot be read ({error})") from error

    async def durability(self) -> dict[str, int | str]:
        """What the writing connection says of itself; empty when it is not open."""
        try:
            return {} if self._writer is None else await self._writer.run(database.durability)
        except sqlite3.Error:
            return {}

    async def close(self) -> None:
        """Close both connections; the last one copies the log back."""
        async with self._reader_lock:
            writer, reader = self._writer, self._reader
            self._writer = self._reader = None
        if reader is not None:
            await reader.close()
        if writer is not None:
            await writer.close()
