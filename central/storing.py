"""Records become rows, with everything that is due from them, in the caller's transaction.

The events, the marks of what is stored, the sender's replay window, and every alarm, log entry, feed number and reply
that follow. What conditions of technical alarms have to tell is gathered in `Told`: the caller writes it, last of all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from cloud_sync.identity import Lane

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
        (marks,) = await self.write(connection, [piece], told)
        await self.tell(connection, told)
        return marks

    async def tell(self, connection: AsyncConnection, told: Told) -> None:
        """What is left to be told of all that was written."""
        await told.write(connection, self._clock.now_ms())

    async def write(self, connection: AsyncConnection, pieces: Sequence[Piece], told: Told) -> list[Marks]:
        """What was not stored before, once. Returns what is held then of each.

        Pieces of one lane, in the order in which they count. Statements are for all of them together.
        """
        now = self._clock.now_ms()
        for epoch in {id(piece.epoch): piece.epoch for piece in pieces}.values():
            if epoch is not None and not epoch.is_stored:
                await self._epochs.store(connection, epoch, now)
        held = await Marks.lock_all(connection, {piece.stretch for piece in pieces}, now)
        sorted_out = []
        for piece in pieces:
            marks = held[piece.stretch]
            newest = marks.stored.last
            fresh, better = marks.sort_out(piece.records)
            stood_for = await self._take_out(connection, piece.stretch, better)
            marks.add(fresh, better)
            new_gaps = marks.add_gaps(piece.envelope.gaps)
            sorted_out.append(_SortedOut(piece, fresh, newest, stood_for, new_gaps))
        # What one piece could not read and a later one can is written once, as it can be read.
        last = {record.row[:4]: record for one in sorted_out for record in one.fresh}
        sorted_out = [replace(one, fresh=[r for r in one.fresh if last[r.row[:4]] is r]) for one in sorted_out]
        await self._insert(connection, list(last.values()), pieces[0].stretch.lane)
        changed = {one.piece.stretch for one in sorted_out if one.fresh or one.new_gaps}
        await Marks.save_all(connection, {stretch: held[stretch] for stretch in changed})
        for hub, sender in {(one.stretch.hub, one.envelope.sender.sender_epoch.hex()) for one in pieces}:
            await self._windows.save(connection, hub, sender)
        effects = _Effects(connection, told, now)
        for one in sorted_out:
            await self._follow(connection, one, effects, told, now)
        await effects.settle()
        return [held[piece.stretch] for piece in pieces]

    async def _take_out(
        self, connection: AsyncConnection, stretch: Stretch, better: Sequence[Opened]
    ) -> dict[int, str | None]:
        """What could not be read before makes room for what can. Returns the alarms that stood for it, by number."""
        stood_for: dict[int, str | None] = {}
        for record in better:
            if stretch.lane.is_urgent:
                key = {**stretch.names, "seq": record.seq}
                stood_for[record.seq] = await read_later.stood_for(connection, key)
            for statement in (_FORGET, _FORGET_RAW, _UNJOIN):
                await statement.rows(connection, **stretch.names, seq=record.seq)
        return stood_for

    async def _insert(self, connection: AsyncConnection, fresh: Sequence[Opened], lane: Lane) -> None:
        rows, raws = await sealed_rows(
            connection, self._words, fresh, is_urgent=lane.is_urgent, now=self._clock.now_ms()
        )
        await _EVENT.many(connection, rows)
        await _RAW.many(connection, raws)

    async def _follow(
        self, connection: AsyncConnection, one: _SortedOut, effects: _Effects, told: Told, now: int
    ) -> None:
        stretch = one.piece.stretch
        if one.new_gaps:
            await effects.settle()
            await told.write(connection, now)
            await gaps.tell(connection, stretch.hub, stretch.epoch, stretch.lane, one.new_gaps, now)
        await effects.of(one)
        if stretch.lane.is_urgent and len(one.fresh) < len(one.piece.records):
            await effects.settle()
            for seq in {record.seq for record in one.piece.records} - {record.seq for record in one.fresh}:
                await raising.tell_home_again(connection, {**stretch.names, "seq": seq}, now)


@dataclass(frozen=True, slots=True)
class _SortedOut:
    """A piece, and what of it is new. `newest`: the highest number that was stored before."""

    piece: Piece
    fresh: Sequence[Opened]
    newest: int
    stood_for: Mapping[int, str | None]
    new_gaps: Sequence[tuple[int, int]]


class _Effects:
    """What follows from records that are stored, in their order; technical conditions many at a time."""

    def __init__(self, connection: AsyncConnection, told: Told, now: int) -> None:
        self._connection = connection
        self._told = told
        self._now = now
        self._begun: dict[str, list[Begun]] = {}
        self._over: dict[str, None] = {}

    async def of(self, one: _SortedOut) -> None:
        """All of a piece; what is left to be written of it comes with `settle`."""
        stretch = one.piece.stretch
        for record in one.fresh:
            happening = _happening(record, one)
            if happening is None:
                await self._unreadable(record, stretch)
                continue
            meaning = meaning_of(happening.kind)
            word = happening.kind.word
            if word in home_response.KINDS:
                await self.settle()
                await self._told.write(self._connection, self._now)
                await home_response.note(
                    self._connection, word, happening.hub, happening.details, happening.happened_ms, self._now
                )
            if meaning is Meaning.RECORD:
                continue
            if stretch.lane.is_urgent or meaning not in {Meaning.TECHNICAL, Meaning.CLEARS}:
                await self.settle()
                await self._told.write(self._connection, self._now)
                await raising.apply(self._connection, happening, self._now)
            elif meaning is Meaning.CLEARS:
                await self._end(technical_key(happening.hub, happening.device, CLEARED_BY[word]))
            elif not await raising.has_ended(self._connection, happening):
                await self._begin(Begun(kind=alarm_kind(word), source=happening.source, key=happening.key))

    async def _begin(self, begun: Begun) -> None:
        fold_key = begun.fold_key
        if fold_key in self._over:
            await self.settle()
        self._begun.setdefault(fold_key, []).append(begun)

    async def _end(self, fold_key: str) -> None:
        if fold_key in self._begun:
            await self.settle()
        self._over[fold_key] = None

    async def settle(self) -> None:
        """Write the conditions that have begun, and those that are over: no condition is among both."""
        if self._begun:
            begun, self._begun = self._begun, {}
            await begin_all(self._connection, [one for same in begun.values() for one in same], self._told, self._now)
        if self._over:
            over, self._over = self._over, {}
            await end_all(self._connection, list(over), self._told, self._now)

    async def _unreadable(self, record: Opened, stretch: Stretch) -> None:
        key, device = {**stretch.names, "seq": record.seq}, record.row[5]
        if not stretch.lane.is_urgent:
            details = json.dumps({"reason": record.reason})
            source = Source(hub=stretch.hub, device=device, details=details, happened_ms=self._now)
            await self._begin(Begun(kind=CENTRAL_KINDS["unreadable_records"], source=source, key=key))
            return
        await self.settle()
        await self._told.write(self._connection, self._now)
        alarm_class = record.stub.alarm_class if record.stub else None
        await raise_unreadable(self._connection, key, record.reason, self._now, device=device, alarm_class=alarm_class)


def _happening(record: Opened, one: _SortedOut) -> Happening | None:
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
        is_late=seq < one.newest,
        stood_for=one.stood_for.get(seq),
    )
