"""How many alarms are open, and which are one's own, however many there are: the database counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.access import EVERYTHING, IN_SCOPE, Scope
from central.alarms.rows import SELECT, view
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


_COUNT = Sql(
    "SELECT a.queue, COUNT(*), SUM(CASE WHEN a.handling = 'waiting' THEN 1 ELSE 0 END),"  # noqa: S608  # our words
    " MIN(CASE WHEN a.handling = 'waiting' THEN a.rank END)"
    f" FROM alarm a WHERE a.closed_ms IS NULL AND {IN_SCOPE('a')} GROUP BY a.queue"
)


async def count_open(store: Store, scope: Scope = EVERYTHING) -> dict[Queue, OpenCount]:
    """Every queue with its counts."""
    rows = await store.fetch(lambda connection: _COUNT.rows(connection, **scope.parameters))
    return {
        Queue(queue): OpenCount(everything=everything, waiting=waiting, best_rank=best_rank)
        for queue, everything, waiting, best_rank in rows
    }


_SINCE = Sql(
    f"SELECT COUNT(*) FROM alarm a WHERE a.queue = :queue AND a.happened_ms > :since AND {IN_SCOPE('a')}"  # noqa: S608
)
_HUBS = Sql(f"SELECT hub.id FROM hub WHERE {IN_SCOPE('hub')}")  # noqa: S608  # our words


async def count_since(store: Store, queue: Queue, since_ms: int, scope: Scope = EVERYTHING) -> int:
    """Alarms of a queue since then, open and closed."""
    found = await store.fetch(
        lambda connection: _SINCE.value(connection, queue=queue.value, since=since_ms, **scope.parameters)
    )
    return int(found or 0)


async def hubs_of(store: Store, scope: Scope = EVERYTHING) -> Sequence[str]:
    """The ids of the hubs that are seen, and nothing more of them: there may be tens of thousands."""
    return [row[0] for row in await store.fetch(lambda connection: _HUBS.rows(connection, **scope.parameters))]


_OWN = Sql(f"{SELECT} WHERE a.owner = :owner AND a.closed_ms IS NULL ORDER BY a.rank, a.raised_ms LIMIT {MOST_OWN}")


async def own_open(store: Store, account: str) -> Sequence[AlarmView]:
    """What somebody has, wherever it stands in the list."""
    return [view(row) for row in await store.fetch(lambda connection: _OWN.rows(connection, owner=account))]
