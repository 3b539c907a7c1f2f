"""The JSON API of the organisation: municipalities, units, teams, roles in a part, and where hubs stand."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field

from central.console.api import PROBLEMS, HubId
from central.console.api_base import In, Out
from central.console.elsewhere import hub_seen
from central.console.gate import ForbiddenError, Needs, Visit
from central.console.pieces import LIMIT, After, Limit, piece
from central.console.roles import Action, Role
from central.errors import NotFoundError
from central.people.tenants import (
    Team,
    TeamKind,
    Tenant,
    TenantSettings,
    Unit,
    UnitKind,
    assignments,
    check_tenant,
    teams,
    tenants,
    units,
)

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["places"])
Placing = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES))]
Everywhere = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES, everywhere=True))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["00aa11bb22cc33dd"])]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["00aa11bb22cc33dd"])]
Account = Annotated[str, Field(min_length=1, max_length=32, examples=["0f1e2d3c4b5a6978"])]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class RulesBody(In):
    """What a municipality has decided."""

    presence_claims: bool = False
    """Staff presence at a room of a ward claims a nurse call, and the reset there closes it."""


class TenantBody(In):
    """A municipality. `version` is the one it was made from, and is left out for a new one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "Aure", "zone": "Europe/Oslo", "language": "nb", "settings": {"presence_claims": True}}
        },
    )

    name: Name
    zone: Annotated[str, Field(max_length=64)] = "Europe/Oslo"
    language: Literal["nb", "en"] = "nb"
    settings: RulesBody = RulesBody()
    is_active: bool = True
    version: Version | None = None


class TenantOut(Out):
    """A municipality as it is."""

    id: str
    name: str
    zone: str
    language: str
    settings: RulesBody
    is_active: bool
    version: int

    @classmethod
    def of(cls, tenant: Tenant) -> TenantOut:
        """As kept."""
        rules = RulesBody(**tenant.settings.model_dump())
        same = {name: getattr(tenant, name) for name in cls.model_fields if name != "settings"}
        return cls(settings=rules, **same)


class UnitBody(In):
    """A unit. `tenant` is for a new one, `version` for one there is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"tenant": "00aa11bb22cc33dd", "name": "Avdeling 2", "kind": "ward"}},
    )

    tenant: Id | None = None
    name: Name
    kind: UnitKind
    parent: Id | None = None
    presence_claims: bool | None = None
    """Null: as the municipality has it."""
    is_active: bool = True
    version: Version | None = None


class UnitOut(Out):
    """A unit as it is. `depth`: in how many others it lies."""

    id: str
    tenant: str
    parent: str | None
    kind: UnitKind
    name: str
    presence_claims: bool | None
    is_active: bool
    depth: int
    version: int

    @classmethod
    def of(cls, unit: Unit) -> UnitOut:
        """As kept."""
        rule = unit.settings.get("presence_claims")
        same = {name: getattr(unit, name) for name in cls.model_fields if name != "presence_claims"}
        return cls(presence_claims=rule if isinstance(rule, bool) else None, **same)


class TeamBody(In):
    """A team, of one municipality (`tenant`) or serving several (`serves`). Without members it is everybody."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"name": "Nattpatruljen", "kind": "patrol", "tenant": "00aa11bb22cc33dd", "phone": "+4799900001"}
        },
    )

    name: Name
    kind: TeamKind
    tenant: Id | None = None
    unit: Id | None = None
    phone: Annotated[str, Field(max_length=32)] = ""
    email: Annotated[str, Field(max_length=254)] = ""
    serves: Annotated[list[Id], Field(max_length=500)] = []  # noqa: RUF012  # pydantic copies it
    members: Annotated[list[Account], Field(max_length=1000)] = []  # noqa: RUF012  # pydantic copies it
    is_active: bool = True
    version: Version | None = None


class TeamOut(Out):
    """A team as it is."""

    id: str
    name: str
    kind: TeamKind
    tenant: str | None
    unit: str | None
    phone: str
    email: str
    serves: list[str]
    members: list[str]
    is_active: bool
    version: int

    @classmethod
    def of(cls, team: Team) -> TeamOut:
        """As kept."""
        same = {name: getattr(team, name) for name in cls.model_fields if name not in {"serves", "members"}}
        return cls(serves=list(team.serves), members=list(team.members), **same)


class AssignmentBody(In):
    """A role in a municipality or in a unit of it. The first one ends what the account could do everywhere."""

    account: Account
    role: Role
    tenant: Id | None = None
    unit: Id | None = None
    to_ms: Annotated[int, Field(ge=0, le=4_102_444_800_000)] | None = None


class AssignmentOut(Out):
    """A role of an account somewhere, also one that is over."""

    id: str
    account: str
    role: Role
    tenant: str | None
    unit: str | None
    from_ms: int
    to_ms: int | None
    given_by: str


