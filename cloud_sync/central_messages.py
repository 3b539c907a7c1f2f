"""What central says: receipts, answers to signs of life, replies for the lamp, commands.

Signed by central's signing key, whose certificate leads to the root the hub was enrolled with. Every message names
the hub and the run of it (epoch) that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import canonical, frames
from cloud_sync.canonical import Body
from cloud_sync.errors import MalformedError
from cloud_sync.frames import FrameType
from cloud_sync.identity import ID_LENGTH, EventId, Lane, lane_from
from cloud_sync.ranges import SeqRanges, ranges_from
from cloud_sync.vocabulary import is_scalar

MAX_REPLIES = 64
MAX_EVENTS = 32
COMMAND_LIFE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Which run of which hub a message is for, and central's clock when it was made (ms since 1970, UTC)."""

    hub: bytes
    hub_epoch: bytes
    central_ms: int

    def fields(self) -> dict[int, Any]:
        """Body keys 1..3, the same in every message of central."""
        return {1: self.hub, 2: self.hub_epoch, 3: self.central_ms}

    @classmethod
    def read(cls, body: Body) -> Address:
        """Raises MalformedError."""
        return cls(
            hub=canonical.take_bytes(body, 1, ID_LENGTH),
            hub_epoch=canonical.take_bytes(body, 2, ID_LENGTH),
            central_ms=canonical.take_uint(body, 3),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Central has committed these: all of (epoch, lane) up to `high`, and the `beyond` ranges above it.

    `unopened` were committed but could not be read: the hub keeps them. `lineage` is the id of central's database: a
    new one means that it was restored, and the hub offers what it kept again. `number` is the message answered.
    """

    to: Address
    number: int
    epoch: bytes
    lane: Lane
    lineage: bytes
    high: int
    beyond: tuple[tuple[int, int], ...] = ()
    unopened: tuple[tuple[int, int], ...] = ()
    wants_header: bool = False
    """Central does not have this epoch's header: the next envelope carries it."""

    def stored(self) -> SeqRanges:
        """Everything the receipt vouches for."""
        ranges = SeqRanges(self.beyond)
        if self.high:
            ranges.add(1, self.high)
        return ranges

    def pack(self, key_id: bytes, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        body = self.to.fields() | {
            10: self.number,
            11: self.epoch,
            12: int(self.lane),
            13: self.lineage,
            14: self.high,
        }
        if self.beyond:
            body[15] = [list(pair) for pair in self.beyond]
        if self.unopened:
            body[16] = [list(pair) for pair in self.unopened]
        if self.wants_header:
            body[17] = True
        return frames.pack(FrameType.RECEIPT, key_id, key, body)

    @classmethod
    def read(cls, body: Body) -> Receipt:
        """Raises MalformedError."""
        return cls(
            to=Address.read(body),
            number=canonical.take_uint(body, 10),
            epoch=canonical.take_bytes(body, 11, ID_LENGTH),
            lane=lane_from(body.get(12)),
            lineage=canonical.take_bytes(body, 13, ID_LENGTH),
            high=canonical.take_uint(body, 14),
            beyond=ranges_from(body.get(15, [])),
            unopened=ranges_from(body.get(16, [])),
            wants_header=canonical.take_optional(body, 17, bool) or False,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeartbeatAnswer:
    """Central lives and can commit alarms. `number` is that of the heartbeat."""

    to: Address
    number: int
    lineage: bytes

    def pack(self, key_id: bytes, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        body = self.to.fields() | {10: self.number, 11: self.lineage}
        return frames.pack(FrameType.HEARTBEAT_ANSWER, key_id, key, body)

    @classmethod
    def read(cls, body: Body) -> HeartbeatAnswer:
        """Raises MalformedError."""
        return cls(
            to=Address.read(body),
            number=canonical.take_uint(body, 10),
            lineage=canonical.take_bytes(body, 11, ID_LENGTH),
        )


class ReplyState(StrEnum):
    """What a resident may be told about an alarm. The hub adds `unknown`: not receipted."""

    WAITING = "waiting"
    TAKEN = "taken"
    ON_THE_WAY = "on_the_way"
    CLOSED = "closed"


_REPLY_CODES = dict(enumerate(ReplyState, start=1))
_REPLY_NUMBERS = {state: code for code, state in _REPLY_CODES.items()}


NO_RECEIPT_S, NO_CLAIM_S = range(5, 601), range(15, 3601)
"""What local deadlines may be, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDeadlines:
    """When the hub is to act by itself: so long without a receipt, so long without anybody who has taken the alarm."""

    no_receipt_s: int
    no_claim_s: int

    @property
    def is_within_bounds(self) -> bool:
        """Whether a hub follows them."""
        return self.no_receipt_s in NO_RECEIPT_S and self.no_claim_s in NO_CLAIM_S


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmReply:
    """The full state of one alarm. The highest `version` wins; after `valid_until_ms` (central's clock) it is waiting.

    A repeat press is another event of the same alarm. A closed state does not expire. `local` are the deadlines of the
    alarm's plan, where central has one for it.
    """

    alarm: bytes
    version: int
    state: ReplyState
    events: tuple[EventId, ...]
    valid_until_ms: int
    local: LocalDeadlines | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One or more alarm states; with `is_snapshot`, all that are open at this hub: what is not named is closed.

    `home` are the deadlines for alarms of this home that central has not spoken of: those without a receipt.
    """

    to: Address
    alarms: tuple[AlarmReply, ...]
    is_snapshot: bool = False
    home: LocalDeadlines | None = None

    def pack(self, key_id: bytes, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        alarms = [
            [
                reply.alarm,
                reply.version,
                _REPLY_NUMBERS[reply.state],
                [[event.epoch, int(event.lane), event.seq] for event in reply.events],
                reply.valid_until_ms,
            ]
            for reply in self.alarms
        ]
        body = self.to.fields() | {10: alarms, 11: self.is_snapshot}
        local = {
            one.alarm: [one.alarm, one.local.no_receipt_s, one.local.no_claim_s] for one in self.alarms if one.local
        }
        if local:
            body[12] = list(local.values())
        if self.home is not None:
            body[13] = [self.home.no_receipt_s, self.home.no_claim_s]
        return frames.pack(FrameType.REPLY, key_id, key, body)

    @classmethod
    def read(cls, body: Body) -> Reply:
        """Raises MalformedError."""
        to = Address.read(body)
        entries = body.get(12)
        local: dict[bytes, LocalDeadlines] = {}
        for entry in entries[:MAX_REPLIES] if type(entries) is list else ():
            if type(entry) is list and len(entry) == 3 and type(entry[0]) is bytes:
                found = _deadlines(entry[1:])
                if found is not None:
                    local[entry[0]] = found
        return cls(
            to=to,
            alarms=tuple(_alarm_reply(to.hub, entry, local) for entry in canonical.take_list(body, 10, MAX_REPLIES)),
            is_snapshot=canonical.take(body, 11, bool),
            home=_deadlines(body.get(13)),
        )


def _deadlines(entry: Any) -> LocalDeadlines | None:
    """Lenient: what cannot be followed is as if it were not there, and the hub's own settings hold."""
    if type(entry) is not list or [type(part) for part in entry] != [int, int]:
        return None
    found = LocalDeadlines(no_receipt_s=entry[0], no_claim_s=entry[1])
    return found if found.is_within_bounds else None


def _alarm_reply(hub: bytes, entry: Any, local: Mapping[bytes, LocalDeadlines]) -> AlarmReply:
    if type(entry) is not list or [type(part) for part in entry] != [bytes, int, int, list, int]:
        raise MalformedError("alarm_reply")
    alarm, version, code, events, valid_until_ms = entry
    if len(alarm) != ID_LENGTH or code not in _REPLY_CODES or len(events) > MAX_EVENTS:
        raise MalformedError("alarm_reply")
    found = []
    for event in events:
        if type(event) is not list or [type(part) for part in event] != [bytes, int, int]:
            raise MalformedError("alarm_reply")
        found.append(EventId(hub, event[0], lane_from(event[1]), event[2]))
    return AlarmReply(
        alarm=alarm,
        version=version,
        state=_REPLY_CODES[code],
        events=tuple(found),
        valid_until_ms=valid_until_ms,
        local=local.get(alarm),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something a hub is asked to do. `number` rises within the hub's epoch; after `expires_ms` it is refused."""

    to: Address
    command: bytes
    number: int
    expires_ms: int
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def pack(self, key_id: bytes, key: Ed25519PrivateKey) -> bytes:
        """The signed frame."""
        body = self.to.fields() | {
            10: self.command,
            11: self.number,
            12: self.expires_ms,
            13: self.name,
            14: dict(self.arguments),
        }
        return frames.pack(FrameType.COMMAND, key_id, key, body)

    @classmethod
    def read(cls, body: Body) -> Command:
        """Raises MalformedError."""
        arguments = body.get(14, {})
        if type(arguments) is not dict or len(arguments) > 16:
            raise MalformedError("arguments")
        if not all(type(key) is str and is_scalar(value) for key, value in arguments.items()):
            raise MalformedError("arguments")
        return cls(
            to=Address.read(body),
            command=canonical.take_bytes(body, 10, ID_LENGTH),
            number=canonical.take_uint(body, 11),
            expires_ms=canonical.take_uint(body, 12),
            name=canonical.take(body, 13, str)[:32],
            arguments=arguments,
        )
