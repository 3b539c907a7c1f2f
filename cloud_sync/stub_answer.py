"""Central's answer to a stub: that it knows of an alarm, and what has become of it, small enough for one SMS.

It says that central knows; it is no receipt. The full record stays pending on the hub until a receipt vouches for it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing
from cloud_sync.errors import MalformedError
from cloud_sync.identity import EventId, Lane, lane_from
from cloud_sync.trust import TrustBundle

VERSION = 1
_BODY = struct.Struct(">B8s8s8sBQQIB")  # version, key id, hub, epoch, lane, seq, central ms, alarm's version, state
LENGTH = signing.SIGNATURE_LENGTH + _BODY.size
_KEY_AT = signing.SIGNATURE_LENGTH + 1
MAX_VERSION = 2**32 - 1


class AnswerState(IntEnum):
    """What central says of the event that a stub named."""

    KNOWN = 1
    """Central has the stub, the full record is missing; nothing is known of its handling."""
    WAITING = 2
    TAKEN = 3
    ON_THE_WAY = 4
    CLOSED = 5
    MACHINE = 6
    """A probe or a test, answered by machine: the path works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StubAnswer:
    """The contents. `central_ms` is central's clock when it was made, `version` that of the alarm (0: there is none).

    Of two answers to one event the higher (version, central_ms) wins.
    """

    hub: bytes
    epoch: bytes
    lane: Lane
    seq: int
    central_ms: int
    version: int
    state: AnswerState

    @property
    def event(self) -> EventId:
        """The event that is answered. A probe has seq 0."""
        return EventId(self.hub, self.epoch, self.lane, self.seq)

    def signed(self, key_id: bytes, key: Ed25519PrivateKey) -> bytes:
        """`signature || body`: 111 bytes, 148 characters in base64."""
        body = _BODY.pack(
            VERSION,
            key_id,
            self.hub,
            self.epoch,
            self.lane,
            self.seq,
            self.central_ms,
            min(self.version, MAX_VERSION),
            self.state,
        )
        return signing.sign_blob(key, signing.Label.STUB_ANSWER, body)


def open_answer(blob: bytes, trust: TrustBundle) -> StubAnswer:
    """Verify and read an answer. Raises ForgedError or MalformedError."""
    if len(blob) != LENGTH:
        raise MalformedError("stub_answer_length")
    if blob[signing.SIGNATURE_LENGTH] != VERSION:
        raise MalformedError("stub_answer_version", str(blob[signing.SIGNATURE_LENGTH]))
    key = trust.verifier(blob[_KEY_AT : _KEY_AT + 8])
    body = signing.open_blob(key, signing.Label.STUB_ANSWER, blob)
    _, _, hub, epoch, lane, seq, central_ms, version, state = _BODY.unpack(body)
    try:
        return StubAnswer(
            hub=hub,
            epoch=epoch,
            lane=lane_from(lane),
            seq=seq,
            central_ms=central_ms,
            version=version,
            state=AnswerState(state),
        )
    except ValueError:
        raise MalformedError("stub_answer_state", str(state)) from None
