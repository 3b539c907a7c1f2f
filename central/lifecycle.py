"""The life of an alarm, as tables: what it is, what may be done with it, and what the resident is told.

Three axes, each with few states:

    condition   active → cleared             by the device; never closes a personal alarm
    handling    waiting → claimed → closed   a claim is a lease; closing needs a disposition and an outcome
                claimed → deferred           to one planned visit; waits again when that visit does not happen
    dispatch    0..n patrols, each sent → delivered → accepted → on the way → on site → done; only while claimed,
                or sent by the plan of an alarm that waits: whoever accepts has it. Time calls nobody off: when a
                claim runs out they go on. The alarm carries the furthest of the open ones.

A hand-over is an offer beside the claim: the claim stays with who offers until somebody accepts. No I/O and no clock:
what time decides (leases, deadlines, undo windows) is decided by who holds the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloud_sync.central_messages import ReplyState
from cloud_sync.vocabulary import BY_WORD, AlarmClass, Kind

LEASE_MS = 90_000
"""A claim without a sign of presence returns to the queue after this."""
VISIT_MS = 30 * 60_000
"""Accepted, or on the way: the deadline for being on site takes the lease's place."""
ON_SITE_MS = 60 * 60_000
"""With the person: somebody has to say what became of it within this."""
ANSWER_MS = 120_000
"""A patrol that was sent and does not answer within this: the alarm is its owner's again, loudly."""
OFFER_MS = 60_000
"""An offer that nobody accepts ends after this, and the owner is told."""
ROOM_MS = 30 * 60_000
"""Staff at a room have its call for this long; then it waits again."""
UNDO_MS = 10_000


class Queue(StrEnum):
    """Where an alarm waits. Tests wait nowhere: a machine answers them."""

    PERSONAL = "personal"
    TECHNICAL = "technical"
    TEST = "test"


class Condition(StrEnum):
    """What the device says."""

    ACTIVE = "active"
    CLEARED = "cleared"


class Handling(StrEnum):
    """Whether somebody has it."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    DEFERRED = "deferred"
    CLOSED = "closed"


GOERS = ("patrol", "ward")
"""Kinds of teams that go to people."""


class Dispatch(StrEnum):
    """How far the furthest of those is who were sent."""

    NONE = "none"
    SENT = "sent"
    ACCEPTED = "accepted"
    ON_THE_WAY = "on_the_way"
    ON_SITE = "on_site"


class DispatchState(StrEnum):
    """How far one of those is who were sent."""

    SENT = "sent"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    UNANSWERED = "unanswered"
    ON_THE_WAY = "on_the_way"
    ON_SITE = "on_site"
    DONE = "done"
    CANCELLED = "cancelled"


class Disposition(StrEnum):
    """What was done about it. `resolved` is for technical alarms only."""

    CLEARED_BY_PHONE = "cleared_by_phone"
    VISIT_NOW = "visit_now"
    NEXT_VISIT = "next_visit"
    EMERGENCY_SERVICES = "emergency_services"
    FALSE_ALARM = "false_alarm"
    TEST = "test"
    RESOLVED = "resolved"


ROOM_OUTCOME = "seen_at_room"
"""The reset at the room closed it: staff were there, and nobody was asked to choose."""

TECHNICAL_OUTCOMES: tuple[str, ...] = (
    "battery_changed", "power_restored", "network_restored", "device_replaced", "restarted", "settings_changed",
    "condition_cleared", "no_fault_found", "other",
)  # fmt: skip

PERSONAL_DISPOSITIONS = tuple(word for word in Disposition if word is not Disposition.RESOLVED)
TECHNICAL_DISPOSITIONS = (Disposition.RESOLVED, Disposition.FALSE_ALARM, Disposition.TEST)


class KindOfHelp(StrEnum):
    """Which kind of help was needed. `technical` opens a case for the technicians."""

    HEALTH = "health"
    PRACTICAL = "practical"
    TECHNICAL = "technical"
    NONE = "none"


def dispositions(queue: Queue) -> tuple[Disposition, ...]:
    """What may be chosen when closing."""
    return TECHNICAL_DISPOSITIONS if queue is Queue.TECHNICAL else PERSONAL_DISPOSITIONS


@dataclass(frozen=True, slots=True)
class AlarmKind:
    """A kind of alarm as central shows it: one of the wire's vocabulary, or one that central itself makes."""

    word: str
    alarm_class: AlarmClass
    rank: int


