"""The sender's side of ESPA 4.4.4: a call as a block, and what the line answers as tokens. No I/O, no clock.

A call is SOH, header "1", STX, the records address, text, beep, call type, transmissions and priority (`id US value`,
with RS between), ETX and the BCC.
`Ear` is total and bounded: any bytes in any chunking, it never raises and never holds more than one block.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.espa.charset import EIGHT_BIT, TEXT_LIMIT, Charset
from drivers.espa.codec import (
    ACK,
    BLOCK_LIMIT,
    ENQ,
    EOT,
    ETX,
    NAK,
    RS,
    SOH,
    STATIONS,
    STX,
    US,
    Block,
    checksum,
    parse_block,
)

_NATIONAL = {
    "iso646-no": str.maketrans("ÆØÅæøå", "[\\]{|}"),
    "iso646-se": str.maketrans("ÄÖÅäöå", "[\\]{|}"),
}
_PLAIN = str.maketrans(
    {"Æ": "AE", "Ø": "O", "Å": "A", "Ä": "A", "Ö": "O", "æ": "ae", "ø": "o", "å": "a", "ä": "a", "ö": "o"}
)

CALL_STATES = {"1": "busy", "2": "queued", "3": "paged", "4": "absent", "5": "terminated"}
"""Values of record 7, as far as vendors agree."""
TRANSMITTER_FAILURE = "1"
"""The value of record 8 that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCall:
    """What the paging system is asked to do. Codes are the standard's own unless the installation says otherwise."""

    address: str
    text: str
    beep: str = "3"
    call_type: str = "3"
    transmissions: str = "1"
    priority: str = "1"

    def block(self, charset: Charset) -> bytes:
        """The whole block, checksum included."""
        fields = (
            (b"1", self.address.encode("ascii", "replace")),
            (b"2", encode_text(self.text, charset)),
            (b"3", self.beep.encode()),
            (b"4", self.call_type.encode()),
            (b"5", self.transmissions.encode()),
            (b"6", self.priority.encode()),
        )
        records = bytes([RS]).join(name + bytes([US]) + value for name, value in fields)
        body = b"1" + bytes([STX]) + records + bytes([ETX])
        return bytes([SOH]) + body + bytes([checksum(body)])


def encode_text(text: str, charset: Charset) -> bytes:
    """Display text for the line: what the set cannot hold becomes its nearest plain letter or a question mark."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text).strip()[:TEXT_LIMIT]
    if charset in EIGHT_BIT:
        return plain.encode(charset, "replace")
    national = _NATIONAL.get(charset)
    if national is not None:
        # A bracket would come out as a letter.
        plain = plain.translate(str.maketrans("[]{}|\\", "()()//")).translate(national)
    return plain.translate(_PLAIN).encode("ascii", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One thing that the line said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged(Token):
    """ACK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Token):
    """NAK, with the prefix before it ("" when there was none)."""

    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over(Token):
    """EOT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Token):
    """`station ENQ`: a poll or a selection."""

    station: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Token):
    """A sound block."""

    block: Block


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbled(Token):
    """A block with a wrong checksum."""


class Ear:
    """Bytes in, tokens out."""

    __slots__ = ("_body", "_last", "_wants_bcc")

    def __init__(self) -> None:
        self._body: bytearray | None = None
        self._wants_bcc = False
        self._last = 0

    def feed(self, chunk: bytes) -> list[Token]:
        """What these bytes complete."""
        found: list[Token] = []
        for octet in chunk:
            token = self._take(octet)
            if token is not None:
                found.append(token)
        return found

    def _take(self, octet: int) -> Token | None:
        body, before, self._last = self._body, self._last, octet
        if body is not None and self._wants_bcc:
            self._body, self._wants_bcc = None, False
            return Told(block=parse_block(bytes(body))) if checksum(bytes(body)) == octet else Garbled()
        if octet == SOH:
            self._body = bytearray()
            return None
        if body is not None and octet not in {EOT, ENQ}:
            body.append(octet)
            self._wants_bcc = octet == ETX
            if len(body) > BLOCK_LIMIT:
                self._body = None
            return None
        self._body = None
        if octet == EOT:
            return Over()
        if octet == ACK:
            return Acknowledged()
        if octet == NAK:
            return Refused(prefix=chr(before) if before in STATIONS else "")
        return Asked(station=chr(before)) if octet == ENQ and before in STATIONS else None
