"""Records become rows, with everything that is due from them, in the caller's transaction.

The events, the marks of what is stored, the sender's replay window, and every alarm, log entry, feed number and reply
that follow. What conditions of technical alarms have to tell is gathered in `Told`: the caller writes it, last of all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central import gaps, home_response, raising, read_later
from central.clock import Clock
from central.decoding import EVENT_COLUMNS, Opened
from central.epochs import Epoch, EpochBook
from central.held import Marks, Stretch
from central.lifecycle import CENTRAL_KINDS, CLEARED_BY, Meaning, alarm_kind, meaning_of
from central.measured import sealed_rows
from central.opening import Source
from central.people.words import Words
from central.raising import Happening, raise_unreadable
from central.sql import Sql, insert_ignoring
from central.technical.conditions import Begun, Told, begin_all, end_all, technical_key
from central.windows import Windows
from cloud_sync.hub_messages import Envelope

EFFECT_WEIGHT = 40
BATCHED_WEIGHT = 8
"""One that does something to alarms; a technical condition, which is written with others of its kind."""

_EVENT = insert_ignoring("event", EVENT_COLUMNS)
_RAW = insert_ignoring("event_raw", ("hub", "epoch", "lane", "seq", "raw"))
_FORGET = Sql("DELETE FROM event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_FORGET_RAW = Sql("DELETE FROM event_raw WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_UNJOIN = Sql("DELETE FROM alarm_event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Records of one envelope that are committed together: a few, so that nobody waits long for them."""

    envelope: Envelope
    epoch: Epoch | None
    records: Sequence[Opened]

    @property
    def stretch(self) -> Stretch:
        """Where they belong."""
        return Stretch.of(self.envelope)


def weight_of(record: Opened, *, is_urgent: bool) -> int:
    """What it costs to write it, with what follows from it."""
    if record.event is None:
        return EFFECT_WEIGHT if is_urgent else BATCHED_WEIGHT
    meaning = meaning_of(record.event.kind)
    if meaning is Meaning.RECORD and record.event.kind.word not in home_response.KINDS:
        return 1
    is_batched = not is_urgent and meaning in {Meaning.TECHNICAL, Meaning.CLEARS}
    return BATCHED_WEIGHT if is_batched else EFFECT_WEIGHT


class Storing:
    """Writes pieces."""

    def __init__(self, clock: Clock, epochs: EpochBook, windows: Windows, words: Words) -> None:
        self._words = words
        self._clock = clock
        self._epochs = epochs
        self._windows = windows

    async def write_one(self, connection: AsyncConnection, piece: Piece) -> Marks:
        """A piece in a transaction of its own."""
        told = Told()
        marks = await self.write(connection, piece, told)
        await self.tell(connection, told)
        return marks

    async def tell(self, connection: AsyncConnection, told: Told) -> None:
        """What is left to be told of all that was written."""
        await told.write(connection, self._clock.now_ms())

    async def write(self, connection: AsyncConnection, piece: Piece, told: Told) -> Marks:
        """What was not stored before, once. Returns what is held then."""
        now = self._clock.now_ms()
        envelope, stretch = piece.envelope, piece.stretch
        if piece.epoch is not None and not piece.epoch.is_stored:
            await self._epochs.store(connection, piece.epoch, now)
        marks = await Marks.lock(connection, stretch, now)
        newest = marks.stored.last
        fresh, better = marks.sort_out(piece.records)
        stood_for: dict[int, str | None] = {}
        for record in better:
            if stretch.lane.is_urgent:
                key = {**stretch.names, "seq": record.seq}
                stood_for[record.seq] = await read_later.stood_for(connection, key)
            for statement in (_FORGET, _FORGET_RAW, _UNJOIN):
                await statement.rows(connection, **stretch.names, seq=record.seq)
        rows, raws = await sealed_rows(connection, self._words, fresh, is_urgent=stretch.lane.is_urgent, now=now)
        await _EVENT.many(connection, rows)
        await _RAW.many(connection, raws)
        marks.add(fresh, better)
        new_gaps = marks.add_gaps(envelope.gaps)
        if fresh or new_gaps:
            await marks.save(connection, stretch)
        await self._windows.save(connection, stretch.hub, envelope.sender.sender_epoch.hex())
        if new_gaps:
            await told.write(connection, now)
            await gaps.tell(connection, stretch.hub, stretch.epoch, stretch.lane, new_gaps, now)
        await _Effects(connection, stretch, told, now, stood_for).of(fresh, newest)
        if stretch.lane.is_urgent and len(fresh) < len(piece.records):
            for seq in {record.seq for record in piece.records} - {record.seq for record in fresh}:
                await raising.tell_home_again(connection, {**stretch.names, "seq": seq}, now)
        return marks


