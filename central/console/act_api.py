"""The JSON API of what is done with an alarm beyond taking and closing it: hand over, defer, send somebody, call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from central.access import ElsewhereError
from central.console.act_models import (
    CallBody,
    ChoiceOut,
    ChoicesOut,
    DeferBody,
    DispatchBody,
    JudgeBody,
    NoteBody,
    OfferBody,
    OfferOut,
    SentOut,
    StepBody,
    StepWord,
    TakeOverBody,
    VersionBody,
    VisitOut,
)
from central.console.alarm_page import check_leads, check_may_see, leads
from central.console.api import PROBLEMS, AlarmId
from central.console.api_models import AlarmOut
from central.console.gate import Needs, Visit
from central.console.roles import Action
from central.errors import IncompleteError
from central.views import AlarmDetail, AlarmView

router = APIRouter(prefix="/api/v1", responses=dict(PROBLEMS), tags=["acts"])

Handling = Annotated[Visit, Depends(Needs(Action.HANDLE_ALARMS))]
Answering = Annotated[Visit, Depends(Needs(Action.PERSONAL))]
Overriding = Annotated[Visit, Depends(Needs(Action.OVERRIDE_CLAIM))]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{16}$")]


async def _seen(visit: Visit, alarm_id: str) -> AlarmDetail:
    detail = await visit.desk.services.alarms.alarm(alarm_id)
    check_may_see(visit, detail.alarm)
    return detail


@contextmanager
def _named(what: str, ref: str) -> Iterator[None]:
    """Whoever may not see the alarm learns nothing of it: only that what they named is not there."""
    try:
        yield
    except ElsewhereError:
        raise ElsewhereError(what, ref) from None


def _out(visit: Visit, alarm: AlarmView) -> AlarmOut:
    return AlarmOut.of(alarm, visit.who.account.id)


@router.get("/alarms/{alarm_id}/choices")
async def choices(visit: Handling, alarm_id: AlarmId) -> ChoicesOut:
    """Whom it can be handed to, who can be sent, which visits it can wait for."""
    await _seen(visit, alarm_id)
    alarms = visit.desk.services.alarms
    found = await alarms.choices(alarm_id, visit.actor)

    def named(group: str) -> list[ChoiceOut]:
        return [ChoiceOut(id=one.id, name=one.name) for one in getattr(found, group)]

    return ChoicesOut(
        patrols=named("patrols"),
        teams=named("teams"),
        people=named("people"),
        visits=[VisitOut.of(one) for one in await alarms.visits(alarm_id)],
    )


@router.post("/alarms/{alarm_id}/take-over")
async def take_over(visit: Overriding, alarm_id: AlarmId, body: TakeOverBody) -> AlarmOut:
    """A lead takes what somebody else has, and says why."""
    check_leads(visit, (await _seen(visit, alarm_id)).alarm)
    alarms = visit.desk.services.alarms
    return _out(visit, await alarms.take_over(alarm_id, visit.actor, body.reason, version=body.version))


@router.post("/alarms/{alarm_id}/offer")
async def offer(visit: Handling, alarm_id: AlarmId, body: OfferBody) -> OfferOut:
    """Offer it to a person or a team. It stays with who offers until somebody accepts."""
    await _seen(visit, alarm_id)
    made = await visit.desk.services.alarms.offer(
        alarm_id,
        visit.actor,
        to_account=body.to_account,
        to_team=body.to_team,
        note=body.note.strip(),
        version=body.version,
    )
    return OfferOut.of(made)


async def _offered(visit: Visit, offer_id: str) -> None:
    offer = await visit.desk.services.alarms.offered(offer_id)
    with _named("offer", offer_id):
        await _seen(visit, offer.alarm)


@router.post("/offers/{offer_id}/accept")
async def accept_offer(visit: Handling, offer_id: Ref) -> AlarmOut:
    """Take what is offered. Of many who accept, one gets it."""
    await _offered(visit, offer_id)
    return _out(visit, await visit.desk.services.alarms.accept_offer(offer_id, visit.actor))


@router.post("/offers/{offer_id}/decline")
async def decline_offer(visit: Handling, offer_id: Ref) -> AlarmOut:
    """No: its owner is told, and goes on having it."""
    await _offered(visit, offer_id)
    return _out(visit, await visit.desk.services.alarms.decline_offer(offer_id, visit.actor))


@router.post("/offers/{offer_id}/withdraw")
async def withdraw_offer(visit: Handling, offer_id: Ref) -> AlarmOut:
    """Keep it after all."""
    await _offered(visit, offer_id)
    return _out(visit, await visit.desk.services.alarms.withdraw(offer_id, visit.actor))


@router.post("/alarms/{alarm_id}/defer")
async def defer(visit: Answering, alarm_id: AlarmId, body: DeferBody) -> AlarmOut:
    """Let it wait for one planned visit. It comes back when that visit does not happen."""
    await _seen(visit, alarm_id)
    return _out(visit, await visit.desk.services.alarms.defer(alarm_id, visit.actor, body.visit, version=body.version))


@router.post("/alarms/{alarm_id}/dispatches")
async def dispatch(visit: Answering, alarm_id: AlarmId, body: DispatchBody) -> SentOut:
    """Send a patrol, or the staff of a ward."""
    await _seen(visit, alarm_id)
    alarms = visit.desk.services.alarms
    return SentOut.of(await alarms.dispatch(alarm_id, visit.actor, body.team, version=body.version))


@router.post("/dispatches/{dispatch_id}/{step}")
async def dispatch_step(visit: Answering, dispatch_id: Ref, step: StepWord, body: StepBody | None = None) -> SentOut:
    """The patrol says where it is, or who has the alarm says it for them."""
    alarms = visit.desk.services.alarms
    sent = await alarms.sent(dispatch_id)
    with _named("dispatch", dispatch_id):
        await _seen(visit, sent.alarm)
    said = body or StepBody(version=None)
    word = step.replace("-", "_")
    return SentOut.of(await alarms.dispatch_step(dispatch_id, visit.actor, word, said.reason, version=said.version))


@router.post("/alarms/{alarm_id}/on-site")
async def on_site(visit: Answering, alarm_id: AlarmId, body: VersionBody | None = None) -> AlarmOut:
    """Whoever has the alarm, or accepted to go, is with the person."""
    await _seen(visit, alarm_id)
    version = body.version if body else None
    return _out(visit, await visit.desk.services.alarms.on_site(alarm_id, visit.actor, version=version))


@router.post("/alarms/{alarm_id}/criterion")
async def judge(visit: Answering, alarm_id: AlarmId, body: JudgeBody) -> AlarmOut:
    """Say by which of the tenant's criteria it is judged. For who has it, or goes there."""
    await _seen(visit, alarm_id)
    judged = await visit.desk.services.alarms.judge(alarm_id, visit.actor, body.criterion, version=body.version)
    return _out(visit, judged)


@router.post("/alarms/{alarm_id}/notes")
async def note(visit: Handling, alarm_id: AlarmId, body: NoteBody) -> AlarmOut:
    """Add a note to an open alarm. For who has it or goes there, and for a lead."""
    seen = (await _seen(visit, alarm_id)).alarm
    noted = await visit.desk.services.alarms.note(
        alarm_id, visit.actor, body.note, is_lead=leads(visit, seen), version=body.version
    )
    return _out(visit, noted)


@router.post("/alarms/{alarm_id}/calls")
async def call(visit: Handling, alarm_id: AlarmId, body: CallBody) -> AlarmOut:
    """Keep that somebody was called, and what came of it."""
    await _seen(visit, alarm_id)
    if not body.called:
        raise IncompleteError("called_missing", "called")
    alarms = visit.desk.services.alarms
    return _out(visit, await alarms.call(alarm_id, visit.actor, body.called, body.contact, body.result))
