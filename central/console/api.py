"""The JSON API: what the pages' scripts, the demo and other programs of the municipality use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from central.console.accounts import LinkGoneError
from central.console.act_models import AlarmDetailOut, VersionBody
from central.console.alarm_page import check_leads, check_may_see, read_for
from central.console.api_models import (
    AlarmOut,
    AlarmsOut,
    CheckOut,
    CloseBody,
    DutyBody,
    DutyOut,
    HealthOut,
    HubDetailOut,
    HubOut,
    HubsOut,
    NextBody,
    Problem,
    SessionOut,
    ShownBody,
    SignInBody,
    TakenOut,
    contact_out,
)
from central.console.door import address_of, let_in, log_act
from central.console.elsewhere import cover_seen, hub_seen, visit_for
from central.console.gate import ForbiddenError, Needs, Open, Visit
from central.console.pieces import LIMIT, After, Limit, piece
from central.console.roles import Action
from central.console.taking_duty import covers_house, teams_to_take
from central.errors import IncompleteError
from central.health import HISTORY, compare, to_plain
from central.lifecycle import Queue
from central.technical.calls import contact_of_hub
from central.technical.duty import duty_book

PROBLEMS: Mapping[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {"application/problem+json": {}}, "description": text}
    for status, text in (
        (401, "Nobody is signed in."),
        (403, "The role does not cover this."),
        (404, "There is no such thing."),
        (409, "Somebody else was first; `holder` says who."),
        (419, "The CSRF token is missing or belongs to another session."),
        (422, "Something is missing or not one of the choices."),
    )
}
router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS))

Anybody = Annotated[Visit, Depends(Open())]
SignedIn = Annotated[Visit, Depends(Needs(Action.SIGNED_IN))]
Seeing = Annotated[Visit, Depends(Needs(Action.SEE_QUEUE))]
Handling = Annotated[Visit, Depends(Needs(Action.HANDLE_ALARMS))]
SeeingHubs = Annotated[Visit, Depends(Needs(Action.SEE_HUBS))]
Checking = Annotated[Visit, Depends(Needs(Action.RUN_CHECKS))]
AlarmId = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]
HubId = Annotated[str, Path(max_length=64)]


@router.post("/session", tags=["session"], responses={429: {"model": Problem, "description": "Too many attempts."}})
async def sign_in(request: Request, response: Response, visit: Anybody, body: SignInBody) -> SessionOut:
    """Sign in. The session is in an HttpOnly cookie."""
    address = address_of(request)
    if body.link:
        visit.desk.signin.check_address(address)
        try:
            account = await visit.desk.accounts.redeem_link(body.link)
        except LinkGoneError:
            visit.desk.signin.link_failed(address)
            raise
    else:
        account = await visit.desk.signin.by_password(body.name, body.password, address)
    token = await let_in(visit, request, response, account)
    session = await visit.desk.sessions.find(token)
    return _session_out(await visit_for(visit, session))


@router.get("/session", tags=["session"])
async def session(visit: SignedIn) -> SessionOut:
    """Who is signed in."""
    return _session_out(visit)


@router.delete("/session", tags=["session"], status_code=204)
async def sign_out(visit: SignedIn) -> Response:
    """Sign out."""
    await visit.desk.sessions.end(visit.who)
    await log_act(visit, "signed_out", visit.actor)
    response = Response(status_code=204)
    response.delete_cookie(visit.desk.session_cookie, path="/", secure=visit.desk.is_https, samesite="strict")
    return response


def _session_out(visit: Visit) -> SessionOut:
    account = visit.who.account
    return SessionOut(
        account=account.id,
        name=account.name,
        role=account.role.value,
        language=visit.words.language,
        csrf=visit.who.csrf,
        expires_ms=visit.who.expires_ms,
        may=[action.value for action in Action if visit.may(action)],
    )


@router.get("/alarms", tags=["alarms"])
async def alarms(visit: Seeing, queue: Annotated[Queue | None, Query()] = None) -> AlarmsOut:
    """The open alarms of a queue."""
    wanted = queue or (Queue.PERSONAL if visit.may(Action.PERSONAL) else Queue.TECHNICAL)
    if wanted is not Queue.TECHNICAL and not visit.may(Action.PERSONAL):
        raise ForbiddenError("role", visit.who.account.role)
    feed_no = await visit.desk.services.feed.now()
    seen = visit.scope_for(Action.SEE_QUEUE if wanted is Queue.TECHNICAL else Action.PERSONAL)
    found = await visit.desk.services.alarms.queue(wanted, scope=seen)
    return AlarmsOut(feed_no=feed_no, alarms=[AlarmOut.of(alarm, visit.who.account.id) for alarm in found])


@router.post("/alarms/next", tags=["alarms"])
async def take_next(visit: Handling, body: NextBody | None = None) -> TakenOut:
    """Take the most urgent alarm that waits. Central picks, so nobody races for a row."""
    wanted = Queue(body.queue) if body and visit.may(Action.PERSONAL) else None
    queue = wanted or (Queue.PERSONAL if visit.may(Action.PERSONAL) else Queue.TECHNICAL)
    seen = visit.scope_for(Action.HANDLE_ALARMS if queue is Queue.TECHNICAL else Action.PERSONAL)
    taken = await visit.desk.services.alarms.take_next(visit.actor, queue, scope=seen)
    return TakenOut(alarm=None if taken is None else AlarmOut.of(taken, visit.who.account.id))


@router.get("/alarms/{alarm_id}", tags=["alarms"])
async def alarm(visit: Seeing, alarm_id: AlarmId) -> AlarmDetailOut:
    """One alarm with its words, its history, its journey. Who reads the words stands in the resident's access log."""
    services = visit.desk.services
    detail = await read_for(visit, alarm_id)
    found = AlarmDetailOut.of(detail, await services.alarms.journey(alarm_id), visit.who.account.id)
    if detail.alarm.queue is not Queue.TECHNICAL:
        return found
    book = await services.store.fetch(lambda connection: duty_book(connection, visit.now_ms()))
    contact = contact_out(book.of(detail.alarm.tenant, detail.alarm.unit))
    return found.model_copy(update={"contact": contact})