CENTRAL_KINDS: Mapping[str, AlarmKind] = {
    kind.word: kind
    for kind in (
        AlarmKind("unreadable_alarm", AlarmClass.PERSONAL, 1),  # came in the alarm lane and cannot be read
        AlarmKind("unreadable_care", AlarmClass.SUPERVISION, 2),  # the same in the care lane
        AlarmKind("unreadable_records", AlarmClass.TECHNICAL, 5),
        AlarmKind("technical_case", AlarmClass.TECHNICAL, 5),  # a responder says that something has to be mended
        AlarmKind("unknown_hub", AlarmClass.TECHNICAL, 4),
        AlarmKind("hub_silent", AlarmClass.TECHNICAL, 5),
        AlarmKind("critical_silent", AlarmClass.SUPERVISION, 4),  # the hub of a critical resident: somebody looks in
        AlarmKind("critical_unheard", AlarmClass.SUPERVISION, 4),  # central hears nobody, and some of them are critical
        AlarmKind("hubs_silent", AlarmClass.TECHNICAL, 4),  # many at once: suspect ourselves first
        AlarmKind("stub_personal", AlarmClass.PERSONAL, 1),  # known by SMS only; the record tells what it is
        AlarmKind("stub_safety", AlarmClass.SAFETY, 0),
        AlarmKind("stub_supervision", AlarmClass.SUPERVISION, 2),
        AlarmKind("notification_failed", AlarmClass.TECHNICAL, 4),  # somebody could not be told of an alarm
        AlarmKind("receipts_missing", AlarmClass.TECHNICAL, 4),  # several in a row: do messages arrive at all?
        AlarmKind("not_shown", AlarmClass.TECHNICAL, 4),  # a console on duty with sound was asked, and none showed it
        AlarmKind("auditor_silent", AlarmClass.TECHNICAL, 4),  # nobody checks that plans go on
        AlarmKind("sms_trouble", AlarmClass.TECHNICAL, 4),  # the provider does not take our answers
        AlarmKind("central_restored", AlarmClass.TECHNICAL, 4),  # from a backup: alarms since then come again
        AlarmKind("database_older", AlarmClass.TECHNICAL, 4),  # a hub has receipts that this database knows nothing of
        AlarmKind("records_dropped", AlarmClass.TECHNICAL, 5),  # a hub threw away for want of space
    )
}

OF_A_TEAM = "not_shown"
"""The condition of a team's consoles: in the place of a device stands the team's id."""

CLEARED_BY: Mapping[str, str] = {
    "battery_ok": "battery_low",
    "device_back": "device_missing",
    "link_back": "link_lost",
    "mains_back": "mains_lost",
    "detector_fault_cleared": "detector_fault",
    "journal_recovered": "journal_trouble",
    "driver_back": "driver_parked",
    "path_back": "path_lost",
    "safe_mode_over": "safe_mode",
}
"""The event that says so → the technical condition that is over."""


def alarm_kind(word: str) -> AlarmKind:
    """What a kind's word means."""
    kind = BY_WORD.get(word)
    return AlarmKind(kind.word, kind.alarm_class, kind.rank) if kind else CENTRAL_KINDS[word]


class Meaning(StrEnum):
    """What an event does at central."""

    PERSONAL = "personal"  # raises an alarm that a person answers, or joins the open one
    TECHNICAL = "technical"  # raises or folds into a technical alarm
    CLEARS = "clears"  # ends a technical condition
    DEVICE_CLEARED = "device_cleared"  # a personal alarm's condition is over; the alarm is not
    PRESENCE = "presence"  # staff at the room: goes into the alarm's history
    TEST = "test"  # answered by machine
    RECORD = "record"  # kept, nothing more


def meaning_of(kind: Kind) -> Meaning:
    """What central does with an event of this kind."""
    if kind.word == "test_alarm":
        return Meaning.TEST
    if kind.word in CLEARED_BY:
        return Meaning.CLEARS
    if kind.word == "alarm_cleared":
        return Meaning.DEVICE_CLEARED
    if kind.word in {"nurse_presence", "nurse_reset"}:
        return Meaning.PRESENCE
    if kind.is_alarm:
        return Meaning.PERSONAL
    if kind.alarm_class is AlarmClass.TECHNICAL:
        return Meaning.TECHNICAL
    return Meaning.RECORD


