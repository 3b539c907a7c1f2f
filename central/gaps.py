"""What hubs threw away for want of space: which numbers, how many, and between which times that must have been."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.lifecycle import CENTRAL_KINDS
from central.opening import Source
from central.raising import raise_technical
from central.sql import Sql
from central.store import Store
from cloud_sync.identity import Lane

MAX_SHOWN = 20

_BEFORE = Sql(
    "SELECT happened_ms FROM event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq < :seq"
    " ORDER BY seq DESC LIMIT 1"
)
_AFTER = Sql(
    "SELECT happened_ms FROM event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq > :seq"
    " ORDER BY seq LIMIT 1"
)
_OF_HUB = Sql(
    "SELECT epoch, lane, gaps, updated_ms FROM high_water WHERE hub = :hub AND gaps <> '[]'"
    " ORDER BY updated_ms DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Records of one lane of one run that will never come. None: nothing before or after them is known."""

    epoch: str
    lane: Lane
    ranges: tuple[tuple[int, int], ...]
    from_ms: int | None
    to_ms: int | None

    @property
    def count(self) -> int:
        """How many."""
        return sum(last - first + 1 for first, last in self.ranges)


async def tell(
    connection: AsyncConnection, hub: str, epoch: str, lane: Lane, ranges: Sequence[tuple[int, int]], now: int
) -> None:
    """A technical alarm about new gaps."""
    gap = await _timed(connection, hub, epoch, lane, ranges)
    details = {"lane": lane.word, "epoch": epoch, "count": gap.count, "from_ms": gap.from_ms, "to_ms": gap.to_ms or now}
    source = Source(hub=hub, happened_ms=now, details=json.dumps(details))
    await raise_technical(connection, CENTRAL_KINDS["records_dropped"], source, now)


async def dropped_by(store: Store, hub: str) -> list[Dropped]:
    """All of a hub, the newest runs first."""
    async with store.read() as connection:
        return [
            await _timed(connection, hub, epoch, Lane(lane), [(first, last) for first, last in json.loads(gaps)])
            for epoch, lane, gaps, _ in await _OF_HUB.rows(connection, hub=hub, limit=MAX_SHOWN)
        ]


async def _timed(
    connection: AsyncConnection, hub: str, epoch: str, lane: Lane, ranges: Sequence[tuple[int, int]]
) -> Dropped:
    place = {"hub": hub, "epoch": epoch, "lane": int(lane)}
    return Dropped(
        epoch=epoch,
        lane=lane,
        ranges=tuple(ranges),
        from_ms=await _BEFORE.value(connection, **place, seq=ranges[0][0]),
        to_ms=await _AFTER.value(connection, **place, seq=ranges[-1][1]),
    )
