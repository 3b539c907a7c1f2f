"""This run of the daemon on the wire: its epoch, its keys, and the numbers it gives out.

Every start makes a fresh epoch, so a number is never given twice, whatever card or clone the hub woke up on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync.epoch import Predecessor, start_epoch
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport, Sender, Trace
from cloud_sync.identity import EventId, Lane
from cloud_sync.record import seal_record
from cloud_sync.stub import MAX_ALIAS, LocalAction, Stub
from cloud_sync.trust import TrustBundle
from cloud_sync.vocabulary import Event
from gateway.clock import HubClock

OWN_ALIAS = "hub"
"""The device that the hub's own events are about."""
_NOTHING: Mapping[Lane, int] = {}


class HubEpoch:
    """Seals events and signs messages for one run of the daemon."""

    def __init__(
        self,
        *,
        hub: bytes,
        key: Ed25519PrivateKey,
        trust: TrustBundle,
        clock: HubClock,
        before: Predecessor | None,
        boot_id: bytes,
        software: str,
        config_hash: str = "",
    ) -> None:
        central_key, central = trust.seal_key()
        header, self.header, self._seal_key = start_epoch(
            hub=hub,
            hub_key=key,
            central=central,
            central_key=central_key,
            before=before,
            boot_id=boot_id,
            started_ms=clock.wall_ms(),
            software=software,
        )
        self.hub = hub
        self.id = header.epoch
        self.software = software
        self.config_hash = config_hash
        self.last: dict[Lane, int] = dict.fromkeys(Lane, 0)
        self.is_header_known = False
        """Whether central has receipted the header of this epoch."""
        self._key = key
        self._clock = clock
        self._number = 0

    def seal(self, event: Event, lane: Lane, action: LocalAction) -> tuple[EventId, bytes]:
        """Give an event its name and seal it. An event too long for a record loses its details, never itself."""
        seq = self.last[lane] = self.last[lane] + 1
        event_id = EventId(self.hub, self.id, lane, seq)
        if not lane.is_urgent:
            return event_id, self._sealed(event_id, event, None, None)
        stub = Stub(
            event=event_id,
            wall_ms=event.stamp.wall_ms,
            device=_alias(event.device),
            alarm_class=event.kind.alarm_class,
            action=action,
        )
        # Once central has the header it need not lie in every record: that halves what an alarm writes to the card.
        header = None if self.is_header_known else self.header
        return event_id, self._sealed(event_id, event, stub.signed(self._key), header)

    def _sealed(self, event_id: EventId, event: Event, stub: bytes | None, header: bytes | None) -> bytes:
        try:
            return seal_record(event_id, event, self._seal_key, stub=stub, epoch_header=header)
        except Exception:  # noqa: BLE001  # what cannot be written as it is loses its details, never itself
            short = replace(
                event,
                device=event.device[:64],
                value=None,
                details={"is_shortened": True},
                rule=(event.rule or "")[:64],
            )
            return seal_record(event_id, short, self._seal_key, stub=stub, epoch_header=header)

    def probe(self) -> bytes:
        """A signed stub that asks only whether a path works."""
        return Stub.probe(self.hub, self.id, self._clock.wall_ms()).signed(self._key)

    def sender(self) -> Sender:
        """The head of the next message; its number is used up."""
        self._number += 1
        return Sender(hub=self.hub, sender_epoch=self.id, number=self._number, stamp=self._clock.stamp())

    def envelope(
        self,
        epoch: bytes,
        lane: Lane,
        records: Sequence[bytes],
        *,
        header: bytes | None = None,
        gaps: tuple[tuple[int, int], ...] = (),
    ) -> tuple[int, bytes]:
        """A signed envelope and its number. The header of this epoch is added until central has it."""
        if header is None and epoch == self.id and not self.is_header_known:
            header = self.header
        sender = self.sender()
        envelope = Envelope(
            sender=sender, epoch=epoch, lane=lane, records=tuple(records), epoch_header=header, gaps=gaps
        )
        return sender.number, envelope.pack(self._key)

    def heartbeat(
        self,
        uplink: str,
        waiting: Mapping[Lane, int] = _NOTHING,
        *,
        is_hello: bool = False,
        lineage: bytes | None = None,
        receipted: Mapping[Lane, int] = _NOTHING,
    ) -> tuple[int, bytes]:
        """A signed sign of life and its number. `receipted`: up to where, by the database with this lineage."""
        sender = self.sender()
        beat = Heartbeat(
            sender=sender,
            uplink=uplink,
            waiting=waiting,
            is_hello=is_hello,
            software=self.software,
            config_hash=self.config_hash,
            epoch_header=None if self.is_header_known else self.header,
            lineage=lineage,
            receipted=receipted,
        )
        return sender.number, beat.pack(self._key)

    def lamp_report(
        self, lamp: str, alarms: tuple[tuple[bytes, int, str], ...], traces: tuple[Trace, ...]
    ) -> tuple[int, bytes]:
        """A signed report of what the lamp shows, and its number."""
        sender = self.sender()
        return sender.number, LampReport(sender=sender, lamp=lamp, alarms=alarms, traces=traces).pack(self._key)

    def command_result(self, command: bytes, result: object, *, part: int = 0, is_last: bool = True) -> bytes:
        """A signed and sealed part of a command's result. Raises ValueError when it is too long."""
        sender = self.sender()
        sealed = CommandResult.seal(sender, command, result, self._seal_key)
        return CommandResult(sender=sender, command=command, part=part, is_last=is_last, sealed=sealed).pack(self._key)


def _alias(device: str) -> str:
    plain = device.encode("ascii", "replace").decode()[:MAX_ALIAS]
    return plain or OWN_ALIAS
