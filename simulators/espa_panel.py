"""A nurse-call panel: the control station of an ESPA 4.4.4 line, written from the protocol with its own encoder.

It polls its slave regularly, delivers calls, keeps a call until it is acknowledged, and misbehaves on request in the
ways real panels and real cables do (`Faults`). It sits on a pseudo-terminal (whose other end is the hub's port), waits
as a serial server for the hub to connect, or connects to a hub that listens.

    async with EspaPanel(PtyWire(link=Path("ward.tty"))) as panel:
        print(panel.port)                       # what the hub's settings say
        delivery = await panel.press("call", room="101")
        panel.faults.lost_acks = 1
        await panel.hang_up()
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from simulators.espa_wires import ClientWire, PtyWire, ServerWire, Wire

__all__ = [
    "EXAMPLE_MAPPING",
    "KINDS",
    "ClientWire",
    "EspaPanel",
    "Faults",
    "Outcome",
    "PanelCall",
    "PanelDelivery",
    "PtyWire",
    "ServerWire",
    "Wire",
    "settings_of",
]

_SOH, _STX, _ETX, _EOT, _ENQ, _ACK, _NAK, _RS, _US = (bytes([code]) for code in (1, 2, 3, 4, 5, 6, 0x15, 0x1E, 0x1F))

KINDS: Mapping[str, tuple[str, str, str]] = {
    "call": ("ANROP ROM {room}", "3", "3"),
    "emergency": ("ALARM ROM {room}", "3", "1"),
    "assistance": ("ASSISTANSE ROM {room}", "3", "2"),
    "presence": ("TILSTEDE ROM {room}", "3", "3"),
    "reset": ("AVSTILT ROM {room}", "1", "3"),
}
"""What this panel writes for each kind: text, call type, priority."""

EXAMPLE_MAPPING: tuple[dict[str, str], ...] = (
    {"call_type": "1", "text": r"ROM (?P<room>\w{1,8})$", "value": "reset", "device": "room-{room}"},
    {"text": r"^TILSTEDE ROM (?P<room>\w{1,8})$", "value": "presence", "device": "room-{room}"},
    {"text": r"^ASSISTANSE ROM (?P<room>\w{1,8})$", "value": "assistance", "device": "room-{room}"},
    {"priority": "1", "text": r"ROM (?P<room>\w{1,8})$", "value": "emergency", "device": "room-{room}"},
    {"text": r"^ANROP ROM (?P<room>\w{1,8})$", "value": "call", "device": "room-{room}"},
)
"""The mapping table of an installation with this panel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelCall:
    """One block's worth of fields, as the panel would fill them."""

    text: str
    address: str = "550"
    header: str = "1"
    beep: str = "3"
    call_type: str = "3"
    transmissions: str = "1"
    priority: str = "3"
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, kw_only=True)
class Faults:
    """What goes wrong. Numbers count down, switches stay until turned back."""

    bad_bcc: int = 0
    """So many blocks go out with a wrong checksum."""
    lost_acks: int = 0
    """So many answers to blocks never reach the panel."""
    is_silent: bool = False
    """No polls, no calls: a panel that has stopped."""
    is_impatient: bool = False
    """EOT right behind the block, without waiting for the answer."""
    has_stray_rs: bool = False
    has_stray_space: bool = False
    omits_eot: bool = False
    parity: bool = False
    """Even parity in bit 7 of every byte: a seven-bit panel behind an eight-bit converter."""
    byte_delay_s: float | None = None
    """Every byte by itself, so far apart."""


class Outcome(StrEnum):
    ACKED = "acked"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelDelivery:
    """What became of a call. `blocks_sent` counts every copy; `answers` is what came back for each."""

    call: PanelCall
    outcome: Outcome
    blocks_sent: int
    answers: tuple[bytes, ...]
    took_s: float


@dataclass(slots=True)
class _Pending:
    call: PanelCall
    result: asyncio.Future[PanelDelivery]
    began_s: float
    rounds: int = 0
    answers: list[bytes] = field(default_factory=list)
    blocks_sent: int = 0


