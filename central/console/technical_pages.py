"""The pages of technical duty: incidents first, faults by rank and age, announced work, and whom to call."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Form, Query, Response
from fastapi.responses import RedirectResponse

from central.access import ElsewhereError, Scope
from central.console.call_outs import call_out_lines
from central.console.elsewhere import note_elsewhere
from central.console.gate import Needs, Visit
from central.console.rendering import page
from central.console.roles import Action
from central.errors import Conflict, IncompleteError
from central.lifecycle import TECHNICAL_OUTCOMES
from central.people.tenants import units
from central.technical.duty import DutyBook, duty_book
from central.technical.looking import PAGE, children, fault_page
from central.technical.maintenance import Reach, Sort

router = APIRouter(include_in_schema=False)
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_QUEUE))]
Mending = Annotated[Visit, Depends(Needs(Action.KEEP_TECHNICAL))]
Number = Annotated[int, Query(alias="page", ge=1, le=10_000)]
Word = Annotated[str, Query(max_length=32)]
INCIDENTS_SHOWN = 50
_REASONS = {"closed": "technical.already_closed"}


def _scope(visit: Visit) -> Scope:
    return visit.scope_for(Action.SEE_QUEUE)


def _kept(visit: Visit) -> Scope:
    return visit.scope_for(Action.KEEP_TECHNICAL)


async def _duty(visit: Visit) -> DutyBook:
    return await visit.desk.services.store.fetch(lambda connection: duty_book(connection, visit.now_ms()))


def _pages(total: int) -> int:
    return max(1, -(-total // PAGE))


async def _technical(
    visit: Visit, kind: str = "", unit: str = "", number: int = 1, status: int = 200, **said: Any
) -> Response:
    services, scope = visit.desk.services, _scope(visit)
    shown = await fault_page(services.store, scope, kind=kind, unit=unit, offset=(number - 1) * PAGE)
    return page(
        visit,
        "technical.html",
        status,
        shown=shown,
        incidents=await services.incidents.open(scope, limit=INCIDENTS_SHOWN),
        closed=await services.incidents.closed(scope),
        duty=await _duty(visit),
        call_outs=await call_out_lines(visit, scope),
        kind=kind,
        unit=unit,
        number=number,
        pages=_pages(shown.total),
        outcomes=TECHNICAL_OUTCOMES,
        first=(number - 1) * PAGE,
        **({"fault": "", "done": ""} | said),
    )


@router.get("/technical")
async def technical(visit: Seeing, kind: Word = "", unit: Word = "", number: Number = 1) -> Response:
    """Everything that has to be mended. Raises IncompleteError for a kind or a unit that there is none of."""
    if kind and not visit.words.has(f"kind.{kind}"):
        raise IncompleteError("unknown_choice", "kind")
    if unit:
        found = await visit.desk.services.store.fetch(lambda connection: units(connection, _scope(visit)))
        if unit not in {one.id for one in found}:
            raise IncompleteError("unknown_choice", "unit")
    return await _technical(visit, kind, unit, number)


@router.post("/technical/close")
async def close_together(
    visit: Mending,
    alarm: Annotated[Sequence[str], Form(max_length=500)] = (),
    outcome: Annotated[str, Form(max_length=32)] = "",
) -> Response:
    """Close those that were ticked; never anything personal."""
    try:
        count = await visit.desk.services.incidents.close_together(alarm, visit.actor, _kept(visit), outcome)
    except IncompleteError as error:
        return await _technical(visit, status=error.status, fault=visit.words(f"technical.{error.reason}"))
    left = len(set(alarm)) - count
    done = visit.words.count("technical.closed", count)
    if left:
        done += " " + visit.words.count("technical.left", left)
    return await _technical(visit, done=done)


async def _incident(visit: Visit, incident_id: str, number: int = 1, status: int = 200, **said: Any) -> Response:
    services, scope = visit.desk.services, _scope(visit)
    found = await services.incidents.one(incident_id, scope)
    rows = await children(services.store, scope, incident_id, offset=(number - 1) * PAGE)
    return page(
        visit,
        "incident.html",
        status,
        incident=found,
        rows=rows,
        duty=(await _duty(visit)).of(found.tenant, found.unit),
        number=number,
        pages=_pages(found.count),
        outcomes=TECHNICAL_OUTCOMES,
        **({"fault": "", "typed": None, "chosen": ""} | said),
    )


@router.get("/technical/incidents/{incident_id}")
async def incident(visit: Seeing, incident_id: str, number: Number = 1) -> Response:
    """One incident and all that is folded into it."""
    return await _incident(visit, incident_id, number)


@router.post("/technical/incidents/{incident_id}/claim")
async def claim(visit: Mending, incident_id: str) -> Response:
    """Answer for it."""
    with contextlib.suppress(Conflict):  # the page that follows says who has it
        await visit.desk.services.incidents.claim(incident_id, visit.actor, _kept(visit))
    return RedirectResponse(f"/technical/incidents/{incident_id}", 303)


@router.post("/technical/incidents/{incident_id}/release")
async def release(visit: Mending, incident_id: str) -> Response:
    """Give it back."""
    with contextlib.suppress(Conflict):
        await visit.desk.services.incidents.release(incident_id, visit.actor, _kept(visit))
    return RedirectResponse(f"/technical/incidents/{incident_id}", 303)


@router.post("/technical/incidents/{incident_id}/note")
async def note(
    visit: Mending,
    incident_id: str,
    text: Annotated[str, Form(alias="note", max_length=5000)] = "",
    version: Annotated[int, Form(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    """What is known."""
    try:
        await visit.desk.services.incidents.note(incident_id, visit.actor, _kept(visit), text, version=version)
    except (Conflict, IncompleteError) as error:
        fault = visit.words(_REASONS.get(error.reason, f"technical.{error.reason}"))
        return await _incident(visit, incident_id, status=error.status, fault=fault, typed=text)
    return RedirectResponse(f"/technical/incidents/{incident_id}", 303)


@router.post("/technical/incidents/{incident_id}/close")
async def close(
    visit: Mending,
    incident_id: str,
    outcome: Annotated[str, Form(max_length=32)] = "",
    text: Annotated[str, Form(alias="note", max_length=5000)] = "",
    version: Annotated[int, Form(ge=0, le=2**31 - 1)] = 0,
) -> Response:
    """It is over."""
    kept = visit.desk.services.incidents
    try:
        await kept.close(incident_id, visit.actor, _kept(visit), outcome, text, version=version)
    except (Conflict, IncompleteError) as error:
        is_stale = error.reason == "written_meanwhile"
        fault = visit.words(
            "technical.changed_meanwhile" if is_stale else _REASONS.get(error.reason, f"technical.{error.reason}")
        )
        typed = text or None  # the form that closes has no note of its own: what is kept stands
        return await _incident(visit, incident_id, status=error.status, fault=fault, typed=typed, chosen=outcome)
    return RedirectResponse("/technical", 303)


# ── Announced work and absence ───────────────────────────────────────────────────────


async def _maintenance(visit: Visit, status: int = 200, **said: Any) -> Response:
    typed = {"reach": "", "ref": "", "sort": "", "from": "", "to": "", "why": ""} | said.pop("typed", {})
    known = {"fault": "", "field": "", "typed": typed} | said
    periods = await visit.desk.services.maintenance.all(_scope(visit))
    return page(visit, "maintenance.html", status, periods=periods, reaches=list(Reach), sorts=list(Sort), **known)


@router.get("/technical/maintenance")
async def maintenance(visit: Seeing, reach: Word = "", ref: Annotated[str, Query(max_length=280)] = "") -> Response:
    """What is announced."""
    return await _maintenance(visit, typed={"reach": reach, "ref": ref})


@router.post("/technical/maintenance")
async def announce(
    visit: Mending,
    reach: Annotated[str, Form(max_length=16)] = "",
    ref: Annotated[str, Form(max_length=280)] = "",
    sort: Annotated[str, Form(max_length=16)] = "maintenance",
    begins: Annotated[str, Form(alias="from", max_length=32)] = "",
    ends: Annotated[str, Form(alias="to", max_length=32)] = "",
    why: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Quiet until then."""
    typed = {"reach": reach, "ref": ref, "sort": sort, "from": begins, "to": ends, "why": why}
    zone = ZoneInfo(visit.desk.services.settings.time_zone)
    try:
        await visit.desk.services.maintenance.announce(
            visit.actor,
            _kept(visit),
            reach=reach,
            ref=ref,
            sort=sort,
            from_ms=_moment(begins, zone, "from") if begins else None,
            to_ms=_moment(ends, zone, "to"),
            why=why,
        )
    except IncompleteError as error:
        if isinstance(error, ElsewhereError):
            note_elsewhere(visit, error)
        fault = visit.words(f"maintenance.{error.reason}")
        return await _maintenance(visit, error.status, fault=fault, field=error.field, typed=typed)
    return RedirectResponse("/technical/maintenance", 303)


@router.post("/technical/maintenance/{period_id}/end")
async def end(visit: Mending, period_id: str) -> Response:
    """Over now."""
    await visit.desk.services.maintenance.end(period_id, visit.actor, _kept(visit))
    return RedirectResponse("/technical/maintenance", 303)


def _moment(text: str, zone: ZoneInfo, field: str) -> int:
    """A time of the local clock as a form gives it. Raises IncompleteError for one that the clock skips that night."""
    try:
        local = datetime.fromisoformat(text).replace(tzinfo=zone)
        at_ms = int(local.timestamp() * 1000)
        back = datetime.fromtimestamp(at_ms / 1000, zone)
    except (ValueError, OverflowError, OSError):
        raise IncompleteError("no_time", field) from None
    if back.replace(tzinfo=None) != local.replace(tzinfo=None):
        raise IncompleteError("time_skipped", field)
    if local.replace(fold=1).utcoffset() != local.replace(fold=0).utcoffset():
        raise IncompleteError("time_twice", field)
    return at_ms
