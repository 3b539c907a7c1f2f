"""The editor of response plans: its buttons, what stands in it as it is typed, and saving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from central.console.gate import Needs, Visit
from central.console.pages import is_part
from central.console.plan_draft import Draft, draft_from, draft_of
from central.console.plan_preview import TriedView, plans_of, preview_of, scope_of
from central.console.rendering import page
from central.console.roles import Action
from central.errors import Conflict
from central.notify.channels import channels
from central.routing.checking import InvalidPlanError
from central.routing.plan import DEFAULT_PLAN
from central.routing.plans import StalePlanError
from central.routing.services import EVERY, SERVICES
from central.routing.store import DEFAULT_ZONE, PlanRow
from central.routing.teams import Team, team_names, teams_for
from central.routing.words import in_words

router = APIRouter(include_in_schema=False)
Changing = Annotated[Visit, Depends(Needs(Action.CHANGE_PLANS))]


@router.get("/plan-editor")
async def new_plan(
    visit: Changing,
    tenant: Annotated[str, Query(max_length=16)] = "",
    like: Annotated[str, Query(max_length=16)] = "",
) -> Response:
    """The editor with a plan to begin with: the one that holds without any, or a copy of another."""
    if like:
        copied = await plans_of(visit).one(like, scope_of(visit, Action.CHANGE_PLANS))
        draft = draft_of(copied.plan, tenant=copied.tenant or "")
        draft.name = visit.words("plan.copy_of", name=draft.name)
    else:
        draft = draft_of(DEFAULT_PLAN, tenant=tenant)
        draft.name = ""
        draft.variants[-1].name = visit.words("plan.rest_name")
    return await _editor(visit, draft, plan_id="")


@router.get("/plans/{plan_id}/edit")
async def edit_plan(visit: Changing, plan_id: str) -> Response:
    """The editor with the newest version."""
    row = await plans_of(visit).one(plan_id, scope_of(visit, Action.CHANGE_PLANS))
    draft = draft_of(row.plan, tenant=row.tenant or "", service=row.service or "", version=str(row.version))
    return await _editor(visit, draft, plan_id=plan_id)


@router.post("/plan-editor")
async def write_new(request: Request, visit: Changing) -> Response:
    """A button of the editor: an edit of the draft, or saving it as a new plan."""
    return await _answer(request, visit, "")


@router.post("/plans/{plan_id}/edit")
async def write_edit(request: Request, visit: Changing, plan_id: str) -> Response:
    """The same for a new version of a plan."""
    await plans_of(visit).one(plan_id, scope_of(visit, Action.CHANGE_PLANS))
    return await _answer(request, visit, plan_id)


@router.post("/plan-editor/preview")
async def preview(request: Request, visit: Changing) -> Response:
    """Words, week and trial of what stands in the form, as it is typed."""
    form = await request.form()
    draft = draft_from(form)
    scope_of(visit, Action.CHANGE_PLANS).check(draft.tenant or None, None, "tenant", draft.tenant)
    made, _ = replace(draft, name=draft.name or "\u2013").made()
    if made is None:
        return page(visit, "_plan_unfinished.html", draft=draft, tried=_tried_from(form))
    shown = await preview_of(visit, made, draft.tenant or None, _tried_from(form))
    return page(visit, "_plan_preview.html", shown=shown, row=None, draft=draft)


@router.post("/plans/{plan_id}/end")
async def end_plan(visit: Changing, plan_id: str, version: Annotated[int, Form(ge=1, le=2**31 - 1)]) -> Response:
    """Not used any more. What rested on it falls to the next plan."""
    try:
        await plans_of(visit).end(visit.actor, scope_of(visit, Action.CHANGE_PLANS), (plan_id, version))
    except Conflict as error:
        if error.reason != "plan_in_use":
            raise
        return await _with_fault(visit, plan_id, visit.words("plan.in_use", n=error.state))
    return RedirectResponse("/plans?said=ended", 303)


async def _with_fault(visit: Visit, plan_id: str, fault: str) -> Response:
    versions = await plans_of(visit).versions(plan_id, scope_of(visit, Action.CHANGE_PLANS))
    newest = versions[0]
    names = await visit.desk.accounts.names()
    places = dict(await plans_of(visit).places(scope_of(visit, Action.CHANGE_PLANS)))
    return page(
        visit,
        "plan.html",
        409,
        row=newest,
        versions=versions,
        shown=await preview_of(visit, newest.plan, newest.tenant, TriedView()),
        names=names,
        said="",
        draft=None,
        place=places.get(newest.tenant or "", visit.words("plans.house")),
        can_change=True,
        fault=fault,
    )


def _tried_from(form: Any) -> TriedView:
    day, time, second = (str(form.get(f"try_{name}", ""))[:10] for name in ("day", "time", "second"))
    return TriedView(day=day, time=time, second=second)


async def _answer(request: Request, visit: Visit, plan_id: str) -> Response:
    form = await request.form()
    draft = draft_from(form)
    order = form.get("do", "")
    if order != "save":
        draft.do(order if isinstance(order, str) else "")
        return await _editor(visit, draft, plan_id=plan_id, is_part=is_part(request), tried=_tried_from(form))
    made, faults = draft.made()
    if made is None:
        return await _editor(visit, draft, plan_id=plan_id, faults=faults, status=422, tried=_tried_from(form))
    replaces = (plan_id, int(draft.version)) if plan_id and draft.version.isdecimal() else None
    if plan_id and replaces is None:
        replaces = (plan_id, 0)
    try:
        row = await plans_of(visit).write(
            visit.actor,
            scope_of(visit, Action.CHANGE_PLANS),
            made,
            tenant=draft.tenant or None,
            service=draft.service or None,
            why=draft.why,
            replaces=replaces,
        )
    except InvalidPlanError as error:
        told = {
            fault.where: visit.words(f"planfault.{fault.reason}", **fault.values) for fault in reversed(error.faults)
        }
        return await _editor(visit, draft, plan_id=plan_id, told=told, status=422, tried=_tried_from(form))
    except StalePlanError as error:
        draft.version = str(error.theirs.version)
        return await _editor(visit, draft, plan_id=plan_id, theirs=error.theirs, status=409, tried=_tried_from(form))
    return RedirectResponse(f"/plans/{row.id}?said=saved", 303)


async def _editor(
    visit: Visit,
    draft: Draft,
    *,
    plan_id: str,
    faults: Mapping[str, str] | None = None,
    told: Mapping[str, str] | None = None,
    theirs: PlanRow | None = None,
    status: int = 200,
    is_part: bool = False,
    tried: TriedView | None = None,
) -> Response:
    scope = scope_of(visit, Action.CHANGE_PLANS)
    scope.check(draft.tenant or None, None, "tenant", draft.tenant)
    store = visit.desk.services.store
    teams: Mapping[str, Team] = await store.fetch(lambda connection: teams_for(connection, draft.tenant or None))
    names = await store.fetch(team_names)
    # A plan that lacks no more than its name is drawn already.
    made, unmade = replace(draft, name=draft.name or "\u2013").made()
    shown = None
    if made is not None:
        shown = await preview_of(visit, made, draft.tenant or None, tried or TriedView())
    told = dict(told or {})
    told |= {where: visit.words(f"planfault.{reason}") for where, reason in (faults or {}).items()}
    accounts = await visit.desk.accounts.names() if theirs else {}
    values: dict[str, Any] = {
        "draft": draft,
        "plan_id": plan_id,
        "teams": list(teams.values()),
        "team_names": names,
        "told": told,
        "theirs": theirs,
        "their_words": in_words(theirs.plan, names, visit.words) if theirs else [],
        "their_name": accounts.get(theirs.written_by, "") if theirs else "",
        "shown": shown,
        "tried": tried or TriedView(),
        "row": None,
        "is_unfinished": bool(unmade),
        "services": (EVERY, *SERVICES),
        "places": await plans_of(visit).places(scope),
        "is_all": scope.is_everything,
        "channels": list(channels()),
        "default_zone": DEFAULT_ZONE,
    }
    template = "_plan_editor.html" if is_part else "plan_editor.html"
    return page(visit, template, 200 if is_part else status, **values)
