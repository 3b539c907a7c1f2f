"""Waiting for one planned visit: the alarm is bound to it, and comes back, loudly, when it does not happen.

How far off that visit may be says the plan of the alarm. Until when the alarm may wait is fixed when it is deferred: a
visit that is moved takes the alarm along by a little, and no further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import (
    RETURNED,
    Acting,
    Done,
    call_off,
    check,
    is_answered,
    record,
    waits_again,
    withdraw_offer,
)
from central.alarms.rows import load, refusal
from central.errors import IncompleteError
from central.escalation.steps import snapshot_of
from central.lifecycle import UNDO_MS, Action, Queue, after, lifted_rank
from central.routing.plan import DEFAULT_PLAN
from central.sql import Sql
from central.views import SYSTEM, Actor, AlarmView

LIFT = " ".join(f"WHEN {rank} THEN {lifted_rank(rank)}" for rank in range(7))
SLACK_MS = 60 * 60_000
"""A visit may end so much later than planned, and the alarm still waits for it."""
RANKED_UP = f"""{RETURNED}, deferred_visit = NULL, deferred_until_ms = NULL, returned = returned + 1,
    sound_no = sound_no + 1, lifted = lifted + 1, rank = CASE rank {LIFT} ELSE rank END"""

_VISIT = Sql("SELECT resident, state, from_ms, to_ms FROM visit WHERE id = :id")
_PLANNED = Sql(
    """SELECT v.id, v.team, t.name, v.from_ms, v.to_ms FROM visit v LEFT JOIN team t ON t.id = v.team
    WHERE v.resident = :resident AND v.state = 'planned' AND v.to_ms > :now AND v.to_ms <= :last
    ORDER BY v.from_ms, v.id LIMIT 20"""
)
_DEFER = Sql(
    """UPDATE alarm SET handling = 'deferred', deferred_visit = :visit, deferred_until_ms = :until, dispatch = 'none',
       owner = NULL, owner_name = NULL, claimed_ms = NULL, lease_until_ms = NULL, version = version + 1,
       undo_until_ms = :undo, undo_by = :owner, undo_to = :undo_to
    WHERE id = :id"""
)
_COME_BACK = Sql(f"UPDATE alarm SET {RANKED_UP} WHERE id = :id AND handling = 'deferred' RETURNING id")  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVisit:
    """A visit that an alarm of its resident may wait for."""

    id: str
    team: str | None
    team_name: str
    from_ms: int
    to_ms: int


class Deferring(Acting):
    """To a planned visit, as far off as the plan says and no further."""

    async def defer(self, alarm_id: str, actor: Actor, visit: str, *, version: int | None = None) -> AlarmView:
        """Wait for this visit. Needs the claim, and nobody who has said yes to going. Raises IncompleteError."""

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            check(alarm, actor, Action.DEFER)
            content = await defer_to(connection, alarm, actor, visit, now)
            return Done("deferred", content or {})

        return await self._act(alarm_id, actor, work, version=version)

    async def visits(self, alarm_id: str) -> Sequence[PlannedVisit]:
        """The visits that it may wait for, the next one first. Raises NotFoundError."""
        now = self._clock.now_ms()

        async def look(connection: AsyncConnection) -> list[PlannedVisit]:
            alarm = await load(connection, alarm_id)
            return await _planned(connection, alarm, now)

        return await self._store.fetch(look)


async def _planned(connection: AsyncConnection, alarm: AlarmView, now: int) -> list[PlannedVisit]:
    if alarm.resident is None or alarm.queue is not Queue.PERSONAL:
        return []
    return [
        PlannedVisit(id=row[0], team=row[1], team_name=row[2] or "", from_ms=row[3], to_ms=row[4])
        for row in await _PLANNED.rows(
            connection, resident=alarm.resident, now=now, last=await _furthest(connection, alarm, now)
        )
    ]


async def _furthest(connection: AsyncConnection, alarm: AlarmView, now: int) -> int:
    """By when a visit has to be over that the alarm may wait for."""
    kept = await snapshot_of(connection, alarm.id)
    hours = (DEFAULT_PLAN if kept is None else kept.plan).defer_within_h
    return now + hours * 3_600_000


async def defer_to(
    connection: AsyncConnection,
    alarm: AlarmView,
    actor: Actor,
    visit: str,
    now: int,
    *,
    may_be_done: bool = False,
) -> dict[str, Any] | None:
    """Bind an alarm to a visit. None, and nothing is changed, when the visit is done already and may be."""
    row = await _VISIT.one(connection, id=visit) if visit else None
    choices = tuple(planned.id for planned in await _planned(connection, alarm, now))
    if row is None or row[0] != alarm.resident:
        raise IncompleteError("visit_unknown" if visit else "visit_missing", "visit", choices)
    _, state, _, to_ms = row
    if state == "done" and may_be_done:
        return None
    if state != "planned" or to_ms <= now:
        raise IncompleteError("visit_over", "visit", choices)
    furthest = await _furthest(connection, alarm, now)
    if to_ms > furthest:
        raise IncompleteError("visit_too_far", "visit", choices)
    if after(alarm.stage, Action.DEFER) is None:
        raise refusal(alarm, "not_defer")
    await withdraw_offer(connection, alarm.id, now)
    await call_off(connection, alarm.id, now, "deferred", is_kept=True)
    until = min(to_ms + SLACK_MS, furthest)
    await _DEFER.rows(
        connection,
        id=alarm.id,
        visit=visit,
        until=until,
        undo=now + UNDO_MS,
        owner=actor.id,
        undo_to=alarm.stage.word,
    )
    await is_answered(connection, alarm, now, "deferred")
    return {"visit": visit, "until_ms": until}


async def come_back(connection: AsyncConnection, alarm: AlarmView, now: int, why: str) -> bool:
    """The visit did not settle it: the alarm waits for a person again, ranked up, with sound."""
    if not await _COME_BACK.one(connection, id=alarm.id):
        return False
    await waits_again(connection, alarm, now)
    content = {"why": why, "visit": alarm.deferred_visit or ""}
    await record(connection, alarm, SYSTEM, Done("returned", content), now)
    return True
