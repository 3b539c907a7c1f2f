"""BTHome version 2 service data, decoded: total, bounded and free of I/O.

Layout (the format is public, bthome.io): `device-info [address] object*`, where device-info has bit 0 encrypted, bit 1
address included (6 bytes, least significant first), bit 2 trigger based, bits 5-7 version, and an object is `id value`
with a length that only its id tells. Encrypted: `device-info [address] ciphertext counter(4) tag(4)`, AES-128-CCM with
the nonce `address + D2 FC + device-info + counter` and no associated data.

An id that is not known here ends the reading, for nothing says how long it is; what stood before it counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from drivers.contract import Fact, Scalar

SERVICE_UUID: Final = "0000fcd2-0000-1000-8000-00805f9b34fb"
SERVICE_UUID_BYTES: Final = b"\xd2\xfc"
"""The 16-bit UUID as it stands in an advertisement and in the nonce."""

MAX_LENGTH: Final = 255
"""No service data element is longer: its AD structure has a one-byte length."""

TAG_LENGTH: Final = 4
_TRAILER = 8  # counter and tag
_ENCRYPTED, _HAS_ADDRESS, _TRIGGER_BASED, _VERSION_2 = 0x01, 0x02, 0x04, 2

_PACKET_ID, _BUTTON, _COMMAND, _TEXT, _RAW = 0x00, 0x3A, 0x3B, 0x53, 0x54
BUTTON_NONE: Final = 0x00
BUTTON_HELD: Final = 0x80
BUTTON_RELEASED: Final = 0x81

_NO_VALUE_LENGTH = -1

_BOOLEANS: Final = {
    0x11: Fact.DOOR,  # opening
    0x15: Fact.BATTERY_LOW,
    0x17: Fact.CO,
    0x1A: Fact.DOOR,
    0x1B: Fact.DOOR,  # garage door
    0x1C: Fact.GAS,
    0x1D: Fact.HEAT,
    0x20: Fact.WATER,
    0x21: Fact.MOTION,
    0x22: Fact.MOTION,  # the device itself is being moved
    0x23: Fact.PRESENCE,  # occupancy
    0x25: Fact.PRESENCE,
    0x26: Fact.FAULT,  # problem
    0x29: Fact.SMOKE,
    0x2B: Fact.TAMPER,
    0x2D: Fact.DOOR,  # window
}

_NUMBERS: Final = {
    # By id the fact, how many bytes, whether signed, the factor and how many decimals the factor leaves.
    0x01: (Fact.BATTERY, 1, False, 1.0, 0),
    0x02: (Fact.TEMPERATURE, 2, True, 0.01, 2),
    0x03: (Fact.HUMIDITY, 2, False, 0.01, 2),
    0x2E: (Fact.HUMIDITY, 1, False, 1.0, 1),
    0x45: (Fact.TEMPERATURE, 2, True, 0.1, 1),
    0x57: (Fact.TEMPERATURE, 1, True, 1.0, 1),
    0x58: (Fact.TEMPERATURE, 1, True, 0.35, 2),
}

_SKIPPED: Final = {
    # Known lengths of what the hub has no use for: measurements of plants, power meters and the like.
    1: bytes.fromhex("09 2F 46 59 60 64 65"),
    2: bytes.fromhex("06 07 08 0C 0D 0E 12 13 14 3C 3D 3F 40 41 43 44 47 48 49 4A 51 52 56 5A 5D 5E 5F 61 F0"),
    3: bytes.fromhex("04 05 0A 0B 42 4B F2"),
    4: bytes.fromhex("3E 4C 4D 4E 4F 50 55 5B 5C 62 63 F1"),
}

_SKIPPED_BOOLEANS: Final = bytes.fromhex("0F 10 16 18 19 1E 1F 24 27 28 2A 2C")


def _lengths() -> tuple[int, ...]:
    table = [_NO_VALUE_LENGTH] * 256
    for each in (_PACKET_ID, _BUTTON, *_BOOLEANS, *_SKIPPED_BOOLEANS):
        table[each] = 1
    for each, (_fact, length, *_rest) in _NUMBERS.items():
        table[each] = length
    for length, ids in _SKIPPED.items():
        for each in ids:
            table[each] = length
    return tuple(table)


_LENGTH: Final = _lengths()

_PRESSES: Final = {
    # By code the contract's word and how often in a row.
    0x01: ("press", 1),
    0x02: ("double", 2),
    0x03: ("triple", 3),
    0x04: ("long", 1),
    0x05: ("long", 2),
    0x06: ("long", 3),
    BUTTON_HELD: ("hold", 1),
    BUTTON_RELEASED: ("hold", 1),
}


class Refusal(StrEnum):
    """Why service data was not decoded."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    WRONG_VERSION = "wrong_version"
    OTHER_ADDRESS = "other_address"
    """The address inside differs from the device it was taken for."""
    NO_KEY = "no_key"
    """Encrypted, and no key is configured."""
    PLAINTEXT = "plaintext"
    """Not encrypted, from a device that has a key: anybody could have sent it."""
    NOT_AUTHENTIC = "not_authentic"
    """Wrong key, or not from the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One object that means something to the hub."""

    object_id: int
    fact: Fact
    value: Scalar
    nth: int = 1
    """Which one of those with this object id in its frame, from 1: the second button of a pendant is 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One button object that is not 'none'."""

    value: str
    """What `Fact.BUTTON` may be."""
    code: int
    count: int
    nth: int = 1

    @property
    def is_hold(self) -> bool:
        return self.code == BUTTON_HELD

    @property
    def is_release(self) -> bool:
        """The end of a hold, not a press of its own."""
        return self.code == BUTTON_RELEASED


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What one advertisement said."""

    readings: tuple[Reading, ...] = ()
    presses: tuple[Press, ...] = ()
    has_buttons: bool = False
    """Button objects were there, be they all 'none'."""
    packet_id: int | None = None
    counter: int | None = None
    """The encryption counter; None in a frame that came in the clear."""
    is_trigger_based: bool = False
    unknown_id: int | None = None
    """Where the reading ended early; what follows could not be measured."""
    is_truncated: bool = False
    """The last object was cut short and left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    reason: Refusal


