"""The stub: what an alarm says in the clear, small enough for one SMS.

A signed binary that fits 160 GSM-7 characters in base64. It carries no health data: hub, epoch, lane, seq, time,
device alias and class, and the local action that belongs to it (so that local response resumes after a restart).
"""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_sync import signing
from cloud_sync.errors import MalformedError
from cloud_sync.identity import EventId, Lane, lane_from
from cloud_sync.vocabulary import AlarmClass

VERSION = 1
MAX_ALIAS = 16
MAX_TEXT = 159
PROBE_ALIAS = "probe"
_HEAD = struct.Struct(">B8s8sBQQBB")  # version, hub, epoch, lane, seq, wall ms, class, local action


class LocalAction(IntEnum):
    """What the hub does by itself when nobody answers."""

    NONE = 0
    LAMP = 1
    LAMP_AND_BUZZER = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """The contents. `wall_ms` is the hub's wall clock, trusted or not."""

    event: EventId
    wall_ms: int
    device: str
    alarm_class: AlarmClass
    action: LocalAction

    @classmethod
    def probe(cls, hub: bytes, epoch: bytes, wall_ms: int) -> Stub:
        """A stub that asks only whether the path works: seq 0 names no event; central answers by machine."""
        return cls(
            event=EventId(hub, epoch, Lane.ALARM, 0),
            wall_ms=wall_ms,
            device=PROBE_ALIAS,
            alarm_class=AlarmClass.STATUS,
            action=LocalAction.NONE,
        )

    @property
    def is_probe(self) -> bool:
        """Whether no event stands behind it."""
        return self.event.seq == 0

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """`signature || body`, at most 116 bytes."""
        alias = self.device.encode("ascii")
        if not 1 <= len(alias) <= MAX_ALIAS:
            raise ValueError(f"a device alias has 1 to {MAX_ALIAS} characters: {self.device!r}")
        event = self.event
        head = _HEAD.pack(
            VERSION, event.hub, event.epoch, event.lane, event.seq, self.wall_ms, self.alarm_class, self.action
        )
        return signing.sign_blob(key, signing.Label.STUB, head + alias)


def hub_of(blob: bytes) -> bytes:
    """Whose stub it claims to be, to find the key with. Raises MalformedError."""
    if not signing.SIGNATURE_LENGTH + _HEAD.size < len(blob) <= signing.SIGNATURE_LENGTH + _HEAD.size + MAX_ALIAS:
        raise MalformedError("stub_length")
    return blob[signing.SIGNATURE_LENGTH + 1 :][:8]


def open_stub(blob: bytes, key: Ed25519PublicKey) -> Stub:
    """Verify and read a stub. Raises ForgedError or MalformedError."""
    hub_of(blob)
    return _read(signing.open_blob(key, signing.Label.STUB, blob))


def peek(blob: bytes) -> Stub:
    """Read a stub without verifying it: for the hub, which wrote it itself. Raises MalformedError."""
    hub_of(blob)
    return _read(blob[signing.SIGNATURE_LENGTH :])


def _read(body: bytes) -> Stub:
    version, hub, epoch, lane, seq, wall_ms, alarm_class, action = _HEAD.unpack_from(body)
    if version != VERSION:
        raise MalformedError("stub_version", str(version))
    try:
        return Stub(
            event=EventId(hub, epoch, lane_from(lane), seq),
            wall_ms=wall_ms,
            device=body[_HEAD.size :].decode("ascii"),
            alarm_class=AlarmClass(alarm_class),
            action=LocalAction(action),
        )
    except ValueError:
        raise MalformedError("stub") from None


def to_text(blob: bytes) -> str:
    """Base64 without padding: at most 159 characters of the GSM-7 basic set."""
    return base64.b64encode(blob).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """The bytes of a stub's text. Raises MalformedError."""
    if len(text) > MAX_TEXT:
        raise MalformedError("stub_text_length")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedError("stub_text") from None
