"""The pages of response plans: which there are, one of them in words and on the week, the editor, "try it"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.console.gate import Needs, Visit
from central.console.pages import is_part
from central.console.plan_draft import Draft, draft_from, draft_of, minute_of
from central.console.rendering import page
from central.console.roles import Action
from central.console.week_grid import WeekGrid, plan_grid
from central.errors import Conflict
from central.routing import calendar
from central.routing.checking import InvalidPlanError
from central.routing.duty import account_names
from central.routing.plan import DEFAULT_PLAN, WEEKDAYS, Channel, Plan, ReceiverKind, local_time, variant_at
from central.routing.plans import Plans, StalePlanError
from central.routing.services import EVERY, SERVICES
from central.routing.store import DEFAULT_ZONE, PlanRow, zone_of
from central.routing.teams import Team, team_names, teams_for
from central.routing.trying import Trial, try_out
from central.routing.words import channels_words, in_words, receiver_words, steps_words

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_PLANS))]
Changing = Annotated[Visit, Depends(Needs(Action.CHANGE_PLANS))]

BUILT_IN = "built-in"
_SAID = frozenset({"saved", "ended"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedLine:
    """One step of a trial as it is shown."""

    at: str
    who: str
    how: str
    covers: tuple[tuple[str, str], ...]
    """For each team: a sign (`ok`, `warn`, `unknown`) and a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedView:
    """What would happen, or why that cannot be said."""

    day: str = ""
    time: str = ""
    second: str = ""
    fault: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    title: str = ""
    variant: str = ""
    lines: tuple[TriedLine, ...] = ()
    ends: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """A plan in words, on the week, and tried."""

    sentences: tuple[tuple[str, str], ...]
    grid: WeekGrid
    tried: TriedView
    zone: str
    local: str


def plans_of(visit: Visit) -> Plans:
    """The plans of this central."""
    return Plans(visit.desk.services.store, visit.desk.services.clock)


def scope_of(visit: Visit, action: Action = Action.SEE_PLANS) -> Scope:
    """What whoever asks may see of it."""
    return visit.scope_for(action)


async def preview_of(visit: Visit, plan: Plan, tenant: str | None, tried: TriedView) -> Preview:
    """Everything beside the form."""
    store, now = visit.desk.services.store, visit.now_ms()

    async def work(connection: AsyncConnection) -> tuple[str, Mapping[str, str]]:
        return await zone_of(connection, tenant), await team_names(connection)

    zone_name, names = await store.fetch(work)
    zone = ZoneInfo(zone_name)
    tried, marked = await _tried(visit, plan, tenant, zone, tried)
    t = visit.words
    return Preview(
        sentences=tuple(
            (variant.name, sentence) for variant, sentence in zip(plan.variants, in_words(plan, names, t), strict=True)
        ),
        grid=plan_grid(plan, [t(f"weekday.s{day}") for day in WEEKDAYS], now=local_time(now, zone), tried=marked),
        tried=tried,
        zone=zone_name,
        local=t("plan.local_words", receipt=plan.local.no_receipt_s, claim=plan.local.no_claim_s),
    )


async def _tried(
    visit: Visit, plan: Plan, tenant: str | None, zone: ZoneInfo, asked: TriedView
) -> tuple[TriedView, tuple[int, int] | None]:
    now = visit.now_ms()
    day_text = asked.day or calendar.local(now, zone)[0].isoformat()
    if not asked.time:
        return TriedView(day=day_text, time=""), None
    base = TriedView(day=day_text, time=asked.time, second=asked.second)
    t = visit.words
    minute = minute_of(asked.time)
    day = _day(day_text)
    if minute is None or day is None:
        return replace(base, fault=t("try.bad_time")), None
    try:
        at = calendar.chosen(zone, day, minute, second={"1": False, "2": True}.get(asked.second))
    except calendar.LocalTimeError as error:
        if error.reason == "twice":
            return replace(
                base,
                fault=t("try.twice", time=asked.time),
                choices=(("1", t("try.first_time")), ("2", t("try.second_time"))),
            ), None
        before, after = (_clock(choice, zone) for choice in error.choices)
        return replace(base, fault=t("try.no_such_time", time=asked.time, before=before, after=after)), None
    name = zone.key

    async def work(connection: AsyncConnection) -> tuple[Trial, Mapping[str, str], Mapping[str, str]]:
        trial = await try_out(connection, plan, tenant=tenant, zone=name, at_ms=at, now_ms=now)
        return trial, await team_names(connection), await account_names(connection)

    trial, names, accounts = await visit.desk.services.store.fetch(work)
    view = replace(
        base,
        title=t("try.title_at", day=t(f"weekday.d{day.weekday()}"), date=visit.figures.date(at), time=asked.time),
        variant=trial.variant.name,
        lines=tuple(_lines(visit, trial, zone, names, accounts)),
        ends=t("try.again", time=_clock(trial.ends_ms, zone, is_exact=True)),
    )
    return view, (day.weekday(), minute)


def _lines(
    visit: Visit, trial: Trial, zone: ZoneInfo, names: Mapping[str, str], accounts: Mapping[str, str]
) -> Sequence[TriedLine]:
    t = visit.words
    found = []
    for step in trial.steps:
        covers: list[tuple[str, str]] = []
        for one in step.asked:
            if one.by_rota is None:
                covers.append(("unknown", t("try.no_rota", team=one.team.name)))
            elif not one.by_rota:
                covers.append(("warn", t("try.gap", team=one.team.name)))
            else:
                people = ", ".join(accounts.get(who, who) if who else t("rota.phone") for who in one.by_rota)
                covers.append(("ok", t("try.on_duty", team=one.team.name, people=people)))
            if Channel.CONSOLE in step.step.channels:
                key = "sound_now" if one.has_sound else "no_sound_now"
                covers.append(("ok" if one.has_sound else "warn", t(f"try.{key}", team=one.team.name)))
        if step.step.receiver is ReceiverKind.CONTACTS:
            covers.append(("unknown", t("try.contacts")))
        found.append(
            TriedLine(
                at=_clock(step.at_ms, zone, is_exact=True),
                who=receiver_words(step.step, names, t),
                how=channels_words(step.step, t),
                covers=tuple(covers),
            )
        )
    return found


def _clock(at_ms: int, zone: ZoneInfo, *, is_exact: bool = False) -> str:
    minute = calendar.local(at_ms, zone)[1]
    seconds = f":{at_ms // 1000 % 60:02d}" if is_exact else ""
    return f"{minute // 60:02d}:{minute % 60:02d}{seconds}"


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2100 else None


# ── Looking ──────────────────────────────────────────────────────────────────────────────


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
    names = {account.id: account.name for account in await visit.desk.accounts.all()}
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


# ── Writing ──────────────────────────────────────────────────────────────────────────────


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
async def end_plan(visit: Changing, plan_id: str, version: Annotated[int, Form(ge=1)]) -> Response:
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
    names = {account.id: account.name for account in await visit.desk.accounts.all()}
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
    accounts = {account.id: account.name for account in await visit.desk.accounts.all()} if theirs else {}
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
        "channels": list(Channel),
        "default_zone": DEFAULT_ZONE,
    }
    template = "_plan_editor.html" if is_part else "plan_editor.html"
    return page(visit, template, 200 if is_part else status, **values)
