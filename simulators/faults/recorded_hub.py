"""The real hub under observation, and only here with another durability than it insists on. For tests.

`python -m simulators.faults.recorded_hub hub run ...` is `vaktpost hub run ...`, and notes in the recording of its
writes (recorder.h) every moment at which the journal calls a record durable, and every receipt that it is told of.

VAKTPOST_BROKEN_SYNCHRONOUS=NORMAL or OFF makes SQLite durable in name only, and lets it answer that it is FULL, so that
the hub's own check does not refuse to start. Nothing in the programs that are installed looks at it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import sys
from functools import partial
from typing import Any

import vaktpost
from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from gateway.journal import Journal
from simulators.faults.recording import packed_mark

BROKEN = "VAKTPOST_BROKEN_SYNCHRONOUS"


def digest(record: bytes) -> str:
    """A record in a mark."""
    return hashlib.sha256(record).hexdigest()[:16]


class Marks:
    """Wraps what the journal promises and is told."""

    def __init__(self, recording: str) -> None:
        self._file = os.open(recording, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._epoch = b""

    def install(self) -> None:
        """From now on every journal of this process is observed."""
        start_epoch, append, settle = Journal.start_epoch, Journal.append_nowait, Journal.settle

        async def started(journal: Journal, epoch: bytes, header: bytes) -> None:
            self._epoch = epoch
            await start_epoch(journal, epoch, header)

        def appended(
            journal: Journal, lane: Lane, seq: int, record: bytes, remember: Any = None
        ) -> asyncio.Future[None]:
            future = append(journal, lane, seq, record, remember)
            # The first to be told, so that the mark stands before everything that rests upon it.
            future.add_done_callback(partial(self._appended, lane, seq, record))
            return future

        async def settled(
            journal: Journal, epoch: bytes, lane: Lane, stored: SeqRanges, unopened: SeqRanges, lineage: bytes
        ) -> int:
            ranges = [[first, min(last, 1 << 40)] for first, last in [*stored, *unopened]]
            self._write({"receipt": [epoch.hex(), int(lane)], "ranges": ranges})
            return await settle(journal, epoch, lane, stored, unopened, lineage)

        Journal.start_epoch = started  # type: ignore[method-assign,assignment]
        Journal.append_nowait = appended  # type: ignore[method-assign,assignment]
        Journal.settle = settled  # type: ignore[method-assign,assignment]

    def _appended(self, lane: Lane, seq: int, record: bytes, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._write({"durable": [self._epoch.hex(), int(lane), seq], "digest": digest(record)})

    def _write(self, mark: dict[str, Any]) -> None:
        os.write(self._file, packed_mark(mark))


def break_synchronous(mode: str) -> None:
    """SQLite is set to `mode` whenever it is told to be durable, and says that it is."""

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            words = sql.replace("=", " ").upper().split()
            if words[:2] == ["PRAGMA", "SYNCHRONOUS"]:
                sql = f"PRAGMA synchronous = {mode}" if len(words) > 2 else "SELECT 2"
            return super().execute(sql, *values)

    connect = sqlite3.connect

    def connected(*words: Any, **more: Any) -> sqlite3.Connection:
        return connect(*words, **more, factory=Connection)

    sqlite3.connect = connected  # type: ignore[assignment]


def main() -> int:
    """As `vaktpost` with the same words."""
    if recording := os.environ.get("VAKTPOST_RECORD"):
        Marks(recording).install()
    if mode := os.environ.get(BROKEN):
        break_synchronous(mode)
    return vaktpost.main(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
