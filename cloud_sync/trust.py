"""Whom a hub believes: the root that its enrolment code names, and the keys that root has certified.

The root key is kept offline. It certifies central's signing keys, seal keys and the CA of its TLS certificates; each
certificate is `signature || CBOR`. A hub trusts nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_sync import canonical, frames, signing
from cloud_sync.errors import ForgedError, MalformedError
from cloud_sync.identity import ID_LENGTH
from cloud_sync.seal import SealPublicKey, suite_from

FINGERPRINT_LENGTH = 16
SECRET_LENGTH = 7
MAX_KEYS = 16


class Purpose(StrEnum):
    """What a certified key may be used for."""

    SIGN = "sign"
    SEAL = "seal"
    TLS_CA = "tls-ca"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCertificate:
    """A key that the root vouches for. `key` is raw (sign, seal) or a DER certificate (tls-ca)."""

    purpose: Purpose
    key_id: bytes
    key: bytes
    suite: int = 0
    created_ms: int

    def signed(self, root: Ed25519PrivateKey) -> bytes:
        """`signature || body`."""
        body = {1: self.purpose.value, 2: self.key_id, 3: self.key, 4: self.suite, 5: self.created_ms}
        return signing.sign_blob(root, signing.Label.KEY, canonical.dumps(body))


def fingerprint(root: bytes) -> bytes:
    """The 16 bytes that name a root public key in an enrolment code."""
    return hashlib.sha256(b"vaktpost/1/root\x00" + root).digest()[:FINGERPRINT_LENGTH]


@dataclass(frozen=True, slots=True)
class TrustBundle:
    """A root and what it has certified, verified. Newest key of a purpose first."""

    root: bytes
    keys: tuple[KeyCertificate, ...]
    raw: bytes

    @staticmethod
    def write(root: bytes, certificates: Iterable[bytes]) -> bytes:
        """The bytes that a hub keeps and central serves."""
        return canonical.dumps({1: root, 2: list(certificates)})

    @classmethod
    def read(cls, raw: bytes, expected: bytes | None = None) -> TrustBundle:
        """Verify a bundle, against the fingerprint of an enrolment code where one is given.

        Raises ForgedError (reason "root" when it is another root than the code names) or MalformedError.
        """
        body = canonical.load_map(raw)
        root = canonical.take_bytes(body, 1, 32)
        if expected is not None and not hmac.compare_digest(fingerprint(root), expected):
            raise ForgedError("root", "this is not the central that the code was made for")
        public = signing.public_from(root)
        keys = []
        for blob in canonical.take_list(body, 2, MAX_KEYS):
            if type(blob) is not bytes:
                raise MalformedError("certificate")
            entry = canonical.load_map(signing.open_blob(public, signing.Label.KEY, blob))
            try:
                purpose = Purpose(canonical.take(entry, 1, str))
            except ValueError:
                continue  # a purpose from the future: not ours to use
            keys.append(
                KeyCertificate(
                    purpose=purpose,
                    key_id=canonical.take_bytes(entry, 2, ID_LENGTH),
                    key=canonical.take(entry, 3, bytes),
                    suite=canonical.take_uint(entry, 4, 256),
                    created_ms=canonical.take_uint(entry, 5),
                )
            )
        keys.sort(key=lambda key: -key.created_ms)
        return cls(root, tuple(keys), raw)

    def verifier(self, key_id: bytes) -> Ed25519PublicKey:
        """Central's signing key with this id. Raises ForgedError when the root has not certified it."""
        for key in self.keys:
            if key.purpose is Purpose.SIGN and key.key_id == key_id:
                return signing.public_from(key.key)
        raise ForgedError("unknown_signer", key_id.hex())

    def open_frame(self, data: bytes) -> tuple[frames.FrameType, dict[int, object]]:
        """Verify a frame from central and parse its body. Raises WireError."""
        raw = frames.split(data)
        return raw.type, raw.open(self.verifier(raw.sender))

    def seal_key(self) -> tuple[bytes, SealPublicKey]:
        """The newest seal key and its id. Raises MalformedError when there is none."""
        for key in self.keys:
            if key.purpose is Purpose.SEAL:
                return key.key_id, SealPublicKey(suite_from(key.suite), key.key)
        raise MalformedError("no_seal_key")

    def tls_authorities(self) -> tuple[bytes, ...]:
        """DER certificates of the CAs that may vouch for central's TLS name."""
        return tuple(key.key for key in self.keys if key.purpose is Purpose.TLS_CA)


@dataclass(frozen=True, slots=True)
class EnrolmentCode:
    """A one-time code: a secret known to central, and the fingerprint of the root that the hub will believe.

    Forty letters and digits (base32) in groups of four; two bytes of checksum catch a slip of the hand.
    """

    secret: bytes
    root_fingerprint: bytes

    @classmethod
    def generate(cls, root: bytes) -> EnrolmentCode:
        """A fresh code for central's root public key."""
        return cls(secrets.token_bytes(SECRET_LENGTH), fingerprint(root))

    def __str__(self) -> str:
        raw = self.secret + self.root_fingerprint
        text = base64.b32encode(raw + _checksum(raw)).decode()
        return "-".join(text[at : at + 4] for at in range(0, len(text), 4))

    @classmethod
    def parse(cls, text: str) -> EnrolmentCode:
        """Read a code as typed, with or without hyphens and in any case. Raises MalformedError."""
        compact = "".join(text.split()).replace("-", "").upper()
        compact = compact.replace("0", "O").replace("1", "I").replace("8", "B")
        if len(compact) != 40:
            raise MalformedError("code_length", f"an enrolment code has 40 letters and digits, this one {len(compact)}")
        try:
            raw = base64.b32decode(compact)
        except ValueError:
            raise MalformedError("code", "only the letters A to Z and the digits 2 to 7 appear in a code") from None
        body, check = raw[:-2], raw[-2:]
        if not hmac.compare_digest(check, _checksum(body)):
            raise MalformedError("code_checksum", "a character is wrong or two have changed places")
        return cls(body[:SECRET_LENGTH], body[SECRET_LENGTH:])


def _checksum(raw: bytes) -> bytes:
    return hashlib.sha256(b"vaktpost/1/code\x00" + raw).digest()[:2]
