"""From sealed records to rows: verified, opened, understood, or set aside with the reason. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from central.epochs import Epoch
from central.hubs import Enrolled
from cloud_sync.errors import WireError
from cloud_sync.hub_messages import Envelope
from cloud_sync.identity import EventId
from cloud_sync.record import Record, parse_record, record_id
from cloud_sync.stub import Stub, open_stub
from cloud_sync.vocabulary import Event

SLICE = 16
"""Decoded in one go, in half a millisecond or so: an alarm that arrives meanwhile waits for it."""
MAX_WEIGHT = 300
"""Of what is written in one go: a few milliseconds. A row to store weighs 1."""
_MAX_MS = 2**62
_MAX_COUNT = 2**31 - 1

EVENT_COLUMNS = (
    "hub", "epoch", "lane", "seq", "kind", "device", "resident", "value", "details", "rule", "count", "hub_ms",
    "boot_ms", "is_wall_trusted", "device_ms", "happened_ms", "received_ms", "unreadable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """One record: its row for the table `event`, and what it was. `event` None: `unreadable` in the row says why."""

    seq: int
    row: tuple[Any, ...]
    raw: bytes
    event: Event | None
    stub: Stub | None

    @property
    def reason(self) -> str:
        """Why it cannot be read, or nothing."""
        return self.row[-1] or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How a hub's clocks turn into central's time.

    `boot_offset_ms`: central's time minus the hub's boot clock, when the record is of the boot that is speaking.
    `wall_offset_ms`: central's time minus the hub's wall clock, when that can be trusted.
    """

    received_ms: int
    boot_offset_ms: int | None
    wall_offset_ms: int

    def happened(self, record: Record) -> int:
        """When it happened, by central's clock; never later than it was received."""
        stamp = record.stamp
        if self.boot_offset_ms is not None:
            at = stamp.boot_ms + self.boot_offset_ms
        elif stamp.is_wall_trusted:
            at = stamp.wall_ms + self.wall_offset_ms
        else:
            at = self.received_ms
        return max(0, min(at, self.received_ms))


def decode(
    records: Sequence[bytes], envelope: Envelope, hub: Enrolled, epoch: Epoch | None, problem: str, times: Times
) -> tuple[list[Opened], list[bytes]]:
    """These records of an envelope, and those of them that name no place in it at all."""
    opened, strange = [], []
    for raw in records:
        found = _decode_one(raw, envelope, hub, epoch, problem, times)
        if found is None:
            strange.append(raw)
        else:
            opened.append(found)
    return opened, strange


def _decode_one(
    raw: bytes, envelope: Envelope, hub: Enrolled, epoch: Epoch | None, problem: str, times: Times
) -> Opened | None:
    try:
        record = parse_record(raw)
    except WireError as error:
        return _damaged(raw, envelope, error.reason, times)
    if not _belongs(record.id, envelope):
        return None
    event, reason = None, problem
    if epoch is not None and epoch.key is not None:
        try:
            event, reason = record.open(epoch.key), ""
        except WireError as error:
            reason = error.reason
    stub = None
    if event is None and record.stub is not None:
        try:
            stub = open_stub(record.stub, hub.public_key)
        except WireError:
            stub = None
        if stub is not None and stub.event != record.id:
            stub = None
    return Opened(record.id.seq, _row(record, event, reason, stub, times), raw, event, stub)


def _belongs(event: EventId, envelope: Envelope) -> bool:
    return (event.hub, event.epoch, event.lane) == (envelope.sender.hub, envelope.epoch, envelope.lane)


def _damaged(raw: bytes, envelope: Envelope, reason: str, times: Times) -> Opened | None:
    try:
        event = record_id(raw)
    except WireError:
        return None
    if not _belongs(event, envelope) or not 1 <= event.seq < 2**63:
        return None
    now = times.received_ms
    row = (
        event.hub.hex(), event.epoch.hex(), int(event.lane), event.seq, None, "", None, None, None, None, 1, 0, 0,
        False, None, now, now, reason[:64],
    )  # fmt: skip
    return Opened(event.seq, row, raw, None, None)


def set_aside(record: Opened, reason: str) -> Opened:
    """The same record as one that cannot be read: nothing of its contents but the four that name it and its times."""
    row = record.row
    bare = (*row[:4], None, "", None, None, None, None, 1, *row[11:14], None, *row[15:17], reason)
    return Opened(record.seq, bare, record.raw, None, None)


def _row(record: Record, event: Event | None, reason: str, stub: Stub | None, times: Times) -> tuple[Any, ...]:
    eid, stamp = record.id, record.stamp
    head = (eid.hub.hex(), eid.epoch.hex(), int(eid.lane), eid.seq)
    clocks = (min(stamp.wall_ms, _MAX_MS), min(stamp.boot_ms, _MAX_MS), stamp.is_wall_trusted)
    happened = times.happened(record)
    if event is None:
        device = _text(stub.device) if stub else ""
        return (*head, None, device, None, None, None, None, 1, *clocks, None, happened, times.received_ms, reason[:64])
    device_ms = event.device_time_ms
    return (
        *head,
        event.kind.code,
        _text(event.device),
        None if event.resident is None else _text(event.resident),
        None if event.value is None else _scalar(event.value),
        json.dumps(dict(event.details)) if event.details else None,
        None if event.rule is None else _text(event.rule),
        max(1, min(event.count, _MAX_COUNT)),
        *clocks,
        None if device_ms is None else max(0, min(device_ms, _MAX_MS)),
        happened,
        times.received_ms,
        None,
    )


def _scalar(value: bool | float | str) -> str:
    """JSON of one value; numbers, which are nearly all, without the detour."""
    return repr(value) if type(value) in {int, float} else json.dumps(value)


def _text(text: str) -> str:
    """PostgreSQL holds no NUL in text."""
    return text.replace("\x00", "") if "\x00" in text else text


def short_runs(weights: Sequence[int]) -> list[slice]:
    """Cut a sequence so that no piece weighs more than a short transaction may (a piece has at least one)."""
    cuts, start, total = [], 0, 0
    for index, weight in enumerate(weights):
        if index > start and total + weight > MAX_WEIGHT:
            cuts.append(slice(start, index))
            start, total = index, 0
        total += weight
    if start < len(weights):
        cuts.append(slice(start, len(weights)))
    return cuts
