"""Whether this database is as new as what hubs were told: an old copy that was put back silently is found out.

A hub says in its hello which database its receipts came from, and up to which number they went. A database of that
lineage that has less has lost what it once committed.
"""

from __future__ import annotations

import json

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.lifecycle import CENTRAL_KINDS
from central.opening import Source
from central.raising import raise_technical
from central.sql import Sql
from central.store import Priority, Store
from cloud_sync.hub_messages import Heartbeat
from cloud_sync.ranges import SeqRanges

log = structlog.get_logger()

MAX_TOLD = 10_000
_STORED = Sql("SELECT stored FROM high_water WHERE hub = :hub AND epoch = :epoch AND lane = :lane")


class Continuity:
    """One technical alarm for all hubs, however many find it out."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._told: set[bytes] = set()

    async def look(self, beat: Heartbeat) -> None:
        """Hold the marks of a hub against the database's own. Raises NotStoredError."""
        sender = beat.sender
        if beat.lineage != self._store.lineage or sender.sender_epoch in self._told:
            return
        place = {"hub": sender.hub.hex(), "epoch": sender.sender_epoch.hex()}
        for lane, receipted in beat.receipted.items():
            stored = await self._store.fetch(
                lambda connection, lane=lane: _STORED.value(connection, **place, lane=int(lane))  # type: ignore[misc]
            )
            high = SeqRanges(json.loads(stored)).high if stored else 0
            if high < receipted:
                await self._tell({**place, "lane": lane.word, "receipted": receipted, "stored": high})
                if len(self._told) < MAX_TOLD:
                    self._told.add(sender.sender_epoch)
                return

    async def _tell(self, details: dict[str, str | int]) -> None:
        log.error("database_older_than_receipts", **details)
        now = self._clock.now_ms()
        source = Source(hub="", happened_ms=now, details=json.dumps(details))

        async def work(connection: AsyncConnection) -> None:
            await raise_technical(connection, CENTRAL_KINDS["database_older"], source, now)

        await self._store.transact(Priority.PEOPLE, work)
