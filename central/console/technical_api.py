"""The JSON API of technical duty: area incidents, closing faults together, announced work and absence."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.api import PROBLEMS
from central.console.api_base import In, Out
from central.console.api_models import DutyContactOut, contact_out
from central.console.gate import Needs, Visit
from central.console.roles import Action
from central.technical.calls import CallMade, OpenCallOut, open_call_outs, seen_teams
from central.technical.duty import duty_book
from central.technical.incidents import Incident
from central.technical.looking import PAGE, children
from central.technical.maintenance import Period, Reach, Sort
from central.views import AlarmView, Legible

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["technical"])
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_QUEUE))]
Mending = Annotated[Visit, Depends(Needs(Action.KEEP_TECHNICAL))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5f0c2a9be1d34477"])]
Id = Annotated[str, Field(pattern="^[0-9a-f]{16}$", examples=["5f0c2a9be1d34477"])]
Outcome = Annotated[str, Field(max_length=32, examples=["power_restored"])]
Instant = Annotated[int, Field(ge=0, le=4_102_444_800_000, examples=[1795226400000])]


class IncidentOut(Out):
    """Many technical alarms of one area, operator or firmware at once. `critical`: how many at critical residents."""

    id: str
    cell: str = Field(examples=["unit"])
    kind: str = Field(examples=["hub_silent"])
    place: str
    tenant: str | None
    unit: str | None
    state: str
    count: int
    critical: int
    still_open: int
    opened_ms: int
    last_ms: int
    ended_ms: int | None
    owner_name: str | None
    is_mine: bool
    note: str
    """Of one incident; lists have no notes."""
    words: Legible
    outcome: str | None
    closed_ms: int | None
    version: int

    @classmethod
    def of(cls, found: Incident, account: str) -> IncidentOut:
        """As somebody sees it."""
        same = set(cls.model_fields) - {"cell", "is_mine", "note"}
        return cls(
            cell=found.cell.dimension.name.lower(),
            is_mine=found.is_open and found.owner == account,
            note=found.note or "",
            **{name: getattr(found, name) for name in same},
        )


class FoldedOut(Out):
    """An alarm that is folded into an incident."""

    id: str
    kind: str
    rank: int
    hub: str
    closed_ms: int | None

    @classmethod
    def of(cls, alarm: AlarmView) -> FoldedOut:
        """As kept."""
        return cls(id=alarm.id, kind=alarm.kind.word, rank=alarm.rank, hub=alarm.hub, closed_ms=alarm.closed_ms)


class IncidentDetailOut(Out):
    """An incident and the alarms in it, those at critical residents first, and whom to call about it."""

    incident: IncidentOut
    alarms: list[FoldedOut]
    contact: DutyContactOut | None


class CallMadeOut(Out):
    """Somebody who was called in the present round; without a name it was the team's own telephone."""

    channel: str = Field(examples=["sms"])
    name: str
    state: str = Field(examples=["delivered"])
    made_ms: int
    answer: str | None = Field(examples=["no"])

    @classmethod
    def of(cls, call: CallMade) -> CallMadeOut:
        """As kept."""
        return cls(**{name: getattr(call, name) for name in cls.model_fields})


class CallOutOut(Out):
    """Technicians are being called for faults that cannot wait. `unanswered_ms`: since when all were called in vain."""

    team: str
    state: str = Field(examples=["running"])
    began_ms: int
    unanswered_ms: int | None
    answered_ms: int | None
    answered_name: str | None
    calls: list[CallMadeOut]

    @classmethod
    def of(cls, found: OpenCallOut) -> CallOutOut:
        """As it stands."""
        same = set(cls.model_fields) - {"calls"}
        return cls(
            calls=[CallMadeOut.of(one) for one in found.calls], **{name: getattr(found.row, name) for name in same}
        )


class TechnicalDutyOut(Out):
    """Every technical team that is seen, with who is on duty now; and the call-outs that are not over."""

    teams: list[DutyContactOut]
    call_outs: list[CallOutOut]


class NoteBody(In):
    """What is known. `version` is the one it was written over."""

    note: Annotated[str, Field(max_length=4000, examples=["Netteier er ringt, forventer strøm 14:00"])]
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class OverBody(In):
    """It is over, and what it was. `version` is the one that was looked at."""

    outcome: Outcome
    note: Annotated[str, Field(max_length=4000)] = ""
    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class TogetherBody(In):
    """Technical alarms that are closed with one outcome. Nothing personal is ever closed so."""

    alarms: Annotated[list[Id], Field(min_length=1, max_length=500)]
    outcome: Outcome


class TogetherOut(Out):
    """How many were closed; others were personal, in an incident, or closed already."""

    closed: int


