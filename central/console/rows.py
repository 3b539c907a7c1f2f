"""The queue as it is shown: which alarms, in which section, with which few words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from central.console.accounts import initials_of
from central.console.asked import Asked, Stand, asked_of
from central.console.bells import Bell, bells_of
from central.console.call_outs import unanswered_lines
from central.console.elsewhere import cover_seen
from central.console.gate import Visit
from central.console.names import named
from central.console.open_count import OpenCount, count_open, own_open
from central.console.roles import Action
from central.console.sight import sight_for
from central.lifecycle import WAITING, Handling, Queue
from central.views import AlarmView

GOAL_MS = 60_000
"""Time to answer: 97.5 % of a month's alarms are to be taken within this."""

GOAL_RANK = 2
PRESSED = frozenset({"pendant_pressed", "cord_pulled", "nurse_call", "nurse_emergency", "nurse_assistance", "assault"})
CLOSED_SHOWN = 3
NOBODY: Mapping[str, str] = {}
ON_THEIR_WAY = frozenset({"sent", "accepted", "on_the_way", "on_site"})
HOT_RANK = 1
SHOWN = 100
MOST_SHOWN = 500
"""Rows of a list at first, and at most."""

MOST_UNCOVERED = 3
"""So many lines say of one team each that nobody is on duty for it; of more one line says so."""

PRIORITIES = ("life", "life", "urgent", "urgent", "tech", "tech", "info")
"""Rank → the group of colours; shape, digit and word say the rank itself."""


class View(StrEnum):
    """The tabs above the queue."""

    ALARMS = "alarms"
    MINE = "mine"
    TECHNICAL = "technical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """One of at most two labels on a row."""

    text: str
    tone: str = ""
    icon: str = ""
    initials: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One alarm in the list."""

    alarm: AlarmView
    title: str
    place: str
    chips: tuple[Chip, ...]
    is_mine: bool
    caption: str
    has_goal: bool
    asked: Asked | None = None
    """Why it stands above the queue: somebody asks this reader to go, or to take it over."""

    @property
    def is_waiting(self) -> bool:
        """Nobody has it."""
        return self.alarm.stage.handling is Handling.WAITING

    @property
    def key(self) -> str:
        """Of its place in the list. What one need not do any more stands beside the alarm's own row."""
        over = self.asked is not None and self.asked.stand in {Stand.OFF, Stand.DONE}
        return f"{self.asked.stand}-{self.asked.id}" if over and self.asked else self.alarm.id

    @property
    def stand(self) -> str:
        """Where what is asked stands; empty for a row of the queue itself."""
        return "" if self.asked is None else self.asked.stand.value

    @property
    def priority(self) -> str:
        """The group of colours."""
        return PRIORITIES[self.alarm.rank]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueList:
    """A tab's rows in their sections, and what all tabs count."""

    view: View
    feed_no: int
    digest: str
    own: tuple[Row, ...]
    waiting: tuple[Row, ...]
    others: tuple[Row, ...]
    deferred: tuple[Row, ...]
    closed: tuple[Row, ...]
    counts: dict[View, int]
    has_hot: bool
    limit: int
    more: int
    uncovered: tuple[str, ...] = ()
    """What is to be said of teams for which nobody is on duty with sound, and of technicians called in vain."""
    asked: Mapping[Stand, tuple[Row, ...]] = field(default_factory=dict)
    bells: tuple[Bell, ...] = ()

    @property
    def bells_text(self) -> str:
        """The bells as JSON, for the page's script."""
        return json.dumps([bell.to_plain() for bell in self.bells])

    @property
    def trips(self) -> tuple[Row, ...]:
        """Where this reader is to go."""
        return self.asked.get(Stand.MINE, ())

    @property
    def asks(self) -> tuple[Row, ...]:
        """What waits for this reader's answer."""
        return self.asked.get(Stand.ASKS, ())

    @property
    def off(self) -> tuple[Row, ...]:
        """Where this reader need not go after all."""
        return self.asked.get(Stand.OFF, ())

    @property
    def done(self) -> tuple[Row, ...]:
        """Where this reader has been."""
        return self.asked.get(Stand.DONE, ())

    @property
    def can_show_more(self) -> bool:
        """Further down it is no list for people any more: the first ones have to go."""
        return self.more > 0 and self.limit < MOST_SHOWN

    @property
    def is_empty(self) -> bool:
        """Nothing open in this tab."""
        return not (self.own or self.waiting or self.others or self.deferred or self.trips or self.asks)