async def _handled(visit: Visit, alarm_id: str) -> None:
    check_may_see(visit, (await visit.desk.services.alarms.alarm(alarm_id)).alarm)


@router.post("/alarms/{alarm_id}/claim", tags=["alarms"])
async def claim(visit: Handling, alarm_id: AlarmId) -> AlarmOut:
    """Take it."""
    await _handled(visit, alarm_id)
    return AlarmOut.of(await visit.desk.services.alarms.claim(alarm_id, visit.actor), visit.who.account.id)


@router.post("/alarms/{alarm_id}/release", tags=["alarms"])
async def release(visit: Handling, alarm_id: AlarmId, body: VersionBody | None = None) -> AlarmOut:
    """Give it back to the queue. Who was sent is called off."""
    await _handled(visit, alarm_id)
    version = body.version if body else None
    released = await visit.desk.services.alarms.release(alarm_id, visit.actor, version=version)
    return AlarmOut.of(released, visit.who.account.id)


@router.post("/alarms/{alarm_id}/on-the-way", tags=["alarms"])
async def on_the_way(visit: Handling, alarm_id: AlarmId, body: VersionBody | None = None) -> AlarmOut:
    """Whoever has the alarm, or accepted to go, is on the way; the lamp at home says so."""
    await _handled(visit, alarm_id)
    version = body.version if body else None
    going = await visit.desk.services.alarms.on_the_way(alarm_id, visit.actor, version=version)
    return AlarmOut.of(going, visit.who.account.id)


@router.post("/alarms/{alarm_id}/renew", tags=["alarms"])
async def renew(visit: Handling, alarm_id: AlarmId) -> AlarmOut:
    """The page of the one who has it is still open: the lease starts again."""
    await _handled(visit, alarm_id)
    return AlarmOut.of(await visit.desk.services.alarms.renew(alarm_id, visit.actor), visit.who.account.id)


@router.post("/alarms/{alarm_id}/close", tags=["alarms"])
async def close(visit: Handling, alarm_id: AlarmId, body: CloseBody) -> AlarmOut:
    """Record what was done and what it was."""
    await _handled(visit, alarm_id)
    if body.override:
        check_leads(visit, (await visit.desk.services.alarms.alarm(alarm_id)).alarm)
    for field in ("disposition", "outcome"):
        if not getattr(body, field):
            raise IncompleteError("missing", field)
    closed = await visit.desk.services.alarms.close(
        alarm_id,
        visit.actor,
        body.disposition,
        body.outcome,
        body.note.strip(),
        kind_of_help=body.kind_of_help,
        visit=body.visit,
        criterion=body.criterion,
        override=body.override.strip(),
        version=body.version,
    )
    return AlarmOut.of(closed, visit.who.account.id)


