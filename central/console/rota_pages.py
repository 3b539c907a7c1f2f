"""The pages of duty rotas: which teams keep one and where it has gaps; a team's week, its shifts and exceptions."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from central.access import ElsewhereError, Scope
from central.console.gate import Needs, Visit
from central.console.paging import PageNo, Sought, page_of
from central.console.plan_draft import day_in, minute_of
from central.console.plan_preview import scope_of
from central.console.rendering import page
from central.console.roles import Action
from central.console.rota_grid import person_name, rota_grid
from central.console.seeking import Choice, Seek, Words, hits_part, meant, not_found_text
from central.errors import Conflict, IncompleteError, NotFoundError
from central.routing import calendar
from central.routing.duty import DAY_MS, WARN_DAYS, Rotas, TeamRota
from central.routing.plan import WEEKDAYS
from central.routing.rota import Gap, Override, Shift
from central.routing.words import clock_at, clock_words, days_words

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_ROTAS))]
Changing = Annotated[Visit, Depends(Needs(Action.CHANGE_PLANS))]

PHONE = "phone"
NOBODY = "nobody"
GAPS_SHOWN = 12
_WHO = ("account", "who", "instead_of")
_SAID = frozenset({"shift", "shift_ended", "override", "override_ended"})
_FIELDS = (
    "account", "from", "to", "from_day", "to_day", "who", "instead_of", "begin_day", "begin_time", "begin_second",
    "end_day", "end_time", "end_second", "why",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamLine:
    """A team in the list: who is on, until when somebody is, who follows, what is missing."""

    rota: TeamRota
    now: str
    until: str
    following: str
    gaps: tuple[str, ...]


def rotas_of(visit: Visit) -> Rotas:
    """The duty rotas of this central."""
    return Rotas(visit.desk.services.store, visit.desk.services.clock)


def _read_where(visit: Visit) -> tuple[Scope | None, Scope]:
    """Where whoever asks reads every team's rota (None: nowhere), and where those of technical teams."""
    every = visit.scope_for(Action.SEE_PLANS) if visit.may(Action.SEE_PLANS) else None
    return every, visit.scope_for(Action.SEE_ROTAS)


async def rota_read(visit: Visit, team_id: str, since_ms: int | None = None) -> TeamRota:
    """A team's rota, for who reads it. Raises NotFoundError."""
    every, technical = _read_where(visit)
    return await rotas_of(visit).one(every, team_id, since_ms, technical=technical)


# ── Looking ──────────────────────────────────────────────────────────────────────────────


@router.get("/rota")
async def teams(visit: Seeing, sought: Sought = "", number: PageNo = 1) -> Response:
    """The teams: who is on duty, who follows, and where nobody is to be. On each page those with gaps come first."""
    rotas = rotas_of(visit)
    shown = page_of(await rotas.teams(*_read_where(visit)), "/rota", sought, number, lambda team: team.name)
    lines = [_team_line(visit, one) for one in await rotas.some(shown.rows)]
    lines.sort(key=lambda line: (not line.gaps, line.rota.team.name))
    return page(visit, "rotas.html", lines=lines, days=WARN_DAYS, shown=shown)


@router.get("/rota/{team_id}")
async def rota(
    visit: Seeing, team_id: str, week: Annotated[str, Query(max_length=10)] = "", said: str = ""
) -> Response:
    """A team's week, its shifts and exceptions."""
    text = visit.words(f"rota.said_{said}") if said in _SAID else ""
    if week and day_in(week) is None:
        raise IncompleteError("unknown_choice", "week")
    return await _page(visit, team_id, week=week, said=text)


