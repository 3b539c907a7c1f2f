"""The JSON API of response plans and duty rotas."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import ConfigDict, Field

from central.console.api import PROBLEMS
from central.console.api_base import In, Out
from central.console.gate import Needs, Visit
from central.console.pieces import LIMIT, After, Limit, piece
from central.console.plan_preview import plans_of
from central.console.problems import problem
from central.console.roles import Action
from central.console.rota_pages import rota_read, rotas_of
from central.routing.checking import InvalidPlanError
from central.routing.duty import DAY_MS, WARN_DAYS, TeamRota
from central.routing.plan import Plan
from central.routing.rota import Override, Shift
from central.routing.store import PlanRow
from central.routing.teams import team_names
from central.routing.trying import try_out
from central.routing.words import in_words

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS))
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_PLANS))]
Reading = Annotated[Visit, Depends(Needs(Action.SEE_ROTAS))]
Changing = Annotated[Visit, Depends(Needs(Action.CHANGE_PLANS))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
Account = Annotated[str, Field(min_length=1, max_length=32)]
Instant = Annotated[int, Field(ge=0, le=4_102_444_800_000)]

_PLAN: dict[str, Any] = {
    "name": "Night and day",
    "variants": [
        {
            "name": "Night",
            "hours": [{"days": [0, 1, 2, 3, 4, 5, 6], "begin": 1320, "to": 420}],
            "steps": [{"receiver": "centres", "channels": ["console", "sms"], "patience_s": 60}],
        },
        {"name": "Else", "steps": [{"receiver": "centres", "channels": ["console"], "patience_s": 60}]},
    ],
}


class PlanBody(In):
    """A plan to be written. `version` is the one it was made from, and is left out for a new plan."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"service": "TA", "plan": _PLAN}})

    plan: Plan
    tenant: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    service: Annotated[str, Field(max_length=16)] | None = None
    """A service's code, `*` for the default of all, or none: only where a resident's service names the plan."""
    why: Annotated[str, Field(max_length=256)] = ""
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None


class PlansOut(Out):
    """A piece of the plans. Ask on with `next` as `after`."""

    plans: list[PlanOut]
    next: str | None


class PlanOut(Out):
    """A plan as it stands, and in words."""

    id: str | None
    version: int | None
    tenant: str | None
    service: str | None
    state: str
    zone: str
    why: str
    written_ms: int
    plan: Plan
    words: list[str]


class TriedStepOut(Out):
    """One step of a trial."""

    no: int
    at_ms: int
    teams: list[str]
    on_duty: list[str]
    is_uncovered: bool


class TriedOut(Out):
    """Who would be asked when. Nothing was sent."""

    variant: str
    at_ms: int
    again_ms: int
    steps: list[TriedStepOut]


class ShiftBody(In):
    """Somebody every week. Without `account` whoever answers the duty telephone."""

    account: Account | None = None
    weekdays: Annotated[list[Annotated[int, Field(ge=0, le=6)]], Field(min_length=1, max_length=7)]
    from_minute: Annotated[int, Field(ge=0, le=1439)]
    to_minute: Annotated[int, Field(ge=0, le=1440)]
    from_day: date
    to_day: date | None = None


class OverrideBody(In):
    """An exception. Without `account` nobody; without `instead_of` in addition."""

    account: Account | None = None
    instead_of: Account | None = None
    from_ms: Instant
    to_ms: Instant
    why: Annotated[str, Field(max_length=128)] = ""


class MadeOut(Out):
    """The id of what was made."""

    id: str


class SpellOut(Out):
    """Somebody on duty without a break."""

    from_ms: int
    to_ms: int
    account: str | None
    name: str


class SpanOut(Out):
    """From one instant to another."""

    from_ms: int
    to_ms: int


class RotaOut(Out):
    """A team's rota for the days to come. Without shifts it keeps none, and has no gaps."""

    team: str
    name: str
    zone: str
    is_kept: bool
    on_now: list[SpellOut]
    spells: list[SpellOut]
    gaps: list[SpanOut]