class PeriodBody(In):
    """Work that is announced, or somebody away. Technical alarms of the place are quiet until then."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"reach": "hub", "ref": "Solbakken 214", "to_ms": 1795230000000, "why": "bytter ruter"}
        },
    )

    reach: Reach
    ref: Annotated[str, Field(min_length=1, max_length=280)]
    sort: Sort = Sort.MAINTENANCE
    from_ms: Instant | None = None
    """Left out: from now on."""
    to_ms: Instant
    why: Annotated[str, Field(min_length=1, max_length=128)]


class PeriodOut(Out):
    """What is announced. `quiet`: how many alarms wait quietly for its end."""

    id: str
    reach: Reach
    ref: str
    sort: Sort
    from_ms: int
    to_ms: int
    why: str
    written_name: str
    ended_ms: int | None
    tenant: str | None
    unit: str | None
    quiet: int
    words: Legible
    """What became of `why`: of a home it is sealed, and may have been erased."""

    @classmethod
    def of(cls, period: Period) -> PeriodOut:
        """As kept."""
        return cls(**{name: getattr(period, name) for name in cls.model_fields})


def _out(visit: Visit, found: Incident) -> IncidentOut:
    return IncidentOut.of(found, visit.who.account.id)


@router.get("/incidents")
async def incidents(visit: Seeing, *, closed: bool = False) -> list[IncidentOut]:
    """Those that are open, with critical residents first; `closed`: those of the last day instead."""
    kept, scope = visit.desk.services.incidents, visit.scope_for(Action.SEE_QUEUE)
    found = await (kept.closed(scope, limit=100) if closed else kept.open(scope))
    return [_out(visit, one) for one in found]


@router.get("/incidents/{incident_id}")
async def incident(
    visit: Seeing, incident_id: Ref, page: Annotated[int, Query(ge=1, le=10_000)] = 1
) -> IncidentDetailOut:
    """One of them, and a page of what is folded into it."""
    services, scope = visit.desk.services, visit.scope_for(Action.SEE_QUEUE)
    found = await services.incidents.one(incident_id, scope)
    rows = await children(services.store, scope, incident_id, offset=(page - 1) * PAGE)
    folded = [FoldedOut.of(row.alarm) for row in rows]
    book = await services.store.fetch(lambda connection: duty_book(connection, visit.now_ms()))
    contact = contact_out(book.of(found.tenant, found.unit))
    return IncidentDetailOut(incident=_out(visit, found), alarms=folded, contact=contact)


@router.post("/incidents/{incident_id}/claim")
async def claim(visit: Mending, incident_id: Ref) -> IncidentOut:
    """Answer for it; 409 with who has it."""
    scope = visit.scope_for(Action.KEEP_TECHNICAL)
    return _out(visit, await visit.desk.services.incidents.claim(incident_id, visit.actor, scope))


@router.post("/incidents/{incident_id}/release")
async def release(visit: Mending, incident_id: Ref) -> IncidentOut:
    """Give it back."""
    scope = visit.scope_for(Action.KEEP_TECHNICAL)
    return _out(visit, await visit.desk.services.incidents.release(incident_id, visit.actor, scope))


@router.put("/incidents/{incident_id}/note")
async def note(visit: Mending, incident_id: Ref, body: NoteBody) -> IncidentOut:
    """What is known and who was called; 409 with both texts when somebody wrote since `version`."""
    scope = visit.scope_for(Action.KEEP_TECHNICAL)
    kept = visit.desk.services.incidents
    return _out(visit, await kept.note(incident_id, visit.actor, scope, body.note, version=body.version))


@router.post("/incidents/{incident_id}/close")
async def close(visit: Mending, incident_id: Ref, body: OverBody) -> IncidentOut:
    """It is over: what is still open under it is closed with the same outcome.

    409 when somebody wrote since `version`, or more alarms have come.
    """
    scope = visit.scope_for(Action.KEEP_TECHNICAL)
    kept = visit.desk.services.incidents
    return _out(visit, await kept.close(incident_id, visit.actor, scope, body.outcome, body.note, version=body.version))


@router.post("/technical/close")
async def close_together(visit: Mending, body: TogetherBody) -> TogetherOut:
    """Close technical alarms together."""
    scope = visit.scope_for(Action.KEEP_TECHNICAL)
    closed = await visit.desk.services.incidents.close_together(body.alarms, visit.actor, scope, body.outcome)
    return TogetherOut(closed=closed)


@router.get("/technical/duty")
async def technical_duty(visit: Seeing) -> TechnicalDutyOut:
    """Whom to call about what: who is on technical duty now, and who is being called out."""
    scope, now = visit.scope_for(Action.SEE_QUEUE), visit.now_ms()

    async def look(connection: AsyncConnection) -> TechnicalDutyOut:
        teams = seen_teams(await duty_book(connection, now), scope).values()
        return TechnicalDutyOut(
            teams=[DutyContactOut.of(one) for one in sorted(teams, key=lambda one: one.name.casefold())],
            call_outs=[CallOutOut.of(one) for one in await open_call_outs(connection, scope, now)],
        )

    return await visit.desk.services.store.fetch(look)


@router.get("/maintenance")
async def maintenance(visit: Seeing) -> list[PeriodOut]:
    """What runs or is to come, and what ended within a day."""
    found = await visit.desk.services.maintenance.all(visit.scope_for(Action.SEE_QUEUE))
    return [PeriodOut.of(one) for one in found]


@router.post("/maintenance", status_code=201)
async def announce(visit: Mending, body: PeriodBody) -> PeriodOut:
    """Announce work or absence, always with an end."""
    made = await visit.desk.services.maintenance.announce(
        visit.actor, visit.scope_for(Action.KEEP_TECHNICAL), reach=body.reach, ref=body.ref, sort=body.sort,
        from_ms=body.from_ms, to_ms=body.to_ms, why=body.why,
    )  # fmt: skip
    return PeriodOut.of(made)


@router.post("/maintenance/{period_id}/end", status_code=204)
async def end(visit: Mending, period_id: Ref) -> None:
    """Over now: what it kept quiet comes back."""
    await visit.desk.services.maintenance.end(period_id, visit.actor, visit.scope_for(Action.KEEP_TECHNICAL))
