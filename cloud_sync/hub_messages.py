"""What a hub says: envelopes of records, signs of life, what its lamp shows, results of commands.

Every message names the hub's running epoch (`sender_epoch`) and a number that rises with each message of that epoch,
so that a captured one cannot be played again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import canonical, frames
from cloud_sync.canonical import Body
from cloud_sync.errors import MalformedError
from cloud_sync.frames import FrameType
from cloud_sync.identity import ID_LENGTH, EventId, Lane, lane_from
from cloud_sync.ranges import ranges_from
from cloud_sync.seal import EpochKey
from cloud_sync.vocabulary import Stamp

MAX_RECORDS = 500
MAX_LAMPS = 64
MAX_RESULT = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Which run of which hub speaks, its message number, and its clocks when it spoke."""

    hub: bytes
    sender_epoch: bytes
    number: int
    stamp: Stamp

    def fields(self) -> dict[int, Any]:
        """Body keys 1..6, the same in every message of a hub."""
        stamp = self.stamp
        return {
            1: self.hub,
            2: self.sender_epoch,
            3: self.number,
            4: stamp.boot_ms,
            5: stamp.wall_ms,
            6: stamp.is_wall_trusted,
        }

    @classmethod
    def read(cls, body: Body) -> Sender:
        """Raises MalformedError."""
        return cls(
            hub=canonical.take_bytes(body, 1, ID_LENGTH),
            sender_epoch=canonical.take_bytes(body, 2, ID_LENGTH),
            number=canonical.take_uint(body, 3),
            stamp=Stamp(
                boot_ms=canonical.take_uint(body, 4),
                wall_ms=canonical.take_uint(body, 5),
                is_wall_trusted=canonical.take(body, 6, bool),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Sealed records of one epoch and lane. `gaps` are ranges dropped for want of space: they count as stored."""

    sender: Sender
    epoch: bytes
    lane: Lane
    records: tuple[bytes, ...]
    epoch_header: bytes | None = None
    gaps: tuple[tuple[int, int], ...] = ()

    def pack(self, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        body = self.sender.fields() | {10: self.epoch, 11: int(self.lane), 12: list(self.records)}
        if self.epoch_header is not None:
            body[13] = self.epoch_header
        if self.gaps:
            body[14] = [list(gap) for gap in self.gaps]
        return frames.pack(FrameType.ENVELOPE, self.sender.hub, key, body)

    @classmethod
    def read(cls, body: Body) -> Envelope:
        """Raises MalformedError. The records are not looked into."""
        records = canonical.take_list(body, 12, MAX_RECORDS)
        if any(type(record) is not bytes for record in records):
            raise MalformedError("records")
        return cls(
            sender=Sender.read(body),
            epoch=canonical.take_bytes(body, 10, ID_LENGTH),
            lane=lane_from(body.get(11)),
            records=tuple(records),
            epoch_header=canonical.take_optional(body, 13, bytes),
            gaps=ranges_from(body.get(14, [])),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """A sign of life over one uplink. `waiting` counts unreceipted events per lane.

    The first one on a held connection (`is_hello`) asks for all open replies as a snapshot.
    """

    sender: Sender
    uplink: str
    waiting: Mapping[Lane, int] = field(default_factory=dict)
    is_hello: bool = False
    software: str = ""
    config_hash: str = ""
    epoch_header: bytes | None = None
    lineage: bytes | None = None
    """Of the database that the receipts so far came from."""
    receipted: Mapping[Lane, int] = field(default_factory=dict)
    """Up to which number it has receipted all of the running epoch: a database that knows less is an older one."""

    def pack(self, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        body = self.sender.fields() | {
            10: self.uplink,
            11: {int(lane): count for lane, count in self.waiting.items()},
            12: self.is_hello,
            13: self.software,
            14: self.config_hash,
        }
        if self.epoch_header is not None:
            body[15] = self.epoch_header
        if self.lineage is not None and self.receipted:
            body[16] = self.lineage
            body[17] = {int(lane): seq for lane, seq in self.receipted.items()}
        return frames.pack(FrameType.HEARTBEAT, self.sender.hub, key, body)

    @classmethod
    def read(cls, body: Body) -> Heartbeat:
        """Raises MalformedError."""
        waiting = canonical.take(body, 11, dict)
        if any(type(count) is not int or count < 0 for count in waiting.values()):
            raise MalformedError("waiting")
        return cls(
            sender=Sender.read(body),
            uplink=canonical.take(body, 10, str)[:32],
            waiting={lane_from(lane): count for lane, count in waiting.items()},
            is_hello=canonical.take(body, 12, bool),
            software=canonical.take(body, 13, str)[:64],
            config_hash=canonical.take(body, 14, str)[:64],
            epoch_header=canonical.take_optional(body, 15, bytes),
            lineage=canonical.take_bytes(body, 16, ID_LENGTH) if 16 in body else None,
            receipted={lane_from(lane): _number(seq) for lane, seq in canonical.take(body, 17, dict).items()}
            if 17 in body
            else {},
        )


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise MalformedError("receipted")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How long an alarm took on the hub: milliseconds since the device was heard. None: has not happened."""

    event: EventId
    judged_ms: float | None
    durable_ms: float | None
    sent_ms: float | None
    receipt_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LampReport:
    """What the lamp at home shows. `lamp` is the word of the state shown now, over all open alarms.

    `alarms` lists (alarm id, version of the reply it rests on, state shown for it).
    """

    sender: Sender
    lamp: str
    alarms: tuple[tuple[bytes, int, str], ...]
    traces: tuple[Trace, ...] = ()

    def pack(self, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        traces = [
            [t.event.epoch, int(t.event.lane), t.event.seq, t.judged_ms, t.durable_ms, t.sent_ms, t.receipt_ms]
            for t in self.traces
        ]
        body = self.sender.fields() | {10: self.lamp, 11: [list(alarm) for alarm in self.alarms], 12: traces}
        return frames.pack(FrameType.LAMP_REPORT, self.sender.hub, key, body)

    @classmethod
    def read(cls, body: Body) -> LampReport:
        """Raises MalformedError."""
        sender = Sender.read(body)
        alarms = []
        for entry in canonical.take_list(body, 11, MAX_LAMPS):
            if type(entry) is not list or [type(part) for part in entry] != [bytes, int, str]:
                raise MalformedError("lamp_alarm")
            alarms.append((entry[0], entry[1], entry[2][:16]))
        traces = [_trace(sender.hub, entry) for entry in canonical.take_list(body, 12, MAX_LAMPS)]
        return cls(sender=sender, lamp=canonical.take(body, 10, str)[:16], alarms=tuple(alarms), traces=tuple(traces))


def _trace(hub: bytes, entry: Any) -> Trace:
    if type(entry) is not list or len(entry) != 7:
        raise MalformedError("trace")
    epoch, lane, seq, *times = entry
    if type(epoch) is not bytes or type(seq) is not int or any(type(t) not in {int, float, type(None)} for t in times):
        raise MalformedError("trace")
    judged, durable, sent, receipt = times
    return Trace(
        event=EventId(hub, epoch, lane_from(lane), seq),
        judged_ms=judged,
        durable_ms=durable,
        sent_ms=sent,
        receipt_ms=receipt,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The answer to a command, sealed with the epoch's key (channel RESULT_CHANNEL, number = the message's number).

    `part` counts from 0; `is_last` closes the answer. The plaintext is CBOR, at most 64 KiB.
    """

    sender: Sender
    command: bytes
    part: int
    is_last: bool
    sealed: bytes

    @staticmethod
    def seal(sender: Sender, command: bytes, result: object, key: EpochKey) -> bytes:
        """The sealed part of a result."""
        plain = canonical.dumps(result)
        if len(plain) > MAX_RESULT:
            raise ValueError("the result is too long")
        return key.seal(EpochKey.RESULT_CHANNEL, sender.number, plain, _result_data(sender, command))

    def open(self, key: EpochKey) -> Any:
        """The result. Raises ForgedError or MalformedError."""
        number, data = self.sender.number, _result_data(self.sender, self.command)
        return canonical.loads(key.open(EpochKey.RESULT_CHANNEL, number, self.sealed, data))

    def pack(self, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        body = self.sender.fields() | {10: self.command, 11: self.part, 12: self.is_last, 13: self.sealed}
        return frames.pack(FrameType.COMMAND_RESULT, self.sender.hub, key, body)

    @classmethod
    def read(cls, body: Body) -> CommandResult:
        """Raises MalformedError."""
        sealed = canonical.take(body, 13, bytes)
        if len(sealed) > MAX_RESULT + 16:
            raise MalformedError("result_length")
        return cls(
            sender=Sender.read(body),
            command=canonical.take_bytes(body, 10, ID_LENGTH),
            part=canonical.take_uint(body, 11, 1000),
            is_last=canonical.take(body, 12, bool),
            sealed=sealed,
        )


def _result_data(sender: Sender, command: bytes) -> bytes:
    return b"vaktpost/1/result\x00" + sender.hub + sender.sender_epoch + command
