"""What names or describes a person, sealed with a key per resident: AES-256-GCM under a wrapped 256-bit key.

The associated data binds a text to its resident, to the row that it stands in and to its kind, so that no row can be
passed off as another. Erasing a resident destroys the wrapped key, and with it all that it opened, in every copy of the
database that is made afterwards.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import ActionError, CentralError
from central.people.master import MasterKeys
from central.sql import Sql

NONCE = 12
_VERSION = b"\x01"

_KEY = Sql("SELECT wrapped, master, erased_ms FROM resident_key WHERE resident = :resident")
_ADD = Sql(
    "INSERT INTO resident_key (resident, wrapped, master, made_ms) VALUES (:resident, :wrapped, :master, :now)"
    " ON CONFLICT DO NOTHING"
)
_ERASE = Sql(
    "UPDATE resident_key SET wrapped = NULL, erased_ms = :now WHERE resident = :resident AND wrapped IS NOT NULL"
    " AND NOT is_held RETURNING resident"
)
_ALL = Sql("SELECT resident, wrapped, master FROM resident_key WHERE wrapped IS NOT NULL ORDER BY resident")
_REFERENCES = Sql("SELECT value FROM central_state WHERE name = 'reference_key'")
_ADD_REFERENCES = Sql("INSERT INTO central_state (name, value) VALUES ('reference_key', :value) ON CONFLICT DO NOTHING")
_SET_REFERENCES = Sql("UPDATE central_state SET value = :value WHERE name = 'reference_key'")
_REFERENCES_OWNER = "references"
# A key that is destroyed while the others are wrapped again stays destroyed.
_WRAP_AGAIN = Sql(
    "UPDATE resident_key SET wrapped = :wrapped, master = :master WHERE resident = :resident AND wrapped IS NOT NULL"
)


class ErasedError(ActionError):
    """The key of this resident was destroyed: what it opened is gone for good."""

    status = 410


class HeldError(ActionError):
    """A legal hold keeps this resident's key."""


class DamagedError(CentralError):
    """A sealed text does not open with its resident's key: it was changed, or belongs elsewhere."""


@dataclass(frozen=True, slots=True, repr=False)
class ResidentKey:
    """The key of one resident, opened. Lives for a transaction and no longer."""

    resident: str
    _key: bytes

    def seal(self, ref: str, kind: str, text: str) -> bytes:
        """Seal a text for the row `ref`."""
        return self.seal_bytes(ref, kind, text.encode())

    def seal_bytes(self, ref: str, kind: str, plain: bytes) -> bytes:
        """The same of bytes."""
        nonce = secrets.token_bytes(NONCE)
        return _VERSION + nonce + AESGCM(self._key).encrypt(nonce, plain, _bound(self.resident, ref, kind))

    def open(self, ref: str, kind: str, sealed: bytes) -> str:
        """What was sealed for this row. Raises DamagedError."""
        return self.open_bytes(ref, kind, sealed).decode()

    def open_bytes(self, ref: str, kind: str, sealed: bytes) -> bytes:
        """The same of bytes. Raises DamagedError."""
        blob = bytes(sealed)
        try:
            if blob[:1] != _VERSION:
                raise DamagedError("a sealed text is of a version that is not known here.")
            return AESGCM(self._key).decrypt(blob[1 : 1 + NONCE], blob[1 + NONCE :], _bound(self.resident, ref, kind))
        except (InvalidTag, ValueError):
            raise DamagedError(f"the sealed text {ref} does not open with its resident's key.") from None

    def digest(self, text: str) -> str:
        """Stands for a text where the text must not. Without the key nobody can try which text it was."""
        return hmac.new(self._key, b"vaktpost/1/digest\x00" + text.encode(), hashlib.sha256).hexdigest()[:32]


class Keyring:
    """The keys of many residents, each unwrapped when it is asked for: ten thousand of them take a while."""

    def __init__(self, masters: MasterKeys, wrapped: Mapping[str, tuple[str, bytes]]) -> None:
        self._masters = masters
        self._wrapped = wrapped

    def key(self, resident: str) -> ResidentKey | None:
        """The key of a resident, or None when nothing of theirs opens any more. Raises DamagedError, KeysError."""
        if resident not in self._wrapped:
            return None
        master, wrapped = self._wrapped[resident]
        return ResidentKey(resident, _unwrap(self._masters.key(master), resident, wrapped))


