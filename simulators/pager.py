"""A paging system at the other end of an ESPA 4.4.4 line: receivers in staff's pockets, and what they have shown.

Written from the protocol with its own framing. As a slave station it lets itself be selected, takes or refuses blocks,
and tells what became of calls when it is polled. Where the hub is the one that is polled it plays the control station
as well, and polls the hub. It misbehaves on request (`PagerFaults`).

    async with PagingSystem(PtyWire()) as paging:
        ...                                       # the hub's settings name paging.port
        await paging.until(lambda: paging.showing("550"))
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from simulators.espa_wires import Wire

_SOH, _STX, _ETX, _EOT, _ENQ, _ACK, _NAK = 1, 2, 3, 4, 5, 6, 0x15
_RS, _US = b"\x1e", b"\x1f"
_LETTERS = str.maketrans("[\\]{|}", "ÆØÅæøå")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One block that was taken."""

    header: str
    address: str
    text: str
    beep: str
    call_type: str
    transmissions: str
    priority: str
    at_s: float

    @property
    def is_cancel(self) -> bool:
        """Call type 1 takes a call back."""
        return self.call_type == "1"


@dataclass(slots=True, kw_only=True)
class PagerFaults:
    """What goes wrong. Numbers count down, switches stay until turned back."""

    spoiled: int = 0
    """So many blocks are answered as damaged."""
    lost_acks: int = 0
    """So many blocks are taken and their ACK never comes."""
    refusals: int = 0
    """So many blocks are refused with another code than a damaged line."""
    refuses_cancels: bool = False
    """Does not know the call type that takes a call back."""
    busy: int = 0
    """So many selections are answered NAK."""
    is_silent: bool = False
    """Switched off."""


@dataclass(slots=True)
class _Block:
    body: bytearray = field(default_factory=bytearray)
    wants_bcc: bool = False


