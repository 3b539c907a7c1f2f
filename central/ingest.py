"""Envelopes become rows: everything authentic is committed, once, with everything that is due from it.

A short run of records is committed in one piece with all that follows from it (`central.storing`): an alarm's by itself
and at once, what is not urgent together with others (`central.gathering`). Then a signed receipt, which tells what the
database holds and nothing else. What cannot be opened or understood is stored as it came, raises an alarm by its lane,
and is receipted as `unopened`: the hub keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import structlog

from central.clock import Clock
from central.decoding import SLICE, Opened, Times, decode, set_aside, short_runs
from central.epochs import Epoch, EpochBook
from central.errors import NotStoredError
from central.gathering import Gathering
from central.held import Marks, Stretch
from central.hubs import Enrolled
from central.keys import CentralKeys
from central.metrics import Metrics
from central.offsets import Offsets
from central.people.words import Words
from central.sql import Sql
from central.store import Priority, Store
from central.storing import Piece, Storing, weight_of
from central.strange import PRIORITY, Strange
from central.wakeup import Wakeup
from central.windows import Windows
from cloud_sync.central_messages import Address, Receipt
from cloud_sync.errors import WireError
from cloud_sync.hub_messages import MAX_RECORDS, Envelope, Heartbeat
from cloud_sync.identity import Lane
from cloud_sync.ranges import MAX_RANGES
from cloud_sync.record import parse_record

log = structlog.get_logger()

_WAITING = Sql("SELECT lane FROM high_water WHERE hub = :hub AND epoch = :epoch AND unopened <> '[]' ORDER BY lane")
_WAITING_RAW = Sql(
    """SELECT r.seq, r.raw FROM event_raw r JOIN event e
       ON e.hub = r.hub AND e.epoch = r.epoch AND e.lane = r.lane AND e.seq = r.seq
    WHERE r.hub = :hub AND r.epoch = :epoch AND r.lane = :lane AND r.seq > :after AND e.unreadable IS NOT NULL
    ORDER BY r.seq LIMIT :limit"""
)


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
        strange: Strange,
        wakeup: Wakeup,
        words: Words,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._metrics = metrics
        self._epochs = epochs
        self._windows = windows
        self._strange = strange
        self._wakeup = wakeup
        self.offsets = Offsets()
        self.precedence = windows.precedence
        self._storing = Storing(clock, epochs, windows, words)
        self._gatherings = {
            lane: Gathering(store, self._storing, self.precedence, PRIORITY[lane])
            for lane in Lane
            if not lane.is_urgent
        }

    async def drain(self) -> None:
        """Wait for what is being committed although its callers have left."""
        await self._windows.drain()
        for gathering in self._gatherings.values():
            await gathering.drain()

    async def receive(self, envelope: Envelope, hub: Enrolled, path: str) -> bytes:
        """Commit an authentic, new envelope and return the signed receipt. Raises NotStoredError."""
        if not envelope.lane.is_urgent:
            return await self._receive(envelope, hub, path)
        with self.precedence.claimed():
            return await self._receive(envelope, hub, path)

    async def _receive(self, envelope: Envelope, hub: Enrolled, path: str) -> bytes:
        now = self._clock.now_ms()
        epoch, problem = await self._epochs.find(hub, envelope.epoch, _headers(envelope))
        opened, strange = await self._decode(envelope, hub, epoch, problem, self._times(envelope, now))
        has_new_header = epoch is not None and not epoch.is_stored
        marks = await self._commit(envelope, hub, epoch, opened)
        for raw in strange:
            await self._strange.take(envelope, path, raw)
        self._count(envelope.lane, opened)
        if has_new_header and epoch is not None and await self._open_what_waited(envelope, hub, epoch):
            marks = await self._marks(envelope)
        if envelope.lane.is_urgent:
            return self._receipt(envelope, marks, wants_header=epoch is None)
        async with self.precedence.turn():  # dozens are committed at once, and a signature each holds the loop up
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
        stretch = Stretch.of(envelope)
        return await self._store.fetch(lambda connection: Marks.load(connection, stretch))

    async def _decode(
        self, envelope: Envelope, hub: Enrolled, epoch: Epoch | None, problem: str, times: Times
    ) -> tuple[list[Opened], list[bytes]]:
        """All records of an envelope in the order of their seq, and those that name no place in it at all."""
        opened, strange = [], []
        for at in range(0, len(envelope.records), SLICE):
            records = envelope.records[at : at + SLICE]
            if envelope.lane.is_urgent:
                if at:
                    await asyncio.sleep(0)
                found = decode(records, envelope, hub, epoch, problem, times)
            else:
                async with self.precedence.turn():
                    found = decode(records, envelope, hub, epoch, problem, times)
            opened += found[0]
            strange += found[1]
        opened.sort(key=lambda record: record.seq)
        return opened, strange

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
        weights = [weight_of(record, is_urgent=envelope.lane.is_urgent) for record in opened]
        marks = Marks.read(None)
        for run in short_runs(weights) or [slice(0, 0)]:
            piece = Piece(envelope=envelope, epoch=epoch, records=opened[run])
            try:
                marks = await self._commit_piece(piece)
            except NotStoredError:
                raise
            except Exception:  # a fault of ours must not keep an alarm out
                log.exception("records_not_understood", hub=hub.text, lane=envelope.lane.word)
                marks = await self._commit_singly(piece)
            if epoch is not None:
                epoch.is_stored = True
            if envelope.gaps or any(weight > 1 for weight in weights[run]):
                self._wakeup.wake()
        return marks

    async def _commit_piece(self, piece: Piece) -> Marks:
        gathering = self._gatherings.get(piece.envelope.lane)
        if gathering is not None:
            return await gathering.commit(piece)
        return await self._store.transact(
            PRIORITY[piece.envelope.lane], lambda connection: self._storing.write_one(connection, piece)
        )

    async def _commit_singly(self, piece: Piece) -> Marks:
        """One record per transaction; one that still fails is stored as unreadable. Raises NotStoredError."""
        marks = Marks.read(None)
        for record in piece.records:
            for attempt in (record, set_aside(record, "fault")):
                try:
                    marks = await self._commit_piece(replace(piece, records=[attempt]))
                except NotStoredError:
                    raise
                except Exception as error:
                    if attempt is not record:
                        raise NotStoredError("a record could not be stored in any way") from error
                else:
                    break
        return marks

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
                opened, _ = await self._decode(again, hub, epoch, "", self._times(envelope, self._clock.now_ms()))
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