async def _page(
    visit: Visit,
    team_id: str,
    *,
    week: str = "",
    said: str = "",
    refused: str = "",
    faults: Mapping[str, str] | None = None,
    typed: Mapping[str, Any] | None = None,
    form: str = "",
    status: int = 200,
) -> Response:
    now = visit.now_ms()
    zone = (await rota_read(visit, team_id)).rota.zone
    today = calendar.local(now, zone)[0]
    monday = calendar.monday_of(day_in(week) or today)
    begin = calendar.instant(zone, monday, 0)
    found = await rota_read(visit, team_id, min(begin, now))
    line = _team_line(visit, found)
    empty: dict[str, Any] = dict.fromkeys(_FIELDS, "") | {"days": set(WEEKDAYS), "from_day": today.isoformat()}
    empty |= {"begin_day": today.isoformat(), "end_day": today.isoformat()}
    shown = empty | dict(typed or {})
    return page(
        visit,
        "rota.html",
        status,
        found=found,
        line=line,
        grid=rota_grid(visit, found, monday, now),
        monday=monday,
        week_text=visit.figures.date(calendar.instant(zone, monday, 12 * 60)),
        before=(monday - timedelta(days=7)).isoformat(),
        after=(monday + timedelta(days=7)).isoformat(),
        is_this_week=monday == calendar.monday_of(today),
        changes=_clock_changes(visit, zone, monday),
        shifts=[_shift_line(visit, found, shift, today) for shift in found.rota.shifts],
        overrides=[_override_line(visit, found, one) for one in found.rota.overrides if one.to_ms > now],
        said=said,
        refused=refused,
        faults=faults or {},
        typed=shown,
        seeks={name: _seek(visit, found, name, shown[name]) for name in _WHO},
        form=form,
        days=WARN_DAYS,
    )


@router.post("/rota/{team_id}/people/part")
async def people_part(visit: Changing, team_id: str, q: Words = "") -> Response:
    """Those of the team whose names have these words."""
    found = await rotas_of(visit).one(scope_of(visit, Action.CHANGE_PLANS), team_id)
    return hits_part(visit, _pool(found), q)


def _pool(found: TeamRota) -> list[Choice]:
    return [Choice(*one) for one in found.people]


def _seek(visit: Visit, found: TeamRota, name: str, typed: str) -> Seek:
    also = {"account": (PHONE, "rota.phone_option"), "who": (NOBODY, "rota.nobody_option")}.get(name)
    return Seek(
        pool=_pool(found),
        where=f"/rota/{found.team.id}/people/part",
        typed=typed,
        also=(Choice(also[0], visit.words(also[1])),) if also else (),
    )


def _team_line(visit: Visit, found: TeamRota) -> TeamLine:
    t, now, rota = visit.words, visit.now_ms(), found.rota
    on = [person_name(visit, found, spell.account) for spell in rota.on_at(now)]
    until = rota.until(now, WARN_DAYS * DAY_MS)
    following = rota.next_after(now, WARN_DAYS * DAY_MS) if rota.is_kept else None
    gaps = rota.gaps(now, now + WARN_DAYS * DAY_MS)
    said = [_gap_words(visit, rota.zone, gap) for gap in gaps[:GAPS_SHOWN]]
    if len(gaps) > GAPS_SHOWN:
        said.append(t("rota.more_gaps", n=len(gaps) - GAPS_SHOWN))
    return TeamLine(
        rota=found,
        now=", ".join(on),
        until="" if until is None or not gaps else t("rota.until", time=_when(visit, rota.zone, until)),
        following=""
        if following is None
        else t(
            "rota.then",
            who=person_name(visit, found, following.account),
            time=_when(visit, rota.zone, following.from_ms),
        ),
        gaps=tuple(said),
    )


def _gap_words(visit: Visit, zone: ZoneInfo, gap: Gap) -> str:
    return visit.words(
        "rota.gap", begin=_when(visit, zone, gap.from_ms), to=_when(visit, zone, gap.to_ms, since_ms=gap.from_ms)
    )


def _when(visit: Visit, zone: ZoneInfo, at_ms: int, *, since_ms: int | None = None) -> str:
    """Sunday 22.11. 07:00; the clock alone when it is the day that was said already. Of two such times: which."""
    day, minute = calendar.local(at_ms, zone)
    time, both = clock_words(minute), calendar.instants(zone, day, minute)
    if len(both) > 1:
        time = visit.words("rota.second_time" if at_ms >= both[1] else "rota.first_time", time=time)
    if since_ms is not None and calendar.local(since_ms, zone)[0] == day:
        return time
    return visit.words(
        "rota.when", day=visit.words(f"weekday.d{day.weekday()}"), date=f"{day.day}.{day.month}.", time=time
    )


