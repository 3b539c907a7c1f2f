"""The pages about municipalities, units, teams, roles in a part, and where hubs stand.

The overview has the first of each; what does not fit on it has a page of its own with a search.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.elsewhere import hub_seen
from central.console.gate import ForbiddenError, Needs, Visit
from central.console.hidden_search import HiddenSearch, Sealed, search_in
from central.console.paging import PageNo, PageOf, Sought, page_of
from central.console.queries import SEALED
from central.console.rendering import page
from central.console.resident_pages import fault_text
from central.console.roles import Action, Role, role_from
from central.console.seeking import (
    MOST_LISTED,
    Choice,
    Seek,
    Words,
    accounts_in,
    clear,
    hits_part,
    sites,
    sites_of,
)
from central.errors import Conflict, IncompleteError, NotFoundError
from central.hubs import Listed
from central.people.placing import HubPlace, StalePlaceError
from central.people.tenants import (
    Assignment,
    Team,
    TeamKind,
    Tenant,
    Unit,
    UnitKind,
    assignments,
    teams,
    tenants,
    units,
)

router = APIRouter(include_in_schema=False)
Placing = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES))]
Everywhere = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES, everywhere=True))]
Short = Annotated[str, Form(max_length=254)]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]
Back = Annotated[str, Form(alias="back", max_length=16)]
OVERVIEW = 12
"""So many of each stand on the overview."""

MOST_SERVED = 3
"""So many municipalities are named where one line has to do."""


class Part(StrEnum):
    """What has a page of its own where there is much of it."""

    TENANTS = "tenants"
    UNITS = "units"
    TEAMS = "teams"
    ROLES = "roles"
    HUBS = "hubs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """All of it, as far as whoever asks keeps it."""

    tenants: Sequence[Tenant]
    units: Sequence[Unit]
    teams: Sequence[Team]
    roles: Sequence[Assignment]
    sites: Sequence[Choice]
    names: Mapping[str, str]


async def organisation(visit: Visit, part: Part | None) -> Organisation:
    """Read it, or what its one part needs."""
    scope = visit.scope_for(Action.KEEP_PLACES)

    async def look(connection: AsyncConnection) -> Organisation:
        own, within = await tenants(connection, scope), await units(connection, scope)
        given = await assignments(connection) if scope.is_everything and part in {None, Part.ROLES} else ()
        return Organisation(
            tenants=own,
            units=within,
            teams=await teams(connection, scope) if part in {None, Part.TEAMS} else (),
            roles=[one for one in given if one.to_ms is None or one.to_ms > visit.now_ms()],
            sites=sites_of(own, [(one.tenant, Choice(one.id, one.name)) for one in within]),
            names={one.id: one.name for one in own} | {one.id: one.name for one in within},
        )

    return await visit.desk.services.store.fetch(look)


async def places_page(
    visit: Visit,
    back: str = "",
    *,
    sought: str = "",
    search: HiddenSearch | None = None,
    number: int = 1,
    status: int = 200,
    fault: str = "",
    typed: Mapping[str, str] | None = None,
) -> Response:
    """The overview, or the page of the one part that is named."""
    part = Part(back) if back in set(Part) else None
    found, hubs, hub_count = await organisation(visit, part), *await _hubs(visit, part)
    accounts: Mapping[str, str] = {}
    if part is Part.ROLES:
        accounts = await visit.desk.accounts.names()
    elif part is None:
        shown_roles = [one.account for one in found.roles[:OVERVIEW]]
        accounts = {one.id: one.name for one in await visit.desk.accounts.some(shown_roles)}
    if part is Part.ROLES and not visit.scope_for(Action.KEEP_PLACES).is_everything:
        raise ForbiddenError("everywhere_only", visit.who.account.role)

    def shown(own: Part, rows: Sequence[Any], text_of: Any, count: int | None = None) -> PageOf[Any]:
        path = f"/places/{own}"
        if part is None:
            kept, everything = list(rows[:OVERVIEW]), len(rows) if count is None else count
            return PageOf(rows=kept, path=path, sought="", number=1, total=len(kept), everything=everything)
        asked = (search or HiddenSearch()) if own is Part.ROLES else sought  # roles are found by people's names
        return page_of(rows if own is part else (), path, asked, number, text_of)

    def where_of(one: Any) -> str:
        return found.names.get(one.unit or one.tenant or "", "")

    parts = {
        Part.TENANTS: shown(Part.TENANTS, found.tenants, lambda one: one.name),
        Part.UNITS: shown(Part.UNITS, found.units, lambda one: f"{one.name} {found.names.get(one.tenant, '')}"),
        Part.TEAMS: shown(Part.TEAMS, found.teams, lambda one: f"{one.name} {where_of(one)}"),
        Part.ROLES: shown(Part.ROLES, found.roles, lambda one: f"{accounts.get(one.account, '')} {where_of(one)}"),
        Part.HUBS: shown(Part.HUBS, hubs, lambda one: f"{one.label} {one.id}", hub_count),
    }
    typed = typed or {}
    others: Sequence[Choice] = await _others(visit, typed.get("account", "")) if part in {None, Part.ROLES} else ()
    return page(
        visit, "places.html", status, fault=fault, part=part, parts=parts, typed=typed, tenants=found.tenants,
        names=found.names, accounts=accounts,
        people=Seek(pool=others, where="/places/accounts/part", typed=typed.get("account", "")),
        placed=await visit.desk.services.people.places.of_hubs() if hubs else {}, serves=_serves(visit, found),
        site=lambda own, chosen: Seek(pool=found.sites, where="/places/sites/part", typed=typed.get(own) or chosen),
        unit_kinds=list(UnitKind), team_kinds=list(TeamKind), roles=list(Role), shows=lambda one: part in {None, one},
        is_everything=visit.scope_for(Action.KEEP_PLACES).is_everything,
    )  # fmt: skip


def _serves(visit: Visit, found: Organisation) -> Any:
    t = visit.words

    def said(team: Team) -> str:
        named = [found.names.get(one, "") for one in ((team.tenant,) if team.tenant else team.serves)]
        named = [name for name in named if name]
        if not named:
            return t("places.serves_nobody")
        more = len(named) - MOST_SERVED
        if more > 0:
            return t("places.serves_many", names=", ".join(named[:MOST_SERVED]), n=more)
        return t("places.serves_some", names=", ".join(named))

    return said


async def _hubs(visit: Visit, part: Part | None) -> tuple[Sequence[Listed], int]:
    """By name: all where they have the page, else the first of them; and how many there are."""
    hubs, scope = visit.desk.services.hubs, visit.scope_for(Action.KEEP_PLACES)
    if part is None:
        return await hubs.first(scope, OVERVIEW)
    found = sorted(await hubs.listed(scope)) if part is Part.HUBS else ()
    return found, len(found)


async def _others(visit: Visit, typed: str) -> list[Choice]:
    """Everybody but oneself: nobody gives themselves a role. Of thousands only so many, until something was typed."""
    most = None if typed else MOST_LISTED + 2  # with oneself among them they are still too many for a list
    accounts = await accounts_in(visit, visit.scope_for(Action.KEEP_PLACES), most)
    return [one for one in accounts if one.id != visit.who.account.id]


async def _done(visit: Visit, back: str, work: Awaitable[Any], typed: Mapping[str, str] | None = None) -> Response:
    try:
        await work
    except StalePlaceError as error:
        fault = await _their_place(visit, error.theirs)
        return await places_page(visit, back, status=error.status, fault=fault, typed=typed)
    except (IncompleteError, Conflict) as error:
        return await places_page(visit, back, status=error.status, fault=fault_text(visit, error), typed=typed)
    return RedirectResponse(f"/places/{back}" if back in set(Part) else "/places", 303)


async def _their_place(visit: Visit, theirs: HubPlace) -> str:
    """Where somebody else has put the hub, as far as whoever asks sees it."""
    chosen = f"{theirs.tenant}:{theirs.unit}" if theirs.unit else theirs.tenant or ""
    seen = await sites(visit, visit.scope_for(Action.KEEP_PLACES))
    name = next((one.text for one in seen if one.id == chosen), visit.words("places.nowhere"))
    return visit.words("places.hub_moved", place=name)


async def _site(visit: Visit, typed: str, field: str) -> tuple[str | None, str | None]:
    """Municipality and unit of what was chosen or typed. Raises IncompleteError."""
    if not typed.strip():
        return None, None
    tenant, _, unit = clear(await sites(visit, visit.scope_for(Action.KEEP_PLACES)), typed, field).partition(":")
    return tenant, unit or None


@router.get("/places")
async def places(visit: Placing) -> Response:
    """The first of everything."""
    return await places_page(visit)


@router.get("/places/{part}")
async def part_page(
    visit: Placing, part: str, sought: Sought = "", sealed: Sealed = "", number: PageNo = 1
) -> Response:
    """All of one thing, a hundred at a time."""
    if part not in set(Part):
        raise NotFoundError("page", part[:32])
    for name, is_asked, has in (("q", sought, part != Part.ROLES), (SEALED, sealed, part == Part.ROLES)):
        if is_asked and not has:
            raise IncompleteError("unknown_query", name)
    search = search_in(visit, f"/places/{part}", sealed)
    return await places_page(visit, part, sought=sought, search=search, number=number)


@router.post("/places/accounts/part")
async def accounts_part(visit: Placing, q: Words = "") -> Response:
    """Accounts whose names have these words, for a field."""
    return hits_part(visit, await accounts_in(visit, visit.scope_for(Action.KEEP_PLACES)), q)


@router.post("/places/sites/part")
async def sites_part(visit: Placing, q: Words = "") -> Response:
    """Municipalities and units whose names have these words, for a field."""
    return hits_part(visit, await sites(visit, visit.scope_for(Action.KEEP_PLACES)), q)


@router.post("/places/tenants")
async def add_tenant(visit: Everywhere, name: Short = "", zone: Short = "Europe/Oslo", back: Back = "") -> Response:
    """Another municipality."""
    return await _done(visit, back, visit.desk.services.people.places.add_tenant(visit.actor, name, zone=zone))


@router.post("/places/units")
async def add_unit(visit: Placing, name: Short = "", kind: Short = "", inside: Short = "", back: Back = "") -> Response:
    """Another unit, in a municipality or in a unit of it: `inside` is TENANT or TENANT:UNIT."""

    async def work() -> None:
        tenant, parent = await _site(visit, inside, "inside")
        await visit.desk.services.people.places.add_unit(
            visit.actor, tenant or "", name, kind, parent=parent, scope=visit.scope_for(Action.KEEP_PLACES)
        )

    return await _done(visit, back, work(), {"unit_name": name, "unit_kind": kind, "inside": inside})


@router.post("/places/units/{unit_id}")
async def set_unit(
    visit: Placing, unit_id: str, version: Version = 0, name: Short = "", kind: Short = "",
    parent: Short = "", back: Back = "",
) -> Response:  # fmt: skip
    """Another name, kind or place in the tree."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    known = {one.id: one for one in await visit.desk.services.store.fetch(units)}
    work = visit.desk.services.people.places.set_unit(
        visit.actor, unit_id, version, name=name, kind=kind, parent=parent or None,
        settings=known[unit_id].settings if unit_id in known else {}, scope=scope,
    )  # fmt: skip
    return await _done(visit, back, work)


