"""Getting back what was set aside: records from the raw bytes, the rest as far as SQLite can still read it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from cloud_sync.identity import Lane
from cloud_sync.record import MAX_RECORD, Record, carve
from gateway.journal.database import BUSY_S, PAGE_SIZE, Found, Shape, epoch_entry, memory_entry, memos, meta_entry
from gateway.journal.hop import hop

T = TypeVar("T")

_PIECE = 128 * 1024
_BREATH_S = 0.01
_HOLES_AT_ONCE = 64


def carve_file(path: Path) -> Iterator[list[Record] | None]:
    """The records in a database and its log, piece by piece; those at the seams, and older versions, come twice.

    None stands for a page that the card did not give.
    """
    for name in (path, Path(f"{path}-wal")):
        try:
            number = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            tail = b""
            for piece in _pieces(number, os.fstat(number).st_size):
                if piece is None:
                    tail = b""
                    yield None
                    continue
                window = tail + piece
                yield list(carve(window))
                tail = window[-MAX_RECORD:]
        finally:
            os.close(number)


def _pieces(number: int, size: int) -> Iterator[bytes | None]:
    """Large ones; around a bad block page by page, because what comes after it may be good."""
    for at in range(0, size, _PIECE):
        try:
            yield os.pread(number, _PIECE, at)
        except OSError:
            for page in range(at, min(at + _PIECE, size), PAGE_SIZE):
                try:
                    yield os.pread(number, PAGE_SIZE, page)
                except OSError:
                    yield None


async def salvage(path: Path, adopt: Callable[[list[Record]], Awaitable[None]]) -> int:
    """Give all records of a file that was set aside to `adopt`, leaving time for everything else in between.

    Returns how many pages could not be read. Raises OSError when the file cannot be looked at.
    """
    pieces, holes = carve_file(path), 0
    end = object()
    while (records := await hop(next, pieces, end)) is not end:
        if isinstance(records, list):
            if records:
                await adopt(records)
        else:
            holes += 1
            if holes % _HOLES_AT_ONCE:
                continue
        await asyncio.sleep(_BREATH_S)
    return holes


def headers_in(path: Path) -> dict[bytes, bytes]:
    """Epoch headers that a file still gives, by epoch; raises nothing."""
    found: dict[bytes, bytes] = {}
    with (
        suppress(sqlite3.Error, ValueError),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)) as source,
    ):
        rows = _readable(source.execute, "SELECT no, epoch, header, ended FROM epoch ORDER BY no", epoch_entry)
        found.update({row.epoch: row.header for row in rows if row.header})
    return found


def rescue(path: Path, shape: Shape) -> Found:
    """What can still be read of a damaged file besides its records; raises nothing for what cannot."""
    found = Found()
    with (
        suppress(sqlite3.Error, ValueError),  # also what is said of a damaged schema may be no text
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)) as source,
    ):
        found.meta = dict(_readable(source.execute, "SELECT key, value FROM meta", meta_entry))
        found.hub = found.meta.pop("hub", None)
        found.epochs = _readable(source.execute, "SELECT no, epoch, header, ended FROM epoch ORDER BY no", epoch_entry)
        found.gaps = _readable(source.execute, "SELECT lane, first, last FROM gap", _gap)
        found.memory = _readable(source.execute, "SELECT key, value, tick FROM memory", memory_entry)
        for lane in shape.lanes if shape.has_memo else ():
            with suppress(sqlite3.Error, ValueError, TypeError, LookupError):
                found.memos.extend(memos(source, lane, found.meta.get(f"folded/{lane.word}", 0)))
    return found


def _gap(lane: Any, first: Any, last: Any) -> tuple[Lane, int, int]:
    if not 0 < int(first) <= int(last):
        raise ValueError("gap")
    return Lane(lane), int(first), int(last)


def _readable(query: Callable[[str], Iterable[Any]], text: str, entry: Callable[..., T]) -> list[T]:
    """What makes sense and comes before the first damaged page."""
    rows = []
    with suppress(sqlite3.Error):
        for row in query(text):
            with suppress(ValueError, TypeError, LookupError):
                rows.append(entry(*row))
    return rows