class PagingSystem:
    """Enter it to plug it in. `polls_hub`: it is the control station too and polls the hub as `hub_station`."""

    def __init__(
        self,
        wire: Wire,
        *,
        station: str = "2",
        hub_station: str = "1",
        polls_hub: bool = False,
        poll_interval_s: float = 0.2,
        reply_timeout_s: float = 0.5,
    ) -> None:
        self.faults = PagerFaults()
        self.pages: list[Page] = []
        """Every block that was taken, also those whose ACK was lost."""
        self.polls = 0
        self.selections = 0
        self.damaged = 0
        self.has_transmitter = True
        self._wire = wire
        self._station = ord(station)
        self._hub = ord(hub_station)
        self._polls_hub = polls_hub
        self._poll_interval_s = poll_interval_s
        self._reply_timeout_s = reply_timeout_s
        self._reports: deque[bytes] = deque(maxlen=100)
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self._octets: asyncio.Queue[int] = asyncio.Queue()

    @property
    def port(self) -> str:
        return self._wire.port

    async def __aenter__(self) -> Self:
        await self._wire.plug_in()
        serve = self._be_control_station() if self._polls_hub else self._be_slave()
        self._tasks = [
            asyncio.create_task(self._listen(), name="pager-ear"),
            asyncio.create_task(serve, name="pager"),
        ]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._wire.hang_up()

    # what staff and tests see

    def showing(self, address: str = "") -> list[str]:
        """The texts on the displays now: what was paged and not taken back, newest last."""
        shown: list[str] = []
        for page in self.pages:
            if address and page.address != address:
                continue
            if page.is_cancel:
                shown = [text for text in shown if not _belongs(page.text, text)]
            elif page.text not in shown:
                shown.append(page.text)
        return shown

    async def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so; looked at after every poll and block. Give it a timeout."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(is_so()))

    def fail_transmitter(self, *, is_broken: bool) -> None:
        """The transmitter breaks or is mended: told at the next poll."""
        self.has_transmitter = not is_broken
        self._reports.append(_block(b"2", [(b"8", b"1" if is_broken else b"0")]))

    async def hang_up(self) -> None:
        await self._wire.hang_up()

    async def plug_in(self) -> None:
        await self._wire.plug_in()

    # the line

    async def _listen(self) -> None:
        while True:
            self._octets.put_nowait(await self._wire.read())

    async def _next(self, timeout_s: float | None) -> int | None:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._octets.get()
        except TimeoutError:
            return None

    def _say(self, octets: bytes) -> None:
        if not self.faults.is_silent:
            self._wire.write(octets)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _be_slave(self) -> None:
        """Polled and selected by the hub."""
        block: _Block | None = None
        last = 0
        others_turn = False
        while True:
            octet = await self._next(None)
            if octet is None:
                continue
            if block is not None:
                block = await self._collect(block, octet)
            elif octet == _SOH:
                block = _Block()
            elif octet == _EOT:
                others_turn = False
            elif octet == _ENQ and last == self._station:
                if others_turn:
                    self._selected()
                else:
                    await self._polled()
                others_turn = False
            elif octet == _ENQ:
                others_turn = True
            last = octet

    def _selected(self) -> None:
        self.selections += 1
        if self.faults.busy > 0:
            self.faults.busy -= 1
            self._say(b"3" + bytes([_NAK]))
        else:
            self._say(bytes([_ACK]))

    async def _polled(self) -> None:
        if self.faults.is_silent:
            return
        self.polls += 1
        while self._reports:
            report = self._reports.popleft()
            self._say(bytes([self._hub, _ENQ]))
            if await self._next(self._reply_timeout_s) != _ACK:
                break
            self._say(report)
            if await self._next(self._reply_timeout_s) != _ACK:
                break
        self._say(bytes([_EOT]))
        await self._tell()

    async def _collect(self, block: _Block, octet: int) -> _Block | None:
        """One more byte of a block; answered when it is whole."""
        if not block.wants_bcc:
            block.body.append(octet)
            block.wants_bcc = octet == _ETX
            return block
        check = 0
        for one in block.body:
            check ^= one
        faults = self.faults
        if check != octet or faults.spoiled > 0:
            faults.spoiled -= check == octet
            self.damaged += 1
            self._say(b"1" + bytes([_NAK]))
        elif faults.refusals > 0:
            faults.refusals -= 1
            self._say(b"4" + bytes([_NAK]))
        elif faults.refuses_cancels and _RS + b"4" + _US + b"1" + _RS in block.body:
            self._say(b"4" + bytes([_NAK]))
        elif not faults.is_silent:
            self._take(bytes(block.body))
            if faults.lost_acks > 0:
                faults.lost_acks -= 1
            else:
                self._say(bytes([_ACK]))
        await self._tell()
        return None

    def _take(self, body: bytes) -> None:
        header, records = body[:1].decode(), body[2:-1].split(_RS)
        values = dict(record.split(_US, 1) for record in records if _US in record)

        def text(key: bytes) -> str:
            return values.get(key, b"").decode("latin-1").translate(_LETTERS)

        self.pages.append(
            Page(
                header=header,
                address=text(b"1"),
                text=text(b"2"),
                beep=text(b"3"),
                call_type=text(b"4"),
                transmissions=text(b"5"),
                priority=text(b"6"),
                at_s=asyncio.get_running_loop().time(),
            )
        )
        self._reports.append(_block(b"2", [(b"1", values.get(b"1", b"")), (b"7", b"3")]))

    async def _be_control_station(self) -> None:
        """Polls the hub; the hub selects us when it has something."""
        while True:
            if not self.faults.is_silent:
                self._say(bytes([_EOT, self._hub, _ENQ]))
                await self._hub_speaks()
                self.polls += 1
                await self._tell()
            await asyncio.sleep(self._poll_interval_s)

    async def _hub_speaks(self) -> None:
        last = 0
        block: _Block | None = None
        while (octet := await self._next(self._reply_timeout_s)) is not None:
            if block is not None:
                block = await self._collect(block, octet)
            elif octet == _SOH:
                block = _Block()
            elif octet == _EOT:
                return
            elif octet == _ENQ and last == self._station:
                self._selected()
            last = octet


def _belongs(cancel: str, shown: str) -> bool:
    """Whether a cancelling text names what is shown: they share their last word, the place."""
    place = shown.rsplit(maxsplit=1)[-1] if shown.split() else ""
    return shown in cancel or (bool(place) and place in cancel)


def _block(header: bytes, records: list[tuple[bytes, bytes]]) -> bytes:
    body = header + bytes([_STX]) + _RS.join(name + _US + value for name, value in records) + bytes([_ETX])
    check = 0
    for octet in body:
        check ^= octet
    return bytes([_SOH]) + body + bytes([check])