def kind_title(visit: Visit, alarm: AlarmView) -> str:
    """What the alarm is called."""
    return visit.words.either(f"kind.{alarm.kind.word}", alarm.kind.word)


def place_of(visit: Visit, alarm: AlarmView) -> str:
    """Where. No name of a resident: that is for who has the alarm. Technicians want the device as well."""
    hub = alarm.hub_label or (alarm.hub[:8] if alarm.hub else visit.words("queue.unknown_place"))
    return f"{hub} · {alarm.device_label}" if alarm.device and alarm.queue is Queue.TECHNICAL else hub


async def _callers(visit: Visit, alarms: Sequence[AlarmView]) -> Mapping[str, str]:
    """By alarm, first name and unit of residents that are registered: all that is said before the claim."""
    if not visit.may(Action.SEE_RESIDENTS):
        return {}
    personal = [alarm for alarm in alarms if alarm.queue is Queue.PERSONAL]
    known = await visit.desk.services.people.callers(visit.actor, personal)
    said = {alarm: (caller.first_name, caller.unit_name) for alarm, caller in known.items() if caller.first_name}
    return {alarm: " · ".join(part for part in parts if part) for alarm, parts in said.items()}


def row_of(visit: Visit, alarm: AlarmView, callers: Mapping[str, str] = NOBODY) -> Row:
    """One alarm as a row."""
    t, alarm = visit.words, named(visit, alarm)
    is_mine = alarm.owner is not None and alarm.owner == visit.who.account.id and alarm.is_open
    is_taken = alarm.stage.handling is Handling.CLAIMED
    chips: list[Chip] = []
    if is_mine:
        chips.append(Chip(text=t("queue.you_have_it"), tone="you"))
    elif is_taken and alarm.owner_name:
        chips.append(
            Chip(text=t("queue.taken_by", name=alarm.owner_name), initials=initials_of(alarm.owner_name)),
        )
    going = alarm.out.value if alarm.stage == WAITING else alarm.stage.word
    if going in ON_THEIR_WAY:
        chips.append(Chip(text=t(f"queue.{going}"), icon="car"))
    if alarm.stage.handling is Handling.DEFERRED:
        chips.append(Chip(text=t("queue.deferred"), icon="clock"))
    if not alarm.is_complete and alarm.is_open:
        chips.append(Chip(text=t("queue.by_sms"), tone=f"p-{PRIORITIES[alarm.rank]}"))
    if alarm.returned and not is_taken and alarm.is_open:
        chips.append(Chip(text=t("queue.returned"), tone=f"p-{PRIORITIES[alarm.rank]}", icon="undo"))
    if alarm.escalation_no and alarm.stage == WAITING:
        chips.append(Chip(text=t("queue.escalated"), tone=f"p-{PRIORITIES[alarm.rank]}"))
    if alarm.repeats and alarm.is_open:
        chips.append(Chip(text=repeats_text(visit, alarm), tone=f"p-{PRIORITIES[alarm.rank]}"))
    return Row(
        alarm=alarm,
        title=kind_title(visit, alarm),
        place=callers.get(alarm.id) or place_of(visit, alarm),
        chips=tuple(chips[:2]),
        is_mine=is_mine,
        caption=_caption(visit, alarm, is_taken=is_taken, is_mine=is_mine),
        has_goal=alarm.is_open and not is_taken and alarm.rank <= GOAL_RANK,
    )


