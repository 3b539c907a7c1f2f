"""The calm page: what the last day was like, who listens, and how many homes have answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import IN_SCOPE
from central.alarms.rows import open_in
from central.console.gate import Visit
from central.console.roles import Action
from central.console.rows import GOAL_MS
from central.lifecycle import Queue
from central.sql import Row, Sql

DAY_MS = 24 * 3_600_000
ALIVE_MS = 90_000
CHART_FROM, CHART_TO = 20, 860
MOST_DOTS = 800
"""More of them are a bar."""

_OF_DAY = f"FROM alarm a WHERE a.queue = 'personal' AND a.happened_ms > :since AND {IN_SCOPE('a')}"
_FIGURES = Sql(
    "SELECT count(*), sum(CASE WHEN a.first_claimed_ms - a.happened_ms <= :goal THEN 1 ELSE 0 END),"
    " sum(CASE WHEN a.disposition = 'visit_now' OR a.handling <> 'closed' AND a.dispatch = 'on_the_way'"
    f" THEN 1 ELSE 0 END) {_OF_DAY}"
)
_ANSWERS = Sql(f"SELECT a.first_claimed_ms - a.happened_ms {_OF_DAY} AND a.first_claimed_ms IS NOT NULL")
_DOTS = Sql(f"SELECT a.happened_ms, a.rank, a.first_claimed_ms {_OF_DAY} ORDER BY a.happened_ms DESC LIMIT {MOST_DOTS}")
_WAITING = {
    queue: Sql(f"SELECT count(*) FROM alarm a WHERE {open_in(queue)} AND a.handling = 'waiting' AND {IN_SCOPE('a')}")  # noqa: S608  # words of our own
    for queue in (Queue.PERSONAL, Queue.TECHNICAL)
}
_HUBS = Sql(f"SELECT hub.id FROM hub WHERE {IN_SCOPE('hub')}")  # noqa: S608  # words of our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """Figures of the last 24 hours. `dots` are (x, rank, whether somebody took it)."""

    waiting: int
    total: int
    taken: int
    within: int
    median_ms: float | None
    dispatched: int
    listening: int
    hubs: int
    hubs_alive: int
    hours: tuple[tuple[int, str], ...]
    dots: tuple[tuple[float, int, bool], ...]


async def day_of(visit: Visit) -> Day:
    """Read it."""
    services = visit.desk.services
    now = visit.now_ms()
    sees_personal = visit.may(Action.PERSONAL)
    queue = Queue.PERSONAL if sees_personal else Queue.TECHNICAL
    seen = visit.scope_for(Action.PERSONAL if sees_personal else Action.SEE_QUEUE).parameters
    placed = visit.scope_for(Action.SEE_QUEUE).parameters

    async def look(connection: AsyncConnection) -> tuple[int, set[str], Sequence[Row], Row, list[int]]:
        waiting = int(await _WAITING[queue].value(connection, **seen))
        hubs = {row[0] for row in await _HUBS.rows(connection, **placed)}
        if not sees_personal:
            return waiting, hubs, (), (0, 0, 0), []
        day = {"since": now - DAY_MS, **seen}
        answers = [row[0] for row in await _ANSWERS.rows(connection, **day)]
        figures = await _FIGURES.one(connection, goal=GOAL_MS, **day) or (0, 0, 0)
        return waiting, hubs, await _DOTS.rows(connection, **day), figures, answers

    waiting, hubs, dots, (total, within, dispatched), answered = await services.store.fetch(look)
    alive = services.hubs.ear.alive(now - ALIVE_MS) if services.hubs.ear else set()
    return Day(
        waiting=waiting,
        total=total,
        taken=len(answered),  # by a person, not the machine: only claims count
        within=within or 0,
        median_ms=median(answered) if answered else None,
        dispatched=dispatched or 0,
        listening=visit.desk.onlookers.with_sound(),
        hubs=len(hubs),
        hubs_alive=len(hubs & alive),
        hours=_hours(visit, now),
        dots=tuple(
            (_x(happened_ms, now), rank, claimed_ms is not None) for happened_ms, rank, claimed_ms in reversed(dots)
        ),
    )


def _x(at_ms: int, now: int) -> float:
    share = 1 - (now - at_ms) / DAY_MS
    return round(CHART_FROM + max(0.0, min(1.0, share)) * (CHART_TO - CHART_FROM), 1)


def _hours(visit: Visit, now: int) -> tuple[tuple[int, str], ...]:
    hour = 3_600_000
    first = now - DAY_MS
    first += hour - first % hour  # whole hours of UTC are whole hours here too
    return tuple(
        (round(_x(at_ms, now)), visit.figures.short_clock(at_ms)[:2]) for at_ms in range(first, now - hour, 2 * hour)
    )