def _shift_line(visit: Visit, found: TeamRota, shift: Shift, today: date) -> dict[str, Any]:
    return {
        "id": shift.id,
        "who": person_name(visit, found, shift.account),
        "days": days_words(tuple(shift.weekdays), visit.words),
        "hours": f"{clock_words(shift.from_minute)}\u2013{clock_words(shift.to_minute % (24 * 60))}",
        "since": shift.from_day.isoformat(),
        "last": shift.to_day.isoformat() if shift.to_day else "",
        "is_over": shift.to_day is not None and shift.to_day < today,
    }


def _override_line(visit: Visit, found: TeamRota, one: Override) -> dict[str, Any]:
    t = visit.words
    who = "" if one.account is None else person_name(visit, found, one.account)
    whom = "" if one.instead_of is None else person_name(visit, found, one.instead_of)
    key = {(True, True): "stand_in", (True, False): "extra", (False, True): "away", (False, False): "closed"}[
        (bool(who), bool(whom))
    ]
    zone = found.rota.zone
    return {
        "id": one.id,
        "what": t(f"rota.is_{key}", who=who, whom=whom),
        "when": t(
            "rota.span", begin=_when(visit, zone, one.from_ms), to=_when(visit, zone, one.to_ms, since_ms=one.from_ms)
        ),
        "why": one.why,
    }


def _clock_changes(visit: Visit, zone: ZoneInfo, monday: date) -> list[str]:
    found = []
    for day in WEEKDAYS:
        change = calendar.change_on(zone, monday + timedelta(days=day))
        if change:
            key = "clock_forward" if change > 0 else "clock_back"
            found.append(visit.words(f"rota.{key}", day=visit.words(f"weekday.d{day}")))
    return found


# ── Writing ──────────────────────────────────────────────────────────────────────────────


@router.post("/rota/{team_id}/shifts")
async def add_shift(request: Request, visit: Changing, team_id: str) -> Response:
    """Somebody every week."""
    typed = await _typed(request)
    found = await rotas_of(visit).one(scope_of(visit, Action.CHANGE_PLANS), team_id)
    begin, to = minute_of(typed["from"]), minute_of(typed["to"])
    first, last = day_in(typed["from_day"]), day_in(typed["to_day"])
    faults = {}
    if not typed["days"]:
        faults["days"] = "no_days"
    if not typed["account"]:
        faults["account"] = "no_person"
    if begin is None:
        faults["from"] = "bad_time"
    if to is None:
        faults["to"] = "bad_time"
    if first is None:
        faults["from_day"] = "bad_day"
    if typed["to_day"] and last is None:
        faults["to_day"] = "bad_day"
    if not faults and begin is not None and to is not None and first is not None:
        shift = Shift(
            id="",
            account=None if typed["account"] == PHONE else meant(_pool(found), typed["account"]),
            weekdays=frozenset(typed["days"]),
            from_minute=begin,
            to_minute=to,
            from_day=first,
            to_day=last,
        )
        try:
            await rotas_of(visit).add_shift(visit.actor, scope_of(visit, Action.CHANGE_PLANS), team_id, shift)
        except IncompleteError as error:
            faults[error.field] = error.reason
    return await _answer(visit, found, "shift", faults, typed)


@router.post("/rota/{team_id}/shifts/{shift_id}/end")
async def end_shift(visit: Changing, team_id: str, shift_id: str) -> Response:
    """Not from today on."""
    work = rotas_of(visit).end_shift(visit.actor, scope_of(visit, Action.CHANGE_PLANS), team_id, shift_id)
    return await _ended(visit, team_id, "shift", work)


