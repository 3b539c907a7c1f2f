"""The journal's directory: private, durable entries, one owner, a reserve for alarms, damaged files set aside."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import JournalError, JournalRefusedError
from gateway.journal.reports import ProbeResult

_LOCK = "lock"
_RESERVE = "reserve"
_PROBE = "probe"
_COMPANIONS = ("", "-wal", "-shm")
_ROOM_TO_RESERVE = 4
_PARTS = 4
"""The reserve is so many files: on a card without a free inode each of them gives one."""
_INODES = 3
_FIRST_KEPT = 4
_LAST_KEPT = 4


def make_directory(path: Path) -> None:
    """A directory that only the hub's user can look into, and that is still there after a power cut."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_directory(folder.parent)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        path.chmod(0o700)


def sync_directory(path: Path) -> None:
    """Make names in a directory durable."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_private(path: Path) -> None:
    """An empty file that only the hub's user can read. SQLite gives -wal and -shm the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def own(path: Path) -> int:
    """Take the directory for this process; the number is to be closed in the end. Raises JournalRefusedError."""
    number = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)
        raise JournalRefusedError(
            f"the journal in {path} is in use by another process: stop the hub that runs there first"
        ) from None
    return number


def size_of(path: Path) -> int:
    """Bytes of a database with its log."""
    total = 0
    for suffix in ("", "-wal"):
        with contextlib.suppress(FileNotFoundError):
            total += Path(f"{path}{suffix}").stat().st_size
    return total


def is_there(path: Path) -> bool:
    """Whether anything lies there of a database."""
    return path.exists() or Path(f"{path}-wal").exists()


def is_orphaned(path: Path) -> bool:
    """Whether there is a log with something in it, and no database that it belongs to."""
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0 and (not path.exists() or not path.stat().st_size)


def has_no_room(path: Path) -> bool:
    """Whether nothing can be made any more in the directory: no space, or no inodes."""
    space = os.statvfs(path)
    return space.f_bavail * space.f_frsize < _COMPANIONS_BYTES or (space.f_files > 0 and space.f_favail < _INODES)


_COMPANIONS_BYTES = 128 * 1024
"""A log and its index begin with less."""


def demand_given(path: Path) -> None:
    """Raises OSError when the card does not give the beginning of a file either: then it is not the file's fault.

    SQLite calls a page that cannot be read damage, just as one that makes no sense.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(number, 0, 4096, os.POSIX_FADV_DONTNEED)  # so that it is read from the card
            os.pread(number, 100, 0)
        finally:
            os.close(number)
    except OSError as error:
        if error.errno in {errno.EIO, errno.ENXIO}:
            raise


def set_aside(path: Path, name: Path) -> Path:
    """Rename a database and its log, so that a new one can be begun; nothing is deleted.

    Returns the new name, which is one of the series of `name`.
    """
    number = 1 + max((number_of(old) for old in set_asides(name)), default=0)
    aside = Path(f"{name}.damaged-{number}")
    for suffix in ("-wal", ""):  # the log first: a database without its log is older, a log without is of no use
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
    with contextlib.suppress(FileNotFoundError):
        Path(f"{path}-shm").unlink()
    sync_directory(path.parent)
    return aside


def set_asides(path: Path) -> list[Path]:
    """What was set aside of this database, oldest first; of one of them only the log may be there."""
    found = set()
    for aside in path.parent.glob(f"{path.name}.damaged-*"):
        number = aside.name.removesuffix("-wal").rpartition("-")[2]
        if number.isdecimal():
            found.add(int(number))
    return [Path(f"{path}.damaged-{number}") for number in sorted(found)]


def number_of(aside: Path) -> int:
    """Its place in the series."""
    return int(aside.name.rpartition("-")[2])


def surplus(path: Path, salvaged: Collection[str]) -> list[Path]:
    """Set-aside files that may be deleted: of more than eight those in the middle that were salvaged to the end.

    The first four stay, because they show how it began, and the last four, because they show how it is; and the next
    one is never called as one that was salvaged.
    """
    return [aside for aside in set_asides(path)[_FIRST_KEPT:-_LAST_KEPT] if aside.name in salvaged]


def delete_database(path: Path) -> None:
    """Give the space of a database back."""
    for suffix in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").unlink()
    sync_directory(path.parent)


@dataclass(frozen=True, slots=True)
class Reserve:
    """Space kept back for alarms: files of real blocks that are deleted when the card is full."""

    directory: Path
    size_bytes: int

    def fill(self) -> bool:
        """Take the space if there is plenty of it. Returns whether the reserve is there."""
        if self.present_bytes() >= self.size_bytes:
            return True
        space = os.statvfs(self.directory)
        if space.f_bavail * space.f_frsize < self.size_bytes * _ROOM_TO_RESERVE:
            return False
        for path in self._parts():
            self._fill_part(path)
        sync_directory(self.directory)
        return True

    def _fill_part(self, path: Path) -> None:
        make_private(path)
        number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.posix_fallocate(number, 0, -(-self.size_bytes // _PARTS))
            os.fsync(number)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(number)

    def release(self) -> bool:
        """Give the space to the alarms. Returns whether there was any."""
        had = self.present_bytes() > 0
        for path in (self.directory / _RESERVE, *self._parts()):
            path.unlink(missing_ok=True)
        sync_directory(self.directory)
        return had

    def present_bytes(self) -> int:
        """How much is kept back now."""
        total = 0
        for path in (self.directory / _RESERVE, *self._parts()):
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def _parts(self) -> list[Path]:
        return [self.directory / f"{_RESERVE}-{number}" for number in range(1, _PARTS + 1)] if self.size_bytes else []


def probe(directory: Path, reserve: Reserve) -> ProbeResult:
    """Write a page, make it durable, read it back from where it lies. Raises nothing."""
    free = total = kept = 0
    write_ms = read_ms = None
    error = None
    path = directory / _PROBE
    page = os.urandom(4096)
    try:
        space = os.statvfs(directory)
        free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
        kept = reserve.present_bytes()
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            started = time.perf_counter()
            os.pwrite(number, page, 0)
            os.fsync(number)
            write_ms = (time.perf_counter() - started) * 1000
            os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)  # so that it is read from the card
            started = time.perf_counter()
            back = os.pread(number, len(page), 0)
            read_ms = (time.perf_counter() - started) * 1000
        finally:
            os.close(number)
            path.unlink(missing_ok=True)
        if back != page:
            error = "what was read back is not what was written"
    except OSError as failure:
        error = failure.strerror or type(failure).__name__
    return ProbeResult(
        write_ms=write_ms, read_ms=read_ms, free_bytes=free, total_bytes=total, reserve_bytes=kept, error=error
    )


def unwritable(path: Path, error: Exception) -> JournalError:
    """The words for a card that does not take it."""
    return JournalError(
        f"{path.name} cannot be written ({error}); see that the card is in place, writable and not full"
    )