class EspaPanel:
    """The control station. Enter it to plug it in; it polls until left.

    `wire` decides where it sits, `faults` what goes wrong. A call is kept, and offered again every `retry_s`, until the
    slave acknowledges it or `rounds` offers were in vain (None: for ever). One offer is a selection and at most
    `tries` copies of the block.
    """

    def __init__(
        self,
        wire: Wire,
        *,
        station: str = "1",
        slave: str = "2",
        charset: str = "ascii",
        poll_interval_s: float = 1.0,
        reply_timeout_s: float = 1.0,
        tries: int = 3,
        retry_s: float = 1.0,
        rounds: int | None = None,
    ) -> None:
        self.faults = Faults()
        self.polls_answered = 0
        self.blocks_sent = 0
        self.talk: deque[tuple[str, bytes]] = deque(maxlen=1000)
        """What was said: ("panel", bytes sent in one go) and ("hub", one answer)."""
        self._wire = wire
        self._own = station.encode()
        self._slave = slave.encode()
        self._charset = charset
        self._poll_interval_s = poll_interval_s
        self._reply_timeout_s = reply_timeout_s
        self._tries = tries
        self._retry_s = retry_s
        self._rounds = rounds
        self._pending: deque[_Pending] = deque()
        self._wake = asyncio.Event()
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> str:
        return self._wire.port

    async def __aenter__(self) -> Self:
        await self._wire.plug_in()
        self._task = asyncio.create_task(self._run(), name="espa-panel")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        for pending in self._pending:
            pending.result.cancel()
        self._pending.clear()
        await self._wire.hang_up()

    # What people and tests do.

    async def press(self, kind: str, *, room: str) -> PanelDelivery:
        """A call of one of KINDS from a room, until the hub has acknowledged it."""
        text, call_type, priority = KINDS[kind]
        return await self.send(PanelCall(text=text.format(room=room), call_type=call_type, priority=priority))

    async def send(self, call: PanelCall) -> PanelDelivery:
        """Queue a call and see what becomes of it."""
        loop = asyncio.get_running_loop()
        pending = _Pending(call, loop.create_future(), loop.time())
        self._pending.append(pending)
        self._wake.set()
        return await pending.result

    async def babble(self, octets: bytes) -> None:
        """Say just this, whatever it is."""
        await self._say(octets)

    async def hang_up(self) -> None:
        """Unplug the line."""
        await self._wire.hang_up()

    async def plug_in(self) -> None:
        await self._wire.plug_in()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so()`, looked at after everything the line says."""
        async with self._changed:
            await self._changed.wait_for(is_so)

    # What the control station does.

    async def _run(self) -> None:
        while True:
            if self.faults.is_silent:
                await self._rest(0.02)
                continue
            if self._pending:
                await self._offer(self._pending[0])
            else:
                await self._poll()
            await self._rest(self._retry_s if self._pending else self._poll_interval_s)

    async def _rest(self, seconds: float) -> None:
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _poll(self) -> None:
        await self._end()
        await self._say(self._slave + _ENQ)
        answer = await self._answer()
        if answer == _EOT:
            self.polls_answered += 1
            await self._tell()

    async def _offer(self, pending: _Pending) -> None:
        pending.rounds += 1
        await self._end()
        await self._say(self._own + _ENQ)
        await self._say(self._slave + _ENQ)
        is_taken = False
        if await self._answer() == _ACK:
            is_taken = await self._send_block(pending)
        await self._end()
        self._conclude(pending, is_taken=is_taken)

    def _conclude(self, pending: _Pending, *, is_taken: bool) -> None:
        """One offer is over: the call is done with, or kept for the next."""
        if is_taken or (self._rounds is not None and pending.rounds >= self._rounds):
            self._pending.popleft()
            if not pending.result.done():
                pending.result.set_result(
                    PanelDelivery(
                        call=pending.call,
                        outcome=Outcome.ACKED if is_taken else Outcome.GIVEN_UP,
                        blocks_sent=pending.blocks_sent,
                        answers=tuple(pending.answers),
                        took_s=asyncio.get_running_loop().time() - pending.began_s,
                    )
                )

    async def _send_block(self, pending: _Pending) -> bool:
        for _ in range(self._tries):
            block = self._block(pending.call)
            pending.blocks_sent += 1
            self.blocks_sent += 1
            await self._say(block)
            if self.faults.is_impatient:
                pending.answers.append(b"")
                return False
            answer = await self._answer()
            if answer and self.faults.lost_acks > 0:
                self.faults.lost_acks -= 1
                answer = b""
                await asyncio.sleep(self._reply_timeout_s)
            pending.answers.append(answer)
            if answer == _ACK:
                return True
        return False

    def _block(self, call: PanelCall) -> bytes:
        fields = [
            ("1", call.address),
            ("2", call.text),
            ("3", call.beep),
            ("4", call.call_type),
            ("5", call.transmissions),
            ("6", call.priority),
            *call.extra,
        ]
        records = _RS.join(name.encode("ascii") + _US + self._encoded(text) for name, text in fields if text)
        body = b"".join(
            (
                call.header.encode("ascii"),
                _STX,
                b" " if self.faults.has_stray_space else b"",
                records,
                _RS if self.faults.has_stray_rs else b"",
                _ETX,
            )
        )
        check = 0
        for octet in body:
            check ^= octet
        if self.faults.bad_bcc > 0:
            self.faults.bad_bcc -= 1
            check ^= 0x55
        return _SOH + body + bytes([check])

    def _encoded(self, text: str) -> bytes:
        if self._charset == "iso646-no":
            return text.translate(str.maketrans("ÆØÅæøå", "[\\]{|}")).encode("ascii", "replace")
        return text.encode(self._charset, "replace")

    async def _end(self) -> None:
        self._wire.forget_unheard()
        if not self.faults.omits_eot:
            await self._say(_EOT)

    async def _say(self, octets: bytes) -> None:
        self.talk.append(("panel", octets))
        sent = bytes(_with_parity(octet) for octet in octets) if self.faults.parity else octets
        if self.faults.byte_delay_s is None:
            self._wire.write(sent)
            return
        for octet in sent:
            self._wire.write(bytes([octet]))
            await asyncio.sleep(self.faults.byte_delay_s)

    async def _answer(self) -> bytes:
        """The slave's answer: ACK, EOT, or NAK with the prefix before it; b"" when none came in time."""
        said = b""
        try:
            async with asyncio.timeout(self._reply_timeout_s):
                while said[-1:] not in {_ACK, _NAK, _EOT}:
                    said += bytes([await self._wire.read()])
        except TimeoutError:
            self._wire.forget_unread()
            said = b""
        self.talk.append(("hub", said))
        await self._tell()
        return said

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _with_parity(octet: int) -> int:
    return octet | (0x80 if octet.bit_count() % 2 else 0)


def settings_of(panel: EspaPanel, **overrides: Any) -> dict[str, Any]:
    """A hub's settings for this panel, as they would stand in its file."""
    return {"alias": "panel", "port": panel.port, "mapping": list(EXAMPLE_MAPPING), **overrides}
