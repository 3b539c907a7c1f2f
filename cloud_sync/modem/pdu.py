"""One SMS as the modem wants it: the PDUs of 3GPP TS 23.040, the alphabet of TS 23.038. Pure.

GSM-7 where the text allows it (160 characters, æøå included), UCS-2 otherwise (70). Only single messages are written;
of a message in several parts each is read by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_SEPTETS = 160
MAX_UCS2 = 70
MAX_PDU = 2 * (12 + 164 + 12)

# TS 23.038 §6.2.1, by code from 0x00; the escape (0x1B) leads to the second table.
_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip
_ESCAPE = 0x1B
_SEPTETS: dict[str, bytes] = {sign: bytes([code]) for code, sign in enumerate(_BASIC) if code != _ESCAPE} | {
    sign: bytes([_ESCAPE, code]) for code, sign in _EXTENDED.items()
}


class PduError(ValueError):
    """These digits are no message that we read. The text says what is wrong, not what stands there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """A message to send: the PDU in hex digits, and the length that `AT+CMGS` is told."""

    pdu: str
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that came. `sender` is a number with its plus sign, or a name."""

    sender: str
    text: str


def septets(text: str) -> bytes | None:
    """A text in the GSM alphabet, one code per byte; None when it has a character that is not in it."""
    try:
        return b"".join(_SEPTETS[sign] for sign in text)
    except KeyError:
        return None


def fits(text: str) -> bool:
    """Whether a text goes into one SMS."""
    codes = septets(text)
    return len(codes) <= MAX_SEPTETS if codes is not None else len(text.encode("utf-16-be", "replace")) <= 2 * MAX_UCS2


def submit(number: str, text: str, *, valid_minutes: int) -> Submit:
    """A message to a number in international form. Raises PduError when it does not fit."""
    digits = number.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or not 3 <= len(digits) <= 15:
        raise PduError("the number is no number in international form")
    if not fits(text):
        raise PduError("the text does not fit one SMS")
    codes = septets(text)
    if codes is not None:
        coding, length, content = 0x00, len(codes), pack(codes)
    else:
        content = text.encode("utf-16-be", "replace")
        coding, length = 0x08, len(content)
    body = (
        bytes([0x11, 0x00, len(digits), 0x91])  # SMS-SUBMIT with a relative validity, any reference, number as +…
        + _swapped(digits)
        + bytes([0x00, coding, _validity(valid_minutes), length])
        + content
    )
    return Submit(pdu="00" + body.hex().upper(), length=len(body))


def deliver(digits: str) -> Message:
    """Read an SMS-DELIVER as `AT+CMGR` and `AT+CMGL` give it. Raises PduError."""
    if len(digits) > MAX_PDU:
        raise PduError("too long")
    try:
        raw = bytes.fromhex(digits)
        return _deliver(raw)
    except IndexError:
        raise PduError("too short") from None
    except PduError:
        raise
    except ValueError:
        raise PduError("not in hex digits") from None


def _deliver(raw: bytes) -> Message:
    at = 1 + raw[0]
    first = raw[at]
    if first & 0x03:
        raise PduError("not a message to us")
    length, kind = raw[at + 1], raw[at + 2]
    octets = (length + 1) // 2
    address = _part(raw, at + 3, octets)
    at += 3 + octets + 1  # past the protocol identifier
    coding, length = raw[at], raw[at + 8]  # a time stamp of seven lies between
    content = raw[at + 9 :]
    header = 1 + content[0] if first & 0x40 else 0
    if kind & 0x70 == 0x50:
        sender = _text(unpack(address, len(address) * 8 // 7))
    else:
        sender = ("+" if kind & 0x70 == 0x10 else "") + _numbered(address, raw[at - octets - 3])
    match _alphabet(coding):
        case 7:
            fill = (header * 8 + 6) // 7
            codes = unpack(content, length)
            if len(codes) < min(length, MAX_SEPTETS):
                raise PduError("too short")
            text = _text(codes[fill:])
        case 16:
            text = _part(content, 0, length)[header:].decode("utf-16-be", "replace")
        case _:
            text = _part(content, 0, length)[header:].decode("latin-1")
    return Message(sender=sender, text=text)


def pack(codes: bytes) -> bytes:
    """Seven bits each, the first in the lowest."""
    bits = sum(code << 7 * index for index, code in enumerate(codes))
    return bits.to_bytes((7 * len(codes) + 7) // 8, "little")


def unpack(content: bytes, count: int) -> bytes:
    """At most `count` codes of seven bits."""
    bits = int.from_bytes(content, "little")
    return bytes(bits >> 7 * index & 0x7F for index in range(min(count, len(content) * 8 // 7, MAX_SEPTETS)))


def _text(codes: bytes) -> str:
    found, is_escaped = [], False
    for code in codes:
        if is_escaped:
            found.append(_EXTENDED.get(code, _BASIC[code]))  # TS 23.038: an unknown one is shown as the basic one
            is_escaped = False
        elif code == _ESCAPE:
            is_escaped = True
        else:
            found.append(_BASIC[code])
    return "".join(found)


def _alphabet(coding: int) -> int:
    """Bits per character by the data coding scheme (TS 23.038 §4)."""
    if coding & 0xC0 == 0x00 or coding & 0xF0 == 0xF0:
        return {0: 7, 1: 8, 2: 16, 3: 7}[coding >> 2 & 3] if coding & 0xF0 != 0xF0 else (8 if coding & 0x04 else 7)
    return 16 if coding & 0xF0 == 0xE0 else 7


def _part(raw: bytes, at: int, length: int) -> bytes:
    if at + length > len(raw):
        raise PduError("too short")
    return raw[at : at + length]


def _swapped(digits: str) -> bytes:
    even = digits + "F" * (len(digits) % 2)
    return bytes.fromhex("".join(even[at + 1] + even[at] for at in range(0, len(even), 2)))


def _numbered(address: bytes, length: int) -> str:
    found = "".join(f"{octet & 0x0F:x}{octet >> 4:x}" for octet in address)[:length]
    return found.translate(str.maketrans("abc", "*#a")).rstrip("f")


def _validity(minutes: int) -> int:
    """TS 23.040 §9.2.3.12.1, rounded down; at least five minutes, at most a month."""
    if minutes <= 12 * 60:
        return max(0, minutes // 5 - 1)
    if minutes <= 24 * 60:
        return 143 + (minutes - 12 * 60) // 30
    days = min(minutes // (24 * 60), 30)
    return 166 + days
