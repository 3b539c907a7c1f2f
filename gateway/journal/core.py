"""Both files as one whole: what is common to them, and what one needs of the other when it is late, new or full."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from cloud_sync.identity import Lane
from cloud_sync.record import Record
from gateway.errors import JournalError
from gateway.journal import directory
from gateway.journal.batch import Batch
from gateway.journal.caretaking import DAY_MS, Salvage, keep_house, survey
from gateway.journal.database import ALARM, BULK, EpochRow, ForeignError, Found, Shape
from gateway.journal.epochs import EpochBook
from gateway.journal.hop import hop
from gateway.journal.memory import MemoryBook
from gateway.journal.numbering import MAX_SEQ, row_id
from gateway.journal.reports import JournalOpening, ProbeResult, Trouble
from gateway.journal.settings import MIB, JournalSettings
from gateway.journal.store import Store

_SALVAGED_FIRST = 16 * MIB
_WORTH_GIVING_UP = MIB
_LOOK_S = 5.0
_log = structlog.get_logger()


class Core:
    """The host of the two stores."""

    def __init__(
        self,
        path: Path,
        hub: bytes,
        wall_ms: Callable[[], int],
        settings: JournalSettings,
        on_trouble: Callable[[Trouble], None],
    ) -> None:
        path = path.absolute()
        self.path = path
        self.wall_ms = wall_ms
        self.settings = settings
        self.alarm = Store(ALARM, path / ALARM.file, hub, settings, self)
        self.bulk = Store(BULK, path / BULK.file, hub, settings, self)
        self.stores = (self.alarm, self.bulk)
        self.by_lane = {lane: store for store in self.stores for lane in store.shape.lanes}
        self.reserve = directory.Reserve(path, settings.reserve_bytes)
        self.epochs = EpochBook()
        self.memory = MemoryBook()
        self.lineage: bytes | None = None
        self.floor_ms = 0
        self.running: tuple[bytes, bytes] | None = None
        """The running epoch and its header."""
        self._number: int | None = None
        self._on_trouble = on_trouble
        self._early: list[Trouble] | None = []
        self._salvage = Salvage(hub, self.stores, self.number_for, self.tell)
        self._found: dict[Shape, Found] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._owned: int | None = None
        self._owning: asyncio.Task[int] | None = None
        self._probing: asyncio.Task[ProbeResult] | None = None
        self._filling: asyncio.Task[bool] | None = None
        self._reserve_wanted = asyncio.Event()
        self._looked_at = float("-inf")
        self._is_card_good = False
        self._is_closing = False

    # Opening and closing.

    async def open(self) -> JournalOpening:
        """Open what can be opened, without waiting long for a card that hangs. Raises JournalRefusedError."""
        until = asyncio.get_running_loop().time() + self.settings.open_s
        for store in self.stores:
            store.tenure.begin_open()
        for store in self.stores:
            found = await store.tenure.opened(until)
            if found is not None:
                await self._take_in(store, found)
        for store in self.stores:
            if self._is_fresh(store):
                await self._within(self._plant(store), f"journal-plant-{store.shape.name}")
            store.start()
        self._tell_missing()
        if not any(store.plight.is_hanging for store in self.stores):
            await self._within(self._salvage_first(), "journal-salvage-first")
            await self._within(self._complete_epochs(), "journal-epochs")
        opening = JournalOpening(
            previous=self.epochs.previous(
                {lane: store.ledgers[lane] for lane, store in self.by_lane.items()},
                [lane for lane, store in self.by_lane.items() if store.tenure.is_loaded and not self._is_fresh(store)],
            ),
            memory=dict(self.memory.values),
            lineage=self.lineage,
            floor_ms=self.floor_ms,
            troubles=tuple(self._early or ()),
        )
        self._early = None
        self._begin(
            keep_house(self.stores, self._fill_reserve, self.today, self.settings.kept_days, self._reserve_wanted),
            "journal-house",
        )
        for store in self.stores:
            self._begin(self._survey(store), f"journal-survey-{store.shape.name}")
        return opening

    async def _within(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Wait for it as long as an opening may take; it goes on in the background."""
        task = self._begin(work, name)
        await asyncio.wait([task], timeout=self.settings.open_s)
        if task.done():
            await task

    async def close(self) -> None:
        """Commit what waits, close, and let another process have it."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        are_closed = await asyncio.gather(*(store.close() for store in self.stores), self._has_no_writer())
        if self._owned is not None and all(are_closed):  # what hangs may still write: then it ends with the process
            os.close(self._owned)
            self._owned = None

    async def _has_no_writer(self) -> bool:
        """Whether no thread of the upkeep writes to the card any more."""
        busy = [task for task in (self._filling, self._probing) if task is not None]
        if busy:
            await asyncio.wait(busy, timeout=self.settings.close_s)
            await asyncio.gather(*(task for task in busy if task.done()), return_exceptions=True)
        return all(task.done() for task in busy)

    async def _fill_reserve(self) -> bool:
        """Whether the reserve is there. Whoever stops waiting leaves it to go on. Raises OSError."""
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(hop(self.reserve.fill), name="journal-reserve")
        return await asyncio.shield(self._filling)

    async def take_hold(self) -> None:
        """See Host."""
        if self._owned is not None:
            return
        if self._owning is None:
            self._owning = asyncio.create_task(hop(_take_hold, self.path), name="journal-own")
        owning = self._owning
        try:
            self._owned = await asyncio.shield(owning)
        finally:
            if owning.done() and self._owning is owning:
                self._owning = None

    async def is_card_good(self) -> bool:
        """See Host. Looked at once in a while, as it costs a write."""
        now = asyncio.get_running_loop().time()
        if now >= self._looked_at + _LOOK_S:
            self._looked_at = now
            self._is_card_good = (await self.probe()).error is None
        return self._is_card_good

    async def probe(self) -> ProbeResult:
        """Write to the card and back. Raises nothing, and says so when the card does not answer."""
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(hop(directory.probe, self.path, self.reserve), name="journal-probe")
        await asyncio.wait([self._probing], timeout=self.settings.hanging_s)
        if self._probing.done():
            return await self._probing
        return ProbeResult(
            write_ms=None, read_ms=None, free_bytes=0, total_bytes=0, reserve_bytes=0, error="the card does not answer"
        )

    def _tell_missing(self) -> None:
        """A file that is new although the other one has been there for long: nobody has taken it away quietly."""
        if not all(store.shape in self._found for store in self.stores) or any(map(self._is_fresh, self.stores)):
            return
        for store, other in ((self.alarm, self.bulk), (self.bulk, self.alarm)):
            if not self._found[store.shape].epochs and len(self._found[other.shape].epochs) > 1:
                self.tell(Trouble(file=store.path.name, what="missing", detail="an empty one was made in its place"))

    def _begin(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _survey(self, store: Store) -> None:
        with suppress(JournalError):  # the count stays an estimate
            await survey(store)

    def _is_fresh(self, store: Store) -> bool:
        return store.shape in self._found and self._found[store.shape].is_fresh

    async def _take_in(self, store: Store, found: Found) -> None:
        try:
            self._merge(store.shape, found)
        except ForeignError as error:
            if found.is_fresh:  # the remains of a damaged file do not fit: its records tell their epochs themselves
                self._found[store.shape] = Found(is_fresh=True)
            else:
                await store.tenure.replace(str(error), "foreign")

    async def _plant(self, store: Store) -> None:
        try:
            await store.tenure.plant()
        except (sqlite3.Error, OSError, JournalError) as error:
            _log.error("journal_not_planted", file=store.path.name, why=str(error))  # told by its task

    def _merge(self, shape: Shape, found: Found) -> None:
        self.epochs.merge(found.epochs)
        self.epochs.last_run = max(self.epochs.last_run, int(found.meta.get("run", 0)))
        self.memory.merge(found.memory)
        self.memory.merge(found.memos)
        lineage = found.meta.get("lineage")
        if isinstance(lineage, bytes) and (self.lineage is None or shape is ALARM):
            self.lineage = lineage
        self.floor_ms = max(self.floor_ms, int(found.meta.get("floor_ms", 0)))
        if not found.is_fresh:
            self._salvage.recall(found.meta)
        self._found[shape] = found

    async def _complete_epochs(self) -> None:
        """What one file does not know of the runs it gets from the other."""
        headers: dict[int, bytes] | None = None
        for store in self.stores:
            found = self._found.get(store.shape)
            if found is None or found.is_fresh:
                continue
            known = {row.number for row in found.epochs}
            missing = [number for number in self.epochs.numbers() if number not in known]
            if missing and headers is None:
                headers = await self.headers()
            for row in self.epochs.rows(headers or {}):
                if row.number in missing:
                    store.note_epoch(row)

    async def _salvage_first(self) -> None:
        """Alarms come back before anything else; what is large or bulk comes back in the background."""
        for store in self.stores:
            try:
                left = await hop(self._salvage.left, store)
            except OSError as error:
                _log.warning("journal_set_asides_unreadable", file=store.path.name, why=str(error))
                continue
            for aside in left:
                if store is self.alarm and directory.size_of(aside) <= _SALVAGED_FIRST:
                    await self._salvage.run(store, aside)
                else:
                    self._begin(self._salvage.run(store, aside), f"journal-salvage-{aside.name}")

    # What the stores ask.

    def number(self) -> int | None:
        """See Host."""
        if self._number is None and self.running is not None and any(store.tenure.is_loaded for store in self.stores):
            epoch, header = self.running
            row = self.epochs.add(epoch, header)
            self._number = row.number
            for store in self.stores:
                store.note_epoch(row)
                store.note("run", row.number)
        return self._number

    def is_ours(self, found: Found) -> bool:
        """See Host."""
        return self.running is None or (self._number, self.running[0]) in {
            (row.number, row.epoch) for row in found.epochs
        }

    async def seed(self, shape: Shape) -> Batch:
        """See Host."""
        store = self.alarm if shape is ALARM else self.bulk
        headers = await self.headers(without=store)
        meta: dict[str, int | str | bytes] = {"floor_ms": self.floor_ms}
        if self._number is not None or self.epochs.last_run:
            meta["run"] = self._number or self.epochs.last_run
        if self.lineage is not None:
            meta["lineage"] = self.lineage
        seed = Batch(epochs=self.epochs.rows(headers), memory=self.memory.rows(), meta=meta)
        for lane, ledger in store.ledgers.items():
            seed.gaps[lane] = list(ledger.gaps)
            seed.kept.update({(lane, day): ledger.on_day(day) for day in ledger.days()})
            if ledger.high:
                meta[f"last/{lane.word}"] = ledger.high
        return seed

    def found_late(self, shape: Shape, found: Found) -> None:
        """See Host."""
        memory, memos = found.memory, found.memos
        found.memory, found.memos = [], []
        self._merge(shape, found)
        found.memory, found.memos = memory, memos
        again = self.memory.overrule([*memory, *memos])
        for store in self.stores:
            store.waiting.memory.extend(again)

    async def make_room(self) -> bool:
        """See Host. First everything that is not an alarm, then the reserve."""
        if await hop(directory.size_of, self.bulk.path) >= _WORTH_GIVING_UP:
            records = await self.bulk.give_way()
            self.tell(Trouble(file=self.bulk.path.name, what="bulk_dropped", records=records))
            return True
        if await hop(self.reserve.release):
            self._reserve_wanted.set()
            self.tell(Trouble(file=self.alarm.path.name, what="reserve_released"))
            return True
        return False

    def tell(self, trouble: Trouble) -> None:
        """See Host."""
        if self._early is not None:
            self._early.append(trouble)
        else:
            self._on_trouble(trouble)

    def set_aside(self, shape: Shape, trouble: Trouble, aside: Path | None) -> None:
        """See Host."""
        self.tell(trouble)
        if (
            aside is not None and self._early is None and not self._is_closing
        ):  # while opening, they are looked for in the end
            store = self.alarm if shape is ALARM else self.bulk
            self._begin(self._salvage.run(store, aside), f"journal-salvage-{aside.name}")

    # What is common.

    def number_for(self, record: Record) -> int:
        """The number of a salvaged record's epoch, which may be one that no file remembers."""
        epoch = record.id.epoch
        number = self.epochs.number_of(epoch)
        if number is None:
            row = self.epochs.add(epoch, record.epoch_header or self._salvage.headers.get(epoch, b""))
            number = row.number
            for store in self.stores:
                store.note_epoch(row)
        return number

    async def headers(self, without: Store | None = None) -> dict[int, bytes]:
        """All epoch headers that can be read."""
        found: dict[int, bytes] = {}
        for store in self.stores:
            if store is not without:
                with suppress(JournalError):
                    found.update(await store.read(_headers))
        return found

    def tidy(self) -> None:
        """Leave out, with the next commit, epochs and memory that nothing needs any more."""
        if self._tasks_of_salvage() or not all(store.tenure.is_loaded for store in self.stores):
            return
        unused = self.epochs.unused([ledger for store in self.stores for ledger in store.ledgers.values()])
        self.epochs.forget(unused)
        for store, other in ((self.alarm, BULK), (self.bulk, ALARM)):
            found = self._found.get(store.shape)
            rows = [] if found is None or found.is_fresh else self.memory.useless(found, self._found.get(other))
            store.waiting.forgotten_epochs.extend(unused)
            store.waiting.forgotten_memory.extend(rows)
        self._found.clear()

    def _tasks_of_salvage(self) -> bool:
        return any(task.get_name().startswith("journal-salvage-") for task in self._tasks)

    def today(self) -> int:
        """Days since 1970, as far as the hub knows; 0 means something else on the card."""
        return max(1, max(self.wall_ms(), self.floor_ms) // DAY_MS)

    def lose(self, lane: Lane, first: int, last: int) -> bool:
        """Numbers of the running epoch that will never come. False when it has no number yet."""
        number = self.number()
        if number is None or not 1 <= first <= last <= MAX_SEQ:
            return False
        store = self.by_lane[lane]
        store.ledgers[lane].lose([(row_id(number, first), row_id(number, last))])
        store.lazily()
        return True


def _take_hold(path: Path) -> int:
    directory.make_directory(path)
    return directory.own(path)


def _headers(connection: sqlite3.Connection) -> dict[int, bytes]:
    return dict(connection.execute("SELECT no, header FROM epoch WHERE header <> x''"))


def epoch_row(core: Core, ended: dict[Lane, int]) -> EpochRow | None:
    """The running epoch, ended in good order."""
    number = core.number()
    if number is None or core.running is None:
        return None
    return EpochRow(number=number, epoch=core.running[0], header=b"", ended=ended)