class PlaceBody(In):
    """Where a hub is to stand. Without a municipality everybody sees its alarms. `version`: of where it stood."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"tenant": "00aa11bb22cc33dd", "unit": None, "version": 1}},
    )

    tenant: Id | None = None
    unit: Id | None = None
    version: Version


class PlaceOut(Out):
    """Where a hub stands."""

    tenant: str | None = Field(examples=["00aa11bb22cc33dd"])
    unit: str | None
    version: int


class TenantsOut(Out):
    """A piece of the municipalities, by name. Ask on with `next` as `after`."""

    tenants: list[TenantOut]
    next: str | None


class UnitsOut(Out):
    """A piece of the units, as a tree: each after the one it lies in. Ask on with `next` as `after`."""

    units: list[UnitOut]
    next: str | None


class TeamsOut(Out):
    """A piece of the teams, by name. Ask on with `next` as `after`."""

    teams: list[TeamOut]
    next: str | None


class AssignmentsOut(Out):
    """A piece of the roles that are and were. Ask on with `next` as `after`."""

    assignments: list[AssignmentOut]
    next: str | None


class MadeOut(Out):
    """The id of what was made."""

    id: str


async def _found(visit: Visit, what: Any, wanted: str) -> Any:
    """One of them, for whoever may keep it. Raises NotFoundError."""
    found = await visit.desk.services.store.fetch(what)
    one = next((one for one in found if one.id == wanted), None)
    if one is None:
        raise NotFoundError("place", wanted[:32])
    return one


# ── Municipalities ───────────────────────────────────────────────────────────────────


@router.get("/tenants")
async def all_tenants(visit: Placing, after: After = "", limit: Limit = LIMIT) -> TenantsOut:
    """Those that whoever asks keeps."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    seen = await visit.desk.services.store.fetch(lambda connection: tenants(connection, scope))
    found, more = piece(seen, after, limit)
    return TenantsOut(tenants=[TenantOut.of(one) for one in found], next=more)


@router.post("/tenants", status_code=201)
async def add_tenant(visit: Everywhere, body: TenantBody) -> MadeOut:
    """Another municipality."""
    places = visit.desk.services.people.places
    made = await places.add_tenant(visit.actor, body.name, zone=body.zone, language=body.language)
    if body.settings != RulesBody():
        await places.set_tenant(
            visit.actor, made, 1, name=body.name, zone=body.zone, language=body.language, settings=_rules(body)
        )
    return MadeOut(id=made)


def _rules(body: TenantBody) -> TenantSettings:
    return TenantSettings(**body.settings.model_dump())


@router.get("/tenants/{tenant_id}")
async def one_tenant(visit: Placing, tenant_id: Ref) -> TenantOut:
    """One of them."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    found = await visit.desk.services.store.fetch(
        lambda connection: check_tenant(connection, scope, tenant_id, is_reading=True)
    )
    return TenantOut.of(found)


@router.put("/tenants/{tenant_id}")
async def set_tenant(visit: Placing, tenant_id: Ref, body: TenantBody) -> TenantOut:
    """Other words and other rules; 409 with what it is when somebody has changed it meanwhile."""
    await visit.desk.services.people.places.set_tenant(
        visit.actor, tenant_id, body.version or 0, name=body.name, zone=body.zone, language=body.language,
        settings=_rules(body), is_active=body.is_active, scope=visit.scope_for(Action.KEEP_PLACES),
    )  # fmt: skip
    return TenantOut.of(await _found(visit, tenants, tenant_id))


# ── Units ────────────────────────────────────────────────────────────────────────────


@router.get("/units")
async def all_units(
    visit: Placing, tenant: Annotated[str, Query(max_length=16)] = "", after: After = "", limit: Limit = LIMIT
) -> UnitsOut:
    """As a tree: each after the one it lies in."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    seen = await visit.desk.services.store.fetch(lambda connection: units(connection, scope))
    found, more = piece([one for one in seen if not tenant or one.tenant == tenant], after, limit)
    return UnitsOut(units=[UnitOut.of(one) for one in found], next=more)


@router.post("/units", status_code=201)
async def add_unit(visit: Placing, body: UnitBody) -> MadeOut:
    """Another unit, in a municipality or in a unit of it."""
    made = await visit.desk.services.people.places.add_unit(
        visit.actor, body.tenant or "", body.name, body.kind.value, parent=body.parent,
        scope=visit.scope_for(Action.KEEP_PLACES), settings=_unit_rules({}, body),
    )  # fmt: skip
    return MadeOut(id=made)


