"""What central holds of one lane of one run of a hub: which numbers, which of them unopened, which will never come."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.decoding import Opened
from central.sql import RowsSql, Sql
from cloud_sync.hub_messages import Envelope
from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges

# An upsert that changes next to nothing: it makes the row, locks it until commit, and reads it, on both databases.
_LOCK = RowsSql(
    """INSERT INTO high_water (hub, epoch, lane, updated_ms, stored) VALUES {rows}
    ON CONFLICT (hub, epoch, lane) DO UPDATE SET updated_ms = excluded.updated_ms
    RETURNING hub, epoch, lane, stored, unopened, gaps""",
    5,
)
_READ = Sql("SELECT stored, unopened, gaps FROM high_water WHERE hub = :hub AND epoch = :epoch AND lane = :lane")
_SAVE = Sql(
    """UPDATE high_water SET stored = :stored, unopened = :unopened, gaps = :gaps
    WHERE hub = :hub AND epoch = :epoch AND lane = :lane"""
)


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """One lane of one run of a hub."""

    hub: str
    epoch: str
    lane: Lane

    @classmethod
    def of(cls, envelope: Envelope) -> Stretch:
        """Where the records of an envelope belong."""
        return cls(envelope.sender.hub.hex(), envelope.epoch.hex(), envelope.lane)

    @property
    def names(self) -> dict[str, Any]:
        """As columns."""
        return {"hub": self.hub, "epoch": self.epoch, "lane": int(self.lane)}


@dataclass(slots=True)
class Marks:
    """Gaps and unopened ones count as stored."""

    stored: SeqRanges
    unopened: SeqRanges
    gaps: SeqRanges

    @classmethod
    def read(cls, row: Sequence[str] | None) -> Marks:
        """From the three JSON columns."""
        return (
            cls(*(SeqRanges(json.loads(text)) for text in row)) if row else cls(SeqRanges(), SeqRanges(), SeqRanges())
        )

    @classmethod
    async def load(cls, connection: AsyncConnection, stretch: Stretch) -> Marks:
        """As they are."""
        return cls.read(await _READ.one(connection, **stretch.names))

    @classmethod
    async def lock(cls, connection: AsyncConnection, stretch: Stretch, now: int) -> Marks:
        """As they are, and nobody else changes them before this transaction ends."""
        return (await cls.lock_all(connection, [stretch], now))[stretch]

    @classmethod
    async def lock_all(
        cls, connection: AsyncConnection, stretches: Collection[Stretch], now: int
    ) -> dict[Stretch, Marks]:
        """The same of several."""
        rows = [(one.hub, one.epoch, int(one.lane), now, "[]") for one in sorted(stretches)]
        found = await _LOCK.rows(connection, rows)
        return {Stretch(hub, epoch, Lane(lane)): cls.read(texts) for hub, epoch, lane, *texts in found}

    @staticmethod
    async def save_all(connection: AsyncConnection, changed: Mapping[Stretch, Marks]) -> None:
        """Write them back."""
        rows = [
            (_text(marks.stored), _text(marks.unopened), _text(marks.gaps), one.hub, one.epoch, int(one.lane))
            for one, marks in sorted(changed.items(), key=lambda item: item[0])
        ]
        await _SAVE.many(connection, rows)

    def sort_out(self, batch: Iterable[Opened]) -> tuple[list[Opened], list[Opened]]:
        """Those to store, each seq once; and among them those that replace what could not be read before."""
        fresh: dict[int, Opened] = {}
        better: dict[int, Opened] = {}
        for record in batch:
            if record.seq in fresh:
                continue
            if record.seq not in self.stored:
                fresh[record.seq] = record
            elif record.event is not None and record.seq in self.unopened:
                fresh[record.seq] = better[record.seq] = record
        return list(fresh.values()), list(better.values())

    def add(self, fresh: Iterable[Opened], better: Iterable[Opened]) -> None:
        """These are stored now."""
        self.unopened = SeqRanges(_without(self.unopened, {record.seq for record in better}))
        for record in fresh:
            self.stored.add(record.seq)
            if record.event is None:
                self.unopened.add(record.seq)

    def add_gaps(self, told: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Book what a hub threw away; returns what is new. A record that did arrive is no gap."""
        found = SeqRanges()
        for first, last in told:
            for start, end in self._holes(first, last):
                self.gaps.add(start, end)
                self.stored.add(start, end)
                found.add(start, end)
        return list(found)

    def _holes(self, first: int, last: int) -> list[tuple[int, int]]:
        return [(max(a, first), min(b, last)) for a, b in self.stored.missing(last) if b >= first]


def _without(ranges: SeqRanges, seqs: set[int]) -> list[tuple[int, int]]:
    if not seqs:
        return list(ranges)
    kept = []
    for first, last in ranges:
        start = first
        for seq in sorted(seq for seq in seqs if first <= seq <= last):
            if start < seq:
                kept.append((start, seq - 1))
            start = seq + 1
        if start <= last:
            kept.append((start, last))
    return kept


def _text(ranges: SeqRanges) -> str:
    return json.dumps(list(ranges), separators=(",", ":"))
