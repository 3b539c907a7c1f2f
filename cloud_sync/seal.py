"""Sealing: each epoch has an AES-256-GCM key, itself sealed to central's public key by HPKE (RFC 9180, base mode).

The hub keeps the epoch key in memory only: what it sealed before a restart it can forward, not read. Base mode does
not say who sealed; that is what the signatures are for.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from cloud_sync.errors import ForgedError, MalformedError

KEY_LENGTH = 32
TAG_LENGTH = 16
MAX_SEALED_KEY = 2048
_X25519 = 32


class SealSuite(IntEnum):
    """How an epoch key is sealed. Central refuses less than was agreed at enrolment."""

    X25519 = 1
    X25519_MLKEM768 = 2


_SUITES = {
    SealSuite.X25519: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
    SealSuite.X25519_MLKEM768: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM),
}


def suite_from(number: object) -> SealSuite:
    """A suite number from the wire. Raises MalformedError."""
    if type(number) is not int or number not in {1, 2}:
        raise MalformedError("suite", repr(number)[:20])
    return SealSuite(number)


@dataclass(frozen=True, slots=True)
class SealPublicKey:
    """Central's public key. `raw` is the ML-KEM-768 key (1184 bytes; hybrid suite only) followed by the X25519 key."""

    suite: SealSuite
    raw: bytes

    def seal(self, secret: bytes, info: bytes) -> bytes:
        """Seal an epoch key; `info` binds it to its epoch. Raises MalformedError when the key itself is no key."""
        return _SUITES[self.suite].encrypt(secret, self._key(), info)

    def _key(self) -> X25519PublicKey | MLKEM768X25519PublicKey:
        try:
            ours = X25519PublicKey.from_public_bytes(self.raw[-_X25519:])
            if self.suite is SealSuite.X25519:
                if len(self.raw) != _X25519:
                    raise MalformedError("seal_key_length")
                return ours
            return MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(self.raw[:-_X25519]), ours)
        except ValueError:
            raise MalformedError("seal_key") from None


@dataclass(frozen=True, slots=True, repr=False)
class SealPrivateKey:
    """Central's private key. `raw` is the ML-KEM-768 seed (64 bytes; hybrid suite only) followed by the X25519 key."""

    suite: SealSuite
    raw: bytes

    @classmethod
    def generate(cls, suite: SealSuite) -> SealPrivateKey:
        """A fresh key."""
        ours = X25519PrivateKey.generate().private_bytes_raw()
        if suite is SealSuite.X25519:
            return cls(suite, ours)
        return cls(suite, MLKEM768PrivateKey.generate().private_bytes_raw() + ours)

    def public(self) -> SealPublicKey:
        """The half that hubs get."""
        ours = X25519PrivateKey.from_private_bytes(self.raw[-_X25519:]).public_key().public_bytes_raw()
        if self.suite is SealSuite.X25519:
            return SealPublicKey(self.suite, ours)
        seed = MLKEM768PrivateKey.from_seed_bytes(self.raw[:-_X25519])
        return SealPublicKey(self.suite, seed.public_key().public_bytes_raw() + ours)

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Open a sealed epoch key. Raises ForgedError when it is not ours or was bound to another epoch."""
        if len(sealed) > MAX_SEALED_KEY:
            raise MalformedError("sealed_key_length")
        ours = X25519PrivateKey.from_private_bytes(self.raw[-_X25519:])
        key: X25519PrivateKey | MLKEM768X25519PrivateKey = ours
        if self.suite is not SealSuite.X25519:
            key = MLKEM768X25519PrivateKey(MLKEM768PrivateKey.from_seed_bytes(self.raw[:-_X25519]), ours)
        try:
            return _SUITES[self.suite].decrypt(sealed, key, info)
        except (InvalidTag, ValueError):
            raise ForgedError("sealed_key") from None


class EpochKey:
    """The AES-256-GCM key of one epoch. Nonces come from (channel, number), so each pair is used once only.

    Channels 1..4 are the lanes (number = seq); `RESULT_CHANNEL` carries command results (number = frame number).
    """

    RESULT_CHANNEL = 0x40

    __slots__ = ("_cipher", "_raw")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_LENGTH:
            raise MalformedError("epoch_key_length")
        self._raw = raw
        self._cipher = AESGCM(raw)

    @classmethod
    def generate(cls) -> EpochKey:
        """A fresh key from the operating system's random source."""
        return cls(os.urandom(KEY_LENGTH))

    def sealed_to(self, central: SealPublicKey, info: bytes) -> bytes:
        """This key, sealed by HPKE to central."""
        return central.seal(self._raw, info)

    def seal(self, channel: int, number: int, plaintext: bytes, associated: bytes) -> bytes:
        """Ciphertext and 16-byte tag. The caller never uses a (channel, number) pair twice."""
        return self._cipher.encrypt(_nonce(channel, number), plaintext, associated)

    def open(self, channel: int, number: int, ciphertext: bytes, associated: bytes) -> bytes:
        """The plaintext. Raises ForgedError."""
        if len(ciphertext) < TAG_LENGTH:
            raise MalformedError("ciphertext_length")
        try:
            return self._cipher.decrypt(_nonce(channel, number), ciphertext, associated)
        except InvalidTag:
            raise ForgedError("seal") from None


def _nonce(channel: int, number: int) -> bytes:
    return channel.to_bytes(4, "big") + number.to_bytes(8, "big")
