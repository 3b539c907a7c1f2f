"""The pages of a technician: hubs, and the health check of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from central.commands import HealthCheck
from central.console.availability_api import SHOWN_DAYS, days_seen
from central.console.availability_strips import strips_of
from central.console.elsewhere import hub_seen
from central.console.gate import Needs, Visit
from central.console.hub_page import PRESENCE_SIGN, check_page, summary_of
from central.console.pages import is_part
from central.console.paging import PageNo, Sought, page_of
from central.console.rendering import page
from central.console.roles import Action
from central.gaps import dropped_by
from central.hubs import HubView
from central.technical.calls import contact_of_hub

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_HUBS))]
Checking = Annotated[Visit, Depends(Needs(Action.RUN_CHECKS))]

CHECKS_KEPT = 30
"""How far back the small curves go."""


async def _checks(visit: Visit, hub: HubView) -> tuple[Sequence[HealthCheck], dict[str, str]]:
    checks = await visit.desk.services.commands.checks(hub.id, limit=CHECKS_KEPT)
    names = await visit.desk.accounts.names()
    return checks, names


@router.get("/hubs")
async def hubs(visit: Seeing, sought: Sought = "", number: PageNo = 1) -> Response:
    """All of them, worst first, a hundred at a time."""
    services = visit.desk.services
    seen = await services.hubs.listed(visit.scope_for(Action.SEE_HUBS))
    known = page_of(seen, "/hubs", sought, number, lambda hub: f"{hub.label} {hub.id}")
    ids = [one.id for one in known.rows]
    checks = await services.commands.last_checks(ids)
    found = [
        (hub, summary_of(visit, checks[hub.id]) if hub.id in checks else None) for hub in await services.hubs.some(ids)
    ]
    return page(visit, "hubs.html", hubs=found, shown=known, presence_sign=PRESENCE_SIGN)


@router.get("/hubs/{hub_id}")
async def hub(visit: Seeing, hub_id: str) -> Response:
    """One hub, its health checks, and when it was heard."""
    found = await hub_seen(visit, hub_id, Action.SEE_HUBS)
    if found.id != hub_id:
        return RedirectResponse(f"/hubs/{found.id}", 303)
    days = await days_seen(visit, found.id, found.enrolled_ms, SHOWN_DAYS)
    return await _page(visit, "hub.html", found, strips=strips_of(visit, days))


@router.get("/hubs/{hub_id}/check")
async def check_part(request: Request, visit: Seeing, hub_id: str) -> Response:
    """The check alone, as the page's script fetches it when a result has come."""
    if not is_part(request):
        return RedirectResponse(f"/hubs/{(await hub_seen(visit, hub_id, Action.SEE_HUBS)).id}", 303)
    return await _part(visit, hub_id)


@router.post("/hubs/{hub_id}/check")
async def check(request: Request, visit: Checking, hub_id: str) -> Response:
    """Ask the hub and wait for its answer, at most half a minute."""
    found = await hub_seen(visit, hub_id, Action.RUN_CHECKS)
    await visit.desk.services.commands.check(found.id, visit.actor)
    if not is_part(request):
        return RedirectResponse(f"/hubs/{found.id}", 303)
    return await _part(visit, found.id)


async def _part(visit: Visit, hub_id: str) -> Response:
    return await _page(visit, "_check_part.html", await hub_seen(visit, hub_id, Action.SEE_HUBS))


async def _page(visit: Visit, template: str, found: HubView, **more: Any) -> Response:
    store, now = visit.desk.services.store, visit.now_ms()
    checks, names = await _checks(visit, found)
    view = check_page(visit, found, checks, names, await dropped_by(store, found.id))
    contact = await store.fetch(lambda connection: contact_of_hub(connection, found.id, now))
    return page(visit, template, hub=found, view=view, duty=contact, presence_sign=PRESENCE_SIGN, **more)
