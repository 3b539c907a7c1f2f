"""SQLite's write-ahead log: copied into the database beside the writer, and started over in a pause.

Never inside a commit: there an alarm would wait for it. A pause takes as long as a slow commit: while nobody writes all
of it gets copied, and the next writer starts the log over. It is made when nobody wants to write; only a log that has
become too long (it is read as a whole after a crash) does not wait for that. Its file never shrinks, because what is
overwritten costs less than what is appended, so its size says nothing about what is in it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from central.store import Store

COPY_BYTES = 4 * 1024 * 1024
RESTART_BYTES = 32 * 1024 * 1024
"""From here on a quiet moment is taken to start over."""
LONGEST_BYTES = 128 * 1024 * 1024
"""From here on any moment is."""
FRAME_BYTES = 4096 + 24
"""A page with its header in the log."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What is in the log, and how much of it is in the database as well; in bytes."""

    logged: int
    copied: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left."""
        return self.copied >= self.logged

    def is_for_a_restart(self, *, is_quiet: bool) -> bool:
        """Whether to make a pause: the log is long for such a moment, and no reader keeps it from being copied."""
        long_bytes = RESTART_BYTES if is_quiet else LONGEST_BYTES
        return self.logged >= long_bytes and self.logged - self.copied < COPY_BYTES


class WriteAheadLog:
    """The log of one database."""

    def __init__(self, store: Store, file: Path) -> None:
        self._store = store
        self._file = file
        self._wal = file.with_name(file.name + "-wal")
        self._whole_at: int | None = None
        self.pauses = 0
        """How often writing was held up for it."""

    async def tend(self) -> None:
        """Copy what has come since the last time, when the log has grown; and start it over when it is long."""
        size, changed_ns = await asyncio.to_thread(_stat, self._wal)
        if size < COPY_BYTES or changed_ns == self._whole_at:
            return
        now = await asyncio.to_thread(_copy, self._file)
        if now.is_for_a_restart(is_quiet=self._store.is_quiet):
            await asyncio.to_thread(_copy, self._file)  # what came during the first: little is left for the pause
            async with self._store.pause():  # a passive checkpoint never waits for readers
                self.pauses += 1
                await asyncio.to_thread(_copy, self._file)
            return  # whether that was enough is told by the next look
        self._whole_at = changed_ns if now.is_whole else None


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _copy(file: Path) -> Copied:
    with closing(sqlite3.connect(file, isolation_level=None, timeout=1)) as connection:
        ((_, logged, copied),) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return Copied(logged=logged * FRAME_BYTES, copied=copied * FRAME_BYTES)
