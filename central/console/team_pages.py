"""The page of one team: what it is called, whom it serves, who is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.gate import Needs, Visit
from central.console.hidden_search import HiddenSearch, Sealed, search_in
from central.console.paging import PageNo, page_of
from central.console.place_pages import places_page
from central.console.rendering import page
from central.console.resident_pages import fault_text
from central.console.roles import Action
from central.console.seeking import Choice, Seek, UnclearError, accounts_in, by_text, clear, not_found_text
from central.errors import Conflict, IncompleteError, NotFoundError
from central.people.tenants import Team, TeamKind, Tenant, teams, tenants

router = APIRouter(include_in_schema=False)
Placing = Annotated[Visit, Depends(Needs(Action.KEEP_PLACES))]
Short = Annotated[str, Form(max_length=254)]
Version = Annotated[int, Form(ge=0, le=2**31 - 1)]
_SAID = frozenset({"saved", "joined", "left"})


async def _look(visit: Visit, team_id: str) -> tuple[Team, Sequence[Tenant]]:
    scope = visit.scope_for(Action.KEEP_PLACES)

    async def work(connection: AsyncConnection) -> tuple[Team, Sequence[Tenant]]:
        team = next((one for one in await teams(connection) if one.id == team_id), None)
        if team is None:
            raise NotFoundError("team", team_id[:32])
        scope.check(team.tenant or "", team.unit, "team", team_id)
        return team, await tenants(connection, scope)

    return await visit.desk.services.store.fetch(work)


async def _page(
    visit: Visit,
    team_id: str,
    *,
    search: HiddenSearch | None = None,
    number: int = 1,
    status: int = 200,
    fault: str = "",
    said: str = "",
    typed: Mapping[str, Any] | None = None,
) -> Response:
    team, served = await _look(visit, team_id)
    names = await visit.desk.accounts.names()
    members = by_text(Choice(one, names.get(one, one)) for one in team.members)
    known = frozenset(team.members)
    others = [one for one in await accounts_in(visit, visit.scope_for(Action.KEEP_PLACES)) if one.id not in known]
    written: dict[str, Any] = {
        "name": team.name,
        "kind": team.kind,
        "phone": team.phone,
        "email": team.email,
        "account": "",
    }
    written |= {"serves": team.serves, "ended": not team.is_active} | dict(typed or {})
    return page(
        visit, "team.html", status, team=team, typed=written, fault=fault,
        tenants=sorted(served, key=lambda one: one.id not in written["serves"]),  # those it serves come first
        people=Seek(pool=others, where="/places/accounts/part", typed=written["account"]),
        shown=page_of(members, f"/places/teams/{team_id}", search or HiddenSearch(), number, lambda one: one.text),
        team_kinds=list(TeamKind), said=visit.words(f"team.said_{said}") if said in _SAID else "",
    )  # fmt: skip


@router.get("/places/teams/{team_id}")
async def team_page(visit: Placing, team_id: str, sealed: Sealed = "", number: PageNo = 1, said: str = "") -> Response:
    """What it is now."""
    search = search_in(visit, f"/places/teams/{team_id}", sealed)
    return await _page(visit, team_id, search=search, number=number, said=said)


@router.post("/places/teams")
async def add_team(
    request: Request, visit: Placing, name: Short = "", kind: Short = "", tenant: Short = "", phone: Short = "",
    email: Short = "", back: Short = "",
) -> Response:  # fmt: skip
    """Another team: of one municipality, or serving several."""
    try:
        made = await visit.desk.services.people.places.add_team(
            visit.actor, name, kind, tenant=tenant or None, serves=await _served(request), phone=phone, email=email,
            scope=visit.scope_for(Action.KEEP_PLACES),
        )  # fmt: skip
    except (IncompleteError, Conflict) as error:
        typed = {"team_name": name, "team_kind": kind, "team_tenant": tenant, "team_phone": phone}
        return await places_page(visit, back, status=error.status, fault=fault_text(visit, error), typed=typed)
    return RedirectResponse(f"/places/teams/{made}", 303)


@router.post("/places/teams/{team_id}")
async def set_team(
    request: Request, visit: Placing, team_id: str, version: Version = 0, name: Short = "",
    kind: Short = "", phone: Short = "", email: Short = "", ended: Short = "",
) -> Response:  # fmt: skip
    """Other municipalities or telephone; or that it is no longer in use."""
    team, _ = await _look(visit, team_id)
    serves = await _served(request)
    try:
        await visit.desk.services.people.places.set_team(
            visit.actor, team_id, version, name=name, kind=kind, unit=team.unit, serves=serves, members=None,
            phone=phone, email=email, is_active=not ended, scope=visit.scope_for(Action.KEEP_PLACES),
        )  # fmt: skip
    except (IncompleteError, Conflict) as error:
        typed = {"name": name, "kind": kind, "phone": phone, "email": email, "serves": serves, "ended": bool(ended)}
        return await _page(visit, team_id, status=error.status, fault=fault_text(visit, error), typed=typed)
    return RedirectResponse(f"/places/teams/{team_id}?said=saved", 303)


@router.post("/places/teams/{team_id}/members")
async def join(visit: Placing, team_id: str, account: Short = "") -> Response:
    """One more member, chosen from a list or found by words."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    await _look(visit, team_id)
    if not account.strip():
        return await _page(visit, team_id, status=422, fault=visit.words("team.nobody_chosen"))
    try:
        pool = await accounts_in(visit, scope)
        named = clear(pool, account, "account")
    except UnclearError as error:
        fault = not_found_text(visit, error.seek, visit.words("team.nobody_chosen"))
        return await _page(visit, team_id, status=422, fault=fault, typed={"account": account})
    if all(one.id != named for one in pool):
        raise NotFoundError("account", named[:32])
    await visit.desk.services.people.places.join(visit.actor, team_id, named, scope)
    return RedirectResponse(f"/places/teams/{team_id}?said=joined", 303)


@router.post("/places/teams/{team_id}/members/{account_id}/end")
async def leave(visit: Placing, team_id: str, account_id: str) -> Response:
    """Not a member any more."""
    scope = visit.scope_for(Action.KEEP_PLACES)
    await visit.desk.services.people.places.leave(visit.actor, team_id, account_id, scope)
    return RedirectResponse(f"/places/teams/{team_id}?said=left", 303)


async def _served(request: Request) -> tuple[str, ...]:
    return tuple(str(one) for one in (await request.form()).getlist("serves"))