async def _plan_out(visit: Visit, rows: Sequence[PlanRow]) -> list[PlanOut]:
    names = await visit.desk.services.store.fetch(team_names)
    return [
        PlanOut(
            id=row.id,
            version=row.version,
            tenant=row.tenant,
            service=row.service,
            state=row.state,
            zone=row.zone,
            why=row.why,
            written_ms=row.written_ms,
            plan=row.plan,
            words=in_words(row.plan, names, visit.words),
        )
        for row in rows
    ]


@router.get("/plans", tags=["plans"])
async def plans(visit: Seeing, after: After = "", limit: Limit = LIMIT) -> PlansOut:
    """All plans that hold now, a piece at a time."""
    found, more = piece(await plans_of(visit).listed(visit.scope_for(Action.SEE_PLANS)), after, limit)
    return PlansOut(plans=await _plan_out(visit, await plans_of(visit).some([one.id for one in found])), next=more)


@router.get("/plans/{plan_id}", tags=["plans"])
async def plan(visit: Seeing, plan_id: Ref) -> list[PlanOut]:
    """All versions of a plan, the newest first."""
    return await _plan_out(visit, await plans_of(visit).versions(plan_id, visit.scope_for(Action.SEE_PLANS)))


@router.post("/plans", tags=["plans"], status_code=201, response_model=PlanOut)
async def write_plan(request: Request, visit: Changing, body: PlanBody) -> PlanOut | Response:
    """A new plan."""
    return await _write(request, visit, body, None)


@router.put("/plans/{plan_id}", tags=["plans"], response_model=PlanOut)
async def change_plan(request: Request, visit: Changing, plan_id: Ref, body: PlanBody) -> PlanOut | Response:
    """A new version of a plan; 409 with both sides when somebody has written one meanwhile."""
    return await _write(request, visit, body, (plan_id, body.version or 0))


async def _write(
    request: Request, visit: Visit, body: PlanBody, replaces: tuple[str, int] | None
) -> PlanOut | Response:
    try:
        row = await plans_of(visit).write(
            visit.actor,
            visit.scope_for(Action.CHANGE_PLANS),
            body.plan,
            tenant=body.tenant,
            service=body.service,
            why=body.why,
            replaces=replaces,
        )
    except InvalidPlanError as error:
        faults = [
            {
                "where": fault.where,
                "reason": fault.reason,
                "text": visit.words(f"planfault.{fault.reason}", **fault.values),
            }
            for fault in error.faults
        ]
        return problem(request, 422, error.reason, error.detail, field=error.field, faults=faults)
    return (await _plan_out(visit, [row]))[0]


@router.delete("/plans/{plan_id}", tags=["plans"], status_code=204)
async def end_plan(visit: Changing, plan_id: Ref, version: Annotated[int, Query(ge=1, le=2**31 - 1)]) -> None:
    """Not used any more; kept for history."""
    await plans_of(visit).end(visit.actor, visit.scope_for(Action.CHANGE_PLANS), (plan_id, version))


@router.get("/plans/{plan_id}/trial", tags=["plans"])
async def trial(
    visit: Seeing, plan_id: Ref, at_ms: Annotated[int, Query(ge=946_684_800_000, le=4_102_444_800_000)]
) -> TriedOut:
    """Who would be asked when, if an alarm were raised at an instant and nobody answered."""
    row = await plans_of(visit).one(plan_id, visit.scope_for(Action.SEE_PLANS))
    now = visit.now_ms()
    found = await visit.desk.services.store.fetch(
        lambda connection: try_out(connection, row.plan, tenant=row.tenant, zone=row.zone, at_ms=at_ms, now_ms=now)
    )
    return TriedOut(
        variant=found.variant.name,
        at_ms=found.at_ms,
        again_ms=found.ends_ms,
        steps=[
            TriedStepOut(
                no=step.no,
                at_ms=step.at_ms,
                teams=[one.team.id for one in step.asked],
                on_duty=[who for one in step.asked for who in one.by_rota or () if who is not None],
                is_uncovered=step.is_uncovered,
            )
            for step in found.steps
        ],
    )


