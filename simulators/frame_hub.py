"""A hub reduced to what central meets: a key, runs (epochs), sealed records, signed frames. Nothing is stored or sent.

It is written from the wire format and does what it is told, also what no good hub would: the same number twice, a
header withheld, a predecessor named twice.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import frames
from cloud_sync.central_messages import Command, HeartbeatAnswer, Receipt, Reply
from cloud_sync.enrolment import Claim, Grant
from cloud_sync.epoch import EpochHeader, Predecessor, start_epoch
from cloud_sync.frames import FrameType
from cloud_sync.hub_messages import CommandResult, Envelope, Heartbeat, LampReport, Sender, Trace
from cloud_sync.identity import EventId, Lane, new_id
from cloud_sync.record import seal_record
from cloud_sync.seal import EpochKey, SealPublicKey, SealSuite
from cloud_sync.signing import raw_public
from cloud_sync.stub import LocalAction, Stub
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.vocabulary import BY_WORD, Event, Scalar, Stamp

FromCentral = Receipt | HeartbeatAnswer | Reply | Command
_READERS: Mapping[FrameType, Callable[[Mapping[int, Any]], FromCentral]] = {
    FrameType.RECEIPT: Receipt.read,
    FrameType.HEARTBEAT_ANSWER: HeartbeatAnswer.read,
    FrameType.REPLY: Reply.read,
    FrameType.COMMAND: Command.read,
}


@dataclass(slots=True)
class Sealed:
    """One event as it lies in the journal."""

    id: EventId
    raw: bytes


@dataclass(slots=True)
class Run:
    """One start of the daemon."""

    header: EpochHeader
    blob: bytes
    key: EpochKey
    number: int = 0
    seqs: dict[Lane, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def epoch(self) -> bytes:
        """Its random id."""
        return self.header.epoch


class FrameHub:
    """One hub. Claim with a code (or set `id`), then `start`, then say things."""

    def __init__(self, trust: TrustBundle) -> None:
        self.trust = trust
        self.key = Ed25519PrivateKey.generate()
        self.id = b""
        self.boot_id = secrets.token_bytes(16)
        self.run: Run | None = None
        self.is_wall_trusted = True

    def claim(self, code: str, *, suites: Sequence[SealSuite] = tuple(SealSuite)) -> bytes:
        """The signed claim for an enrolment code. Raises WireError when the code names another root."""
        parsed = EnrolmentCode.parse(code)
        TrustBundle.read(self.trust.raw, parsed.root_fingerprint)
        return Claim(
            secret=parsed.secret, public_key=raw_public(self.key.public_key()), suites=tuple(suites), software="wire 1"
        ).signed(self.key)

    def take_grant(self, blob: bytes) -> Grant:
        """Become who central says."""
        grant = Grant.read(blob, self.trust)
        if grant.public_key != raw_public(self.key.public_key()):
            raise ValueError("a grant for another key")
        self.id = grant.hub
        return grant

    def start(
        self, *, before: Run | None = None, is_clean: bool = True, seal_to: tuple[bytes, SealPublicKey] | None = None
    ) -> Run:
        """A new run of the daemon. `seal_to`: another key than the trust bundle's newest."""
        key_id, public = seal_to or self.trust.seal_key()
        predecessor = None
        if before is not None:
            predecessor = Predecessor(epoch=before.epoch, last=dict(before.seqs), is_clean=is_clean)
        header, blob, key = start_epoch(
            hub=self.id,
            hub_key=self.key,
            central=public,
            central_key=key_id,
            before=predecessor,
            boot_id=self.boot_id,
            started_ms=time.time_ns() // 1_000_000,
            software="wire 1",
        )
        self.run = Run(header, blob, key)
        return self.run

    @property
    def now(self) -> Run:
        """The run that speaks."""
        return self.run or self.start()

    def stamp(self) -> Stamp:
        """The hub's clocks."""
        return Stamp(
            boot_ms=time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
            wall_ms=time.time_ns() // 1_000_000,
            is_wall_trusted=self.is_wall_trusted,
        )

    def seal(
        self,
        word: str,
        *,
        device: str = "pendant-1",
        resident: str | None = "r-7f3a90",
        value: Scalar = None,
        details: Mapping[str, Scalar] | None = None,
        lane: Lane | None = None,
        stamp: Stamp | None = None,
        run: Run | None = None,
        has_header: bool = True,
        event: Event | None = None,
    ) -> Sealed:
        """An event of this kind, sealed with the next seq of its lane."""
        run = run or self.now
        kind = BY_WORD[word]
        lane = lane or kind.lane
        run.seqs[lane] += 1
        event_id = EventId(self.id, run.epoch, lane, run.seqs[lane])
        event = event or Event(
            kind=kind, stamp=stamp or self.stamp(), device=device, resident=resident, value=value, details=details or {}
        )
        extra: dict[str, Any] = {}
        if lane.is_urgent:
            stub = Stub(
                event=event_id,
                wall_ms=event.stamp.wall_ms,
                device=device[:16],
                alarm_class=kind.alarm_class,
                action=LocalAction.LAMP,
            )
            extra = {"stub": stub.signed(self.key), "epoch_header": run.blob if has_header else None}
        return Sealed(event_id, seal_record(event_id, event, run.key, **extra))

    def sender(self, *, number: int | None = None, stamp: Stamp | None = None) -> Sender:
        """The head of the next message."""
        if number is None:
            self.now.number += 1
            number = self.now.number
        return Sender(hub=self.id, sender_epoch=self.now.epoch, number=number, stamp=stamp or self.stamp())

    def envelope(
        self,
        *records: Sealed | bytes,
        lane: Lane | None = None,
        epoch: bytes | None = None,
        has_header: bool = False,
        gaps: Sequence[tuple[int, int]] = (),
        sender: Sender | None = None,
    ) -> bytes:
        """A signed envelope; lane and epoch are the first record's."""
        first = next((record for record in records if isinstance(record, Sealed)), None)
        if first is not None:
            lane, epoch = lane or first.id.lane, epoch or first.id.epoch
        return Envelope(
            sender=sender or self.sender(),
            epoch=epoch or self.now.epoch,
            lane=lane or Lane.ALARM,
            records=tuple(record.raw if isinstance(record, Sealed) else record for record in records),
            epoch_header=self.now.blob if has_header else None,
            gaps=tuple(gaps),
        ).pack(self.key)

    def heartbeat(
        self,
        *,
        uplink: str = "main",
        is_hello: bool = False,
        waiting: Mapping[Lane, int] | None = None,
        has_header: bool = False,
        software: str = "wire 1",
    ) -> bytes:
        """A signed sign of life."""
        return Heartbeat(
            sender=self.sender(),
            uplink=uplink,
            waiting=waiting or {},
            is_hello=is_hello,
            software=software,
            config_hash="c0ffee",
            epoch_header=self.now.blob if has_header else None,
        ).pack(self.key)

    def lamp_report(
        self, lamp: str, alarms: Sequence[tuple[bytes, int, str]] = (), traces: Sequence[Trace] = ()
    ) -> bytes:
        """What the lamp shows."""
        return LampReport(sender=self.sender(), lamp=lamp, alarms=tuple(alarms), traces=tuple(traces)).pack(self.key)

    def result(self, command: bytes, content: object, *, part: int = 0, is_last: bool = True) -> bytes:
        """The answer to a command, or a part of it."""
        sender = self.sender()
        sealed = CommandResult.seal(sender, command, content, self.now.key)
        return CommandResult(sender=sender, command=command, part=part, is_last=is_last, sealed=sealed).pack(self.key)

    def read(self, frame: bytes) -> FromCentral:
        """A frame from central, verified. Raises WireError."""
        frame_type, body = self.trust.open_frame(frame)
        return _READERS[frame_type](body)

    def receipt(self, answers: Sequence[bytes]) -> Receipt:
        """The one receipt among answers."""
        (receipt,) = (message for message in map(self.read, answers) if isinstance(message, Receipt))
        return receipt

    def clone(self) -> FrameHub:
        """A copied card: the same key and id in another machine."""
        twin = FrameHub(self.trust)
        twin.key, twin.id = self.key, self.id
        return twin


def tampered(frame: bytes) -> bytes:
    """A frame with its last byte changed, the signature as it was."""
    return frame[:-1] + bytes([frame[-1] ^ 1])


def unpacked(answer: bytes) -> list[bytes]:
    """The frames of an HTTP answer."""
    return frames.FrameStream().feed(answer)


def unknown_id() -> bytes:
    """An id that nobody has."""
    return new_id()
