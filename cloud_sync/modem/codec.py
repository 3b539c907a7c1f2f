"""AT commands without I/O: bytes in, what they mean out; one command at a time.

A modem says three kinds of things on one line: the reply to a command, a prompt for text, and whatever it pleases
(unsolicited results), also in the middle of a reply. `Cutter` makes lines of bytes; `Dialogue` knows which of them
answer the command that is under way. Messages go as PDU, in hex digits, so nothing in a message can pass for a reply.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

MAX_LINE = 1024
"""The longest line that means something is a message as PDU, under 400 characters. A longer one is thrown away."""
MAX_REPLY_LINES = 600
"""A storage holds at most some hundred messages of two lines each."""
ESC = b"\x1b"
CTRL_Z = b"\x1a"
_WITH_BODY = ("+CMT:", "+CDS:", "+CBM:")
"""Unsolicited results with a second line."""


class Mark(Enum):
    """What is not a line."""

    PROMPT = "prompt"
    OVERLONG = "overlong"


class Cutter:
    """Lines out of bytes in any chunking. Empty ones are left out; what is too long is dropped, and said so once."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._is_skipping = False
        self._is_after_prompt = False

    def feed(self, chunk: bytes) -> Iterator[str | Mark]:
        """What these bytes complete. A prompt has no line end."""
        for byte in chunk:
            if byte in b"\r\n":
                if self._line:
                    yield self._line.decode("latin-1")
                    self._line.clear()
                self._is_skipping = self._is_after_prompt = False
            elif self._is_skipping:
                continue
            elif self._is_after_prompt and byte == 0x20:
                self._is_after_prompt = False
            elif byte == 0x3E and not self._line:
                self._is_after_prompt = True
                yield Mark.PROMPT
            elif len(self._line) >= MAX_LINE:
                self._line.clear()
                self._is_skipping = True
                yield Mark.OVERLONG
            else:
                self._is_after_prompt = False
                self._line.append(byte)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. `prefix` is what its reply lines begin with; `body` goes after the prompt; `timeout_s` is for all.

    With `has_pdus` each reply line is followed by one of hex digits.
    """

    text: str
    prefix: str = ""
    body: str = ""
    has_pdus: bool = False
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsolicited:
    """Something the modem said by itself; `body` is its second line, if it has one."""

    line: str
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command has ended: `final` is OK or the refusal. `pdus` go with `lines`, one each, where there are any."""

    final: str
    lines: tuple[str, ...] = ()
    pdus: tuple[str, ...] = ()

    @property
    def is_ok(self) -> bool:
        """Whether the modem did it."""
        return self.final == "OK"


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that are to go to the modem now."""

    content: bytes


Step = Unsolicited | Finished | Write


@dataclass(slots=True)
class _UnderWay:
    command: Command
    lines: list[str] = field(default_factory=list)
    pdus: list[str] = field(default_factory=list)
    wants_pdu: bool = False
    has_sent_body: bool = False


class Dialogue:
    """Commands and the lines that answer them."""

    def __init__(self) -> None:
        self._cutter = Cutter()
        self._now: _UnderWay | None = None
        self._unsolicited: str | None = None
        self.echoes = 0
        """How often the modem repeated what it was told: it has forgotten that it should not."""
        self.overlong = 0

    @property
    def is_busy(self) -> bool:
        """Whether a command is under way."""
        return self._now is not None

    def begin(self, command: Command) -> bytes:
        """The bytes that start a command. The one before has to be over."""
        if self._now is not None:
            raise RuntimeError("one command at a time")
        self._now = _UnderWay(command)
        return command.text.encode("ascii") + b"\r"

    def give_up(self) -> bytes:
        """Forget the command under way; returns what ends it on the modem's side."""
        self._now = None
        return ESC

    def feed(self, chunk: bytes) -> Iterator[Step]:
        """What these bytes mean."""
        for piece in self._cutter.feed(chunk):
            if piece is Mark.OVERLONG:
                self.overlong += 1
            elif piece is Mark.PROMPT:
                now = self._now
                if now is not None and now.command.body and not now.has_sent_body:
                    now.has_sent_body = True
                    yield Write(now.command.body.encode("ascii") + CTRL_Z)
            elif isinstance(piece, str):
                step = self._take(piece.strip(" \x00\x1a"))
                if step is not None:
                    yield step

    def _take(self, line: str) -> Step | None:
        if not line:
            return None
        if self._unsolicited is not None:
            head, self._unsolicited = self._unsolicited, None
            if _is_hex(line):
                return Unsolicited(line=head, body=line)
        if line.startswith(_WITH_BODY):
            self._unsolicited = line
            return None
        now = self._now
        if now is None:
            return None if line == "OK" else Unsolicited(line=line)
        if line == now.command.text or (now.command.body and line == now.command.body):
            self.echoes += 1
            return None
        if is_final(line):
            self._now = None
            return Finished(final=line, lines=tuple(now.lines), pdus=tuple(now.pdus))
        if now.wants_pdu and _is_hex(line):
            now.wants_pdu = False
            now.pdus.append(line)
            return None
        if now.command.prefix and line.startswith(now.command.prefix) and not _is_news(line):
            if len(now.lines) < MAX_REPLY_LINES:
                if now.wants_pdu:
                    now.pdus.append("")  # the line before had none
                now.lines.append(line)
                now.wants_pdu = now.command.has_pdus
            return None
        return Unsolicited(line=line)


def is_final(line: str) -> bool:
    """Whether a line ends a command."""
    return line in {"OK", "ERROR"} or line.startswith(("+CMS ERROR", "+CME ERROR"))


def _is_news(line: str) -> bool:
    """A registration that changed (`+CREG: 5`) looks like the answer to a question (`+CREG: 1,5`), but is shorter."""
    head, _, rest = line.partition(":")
    return head in {"+CREG", "+CEREG"} and rest.strip().isdigit()


def _is_hex(line: str) -> bool:
    return len(line) % 2 == 0 and all(sign in "0123456789ABCDEFabcdef" for sign in line)


def parameters(line: str) -> list[str]:
    """What stands after the colon, cut at commas outside quotes, quotes taken off."""
    _, _, rest = line.partition(":")
    found, part, is_quoted = [], "", False
    for sign in rest.strip():
        if sign == '"':
            is_quoted = not is_quoted
        elif sign == "," and not is_quoted:
            found.append(part.strip())
            part = ""
        else:
            part += sign
    return [*found, part.strip()]


def number_at(fields: list[str], index: int) -> int | None:
    """A whole number among parameters; None when it is not there or is none."""
    if index >= len(fields):
        return None
    text = fields[index]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
