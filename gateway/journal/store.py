"""One file of the journal at run time: the task that commits what waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import structlog

from cloud_sync.identity import Lane
from gateway.errors import JournalError
from gateway.journal import directory
from gateway.journal.batch import Batch, Outcome
from gateway.journal.database import EpochRow, Fault, MemoryRow, Shape, fault_of
from gateway.journal.hop import hop
from gateway.journal.journal_file import JournalFile
from gateway.journal.ledger import Ledger
from gateway.journal.numbering import Spans, epoch_number, seq_of
from gateway.journal.plight import Plight
from gateway.journal.reports import FileState
from gateway.journal.settings import JournalSettings
from gateway.journal.statements import LANE_SQL
from gateway.journal.tenure import Host, Tenure
from gateway.journal.waiting import Entry, Waiting

T = TypeVar("T")
P = ParamSpec("P")

_RETRY_S = 5.0
_NEXT_DELETES_S = 0.05
_CLOSING_S = 1.0
_LOG_PAGES = 400
_TELL_S = 60.0
_CARRIED_BYTES = 512 * 1024
_log = structlog.get_logger()


class Store:
    """One commit at a time, by one task, which alone opens and replaces the file."""

    def __init__(self, shape: Shape, path: Path, hub: bytes, settings: JournalSettings, host: Host) -> None:
        self.shape = shape
        self.path = path
        self.ledgers = {lane: Ledger(lane) for lane in shape.lanes}
        self.waiting = Waiting(shape, settings, self.ledgers, path.parent)
        self._file = JournalFile(shape, path, hub, lambda trouble, aside: host.set_aside(shape, trouble, aside))
        self._settings = settings
        self._host = host
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._checkpoint: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._roomy = asyncio.Event()
        self._due: float | None = None
        self._lazy_due: float | None = None
        self._is_closing = False
        self.plight = Plight(
            path.name, host.tell, hanging_s=settings.hanging_s, replace_after_s=settings.replace_after_s
        )
        self.tenure = Tenure(self._file, settings, host, plight=self.plight, ledgers=self.ledgers, waiting=self.waiting)
        self._log_pages = 0
        self._thinned = 0
        self._thinned_told = -_TELL_S
        self._commit_ms: float | None = None

    # What comes in, all of it at once.

    def add(
        self, lane: Lane, seq: int, raw: bytes, memory: list[MemoryRow], number: int | None = None
    ) -> asyncio.Future[None]:
        """Take a record, of the running epoch when no number is given. Raises JournalFullError."""
        self._demand_open()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.add(Entry(lane, number, seq, raw, memory, future))
        self._due_in(0.0 if self.waiting.has_many else self._delay(lane))
        return future

    def remember(self, lane: Lane, memory: list[MemoryRow]) -> asyncio.Future[None]:
        """Take memory without a record."""
        future = self._promise(self._delay(lane))
        self.waiting.memory.extend(memory)
        return future

    def note(self, key: str, value: int | str | bytes) -> None:
        """Write this into `meta` when there is occasion."""
        self.waiting.meta[key] = value
        self.lazily()

    def note_epoch(self, row: EpochRow) -> None:
        """Write this epoch with the next commit, before any record of it."""
        self.waiting.epochs.append(row)

    def lazily(self, within_s: float | None = None) -> None:
        """Something changed that may wait for company, `settle_s` when nothing else is said."""
        due = asyncio.get_running_loop().time() + (self._settings.settle_s if within_s is None else within_s)
        if self._lazy_due is None or due < self._lazy_due:
            self._lazy_due = due
            self._due_at(due)

    def commit_now(self) -> asyncio.Future[None]:
        """Commit all that waits, lazy things too."""
        future = self._promise(0.0)
        self.waiting.is_flushing = True
        return future

    async def room(self) -> None:
        """Wait until there is room for more."""
        while not self.waiting.is_roomy:
            self._roomy.clear()
            await self._roomy.wait()

    def _promise(self, delay_s: float) -> asyncio.Future[None]:
        self._demand_open()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.promise(future)
        self._due_in(delay_s)
        return future

    def _demand_open(self) -> None:
        if self._is_closing:
            raise JournalError("the journal is closed")

    def _delay(self, lane: Lane) -> float:
        if lane.is_urgent:
            return 0.0
        return self._settings.technical_commit_s if lane is Lane.TECHNICAL else self._settings.telemetry_commit_s

    def _due_in(self, delay_s: float) -> None:
        self._due_at(asyncio.get_running_loop().time() + delay_s)

    def _due_at(self, due: float) -> None:
        if self._due is None or due < self._due:
            self._due = due
            self._wake.set()

    # Its life.

    def start(self) -> None:
        """Begin to commit."""
        self._task = asyncio.create_task(self._run(), name=f"journal-{self.shape.name}")

    async def close(self) -> bool:
        """Commit what waits, then close. A card that hangs is left alone: False, and what waits is not durable."""
        self._is_closing = True
        self._wake.set()
        tasks: list[asyncio.Task[Any]] = [
            task for task in (self.tenure.opening, self._task, self._checkpoint) if task is not None
        ]
        patience_s = self._settings.close_s / 4 if self.plight.is_hanging else self._settings.close_s
        closing = asyncio.create_task(self._end(tasks), name=f"journal-close-{self.shape.name}")
        await asyncio.wait([closing], timeout=patience_s)
        if closing.done():
            await closing
            return True
        _log.error("journal_left_open", file=self.path.name)
        for task in (closing, *tasks):
            task.cancel()
        await asyncio.gather(closing, *tasks, return_exceptions=True)
        self.waiting.fail_all(JournalError("the journal is closed"))
        return False

    async def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._file.close()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_closing:
            if await self._until_due():
                async with self._lock:
                    await self._commit()
        until = loop.time() + _CLOSING_S
        self.waiting.is_flushing = True
        async with self._lock:
            while await self._commit() and (self.waiting.entries or self.waiting.has_lazy) and loop.time() < until:
                self.waiting.is_flushing = True
        self.waiting.fail_all(JournalError("the journal is closed"))

    async def _until_due(self) -> bool:
        """Wait for work, or for something to have changed. Returns whether there is work."""
        delay = None if self._due is None else self._due - asyncio.get_running_loop().time()
        if delay is not None and delay <= 0:
            return True
        self._wake.clear()
        try:
            async with asyncio.timeout(delay):
                await self._wake.wait()
        except TimeoutError:
            return True
        return False

    # One commit.

    async def _commit(self) -> bool:
        """Write one batch, whatever it takes. Returns whether it is on the card."""
        self._due = None
        loop = asyncio.get_running_loop()
        batch: Batch | None = None
        started = time.perf_counter()
        try:
            with self.plight.watched():
                await self.tenure.reopen()
                is_lazy_due = self._lazy_due is not None and loop.time() >= self._lazy_due
                batch = self.waiting.take(self._host.number(), is_lazy_due=is_lazy_due)
                outcome = await self._write(batch)
        except (sqlite3.Error, OSError, JournalError) as error:
            self._not_written(batch, error)
            return False
        except Exception as error:  # noqa: BLE001  # the barrier of this task: a mistake of ours must not end all commits
            _log.exception("journal_commit_failed", file=self.path.name)
            self._not_written(batch, error)
            return False
        self._commit_ms = (time.perf_counter() - started) * 1000
        self._written(batch, outcome)
        return True

    async def _write(self, batch: Batch) -> Outcome:
        for attempt in range(4):
            try:
                return await self._file.write(batch)
            except sqlite3.Error as error:
                fault = fault_of(error)
                if attempt == 3 or fault is Fault.OTHER:
                    raise
                if fault is Fault.DAMAGED:
                    await self._file.demand_given()
                    await self.tenure.replace(str(error), "damaged")
                    batch.deletes.clear()
                elif fault is Fault.IO and not await hop(directory.has_no_room, self.path.parent):
                    raise  # nothing has to go for a card that fails
                elif not await self._make_room(batch, attempt):
                    raise
        raise AssertionError("unreachable")

    async def _make_room(self, batch: Batch, attempt: int) -> bool:
        if self.shape.has_memo:
            return await self._host.make_room()
        with contextlib.suppress(sqlite3.Error):
            await self._file.run(_start_log_over)  # the log is room too
        if batch.thinning is not None:
            batch.thinning = replace(batch.thinning, limit_bytes=0)
        return attempt <= 1

    def _written(self, batch: Batch, outcome: Outcome) -> None:
        self.waiting.written(batch, outcome)
        loop = asyncio.get_running_loop()
        if batch.is_lazy:
            self._lazy_due = loop.time() + _NEXT_DELETES_S if outcome.undone else None
        if self._lazy_due is not None:
            self._due_at(self._lazy_due)
        elif self.waiting.has_lazy:
            self.lazily()
        if self.waiting.entries:
            self._due_at(loop.time())
        if self.waiting.is_roomy:
            self._roomy.set()
        if outcome.thinned:
            self._thinned += sum(last - first + 1 for ranges in outcome.thinned.values() for first, last in ranges)
            if loop.time() >= self._thinned_told + _TELL_S:
                _log.warning("journal_thinned", file=self.path.name, records=self._thinned)
                self._thinned, self._thinned_told = 0, loop.time()
        self.plight.is_over()
        if not self._file.is_unreadable:  # opened anew, perhaps, and nobody may want to read again
            self.plight.gives()
        self.tenure.is_well()
        self._copy_log_back(batch)

    def _not_written(self, batch: Batch | None, error: Exception) -> None:
        told = error if isinstance(error, JournalError) else directory.unwritable(self.path, error)
        if batch is None:
            self.waiting.fail_all(told)
        else:
            self.waiting.take_back(batch)
            batch.failed(told)
        self._roomy.set()
        self.plight.fails(error)
        self._due_in(0.0 if self.waiting.entries else _RETRY_S)

    def _copy_log_back(self, batch: Batch) -> None:
        """Beside the commits, not in the middle of one as SQLite does by itself: an alarm does not wait for it."""
        if self.shape.checkpoint_pages:
            return
        self._log_pages += 2 + sum(len(row[1]) for rows in batch.rows.values() for row in rows) // 2048
        if self._log_pages >= _LOG_PAGES and self._checkpoint is None and not self._is_closing:
            self._log_pages = 0
            self._checkpoint = asyncio.create_task(self._checkpoint_once(), name=f"checkpoint-{self.shape.name}")

    async def _checkpoint_once(self) -> None:
        try:
            await self.read(_checkpoint)
        except JournalError as error:
            _log.warning("journal_checkpoint_failed", file=self.path.name, why=str(error))
        finally:
            self._checkpoint = None

    # What others ask.

    async def read(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something on the reader's connection. Raises JournalError; damage that is met leads to a new file."""
        try:
            result = await self._file.read(work, *args, **kwargs)
        except JournalError as error:
            if self._file.is_unreadable:
                self.plight.withholds(error)
            raise
        else:
            self.plight.gives()
            return result
        finally:
            if self._file.damage is not None or self._file.is_unreadable or not self._file.is_open:
                self._due_in(0.0)

    async def state(self) -> FileState:
        """See FileState."""
        return FileState(
            name=self.path.name,
            is_open=self._file.is_open,
            durability=await self._file.durability(),
            size_bytes=directory.size_of(self._file.path),
            last_error=self.plight.word,
            waiting=len(self.waiting.entries),
            last_commit_ms=self._commit_ms,
            failing_s=self.plight.failing_s,
            is_beside=self._file.is_beside,
            set_aside=len(directory.set_asides(self.path)),
        )

    async def give_way(self) -> int:
        """Give the whole file up for alarms that have no room. Returns how many records were lost.

        The newest technical events are carried over in memory, and come back onto the card as far as there is room.
        """
        async with self._lock:
            carried = await self._newest(Lane.TECHNICAL, _CARRIED_BYTES)
            lost = 0
            for lane, ledger in self.ledgers.items():
                gone = list(ledger.present.minus(ledger.settled))
                for row, _ in carried if lane is Lane.TECHNICAL else ():
                    gone = [part for span in gone for part in Spans([(row, row)]).outside(*span)]
                lost += sum(last - first + 1 for first, last in gone)
                ledger.lose(gone)
            try:
                await self._file.give_up()
                await self.tenure.planted()
            except (sqlite3.Error, OSError, JournalError) as error:
                self.plight.fails(error)
            for row, raw in carried:
                with contextlib.suppress(JournalError):
                    self.add(Lane.TECHNICAL, seq_of(row), raw, [], epoch_number(row))
            return lost

    async def _newest(self, lane: Lane, limit_bytes: int) -> list[tuple[int, bytes]]:
        """The newest records that wait for a receipt, oldest first."""
        try:
            rows = await self._file.read(_last_rows, LANE_SQL[lane].tail, limit_bytes)
        except JournalError:
            return []
        return [(row, raw) for row, raw in reversed(rows) if row not in self.ledgers[lane].settled]


def _last_rows(connection: sqlite3.Connection, query: str, limit_bytes: int) -> list[tuple[int, bytes]]:
    rows: list[tuple[int, bytes]] = []
    for row, raw in connection.execute(query):
        limit_bytes -= len(raw)
        if limit_bytes < 0:
            break
        rows.append((row, raw))
    return rows


def _start_log_over(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
