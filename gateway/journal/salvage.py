"""Getting records back from what was set aside, by looking for them in the raw bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from cloud_sync.record import MAX_RECORD, Record, carve

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
