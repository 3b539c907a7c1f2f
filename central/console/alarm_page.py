"""One alarm as it is shown: who has it, what the lamp at home shows, what happened, what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from central.alarms.choosing import Choices
from central.console.asked import Stand, stand_of
from central.console.four import Button, four_of
from central.console.gate import ForbiddenError, Visit
from central.console.going import SentRow, Told, reason_text, sent_row, told, trip_of
from central.console.log_words import channel_word, nth
from central.console.names import name_of, named_detail
from central.console.resident_view import ResidentView, keeps_where, person_for
from central.console.roles import Action
from central.console.routine_view import Routine, outcome_in, routine_of
from central.console.rows import PRESSED, PRIORITIES, kind_title, place_of
from central.console.summary import summary_of
from central.errors import NotFoundError
from central.home_response import KINDS as HOME_RESPONSE
from central.hubs import HubView
from central.lifecycle import CLAIMED, DispatchState, Handling, KindOfHelp, Queue, dispositions
from central.technical.duty import DutyContact, duty_book
from central.views import AlarmDetail, AlarmView, Journey, Sent, TimelineEntry

LAMPS = frozenset({"waiting", "taken", "on_the_way", "closed", "unknown"})
JOURNEY_STEPS = ("judged", "durable", "sent", "receipt", "shown", "taken", "reassured")
SOON_MS = 60_000
FROM_DEVICE = frozenset({"raised", "repeat", "repeated", "cleared", "presence"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """What the lamp at home shows. `state` is None when we do not know: a dashed ring, never a guess."""

    state: str | None
    title: str
    caption: str

    @property
    def css(self) -> str:
        """The class that draws it."""
        return f"lamp-{(self.state or '').replace('on_the_way', 'onway')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the history."""

    at: str
    tone: str
    text: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the journey, and how long after the press."""

    key: str
    took: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmPage:
    """All that the page of an alarm says."""

    alarm: AlarmView
    title: str
    place: str
    subtitle: str
    priority: str
    is_mine: bool
    can_handle: bool
    can_override: bool
    holder: str
    stage: str
    next_act: str
    lamp: Lamp | None
    hub: HubView | None
    shows_resident: bool
    routine: Routine
    moments: tuple[Moment, ...]
    steps: tuple[Step, ...]
    dispositions: tuple[str, ...]
    outcome: str
    """What it was, in the words that it was closed with."""
    value: str | None
    summary: str
    sent: tuple[SentRow, ...]
    told: tuple[Told, ...]
    four: tuple[Button, ...]
    helps: tuple[str, ...]
    can_note: bool = False
    goes: bool = False
    """The reader has said yes to going there, and sees what somebody at the door has to know."""
    duty: DutyContact | None = None
    """Whom to call about a technical alarm."""
    person: ResidentView | None = None
    has_patrols: bool = False
    calls: Mapping[str, str] = field(default_factory=dict)
    """The last attempt to reach each: by contact's id, or `resident`."""

    @property
    def can_take_over(self) -> bool:
        """A lead may take it from somebody else."""
        return self.can_override and self.alarm.stage.handling is Handling.CLAIMED and not self.is_mine

    @property
    def is_personal(self) -> bool:
        """Somebody waits for an answer at home."""
        return self.alarm.queue is Queue.PERSONAL


def check_may_see(visit: Visit, alarm: AlarmView) -> None:
    """A personal alarm is for those who answer them, there. Raises ForbiddenError, ElsewhereError."""
    visit.scope.check(alarm.tenant, alarm.unit, "alarm", alarm.id)
    if alarm.queue is not Queue.TECHNICAL and not visit.may(Action.PERSONAL):
        raise ForbiddenError("role", visit.who.account.role)
    action = Action.SEE_QUEUE if alarm.queue is Queue.TECHNICAL else Action.PERSONAL
    visit.scope_for(action).check(alarm.tenant, alarm.unit, "alarm", alarm.id)


