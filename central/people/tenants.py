"""Tenants, their units, teams, and who has which role where: as values, read in the caller's transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import EVERYTHING, Scope
from central.console.roles import Role
from central.errors import NotFoundError
from central.sql import Row, Sql

MAX_NAME = 128
MAX_DEPTH = 8


class TenantSettings(BaseModel):
    """What a municipality has decided. Unknown keys of a newer version are kept out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    presence_claims: bool = False
    """Staff presence at the room claims a nurse call, and the reset there closes it; a unit may say otherwise."""


class UnitKind(StrEnum):
    """What a unit is."""

    ZONE = "zone"
    WARD = "ward"
    HOUSE = "house"


class TeamKind(StrEnum):
    """What a team is there for."""

    CENTRE = "centre"
    PATROL = "patrol"
    WARD = "ward"
    TECHNICAL = "technical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A municipality."""

    id: str
    name: str
    zone: str
    language: str
    settings: TenantSettings
    is_active: bool
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A zone, a ward or a house. `depth`: how many it lies in."""

    id: str
    tenant: str
    parent: str | None
    kind: UnitKind
    name: str
    settings: dict[str, Any]
    is_active: bool
    version: int
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """Who receives alarms together. Without members: everybody."""

    id: str
    kind: TeamKind
    name: str
    tenant: str | None
    unit: str | None
    phone: str
    email: str
    is_active: bool
    version: int
    serves: tuple[str, ...]
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A role of an account somewhere."""

    id: str
    account: str
    role: Role
    tenant: str | None
    unit: str | None
    from_ms: int
    to_ms: int | None
    given_by: str


_TENANTS = Sql("SELECT id, name, zone, language, settings, state, version FROM tenant ORDER BY name, id")
_UNITS = Sql("SELECT id, tenant, parent, kind, name, settings, state, version FROM unit ORDER BY name")
_TEAMS = Sql("SELECT id, kind, name, tenant, unit, phone, email, state, version FROM team ORDER BY name")
_SERVED = Sql("SELECT team, tenant FROM team_tenant")
_MEMBERS = Sql("SELECT team, account FROM team_member")
_ASSIGNMENTS = Sql(
    "SELECT id, account, role, tenant, unit, from_ms, to_ms, given_by FROM assignment ORDER BY account, from_ms"
)


async def tenants(connection: AsyncConnection, scope: Scope = EVERYTHING) -> tuple[Tenant, ...]:
    """All that are seen, by name."""
    found = []
    for tenant, name, zone, language, settings, state, version in await _TENANTS.rows(connection):
        if scope.covers(tenant) or scope.units:
            found.append(
                Tenant(
                    id=tenant,
                    name=name,
                    zone=zone,
                    language=language,
                    settings=TenantSettings.model_validate(json.loads(settings)),
                    is_active=state == "active",
                    version=version,
                )
            )
    if scope.units and scope.tenants is not None:
        own = {unit.tenant for unit in await units(connection, scope)}
        found = [tenant for tenant in found if tenant.id in own or tenant.id in scope.tenants]
    return tuple(found)


async def check_tenant(connection: AsyncConnection, scope: Scope, tenant: str, *, is_reading: bool = False) -> Tenant:
    """That somebody may see it, or change what holds for all of it. Raises NotFoundError, ElsewhereError.

    Who works in a unit of it reads what holds for all of it, and does not write it.
    """
    found = next((one for one in await tenants(connection) if one.id == tenant), None)
    if found is None:
        raise NotFoundError("tenant", tenant[:32])
    is_inside = is_reading and tenant in {one.id for one in await tenants(connection, scope)}
    if not is_inside:
        scope.check(tenant, None, "tenant", tenant)
    return found


async def units(connection: AsyncConnection, scope: Scope = EVERYTHING) -> tuple[Unit, ...]:
    """All that are seen, as a tree: each after the one it lies in."""
    rows = await _UNITS.rows(connection)
    inner: dict[str | None, list[Row]] = {}
    known = {row[0] for row in rows}
    for row in rows:
        inner.setdefault(row[2] if row[2] in known else None, []).append(row)
    found: list[Unit] = []

    def walk(parent: str | None, depth: int) -> None:
        for row in inner.get(parent, ()):
            if scope.covers(row[1], row[0]):
                found.append(_unit(row, depth))
            if depth < MAX_DEPTH:
                walk(row[0], depth + 1)

    walk(None, 0)
    return tuple(found)


def _unit(row: Row, depth: int) -> Unit:
    unit, tenant, parent, kind, name, settings, state, version = row
    return Unit(
        id=unit,
        tenant=tenant,
        parent=parent,
        kind=UnitKind(kind),
        name=name,
        settings=json.loads(settings),
        is_active=state == "active",
        version=version,
        depth=depth,
    )


async def teams(connection: AsyncConnection, scope: Scope = EVERYTHING) -> tuple[Team, ...]:
    """All that are seen, by name."""
    served: dict[str, list[str]] = {}
    for team, tenant in await _SERVED.rows(connection):
        served.setdefault(team, []).append(tenant)
    members: dict[str, list[str]] = {}
    for team, account in await _MEMBERS.rows(connection):
        members.setdefault(team, []).append(account)
    found = []
    for team, kind, name, tenant, unit, phone, email, state, version in await _TEAMS.rows(connection):
        if not scope.covers(tenant, unit):
            continue
        found.append(
            Team(
                id=team,
                kind=TeamKind(kind),
                name=name,
                tenant=tenant,
                unit=unit,
                phone=phone,
                email=email,
                is_active=state == "active",
                version=version,
                serves=tuple(sorted(served.get(team, ()))),
                members=tuple(sorted(members.get(team, ()))),
            )
        )
    return tuple(found)


async def assignments(connection: AsyncConnection) -> tuple[Assignment, ...]:
    """All there are and were."""
    return tuple(
        Assignment(
            id=row[0], account=row[1], role=Role(row[2]), tenant=row[3], unit=row[4], from_ms=row[5], to_ms=row[6],
            given_by=row[7],
        )
        for row in await _ASSIGNMENTS.rows(connection)
    )  # fmt: skip
