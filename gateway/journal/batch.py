"""One transaction: what goes into it, and how it is written. `write` runs in the connection's thread, in one hop."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cloud_sync.identity import Lane
from gateway.errors import JournalError
from gateway.journal.database import PAGE_SIZE, EpochRow, MemoryRow
from gateway.journal.ledger import runs
from gateway.journal.numbering import Range
from gateway.journal.statements import LANE_SQL

_PAGES_TO_SPARE = 256
"""So many free pages inside the file hold any one transaction."""

Row = tuple[int, bytes] | tuple[int, bytes, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinning:
    """When the oldest rows of `lanes` give way to new ones: beyond a size, or when the card has too little left."""

    lanes: tuple[Lane, ...]
    limit_bytes: int
    card: Path
    headroom_bytes: int
    over: Mapping[Lane, int] = field(default_factory=dict)
    """How many rows a lane has beyond its own bound."""


@dataclass(slots=True, kw_only=True)
class Batch:
    """Everything that one commit makes durable, and who waits for it."""

    rows: dict[Lane, list[Row]] = field(default_factory=dict)
    epochs: list[EpochRow] = field(default_factory=list)
    forgotten_epochs: list[int] = field(default_factory=list)
    memory: list[MemoryRow] = field(default_factory=list)
    forgotten_memory: list[MemoryRow] = field(default_factory=list)
    meta: dict[str, int | str | bytes] = field(default_factory=dict)
    kept: dict[tuple[Lane, int], list[Range]] = field(default_factory=dict)
    """Per lane and day: what the table shall hold from now on."""
    gaps: dict[Lane, list[Range]] = field(default_factory=dict)
    """Per lane: what the table shall hold from now on."""
    deletes: list[tuple[Lane, int, int]] = field(default_factory=list)
    delete_rows: int = 0
    """At most so many rows are deleted; the rest is told back."""
    thinning: Thinning | None = None
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    is_lazy: bool = False
    """Whether what waited for company is in it."""
    unfolded: list[MemoryRow] = field(default_factory=list)
    """Memory that rides in the rows' own memos."""
    folding: list[MemoryRow] = field(default_factory=list)
    """Memory of earlier memos, that goes into its table now."""
    folded: dict[Lane, int] = field(default_factory=dict)
    """Up to which row no memo is needed any more."""

    def done(self) -> None:
        """Tell everybody who waits that it is durable."""
        for future in self.waiting:
            if not future.done():
                future.set_result(None)

    def failed(self, error: JournalError) -> None:
        """Tell everybody who waits that it is not; nobody has to listen."""
        for future in self.waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the transaction did besides writing what it was given."""

    undone: list[tuple[Lane, int, int]]
    """Deletes that were too many for one transaction."""
    thinned: Mapping[Lane, list[Range]]


def write(connection: sqlite3.Connection, batch: Batch) -> Outcome:
    """Write and commit. Raises sqlite3.Error; then nothing is written, or it is not known."""
    execute = connection.execute
    execute("BEGIN IMMEDIATE")
    try:
        undone = _delete(connection, batch)  # first, so that what follows can have the room
        thinned = _thin(connection, batch)
        for epoch in batch.epochs:
            ended = None if epoch.ended is None else json.dumps({int(lane): seq for lane, seq in epoch.ended.items()})
            execute(
                "INSERT INTO epoch VALUES (?, ?, ?, ?) ON CONFLICT (no) DO UPDATE SET ended = excluded.ended,"
                " header = CASE excluded.header WHEN x'' THEN header ELSE excluded.header END",
                (epoch.number, epoch.epoch, epoch.header, ended),
            )
        for lane, rows in batch.rows.items():
            sql = LANE_SQL[lane]
            connection.executemany(sql.insert_memo if len(rows[0]) == 3 else sql.insert, rows)
        _remember(connection, batch)
        _keep_books(connection, batch)
        for lane, ranges in thinned.items():
            connection.executemany("INSERT OR REPLACE INTO gap VALUES (?, ?, ?)", [(lane, *edges) for edges in ranges])
        execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            execute("ROLLBACK")
        raise
    return Outcome(undone=undone, thinned=thinned)


def _remember(connection: sqlite3.Connection, batch: Batch) -> None:
    if batch.memory:
        connection.executemany(
            "INSERT INTO memory VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET value = excluded.value, tick = excluded.tick WHERE excluded.tick > tick",
            batch.memory,
        )
    for key, _, tick in batch.forgotten_memory:
        connection.execute("DELETE FROM memory WHERE key = ? AND tick = ?", (key, tick))
    for key, value in batch.meta.items():
        connection.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )


def _keep_books(connection: sqlite3.Connection, batch: Batch) -> None:
    for number in batch.forgotten_epochs:
        connection.execute("DELETE FROM epoch WHERE no = ?", (number,))
    for (lane, day), ranges in batch.kept.items():
        connection.execute("DELETE FROM kept WHERE lane = ? AND day = ?", (lane, day))
        connection.executemany("INSERT INTO kept VALUES (?, ?, ?, ?)", [(lane, day, *edges) for edges in ranges])
    for lane, ranges in batch.gaps.items():
        connection.execute("DELETE FROM gap WHERE lane = ?", (lane,))
        connection.executemany("INSERT INTO gap VALUES (?, ?, ?)", [(lane, *edges) for edges in ranges])


def _delete(connection: sqlite3.Connection, batch: Batch) -> list[tuple[Lane, int, int]]:
    left, undone = batch.delete_rows, []
    for lane, first, last in batch.deletes:
        if left <= 0:
            undone.append((lane, first, last))
            continue
        up_to, count = connection.execute(LANE_SQL[lane].run, (first, last, left)).fetchone()
        if count:
            connection.execute(LANE_SQL[lane].delete, (first, up_to))
        if count == left and up_to < last:
            undone.append((lane, up_to + 1, last))
        left -= count
    return undone


def _is_too_big(connection: sqlite3.Connection, thinning: Thinning) -> bool:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    used = pages - connection.execute("PRAGMA freelist_count").fetchone()[0]
    if used * PAGE_SIZE > thinning.limit_bytes:
        return True
    space = os.statvfs(thinning.card)
    headroom = min(thinning.headroom_bytes, space.f_blocks * space.f_frsize // 8)
    return space.f_bavail * space.f_frsize < headroom and used > pages - _PAGES_TO_SPARE


def _thin(connection: sqlite3.Connection, batch: Batch) -> dict[Lane, list[Range]]:
    """Make room: the oldest go, and a gap says so in the same transaction."""
    thinned: dict[Lane, list[Range]] = {}
    thinning = batch.thinning
    if thinning is None or not batch.rows:
        return thinned
    is_too_big = _is_too_big(connection, thinning)
    left = batch.delete_rows
    for lane in thinning.lanes:
        count = left if is_too_big else min(left, thinning.over.get(lane, 0))
        ids = [row for (row,) in connection.execute(LANE_SQL[lane].head, (count,))] if count else []
        if not ids:
            continue
        thinned[lane] = runs(ids)
        connection.execute(LANE_SQL[lane].delete, (ids[0], ids[-1]))
        left -= len(ids)
        if left <= 0:
            break
    return thinned
