"""What the kernel says of a process, and raw limits of the machine measured in the same run."""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A process at one moment."""

    cpu_s: float
    rss_mb: float
    written_bytes: int


def usage(pid: int) -> Usage:
    """CPU (user and system), resident memory, and bytes sent to the storage layer."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    written = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Usage(
        cpu_s=ticks / os.sysconf("SC_CLK_TCK"),
        rss_mb=int(status["VmRSS"].split()[0]) / 1024,
        written_bytes=int(written["write_bytes"]),
    )


def percentile(values: list[float], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


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
