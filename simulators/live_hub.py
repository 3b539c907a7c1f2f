"""A hub on the line to a central in this process: it listens, its lamp follows the replies, it answers a health check.

async with LiveHub(central, "Solbakken 214") as hub:
    await hub.raise_event("pendant_pressed", device="pendant-1")
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from central.daemon import Central
from central.links import Link
from cloud_sync.central_messages import Command, Reply
from cloud_sync.health import COMMAND, HealthResult
from cloud_sync.hub_messages import Trace
from cloud_sync.identity import EventId
from cloud_sync.vocabulary import Scalar, Stamp
from simulators.frame_hub import FrameHub

PATH = "https"
_UP_MS = 10**9
"""Added to the boot clock, so that the hub can tell of what happened before this machine was started."""


class LiveHub:
    """One hub. `health` is what it answers to a health check; None: nothing. `lamp` is the word of what it shows."""

    def __init__(self, central: Central, label: str, *, health: HealthResult | None = None) -> None:
        self.central = central
        self.label = label
        self.health = health
        self.lamp = "closed"
        self.frames = FrameHub(central.services.keys.trust)
        self._link: Link | None = None
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        hubs, links = self.central.services.hubs, self.central.services.links
        code = await hubs.new_code(self.label, "simulator")
        self.frames.take_grant(await hubs.enrol(self.frames.claim(code)))
        self.frames.start()
        self._link = Link(self.frames.id, self.frames.now.epoch, PATH)
        links.add(self._link)
        self._listener = asyncio.create_task(self._listen(self._link), name="live-hub")
        await self.beat(is_hello=True)
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    @property
    def id(self) -> str:
        """Sixteen hex digits."""
        return self.frames.id.hex()

    async def hang_up(self) -> None:
        """The line goes dead: no replies, no commands, no lamp reports."""
        link, self._link = self._link, None
        listener, self._listener = self._listener, None
        if link is not None:
            self.central.services.links.remove(link)
            link.close()
        if listener is not None:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    async def beat(self, *, is_hello: bool = False) -> None:
        """A sign of life."""
        await self._send(self.frames.heartbeat(is_hello=is_hello, has_header=is_hello))

    async def raise_event(
        self,
        word: str,
        *,
        device: str = "pendant-1",
        resident: str | None = "r-7f3a90",
        value: Scalar = None,
        ago_ms: int = 0,
    ) -> EventId:
        """Something happened, `ago_ms` ago; committed by central when this returns."""
        now = self.frames.stamp()
        stamp = Stamp(boot_ms=now.boot_ms + _UP_MS - ago_ms, wall_ms=now.wall_ms - ago_ms, is_wall_trusted=True)
        sealed = self.frames.seal(word, device=device, resident=resident, value=value, stamp=stamp)
        sender = self.frames.sender(
            stamp=Stamp(boot_ms=now.boot_ms + _UP_MS, wall_ms=now.wall_ms, is_wall_trusted=True)
        )
        envelope = self.frames.envelope(sealed, has_header=True, sender=sender)
        receipt = self.frames.receipt(await self._send(envelope))
        if sealed.id.seq not in receipt.stored():
            raise AssertionError(f"{sealed.id} was not receipted")
        if sealed.id.lane.is_urgent:
            trace = Trace(event=sealed.id, judged_ms=1.4, durable_ms=7.9, sent_ms=9.2, receipt_ms=21.6)
            await self._send(self.frames.lamp_report(self.lamp, traces=(trace,)))
        return sealed.id

    async def _send(self, frame: bytes) -> list[bytes]:
        return await self.central.reception.receive(frame, PATH)

    async def _listen(self, link: Link) -> None:
        while not link.is_broken:
            frame = await link.next(1.0)
            if frame is not None:
                await self._hear(frame)

    async def _hear(self, frame: bytes) -> None:
        match self.frames.read(frame):
            case Reply(alarms=alarms) if alarms:
                self.lamp = alarms[-1].state.value
                shown = [(reply.alarm, reply.version, reply.state.value) for reply in alarms]
                await self._send(self.frames.lamp_report(self.lamp, shown))
            case Command(name=name, command=command) if name == COMMAND and self.health is not None:
                await self._send(self.frames.result(command, self.health.to_plain()))
            case _:
                pass
