"""How many alarms are open, and which are one's own, however many there are: the database counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import EVERYTHING, IN_SCOPE, Scope
from central.alarms.rows import SELECT, open_in, view
from central.lifecycle import Queue
from central.sql import Sql
from central.store import Store
from central.views import AlarmView

MOST_OWN = 50
"""Nobody holds more; who does has other trouble than a list that is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCount:
    """Of one queue: all that are open, those nobody has, and the best rank among these."""

    everything: int = 0
    waiting: int = 0
    best_rank: int | None = None


_COUNT = {
    queue: Sql(
        "SELECT COUNT(*), SUM(CASE WHEN a.handling = 'waiting' THEN 1 ELSE 0 END),"  # noqa: S608  # our words
        " MIN(CASE WHEN a.handling = 'waiting' THEN a.rank END)"
        f" FROM alarm a WHERE {open_in(queue)}{more} AND {IN_SCOPE('a')}"
    )
    # Every kind has a name: that leads SQLite to the index which has all that is counted.
    for queue, more in ((Queue.PERSONAL, ""), (Queue.TECHNICAL, " AND a.kind > ''"))
}


async def count_open(store: Store, scope: Scope = EVERYTHING) -> dict[Queue, OpenCount]:
    """Both queues with their counts; what is folded into incidents or quiet stands in neither."""

    async def look(connection: AsyncConnection) -> dict[Queue, OpenCount]:
        found = {}
        for queue, statement in _COUNT.items():
            everything, waiting, best_rank = await statement.one(connection, **scope.parameters) or (0, 0, None)
            found[queue] = OpenCount(everything=everything, waiting=waiting or 0, best_rank=best_rank)
        return found

    return await store.fetch(look)


_OWN = Sql(f"{SELECT} WHERE a.owner = :owner AND a.closed_ms IS NULL ORDER BY a.rank, a.raised_ms LIMIT {MOST_OWN}")


async def own_open(store: Store, account: str) -> Sequence[AlarmView]:
    """What somebody has, wherever it stands in the list."""
    return [view(row) for row in await store.fetch(lambda connection: _OWN.rows(connection, owner=account))]
