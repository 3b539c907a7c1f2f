"""Where an alarm's plan begins and ends: parts of the transactions that raise, return and take alarms.

A round is one walk through the plan: the first begins with the press, another whenever the alarm comes back to the
queue. The plan is the one that held when the alarm was raised; which of its variants holds is asked anew each round.
"""

from __future__ import annotations

from typing import Literal

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation import steps
from central.escalation.steps import Case, Snapshot
from central.routing.calendar import zone_or_usual
from central.routing.plan import resolve
from central.routing.store import plan_for
from central.sql import Sql

log = structlog.get_logger()

AnsweredBy = Literal["claimed", "accepted", "closed", "deferred"]

# The same lock that a claim takes, first of all: so that raising, taking and escalating never wait in a circle.
_LOCK = Sql(
    """UPDATE alarm SET escalation_round = escalation_round WHERE id = :alarm
    RETURNING queue, handling, closed_ms, hub, tenant, resident, kind, escalation_round"""
)
_IS_DUE = Sql("SELECT 1 FROM escalation WHERE alarm = :alarm AND state IN ('due', 'running')")
_ROUND = Sql("UPDATE alarm SET escalation_round = :round, escalation_no = 0 WHERE id = :alarm")
_PASSED = Sql("UPDATE alarm SET escalation_no = :no WHERE id = :alarm")
_KEEP = Sql(
    """INSERT INTO alarm_plan (alarm, plan, plan_version, variant, snapshot, made_ms)
    VALUES (:alarm, :plan, :version, :variant, :snapshot, :now)
    ON CONFLICT (alarm) DO UPDATE SET variant = excluded.variant"""
)
_END = Sql(
    """UPDATE escalation SET state = 'done', fence = fence + 1, ended_ms = :now, why = :by
    WHERE alarm = :alarm AND state IN ('due', 'running')"""
)
_SILENCE = Sql(
    """UPDATE notification SET state = 'cancelled', fence = fence + 1
    WHERE alarm = :alarm AND state = 'pending' AND dispatch IS NULL AND what NOT LIKE 'kin_%'
      AND (what <> 'taken' OR :is_back = 1)"""
)
_NOW_ROUND = Sql("SELECT escalation_round, hub FROM alarm WHERE id = :alarm")


async def begin(connection: AsyncConnection, alarm_id: str, now: int) -> None:
    """A personal alarm waits for a person: for the first time, or again after it was given back.

    Nothing happens when its plan runs already, or when it does not wait. A plan that cannot be begun, for whatever
    fault of ours, does not keep the alarm from being stored or from coming back: it waits in the queue, a later tick
    begins its plan, and the auditor sees that it stands without one.
    """
    try:
        await _begin(connection, alarm_id, now)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError):  # none of these is the database's
        log.exception("plan_not_begun", alarm=alarm_id)


async def _begin(connection: AsyncConnection, alarm_id: str, now: int) -> None:
    row = await _LOCK.one(connection, alarm=alarm_id)
    if row is None:
        return
    queue, handling, closed_ms, hub, tenant, resident, kind, number = row
    if queue != "personal" or handling != "waiting" or closed_ms is not None:
        return
    if number and await _IS_DUE.one(connection, alarm=alarm_id):
        return
    kept = await steps.snapshot_of(connection, alarm_id) if number else None
    plan_id = version = None
    if kept is None:
        found = await plan_for(connection, tenant=tenant, resident=resident, kind_word=kind, now_ms=now)
        kept = Snapshot(plan=found.plan, zone=found.zone)
        plan_id, version = found.id, found.version
    variant = resolve(kept.plan, now, zone_or_usual(kept.zone))
    await _ROUND.rows(connection, alarm=alarm_id, round=number + 1)
    await _KEEP.rows(
        connection,
        alarm=alarm_id,
        plan=plan_id,
        version=version,
        variant=variant.name,
        snapshot=kept.model_dump_json(),
        now=now,
    )
    if number:
        await _SILENCE.rows(connection, alarm=alarm_id, is_back=1)
    case = Case(
        alarm=alarm_id,
        hub=hub,
        tenant=tenant,
        resident=resident,
        kind=kind,
        round=number + 1,
        steps=variant.steps,
        zone=kept.zone,
    )
    runs = await steps.run_from(connection, case, 0, now)
    if runs:
        await _PASSED.rows(connection, alarm=alarm_id, no=runs)


async def answered(connection: AsyncConnection, alarm_id: str, now: int, *, by: AnsweredBy) -> None:
    """A person has it: what is due ends, what was not said yet is not said, and who was called is told."""
    await _END.rows(connection, alarm=alarm_id, now=now, by=by)
    await _SILENCE.rows(connection, alarm=alarm_id, is_back=0)
    row = await _NOW_ROUND.one(connection, alarm=alarm_id)
    if row is not None:
        await steps.tell_taken(connection, alarm_id, row[0], now)
