"""Envelopes become rows: everything authentic is committed, once, with everything that is due from it.

One hub, lane and short run of records per transaction: the events, the marks of what is stored, the sender's replay
window, and every alarm, log entry, feed number and reply that follow. Then a signed receipt, which tells what the
database holds and nothing else. What cannot be opened or understood is stored as it came, raises an alarm by its lane,
and is receipted as `unopened`: the hub keeps it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import gaps, home_response, raising
from central.clock import Clock
from central.decoding import EFFECT_WEIGHT, EVENT_COLUMNS, Opened, Times, decode, set_aside, short_runs
from central.epochs import Epoch, EpochBook
from central.errors import NotStoredError
from central.hubs import Enrolled
from central.keys import CentralKeys
from central.metrics import Metrics
from central.offsets import Offsets
from central.quarantine import Quarantine
from central.raising import Happening, raise_unreadable
from central.sql import Sql, insert_ignoring
from central.store import Priority, Store
from central.wakeup import Wakeup
from central.windows import Windows
from cloud_sync.central_messages import Address, Receipt
from cloud_sync.errors import WireError
from cloud_sync.hub_messages import MAX_RECORDS, Envelope, Heartbeat
from cloud_sync.identity import Lane
from cloud_sync.ranges import MAX_RANGES, SeqRanges
from cloud_sync.record import parse_record

log = structlog.get_logger()

_PRIORITY = {
    Lane.ALARM: Priority.ALARM,
    Lane.CARE: Priority.ALARM,
    Lane.TECHNICAL: Priority.UPKEEP,
    Lane.TELEMETRY: Priority.BULK,
}
_EVENT = insert_ignoring("event", EVENT_COLUMNS)
_RAW = insert_ignoring("event_raw", ("hub", "epoch", "lane", "seq", "raw"))
# An upsert that changes next to nothing: it makes the row, locks it until commit, and reads it, on both databases.
LOCK_MARKS = Sql(
    """INSERT INTO high_water (hub, epoch, lane, stored, updated_ms) VALUES (:hub, :epoch, :lane, '[]', :now)
    ON CONFLICT (hub, epoch, lane) DO UPDATE SET updated_ms = excluded.updated_ms
    RETURNING stored, unopened, gaps"""
)
_MARKS = Sql("SELECT stored, unopened, gaps FROM high_water WHERE hub = :hub AND epoch = :epoch AND lane = :lane")
_SAVE_MARKS = Sql(
    """UPDATE high_water SET stored = :stored, unopened = :unopened, gaps = :gaps
    WHERE hub = :hub AND epoch = :epoch AND lane = :lane"""
)
_FORGET = Sql("DELETE FROM event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_FORGET_RAW = Sql("DELETE FROM event_raw WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_UNJOIN = Sql("DELETE FROM alarm_event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_WAITING = Sql("SELECT lane FROM high_water WHERE hub = :hub AND epoch = :epoch AND unopened <> '[]' ORDER BY lane")
_WAITING_RAW = Sql(
    """SELECT r.seq, r.raw FROM event_raw r JOIN event e
       ON e.hub = r.hub AND e.epoch = r.epoch AND e.lane = r.lane AND e.seq = r.seq
    WHERE r.hub = :hub AND r.epoch = :epoch AND r.lane = :lane AND r.seq > :after AND e.unreadable IS NOT NULL
    ORDER BY r.seq LIMIT :limit"""
)


@dataclass(slots=True)
class Marks:
    """What central holds of one lane of one run. Gaps and unopened ones count as stored."""

    stored: SeqRanges
    unopened: SeqRanges
    gaps: SeqRanges

    @classmethod
    def read(cls, row: Sequence[str] | None) -> Marks:
        """From the three JSON columns."""
        return (
            cls(*(SeqRanges(json.loads(text)) for text in row)) if row else cls(SeqRanges(), SeqRanges(), SeqRanges())
        )


class Precedence:
    """While an alarm is dealt with, bulky work stands still: else each of its steps would wait for a slice of that."""

    LONGEST_S = 0.05

    def __init__(self) -> None:
        self._alarms = 0
        self._calm = asyncio.Event()
        self._calm.set()

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """An alarm is being dealt with in this block."""
        self._alarms += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._alarms -= 1
            if not self._alarms:
                self._calm.set()

    async def give_way(self, lane: Lane) -> None:
        """Let others go on; what is bulky waits for alarms, but not for ever."""
        if lane.is_urgent or not self._alarms:
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self.LONGEST_S):
                await self._calm.wait()


class Ingest:
    """The way of an envelope into the database."""

    def __init__(
        self,
        store: Store,
        keys: CentralKeys,
        clock: Clock,
        metrics: Metrics,
        epochs: EpochBook,
        windows: Windows,
        quarantine: Quarantine,
        wakeup: Wakeup,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._metrics = metrics
        self._epochs = epochs
        self._windows = windows
        self._quarantine = quarantine
        self._wakeup = wakeup
        self.offsets = Offsets()
        self._precedence = Precedence()

    async def receive(self, envelope: Envelope, hub: Enrolled, path: str) -> bytes:
        """Commit an authentic, new envelope and return the signed receipt. Raises NotStoredError."""
        if not envelope.lane.is_urgent:
            return await self._receive(envelope, hub, path)
        with self._precedence.claimed():
            return await self._receive(envelope, hub, path)

    async def _receive(self, envelope: Envelope, hub: Enrolled, path: str) -> bytes:
        now = self._clock.now_ms()
        epoch, problem = await self._epochs.find(hub, envelope.epoch, _headers(envelope))
        opened, strange = await decode(
            envelope, hub, epoch, problem, self._times(envelope, now), self._precedence.give_way
        )
        has_new_header = epoch is not None and not epoch.is_stored
        marks = await self._commit(envelope, hub, epoch, opened)
        for raw in strange:
            await self._set_aside(envelope, path, raw)
        self._count(envelope.lane, opened)
        if has_new_header and epoch is not None and await self._open_what_waited(envelope, hub, epoch):
            marks = await self._marks(envelope)
        return self._receipt(envelope, marks, wants_header=epoch is None)

    async def learn(self, hub: Enrolled, beat: Heartbeat) -> None:
        """Keep the header that came with a sign of life, and open what waited for it."""
        offered = [beat.epoch_header] if beat.epoch_header is not None else []
        epoch, _ = await self._epochs.find(hub, beat.sender.sender_epoch, offered)
        if epoch is None or epoch.is_stored:
            return
        now = self._clock.now_ms()
        await self._store.transact(Priority.UPKEEP, lambda connection: self._epochs.store(connection, epoch, now))
        epoch.is_stored = True
        self._wakeup.wake()
        empty = Envelope(sender=beat.sender, epoch=beat.sender.sender_epoch, lane=Lane.TELEMETRY, records=())
        await self._open_what_waited(empty, hub, epoch)

    async def receipt_again(self, envelope: Envelope) -> bytes:
        """What is stored now, for a message that was seen before (a broker may deliver twice)."""
        return self._receipt(envelope, await self._marks(envelope), wants_header=False)

    async def _marks(self, envelope: Envelope) -> Marks:
        place = {"hub": envelope.sender.hub.hex(), "epoch": envelope.epoch.hex(), "lane": int(envelope.lane)}
        row = await self._store.fetch(lambda connection: _MARKS.one(connection, **place))
        return Marks.read(row)

    def _times(self, envelope: Envelope, now: int) -> Times:
        sender = envelope.sender
        boots = {self._epochs.boot_id(sender.hub, epoch) for epoch in (envelope.epoch, sender.sender_epoch)}
        is_same_boot = envelope.epoch == sender.sender_epoch or (None not in boots and len(boots) == 1)
        offset = self.offsets.hear(sender, now)
        return Times(
            received_ms=now,
            boot_offset_ms=offset.boot_ms if is_same_boot else None,
            wall_offset_ms=offset.wall_ms or 0,
        )

    async def _commit(self, envelope: Envelope, hub: Enrolled, epoch: Epoch | None, opened: list[Opened]) -> Marks:
        has_effect = [
            record.event is None or raising.matters(record.event.kind) or record.event.kind.word in home_response.KINDS
            for record in opened
        ]
        runs = short_runs([EFFECT_WEIGHT if effect else 1 for effect in has_effect]) or [slice(0, 0)]
        marks = Marks.read(None)
        for run in runs:
            batch = opened[run]

            async def work(connection: AsyncConnection, batch: list[Opened] = batch) -> Marks:
                return await self._store_batch(connection, envelope, hub.text, epoch, batch)

            try:
                marks = await self._store.transact(_PRIORITY[envelope.lane], work)
            except NotStoredError:
                raise
            except Exception:  # a fault of ours must not keep an alarm out
                log.exception("records_not_understood", hub=hub.text, lane=envelope.lane.word)
                marks = await self._commit_singly(envelope, hub.text, epoch, batch)
            if epoch is not None:
                epoch.is_stored = True
            if any(has_effect[run]) or envelope.gaps:
                self._wakeup.wake()
        return marks

    async def _commit_singly(self, envelope: Envelope, hub: str, epoch: Epoch | None, batch: list[Opened]) -> Marks:
        """One record per transaction; one that still fails is stored as unreadable. Raises NotStoredError."""
        marks = Marks.read(None)
        for record in batch:
            for attempt in (record, set_aside(record, "fault")):

                async def work(connection: AsyncConnection, attempt: Opened = attempt) -> Marks:
                    return await self._store_batch(connection, envelope, hub, epoch, [attempt])

                try:
                    marks = await self._store.transact(_PRIORITY[envelope.lane], work)
                except NotStoredError:
                    raise
                except Exception as error:
                    if attempt is not record:
                        raise NotStoredError("a record could not be stored in any way") from error
                else:
                    break
        return marks

    async def _store_batch(
        self, connection: AsyncConnection, envelope: Envelope, hub: str, epoch: Epoch | None, batch: list[Opened]
    ) -> Marks:
        now = self._clock.now_ms()
        lane, name = envelope.lane, envelope.epoch.hex()
        if epoch is not None and not epoch.is_stored:
            await self._epochs.store(connection, epoch, now)
        row = await LOCK_MARKS.one(connection, hub=hub, epoch=name, lane=int(lane), now=now)
        marks = Marks.read(row)
        newest = marks.stored.last
        fresh, better = _sort_out(batch, marks)
        for record in better:
            key = {"hub": hub, "epoch": name, "lane": int(lane), "seq": record.seq}
            await _FORGET.rows(connection, **key)
            await _FORGET_RAW.rows(connection, **key)
            await _UNJOIN.rows(connection, **key)
        await _EVENT.many(connection, [record.row for record in fresh])
        await _RAW.many(
            connection,
            [(*record.row[:4], record.raw) for record in fresh if record.event is None or lane.is_urgent],
        )
        for record in fresh:
            marks.stored.add(record.seq)
        marks.unopened = SeqRanges(_without(marks.unopened, {record.seq for record in better}))
        for record in fresh:
            if record.event is None:
                marks.unopened.add(record.seq)
        new_gaps = _add_gaps(marks, envelope.gaps)
        if fresh or new_gaps:
            await _SAVE_MARKS.rows(
                connection,
                hub=hub,
                epoch=name,
                lane=int(lane),
                stored=_text(marks.stored),
                unopened=_text(marks.unopened),
                gaps=_text(marks.gaps),
            )
        await self._windows.save(connection, hub, envelope.sender.sender_epoch.hex())
        if new_gaps:
            await gaps.tell(connection, hub, name, lane, new_gaps, now)
        for record in fresh:
            await _apply(connection, record, now, is_late=record.seq < newest)
        if lane.is_urgent and len(fresh) < len(batch):
            known = {record.seq for record in batch} - {record.seq for record in fresh}
            for seq in known:
                key = {"hub": hub, "epoch": name, "lane": int(lane), "seq": seq}
                await raising.tell_home_again(connection, key, now)
        return marks

    async def _set_aside(self, envelope: Envelope, path: str, raw: bytes) -> None:
        """Bytes in an authentic envelope that name no place in it: they cannot be receipted, but are not lost."""
        hub = envelope.sender.hub.hex()
        if not await self._quarantine.keep(hub, int(envelope.lane), path, raw):
            return
        priority = _PRIORITY[envelope.lane]
        async with self._store.write(priority) as connection:
            key = {"hub": hub, "epoch": envelope.epoch.hex(), "lane": int(envelope.lane), "seq": 0}
            await raise_unreadable(connection, key, "no_record", self._clock.now_ms())
        self._wakeup.wake()

    async def _open_what_waited(self, envelope: Envelope, hub: Enrolled, epoch: Epoch) -> bool:
        """A header came after records that needed it: read them now, from what was kept. Returns whether any was."""
        if epoch.key is None:
            return False
        name, count = envelope.epoch.hex(), 0
        async with self._store.read() as connection:
            lanes = [Lane(row[0]) for row in await _WAITING.rows(connection, hub=hub.text, epoch=name)]
        for lane in lanes:
            after = 0
            while True:
                async with self._store.read() as connection:
                    rows = await _WAITING_RAW.rows(
                        connection, hub=hub.text, epoch=name, lane=int(lane), after=after, limit=MAX_RECORDS
                    )
                if not rows:
                    break
                after = rows[-1][0]
                again = Envelope(
                    sender=envelope.sender,
                    epoch=envelope.epoch,
                    lane=lane,
                    records=tuple(bytes(row[1]) for row in rows),
                )
                opened, _ = await decode(
                    again, hub, epoch, "", self._times(envelope, self._clock.now_ms()), self._precedence.give_way
                )
                readable = [record for record in opened if record.event is not None]
                if readable:
                    await self._commit(again, hub, epoch, readable)
                count += len(readable)
        if count:
            log.info("records_opened_later", hub=hub.text, epoch=name, records=count)
        return bool(count)

    def _receipt(self, envelope: Envelope, marks: Marks, *, wants_header: bool) -> bytes:
        sender = envelope.sender
        receipt = Receipt(
            to=Address(hub=sender.hub, hub_epoch=sender.sender_epoch, central_ms=self._clock.now_ms()),
            number=sender.number,
            epoch=envelope.epoch,
            lane=envelope.lane,
            lineage=self._store.lineage,
            high=marks.stored.high,
            beyond=tuple(marks.stored.beyond()[:MAX_RANGES]),
            unopened=tuple(marks.unopened)[:MAX_RANGES],
            wants_header=wants_header,
        )
        return receipt.pack(self._keys.sign_id, self._keys.sign)

    def _count(self, lane: Lane, opened: list[Opened]) -> None:
        self._metrics.count(f"records.{lane.word}", len(opened))
        for record in opened:
            if record.event is None:
                self._metrics.count(f"unreadable.{record.reason}")


def _headers(envelope: Envelope) -> Iterator[bytes]:
    """Every header that came along: the envelope's, and those in alarm and care records."""
    if envelope.epoch_header is not None:
        yield envelope.epoch_header
    if envelope.lane.is_urgent:
        for raw in envelope.records:
            try:
                header = parse_record(raw).epoch_header
            except WireError:
                continue
            if header is not None:
                yield header