@router.put("/units/{unit_id}")
async def set_unit(visit: Placing, unit_id: Ref, body: UnitBody) -> UnitOut:
    """Another name, kind, rule or place in the tree."""
    known: Unit = await _found(visit, units, unit_id)
    await visit.desk.services.people.places.set_unit(
        visit.actor, unit_id, body.version or 0, name=body.name, kind=body.kind.value, parent=body.parent,
        settings=_unit_rules(known.settings, body), is_active=body.is_active,
        scope=visit.scope_for(Action.KEEP_PLACES),
    )  # fmt: skip
    return UnitOut.of(await _found(visit, units, unit_id))


def _unit_rules(before: dict[str, Any], body: UnitBody) -> dict[str, Any]:
    kept = {key: value for key, value in before.items() if key != "presence_claims"}
    return kept if body.presence_claims is None else kept | {"presence_claims": body.presence_claims}


# ── Teams ────────────────────────────────────────────────────────────────────────────


@router.get("/teams")
async def all_teams(visit: Placing, after: After = "", limit: Limit = LIMIT) -> TeamsOut:
    """Those of the municipalities that whoever asks keeps."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    found, more = piece(await visit.desk.services.store.fetch(lambda c: teams(c, scope)), after, limit)
    return TeamsOut(teams=[TeamOut.of(one) for one in found], next=more)


@router.post("/teams", status_code=201)
async def add_team(visit: Placing, body: TeamBody) -> MadeOut:
    """Another team."""
    made = await visit.desk.services.people.places.add_team(
        visit.actor, body.name, body.kind.value, tenant=body.tenant, unit=body.unit, serves=body.serves,
        members=body.members, phone=body.phone, email=body.email, scope=visit.scope_for(Action.KEEP_PLACES),
    )  # fmt: skip
    return MadeOut(id=made)


@router.put("/teams/{team_id}")
async def set_team(visit: Placing, team_id: Ref, body: TeamBody) -> TeamOut:
    """Other members, municipalities or telephone. Whose it is stays."""
    await visit.desk.services.people.places.set_team(
        visit.actor, team_id, body.version or 0, name=body.name, kind=body.kind.value, unit=body.unit,
        serves=body.serves, members=body.members, phone=body.phone, email=body.email, is_active=body.is_active,
        scope=visit.scope_for(Action.KEEP_PLACES),
    )  # fmt: skip
    return TeamOut.of(await _found(visit, teams, team_id))


# ── Roles in a part, and hubs ────────────────────────────────────────────────────────


@router.get("/assignments")
async def all_assignments(visit: Everywhere, after: After = "", limit: Limit = LIMIT) -> AssignmentsOut:
    """All there are and were."""
    found, more = piece(await visit.desk.services.store.fetch(assignments), after, limit)
    made = [AssignmentOut(**{name: getattr(one, name) for name in AssignmentOut.model_fields}) for one in found]
    return AssignmentsOut(assignments=made, next=more)


@router.post("/assignments", status_code=201)
async def assign(visit: Everywhere, body: AssignmentBody) -> MadeOut:
    """A role in a part, from now on; 409 when they have it there already."""
    _not_oneself(visit, body.account)
    made = await visit.desk.services.people.places.assign(
        visit.actor, body.account, body.role, tenant=body.tenant, unit=body.unit, to_ms=body.to_ms
    )
    return MadeOut(id=made)


@router.delete("/assignments/{assignment_id}", status_code=204)
async def end_assignment(visit: Everywhere, assignment_id: Ref) -> None:
    """This role there no longer, at once; 409 when it is over already."""
    known = await visit.desk.services.store.fetch(assignments)
    for one in known:
        if one.id == assignment_id:
            _not_oneself(visit, one.account)
    await visit.desk.services.people.places.end_assignment(visit.actor, assignment_id)


@router.get("/hubs/{hub_id}/place")
async def hub_place(visit: Placing, hub_id: HubId) -> PlaceOut:
    """Where a hub stands."""
    found = await hub_seen(visit, hub_id, Action.KEEP_PLACES)
    place = await visit.desk.services.people.places.of_hub(found.id)
    return PlaceOut(tenant=place.tenant, unit=place.unit, version=place.version)


@router.put("/hubs/{hub_id}/place", status_code=204)
async def place_hub(visit: Placing, hub_id: HubId, body: PlaceBody) -> None:
    """Where a hub stands: its alarms go there; 409 with where it stands when somebody has moved it since `version`."""
    found = await hub_seen(visit, hub_id, Action.KEEP_PLACES)
    await visit.desk.services.people.places.place_hub(
        visit.actor, found.id, body.tenant, body.unit, visit.scope_for(Action.KEEP_PLACES), version=body.version
    )


def _not_oneself(visit: Visit, account: str) -> None:
    if account == visit.who.account.id:
        raise ForbiddenError("oneself", account)
