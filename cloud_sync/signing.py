"""Ed25519 signatures with a domain label each, so that bytes signed for one purpose never pass for another."""

from __future__ import annotations

from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_sync.errors import ForgedError, MalformedError

SIGNATURE_LENGTH = 64


class Label(StrEnum):
    """What a signature is for."""

    FRAME = "frame"
    EPOCH = "epoch"
    STUB = "stub"
    STUB_ANSWER = "stub-answer"
    KEY = "key"
    CLAIM = "claim"
    GRANT = "grant"


def _message(label: Label, body: bytes) -> bytes:
    return b"vaktpost/1/" + label.value.encode() + b"\x00" + body


def sign(key: Ed25519PrivateKey, label: Label, body: bytes) -> bytes:
    """The 64-byte signature."""
    return key.sign(_message(label, body))


def verify(key: Ed25519PublicKey, label: Label, signature: bytes, body: bytes) -> None:
    """Raises ForgedError unless `signature` is this key's over `body` for this purpose."""
    try:
        key.verify(signature, _message(label, body))
    except InvalidSignature:
        raise ForgedError("signature", label.value) from None


def sign_blob(key: Ed25519PrivateKey, label: Label, body: bytes) -> bytes:
    """`signature || body`."""
    return sign(key, label, body) + body


def open_blob(key: Ed25519PublicKey, label: Label, blob: bytes) -> bytes:
    """The body of `signature || body`. Raises ForgedError or MalformedError."""
    if len(blob) <= SIGNATURE_LENGTH:
        raise MalformedError("signed_blob")
    body = blob[SIGNATURE_LENGTH:]
    verify(key, label, blob[:SIGNATURE_LENGTH], body)
    return body


def public_from(raw: bytes) -> Ed25519PublicKey:
    """A public key from its 32 bytes. Raises MalformedError."""
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise MalformedError("public_key") from None


def raw_public(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes_raw()


def raw_private(key: Ed25519PrivateKey) -> bytes:
    """The 32 secret bytes. They go into a file of mode 0600 and nowhere else."""
    return key.private_bytes_raw()