def leads(visit: Visit, alarm: AlarmView) -> bool:
    """Whether whoever asks leads where this alarm belongs: a lead of one municipality is none of another's."""
    scope = visit.scope_for(Action.OVERRIDE_CLAIM)
    return visit.may(Action.OVERRIDE_CLAIM) and scope.covers(alarm.tenant, alarm.unit)


def check_leads(visit: Visit, alarm: AlarmView) -> None:
    """Raises ForbiddenError unless they may act over the head of who has it."""
    if not leads(visit, alarm):
        raise ForbiddenError("role", visit.who.account.role)


async def read_for(visit: Visit, alarm_id: str) -> AlarmDetail:
    """An alarm with its words, as far as whoever asks may read them. Raises NotFoundError, ForbiddenError."""
    alarms = visit.desk.services.alarms
    detail = await alarms.alarm(alarm_id)
    check_may_see(visit, detail.alarm)
    scope = visit.scope_for(Action.SEE_QUEUE if detail.alarm.queue is Queue.TECHNICAL else Action.PERSONAL)
    return await alarms.read(detail, visit.actor, scope, keeps=keeps_where(visit))


async def alarm_page(visit: Visit, alarm_id: str) -> AlarmPage:
    """Read one alarm. Raises NotFoundError, ForbiddenError."""
    services = visit.desk.services
    detail = named_detail(visit, await read_for(visit, alarm_id))
    journey = await services.alarms.journey(alarm_id)
    try:
        hub = await services.hubs.hub(detail.alarm.hub) if detail.alarm.hub else None
    except NotFoundError:
        hub = None
    planned = {}
    if detail.alarm.stage.handling is Handling.DEFERRED:
        planned = {one.id: one.from_ms for one in await services.alarms.visits(alarm_id)}
    routine = await routine_of(visit, detail)
    shown = _assemble(visit, detail, journey, hub, planned.get(detail.alarm.deferred_visit or ""), routine)
    if not shown.is_personal:
        book = await services.store.fetch(lambda connection: duty_book(connection, visit.now_ms()))
        return replace(shown, duty=book.of(detail.alarm.tenant, detail.alarm.unit))
    choices = await services.alarms.choices(alarm_id, visit.actor) if shown.is_mine else Choices()
    person = await person_for(visit, detail.alarm, goes=shown.goes)
    return replace(shown, person=person, has_patrols=bool(choices.patrols))


def _assemble(
    visit: Visit,
    detail: AlarmDetail,
    journey: Journey,
    hub: HubView | None,
    visit_ms: int | None,
    routine: Routine,
) -> AlarmPage:
    alarm = detail.alarm
    account = visit.who.account
    is_mine = alarm.is_open and alarm.owner == account.id
    can_handle = visit.may(Action.HANDLE_ALARMS)
    is_personal = alarm.queue is Queue.PERSONAL
    trip = trip_of(visit, detail)
    goes = trip is not None and stand_of(trip) is Stand.MINE
    return AlarmPage(
        alarm=alarm,
        title=kind_title(visit, alarm),
        place=place_of(visit, alarm),
        subtitle=_subtitle(visit, alarm),
        priority=PRIORITIES[alarm.rank],
        is_mine=is_mine,
        can_handle=can_handle,
        can_override=leads(visit, alarm),
        holder=_holder(visit, alarm, visit_ms, is_mine=is_mine),
        stage=alarm.stage.word,
        next_act=_next_act(alarm, detail.sent, is_mine=is_mine) if can_handle else "",
        lamp=lamp_of(visit, alarm, hub) if is_personal else None,
        hub=hub,
        shows_resident=is_mine or goes or not alarm.is_open,
        routine=routine,
        moments=tuple(_moment(visit, entry, alarm, routine) for entry in reversed(detail.timeline)),
        steps=_steps(visit, journey),
        dispositions=tuple(word.value for word in dispositions(alarm.queue)),
        outcome=routine.outcome_text(alarm.outcome_list, alarm.outcome),
        value=_value(visit, alarm),
        summary=summary_of(visit, detail, routine) if is_personal and (is_mine or not alarm.is_open) else "",
        sent=tuple(sent_row(visit, alarm, one, is_mine=is_mine) for one in reversed(detail.sent)),
        told=told(visit, detail, is_mine=is_mine) if can_handle else (),
        four=four_of(visit, alarm, trip, detail.offer) if can_handle and alarm.is_open else (),
        can_note=can_handle and alarm.is_open and (is_mine or goes or leads(visit, alarm)),
        goes=goes,
        helps=tuple(KindOfHelp) if is_personal else (),
        calls=_calls(visit, detail.timeline),
    )


