"""The calm page: what the last day was like, who listens, and how many homes have answered."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from central.console.gate import Visit
from central.console.open_count import OpenCount, count_open, count_since, hubs_of
from central.console.roles import Action
from central.console.rows import GOAL_MS
from central.lifecycle import Queue

DAY_MS = 24 * 3_600_000
ALIVE_MS = 90_000
CHART_FROM, CHART_TO = 20, 860


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
    seen = visit.scope_for(Action.PERSONAL if sees_personal else Action.SEE_QUEUE)
    hubs = await hubs_of(services.store, visit.scope_for(Action.SEE_QUEUE))
    ear = services.hubs.ear
    heard = [known.heard_ms for hub in hubs if (known := ear.heard(hub) if ear else None) is not None]
    waiting = (await count_open(services.store, seen)).get(queue, OpenCount()).waiting
    total = await count_since(services.store, queue, now - DAY_MS, seen)
    open_alarms = await services.alarms.queue(queue, scope=seen)
    closed = [
        alarm
        for alarm in await services.alarms.recent(limit=300)
        if alarm.queue is queue and seen.covers(alarm.tenant, alarm.unit)
    ]
    today = [alarm for alarm in (*open_alarms, *closed) if now - alarm.happened_ms < DAY_MS]
    answered = [
        alarm.first_claimed_ms - alarm.happened_ms for alarm in today if alarm.first_claimed_ms is not None
    ]  # a person, not the machine: only claims count
    return Day(
        waiting=waiting,
        total=total,
        taken=len(answered),
        within=sum(took <= GOAL_MS for took in answered),
        median_ms=median(answered) if answered else None,
        dispatched=sum(alarm.disposition == "visit_now" or alarm.stage.word == "on_the_way" for alarm in today),
        listening=visit.desk.onlookers.with_sound(),
        hubs=len(hubs),
        hubs_alive=sum(at_ms is not None and now - at_ms <= ALIVE_MS for at_ms in heard),
        hours=_hours(visit, now),
        dots=tuple(
            (_x(alarm.happened_ms, now), alarm.rank, alarm.first_claimed_ms is not None)
            for alarm in sorted(today, key=lambda alarm: alarm.happened_ms)
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
