"""The durable, sealed queue of the hub: two files, four lanes, one class."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cloud_sync.errors import MalformedError
from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import parse_record
from gateway.errors import JournalError
from gateway.journal.core import Core, epoch_row
from gateway.journal.numbering import MAX_SEQ, Range, epoch_number, epoch_range, row_id, seq_of
from gateway.journal.reports import FileState, JournalOpening, LaneCount, Memory, ProbeResult, StoredRecord, Trouble
from gateway.journal.settings import JournalSettings
from gateway.journal.statements import LANE_SQL

_MAX_ID = (1 << 63) - 1
EARLIER_RUN_S = 0.2
"""How soon it is written that central has an alarm of an earlier run."""


class Journal:
    """What was appended is on the card; what central has receipted is let go. Used by one event loop.

    No method is cancelled half way: a caller that gives up waiting does not know whether it was done. I/O trouble
    raises JournalError, is told once to `on_trouble`, and the next call tries again.
    """

    def __init__(self, core: Core, opened: JournalOpening) -> None:
        self.opened = opened
        self.memory: Mapping[str, int | str] = core.memory.values
        """What is remembered now, durable or on its way."""
        self._core = core
        self._oldest: dict[Lane, tuple[int, int | None]] = {}
        self._is_closed = False

    async def start_epoch(self, epoch: bytes, header: bytes) -> None:
        """Begin a run: its header is durable in both files before this returns. Once per opened journal.

        On JournalError the run may go on all the same: the header is written before the first record that gets to
        the card.
        """
        core = self._core
        if core.running is not None:
            raise JournalError("an epoch is running already")
        core.tidy()
        core.running = (epoch, header)
        core.number()
        await self.flush()

    async def append(self, lane: Lane, seq: int, record: bytes, remember: Memory | None = None) -> None:
        """Add a record of the running epoch; returns when it is durable. `remember` is committed with it.

        Appending the same again is harmless. Bulk waits for room when too much of it waits for the card. Raises
        JournalError, and for alarm and care JournalFullError rather than wait.
        """
        if not lane.is_urgent:
            await self._core.by_lane[lane].room()
        await asyncio.shield(self.append_nowait(lane, seq, record, remember))

    def append_nowait(
        self, lane: Lane, seq: int, record: bytes, remember: Memory | None = None
    ) -> asyncio.Future[None]:
        """The same at once: the future is done when the record is durable. Raises JournalFullError.

        Nobody has to look at the future: a failure is logged and told by the journal itself. When it fails, neither
        the record nor what was to be remembered comes to the card, unless it is appended again.
        """
        core = self._core
        if core.running is None:
            raise JournalError("no epoch was started")
        if not 1 <= seq <= MAX_SEQ:
            raise ValueError(f"not a sequence number: {seq}")
        return core.by_lane[lane].add(lane, seq, record, core.memory.take(remember) if remember else [])

    def remember(self, lane: Lane, memory: Memory) -> asyncio.Future[None]:
        """Memory that no event carries; committed as fast as an event of the lane would be. Raises JournalError."""
        return self._core.by_lane[lane].remember(lane, self._core.memory.take(memory))

    def set_floor(self, wall_ms: int) -> None:
        """It cannot be earlier than this from now on. Rides on a later commit."""
        core = self._core
        if wall_ms > core.floor_ms:
            core.floor_ms = wall_ms
            core.bulk.note("floor_ms", wall_ms)

    async def settle(self, epoch: bytes, lane: Lane, stored: SeqRanges, unopened: SeqRanges, lineage: bytes) -> int:
        """Central has these. Returns how many numbers were not settled before; rides on a later commit.

        Bulk is deleted. Alarm and care, and whatever central could not open, are kept for `kept_days` and come out of
        `unsettled` again when `lineage` is another one than before. Raises nothing: the news is lost at a crash at
        worst, and then central gets a resend. Of earlier runs it is written soon, because a run that is over as soon as
        it began must leave less behind than it found: otherwise the new waits behind ever more of the old.
        """
        core = self._core
        self._note_lineage(lineage)
        number = core.epochs.number_of(epoch)
        if number is None:
            return 0
        store = core.by_lane[lane]
        ledger = store.ledgers[lane]
        day = core.today()
        count = ledger.settle(_ids(number, unopened), day, is_kept=True)
        count += ledger.settle(_ids(number, stored), day, is_kept=lane.is_urgent)
        if store.waiting.has_lazy:
            is_of_earlier_run = lane.is_urgent and core.running is not None and core.running[0] != epoch
            store.lazily(EARLIER_RUN_S if is_of_earlier_run and count else None)
        return count

    def can_settle(self, epoch: bytes) -> bool:
        """False for the running epoch as long as no file could be opened that knows it."""
        core = self._core
        return core.running is None or core.running[0] != epoch or core.number() is not None

    def _note_lineage(self, lineage: bytes) -> None:
        core = self._core
        if lineage == core.lineage:
            return
        is_other = core.lineage is not None
        core.lineage = lineage
        for store in core.stores:
            store.note("lineage", lineage)
            if is_other:
                for ledger in store.ledgers.values():
                    ledger.offer_again()

    async def unsettled(self, lane: Lane, after: int | None = None, limit: int = 500) -> list[StoredRecord]:
        """Durable records without a receipt, oldest first, also of the running epoch. `after` is a cursor.

        Raises JournalError.
        """
        core = self._core
        store = core.by_lane[lane]
        ledger = store.ledgers[lane]
        rows = await store.read(_rows, LANE_SQL[lane].rows, ledger.unsettled((after or 0) + 1, _MAX_ID), limit)
        again = ledger.again or ()
        number, epoch = 0, None
        found = []
        for row, record in rows:  # by the thousand: what is the same for all of an epoch is looked up once
            if epoch_number(row) != number:
                number = epoch_number(row)
                epoch = core.epochs.name_of(number)
            if epoch is not None:
                found.append(
                    StoredRecord(epoch=epoch, seq=seq_of(row), record=record, cursor=row, was_settled=row in again)
                )
        return found

    async def epoch_header(self, epoch: bytes) -> bytes | None:
        """The signed header of an epoch that still has something here. Raises JournalError when it cannot be read."""
        core = self._core
        if core.running is not None and core.running[0] == epoch:
            return core.running[1]
        number = core.epochs.number_of(epoch)
        if number is None:
            return None
        trouble: JournalError | None = None
        for store in core.stores:
            try:
                if header := await store.read(_header, number):
                    return header
            except JournalError as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return None

    def gaps(self, lane: Lane, epoch: bytes) -> tuple[tuple[int, int], ...]:
        """Numbers that will never come, because space ran out; until central has receipted that."""
        number = self._core.epochs.number_of(epoch)
        if number is None:
            return ()
        gaps = self._core.by_lane[lane].ledgers[lane].gaps
        return tuple((seq_of(first), seq_of(last)) for first, last in gaps.within(*epoch_range(number)))

    def epochs_with_gaps(self, lane: Lane) -> tuple[bytes, ...]:
        """Where `gaps` has something to tell, oldest first."""
        core = self._core
        numbers = dict.fromkeys(epoch_number(first) for first, _ in core.by_lane[lane].ledgers[lane].gaps)
        return tuple(epoch for number in numbers if (epoch := core.epochs.name_of(number)) is not None)

    def give_up(self, lane: Lane, first: int, last: int) -> bool:
        """Numbers of the running epoch whose records could not be kept anywhere: they become a gap.

        False when there is no file yet whose gap that could be.
        """
        return self._core.lose(lane, first, last)

    def dropped(self, lane: Lane) -> int:
        """How many records of a lane became gaps since the journal was opened."""
        return self._core.by_lane[lane].ledgers[lane].dropped

    def is_hanging(self, lane: Lane) -> bool:
        """Whether the card does not answer now."""
        return self._core.by_lane[lane].plight.is_hanging

    def is_taking(self, lane: Lane) -> bool:
        """Whether what is appended comes onto the card, as far as is known."""
        store = self._core.by_lane[lane]
        return store.tenure.is_loaded and store.plight.word is None

    def is_settled(self, lane: Lane, epoch: bytes, seq: int) -> bool:
        """Whether central has receipted this."""
        number = self._core.epochs.number_of(epoch)
        return number is not None and row_id(number, seq) in self._core.by_lane[lane].ledgers[lane].settled

    @property
    def lineage(self) -> bytes | None:
        """The id of central's database that the last receipt came from."""
        return self._core.lineage

    def marks(self, epoch: bytes) -> dict[Lane, int]:
        """Up to which number everything of a run was receipted by that database, for the lanes that are kept."""
        number = self._core.epochs.number_of(epoch)
        found = {}
        for lane in (Lane.ALARM, Lane.CARE) if number is not None else ():
            settled = self._core.by_lane[lane].ledgers[lane].settled
            first, last = next(settled.within(*epoch_range(number or 0)), (0, 0))
            if seq_of(first) == 1:
                found[lane] = seq_of(last)
        return found

    @property
    def settings(self) -> JournalSettings:
        """What it was opened with."""
        return self._core.settings

    async def counts(self) -> Mapping[Lane, LaneCount]:
        """What waits for a receipt, per lane. At once: nothing is counted for it, one record per lane is looked at."""
        counts = {}
        for lane, store in self._core.by_lane.items():
            ledger = store.ledgers[lane]
            records = ledger.count()
            counts[lane] = LaneCount(
                records=records,
                size_bytes=round(records * ledger.mean_bytes),
                oldest_ms=await self._oldest_ms(lane) if records else None,
                is_exact=ledger.is_exact and store.tenure.is_loaded,
            )
        return counts

    async def _oldest_ms(self, lane: Lane) -> int | None:
        store = self._core.by_lane[lane]
        oldest = store.ledgers[lane].oldest()
        if oldest is None:
            return None
        if self._oldest.get(lane, (0, None))[0] != oldest:
            try:
                rows = await store.read(_rows, LANE_SQL[lane].rows, [(oldest, _MAX_ID)], 1)
                self._oldest[lane] = (oldest, parse_record(rows[0][1]).stamp.wall_ms if rows else None)
            except (JournalError, MalformedError):
                return None
        return self._oldest[lane][1]

    async def probe(self) -> ProbeResult:
        """Write to the card, fsync, read back; free space. Raises nothing."""
        return await self._core.probe()

    async def files(self) -> Sequence[FileState]:
        """Both files as they are now. Asks SQLite for what durability really is."""
        return [await store.state() for store in self._core.stores]

    async def flush(self) -> None:
        """Commit now what waits, lazy things too. Raises JournalError."""
        results = await asyncio.gather(
            *(asyncio.shield(store.commit_now()) for store in self._core.stores), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def close(self, *, is_clean: bool, last: Mapping[Lane, int] | None = None) -> None:
        """Commit what waits and close.

        A clean end, with the `last` number given out per lane, is noted for the next epoch's header. Leaving the
        context without this is an unclean end. A second close does nothing.
        """
        if self._is_closed:
            return
        self._is_closed = True
        core = self._core
        if is_clean and (row := epoch_row(core, dict(last or {}))) is not None:
            for store in core.stores:
                store.note_epoch(row)
        await core.close()


@asynccontextmanager
async def open_journal(
    directory: Path,
    hub: bytes,
    *,
    wall_ms: Callable[[], int],
    settings: JournalSettings | None = None,
    on_trouble: Callable[[Trouble], None] = lambda _trouble: None,
) -> AsyncIterator[Journal]:
    """Open the journal in `directory`, which is made if need be (mode 0700, files 0600).

    A damaged file is set aside, a new one begun, and what can be read is salvaged; of a file of a newer version not a
    byte is touched, and another one beside it is used. A card that cannot be written to or hangs is told in
    `opened.troubles` and tried again with every append. Raises JournalRefusedError only, for a journal that another
    process has open.

    `wall_ms` is for retention only. `on_trouble` is called in the event loop, for what comes after opening.
    """
    core = Core(directory, hub, wall_ms, settings or JournalSettings(), on_trouble)
    try:
        journal = Journal(core, await core.open())
    except BaseException:
        await core.close()
        raise
    try:
        yield journal
    finally:
        await journal.close(is_clean=False)


def _ids(number: int, ranges: SeqRanges) -> list[Range]:
    return [
        (row_id(number, first), row_id(number, min(last, MAX_SEQ))) for first, last in ranges if 1 <= first <= MAX_SEQ
    ]


def _rows(connection: sqlite3.Connection, query: str, spans: list[Range], limit: int) -> list[tuple[int, bytes]]:
    rows: list[tuple[int, bytes]] = []
    for first, last in spans:
        if len(rows) >= limit:
            break
        rows.extend(connection.execute(query, (first, last, limit - len(rows))))
    return rows


def _header(connection: sqlite3.Connection, number: int) -> bytes | None:
    row = connection.execute("SELECT header FROM epoch WHERE no = ?", (number,)).fetchone()
    return None if row is None else row[0]
