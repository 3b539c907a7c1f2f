"""Frames: every message between hub and central, signed by its sender.

    magic "VPF" · version 1 · type u8 · sender 8 (hub id, or id of central's signing key) · signature 64 · CBOR body

The signature is checked over type, sender and body before the body is parsed. A stream of frames (an HTTP answer, the
held connection) is a u32 length before each; length 0 is a sign of life.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_sync import canonical, signing
from cloud_sync.errors import MalformedError
from cloud_sync.identity import ID_LENGTH

MAGIC = b"VPF\x01"
HEAD_LENGTH = len(MAGIC) + 1 + ID_LENGTH
BODY_AT = HEAD_LENGTH + signing.SIGNATURE_LENGTH
MAX_FRAME = 2 * 1024 * 1024
_LENGTH = struct.Struct(">I")


class FrameType(IntEnum):
    """Who says what. Below 16 the hub speaks, from 16 on central."""

    ENVELOPE = 1
    HEARTBEAT = 2
    LAMP_REPORT = 3
    COMMAND_RESULT = 4
    RECEIPT = 16
    HEARTBEAT_ANSWER = 17
    REPLY = 18
    COMMAND = 19


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame split into its parts, not yet verified."""

    type: FrameType
    sender: bytes
    signature: bytes
    body: bytes

    def open(self, key: Ed25519PublicKey) -> dict[int, Any]:
        """Verify, then parse the body. Raises ForgedError or MalformedError."""
        signing.verify(key, signing.Label.FRAME, self.signature, bytes([self.type]) + self.sender + self.body)
        return canonical.load_map(self.body)


def pack(frame_type: FrameType, sender: bytes, key: Ed25519PrivateKey, body: dict[int, Any]) -> bytes:
    """Sign and write a frame."""
    head = bytes([frame_type]) + sender
    payload = canonical.dumps(body)
    return MAGIC + head + signing.sign(key, signing.Label.FRAME, head + payload) + payload


def split(data: bytes) -> RawFrame:
    """Take a frame apart. Raises MalformedError."""
    if len(data) > MAX_FRAME:
        raise MalformedError("frame_length")
    if len(data) <= BODY_AT or data[:4] != MAGIC:
        raise MalformedError("frame_magic")
    try:
        frame_type = FrameType(data[4])
    except ValueError:
        raise MalformedError("frame_type", str(data[4])) from None
    return RawFrame(frame_type, data[5:HEAD_LENGTH], data[HEAD_LENGTH:BODY_AT], data[BODY_AT:])


def join(frames: Iterable[bytes]) -> bytes:
    """Frames as a stream: a u32 length before each."""
    return b"".join(_LENGTH.pack(len(frame)) + frame for frame in frames)


KEEP_ALIVE = _LENGTH.pack(0)


class FrameStream:
    """Cuts a byte stream, in any chunking, into frames. Raises MalformedError on a length no frame may have."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames completed by this chunk; signs of life are left out."""
        self._buffer += chunk
        frames = []
        at = 0
        while len(self._buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, at)
            if length > MAX_FRAME:
                raise MalformedError("frame_length", str(length))
            if len(self._buffer) - at - _LENGTH.size < length:
                break
            at += _LENGTH.size
            if length:
                frames.append(bytes(self._buffer[at : at + length]))
            at += length
        del self._buffer[:at]
        return frames

    @property
    def is_whole(self) -> bool:
        """Whether no frame is left half received."""
        return not self._buffer


class ReplayWindow:
    """Remembers which numbers of one sender epoch were seen: the highest, and a bitmap of the 1024 below it.

    Numbers rise by one per frame, but travel over several connections, so they arrive a little out of order. What is
    older than the window counts as seen.
    """

    SIZE = 1024

    __slots__ = ("bits", "high")

    def __init__(self, high: int = 0, bits: int = 0) -> None:
        self.high = high
        self.bits = bits

    def accept(self, number: int) -> bool:
        """Whether the number is new; remembers it."""
        if number > self.high:
            shift = number - self.high
            self.bits = ((self.bits << shift) | 1) & ((1 << self.SIZE) - 1) if shift < self.SIZE else 1
            self.high = number
            return True
        behind = self.high - number
        if behind >= self.SIZE or self.bits >> behind & 1:
            return False
        self.bits |= 1 << behind
        return True

    def merge(self, other: ReplayWindow) -> None:
        """Remember also what another window of the same sender epoch has seen."""
        high = max(self.high, other.high)
        behind, others = high - self.high, high - other.high
        bits = (self.bits << behind if behind < self.SIZE else 0) | (other.bits << others if others < self.SIZE else 0)
        self.high, self.bits = high, bits & ((1 << self.SIZE) - 1)

    def to_bytes(self) -> bytes:
        """For the database: 8 bytes and the bitmap."""
        return self.high.to_bytes(8, "big") + self.bits.to_bytes(self.SIZE // 8, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> ReplayWindow:
        """Read `to_bytes` back."""
        return cls(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))
