"""The sealed record: one event as it lies on the card and travels on the wire, byte for byte the same.

    magic "VPR" · version 1 · lane u8 · hub 8 · epoch 8 · seq u64 · header length u16 · ciphertext length u32
    · header (CBOR, in the clear) · ciphertext and tag · CRC-32 of all before it

Big endian. The header holds the times and, for alarm and care, the stub and the epoch header. Everything before the
ciphertext is associated data of the seal. The checksum is for carving records out of a damaged file; it protects
against nothing else.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cloud_sync import canonical
from cloud_sync.errors import MalformedError
from cloud_sync.identity import EventId, lane_from
from cloud_sync.seal import EpochKey
from cloud_sync.vocabulary import MAX_EVENT_BYTES, Event, Stamp

MAGIC = b"VPR\x01"
_PREFIX = struct.Struct(">4sB8s8sQHI")
_CRC = struct.Struct(">I")
MAX_RECORD_HEADER = 6144
MAX_RECORD = _PREFIX.size + MAX_RECORD_HEADER + MAX_EVENT_BYTES + 16 + _CRC.size


@dataclass(frozen=True, slots=True)
class Record:
    """A parsed record; `raw` is the whole of it. Nothing in it is verified until `open` has succeeded."""

    id: EventId
    stamp: Stamp
    stub: bytes | None
    epoch_header: bytes | None
    raw: bytes
    _sealed_at: int

    def open(self, key: EpochKey) -> Event:
        """Open the seal and read the event. Raises ForgedError, or MalformedError (reason "kind": from the future)."""
        at = self._sealed_at
        plain = key.open(self.id.lane, self.id.seq, self.raw[at : -_CRC.size], self.raw[:at])
        return Event.from_bytes(plain, self.stamp)


def seal_record(
    event_id: EventId, event: Event, key: EpochKey, *, stub: bytes | None = None, epoch_header: bytes | None = None
) -> bytes:
    """Seal an event once. A resend carries these bytes again."""
    stamp = event.stamp
    head: dict[int, int | bool | bytes] = {1: stamp.boot_ms, 2: stamp.wall_ms, 3: stamp.is_wall_trusted}
    if stub is not None:
        head[4] = stub
    if epoch_header is not None:
        head[5] = epoch_header
    header = canonical.dumps_plain(head)
    plain = event.to_bytes()
    if len(plain) > MAX_EVENT_BYTES or len(header) > MAX_RECORD_HEADER:
        raise ValueError("the event is too long for a record")
    prefix = _PREFIX.pack(
        MAGIC, event_id.lane, event_id.hub, event_id.epoch, event_id.seq, len(header), len(plain) + 16
    )
    associated = prefix + header
    raw = associated + key.seal(event_id.lane, event_id.seq, plain, associated)
    return raw + _CRC.pack(zlib.crc32(raw))


def parse_record(raw: bytes) -> Record:
    """Read a record that fills `raw` exactly. Raises MalformedError."""
    length = _length_at(raw, 0)
    if length is None or length != len(raw):
        raise MalformedError("record_length")
    if _CRC.unpack_from(raw, length - _CRC.size)[0] != zlib.crc32(raw[: -_CRC.size]):
        raise MalformedError("record_crc")
    _, lane, hub, epoch, seq, header_length, _ = _PREFIX.unpack_from(raw)
    if not 1 <= seq < 2**63:
        raise MalformedError("record_seq")
    sealed_at = _PREFIX.size + header_length
    header = canonical.load_map(raw[_PREFIX.size : sealed_at])
    stamp = Stamp(
        boot_ms=canonical.take_uint(header, 1),
        wall_ms=canonical.take_uint(header, 2),
        is_wall_trusted=canonical.take(header, 3, bool),
    )
    return Record(
        EventId(hub, epoch, lane_from(lane), seq),
        stamp,
        canonical.take_optional(header, 4, bytes),
        canonical.take_optional(header, 5, bytes),
        raw,
        sealed_at,
    )


def record_id(raw: bytes) -> EventId:
    """Only the name of a record, without a look at the rest. Raises MalformedError."""
    if len(raw) < _PREFIX.size or raw[:4] != MAGIC:
        raise MalformedError("record_magic")
    _, lane, hub, epoch, seq, _, _ = _PREFIX.unpack_from(raw)
    return EventId(hub, epoch, lane_from(lane), seq)


def _length_at(data: bytes | memoryview, at: int) -> int | None:
    if len(data) - at < _PREFIX.size or bytes(data[at : at + 4]) != MAGIC:
        return None
    header_length, sealed_length = struct.unpack_from(">HI", data, at + _PREFIX.size - 6)
    if header_length > MAX_RECORD_HEADER or not 16 <= sealed_length <= MAX_EVENT_BYTES + 16:
        return None
    return int(_PREFIX.size + header_length + sealed_length + _CRC.size)


def carve(data: bytes) -> Iterator[Record]:
    """All whole records in a damaged file, wherever they lie in one piece; what does not check out is passed over."""
    at = data.find(MAGIC)
    while at >= 0:
        length = _length_at(data, at)
        if length is not None and at + length <= len(data):
            try:
                yield parse_record(data[at : at + length])
            except MalformedError:
                length = None
        else:
            length = None
        at = data.find(MAGIC, at + (length or 1))
