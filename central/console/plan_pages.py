"""The pages of response plans: which there are, and one of them in words, on the week and tried out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response

from central.console.gate import Needs, Visit
from central.console.pages import is_part
from central.console.plan_preview import TriedView, plans_of, preview_of, scope_of
from central.console.rendering import page
from central.console.roles import Action
from central.routing.plan import local_time, variant_at
from central.routing.services import EVERY
from central.routing.store import PlanRow
from central.routing.teams import team_names
from central.routing.words import steps_words

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_PLANS))]

BUILT_IN = "built-in"
_SAID = frozenset({"saved", "ended"})


@router.get("/plans")
async def plans(visit: Seeing, said: str = "") -> Response:
    """All that hold now, by municipality."""
    scope, found = scope_of(visit), plans_of(visit)
    rows = await found.all(scope)
    places = await found.places(scope)
    names = await visit.desk.services.store.fetch(team_names)
    groups = []
    for tenant, name in (("", visit.words("plans.house")), *places):
        own = [_listed(visit, row, names) for row in rows if (row.tenant or "") == tenant]
        if tenant or own or scope.is_everything:
            groups.append((tenant, name, own))
    has_house = any(row.tenant is None and row.service == EVERY for row in rows)
    built_in = None if has_house else _listed(visit, PlanRow(), names)
    text = visit.words(f"plans.said_{said}") if said in _SAID else ""
    return page(visit, "plans.html", groups=groups, built_in=built_in, said=text, is_all=scope.is_everything)


def _listed(visit: Visit, row: PlanRow, names: Mapping[str, str]) -> tuple[PlanRow, str, str]:
    """A plan, which variant holds now, and what that does."""
    variant = variant_at(row.plan, *local_time(visit.now_ms(), ZoneInfo(row.zone)))
    return row, variant.name, steps_words(variant.steps, names, visit.words)


@router.get("/plans/{plan_id}")
async def plan(
    request: Request,
    visit: Seeing,
    plan_id: str,
    said: str = "",
    day: Annotated[str, Query(max_length=10)] = "",
    time: Annotated[str, Query(max_length=5)] = "",
    second: Annotated[str, Query(max_length=1)] = "",
) -> Response:
    """One plan: in words, on the week, tried out, and how it came about."""
    versions = [PlanRow()] if plan_id == BUILT_IN else await plans_of(visit).versions(plan_id, scope_of(visit))
    newest = versions[0]
    shown = await preview_of(visit, newest.plan, newest.tenant, TriedView(day=day, time=time, second=second))
    if is_part(request):
        return page(visit, "_plan_preview.html", shown=shown, row=newest, draft=None)
    names = await visit.desk.accounts.names()
    text = visit.words(f"plans.said_{said}") if said in _SAID else ""
    places = dict(await plans_of(visit).places(scope_of(visit)))
    can_change = visit.may(Action.CHANGE_PLANS) and (
        newest.tenant is not None or scope_of(visit, Action.CHANGE_PLANS).is_everything
    )
    return page(
        visit,
        "plan.html",
        row=newest,
        versions=versions,
        shown=shown,
        names=names,
        said=text,
        draft=None,
        place=places.get(newest.tenant or "", visit.words("plans.house")),
        can_change=can_change and newest.id is not None and newest.state == "active",
        fault="",
    )
