"""When the hub acts by itself, and what may be said meanwhile. Pure: time comes in, nothing is remembered here.

The rules:

- An alarm without a receipt for `no_receipt_s` calls for help on the spot, and so does one that central has and that
  no human has claimed for `no_claim_s`. Both are counted from when it was raised (after central was replaced by
  another, the first from then). An alarm that got through late, or
  that came back into the queue, gives people at central `no_claim_s` from then on.
- Whatever runs ends with its cause: a receipt ends the one, a claim ends both, so does an alarm that is closed.
- A silent alarm calls for nothing. One that may only show itself makes no sound, but may page staff and text the
  person on call.
- What is said is the least reassuring thing that is true of all alarms at home. Nobody hears that somebody comes, or
  that somebody has taken an alarm, unless central has said so of every one of them.
- Without an alarm, a home that has been cut off from central for `cut_off_after_s` is told so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from cloud_sync.identity import EventId
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import AlarmClass


class Stage(IntEnum):
    """How far an alarm has come, as far as the hub knows."""

    UNKNOWN = 0
    """Central has not said that it has it."""
    WAITING = 1
    TAKEN = 2
    ON_THE_WAY = 3


class Cause(StrEnum):
    """Why the hub acts."""

    NO_RECEIPT = "no_receipt"
    NO_CLAIM = "no_claim"


class Phrase(StrEnum):
    """What may be said aloud."""

    NOT_THROUGH = "not_through"
    NO_ANSWER = "no_answer"
    RECEIVED = "received"
    TAKEN = "taken"
    ON_THE_WAY = "on_the_way"
    CUT_OFF = "cut_off"
    BACK = "back"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long an alarm may wait for what, in seconds."""

    no_receipt_s: float = 15.0
    no_claim_s: float = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm that is open at home. `since_s` is when its stage began; times are boot seconds.

    `deadlines` are the alarm's own: whoever knows better than the settings puts them here.
    """

    event: EventId
    device: str
    alarm_class: AlarmClass
    action: LocalAction
    stage: Stage
    raised_s: float
    since_s: float
    deadlines: Deadlines

    @property
    def is_late(self) -> bool:
        """Whether it came to its stage only after it should have got through: late, or back into the queue."""
        return self.since_s > self.raised_s + self.deadlines.no_receipt_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """An alarm that the hub acts for."""

    event: EventId
    device: str
    alarm_class: AlarmClass
    cause: Cause
    since_s: float
    """When the hub began to act (or should have)."""
    may_sound: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to run now, most urgent first; what is true now; when to look again (None: when something changes)."""

    calls: tuple[Call, ...] = ()
    phrase: Phrase | None = None
    is_cut_off: bool = False
    next_s: float | None = None

    @property
    def sound(self) -> Cause | None:
        """What the buzzer and everything else that can be heard is on for."""
        causes = {call.cause for call in self.calls if call.may_sound}
        return next((cause for cause in Cause if cause in causes), None)


def due_s(alarm: Alarm) -> float | None:
    """When the hub begins to act for an alarm at its present stage; None: never."""
    if alarm.action is LocalAction.NONE or alarm.stage >= Stage.TAKEN:
        return None
    if alarm.stage is Stage.UNKNOWN:
        return alarm.since_s + alarm.deadlines.no_receipt_s
    return (alarm.since_s if alarm.is_late else alarm.raised_s) + alarm.deadlines.no_claim_s


def decide(
    alarms: Iterable[Alarm], now_s: float, *, cut_off_since_s: float | None = None, cut_off_after_s: float | None = None
) -> Decision:
    """What is to be done now. `cut_off_since_s`: since when no path to central has been usable, None when one is."""
    standing = [alarm for alarm in alarms if alarm.action is not LocalAction.NONE]
    calls: list[Call] = []
    times: list[float] = []
    for alarm in standing:
        at_s = due_s(alarm)
        if at_s is None:
            continue
        if now_s < at_s:
            times.append(at_s)
            continue
        calls.append(
            Call(
                event=alarm.event,
                device=alarm.device,
                alarm_class=alarm.alarm_class,
                cause=Cause.NO_RECEIPT if alarm.stage is Stage.UNKNOWN else Cause.NO_CLAIM,
                since_s=at_s,
                may_sound=alarm.action is LocalAction.LAMP_AND_BUZZER,
            )
        )
    calls.sort(key=lambda call: (call.alarm_class, call.since_s, call.event))
    is_cut_off = False
    if not standing and cut_off_since_s is not None and cut_off_after_s is not None:
        at_s = cut_off_since_s + cut_off_after_s
        is_cut_off = now_s >= at_s
        if not is_cut_off:
            times.append(at_s)
    return Decision(
        calls=tuple(calls),
        phrase=Phrase.CUT_OFF if is_cut_off else _phrase(standing, calls),
        is_cut_off=is_cut_off,
        next_s=min(times, default=None),
    )


def _phrase(standing: list[Alarm], calls: list[Call]) -> Phrase | None:
    if not any(alarm.action is LocalAction.LAMP_AND_BUZZER for alarm in standing):
        return None
    causes = {call.cause for call in calls if call.may_sound}
    if Cause.NO_RECEIPT in causes:
        return Phrase.NOT_THROUGH
    match min(alarm.stage for alarm in standing):
        case Stage.UNKNOWN:
            return None
        case Stage.WAITING:
            return Phrase.NO_ANSWER if causes else Phrase.RECEIVED
        case Stage.TAKEN:
            return Phrase.TAKEN
        case Stage.ON_THE_WAY:
            return Phrase.ON_THE_WAY
