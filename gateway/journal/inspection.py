"""Looking into a journal from outside, also while the daemon uses it: no content, nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.errors import MalformedError
from cloud_sync.identity import Lane
from cloud_sync.record import parse_record
from gateway.errors import JournalError
from gateway.journal import database
from gateway.journal.database import ALARM, BULK, Found, NewerError, Shape
from gateway.journal.directory import set_asides, size_of
from gateway.journal.ledger import Ledger
from gateway.journal.numbering import epoch_number, seq_of
from gateway.journal.statements import LANE_SQL

_PAGE = 200
_MAX_ID = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One record as it lies there: its name and times in the clear, the rest as hex of what is sealed."""

    lane: Lane
    epoch: str
    seq: int
    wall_ms: int | None
    boot_ms: int | None
    is_settled: bool
    size_bytes: int
    hex: str


def inspect(directory: Path) -> dict[str, Any]:
    """A summary for `vaktpost hub journal --json`: files, epochs, counts, gaps, what was set aside.

    `stands_in_for`: the file of a newer version that this one is used beside, or None. Raises JournalError with a text
    for a person when there is no journal or it cannot be read.
    """
    files, lanes = [], {}
    epochs: dict[str, dict[str, Any]] = {}
    lineage = None
    for shape in (ALARM, BULK):
        path, stands_in_for = _in_use(directory, shape)
        with _looking(path, shape) as (connection, found):
            files.append(
                {
                    "name": path.name,
                    "stands_in_for": stands_in_for,
                    "version": connection.execute("PRAGMA user_version").fetchone()[0],
                    "size_bytes": size_of(path),
                    "free_bytes": connection.execute("PRAGMA freelist_count").fetchone()[0] * database.PAGE_SIZE,
                    "set_aside": [aside.name for aside in set_asides(directory / shape.file)],
                }
            )
            known = found.meta.get("lineage")
            lineage = known.hex() if isinstance(known, bytes) and lineage is None else lineage
            for row in found.epochs:
                epochs.setdefault(
                    row.epoch.hex(), {"number": row.number, "is_clean": row.ended is not None, "is_known_to": []}
                )["is_known_to"].append(shape.name)
            for lane, ledger in _ledgers(shape, found).items():
                lanes[lane.word] = _lane(connection, ledger)
    ordered = sorted(epochs.items(), key=lambda item: int(item[1]["number"]))
    return {
        "directory": str(directory),
        "files": files,
        "lanes": lanes,
        "epochs": [{"epoch": epoch} | facts for epoch, facts in ordered],
        "lineage": lineage,
    }


def _lane(connection: sqlite3.Connection, ledger: Ledger) -> dict[str, Any]:
    records = size = unsettled = 0
    oldest: int | None = None
    for row, length in connection.execute(LANE_SQL[ledger.lane].lengths):
        records += 1
        size += length
        if row not in ledger.settled:
            unsettled += 1
            oldest = row if oldest is None else oldest
    return {
        "records": records,
        "size_bytes": size,
        "unsettled": unsettled,
        "offered_again": ledger.again.size,
        "lost": ledger.gaps.size,
        "oldest_ms": None if oldest is None else _wall_ms(connection, ledger.lane, oldest),
    }


def _wall_ms(connection: sqlite3.Connection, lane: Lane, row: int) -> int | None:
    (_, record), *_ = connection.execute(LANE_SQL[lane].rows, (row, row, 1)).fetchall()
    try:
        return parse_record(record).stamp.wall_ms
    except MalformedError:
        return None


def dump(directory: Path, lane: Lane | None = None) -> Iterator[RawRow]:
    """All records, oldest first per lane, memory flat. Raises JournalError."""
    for shape in (ALARM, BULK):
        lanes = [each for each in shape.lanes if lane in {None, each}]
        if not lanes:
            continue
        path, _ = _in_use(directory, shape)
        with _looking(path, shape) as (connection, found):
            names = {row.number: row.epoch.hex() for row in found.epochs}
            ledgers = _ledgers(shape, found)
            for each in lanes:
                yield from _dump_lane(connection, ledgers[each], names)


def _dump_lane(connection: sqlite3.Connection, ledger: Ledger, names: dict[int, str]) -> Iterator[RawRow]:
    after = 0
    while rows := connection.execute(LANE_SQL[ledger.lane].rows, (after + 1, _MAX_ID, _PAGE)).fetchall():
        for row, record in rows:
            wall_ms = boot_ms = None
            try:
                stamp = parse_record(record).stamp
                wall_ms, boot_ms = stamp.wall_ms, stamp.boot_ms
            except MalformedError:  # shown all the same: that is what looking is for
                pass
            yield RawRow(
                lane=ledger.lane,
                epoch=names.get(epoch_number(row), f"number {epoch_number(row)}"),
                seq=seq_of(row),
                wall_ms=wall_ms,
                boot_ms=boot_ms,
                is_settled=row in ledger.settled,
                size_bytes=len(record),
                hex=record.hex(),
            )
        after = rows[-1][0]


def _ledgers(shape: Shape, found: Found) -> dict[Lane, Ledger]:
    ledgers = {lane: Ledger(lane) for lane in shape.lanes}
    for ledger in ledgers.values():
        ledger.load(found)
    return ledgers


def _in_use(directory: Path, shape: Shape) -> tuple[Path, str | None]:
    """The file that the hub writes to: beside one of a newer version lies another one. Raises JournalError."""
    path = directory / shape.file
    try:
        database.refuse_future(path)
    except NewerError:
        beside = directory / shape.beside
        if not beside.exists():
            raise
        return beside, shape.file
    except OSError as error:
        raise _unreadable(path, error) from error
    return path, None


def _unreadable(path: Path, error: Exception) -> JournalError:
    if isinstance(error, PermissionError):
        return JournalError(f"{path} is not for this user to read; try again as the hub's user, or with sudo")
    return JournalError(f"{path} cannot be read ({error}); the hub sets a damaged file aside when it starts")


@contextmanager
def _looking(path: Path, shape: Shape) -> Iterator[tuple[sqlite3.Connection, Found]]:
    """A connection that cannot write, and what the file holds; the errors get words for a person."""
    try:
        if not path.exists():
            raise JournalError(f"there is no journal at {path}: the hub has not run with this state directory yet")
        database.refuse_future(path)
        log = Path(f"{path}-wal")
        is_at_rest = not log.exists() or not log.stat().st_size  # nobody writes: leave no companions behind
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if is_at_rest else ''}",
            uri=True,
            timeout=database.BUSY_S,
            isolation_level=None,
        )
        try:
            connection.execute(f"PRAGMA cache_size = -{database.CACHE_KIB}")
            yield connection, database.load(connection, shape)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise _unreadable(path, error) from error
