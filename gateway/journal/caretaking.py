"""What goes on in the background of an open journal: salvage, survey, expiry, the reserve. All can be cut short."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from cloud_sync.record import Record
from gateway.errors import JournalError, JournalFullError
from gateway.journal.directory import delete_database, set_asides, surplus
from gateway.journal.hop import hop
from gateway.journal.numbering import Spans, row_id
from gateway.journal.reports import Trouble
from gateway.journal.salvage import headers_in, salvage
from gateway.journal.statements import LANE_SQL
from gateway.journal.store import Store

DAY_MS = 86_400_000
_ROUND_S = 600.0
_RESERVE_S = 10.0
_PIECE = 5000
_BREATH_S = 0.02
_TRIES = 3
_log = structlog.get_logger()

Numbering = Callable[[Record], int]


class Salvage:
    """Brings the records of set-aside files back into the lanes they belong to, once for each file."""

    def __init__(self, hub: bytes, stores: Sequence[Store], number: Numbering, tell: Callable[[Trouble], None]) -> None:
        self._hub = hub
        self._stores = {lane: store for store in stores for lane in store.shape.lanes}
        self._number = number
        self._tell = tell
        self._done: set[str] = set()
        self._tried: dict[str, int] = {}
        self.headers: dict[bytes, bytes] = {}
        """Of the runs in the file at hand, by epoch."""

    def recall(self, meta: Mapping[str, Any]) -> None:
        """What a file knows of earlier salvage."""
        for key, value in meta.items():
            kind, _, name = key.partition("/")
            if kind == "salvaged":
                self._done.add(name)
            elif kind == "tried":
                self._tried[name] = max(int(value), self._tried.get(name, 0))

    def left(self, store: Store) -> list[Path]:
        """Set-aside files that were not salvaged to the end; what need not be kept of the others is deleted."""
        for aside in surplus(store.path, self._done):
            delete_database(aside)
            _log.info("journal_set_aside_deleted", set_aside=aside.name)
        return [aside for aside in set_asides(store.path) if aside.name not in self._done]

    async def run(self, store: Store, aside: Path) -> int:
        """Salvage one file. Returns how many records were found; tells it when there were any."""
        found = {lane: Spans() for lane in self._stores}
        others = 0

        async def adopt(records: list[Record]) -> None:
            futures = []
            nonlocal others
            for record in records:
                if record.id.hub != self._hub:
                    others += 1
                    continue
                number = self._number(record)
                row = row_id(number, record.id.seq)
                if row in found[record.id.lane]:
                    continue
                found[record.id.lane].add(row, row)
                futures.append(await self._add(record, number))
            await asyncio.gather(*futures)

        self.headers.update(await hop(headers_in, aside))
        try:
            holes = await salvage(aside, adopt)
        except (JournalError, OSError) as error:  # tried again after the next start
            _log.warning("journal_salvage_stopped", set_aside=aside.name, why=str(error))
            return 0
        tries = self._tried[aside.name] = self._tried.get(aside.name, 0) + 1
        if holes and tries < _TRIES:  # perhaps the card gives them after another start
            store.note(f"tried/{aside.name}", tries)
        else:
            store.note(f"salvaged/{aside.name}", 1)
            self._done.add(aside.name)
        self.headers.clear()
        count = sum(spans.size for spans in found.values())
        _log.info("journal_salvaged", set_aside=aside.name, records=count, unreadable_pages=holes)
        if count or not others:
            self._tell(Trouble(file=store.path.name, what="salvaged", records=count, set_aside=aside.name))
        return count

    async def _add(self, record: Record, number: int) -> asyncio.Future[None]:
        store = self._stores[record.id.lane]
        while True:
            await store.room()
            try:
                return store.add(record.id.lane, record.id.seq, record.raw, [], number)
            except JournalFullError:
                await asyncio.sleep(_BREATH_S)


async def survey(store: Store) -> None:
    """Learn which numbers are missing inside the epochs found at the start, so that counts are exact."""
    for lane, ledger in store.ledgers.items():
        after, end = 0, ledger.present.last
        while not ledger.is_exact and after < end:
            arrivals = ledger.arrivals
            ids = await store.read(_walk, LANE_SQL[lane].walk, after)
            up_to = ids[-1] if len(ids) == _PIECE else end
            if arrivals == ledger.arrivals:  # otherwise what came in between would be taken for missing
                ledger.surveyed(after, [row for row in ids if row <= end], min(up_to, end))
                after = up_to
            await asyncio.sleep(_BREATH_S)
        ledger.is_exact = True


def _walk(connection: sqlite3.Connection, query: str, after: int) -> list[int]:
    return [row for (row,) in connection.execute(query, (after, _PIECE))]


async def keep_house(
    stores: Sequence[Store],
    fill_reserve: Callable[[], Awaitable[bool]],
    today: Callable[[], int],
    kept_days: int,
    wanted: asyncio.Event,
) -> None:
    """Let go what was kept long enough, and hold a reserve for alarms when there is room.

    `wanted` is set when the reserve was used: it is filled again as soon as that is possible.
    """
    while True:
        expire(stores, today(), kept_days)
        wanted.clear()
        is_there = False
        try:
            is_there = await fill_reserve()
        except OSError as error:
            _log.info("journal_reserve_not_filled", why=str(error))
        with suppress(TimeoutError):
            async with asyncio.timeout(_ROUND_S if is_there else _RESERVE_S):
                await wanted.wait()
                await asyncio.sleep(_RESERVE_S)


def expire(stores: Sequence[Store], today: int, kept_days: int) -> None:
    """Settled records stay for at least `kept_days` whole days."""
    for store in stores:
        for ledger in store.ledgers.values():
            ledger.expire(today - kept_days - 1)
        if store.waiting.has_lazy:
            store.lazily()