class _Effects:
    """What follows from records that are stored, in their order; technical conditions many at a time."""

    def __init__(
        self,
        connection: AsyncConnection,
        stretch: Stretch,
        told: Told,
        now: int,
        stood_for: Mapping[int, str | None],
    ) -> None:
        self._connection = connection
        self._stood_for = stood_for
        self._stretch = stretch
        self._told = told
        self._now = now
        self._begun: list[Begun] = []
        self._over: list[str] = []

    async def of(self, fresh: Sequence[Opened], newest: int) -> None:
        """All of them. `newest`: the highest number that was stored before."""
        for record in fresh:
            happening = self._happening(record, newest)
            if happening is None:
                await self._unreadable(record)
                continue
            meaning = meaning_of(happening.kind)
            word = happening.kind.word
            if word in home_response.KINDS:
                await self._settle()
                await self._told.write(self._connection, self._now)
                await home_response.note(
                    self._connection, word, happening.hub, happening.details, happening.happened_ms, self._now
                )
            if meaning is Meaning.RECORD:
                continue
            if self._stretch.lane.is_urgent or meaning not in {Meaning.TECHNICAL, Meaning.CLEARS}:
                await self._settle()
                await self._told.write(self._connection, self._now)
                await raising.apply(self._connection, happening, self._now)
            elif meaning is Meaning.CLEARS:
                if self._begun:
                    await self._settle()
                self._over.append(technical_key(happening.hub, happening.device, CLEARED_BY[word]))
            elif not await raising.has_ended(self._connection, happening):
                await self._begin(Begun(kind=alarm_kind(word), source=happening.source, key=happening.key))
        await self._settle()

    async def _begin(self, begun: Begun) -> None:
        if self._over:
            await self._settle()
        self._begun.append(begun)

    async def _settle(self) -> None:
        if self._begun:
            await begin_all(self._connection, self._begun, self._told, self._now)
            self._begun.clear()
        if self._over:
            await end_all(self._connection, self._over, self._told, self._now)
            self._over.clear()

    async def _unreadable(self, record: Opened) -> None:
        key, device = {**self._stretch.names, "seq": record.seq}, record.row[5]
        if not self._stretch.lane.is_urgent:
            details = json.dumps({"reason": record.reason})
            source = Source(hub=self._stretch.hub, device=device, details=details, happened_ms=self._now)
            await self._begin(Begun(kind=CENTRAL_KINDS["unreadable_records"], source=source, key=key))
            return
        await self._settle()
        await self._told.write(self._connection, self._now)
        alarm_class = record.stub.alarm_class if record.stub else None
        await raise_unreadable(self._connection, key, record.reason, self._now, device=device, alarm_class=alarm_class)

    def _happening(self, record: Opened, newest: int) -> Happening | None:
        if record.event is None:
            return None
        hub, epoch, lane, seq, _, device, resident, value, details, *_ = record.row
        return Happening(
            hub=hub,
            epoch=epoch,
            lane=lane,
            seq=seq,
            kind=record.event.kind,
            device=device,
            resident=resident,
            value=value,
            details=details,
            happened_ms=record.row[15],
            is_late=seq < newest,
            stood_for=self._stood_for.get(seq),
        )
