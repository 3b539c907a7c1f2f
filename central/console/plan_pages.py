"""The pages of response plans: which there are, and one of them in words, on the week and tried out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response

from central.console.gate import Needs, Visit
from central.console.hidden_search import Sealed, search_in
from central.console.pages import is_part
from central.console.paging import PageNo, page_of
from central.console.plan_preview import TriedView, plans_of, preview_of, scope_of
from central.console.rendering import page
from central.console.roles import Action
from central.routing.plan import local_time, variant_at
from central.routing.plans import ListedPlan
from central.routing.services import EVERY
from central.routing.store import PlanRow
from central.routing.teams import team_names
from central.routing.words import steps_words

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_PLANS))]

PLANS = "/plans"
BUILT_IN = "built-in"
_SAID = frozenset({"saved", "ended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the list: a plan of a municipality (or of all), the built-in one, or that it has none of its own."""

    tenant: str
    place: str
    plan: ListedPlan | None = None
    is_built_in: bool = False


@router.get("/plans")
async def plans(visit: Seeing, said: str = "", sealed: Sealed = "", number: PageNo = 1) -> Response:
    """All that hold now, by municipality, a hundred at a time. A plan may be called by a resident's name."""
    t = visit.words

    def text_of(line: Line) -> str:
        name = line.plan.name if line.plan else t("plans.built_in") if line.is_built_in else ""
        return f"{name} {line.place} {t(f'planservice.{_service_word(line.plan)}') if line.plan else ''}"

    shown = page_of(await _lines(visit), PLANS, search_in(visit, PLANS, sealed), number, text_of)
    rows = {row.id: row for row in await plans_of(visit).some([line.plan.id for line in shown.rows if line.plan])}
    names = await visit.desk.services.store.fetch(team_names)
    groups = []
    for (_, place), lines in groupby(shown.rows, lambda line: (line.tenant, line.place)):
        own = [PlanRow() if line.is_built_in else rows.get(line.plan.id if line.plan else "") for line in lines]
        groups.append((place, [_listed(visit, row, names) for row in own if row is not None]))
    text = t(f"plans.said_{said}") if said in _SAID else ""
    return page(visit, "plans.html", groups=groups, shown=shown, said=text)


async def _lines(visit: Visit) -> Sequence[Line]:
    scope, plans = scope_of(visit), plans_of(visit)
    by_tenant: dict[str, list[ListedPlan]] = {}
    for one in await plans.listed(scope):
        by_tenant.setdefault(one.tenant or "", []).append(one)
    found: list[Line] = []
    for tenant, place in (("", visit.words("plans.house")), *await plans.places(scope)):
        own = by_tenant.get(tenant, [])
        found += [Line(tenant=tenant, place=place, plan=one) for one in own]
        if tenant and not own:
            found.append(Line(tenant=tenant, place=place))
        elif not tenant and (own or scope.is_everything) and not any(one.service == EVERY for one in own):
            found.append(Line(tenant=tenant, place=place, is_built_in=True))
    return found


def _service_word(plan: ListedPlan) -> str:
    return "none" if not plan.service else "every" if plan.service == EVERY else plan.service


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