def _calls(visit: Visit, timeline: Sequence[TimelineEntry]) -> Mapping[str, str]:
    found = {}
    for entry in timeline:
        result = entry.content.get("result")
        if entry.what == "called" and isinstance(result, str) and visit.words.has(f"call.{result}"):
            whom = str(entry.content.get("contact") or entry.content.get("called"))
            time, word = visit.figures.clock(entry.at_ms), visit.words(f"call.{result}").lower()
            found[whom] = visit.words("call.tried", time=time, result=word)
    return found


def _subtitle(visit: Visit, alarm: AlarmView) -> str:
    if not alarm.repeats:
        return ""
    key = "alarm.pressed_times" if alarm.kind.word in PRESSED else "alarm.came_times"
    return visit.words(key, n=alarm.repeats + 1, time=visit.figures.when(alarm.last_event_ms, visit.now_ms()))


def _holder(visit: Visit, alarm: AlarmView, visit_ms: int | None, *, is_mine: bool) -> str:
    t, now = visit.words, visit.now_ms()
    if alarm.closed_ms is not None:
        time = visit.figures.when(alarm.closed_ms, now)
        return t("alarm.is_closed", time=time, name=name_of(visit, None, alarm.closed_by) or t("app.name"))
    if alarm.stage.handling is Handling.DEFERRED:
        if visit_ms is None:
            return t("alarm.nobody_has_it")
        return t("holder.deferred", time=visit.figures.when(visit_ms, now))
    if alarm.stage.handling is Handling.WAITING or alarm.claimed_ms is None:
        return t("alarm.nobody_has_it")
    time = visit.figures.when(alarm.claimed_ms, now)
    if is_mine:
        return t("alarm.you_have_it", time=time)
    return t("alarm.has_it", name=name_of(visit, alarm.owner, alarm.owner_name), time=time)


def _next_act(alarm: AlarmView, sent: Sequence[Sent], *, is_mine: bool) -> str:
    if not alarm.is_open:
        return ""
    if not is_mine:
        is_free = alarm.stage.handling in {Handling.WAITING, Handling.DEFERRED} or alarm.is_with_kin
        return "claim" if is_free else ""
    has_been_there = alarm.stage == CLAIMED and any(one.state is DispatchState.DONE for one in sent)
    if alarm.queue is Queue.TECHNICAL or alarm.stage.word in {"on_the_way", "on_site"} or has_been_there:
        return "close"
    return "on-the-way"


def lamp_of(visit: Visit, alarm: AlarmView, hub: HubView | None) -> Lamp:
    """The lamp, as the hub last reported it, and no more than that."""
    t, figures, now = visit.words, visit.figures, visit.now_ms()
    known = alarm.lamp_state if alarm.lamp_state in LAMPS else None
    if known is None or alarm.lamp_ms is None:
        return Lamp(state=None, title=t("lamp.home", state=t("lamp.unsure")), caption=t("lamp.never_known"))
    word = t(f"lamp.{known}")
    time = figures.when(alarm.lamp_ms, now)
    if hub is None or hub.presence in {"late", "silent"}:
        caption = t("lamp.last_known", time=time, state=word)
        return Lamp(state=None, title=t("lamp.home", state=t("lamp.unsure")), caption=caption)
    meant = str(alarm.stage.reply)
    if meant != known:
        return Lamp(state=known, title=t("lamp.home", state=word), caption=t("lamp.not_confirmed"))
    after_ms = alarm.lamp_ms - alarm.happened_ms
    confirmed = (
        t("lamp.confirmed", after=figures.span(after_ms))
        if 0 <= after_ms < SOON_MS
        else t("lamp.confirmed_at", time=time)
    )
    return Lamp(state=known, title=t("lamp.home", state=word), caption=f"{t(f'lamp.code_{known}')}. {confirmed}")


