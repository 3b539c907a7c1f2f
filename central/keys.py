"""The keys of central: signing, sealing, TLS. Private ones lie in files of mode 0600.

DATA/trust.bundle              what hubs are given: root public key and what it has certified
DATA/keys/sign-ID.key          Ed25519, 32 bytes: receipts, replies, commands, grants
DATA/keys/seal-SUITE-ID.key    opens epoch keys; older ones stay, so that old records can be opened
DATA/keys/tls.key, tls.crt     the hub listener's
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from central.errors import KeysError
from cloud_sync.errors import WireError
from cloud_sync.seal import SealPrivateKey, SealSuite
from cloud_sync.trust import TrustBundle

KEYS = "keys"
TRUST_FILE = "trust.bundle"
_SIGN_FILE = re.compile(r"^sign-([0-9a-f]{16})\.key$")
_SEAL_FILE = re.compile(r"^seal-([12])-([0-9a-f]{16})\.key$")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CentralKeys:
    """What central signs and opens with."""

    sign_id: bytes
    sign: Ed25519PrivateKey
    seals: Mapping[bytes, SealPrivateKey]
    trust: TrustBundle
    tls_key: Path
    tls_certificate: Path

    @property
    def suite(self) -> SealSuite:
        """What new hubs are asked to seal with."""
        return self.trust.seal_key()[1].suite


def sign_file(data_dir: Path, key_id: bytes) -> Path:
    """Where a signing key lies."""
    return data_dir / KEYS / f"sign-{key_id.hex()}.key"


def seal_file(data_dir: Path, key_id: bytes, suite: SealSuite) -> Path:
    """Where a seal key lies."""
    return data_dir / KEYS / f"seal-{int(suite)}-{key_id.hex()}.key"


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner reads. Raises FileExistsError rather than overwrite a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_private(path: Path) -> bytes:
    """A private file. Raises KeysError when it is missing or others can read it."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as error:
        raise KeysError(f"{path}: the key cannot be read: {error.strerror}.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeysError(f"{path}: others than its owner can read this key. Run: chmod 600 {path}")
    return content


def load_keys(data_dir: Path) -> CentralKeys:
    """Read and check every key. Raises KeysError."""
    folder = data_dir / KEYS
    try:
        trust = TrustBundle.read((data_dir / TRUST_FILE).read_bytes())
        names = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError as error:
        raise KeysError(
            f"{error.filename}: missing. `vaktpost central init --data {data_dir}` makes keys for a new central; "
            "for an existing one restore them from the backup."
        ) from None
    except (OSError, WireError) as error:
        raise KeysError(f"{data_dir / TRUST_FILE}: the trust bundle cannot be read: {error}.") from None
    signers, seals = {}, {}
    for name in names:
        if match := _SIGN_FILE.match(name):
            signers[bytes.fromhex(match[1])] = _signing_key(folder / name)
        elif match := _SEAL_FILE.match(name):
            seals[bytes.fromhex(match[2])] = _seal_key(folder / name, SealSuite(int(match[1])))
    certified = [key.key_id for key in trust.keys if key.purpose.value == "sign" and key.key_id in signers]
    if not certified:
        raise KeysError(f"{folder}: there is no signing key that the trust bundle certifies.")
    if trust.seal_key()[0] not in seals:
        raise KeysError(f"{folder}: the seal key {trust.seal_key()[0].hex()} is missing; restore it from the escrow.")
    read_private(folder / "tls.key")
    return CentralKeys(
        sign_id=certified[0],
        sign=signers[certified[0]],
        seals=seals,
        trust=trust,
        tls_key=folder / "tls.key",
        tls_certificate=folder / "tls.crt",
    )


def _signing_key(path: Path) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(read_private(path))
    except ValueError:
        raise KeysError(f"{path}: this is no signing key.") from None


def _seal_key(path: Path, suite: SealSuite) -> SealPrivateKey:
    key = SealPrivateKey(suite, read_private(path))
    try:
        key.public()
    except (ValueError, WireError):
        raise KeysError(f"{path}: this is no seal key.") from None
    return key