def included_address(service_data: bytes) -> bytes | None:
    """The address inside, most significant byte first; None where there is none."""
    if len(service_data) >= 7 and service_data[0] & _HAS_ADDRESS:
        return service_data[6:0:-1]
    return None


def decode(service_data: bytes, *, address: bytes, cipher: AESCCM | None) -> Frame | Refused:
    """Decode the service data of one advertisement; any bytes do, none make it raise.

    `address` has 6 bytes, most significant first, as printed. With a `cipher` only what authenticates is decoded.
    """
    length = len(service_data)
    if length == 0:
        return Refused(reason=Refusal.EMPTY)
    if length > MAX_LENGTH:
        return Refused(reason=Refusal.TOO_LONG)
    device_info = service_data[0]
    if device_info >> 5 != _VERSION_2:
        return Refused(reason=Refusal.WRONG_VERSION)
    start = 1
    if device_info & _HAS_ADDRESS:
        if length < 7:
            return Refused(reason=Refusal.TOO_SHORT)
        if service_data[6:0:-1] != address:
            return Refused(reason=Refusal.OTHER_ADDRESS)
        start = 7
    is_trigger_based = bool(device_info & _TRIGGER_BASED)
    if not device_info & _ENCRYPTED:
        if cipher is not None:
            return Refused(reason=Refusal.PLAINTEXT)
        return _read(service_data, start, None, is_trigger_based)
    if cipher is None:
        return Refused(reason=Refusal.NO_KEY)
    end = length - _TRAILER
    if end < start:
        return Refused(reason=Refusal.TOO_SHORT)
    counter = service_data[end : end + 4]
    nonce = address + SERVICE_UUID_BYTES + service_data[:1] + counter
    try:
        clear = cipher.decrypt(nonce, service_data[start:end] + service_data[end + 4 :], None)
    except InvalidTag:
        return Refused(reason=Refusal.NOT_AUTHENTIC)
    return _read(clear, 0, int.from_bytes(counter, "little"), is_trigger_based)


def _read(objects: bytes, position: int, counter: int | None, is_trigger_based: bool) -> Frame:
    readings: list[Reading] = []
    presses: list[Press] = []
    packet_id: int | None = None
    unknown_id: int | None = None
    is_truncated = False
    buttons = 0
    seen: dict[int, int] = {}
    end = len(objects)
    while position < end:
        object_id = objects[position]
        position += 1
        length = _LENGTH[object_id]
        if length == _NO_VALUE_LENGTH:
            if object_id not in {_COMMAND, _TEXT, _RAW}:
                unknown_id = object_id
                break
            if position >= end:
                is_truncated = True
                break
            # A command has an opcode and, by the low five bits, so many bytes of arguments.
            length = 1 + (objects[position] & 0x1F) if object_id == _COMMAND else objects[position]
            position += 1
        after = position + length
        if after > end:
            is_truncated = True
            break
        if object_id in _BOOLEANS:
            nth = seen[object_id] = seen.get(object_id, 0) + 1
            readings.append(
                Reading(object_id=object_id, fact=_BOOLEANS[object_id], value=objects[position] != 0, nth=nth)
            )
        elif object_id in _NUMBERS:
            nth = seen[object_id] = seen.get(object_id, 0) + 1
            readings.append(_number(object_id, objects[position:after], nth))
        elif object_id == _BUTTON:
            buttons += 1
            code = objects[position]
            if code != BUTTON_NONE:
                # A code of a later edition is still a person's press.
                value, count = _PRESSES.get(code, ("press", 1))
                presses.append(Press(value=value, code=code, count=count, nth=buttons))
        elif object_id == _PACKET_ID and packet_id is None:
            packet_id = objects[position]
        position = after
    return Frame(
        readings=tuple(readings),
        presses=tuple(presses),
        has_buttons=buttons > 0,
        packet_id=packet_id,
        counter=counter,
        is_trigger_based=is_trigger_based,
        unknown_id=unknown_id,
        is_truncated=is_truncated,
    )


def _number(object_id: int, raw: bytes, nth: int) -> Reading:
    fact, _length, signed, factor, decimals = _NUMBERS[object_id]
    whole = int.from_bytes(raw, "little", signed=signed)
    value: Scalar = min(whole, 100) if fact is Fact.BATTERY else round(whole * factor, decimals)
    return Reading(object_id=object_id, fact=fact, value=value, nth=nth)
