"""The epoch header: who a run of the daemon is, what came before it, and its sealed key.

A signed statement that lies in every alarm and care record and in every envelope until central has receipted it, so
that any record can be opened by any central process in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_sync import canonical, signing
from cloud_sync.errors import ForgedError, MalformedError
from cloud_sync.identity import ID_LENGTH, Lane, lane_from, new_id
from cloud_sync.seal import EpochKey, SealPrivateKey, SealPublicKey, SealSuite, suite_from

MAX_HEADER = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """The epoch before: the last `seq` known per lane, and whether it ended cleanly."""

    epoch: bytes
    last: Mapping[Lane, int]
    is_clean: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochHeader:
    """What the hub states when it starts. `central_key` is the id of the seal key, `boot_id` the kernel's boot id."""

    hub: bytes
    epoch: bytes
    before: Predecessor | None
    suite: SealSuite
    central_key: bytes
    sealed_key: bytes
    boot_id: bytes
    started_ms: int
    software: str

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """`signature || body`."""
        before = self.before
        body: dict[int, Any] = {
            1: self.hub,
            2: self.epoch,
            3: None
            if before is None
            else [before.epoch, {int(lane): seq for lane, seq in before.last.items()}, before.is_clean],
            4: int(self.suite),
            5: self.central_key,
            6: self.sealed_key,
            7: self.boot_id,
            8: self.started_ms,
            9: self.software,
        }
        return signing.sign_blob(key, signing.Label.EPOCH, canonical.dumps(body))

    def open_key(self, central: SealPrivateKey) -> EpochKey:
        """The epoch's key. Raises ForgedError, also when the suites differ."""
        if central.suite is not self.suite:
            raise ForgedError("suite")
        return EpochKey(central.open(self.sealed_key, _info(self.hub, self.epoch)))


def open_header(blob: bytes, key: Ed25519PublicKey) -> EpochHeader:
    """Verify and read a header. Raises ForgedError or MalformedError."""
    if len(blob) > MAX_HEADER:
        raise MalformedError("epoch_header_length")
    body = canonical.load_map(signing.open_blob(key, signing.Label.EPOCH, blob))
    return EpochHeader(
        hub=canonical.take_bytes(body, 1, ID_LENGTH),
        epoch=canonical.take_bytes(body, 2, ID_LENGTH),
        before=_predecessor(body.get(3)),
        suite=suite_from(body.get(4)),
        central_key=canonical.take_bytes(body, 5, ID_LENGTH),
        sealed_key=canonical.take(body, 6, bytes),
        boot_id=canonical.take_bytes(body, 7, 16),
        started_ms=canonical.take_uint(body, 8),
        software=canonical.take(body, 9, str)[:64],
    )


def _predecessor(value: Any) -> Predecessor | None:
    if value is None:
        return None
    if type(value) is not list or len(value) != 3:
        raise MalformedError("epoch_before")
    epoch, last, is_clean = value
    if type(epoch) is not bytes or len(epoch) != ID_LENGTH or type(last) is not dict or type(is_clean) is not bool:
        raise MalformedError("epoch_before")
    if any(type(seq) is not int or not 0 <= seq < 2**63 for seq in last.values()):
        raise MalformedError("epoch_before")
    return Predecessor(epoch=epoch, last={lane_from(lane): seq for lane, seq in last.items()}, is_clean=is_clean)


def _info(hub: bytes, epoch: bytes) -> bytes:
    return b"vaktpost/1/epoch-key\x00" + hub + epoch


def start_epoch(
    *,
    hub: bytes,
    hub_key: Ed25519PrivateKey,
    central: SealPublicKey,
    central_key: bytes,
    before: Predecessor | None,
    boot_id: bytes,
    started_ms: int,
    software: str,
) -> tuple[EpochHeader, bytes, EpochKey]:
    """A fresh epoch: its header, the header's signed bytes, and the key to seal with."""
    key, epoch = EpochKey.generate(), new_id()
    header = EpochHeader(
        hub=hub,
        epoch=epoch,
        before=before,
        suite=central.suite,
        central_key=central_key,
        sealed_key=key.sealed_to(central, _info(hub, epoch)),
        boot_id=boot_id,
        started_ms=started_ms,
        software=software,
    )
    return header, header.signed(hub_key), key