@router.get("/teams/{team_id}/rota", tags=["rotas"])
async def rota(visit: Reading, team_id: Ref, days: Annotated[int, Query(ge=1, le=62)] = WARN_DAYS) -> RotaOut:
    """Who is on duty now and in the days to come, and where nobody is to be."""
    found = await rota_read(visit, team_id)
    return _rota_out(visit, found, days)


def _rota_out(visit: Visit, found: TeamRota, days: int) -> RotaOut:
    now = visit.now_ms()

    def spells(begin: int, end: int) -> list[SpellOut]:
        return [
            SpellOut(
                from_ms=spell.from_ms,
                to_ms=spell.to_ms,
                account=spell.account,
                name=found.names.get(spell.account or "", visit.words("rota.phone")),
            )
            for spell in found.rota.spells(begin, end)
        ]

    return RotaOut(
        team=found.team.id,
        name=found.team.name,
        zone=found.rota.zone.key,
        is_kept=found.rota.is_kept,
        on_now=spells(now, now + 1),
        spells=spells(now, now + days * DAY_MS),
        gaps=[SpanOut(from_ms=gap.from_ms, to_ms=gap.to_ms) for gap in found.rota.gaps(now, now + days * DAY_MS)],
    )


@router.post("/teams/{team_id}/rota/shifts", tags=["rotas"], status_code=201)
async def add_shift(visit: Changing, team_id: Ref, body: ShiftBody) -> MadeOut:
    """A shift of every week."""
    shift = Shift(
        id="",
        account=body.account,
        weekdays=frozenset(body.weekdays),
        from_minute=body.from_minute,
        to_minute=body.to_minute,
        from_day=_within(body.from_day),
        to_day=body.to_day and _within(body.to_day),
    )
    scope = visit.scope_for(Action.CHANGE_PLANS)
    return MadeOut(id=await rotas_of(visit).add_shift(visit.actor, scope, team_id, shift))


@router.delete("/teams/{team_id}/rota/shifts/{shift_id}", tags=["rotas"], status_code=204)
async def end_shift(visit: Changing, team_id: Ref, shift_id: Ref) -> None:
    """Not held from today on; 409 when it is over already, 404 when it was taken out before it began."""
    await rotas_of(visit).end_shift(visit.actor, visit.scope_for(Action.CHANGE_PLANS), team_id, shift_id)


@router.post("/teams/{team_id}/rota/overrides", tags=["rotas"], status_code=201)
async def add_override(visit: Changing, team_id: Ref, body: OverrideBody) -> MadeOut:
    """An exception."""
    override = Override(
        id="",
        account=body.account,
        instead_of=body.instead_of,
        from_ms=body.from_ms,
        to_ms=body.to_ms,
        why=body.why,
    )
    scope = visit.scope_for(Action.CHANGE_PLANS)
    return MadeOut(id=await rotas_of(visit).add_override(visit.actor, scope, team_id, override))


@router.delete("/teams/{team_id}/rota/overrides/{override_id}", tags=["rotas"], status_code=204)
async def end_override(visit: Changing, team_id: Ref, override_id: Ref) -> None:
    """Does not hold from now on; 404 when somebody else has ended it."""
    await rotas_of(visit).end_override(visit.actor, visit.scope_for(Action.CHANGE_PLANS), team_id, override_id)


def _within(day: date) -> date:
    """A day of this century: what lies outside was mistyped, and calendars end."""
    first, last = date(2000, 1, 1), datetime(2099, 12, 31, tzinfo=UTC).date()
    return min(max(day, first), last)
