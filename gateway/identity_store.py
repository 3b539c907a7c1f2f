"""Who the hub is, on its card: the private key, whom it believes, and the id that central gave it.

    state_dir/identity/hub.key        Ed25519 private key, 32 bytes, mode 0600
    state_dir/identity/trust.bundle   central's root and what it has certified
    state_dir/identity/hub.json       hub id, central's address and lineage, suite

The folder is written beside its place and moved there in one step, so it is whole or absent. A hub that runs well keeps
a second one, `state_dir/identity.spare`: a sector that goes bad must not leave a home without a hub. It counts only
while the first is there and cannot be read.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Self

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing
from cloud_sync.errors import WireError
from cloud_sync.ownership import hand_over
from cloud_sync.trust import TrustBundle
from gateway.errors import HubError

FOLDER = "identity"
SPARE = "identity.spare"
FORMAT = 1
_ASIDE = ".replaced-"
_FILES = _KEY, _TRUST, _FACTS = "hub.key", "trust.bundle", "hub.json"
_ID = re.compile(r"^[0-9a-f]{16}$")

_log = structlog.get_logger()


class IdentityError(HubError):
    """There is no identity, or it is damaged. The text says what to do."""


class _DamagedError(IdentityError):
    """It is there, and cannot be read."""

    def __init__(self, words: str, why: str) -> None:
        super().__init__(words)
        self.why = why


class _NewerError(ValueError):
    """A later version of the program wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    version: int = FORMAT
    hub: str
    central: str
    lineage: str
    suite: int
    enrolled_ms: int

    @classmethod
    def read(cls, content: bytes) -> Self:
        """Raises ValueError, _NewerError when it is of another time."""
        found = json.loads(content)
        version = found.get("version", FORMAT) if isinstance(found, dict) else None
        if type(version) is int and version > FORMAT:
            raise _NewerError(f"format {version}, known is {FORMAT}")
        if not isinstance(found, dict) or {"version"} | set(found) != {each.name for each in fields(cls)}:
            raise ValueError(f"{_FACTS} does not hold what it should")
        for name, value in found.items():
            is_right = type(value) is (int if name in {"version", "suite", "enrolled_ms"} else str)
            if not is_right or (name in {"hub", "lineage"} and not _ID.match(value)):
                raise ValueError(f"{_FACTS}: {name} is not as it should be")
        return cls(**found)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Identity:
    """Everything a hub needs to speak for itself and to know central."""

    hub: bytes
    key: Ed25519PrivateKey
    trust: TrustBundle
    lineage: bytes
    central: str
    suite: int
    enrolled_ms: int
    damage: str = ""
    """What is wrong with the first one, when this is the spare one."""


def is_enrolled(state_dir: Path) -> bool:
    """Whether there is an identity (whole or not). Raises IdentityError when this user may not look."""
    try:
        return (state_dir / FOLDER).exists() or _put_back(state_dir)
    except OSError as error:
        raise _unreadable(error) from error


def _put_back(state_dir: Path) -> bool:
    """A power cut between the two renames of a replacement leaves the old identity aside: it is the one that counts."""
    for aside in sorted(state_dir.glob(f"{_ASIDE}*/{FOLDER}")):
        aside.rename(state_dir / FOLDER)
        _sync(state_dir)
        return True
    return False


def load(state_dir: Path) -> Identity:
    """Read the identity, or the spare one when that is damaged. Raises IdentityError."""
    folder = state_dir / FOLDER
    if not is_enrolled(state_dir):
        raise IdentityError(
            f"this hub is not enrolled: there is no {folder}. Get a code at central (`vaktpost central code`) and run "
            "`vaktpost hub enrol --central URL CODE`"
        )
    try:
        return _read(folder)
    except _DamagedError as error:
        try:
            return replace(_read(state_dir / SPARE), damage=error.why)
        except IdentityError:
            raise error from None


def _read(folder: Path) -> Identity:
    try:
        raw_key = (folder / _KEY).read_bytes()
        mode = stat.S_IMODE((folder / _KEY).stat().st_mode)
        facts = _Facts.read((folder / _FACTS).read_bytes())
        trust = TrustBundle.read((folder / _TRUST).read_bytes())
        key = Ed25519PrivateKey.from_private_bytes(raw_key)
    except PermissionError as error:
        raise _unreadable(error) from error
    except OSError as error:
        raise _DamagedError(str(_unreadable(error)), error.strerror or type(error).__name__) from error
    except _NewerError as error:
        raise IdentityError(
            f"the identity in {folder} was written by a newer version of the program ({error}): install that one again"
        ) from error
    except (WireError, ValueError) as error:
        why = _first_line(error)
        raise _DamagedError(
            f"the identity in {folder} is damaged ({why}). Restore it from a backup, or enrol again with --replace", why
        ) from error
    if mode & 0o077:
        raise IdentityError(f"{folder / _KEY} can be read by others (mode {mode:o}): chmod 600 it")
    return Identity(
        hub=bytes.fromhex(facts.hub),
        key=key,
        trust=trust,
        lineage=bytes.fromhex(facts.lineage),
        central=facts.central,
        suite=facts.suite,
        enrolled_ms=facts.enrolled_ms,
    )


def keep_spare(state_dir: Path) -> None:
    """Have a second one that is like the first. A card that does not take it is known otherwise. Blocks."""
    folder, spare = state_dir / FOLDER, state_dir / SPARE
    try:
        _read(folder)
        whole = {name: (folder / name).read_bytes() for name in _FILES}
        if spare.exists():
            with suppress(OSError):
                if whole == {name: (spare / name).read_bytes() for name in _FILES}:
                    return
            _remove(spare)
        _place(state_dir, whole, spare)
    except OSError as error:
        _log.warning("identity_spare_not_kept", error=error.strerror)
    except IdentityError as error:
        _log.warning("identity_spare_not_kept", error=str(error))


def store(state_dir: Path, identity: Identity, *, is_replaced: bool = False) -> None:
    """Write the identity, durably and in one step. Raises IdentityError when there is one already."""
    place = state_dir / FOLDER
    if is_enrolled(state_dir) and not is_replaced:
        raise IdentityError(f"this hub is enrolled already ({place}); add --replace to give it a new identity")
    facts = _Facts(
        hub=identity.hub.hex(),
        central=identity.central,
        lineage=identity.lineage.hex(),
        suite=identity.suite,
        enrolled_ms=identity.enrolled_ms,
    )
    whole = {
        _KEY: signing.raw_private(identity.key),
        _TRUST: identity.trust.raw,
        _FACTS: json.dumps(asdict(facts), indent=1).encode() + b"\n",
    }
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove(state_dir / SPARE)  # of the identity that goes
        _place(state_dir, whole, place)
    except OSError as error:
        raise IdentityError(f"the identity cannot be written: {error.strerror}: {error.filename}") from error


def _place(state_dir: Path, whole: Mapping[str, bytes], place: Path) -> None:
    """Write a folder, durably and in one step. Raises OSError."""
    fresh = Path(tempfile.mkdtemp(prefix=".identity-", dir=state_dir))
    try:
        for name, content in whole.items():
            _write(fresh / name, content)
        hand_over(fresh, state_dir)
        _sync(fresh)
        if place.exists():
            old = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=state_dir))
            place.rename(old / FOLDER)
            fresh.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        else:
            fresh.rename(place)
        _sync(state_dir)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
        _sync(folder.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unreadable(error: OSError) -> IdentityError:
    hint = "; try again as the hub's user, or with sudo" if isinstance(error, PermissionError) else ""
    return IdentityError(f"the identity cannot be read: {error.strerror}: {error.filename}{hint}")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__