def asked_row(visit: Visit, asked: Asked, callers: Mapping[str, str]) -> Row:
    """What is asked of the reader, as a row above the queue."""
    t, alarm, sent, offer = visit.words, asked.alarm, asked.sent, asked.offer
    chips: list[Chip] = []
    if offer is not None:
        chips.append(Chip(text=t("queue.offered_by", name=offer.from_name), icon="hand"))
    if sent is not None and asked.stand is Stand.ASKS:
        chips.append(Chip(text=t("queue.sent_to", team=sent.team_name), icon="car"))
    elif sent is not None and asked.stand is Stand.MINE:
        chips.append(Chip(text=t(f"queue.going_{sent.state}"), tone="you", icon="car"))
        chips.append(Chip(text=sent.team_name))
    elif sent is not None and asked.stand is Stand.OFF:
        chips.append(Chip(text=t("queue.is_off", time=visit.figures.short_clock(sent.ended_ms or 0)), icon="x"))
        if alarm.stage == WAITING:  # it was called off because nobody looked after it: it still needs somebody
            chips.insert(0, Chip(text=t("queue.nobody_has"), tone=f"p-{PRIORITIES[alarm.rank]}"))
    if alarm.repeats and alarm.is_open and asked.stand in {Stand.MINE, Stand.ASKS}:
        chips.insert(1, Chip(text=repeats_text(visit, alarm), tone=f"p-{PRIORITIES[alarm.rank]}"))
    return Row(
        alarm=alarm,
        title=kind_title(visit, alarm),
        place=callers.get(alarm.id) or place_of(visit, alarm),
        chips=tuple(chips[:2]),
        is_mine=False,
        caption="",
        has_goal=False,
        asked=asked,
    )


def repeats_text(visit: Visit, alarm: AlarmView) -> str:
    """How often it was pressed, or came."""
    key = "queue.presses" if alarm.kind.word in PRESSED else "queue.times"
    return visit.words(key, n=alarm.repeats + 1)


def _caption(visit: Visit, alarm: AlarmView, *, is_taken: bool, is_mine: bool) -> str:
    t = visit.words
    if alarm.closed_ms is not None:
        return t.either(f"disposition.{alarm.disposition}", "").lower()
    if is_taken and not is_mine and alarm.first_claimed_ms is not None:
        return t("queue.taken_after", n=visit.figures.span(alarm.first_claimed_ms - alarm.happened_ms))
    if is_mine:
        return t("queue.since_press" if alarm.kind.word in PRESSED else "queue.since_event")
    return ""