@router.post("/alarms/{alarm_id}/undo", tags=["alarms"])
async def undo(visit: Handling, alarm_id: AlarmId) -> AlarmOut:
    """Take back one's own act of the last ten seconds."""
    await _handled(visit, alarm_id)
    return AlarmOut.of(await visit.desk.services.alarms.undo(alarm_id, visit.actor), visit.who.account.id)


@router.post("/alarms/{alarm_id}/shown", tags=["alarms"], status_code=204)
async def shown(visit: Seeing, alarm_id: AlarmId, body: ShownBody) -> None:
    """It is on a screen, in a window that is in view."""
    await _handled(visit, alarm_id)
    await visit.desk.services.alarms.mark_shown(alarm_id, body.console, visit.who.account.id)


@router.post("/duty", tags=["duty"], status_code=204)
async def duty(visit: Handling, body: DutyBody) -> None:
    """Somebody went on or off duty at a console. It counts for 15 s; its open stream renews it."""
    account, keeper = visit.who.account.id, visit.desk.services.duty
    teams, covers = body.teams, body.has_sound
    if body.has_sound:
        known = tuple(team.id for team in await teams_to_take(visit))
        if teams is not None and not teams and known:
            raise IncompleteError("no_team", "teams", known)
        if not set(teams or ()) <= set(known):
            raise IncompleteError("team_unknown", "teams", known)
        teams = teams or list(known)
        # Whoever would hear nothing of an alarm does not count as somebody who hears it.
        covers = bool(known) or await covers_house(visit)
    visit.desk.onlookers.set_sound(body.console, account, has_sound=body.has_sound)
    await keeper.set(account, body.console, has_sound=covers, teams=teams)


@router.get("/duty", tags=["duty"])
async def who_is_on_duty(visit: Seeing) -> DutyOut:
    """Who is on duty for which team, and whether anybody would hear an alarm."""
    return DutyOut.of(await cover_seen(visit))


@router.get("/hubs", tags=["hubs"])
async def hubs(visit: SeeingHubs, after: After = "", limit: Limit = LIMIT) -> HubsOut:
    """Every hub, a piece at a time."""
    kept = visit.desk.services.hubs
    seen = sorted(await kept.listed(visit.scope_for(Action.SEE_HUBS)), key=lambda hub: hub.id)
    found, more = piece(seen, after, limit)
    return HubsOut(hubs=[HubOut.of(hub) for hub in await kept.some([hub.id for hub in found])], next=more)


@router.get("/hubs/{hub_id}", tags=["hubs"])
async def hub(visit: SeeingHubs, hub_id: HubId) -> HubDetailOut:
    """One hub, by id or label, and whom to call about it."""
    found = await hub_seen(visit, hub_id, Action.SEE_HUBS)
    contact = await visit.desk.services.store.fetch(
        lambda connection: contact_of_hub(connection, found.id, visit.now_ms())
    )
    return HubDetailOut(contact=contact_out(contact), **HubOut.of(found).model_dump())


@router.get("/hubs/{hub_id}/checks", tags=["hubs"])
async def checks(visit: SeeingHubs, hub_id: HubId) -> list[CheckOut]:
    """Its health checks, newest first."""
    found = await hub_seen(visit, hub_id, Action.SEE_HUBS)
    return [CheckOut.of(check) for check in await visit.desk.services.commands.checks(found.id)]


@router.post("/hubs/{hub_id}/checks", tags=["hubs"])
async def run_check(visit: Checking, hub_id: HubId) -> HealthOut:
    """Run one now, wait some seconds for the hub, and tell the result beside the last one."""
    found = await hub_seen(visit, hub_id, Action.RUN_CHECKS)
    commands = visit.desk.services.commands
    await commands.check(found.id, visit.actor)
    kept = await commands.checks(found.id, limit=HISTORY)
    return HealthOut.model_validate(to_plain(compare(kept), hub=found.id, label=found.label))


@router.get("/metrics", tags=["operation"])
async def metrics(visit: Annotated[Visit, Depends(Needs(Action.SEE_HUBS, everywhere=True))]) -> dict[str, Any]:
    """Counters since start, without personal data."""
    return visit.desk.services.metrics.snapshot()
