"""The teams that a municipality's plans may name: those of its own, and those that serve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Row, Sql

TECHNICAL = "technical"
"""The kind of the teams that answer for equipment."""

TEAM_LABEL = (
    "(t.name || CASE WHEN EXISTS (SELECT 1 FROM team o WHERE o.name = t.name AND o.id <> t.id AND o.state = 'active')"
    " THEN coalesce((SELECT ' · ' || x.name FROM tenant x WHERE x.id = t.tenant), '') ELSE '' END)"
)
"""What team `t` is called among teams of several municipalities: two of them may use one name."""
_COLUMNS = (
    "t.id, t.kind, " + TEAM_LABEL + ", t.tenant, t.phone <> '', t.email <> '',"  # noqa: S608  # our own names
    " (SELECT count(*) FROM team_member m WHERE m.team = t.id)"
)
_OF_TENANT = Sql(
    f"""SELECT {_COLUMNS} FROM team t WHERE t.state = 'active'
        AND (t.tenant = :tenant OR t.id IN (SELECT team FROM team_tenant WHERE tenant = :tenant))
        ORDER BY t.kind, t.name"""  # noqa: S608  # our own names
)
_OF_ALL = Sql(
    f"SELECT {_COLUMNS} FROM team t WHERE t.state = 'active' AND t.tenant IS NULL ORDER BY t.kind, t.name"  # noqa: S608  # our own names
)
_EVERY = Sql(f"SELECT {_COLUMNS} FROM team t WHERE t.state = 'active' ORDER BY t.kind, t.name")  # noqa: S608  # our own names
_SERVED = Sql("SELECT team, tenant FROM team_tenant")
_NAMES = Sql(f"SELECT t.id, {TEAM_LABEL} FROM team t")  # noqa: S608  # our own names


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team, as far as a plan has to know it."""

    id: str
    kind: str
    name: str
    tenant: str | None
    has_phone: bool
    has_email: bool
    members: int
    tenants: frozenset[str] = frozenset()
    """Whom it serves; known where all teams are listed."""


async def teams_for(connection: AsyncConnection, tenant: str | None) -> Mapping[str, Team]:
    """What a plan of this tenant may name, by id; for a plan of the whole installation what belongs to no tenant."""
    rows = await (_OF_ALL.rows(connection) if tenant is None else _OF_TENANT.rows(connection, tenant=tenant))
    return {row[0]: _team(row) for row in rows}


async def every_team(connection: AsyncConnection) -> Mapping[str, Team]:
    """All there are, with whom they serve."""
    served: dict[str, set[str]] = {}
    for team, tenant in await _SERVED.rows(connection):
        served.setdefault(team, set()).add(tenant)
    found = {}
    for row in await _EVERY.rows(connection):
        own = {row[3]} if row[3] is not None else set()
        found[row[0]] = _team(row, frozenset(served.get(row[0], set()) | own))
    return found


async def team_names(connection: AsyncConnection) -> Mapping[str, str]:
    """Names also of teams that are no more: old plans still name them."""
    return {row[0]: row[1] for row in await _NAMES.rows(connection)}


def _team(row: Row, tenants: frozenset[str] = frozenset()) -> Team:
    team_id, kind, name, tenant, phone, email, members = row
    return Team(
        id=team_id,
        kind=kind,
        name=name,
        tenant=tenant,
        has_phone=bool(phone),
        has_email=bool(email),
        members=members,
        tenants=tenants,
    )