_OF_EQUIPMENT = frozenset({"battery_level", "signal_level", "hub_started", "hub_stopped", "local_response_ended"})


def measures_people(kind: Kind) -> bool:
    """Whether what an event of this kind measures says something of a person, and not of the equipment."""
    return meaning_of(kind) not in {Meaning.TECHNICAL, Meaning.CLEARS} and kind.word not in _OF_EQUIPMENT


NURSE_CALLS = frozenset({"nurse_call", "nurse_emergency", "nurse_assistance"})
"""What staff presence at the room claims, and the reset there closes, in a ward whose settings say so."""


class Action(StrEnum):
    """What can happen to an alarm after it was raised."""

    CLAIM = "claim"
    RENEW = "renew"
    RELEASE = "release"
    EXPIRE = "expire"
    TAKE_OVER = "take_over"  # a lead, with a reason
    HAND_OVER = "hand_over"  # offer, accept, decline, withdraw: the claim itself goes on
    DISPATCH = "dispatch"
    ON_THE_WAY = "on_the_way"  # the owner goes
    ON_SITE = "on_site"
    DEFER = "defer"
    COME_BACK = "come_back"  # the visit did not happen, or happened without an outcome
    CLOSE = "close"
    OVERRIDE_CLOSE = "override_close"  # a lead, with a reason
    ROOM_CLAIM = "room_claim"  # staff presence at a nurse call
    ROOM_CLOSE = "room_close"  # the reset at the room
    UNDO_CLAIM = "undo_claim"
    UNDO_DEFER = "undo_defer"
    UNDO_CLOSE = "undo_close"
    REPEAT = "repeat"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Stage:
    """Handling and dispatch together: where an alarm stands between a press and an outcome."""

    handling: Handling
    dispatch: Dispatch = Dispatch.NONE

    @property
    def word(self) -> str:
        """One word for logs, `undo_to` and the interface."""
        return self.handling.value if self.dispatch is Dispatch.NONE else self.dispatch.value

    @property
    def reply(self) -> ReplyState:
        """What the resident is told. Green is only ever lit by a person's act."""
        return _REPLIES[self.word]

    @property
    def is_travelling(self) -> bool:
        """Somebody has said yes to going there: a deadline stands in for the lease."""
        return self.dispatch in TRAVELLING


TRAVELLING = frozenset({Dispatch.ACCEPTED, Dispatch.ON_THE_WAY, Dispatch.ON_SITE})

WAITING = Stage(Handling.WAITING)
CLAIMED = Stage(Handling.CLAIMED)
SENT = Stage(Handling.CLAIMED, Dispatch.SENT)
ACCEPTED = Stage(Handling.CLAIMED, Dispatch.ACCEPTED)
ON_THE_WAY = Stage(Handling.CLAIMED, Dispatch.ON_THE_WAY)
ON_SITE = Stage(Handling.CLAIMED, Dispatch.ON_SITE)
DEFERRED = Stage(Handling.DEFERRED)
CLOSED = Stage(Handling.CLOSED)
HELD = (CLAIMED, SENT, ACCEPTED, ON_THE_WAY, ON_SITE)
STAGES: Mapping[str, Stage] = {stage.word: stage for stage in (WAITING, *HELD, DEFERRED, CLOSED)}

_REPLIES: Mapping[str, ReplyState] = {
    "waiting": ReplyState.WAITING,
    "claimed": ReplyState.TAKEN,
    "sent": ReplyState.TAKEN,
    "accepted": ReplyState.TAKEN,
    "on_the_way": ReplyState.ON_THE_WAY,
    "on_site": ReplyState.ON_THE_WAY,
    "deferred": ReplyState.TAKEN,
    "closed": ReplyState.CLOSED,
}


def stage_of(handling: str, dispatch: str) -> Stage:
    """From the two words of a row. Who was sent counts only while somebody has the alarm."""
    return Stage(Handling(handling), Dispatch(dispatch) if handling == Handling.CLAIMED else Dispatch.NONE)


