"""When hubs are to act by themselves: what the plans say, for an alarm and for all that a home may raise next.

Where nobody has written a plan, nothing is said, and the hub's own settings hold.
"""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation.steps import Snapshot
from central.routing.plan import LocalDeadlines as Planned
from central.routing.store import plan_for
from central.sql import Sql
from cloud_sync.central_messages import LocalDeadlines

USUAL_KIND = "pendant_pressed"
MAX_RESIDENTS = 16

_SNAPSHOT = Sql("SELECT snapshot FROM alarm_plan WHERE alarm = :alarm AND plan IS NOT NULL")
_HOME = Sql(
    """SELECT h.tenant, r.pseudonym, r.tenant FROM hub h
    LEFT JOIN resident r ON r.hub = h.id AND r.state = 'active' WHERE h.id = :hub ORDER BY r.pseudonym LIMIT :limit"""
)


async def of_alarm(connection: AsyncConnection, alarm: str) -> LocalDeadlines | None:
    """Those of the plan that an alarm began with."""
    text = await _SNAPSHOT.value(connection, alarm=alarm)
    if text is None:
        return None
    try:
        return _as_told(Snapshot.model_validate_json(text).plan.local)
    except ValidationError:
        return None


async def of_home(connection: AsyncConnection, hub: str, now: int) -> LocalDeadlines | None:
    """Those for what a home may raise next: of the residents' plans for a press, the more impatient."""
    found = []
    for hub_tenant, resident, tenant in await _HOME.rows(connection, hub=hub, limit=MAX_RESIDENTS):
        plan = await plan_for(
            connection, tenant=hub_tenant or tenant, resident=resident, kind_word=USUAL_KIND, now_ms=now
        )
        if plan.id is not None:
            found.append(plan.plan.local)
    if not found:
        return None
    return LocalDeadlines(
        no_receipt_s=min(one.no_receipt_s for one in found), no_claim_s=min(one.no_claim_s for one in found)
    )


def _as_told(planned: Planned) -> LocalDeadlines:
    return LocalDeadlines(no_receipt_s=planned.no_receipt_s, no_claim_s=planned.no_claim_s)