async def queue_list(visit: Visit, view: View, limit: int = SHOWN) -> QueueList:
    """What a tab shows: one's own, and the first of the others.

    The feed number is read first, so that nothing between can be missed. How many there are is counted, so that a
    flood makes a longer number and not a longer page.
    """
    services = visit.desk.services
    alarms, store = services.alarms, services.store
    limit = max(SHOWN, min(limit, MOST_SHOWN))
    feed_no = await services.feed.now()
    digest = sight_for(visit).digest_of(await alarms.opened())[1]
    sees_personal = visit.may(Action.PERSONAL)
    scope = visit.scope_for(Action.PERSONAL if sees_personal else Action.SEE_QUEUE)
    counts = await count_open(store, scope)
    queue = Queue.TECHNICAL if view is View.TECHNICAL or not sees_personal else Queue.PERSONAL
    mine = [
        alarm
        for alarm in await own_open(store, visit.who.account.id)
        if sees_personal or alarm.queue is Queue.TECHNICAL
    ]
    own = [alarm for alarm in mine if view is not View.TECHNICAL or alarm.queue is Queue.TECHNICAL]
    asked = [
        one
        for one in await asked_of(store, visit.who.account.id, scope, visit.now_ms())
        if sees_personal or one.alarm.queue is Queue.TECHNICAL
    ]
    held = {alarm.id for alarm in mine} | {one.alarm.id for one in asked if one.stand in {Stand.MINE, Stand.ASKS}}
    shown = (
        []
        if view is View.MINE
        else [one for one in await alarms.queue(queue, limit=limit, scope=scope) if one.id not in held]
    )
    ringing = shown if view is View.ALARMS else []
    if sees_personal and view is not View.ALARMS:  # another tab must not silence the alarms that wait
        ringing = [one for one in await alarms.queue(limit=SHOWN, scope=scope) if one.id not in held]
    closed: list[AlarmView] = []
    if view is not View.MINE:
        closed = list(await alarms.recent(queue, limit=CLOSED_SHOWN, scope=scope))
    callers = await _callers(visit, (*shown, *ringing, *own, *closed, *(one.alarm for one in asked)))
    rows = [row_of(visit, alarm, callers) for alarm in shown]
    personal, technical = counts.get(Queue.PERSONAL, OpenCount()), counts.get(Queue.TECHNICAL, OpenCount())
    in_queue = counts.get(queue, OpenCount()).everything - len(
        {one.id for one in (*mine, *(one.alarm for one in asked)) if one.id in held and one.queue is queue}
    )
    stands: dict[Stand, list[Row]] = {}
    for one in _once_each(asked):
        if _stands_in(view, one):
            stands.setdefault(one.stand, []).append(asked_row(visit, one, callers))
    return QueueList(
        view=view,
        feed_no=feed_no,
        digest=digest,
        own=tuple(row_of(visit, alarm, callers) for alarm in own),
        waiting=tuple(row for row in rows if row.is_waiting),
        others=tuple(row for row in rows if row.alarm.stage.handling is Handling.CLAIMED),
        deferred=tuple(row for row in rows if row.alarm.stage.handling is Handling.DEFERRED),
        closed=tuple(row_of(visit, alarm, callers) for alarm in closed),
        counts={
            View.ALARMS: personal.waiting if sees_personal else 0,
            View.MINE: len(held),
            View.TECHNICAL: technical.waiting,
        },
        has_hot=sees_personal and personal.best_rank is not None and personal.best_rank <= HOT_RANK,
        limit=limit,
        more=0 if view is View.MINE else max(0, in_queue - len(shown)),
        uncovered=(
            *(await _uncovered(visit) if sees_personal else ()),
            *await unanswered_lines(visit, visit.scope_for(Action.SEE_QUEUE)),
        ),
        asked={stand: tuple(rows) for stand, rows in stands.items()},
        bells=bells_of(
            visit.who.account.id,
            [
                (one, kind_title(visit, one), callers.get(one.id) or place_of(visit, one))
                for one in (*ringing, *mine, *(one.alarm for one in asked))
            ],
            asked,
        ),
    )


def _once_each(asked: Sequence[Asked]) -> list[Asked]:
    """An alarm has one row among what is open, however much of it is asked: where one goes before what waits."""
    first: dict[str, Asked] = {}
    for one in sorted(asked, key=lambda one: one.stand is not Stand.MINE):
        over = one.stand in {Stand.OFF, Stand.DONE}
        first.setdefault(one.id if over else one.alarm.id, one)
    kept = {id(one) for one in first.values()}
    return [one for one in asked if id(one) in kept]


def _stands_in(view: View, asked: Asked) -> bool:
    """Above the technical queue only what is technical; what was done, among one's own."""
    if asked.stand is Stand.DONE:
        return view is View.MINE
    return view is not View.TECHNICAL or asked.alarm.queue is Queue.TECHNICAL


async def _uncovered(visit: Visit) -> tuple[str, ...]:
    t, found = visit.words, [one for one in await cover_seen(visit) if not one.is_covered]
    if len(found) > MOST_UNCOVERED:  # else they stand where the alarms are
        named = [one.name or t("cover.house") for one in found[: MOST_UNCOVERED - 1]]
        rest = visit.figures.number(len(found) - len(named))
        return (t("cover.nobody_with_sound_more", teams=", ".join(named), n=rest),)
    return tuple(
        t("cover.nobody_with_sound", team=one.name) if one.team else t("cover.nobody_with_sound_house") for one in found
    )
