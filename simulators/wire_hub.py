"""A hub reduced to the wire: real keys, seals and signed frames, handed to a central in this process.

For tests of what people see. It has no devices, journal or uplink; its lamp does what central's signed replies say.

async with WireHub(central, "Solbakken 214") as hub:
    await hub.raise_event("pendant_pressed", "pendant-1", resident="r-7f3a90")
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from central.daemon import Central
from central.links import Link
from cloud_sync import signing
from cloud_sync.central_messages import Command, Receipt, Reply
from cloud_sync.enrolment import Claim, Grant
from cloud_sync.epoch import start_epoch
from cloud_sync.errors import WireError
from cloud_sync.frames import FrameType
from cloud_sync.health import COMMAND, HealthResult
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport, Sender, Trace
from cloud_sync.identity import EventId, Lane
from cloud_sync.record import seal_record
from cloud_sync.stub import LocalAction, Stub
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.vocabulary import BY_WORD, Event, Scalar, Stamp

SOFTWARE = "vaktpost 0.1.0"
PATH = "https"


class WireHub:
    """One hub. `health` is what it answers to a health check; None: it does not answer. `lamp` is what it shows."""

    def __init__(self, central: Central, label: str, *, health: HealthResult | None = None) -> None:
        self.central = central
        self.label = label
        self.health = health
        self.lamp = "closed"
        self.reports_lamp = True
        self.id = b""
        self._key = Ed25519PrivateKey.generate()
        self._number = 0
        self._seqs = dict.fromkeys(Lane, 0)
        self._link: Link | None = None
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        services = self.central.services
        self._trust = TrustBundle.read(services.keys.trust.raw)
        code = EnrolmentCode.parse(await services.hubs.new_code(self.label, "simulator"))
        key_id, seal_key = self._trust.seal_key()
        claim = Claim(
            secret=code.secret,
            public_key=signing.raw_public(self._key.public_key()),
            suites=(seal_key.suite,),
            software=SOFTWARE,
        )
        grant = Grant.read(await services.hubs.enrol(claim.signed(self._key)), self._trust)
        self.id = grant.hub
        header, self._header, self._epoch_key = start_epoch(
            hub=self.id,
            hub_key=self._key,
            central=seal_key,
            central_key=key_id,
            before=None,
            boot_id=bytes(16),
            started_ms=_wall_ms(),
            software=SOFTWARE,
        )
        self.epoch = header.epoch
        self._link = Link(self.id, self.epoch, PATH)
        services.links.add(self._link)
        self._listener = asyncio.create_task(self._listen(self._link), name="wire-hub")
        await self.beat()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    @property
    def text(self) -> str:
        """Its id as sixteen hex digits."""
        return self.id.hex()

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

    async def beat(self, *, uplink: str = "main") -> None:
        """A sign of life."""
        heartbeat = Heartbeat(
            sender=self._sender(),
            uplink=uplink,
            is_hello=self._number == 1,
            software=SOFTWARE,
            config_hash="9f2c61d0a4b7e815",
            epoch_header=self._header,
        )
        await self._send(heartbeat.pack(self._key))

    async def raise_event(
        self,
        word: str,
        device: str,
        *,
        resident: str | None = None,
        value: Scalar = None,
        details: Mapping[str, Scalar] | None = None,
        ago_ms: int = 0,
    ) -> EventId:
        """Something happened: sealed, signed, sent, and committed by central when this returns."""
        kind = BY_WORD[word]
        self._seqs[kind.lane] += 1
        event_id = EventId(self.id, self.epoch, kind.lane, self._seqs[kind.lane])
        stamp = Stamp(boot_ms=_boot_ms() - ago_ms, wall_ms=_wall_ms() - ago_ms, is_wall_trusted=True)
        event = Event(kind=kind, stamp=stamp, device=device, resident=resident, value=value, details=details or {})
        stub = None
        if kind.lane.is_urgent:
            stub = Stub(
                event=event_id,
                wall_ms=stamp.wall_ms,
                device=device,
                alarm_class=kind.alarm_class,
                action=LocalAction.LAMP_AND_BUZZER,
            ).signed(self._key)
        record = seal_record(event_id, event, self._epoch_key, stub=stub, epoch_header=self._header)
        envelope = Envelope(sender=self._sender(), epoch=self.epoch, lane=kind.lane, records=(record,))
        answers = await self._send(envelope.pack(self._key))
        stored = [
            Receipt.read(body).stored()
            for frame_type, body in map(self._trust.open_frame, answers)
            if frame_type is FrameType.RECEIPT
        ]
        if not any(event_id.seq in ranges for ranges in stored):
            raise AssertionError(f"{event_id} was not receipted")
        if kind.lane.is_urgent:
            await self.report_lamp(
                (), trace=Trace(event=event_id, judged_ms=1.4, durable_ms=7.9, sent_ms=9.2, receipt_ms=21.6)
            )
        return event_id

    async def report_lamp(self, alarms: tuple[tuple[bytes, int, str], ...], *, trace: Trace | None = None) -> None:
        """What the lamp shows now."""
        report = LampReport(sender=self._sender(), lamp=self.lamp, alarms=alarms, traces=(trace,) if trace else ())
        await self._send(report.pack(self._key))

    def _sender(self) -> Sender:
        self._number += 1
        stamp = Stamp(boot_ms=_boot_ms(), wall_ms=_wall_ms(), is_wall_trusted=True)
        return Sender(hub=self.id, sender_epoch=self.epoch, number=self._number, stamp=stamp)

    async def _send(self, frame: bytes) -> list[bytes]:
        return await self.central.reception.receive(frame, PATH)

    async def _listen(self, link: Link) -> None:
        while not link.is_broken:
            frame = await link.next(1.0)
            if frame is None:
                continue
            with contextlib.suppress(WireError):
                await self._hear(frame)

    async def _hear(self, frame: bytes) -> None:
        frame_type, body = self._trust.open_frame(frame)
        if frame_type is FrameType.REPLY and self.reports_lamp:
            reply = Reply.read(body)
            alarms = tuple((one.alarm, one.version, one.state.value) for one in reply.alarms)
            if alarms:
                self.lamp = alarms[-1][2]
                await self.report_lamp(alarms)
        elif frame_type is FrameType.COMMAND:
            command = Command.read(body)
            if command.name == COMMAND and self.health is not None:
                await self._answer(command, self.health.to_plain())

    async def _answer(self, command: Command, result: object) -> None:
        sender = self._sender()
        sealed = CommandResult.seal(sender, command.command, result, self._epoch_key)
        answer = CommandResult(sender=sender, command=command.command, part=0, is_last=True, sealed=sealed)
        await self._send(answer.pack(self._key))


def _boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 10**6 + 10**9  # up for long enough to have heard old events


def _wall_ms() -> int:
    return time.time_ns() // 10**6
