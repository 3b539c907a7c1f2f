"""A nurse-call panel that says nothing until it is polled: a plain station of an ESPA 4.4.4 line.

The control station is the hub. When this one is polled and has a call, it becomes temporary master, selects the control
station, sends its block and gives the line back with EOT. It misbehaves on request like `EspaPanel`, and can be one of
the simple kind that sends its block without selecting anybody.

    async with PolledPanel(PtyWire(link=Path("ward.tty"))) as panel:
        await panel.press("call", room="101")
"""

from __future__ import annotations

from typing import Any

from simulators.espa_panel import EspaPanel, Wire

_EOT, _ENQ, _ACK = b"\x04", b"\x05", b"\x06"


class PolledPanel(EspaPanel):
    """Station `station`, whose calls go to the control station `control`. A call is offered once in each poll."""

    def __init__(
        self, wire: Wire, *, station: str = "2", control: str = "1", selects: bool = True, **settings: Any
    ) -> None:
        super().__init__(wire, station=station, slave=control, **settings)
        self.selects = selects
        self.polls_heard = 0
        self.goes_dead_when_polled = 0
        """So many polls are answered by a selection after which nothing comes: a master that has lost the line."""

    async def _run(self) -> None:
        before = b""
        while True:
            octet = bytes([await self._wire.read()])
            if octet == _ENQ and before == self._own:
                await self._be_polled()
            before = octet

    async def _be_polled(self) -> None:
        self.polls_heard += 1
        await self._tell()
        if self.faults.is_silent:
            return
        if not self._pending:
            await self._say(_EOT)
            self.polls_answered += 1
            await self._tell()
            return
        pending = self._pending[0]
        pending.rounds += 1
        is_ready = True
        if self.selects:
            await self._say(self._slave + _ENQ)
            if self.goes_dead_when_polled > 0:
                self.goes_dead_when_polled -= 1
                return
            is_ready = await self._answer() == _ACK
        is_taken = is_ready and await self._send_block(pending)
        await self._say(_EOT)
        self._conclude(pending, is_taken=is_taken)
        self.polls_answered += 1
        await self._tell()