def _sort_out(batch: list[Opened], marks: Marks) -> tuple[list[Opened], list[Opened]]:
    """Those to store, each seq once; and among them those that replace what could not be read before."""
    fresh: dict[int, Opened] = {}
    better: dict[int, Opened] = {}
    for record in batch:
        if record.seq in fresh:
            continue
        if record.seq not in marks.stored:
            fresh[record.seq] = record
        elif record.event is not None and record.seq in marks.unopened:
            fresh[record.seq] = better[record.seq] = record
    return list(fresh.values()), list(better.values())


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


def _add_gaps(marks: Marks, told: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Book them; returns those that are new."""
    found = SeqRanges()
    for first, last in told:
        for start, end in _holes(marks.stored, first, last):
            marks.gaps.add(start, end)
            marks.stored.add(start, end)
            found.add(start, end)
    return list(found)


def _holes(stored: SeqRanges, first: int, last: int) -> list[tuple[int, int]]:
    """What of first..last is not stored: a record that did arrive is no gap."""
    return [(max(a, first), min(b, last)) for a, b in stored.missing(last) if b >= first]


def _text(ranges: SeqRanges) -> str:
    return json.dumps(list(ranges), separators=(",", ":"))


async def _apply(connection: AsyncConnection, record: Opened, now: int, *, is_late: bool) -> None:
    hub, epoch, lane, seq, _, device, resident, value, details, *_ = record.row
    if record.event is None:
        key = {"hub": hub, "epoch": epoch, "lane": lane, "seq": seq}
        alarm_class = record.stub.alarm_class if record.stub else None
        await raise_unreadable(connection, key, record.reason, now, device=device, alarm_class=alarm_class)
        return
    if record.event.kind.word in home_response.KINDS:
        await home_response.note(connection, record.event.kind.word, hub, details, record.row[15], now)
    if raising.matters(record.event.kind):
        happening = Happening(
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
            is_late=is_late,
        )
        await raising.apply(connection, happening, now)