class Vault:
    """The keys of residents."""

    def __init__(self, masters: MasterKeys) -> None:
        self._masters = masters

    async def key_of(self, connection: AsyncConnection, resident: str, now: int) -> ResidentKey:
        """The key of a resident; a new one is made for a new resident. Raises ErasedError, KeysError."""
        known = await self.known_key(connection, resident)
        if known is not None:
            return known
        master, wrapping = await self._masters.current(connection)
        wrapped = _wrap(wrapping, resident, AESGCM.generate_key(256))
        await _ADD.rows(connection, resident=resident, wrapped=wrapped, master=master, now=now)
        made = await self.known_key(connection, resident)
        assert made is not None  # noqa: S101  # it was put there by us, or by who was quicker
        return made

    async def known_key(self, connection: AsyncConnection, resident: str) -> ResidentKey | None:
        """The key of a resident, or None when nothing was ever sealed for them. Raises ErasedError, KeysError."""
        row = await _KEY.one(connection, resident=resident)
        if row is None:
            return None
        wrapped, master, _ = row
        if wrapped is None:
            raise ErasedError("erased", resident)
        return ResidentKey(resident, _unwrap(self._masters.key(master), resident, bytes(wrapped)))

    async def keyring(self, connection: AsyncConnection) -> Keyring:
        """The keys of everybody who was not erased, still wrapped."""
        rows = await _ALL.rows(connection)
        return Keyring(self._masters, {resident: (master, bytes(wrapped)) for resident, wrapped, master in rows})

    async def reference_hash(self, connection: AsyncConnection, tenant: str, reference: str) -> str:
        """What is stored of the municipality's own reference: whoever has only the database cannot try references."""
        kept = await _REFERENCES.value(connection)
        if kept is None:
            master, wrapping = await self._masters.current(connection)
            fresh = _wrap(wrapping, _REFERENCES_OWNER, secrets.token_bytes(32))
            await _ADD_REFERENCES.rows(connection, value=f"{master}:{fresh.hex()}")
            kept = await _REFERENCES.value(connection)
        text = f"{tenant}\x00{reference.strip()}".encode()
        return hmac.new(self._references(kept), text, hashlib.sha256).hexdigest()

    def _references(self, kept: str) -> bytes:
        master, _, wrapped = kept.partition(":")
        return _unwrap(self._masters.key(master), _REFERENCES_OWNER, bytes.fromhex(wrapped))

    async def erase(self, connection: AsyncConnection, resident: str, now: int) -> bool:
        """Destroy the key. Returns whether there was one. Raises HeldError."""
        if await _ERASE.one(connection, resident=resident, now=now):
            return True
        row = await _KEY.one(connection, resident=resident)
        if row is not None and row[0] is not None:
            raise HeldError("held", resident)
        return False

    async def wrap_again(self, connection: AsyncConnection) -> tuple[int, str]:
        """Wrap every key under a fresh master key, in the caller's transaction. Returns how many, and its id.

        After the commit `MasterKeys.settle` brings the files in line; when it does not come to that, the next start
        does.
        """
        before, _ = await self._masters.current(connection)
        after, wrapping = self._masters.add_upcoming()
        rows = await _ALL.rows(connection)
        again = [
            (_wrap(wrapping, resident, _unwrap(self._masters.key(master), resident, bytes(wrapped))), after, resident)
            for resident, wrapped, master in rows
        ]
        await _WRAP_AGAIN.many(connection, again)
        references = await _REFERENCES.value(connection)
        if references is not None:
            wrapped = _wrap(wrapping, _REFERENCES_OWNER, self._references(references))
            await _SET_REFERENCES.rows(connection, value=f"{after}:{wrapped.hex()}")
        await self._masters.switch(connection, before, after)
        return len(again), after


def _bound(resident: str, ref: str, kind: str) -> bytes:
    return b"vaktpost/1/fact" + b"".join(b"\x00" + part.encode() for part in (resident, ref, kind))


def _wrap(master: bytes, resident: str, key: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE)
    return _VERSION + nonce + AESGCM(master).encrypt(nonce, key, b"vaktpost/1/resident-key\x00" + resident.encode())


def _unwrap(master: bytes, resident: str, wrapped: bytes) -> bytes:
    label = b"vaktpost/1/resident-key\x00" + resident.encode()
    try:
        return AESGCM(master).decrypt(wrapped[1 : 1 + NONCE], wrapped[1 + NONCE :], label)
    except (InvalidTag, ValueError):
        raise DamagedError("the key of a resident does not open with the master key.") from None
