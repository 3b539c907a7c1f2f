"""The slave's side of ESPA 4.4.4: bytes and the time in, what was heard and what to answer out.

The rules of the line, as far as a slave station needs them (basic mode control procedures, ISO 1745):

* EOT ends whatever was going on. `<station> ENQ` then polls that station, which becomes temporary master.
* The temporary master selects a receiver by `<station> ENQ`. A control station with something to send polls itself:
  `1 ENQ 2 ENQ`. So our own `<station> ENQ` is a selection when another station was polled since the last EOT, and a
  poll when none was. A poll is answered EOT (nothing to send), a selection ACK.
* A block is `SOH header STX id US text {RS id US text} ETX BCC`. The BCC is the exclusive or of every byte after SOH up
  to and with ETX. It may equal any control character and is therefore taken by its place, never looked for.
* A sound block is answered ACK, a damaged one `1 NAK`, after which the master sends it again.

`Slave` is total, bounded and free of I/O: any bytes in any chunking, it never raises and never holds more than one
block. SOH, EOT and ENQ cannot occur inside a block, so nothing that was collected before one of them, or before a bad
checksum, can hold the start of another block: giving up a block needs no second look at its bytes, except the last.

Its ACK to a block is not its own to give. `Delivered` carries a number; whoever has made the call safe hands it to
`answer`. When the master has gone on meanwhile (EOT, ENQ or SOH), the answer is void: an ACK that comes too late would
be read as the answer to something else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import xor

SOH, STX, ETX, EOT, ENQ, ACK, NAK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x15
RS, US = 0x1E, 0x1F

REPLY_ACK = bytes([ACK])
REPLY_EOT = bytes([EOT])
REPLY_NAK = b"1" + bytes([NAK])
"""Prefix 1 is "transmission error": the only refusal that every master answers by sending the block again."""

BLOCK_LIMIT = 1024
"""Bytes from header to ETX. Eight records of 128 characters are the most that has been seen to make sense."""
GAP_S = 1.0
"""Silence inside a block after which its rest will not come. One byte takes 0.04 s on the slowest line (300 Bd)."""
STATIONS = b"0123456789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One sound block as it stood on the line. Record ids we do not know are kept."""

    header: str
    records: tuple[tuple[str, bytes], ...]
    raw: bytes
    """From header to ETX, without SOH and BCC: what a redelivery repeats byte for byte."""

    def record(self, identifier: str) -> bytes:
        """The first record with this id, b"" when there is none."""
        return next((text for known, text in self.records if known == identifier), b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Something the line said. `reply` goes out at once."""

    reply: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled(Heard):
    """The control station asked whether we have something to send."""

    is_sure: bool = True
    """False when this may be the second half of a selection, of which the first was said before we listened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected(Heard):
    """A block for us comes next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Heard):
    """Another station was polled or selected."""

    station: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Heard):
    """EOT: the master took what we answered, or gave up waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered(Heard):
    """A sound block. Its answer is owed: `Slave.answer(number, ...)`."""

    block: Block
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overheard(Heard):
    """A block for another station on the same pair of wires."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged(Heard):
    """A block with a bad checksum, answered by NAK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment(Heard):
    """A block that broke off, or what looked like one. Nobody waits for an answer."""


def checksum(body: bytes) -> int:
    """BCC over everything after SOH up to and with ETX."""
    return reduce(xor, body, 0)


def parse_block(raw: bytes) -> Block:
    """Split `raw`, which begins with header and STX and ends with ETX. Total: what has no US becomes an id alone.

    Seen on real panels and taken for what it means: an RS with nothing behind it before ETX, a space after STX.
    """
    records = []
    for part in raw[2:-1].split(bytes([RS])):
        identifier, _, text = part.partition(bytes([US]))
        name = identifier.decode("latin-1").strip(" \x00")
        if name or text:
            records.append((name, text))
    return Block(header=chr(raw[0]), records=tuple(records), raw=raw)


class Slave:
    """One slave station. Feed it what the line says; send what it replies."""

    __slots__ = (
        "_addressed",
        "_answering",
        "_body",
        "_fed_at_s",
        "_has_heard_end",
        "_is_polled_elsewhere",
        "_last",
        "_mask",
        "_number",
        "_station",
        "_wants_bcc",
    )

    def __init__(self, *, station: str = "2", strip_high_bit: bool = False) -> None:
        self._station = ord(station)
        self._mask = 0x7F if strip_high_bit else 0xFF
        self._number = 0
        self._answering: int | None = None
        self._fed_at_s = 0.0
        self._body: bytearray | None = None
        self._wants_bcc = False
        self._last = 0
        self._is_polled_elsewhere = False
        self._has_heard_end = False
        self._addressed: int | None = None

    @property
    def is_mid_block(self) -> bool:
        return self._body is not None

    @property
    def owes_answer(self) -> bool:
        """The master waits for our answer to a block."""
        return self._answering is not None

    def restart(self) -> None:
        """A new line: nothing said before counts. Numbers go on, so that no old answer fits a new block."""
        self._answering = None
        self._body = None
        self._wants_bcc = False
        self._last = 0
        self._is_polled_elsewhere = False
        self._has_heard_end = False
        self._addressed = None

    def answer(self, number: int, *, is_accepted: bool) -> bytes:
        """The bytes that answer delivery `number`, b"" when the master has gone on since."""
        if number != self._answering:
            return b""
        self._answering = None
        if not is_accepted:
            return REPLY_NAK
        # The talk is done. Should the master leave out its EOT, our own address followed by ENQ is a poll again.
        self._is_polled_elsewhere = False
        return REPLY_ACK

    def feed(self, chunk: bytes, now_s: float) -> list[Heard]:
        """What `chunk`, received at `now_s` (any steady clock), says."""
        heard: list[Heard] = []
        if self._body is not None and now_s - self._fed_at_s > GAP_S:
            self._body = None
            self._last = 0
            heard.append(Fragment())
        self._fed_at_s = now_s
        for byte in chunk:
            self._take(byte & self._mask, heard)
        return heard

    def _take(self, byte: int, heard: list[Heard]) -> None:
        body = self._body
        if body is None:
            self._take_control(byte, heard)
        elif self._wants_bcc:
            self._body = None
            self._last = ETX
            self._finish(bytes(body), byte, heard)
        elif byte in {SOH, EOT, ENQ} or not self._fits(len(body), byte):
            self._body = None
            heard.append(Fragment())
            self._take_control(byte, heard)
        else:
            body.append(byte)
            self._last = byte
            self._wants_bcc = byte == ETX

    @staticmethod
    def _fits(place: int, byte: int) -> bool:
        if place == 0:
            return 0x20 < byte < 0x7F
        if place == 1:
            return byte == STX
        return place < BLOCK_LIMIT

    def _take_control(self, byte: int, heard: list[Heard]) -> None:
        before, self._last = self._last, byte
        if byte == SOH:
            self._answering = None
            self._body = bytearray()
            self._wants_bcc = False
        elif byte == EOT:
            self._answering = None
            self._has_heard_end = True
            self._is_polled_elsewhere = False
            self._addressed = None
            heard.append(Ended())
        elif byte == ENQ and before in STATIONS:
            self._answering = None
            heard.extend(self._enquired(before))

    def _enquired(self, station: int) -> list[Heard]:
        if self._is_polled_elsewhere:
            self._addressed = station
            return [Selected(reply=REPLY_ACK) if station == self._station else Elsewhere(station=chr(station))]
        if station == self._station:
            self._addressed = None
            return [Polled(reply=REPLY_EOT, is_sure=self._has_heard_end)]
        self._is_polled_elsewhere = True
        self._addressed = None
        return [Elsewhere(station=chr(station))]

    def _finish(self, body: bytes, bcc: int, heard: list[Heard]) -> None:
        # A block before which no selection was heard is ours: we may have started in the middle of a talk.
        is_ours = self._addressed in {None, self._station}
        if checksum(body) == bcc:
            if not is_ours:
                heard.append(Overheard())
                return
            self._number += 1
            self._answering = self._number
            heard.append(Delivered(block=parse_block(body), number=self._number))
            return
        heard.append(Damaged(reply=REPLY_NAK) if is_ours else Fragment())
        # The block is given up, its last byte may be the first of something else.
        self._take_control(bcc, heard)
