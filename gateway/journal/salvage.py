"""Getting back what was set aside: records from the raw bytes, the rest as far as SQLite can still read it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from cloud_sync.identity import Lane
from cloud_sync.record import MAX_RECORD, Record, carve
from gateway.journal.database import BUSY_S, Found, Shape, epoch_entry, memory_entry, memos, meta_entry

T = TypeVar("T")

_PIECE = 128 * 1024
_BREATH_S = 0.01


def carve_file(path: Path) -> Iterator[list[Record]]:
    """The records in a database and its log, piece by piece; those at the seams, and older versions, come twice."""
    for name in (path, Path(f"{path}-wal")):
        try:
            file = name.open("rb")
        except FileNotFoundError:
            continue
        with file:
            tail = b""
            while True:
                try:
                    piece = file.read(_PIECE)
                except OSError:  # a bad block: what comes after it may be good
                    piece = b""
                    file.seek(_PIECE, 1)
                    if file.tell() < name.stat().st_size:
                        continue
                if not piece:
                    break
                window = tail + piece
                yield list(carve(window))
                tail = window[-MAX_RECORD:]


async def salvage(path: Path, adopt: Callable[[list[Record]], Awaitable[None]]) -> None:
    """Give all records of a file that was set aside to `adopt`, leaving time for everything else in between."""
    pieces = carve_file(path)
    while (records := await asyncio.to_thread(next, pieces, None)) is not None:
        if records:
            await adopt(records)
        await asyncio.sleep(_BREATH_S)


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
