"""Plans in the database: which one answers an alarm, and all that were ever written.

A row never changes but in its state: an edit is a new version of the same id. `service` is a service's code, `*` for
the default of all services, or NULL for a plan that holds only where a resident's service names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.routing.plan import DEFAULT_PLAN, Plan
from central.routing.services import EVERY, service_of
from central.sql import Row, Sql

log = structlog.get_logger()

DEFAULT_ZONE = "Europe/Oslo"

_COLUMNS = "id, version, tenant, service, content, state, written_ms, written_by, why"
_FOR_ALARM = Sql(
    f"""SELECT {_COLUMNS},
        id IN (SELECT plan FROM service WHERE resident = :resident AND kind = :service AND plan IS NOT NULL
               AND from_ms <= :now AND (to_ms IS NULL OR to_ms > :now))
    FROM plan WHERE state = 'active' AND (tenant IS NULL OR tenant = :tenant)
        AND (service IN (:service, '{EVERY}')
             OR id IN (SELECT plan FROM service WHERE resident = :resident AND kind = :service AND plan IS NOT NULL
                       AND from_ms <= :now AND (to_ms IS NULL OR to_ms > :now)))"""  # noqa: S608  # our own names
)
_ZONE = Sql("SELECT zone FROM tenant WHERE id = :tenant")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """A plan with where it stands. Without an id it is `DEFAULT_PLAN`: nobody has written one."""

    id: str | None = None
    version: int | None = None
    tenant: str | None = None
    service: str | None = None
    plan: Plan = DEFAULT_PLAN
    zone: str = DEFAULT_ZONE
    state: str = "active"
    written_ms: int = 0
    written_by: str = ""
    why: str = ""


async def zone_of(connection: AsyncConnection, tenant: str | None) -> str:
    """The time zone in which a tenant's hours are meant."""
    found = await _ZONE.value(connection, tenant=tenant) if tenant is not None else None
    return str(found or DEFAULT_ZONE)


async def plan_for(
    connection: AsyncConnection, *, tenant: str | None, resident: str | None, kind_word: str, now_ms: int
) -> PlanRow:
    """The plan that answers an alarm of this kind now. Never fails for want of one, nor over one that is damaged.

    The resident's service names one, or the tenant's default for the service, its default, the installation's for the
    service, the installation's, `DEFAULT_PLAN`: the first that there is and that can be read.
    """
    service = service_of(kind_word)
    zone = await zone_of(connection, tenant)
    rows = await _FOR_ALARM.rows(connection, tenant=tenant or "", resident=resident or "", service=service, now=now_ms)
    for row in sorted(rows, key=_nearness):
        found = plan_row(row, zone)
        if found is not None:
            return found
    return PlanRow(tenant=tenant, zone=zone)


def _nearness(row: Row) -> tuple[Any, ...]:
    _id, version, tenant, service = row[:4]
    is_named = bool(row[9])
    return (not is_named, tenant is None, service == EVERY, -row[6], -version)


def plan_row(row: Sequence[Any], zone: str) -> PlanRow | None:
    """A row as a value; None, and a line in the log, when its content cannot be read."""
    plan_id, version, tenant, service, content, state, written_ms, written_by, why = row[:9]
    try:
        plan = Plan.model_validate_json(content)
    except ValidationError as error:
        log.warning("plan_unreadable", plan=plan_id, version=version, problems=error.error_count())
        return None
    return PlanRow(
        id=plan_id,
        version=version,
        tenant=tenant,
        service=service,
        plan=plan,
        zone=zone,
        state=state,
        written_ms=written_ms,
        written_by=written_by,
        why=why,
    )