@router.post("/places/assignments")
async def assign(
    visit: Everywhere, account: Short = "", role: Short = "", where: Short = "", back: Back = ""
) -> Response:
    """A role in a part: `where` is empty, TENANT or TENANT:UNIT."""

    async def work() -> None:
        try:
            wanted = role_from(role)
        except ValueError:
            raise IncompleteError("bad_role", "role", tuple(Role)) from None
        everybody = await accounts_in(visit, visit.scope_for(Action.KEEP_PLACES))
        named = clear(everybody, account, "account")
        _not_oneself(visit, named)
        tenant, unit = await _site(visit, where, "where")
        await visit.desk.services.people.places.assign(visit.actor, named, wanted, tenant=tenant, unit=unit)

    return await _done(visit, back, work(), {"account": account, "role": role, "where": where})


@router.post("/places/assignments/{assignment_id}/end")
async def end_assignment(visit: Everywhere, assignment_id: str, back: Back = "") -> Response:
    """This role there no longer."""
    known = {one.id: one for one in await visit.desk.services.store.fetch(assignments)}
    if assignment_id in known:
        _not_oneself(visit, known[assignment_id].account)
    return await _done(visit, back, visit.desk.services.people.places.end_assignment(visit.actor, assignment_id))


@router.post("/places/hubs/{hub_id}")
async def place_hub(visit: Placing, hub_id: str, where: Short = "", version: Version = 0, back: Back = "") -> Response:
    """Where a hub stands: its alarms go there."""
    found = await hub_seen(visit, hub_id, Action.KEEP_PLACES)

    async def work() -> None:
        scope = visit.scope_for(Action.KEEP_PLACES)
        tenant, unit = await _site(visit, where, "where")
        if tenant is None and not scope.is_everything:  # nowhere is everywhere: not theirs to say
            raise IncompleteError("missing", "where")
        await visit.desk.services.people.places.place_hub(visit.actor, found.id, tenant, unit, scope, version=version)

    return await _done(visit, back, work(), {found.id: where})


def _not_oneself(visit: Visit, account: str) -> None:
    # The last administrator must not shut themselves out, and nobody gives themselves a role.
    if account == visit.who.account.id:
        raise ForbiddenError("oneself", account)
