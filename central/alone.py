"""One process at a time: a lock on a file, that the system takes back from whoever dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from central.dialect import Dialect
from central.errors import CentralError
from central.settings import CentralSettings

_SUFFIX = ".running"


@contextmanager
def alone(settings: CentralSettings) -> Iterator[None]:
    """For a central that listens: its folder is its own, and so is an SQLite database. Raises CentralError."""
    file = Dialect(settings.database_url).file
    with ExitStack() as held:
        if file is not None:
            held.enter_context(
                _locked(
                    file.with_name(file.name + _SUFFIX),
                    f"works on {file}. SQLite takes one process; several can share PostgreSQL: database.url",
                )
            )
        held.enter_context(
            _locked(
                settings.data_dir / f"central{_SUFFIX}",
                f"runs with {settings.data_dir}. Stop it, or give this one a folder of its own with the same keys: "
                "data_dir",
            )
        )
        yield


@contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CentralError(f"{path}: cannot be written: {error.strerror}.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace") or "?"
            raise CentralError(f"another central (process {holder}) {what}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