def _moment(visit: Visit, entry: TimelineEntry, alarm: AlarmView, routine: Routine) -> Moment:
    t = visit.words
    is_me = entry.actor == visit.who.account.id
    key = f"what_you.{entry.what}" if is_me and t.has(f"what_you.{entry.what}") else f"what.{entry.what}"
    repeats = entry.content.get("repeats")
    if entry.what == "repeated" and isinstance(repeats, int):
        key = "what.pressed_again" if alarm.kind.word in PRESSED else "what.came_again"
    because = f"what.{entry.what}_{entry.content.get('why')}"
    if t.has(because):
        key = because
    tone = "alarm" if entry.what in FROM_DEVICE else "mine" if is_me else ""
    if not tone and entry.actor not in {"system", "hub"}:
        tone = "human"
    if entry.what == "noted":
        tone += " wrote"
    return Moment(
        at=visit.figures.clock(entry.at_ms),
        tone=tone,
        text=t.either(
            key,
            entry.what,
            name=name_of(visit, entry.actor, entry.actor_name),
            kind=kind_title(visit, alarm),
            n=nth(entry.content),
            channel=channel_word(visit, entry.content),
        ),
        caption=_moment_caption(visit, entry, routine, alarm),
    )


def _moment_caption(visit: Visit, entry: TimelineEntry, routine: Routine, alarm: AlarmView) -> str:
    t = visit.words
    said: list[str] = []
    for name, section in (
        ("disposition", "disposition"),
        ("outcome", ""),
        ("help", "help"),
        ("called", "call"),
        ("result", "call"),
    ):
        word = entry.content.get(name)
        if isinstance(word, str) and not section:
            said.append(routine.outcome_text(*outcome_in(entry.content)))
        elif isinstance(word, str) and t.has(f"{section}.{word}"):
            said.append(t(f"{section}.{word}"))
    ref = entry.content.get("criterion")
    if isinstance(ref, str) and ref in routine.worded:
        said.append(routine.worded[ref])
    said += _home_response(visit, entry)
    for name in ("note", "reason", "override"):
        word = entry.content.get(name)
        if isinstance(word, str) and word:
            said.append(reason_text(visit, word) if name == "reason" else word)
    device = entry.content.get("device")
    if isinstance(device, str) and device:
        said.append(alarm.device_label if device == alarm.device else device)
    if "words" in entry.content:
        said.append(t(f"words.{entry.content['words']}"))
    return ". ".join(said)


def _home_response(visit: Visit, entry: TimelineEntry) -> list[str]:
    """Why the hub began or stopped to call for help at home, and by what."""
    t, content, said = visit.words, entry.content, []
    is_over = entry.what == "local_response_ended"
    word = content.get("why" if is_over else "cause") if entry.what in HOME_RESPONSE else None
    if isinstance(word, str) and t.has(f"home_response.{word}"):
        said.append(t(f"home_response.{word}"))
    measures = content.get("measures") if entry.what in HOME_RESPONSE else None
    if isinstance(measures, list):
        words = [t(f"home_measure.{one}") for one in measures if t.has(f"home_measure.{one}")]
        said += [", ".join(words)] if words else []
    return said


def _steps(visit: Visit, journey: Journey) -> tuple[Step, ...]:
    found = []
    for name in JOURNEY_STEPS:
        took = journey.steps.get(name)
        found.append(Step(key=f"alarm.j_{name}", took=None if took is None else visit.figures.span(took)))
    return tuple(found)


def _value(visit: Visit, alarm: AlarmView) -> str | None:
    value: Any = alarm.value
    details: Mapping[str, Any] = alarm.details
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        unit = details.get("unit")
        return f"{visit.figures.number(value)} {unit}" if isinstance(unit, str) else visit.figures.number(value)
    return str(value)
