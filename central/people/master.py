"""The master key: what wraps the key of each resident. A file of mode 0600, or a credential of systemd.

Which key is the current one stands in the database (`central_state`), so that several processes and a rotation that was
cut short agree: the files are only where keys are looked for. Nothing here is ever logged or part of a message.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import KeysError
from central.keys import read_private, write_private
from central.settings import CentralSettings
from central.sql import Sql

SIZE = 32
_CURRENT = Sql("SELECT value FROM central_state WHERE name = 'master'")
_FIRST = Sql("INSERT INTO central_state (name, value) VALUES ('master', :id) ON CONFLICT DO NOTHING")
_SET = Sql("UPDATE central_state SET value = :id WHERE name = 'master' AND value = :before RETURNING value")
_ANY = Sql("SELECT 1 FROM resident_key WHERE wrapped IS NOT NULL LIMIT 1")


def master_id(key: bytes) -> str:
    """Sixteen hex digits that name a key and tell nothing of it."""
    return hashlib.sha256(b"vaktpost/1/master-id\x00" + key).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterFiles:
    """Where master keys lie. `credential` names one that systemd hands over; then no file of ours is read or made."""

    file: Path
    credential: str = ""

    @classmethod
    def of(cls, settings: CentralSettings) -> MasterFiles:
        """As the settings say."""
        return cls(file=settings.master_key.file, credential=settings.master_key.credential)

    @property
    def upcoming(self) -> Path:
        """What a rotation under way has written."""
        return self.file.with_suffix(".next")

    def old(self, key_id: str) -> Path:
        """Where a rotation leaves the key before."""
        return self.file.with_name(f"master-{key_id}.old")

    def make(self) -> bytes:
        """A new key in a new file."""
        key = secrets.token_bytes(SIZE)
        write_private(self.file, key)
        return key

    def read(self) -> Iterator[bytes]:
        """Every key at hand, the likely one first; old ones are for a database put back. Raises KeysError."""
        if self.credential:
            yield _checked(self._credential_file(), _credential(self._credential_file()))
            return
        for path in (self.file, self.upcoming, *sorted(self.file.parent.glob("master-*.old"))):
            if path.exists():
                yield _checked(path, read_private(path))

    def _credential_file(self) -> Path:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise KeysError(
                f'master_key.credential = "{self.credential}": systemd has handed over no credentials. Put '
                f"LoadCredentialEncrypted={self.credential} into the unit, or take the setting out to use a file."
            )
        return Path(folder) / self.credential


def _credential(path: Path) -> bytes:
    try:
        mode, content = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise KeysError(f"{path}: the master key cannot be read: {error.strerror}.") from None
    if stat.S_IMODE(mode) & 0o007:
        raise KeysError(f"{path}: everybody can read this key.")
    return content


def _checked(path: Path, key: bytes) -> bytes:
    if len(key) != SIZE:
        raise KeysError(f"{path}: this is no master key: it has {len(key)} bytes, not {SIZE}.")
    return key


@dataclass(slots=True, repr=False)
class MasterKeys:
    """The keys at hand, by id. One that is not known yet is looked for in the files again: another may have rotated."""

    files: MasterFiles
    _known: dict[str, bytes] = field(default_factory=dict)

    async def open(self, connection: AsyncConnection) -> None:
        """Agree with the database on the current key. An older installation gets its first. Raises KeysError."""
        self._read()
        current = await _CURRENT.value(connection)
        if current is None:
            if not self._known:
                if await _ANY.one(connection):
                    raise self._missing("")
                self._add(self.files.make())
            await _FIRST.rows(connection, id=next(iter(self._known)))
            current = await _CURRENT.value(connection)
        if current not in self._known:
            raise self._missing(current)
        if not self.files.credential and self.files.upcoming.exists():
            self._finish(current)

    def _finish(self, current: str) -> None:
        """A rotation was cut short: before its commit it did not happen, after it only the files are behind."""
        if master_id(read_private(self.files.upcoming)) == current:
            if self.files.file.exists():
                self.files.file.replace(self.files.old(master_id(read_private(self.files.file))))
            self.files.upcoming.replace(self.files.file)
        else:
            self.files.upcoming.unlink()

    async def current(self, connection: AsyncConnection) -> tuple[str, bytes]:
        """The id and the key that new wrapping uses, as of this transaction. Raises KeysError."""
        current = await _CURRENT.value(connection)
        if current is None:
            raise self._missing("")
        return current, self.key(current)

    def key(self, key_id: str) -> bytes:
        """A key by its id. Raises KeysError."""
        if key_id not in self._known:
            self._read()
        if key_id not in self._known:
            raise self._missing(key_id)
        return self._known[key_id]

    def add_upcoming(self) -> tuple[str, bytes]:
        """A fresh key in the file beside the current one: the first step of a rotation. Raises KeysError."""
        if self.files.credential:
            raise KeysError(
                "the master key is a credential of systemd, which central cannot write. Take master_key.credential out "
                "of central.toml, put the key into keys/master.key (mode 0600), rotate, and make a credential of it."
            )
        self.files.upcoming.unlink(missing_ok=True)
        key = secrets.token_bytes(SIZE)
        write_private(self.files.upcoming, key)
        return self._add(key), key

    async def switch(self, connection: AsyncConnection, before: str, after: str) -> None:
        """Make the fresh key the current one, in the transaction that wraps everything again. Raises KeysError."""
        if not await _SET.one(connection, id=after, before=before):
            raise KeysError("another rotation of the master key was quicker: nothing was changed.")

    def settle(self, current: str) -> Path:
        """The last step: the files follow the database. Returns where the old key lies."""
        old = self.files.old(master_id(read_private(self.files.file)))
        self._finish(current)
        return old

    def _read(self) -> None:
        for key in self.files.read():
            self._add(key)

    def _add(self, key: bytes) -> str:
        self._known[master_id(key)] = key
        return master_id(key)

    def _missing(self, key_id: str) -> KeysError:
        where = f"the credential {self.files.credential}" if self.files.credential else str(self.files.file)
        return KeysError(
            f"{where}: the master key {key_id} that residents' records are sealed under is missing. Restore it from "
            "the copy that was locked away; without it nothing that is known about residents can be read."
        )
