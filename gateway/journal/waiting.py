"""What waits for the next commit of one file, and what of it the next commit takes. No I/O."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path

from cloud_sync.identity import Lane
from gateway.errors import JournalError, JournalFullError
from gateway.journal.batch import Batch, Outcome, Thinning
from gateway.journal.database import EpochRow, Found, MemoryRow, Shape
from gateway.journal.ledger import Ledgers
from gateway.journal.numbering import row_id
from gateway.journal.settings import JournalSettings

_ALARM_ROWS = 500
_ROW_BYTES = 200
_THINNED_AHEAD = 64
_WORTH_A_RIDE = 1000
"""So many rows to delete go with a commit that comes along anyway; fewer wait, as they would touch as many pages."""


@dataclass(slots=True)
class Entry:
    """A record that waits. `number` is None for the running epoch, which may not have one yet."""

    lane: Lane
    number: int | None
    seq: int
    raw: bytes
    memory: list[MemoryRow]
    future: asyncio.Future[None]


class Waiting:
    """The memory of alarm and care records rides in the record's own row and is folded into the table later."""

    def __init__(self, shape: Shape, settings: JournalSettings, ledgers: Ledgers, card: Path) -> None:
        self.entries: list[Entry] = []
        self._others: list[tuple[int, asyncio.Future[None]]] = []
        self._added = self._taken = 0
        self.memory: list[MemoryRow] = []
        self.meta: dict[str, int | str | bytes] = {}
        self.epochs: list[EpochRow] = []
        self.forgotten_epochs: list[int] = []
        self.forgotten_memory: list[MemoryRow] = []
        self.is_flushing = False
        self._unfolded: dict[str, MemoryRow] = {}
        self._folded: dict[Lane, int] = {}
        self._shape = shape
        self._settings = settings
        self._ledgers = ledgers
        self._thinning = (
            None
            if shape.has_memo
            else Thinning(
                lanes=(Lane.TELEMETRY, Lane.TECHNICAL),
                limit_bytes=settings.bulk_limit_bytes,
                card=card,
                headroom_bytes=settings.headroom_bytes,
            )
        )
        self._bytes = 0
        self._bytes_limit = settings.alarm_waiting_bytes if shape.has_memo else settings.bulk_waiting_bytes
        self._rows_limit = _ALARM_ROWS if shape.has_memo else 2 * settings.bulk_commit_rows

    def load(self, found: Found) -> None:
        """Begin where a file left off."""
        self._folded = {lane: int(found.meta.get(f"folded/{lane.word}", 0)) for lane in self._ledgers}
        self._unfolded = {row[0]: row for row in sorted(found.memos, key=itemgetter(2))}

    def add(self, entry: Entry) -> None:
        """Take a record. Raises JournalFullError."""
        size = len(entry.raw) + _ROW_BYTES
        if self._bytes + size > self._bytes_limit:
            raise JournalFullError(f"{self._bytes} bytes wait for {self._shape.file} already")
        self._bytes += size
        self._added += 1
        self.entries.append(entry)

    def promise(self, future: asyncio.Future[None]) -> None:
        """Keep somebody informed who waits for all that is here now."""
        self._others.append((self._added, future))

    @property
    def has_many(self) -> bool:
        """Whether it is time for a commit whatever the clock says."""
        return len(self.entries) >= self._settings.bulk_commit_rows

    @property
    def is_roomy(self) -> bool:
        """Whether somebody who can wait may add more."""
        return self._bytes <= self._bytes_limit // 2

    @property
    def has_lazy(self) -> bool:
        """Whether there is something that waits for company."""
        return bool(self.meta or self._unfolded) or any(
            ledger.doomed or ledger.changed_days or ledger.has_changed_gaps for ledger in self._ledgers.values()
        )

    def take(self, number: int | None, *, is_lazy_due: bool) -> Batch:
        """What the next commit writes; `number` is that of the running epoch.

        Raises JournalError when a record waits for a number that is not there: under another one it would be lost.
        """
        if number is None and any(entry.number is None for entry in self.entries):
            raise JournalError("the running epoch has no number yet")
        shape, settings = self._shape, self._settings
        batch = Batch(
            epochs=self.epochs,
            forgotten_epochs=self.forgotten_epochs,
            forgotten_memory=self.forgotten_memory,
            memory=self.memory,
            delete_rows=settings.delete_rows,
            thinning=None if self._thinning is None else replace(self._thinning, over=self._over()),
        )
        self.epochs, self.forgotten_epochs, self.forgotten_memory = [], [], []
        self.memory = []
        self._take_entries(batch, number)
        batch.waiting.extend(future for added, future in self._others if added <= self._taken)
        self._others = [(added, future) for added, future in self._others if added > self._taken]
        is_worth_it = (
            not shape.has_memo and sum(ledger.doomed.size for ledger in self._ledgers.values()) >= _WORTH_A_RIDE
        )
        batch.is_lazy = is_lazy_due or is_worth_it or self.is_flushing
        self.is_flushing = False
        if batch.is_lazy:
            self._take_lazy(batch)
        newest = {row[0]: row for row in sorted(batch.memory, key=itemgetter(2))}
        batch.memory = list(newest.values())
        return batch

    def _over(self) -> dict[Lane, int]:
        """How many rows each lane has beyond its bound; some more, so that not every commit has to thin."""
        limits = {
            Lane.TELEMETRY: self._settings.telemetry_limit_bytes,
            Lane.TECHNICAL: self._settings.technical_limit_bytes,
        }
        over = {}
        for lane, limit in limits.items():
            ledger = self._ledgers[lane]
            most = int(limit / max(1.0, ledger.mean_bytes))
            if ledger.present.size > most:
                over[lane] = ledger.present.size - most + most // _THINNED_AHEAD
        return over

    def _take_entries(self, batch: Batch, number: int | None) -> None:
        taken, self.entries = self.entries[: self._rows_limit], self.entries[self._rows_limit :]
        self._taken += len(taken)
        has_memo = self._shape.has_memo
        for entry in taken:
            lane, raw = entry.lane, entry.raw
            self._bytes -= len(raw) + _ROW_BYTES
            batch.waiting.append(entry.future)
            row = row_id(entry.number or number or 0, entry.seq)
            if has_memo and row > self._folded.get(lane, 0):
                batch.rows.setdefault(lane, []).append((row, raw, _memo(entry.memory)))
                batch.unfolded.extend(entry.memory)
                continue
            batch.memory.extend(entry.memory)
            if has_memo:
                batch.rows.setdefault(lane, []).append((row, raw, None))
            elif row in self._ledgers[lane].settled:  # central was faster than the card
                self._ledgers[lane].high = max(self._ledgers[lane].high, row)
            else:
                batch.rows.setdefault(lane, []).append((row, raw))

    def _take_lazy(self, batch: Batch) -> None:
        batch.meta, self.meta = self.meta, {}
        batch.folding, self._unfolded = list(self._unfolded.values()), {}
        batch.memory.extend([*batch.folding, *batch.unfolded])
        has_memory = bool(batch.folding or batch.unfolded)
        for lane, ledger in self._ledgers.items():
            newest = max((row[0] for row in batch.rows.get(lane, ())), default=0)
            if has_memory:
                batch.folded[lane] = max(ledger.present.last, newest)
                batch.meta[f"folded/{lane.word}"] = batch.folded[lane]
            batch.kept.update({(lane, day): ledger.on_day(day) for day in ledger.changed_days})
            ledger.changed_days.clear()
            if ledger.has_changed_gaps:
                batch.gaps[lane] = list(ledger.gaps)
                ledger.has_changed_gaps = False
            if ledger.doomed or ledger.high > ledger.present.last:  # no row will tell how far the lane came
                batch.meta[f"last/{lane.word}"] = max(ledger.high, newest)
            batch.deletes.extend((lane, first, last) for first, last in ledger.doomed)
            ledger.doomed.clear()

    def written(self, batch: Batch, outcome: Outcome) -> None:
        """Book what a commit has made durable."""
        self._folded.update(batch.folded)
        if not batch.is_lazy:
            self._unfolded.update((row[0], row) for row in batch.unfolded)
        for lane, first, last in batch.deletes:
            self._ledgers[lane].deleted(first, last)
        for lane, first, last in outcome.undone:
            self._ledgers[lane].present.add(first, last)
            self._ledgers[lane].doom(first, last)
        for lane, rows in batch.rows.items():
            self._ledgers[lane].stored(sorted(row[0] for row in rows), sum(len(row[1]) for row in rows))
        for lane, ranges in outcome.thinned.items():
            self._ledgers[lane].lose(ranges)
        batch.done()

    def take_back(self, batch: Batch) -> None:
        """After a failure: what nobody else would bring again goes with a later commit. Records do not."""
        self.epochs[:0] = batch.epochs
        self.meta = batch.meta | self.meta
        self._unfolded = {row[0]: row for row in batch.folding} | self._unfolded
        for lane, day in batch.kept:
            self._ledgers[lane].changed_days.add(day)
        for lane in batch.gaps:
            self._ledgers[lane].has_changed_gaps = True
        for lane, first, last in batch.deletes:
            self._ledgers[lane].doom(first, last)

    def fail_all(self, error: JournalError) -> None:
        """Nobody who waits now gets what he waits for."""
        lost = Batch(waiting=[entry.future for entry in self.entries] + [future for _, future in self._others])
        self._taken = self._added
        self.entries, self._others, self.memory, self._bytes = [], [], [], 0
        lost.failed(error)


def _memo(memory: list[MemoryRow]) -> str | None:
    if not memory:
        return None
    return json.dumps([memory[0][2], {key: value for key, value, _ in memory}], separators=(",", ":"))
