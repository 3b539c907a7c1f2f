"""The pages about municipalities, units, teams, roles in a part, and where hubs stand."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from central.console.elsewhere import accounts_seen, hub_seen
from central.console.gate import ForbiddenError, Needs, Visit
from central.console.rendering import page
from central.console.resident_pages import fault_text
from central.console.roles import Action, Role, role_from
from central.errors import Conflict, IncompleteError
from central.people.tenants import TeamKind, UnitKind, assignments, teams, tenants, units

router = APIRouter(include_in_schema=False)
Placing = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES))]
Everywhere = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES, everywhere=True))]
Short = Annotated[str, Form(max_length=254)]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]


async def _page(visit: Visit, status: int = 200, fault: str = "") -> Response:
    scope = visit.scope_for(Action.KEEP_PLACES)

    async def look(connection: Any) -> tuple[Any, ...]:
        return (
            await tenants(connection, scope),
            await units(connection, scope),
            await teams(connection, scope),
            await assignments(connection),
        )

    services = visit.desk.services
    found, within, answering, given = await services.store.fetch(look)
    accounts = await accounts_seen(visit, scope)
    hubs = await services.hubs.listed(scope)
    placed = await services.people.places.of_hubs()
    return page(
        visit, "places.html", status, fault=fault, tenants=found, units=within, teams=answering,
        assignments=[one for one in given if one.to_ms is None or one.to_ms > visit.now_ms()]
        if scope.is_everything else [],
        accounts=accounts, hubs=sorted(hubs), placed=placed,
        names={one.id: one.name for one in (*found, *within)}, unit_kinds=list(UnitKind), team_kinds=list(TeamKind),
        roles=list(Role), is_everything=scope.is_everything,
    )  # fmt: skip


async def _done(visit: Visit, work: Awaitable[Any]) -> Response:
    try:
        await work
    except (IncompleteError, Conflict) as error:
        return await _page(visit, error.status, fault_text(visit, error))
    return RedirectResponse("/places", 303)


@router.get("/places")
async def places(visit: Placing) -> Response:
    """All of it on one page."""
    return await _page(visit)


@router.post("/places/tenants")
async def add_tenant(visit: Everywhere, name: Short = "", zone: Short = "Europe/Oslo") -> Response:
    """Another municipality."""
    return await _done(visit, visit.desk.services.people.places.add_tenant(visit.actor, name, zone=zone))


@router.post("/places/units")
async def add_unit(visit: Placing, name: Short = "", kind: Short = "", inside: Short = "") -> Response:
    """Another unit, in a municipality or in a unit of it: `inside` is TENANT or TENANT:UNIT."""
    tenant, _, parent = inside.partition(":")
    work = visit.desk.services.people.places.add_unit(
        visit.actor, tenant, name, kind, parent=parent or None, scope=visit.scope_for(Action.KEEP_PLACES)
    )
    return await _done(visit, work)


@router.post("/places/units/{unit_id}")
async def set_unit(
    visit: Placing, unit_id: str, version: Version = 0, name: Short = "", kind: Short = "",
    parent: Short = "",
) -> Response:  # fmt: skip
    """Another name, kind or place in the tree."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    known = {one.id: one for one in await visit.desk.services.store.fetch(units)}
    work = visit.desk.services.people.places.set_unit(
        visit.actor, unit_id, version, name=name, kind=kind, parent=parent or None,
        settings=known[unit_id].settings if unit_id in known else {}, scope=scope,
    )  # fmt: skip
    return await _done(visit, work)


async def _chosen(request: Request, field: str) -> tuple[str, ...]:
    return tuple(str(one) for one in (await request.form()).getlist(field))


@router.post("/places/teams")
async def add_team(
    request: Request, visit: Placing, name: Short = "", kind: Short = "", tenant: Short = "", phone: Short = "",
    email: Short = "",
) -> Response:  # fmt: skip
    """Another team: of one municipality, or serving several."""
    work = visit.desk.services.people.places.add_team(
        visit.actor, name, kind, tenant=tenant or None, serves=await _chosen(request, "serves"),
        members=await _chosen(request, "member"), phone=phone, email=email,
        scope=visit.scope_for(Action.KEEP_PLACES),
    )  # fmt: skip
    return await _done(visit, work)


@router.post("/places/teams/{team_id}")
async def set_team(
    request: Request, visit: Placing, team_id: str, version: Version = 0, name: Short = "",
    kind: Short = "", phone: Short = "", email: Short = "", ended: Short = "",
) -> Response:  # fmt: skip
    """Other members, municipalities or telephone; or that it is no longer in use."""
    known = {one.id: one for one in await visit.desk.services.store.fetch(teams)}
    work = visit.desk.services.people.places.set_team(
        visit.actor, team_id, version, name=name, kind=kind, unit=known[team_id].unit if team_id in known else None,
        serves=await _chosen(request, "serves"), members=await _chosen(request, "member"), phone=phone, email=email,
        is_active=not ended, scope=visit.scope_for(Action.KEEP_PLACES),
    )  # fmt: skip
    return await _done(visit, work)


@router.post("/places/assignments")
async def assign(visit: Everywhere, account: Short = "", role: Short = "", where: Short = "") -> Response:
    """A role in a part: `where` is empty, TENANT or TENANT:UNIT."""
    _not_oneself(visit, account)
    tenant, _, unit = where.partition(":")

    async def work() -> None:
        try:
            wanted = role_from(role)
        except ValueError:
            raise IncompleteError("bad_role", "role", tuple(Role)) from None
        await visit.desk.services.people.places.assign(
            visit.actor, account, wanted, tenant=tenant or None, unit=unit or None
        )

    return await _done(visit, work())


@router.post("/places/assignments/{assignment_id}/end")
async def end_assignment(visit: Everywhere, assignment_id: str) -> Response:
    """This role there no longer."""
    known = {one.id: one for one in await visit.desk.services.store.fetch(assignments)}
    if assignment_id in known:
        _not_oneself(visit, known[assignment_id].account)
    return await _done(visit, visit.desk.services.people.places.end_assignment(visit.actor, assignment_id))


@router.post("/places/hubs/{hub_id}")
async def place_hub(visit: Placing, hub_id: str, where: Short = "") -> Response:
    """Where a hub stands: its alarms go there."""
    found = await hub_seen(visit, hub_id, Action.KEEP_PLACES)
    tenant, _, unit = where.partition(":")
    work = visit.desk.services.people.places.place_hub(
        visit.actor, found.id, tenant or None, unit or None, visit.scope_for(Action.KEEP_PLACES)
    )
    return await _done(visit, work)


def _not_oneself(visit: Visit, account: str) -> None:
    # The last administrator must not shut themselves out, and nobody gives themselves a role.
    if account == visit.who.account.id:
        raise ForbiddenError("oneself", account)
