"""Enrolment on the wire: a hub shows a one-time code and its public key, central grants it an id.

1. `GET /enrol/v1/trust` answers with the trust bundle. TLS is not yet verified; the fingerprint in the code is.
2. `POST /enrol/v1/claim`, over TLS now verified against the bundle's CA, carries a Claim signed with the hub's new key.
3. The answer is a Grant signed by central.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import canonical, signing
from cloud_sync.errors import MalformedError
from cloud_sync.identity import ID_LENGTH
from cloud_sync.seal import SealSuite, suite_from
from cloud_sync.trust import SECRET_LENGTH, TrustBundle

TRUST_PATH = "/enrol/v1/trust"
CLAIM_PATH = "/enrol/v1/claim"
MAX_CLAIM = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a new hub asks for. `public_key` is its Ed25519 key; the signature proves that it holds the private half."""

    secret: bytes
    public_key: bytes
    suites: tuple[SealSuite, ...]
    software: str

    def signed(self, key: Ed25519PrivateKey) -> bytes:
        """`signature || body`."""
        body = {1: self.secret, 2: self.public_key, 3: [int(suite) for suite in self.suites], 4: self.software}
        return signing.sign_blob(key, signing.Label.CLAIM, canonical.dumps(body))

    @classmethod
    def read(cls, blob: bytes) -> Claim:
        """Verify against the key inside. Raises ForgedError or MalformedError."""
        if not signing.SIGNATURE_LENGTH < len(blob) <= MAX_CLAIM:
            raise MalformedError("claim_length")
        body = canonical.load_map(blob[signing.SIGNATURE_LENGTH :])
        public_key = canonical.take_bytes(body, 2, 32)
        signing.open_blob(signing.public_from(public_key), signing.Label.CLAIM, blob)
        return cls(
            secret=canonical.take_bytes(body, 1, SECRET_LENGTH),
            public_key=public_key,
            suites=tuple(suite_from(number) for number in canonical.take_list(body, 3, 8)),
            software=canonical.take(body, 4, str)[:64],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What central gives: the hub's id, the agreed suite, central's lineage. `public_key` repeats the claim's."""

    hub: bytes
    public_key: bytes
    suite: SealSuite
    lineage: bytes
    central_ms: int

    def signed(self, key_id: bytes, key: Ed25519PrivateKey) -> bytes:
        """`key id || signature || body`."""
        body = {1: self.hub, 2: self.public_key, 3: int(self.suite), 4: self.lineage, 5: self.central_ms}
        return key_id + signing.sign_blob(key, signing.Label.GRANT, canonical.dumps(body))

    @classmethod
    def read(cls, blob: bytes, trust: TrustBundle) -> Grant:
        """Verify against a bundle. Raises ForgedError or MalformedError."""
        verifier = trust.verifier(blob[:ID_LENGTH])
        body = canonical.load_map(signing.open_blob(verifier, signing.Label.GRANT, blob[ID_LENGTH:]))
        return cls(
            hub=canonical.take_bytes(body, 1, ID_LENGTH),
            public_key=canonical.take_bytes(body, 2, 32),
            suite=suite_from(body.get(3)),
            lineage=canonical.take_bytes(body, 4, ID_LENGTH),
            central_ms=canonical.take_uint(body, 5),
        )