TRANSITIONS: Mapping[tuple[Stage, Action], Stage] = {
    (WAITING, Action.CLAIM): CLAIMED,
    (DEFERRED, Action.CLAIM): CLAIMED,
    **{
        (held, action): held
        for held in HELD
        for action in (Action.RENEW, Action.TAKE_OVER, Action.HAND_OVER, Action.REPEAT, Action.CLEAR)
    },
    **{(held, action): WAITING for held in HELD for action in (Action.RELEASE, Action.EXPIRE)},
    (CLAIMED, Action.DISPATCH): SENT,
    **{(held, Action.DISPATCH): held for held in HELD if held is not CLAIMED},
    **{(held, Action.ON_THE_WAY): ON_THE_WAY for held in (CLAIMED, SENT, ACCEPTED, ON_THE_WAY)},
    (ON_SITE, Action.ON_THE_WAY): ON_SITE,
    **{(held, Action.ON_SITE): ON_SITE for held in HELD},
    (CLAIMED, Action.DEFER): DEFERRED,
    (SENT, Action.DEFER): DEFERRED,
    **{(held, Action.CLOSE): CLOSED for held in HELD},
    **{(stage, Action.OVERRIDE_CLOSE): CLOSED for stage in (WAITING, *HELD, DEFERRED)},
    (WAITING, Action.ROOM_CLAIM): CLAIMED,
    **{(stage, Action.ROOM_CLOSE): CLOSED for stage in (WAITING, *HELD, DEFERRED)},
    **{(held, Action.UNDO_CLAIM): WAITING for held in HELD},  # whoever was out before the claim goes on
    (DEFERRED, Action.UNDO_DEFER): CLAIMED,
    (CLOSED, Action.UNDO_CLOSE): CLAIMED,
    (DEFERRED, Action.COME_BACK): WAITING,
    (WAITING, Action.REPEAT): WAITING,
    (DEFERRED, Action.REPEAT): WAITING,
    (WAITING, Action.CLEAR): WAITING,
    (DEFERRED, Action.CLEAR): DEFERRED,
}


def after(stage: Stage, action: Action) -> Stage | None:
    """Where an action leads, or None when it cannot be done here."""
    return TRANSITIONS.get((stage, action))


def allowed(stage: Stage) -> tuple[Action, ...]:
    """What can be done from here."""
    return tuple(action for (at, action) in TRANSITIONS if at == stage)


def lifted_rank(rank: int) -> int:
    """The rank after a repeat or a return: one better for care, never past 1; fire stays fire, technical technical."""
    return rank - 1 if rank in {2, 3} else rank


# ── Those who were sent ──────────────────────────────────────────────────────────────

_ANSWERS = frozenset({DispatchState.ACCEPTED, DispatchState.ON_THE_WAY, DispatchState.ON_SITE})
_UNANSWERED = _ANSWERS | {
    DispatchState.DELIVERED,
    DispatchState.DECLINED,
    DispatchState.UNANSWERED,
    DispatchState.CANCELLED,
}
DISPATCH_STEPS: Mapping[DispatchState, frozenset[DispatchState]] = {
    DispatchState.SENT: _UNANSWERED,
    DispatchState.DELIVERED: _UNANSWERED - {DispatchState.DELIVERED},
    DispatchState.ACCEPTED: frozenset(
        {DispatchState.ON_THE_WAY, DispatchState.ON_SITE, DispatchState.DECLINED, DispatchState.CANCELLED}
    ),
    DispatchState.ON_THE_WAY: frozenset({DispatchState.ON_SITE, DispatchState.DECLINED, DispatchState.CANCELLED}),
    DispatchState.ON_SITE: frozenset({DispatchState.DONE, DispatchState.CANCELLED}),
    DispatchState.UNANSWERED: _ANSWERS,  # late is better than not at all, while somebody still has the alarm
    DispatchState.DECLINED: frozenset(),
    DispatchState.DONE: frozenset(),
    DispatchState.CANCELLED: frozenset(),
}
"""Where one dispatch may go from where it is. Whoever presses only "with the person" has thereby accepted."""

_SUMMARY: Mapping[DispatchState, Dispatch] = {
    DispatchState.SENT: Dispatch.SENT,
    DispatchState.DELIVERED: Dispatch.SENT,
    DispatchState.ACCEPTED: Dispatch.ACCEPTED,
    DispatchState.ON_THE_WAY: Dispatch.ON_THE_WAY,
    DispatchState.ON_SITE: Dispatch.ON_SITE,
}
OPEN_DISPATCH = tuple(_SUMMARY)
_FAR = tuple(Dispatch)


def furthest(states: Iterable[str]) -> Dispatch:
    """What the alarm says of all who were sent."""
    found = (_SUMMARY.get(DispatchState(state), Dispatch.NONE) for state in states)
    return max(found, key=_FAR.index, default=Dispatch.NONE)
