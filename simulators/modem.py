"""An AT modem, seen from its own side: written from 3GPP TS 27.005 and 27.007, on a pty or over TCP.

It has a card with a PIN, a storage that fills up, a network that may be away, slow or unwilling, and the habit of
saying things in between. What it sends goes to whoever carries messages (`simulators.sms_provider`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

Carry = Callable[[str, str, str], Awaitable[None]]
"""(from, to, text): the network takes a message."""
CAPACITY = 10
_GSM = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_AFTER_ESCAPE = {
    "\n": "\f", "Λ": "^", "(": "{", ")": "}", "/": "\\", "<": "[", "=": "~", ">": "]", "¡": "|", "e": "€",
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Card:
    """A SIM card. `pin` "" means that none is wanted."""

    number: str
    pin: str = ""
    attempts: int = 3
    is_open: bool = False
    is_in: bool = True
    stored: dict[int, str] = field(default_factory=dict)
    """Place to PDU."""

    @property
    def state(self) -> str:
        """What `AT+CPIN?` says."""
        if self.attempts == 0:
            return "SIM PUK"
        return "READY" if self.is_open or not self.pin else "SIM PIN"


class SimulatedModem:
    """One modem with one card. Change its attributes to make trouble."""

    def __init__(self, number: str, *, pin: str = "", carry: Carry | None = None) -> None:
        self.card = Card(number=number, pin=pin)
        self.carry = carry
        self.registration = 1
        self.packet_registration = 1
        self.rssi = 17
        self.operator = "Nettverk"
        self.errors: list[str] = []
        """Final results that the next sends end with, one each, such as `+CMS ERROR: 331`."""
        self.send_delay_s = 0.0
        self.never_answers_sends = False
        self.is_wedged = False
        """Turns every message down until it is started anew."""
        self.restarts = 0
        self.is_deaf = False
        """Takes everything and says nothing."""
        self.mute_on: set[str] = set()
        """Commands that it takes and never answers."""
        self.chatter: list[str] = []
        """Unsolicited lines that come in the middle of the next replies."""
        self.tells_attempts = True
        self.capacity = CAPACITY
        self.commands: list[str] = []
        self.sent: list[tuple[str, str]] = []
        self.aborted = 0
        self.pins_tried: list[str] = []
        self.news = asyncio.Event()
        self._echo = True
        self._format = 1
        self._tells_where = False
        self._reference = 0
        self._write: Callable[[bytes], None] | None = None
        self._hang_up: Callable[[], None] | None = None
        self._buffer = bytearray()
        self._body: int | None = None
        self._sending: asyncio.Task[None] | None = None

    # what the world does to it

    def hang_up(self) -> None:
        """The line goes: the cable is pulled."""
        if self._hang_up is not None:
            self._hang_up()

    def restart(self) -> None:
        """It lost power for a moment: all that it was told is forgotten, and the card wants its PIN again."""
        self._echo, self._format, self._tells_where = True, 1, False
        self.card.is_open = False
        self._body = None
        self.say("RDY")

    def say(self, line: str) -> None:
        """Something unsolicited, now."""
        if self._write is not None:
            self._write(f"\r\n{line}\r\n".encode("latin-1"))

    def set_registration(self, status: int) -> None:
        """The network lets it in or throws it out, and it says so."""
        self.registration = self.packet_registration = status
        self.say(f"+CREG: {status}")
        self.say(f"+CEREG: {status}")

    def receive(self, sender: str, text: str) -> bool:
        """A message arrives. False when there is no network or no room: the network keeps it."""
        if self.registration not in {1, 5} or len(self.card.stored) >= self.capacity:
            return False
        place = next(index for index in range(1, self.capacity + 1) if index not in self.card.stored)
        self.card.stored[place] = delivered(sender, text)
        if self._tells_where:
            self.say(f'+CMTI: "SM",{place}')
        return True

    async def until(self, holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until something is true of it."""
        async with asyncio.timeout(timeout_s):
            while not holds():
                self.news.clear()
                await self.news.wait()

    # the line

    @asynccontextmanager
    async def on_pty(self, link: Path) -> AsyncIterator[Path]:
        """Plugged in: a serial port appears under this name, and goes on leaving."""
        loop = asyncio.get_running_loop()
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(theirs))
        is_open = True

        def close() -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                self._write = self._hang_up = None
                loop.remove_reader(ours)
                os.close(ours)
                os.close(theirs)
                link.unlink(missing_ok=True)

        def read() -> None:
            try:
                chunk = os.read(ours, 1024)
            except BlockingIOError:
                return
            except OSError:
                return
            self._heard(chunk)

        def write(content: bytes) -> None:
            with contextlib.suppress(OSError):
                os.write(ours, content)

        self._write, self._hang_up = write, close
        loop.add_reader(ours, read)
        try:
            yield link
        finally:
            close()
            await self._end_sending()

    @asynccontextmanager
    async def on_tcp(self) -> AsyncIterator[str]:
        """On a serial server: yields its `socket://` address."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._write, self._hang_up = writer.write, writer.transport.abort
            try:
                while chunk := await reader.read(1024):
                    self._heard(chunk)
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        try:
            yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            self.hang_up()
            await server.wait_closed()
            self._write = self._hang_up = None
            await self._end_sending()

    async def _end_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)

    def _heard(self, chunk: bytes) -> None:
        if self.is_deaf:
            return
        for byte in chunk:
            if self._echo and self._write is not None:
                self._write(bytes([byte]))
            if self._body is not None:
                if byte == 0x1B:
                    self._body = None
                    self._buffer.clear()
                    self.aborted += 1
                    self._answer("OK")
                elif byte == 0x1A:
                    length, self._body = self._body, None
                    digits = self._buffer.decode("ascii", "replace")
                    self._buffer.clear()
                    self._sending = asyncio.get_running_loop().create_task(self._send(digits, length))
                else:
                    self._buffer.append(byte)
            elif byte == 0x0D:
                line = self._buffer.decode("ascii", "replace").strip()
                self._buffer.clear()
                if line:
                    self._command(line)
            elif byte == 0x1B:
                if self._sending is not None and not self._sending.done():
                    self._sending.cancel()
                    self.aborted += 1
                self._buffer.clear()
            elif byte != 0x0A:
                self._buffer.append(byte)
        self.news.set()

    # commands

    def _command(self, line: str) -> None:
        self.commands.append(line)
        name, _, value = line.upper().partition("=")
        match name:
            case _ if line in self.mute_on:
                return
            case "AT" | "ATZ" | "AT+CMEE" | "AT+CREG" | "AT+CEREG" | "AT+COPS":
                self._answer("OK")
            case "ATE0" | "ATE1":
                self._echo = name == "ATE1"
                self._answer("OK")
            case "AT+CPIN?":
                self._answer("OK", f"+CPIN: {self.card.state}") if self.card.is_in else self._answer("+CME ERROR: 10")
            case "AT+CPIN":
                self._enter_pin(value.strip('"'))
            case "AT+CPINR":
                reply = f"+CPINR: SIM PIN,{self.card.attempts},3"
                self._answer("OK", reply) if self.tells_attempts else self._answer("ERROR")
            case "AT+CREG?":
                self._answer("OK", f"+CREG: 1,{self.registration}")
            case "AT+CEREG?":
                self._answer("OK", f"+CEREG: 1,{self.packet_registration}")
            case "AT+CFUN" if value == "1,1":
                self._answer("OK")
                self.is_wedged = False
                self.restarts += 1
                self.restart()
            case "AT+CSQ":
                self._answer("OK", f"+CSQ: {self.rssi},99")
            case "AT+COPS?":
                has_name = self.registration in {1, 5}
                self._answer("OK", f'+COPS: 0,0,"{self.operator}",7' if has_name else "+COPS: 0")
            case _ if not self.card.is_in:
                self._answer("+CMS ERROR: 310")
            case _ if self.card.state != "READY":
                self._answer("+CMS ERROR: 311")
            case "AT+CMGF":
                self._format = int(value)
                self._answer("OK")
            case "AT+CNMI":
                self._tells_where = value.startswith("2,1")
                self._answer("OK")
            case "AT+CMGR":
                self._show(int(value))
            case "AT+CMGL":
                listed = [f"+CMGL: {place},1,,{length_of(d)}\r\n{d}" for place, d in sorted(self.card.stored.items())]
                self._answer("OK", *listed)
            case "AT+CMGD":
                known = self.card.stored.pop(int(value), None)
                self._answer("OK" if known else "+CMS ERROR: 321")
            case "AT+CMGS":
                self._body = int(value) if self._format == 0 else -1
                if self._write is not None:
                    self._write(b"\r\n> ")
            case _:
                self._answer("ERROR")

    def _enter_pin(self, pin: str) -> None:
        self.pins_tried.append(pin)
        if self.card.state == "SIM PUK":
            self._answer("+CME ERROR: 12")
        elif pin == self.card.pin:
            self.card.is_open, self.card.attempts = True, 3
            self._answer("OK")
        else:
            self.card.attempts -= 1
            self._answer("+CME ERROR: 16" if self.card.attempts else "+CME ERROR: 12")

    def _show(self, place: int) -> None:
        digits = self.card.stored.get(place)
        if digits is None:
            self._answer("+CMS ERROR: 321")
        else:
            self._answer("OK", f"+CMGR: 0,,{length_of(digits)}\r\n{digits}")

    def _answer(self, final: str, *replies: str) -> None:
        if self._write is None:
            return
        lines = list(replies)
        if self.chatter:
            lines.insert(len(lines) // 2, self.chatter.pop(0))
        for line in [*lines, final]:
            self._write(f"\r\n{line}\r\n".encode("latin-1"))

    async def _send(self, digits: str, length: int) -> None:
        await asyncio.sleep(self.send_delay_s)
        if self.never_answers_sends:
            await asyncio.Event().wait()
        try:
            to, text = submitted(digits)
            is_right = length == len(bytes.fromhex(digits)) - 1 - bytes.fromhex(digits)[0]
        except (ValueError, IndexError):
            is_right = False
        if self.errors:
            self._answer(self.errors.pop(0))
        elif self.is_wedged:
            self._answer("+CMS ERROR: 302")
        elif not is_right:
            self._answer("+CMS ERROR: 304")
        elif self.registration not in {1, 5} and self.packet_registration not in {1, 5}:
            self._answer("+CMS ERROR: 331")
        else:
            self._reference = (self._reference + 1) % 256
            self.sent.append((to, text))
            self._answer("OK", f"+CMGS: {self._reference}")
            if self.carry is not None:
                await self.carry(self.card.number, to, text)
        self.news.set()


def length_of(digits: str) -> int:
    """What `+CMGR` says: octets without the service centre's address."""
    raw = bytes.fromhex(digits)
    return len(raw) - 1 - raw[0]


