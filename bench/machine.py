"""What the kernel says of a process and of the machine, and raw limits of the machine measured in the same run."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A process at one moment. Memory in MB of 1024 KB, as the kernel counts: resident, and of that what is anonymous.

    The rest of what is resident are pages of programs and libraries, which the kernel takes back when it needs them.
    """

    cpu_s: float
    rss_mb: float
    peak_mb: float
    anonymous_mb: float
    written_bytes: int


def usage(pid: int) -> Usage:
    """CPU (user and system), memory, and bytes sent to the storage layer (a file system in memory is none)."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    written = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Usage(
        cpu_s=sum(_ticks(pid)[:2]) / TICKS_PER_S,
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        peak_mb=int(status["VmHWM"].split()[0]) / 1024,
        anonymous_mb=int(status["RssAnon"].split()[0]) / 1024,
        written_bytes=int(written["write_bytes"]),
    )


def forget_peak(pid: int) -> None:
    """Let `peak_mb` count from now on."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _ticks(pid: int) -> list[int]:
    """User and system time of the process itself, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) for field in fields[11:15]]


class Others:
    """How much of the machine was taken by programs that are not ours, since this was made: noise in the figures."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._busy = _busy_ticks()
        self._ours = _our_ticks()

    def share(self) -> float:
        """0 to 1, of all processors."""
        ticks = (time.monotonic() - self._start_s) * TICKS_PER_S * (os.cpu_count() or 1)
        others = (_busy_ticks() - self._busy) - (_our_ticks() - self._ours)
        return min(1.0, max(0.0, others / ticks))


def _busy_ticks() -> int:
    user, nice, system, _idle, _io, irq, softirq = map(int, Path("/proc/stat").read_text().split(maxsplit=8)[1:8])
    return user + nice + system + irq + softirq


def _our_ticks() -> int:
    """This process and its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):  # ended meanwhile
                continue
    ours: set[int] = set()
    found = {os.getpid()}
    while found:
        ours |= found
        found = {pid for pid, parent in parents.items() if parent in ours} - ours
    total = 0
    for pid in ours:
        try:
            total += sum(_ticks(pid))
        except OSError:
            continue
    return total


def raw_fsync_ms(folder: Path, rounds: int = 300) -> list[float]:
    """Append 4 KiB and fdatasync, as the floor under every durable alarm."""
    path = folder / "fsync.raw"
    took = []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(rounds):
            start = time.perf_counter()
            os.write(fd, bytes(4096))
            os.fdatasync(fd)
            took.append((time.perf_counter() - start) * 1000)
    finally:
        os.close(fd)
        path.unlink()
    return took


def raw_sqlite_per_s(folder: Path, *, batch: int = 100, seconds: float = 2.0) -> float:
    """Rows of 300 bytes through bare sqlite3, WAL and FULL, so many a commit: the peer of the telemetry figure."""
    path = folder / "raw.db"
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB)")
        rows, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            database.execute("BEGIN")
            database.executemany("INSERT INTO t (b) VALUES (?)", [(bytes(300),)] * batch)
            database.execute("COMMIT")
            rows += batch
        return rows / (time.perf_counter() - start)
    finally:
        database.close()
        for file in folder.glob("raw.db*"):
            file.unlink()