async def _ended(visit: Visit, team_id: str, what: str, work: Awaitable[None]) -> Response:
    """End something, or say that somebody else has: it is over, or was taken out before it began."""
    try:
        await work
    except ElsewhereError:
        raise
    except (Conflict, NotFoundError) as error:
        if error.reason not in {"is_over", what}:
            raise
        return await _page(visit, team_id, refused=visit.words("rota.over_already"), status=error.status)
    return RedirectResponse(f"/rota/{team_id}?said={what}_ended", 303)


@router.post("/rota/{team_id}/overrides")
async def add_override(request: Request, visit: Changing, team_id: str) -> Response:
    """Somebody else, one more, or nobody, for once."""
    typed = await _typed(request)
    found = await rotas_of(visit).one(scope_of(visit, Action.CHANGE_PLANS), team_id)
    faults: dict[str, str] = {}
    told: dict[str, str] = {}
    begin = _instant(visit, found.rota.zone, typed, "begin", faults, told)
    end = _instant(visit, found.rota.zone, typed, "end", faults, told)
    if not typed["who"]:
        faults["who"] = "no_person"
    if begin is not None and end is not None and not faults:
        override = Override(
            id="",
            account=None if typed["who"] == NOBODY else meant(_pool(found), typed["who"]),
            instead_of=meant(_pool(found), typed["instead_of"]) if typed["instead_of"] else None,
            from_ms=begin,
            to_ms=end,
            why=typed["why"],
        )
        try:
            await rotas_of(visit).add_override(visit.actor, scope_of(visit, Action.CHANGE_PLANS), team_id, override)
        except IncompleteError as error:
            faults[{"to": "end", "from": "begin", "account": "who"}.get(error.field, error.field)] = error.reason
    return await _answer(visit, found, "override", faults, typed, told)


@router.post("/rota/{team_id}/overrides/{override_id}/end")
async def end_override(visit: Changing, team_id: str, override_id: str) -> Response:
    """Not from now on."""
    work = rotas_of(visit).end_override(visit.actor, scope_of(visit, Action.CHANGE_PLANS), team_id, override_id)
    return await _ended(visit, team_id, "override", work)


def _instant(
    visit: Visit, zone: ZoneInfo, typed: dict[str, Any], name: str, faults: dict[str, str], told: dict[str, str]
) -> int | None:
    day, minute = day_in(typed[f"{name}_day"]), minute_of(typed[f"{name}_time"])
    if day is None or minute is None:
        faults[name] = "bad_day_time"
        return None
    try:
        return calendar.chosen(zone, day, minute, second={"1": False, "2": True}.get(typed[f"{name}_second"]))
    except calendar.LocalTimeError as error:
        faults[name] = error.reason
        before, after = (clock_at(choice, zone) for choice in error.choices)
        values = {"time": typed[f"{name}_time"]}
        told[name] = (
            visit.words("try.twice", **values)
            if error.reason == "twice"
            else visit.words("try.no_such_time", **values, before=before, after=after)
        )
        typed[f"{name}_asks"] = error.reason == "twice"
        return None


async def _typed(request: Request) -> dict[str, Any]:
    form = await request.form()
    typed: dict[str, Any] = {}
    for name in _FIELDS:
        value = form.get(name, "")
        typed[name] = " ".join(value.replace("\x00", "").split())[:128] if isinstance(value, str) else ""
    typed["days"] = {int(day) for day in form.getlist("day") if day in {"0", "1", "2", "3", "4", "5", "6"}}
    return typed


async def _answer(
    visit: Visit,
    found: TeamRota,
    form: str,
    faults: Mapping[str, str],
    typed: Mapping[str, Any],
    told: Mapping[str, str] | None = None,
) -> Response:
    team_id = found.team.id
    if not faults:
        return RedirectResponse(f"/rota/{team_id}?said={form}", 303)
    said = {field: visit.words(f"rotafault.{reason}") for field, reason in faults.items() if field not in (told or {})}
    for name in _WHO:
        if faults.get(name) == "no_person":
            said[name] = not_found_text(visit, _seek(visit, found, name, typed[name]), said[name])
    return await _page(visit, team_id, faults=said | dict(told or {}), typed=typed, form=form, status=422)