def submitted(digits: str) -> tuple[str, str]:
    """(to, text) of an SMS-SUBMIT (TS 23.040 §9.2.2.2)."""
    raw = bytes.fromhex(digits)
    at = 1 + raw[0]
    first, count = raw[at], raw[at + 2]
    if first & 3 != 1:
        raise ValueError("not a submit")
    octets = (count + 1) // 2
    number = "".join(f"{octet & 15:X}{octet >> 4:X}" for octet in raw[at + 4 : at + 4 + octets])[:count]
    at += 4 + octets
    coding, at = raw[at + 1], at + 2 + (1 if first & 0x18 == 0x10 else 0)
    length, content = raw[at], raw[at + 1 :]
    if coding == 8:
        if len(content) != length:
            raise ValueError("length")
        return f"+{number}", content.decode("utf-16-be")
    if len(content) != (length * 7 + 7) // 8:
        raise ValueError("length")
    bits = "".join(f"{octet:08b}"[::-1] for octet in content)
    text = "".join(_GSM[int(bits[7 * n : 7 * n + 7][::-1], 2)] for n in range(length))
    for code, sign in _AFTER_ESCAPE.items():
        text = text.replace("\x1b" + code, sign)
    return f"+{number}", text


def delivered(sender: str, text: str) -> str:
    """An SMS-DELIVER (TS 23.040 §9.2.2.1) with the service centre in front, in hex digits."""
    if sender.startswith("+"):
        digits = sender[1:] + "F" * (len(sender[1:]) % 2)
        swapped = "".join(digits[n + 1] + digits[n] for n in range(0, len(digits), 2))
        address = f"{len(sender) - 1:02X}91{swapped}"
    else:
        packed = _packed(sender)
        address = f"{len(packed):02X}D0{packed}"
    if all(sign in _GSM for sign in text):
        coding, length, content = "00", len(text), _packed(text)
    else:
        content = text.encode("utf-16-be").hex().upper()
        coding, length = "08", len(content) // 2
    return f"07917401000000F004{address}00{coding}62112280000040{length:02X}{content}"


def _packed(text: str) -> str:
    bits = "".join(f"{_GSM.index(sign):07b}"[::-1] for sign in text)
    bits += "0" * (-len(bits) % 8)
    return "".join(f"{int(bits[n : n + 8][::-1], 2):02X}" for n in range(0, len(bits), 8))
