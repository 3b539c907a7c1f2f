"""The life of an alarm, as tables: what it is, what may be done with it, and what the resident is told.

Three axes, each with few states:

    condition   active → cleared             by the device; never closes a personal alarm
    handling    waiting → claimed → closed   a claim is a lease; closing needs a disposition and an outcome
    dispatch    none → on_the_way            only while claimed

No I/O and no clock: what time decides (leases, undo windows) is decided by who holds the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloud_sync.central_messages import ReplyState
from cloud_sync.vocabulary import BY_WORD, AlarmClass, Kind

LEASE_MS = 90_000
"""A claim without a sign of presence returns to the queue after this."""
VISIT_MS = 30 * 60_000
"""On the way: the deadline for being on site takes the lease's place."""
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
    CLOSED = "closed"


class Dispatch(StrEnum):
    """Whether somebody is on the way."""

    NONE = "none"
    ON_THE_WAY = "on_the_way"


class Disposition(StrEnum):
    """What was done about it. `resolved` is for technical alarms only."""

    CLEARED_BY_PHONE = "cleared_by_phone"
    VISIT_NOW = "visit_now"
    NEXT_VISIT = "next_visit"
    EMERGENCY_SERVICES = "emergency_services"
    FALSE_ALARM = "false_alarm"
    TEST = "test"
    RESOLVED = "resolved"


PERSONAL_OUTCOMES: tuple[str, ...] = (
    "fall", "anxiety", "no_contact", "mis_press", "practical_help", "confused", "chest_pain", "stroke_signs",
    "breathing", "palpitations", "seizure", "nausea", "burn", "medication", "general_decline", "door_alarm",
    "diabetes", "repeated_calls", "other",
)  # fmt: skip
"""What it turned out to be: the default list of a public response-centre routine."""

TECHNICAL_OUTCOMES: tuple[str, ...] = (
    "battery_changed", "power_restored", "network_restored", "device_replaced", "restarted", "settings_changed",
    "condition_cleared", "no_fault_found", "other",
)  # fmt: skip

PERSONAL_DISPOSITIONS = tuple(word for word in Disposition if word is not Disposition.RESOLVED)
TECHNICAL_DISPOSITIONS = (Disposition.RESOLVED, Disposition.FALSE_ALARM, Disposition.TEST)


def dispositions(queue: Queue) -> tuple[Disposition, ...]:
    """What may be chosen when closing."""
    return TECHNICAL_DISPOSITIONS if queue is Queue.TECHNICAL else PERSONAL_DISPOSITIONS


def outcomes(queue: Queue) -> tuple[str, ...]:
    """What may be chosen when closing."""
    return TECHNICAL_OUTCOMES if queue is Queue.TECHNICAL else PERSONAL_OUTCOMES


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
        AlarmKind("unknown_hub", AlarmClass.TECHNICAL, 4),
        AlarmKind("hub_silent", AlarmClass.TECHNICAL, 5),
        AlarmKind("hubs_silent", AlarmClass.TECHNICAL, 4),  # many at once: suspect ourselves first
        AlarmKind("stub_personal", AlarmClass.PERSONAL, 1),  # known by SMS only; the record tells what it is
        AlarmKind("stub_safety", AlarmClass.SAFETY, 0),
        AlarmKind("stub_supervision", AlarmClass.SUPERVISION, 2),
        AlarmKind("sms_trouble", AlarmClass.TECHNICAL, 4),  # the provider does not take our answers
        AlarmKind("central_restored", AlarmClass.TECHNICAL, 4),  # from a backup: alarms since then come again
        AlarmKind("database_older", AlarmClass.TECHNICAL, 4),  # a hub has receipts that this database knows nothing of
        AlarmKind("records_dropped", AlarmClass.TECHNICAL, 5),  # a hub threw away for want of space
    )
}

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


class Action(StrEnum):
    """What can happen to an alarm after it was raised."""

    CLAIM = "claim"
    RENEW = "renew"
    RELEASE = "release"
    EXPIRE = "expire"
    ON_THE_WAY = "on_the_way"
    CLOSE = "close"
    UNDO_CLAIM = "undo_claim"
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
        return self.dispatch.value if self.dispatch is Dispatch.ON_THE_WAY else self.handling.value

    @property
    def reply(self) -> ReplyState:
        """What the resident is told. Green is only ever lit by a person's act."""
        return _REPLIES[self.word]


WAITING = Stage(Handling.WAITING)
CLAIMED = Stage(Handling.CLAIMED)
ON_THE_WAY = Stage(Handling.CLAIMED, Dispatch.ON_THE_WAY)
CLOSED = Stage(Handling.CLOSED)
STAGES: Mapping[str, Stage] = {stage.word: stage for stage in (WAITING, CLAIMED, ON_THE_WAY, CLOSED)}

_REPLIES: Mapping[str, ReplyState] = {
    "waiting": ReplyState.WAITING,
    "claimed": ReplyState.TAKEN,
    "on_the_way": ReplyState.ON_THE_WAY,
    "closed": ReplyState.CLOSED,
}

TRANSITIONS: Mapping[tuple[Stage, Action], Stage] = {
    (WAITING, Action.CLAIM): CLAIMED,
    (CLAIMED, Action.RENEW): CLAIMED,
    (ON_THE_WAY, Action.RENEW): ON_THE_WAY,
    (CLAIMED, Action.RELEASE): WAITING,
    (ON_THE_WAY, Action.RELEASE): WAITING,
    (CLAIMED, Action.EXPIRE): WAITING,
    (ON_THE_WAY, Action.EXPIRE): WAITING,
    (CLAIMED, Action.ON_THE_WAY): ON_THE_WAY,
    (CLAIMED, Action.CLOSE): CLOSED,
    (ON_THE_WAY, Action.CLOSE): CLOSED,
    (CLAIMED, Action.UNDO_CLAIM): WAITING,
    (CLOSED, Action.UNDO_CLOSE): CLAIMED,
    (WAITING, Action.REPEAT): WAITING,
    (CLAIMED, Action.REPEAT): CLAIMED,
    (ON_THE_WAY, Action.REPEAT): ON_THE_WAY,
    (WAITING, Action.CLEAR): WAITING,
    (CLAIMED, Action.CLEAR): CLAIMED,
    (ON_THE_WAY, Action.CLEAR): ON_THE_WAY,
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
