"""Local response's policy, held to its promises over any mixture of alarms, times and news."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import AlarmClass
from gateway.local_response.phrases import REASSURING
from gateway.local_response.policy import Alarm, Cause, Deadlines, Decision, Phrase, Stage, decide, due_s

seconds = st.floats(0, 2_000, allow_nan=False, allow_infinity=False)


@st.composite
def alarms(draw: st.DrawFn, **fixed: object) -> Alarm:
    raised_s = draw(st.floats(0, 500))
    no_receipt_s = draw(st.floats(1, 600))
    values: dict[str, object] = {
        "event": EventId(b"h" * 8, b"e" * 8, Lane.ALARM, draw(st.integers(1, 10**6))),
        "device": "pendant-1",
        "alarm_class": draw(st.sampled_from([AlarmClass.PERSONAL, AlarmClass.SAFETY, AlarmClass.SUPERVISION])),
        "action": draw(st.sampled_from(LocalAction)),
        "stage": draw(st.sampled_from(Stage)),
        "raised_s": raised_s,
        "since_s": raised_s + draw(st.floats(0, 1_000)),
        "deadlines": Deadlines(no_receipt_s=no_receipt_s, no_claim_s=no_receipt_s + draw(st.floats(0, 3_000))),
    }
    return Alarm(**{**values, **fixed})  # type: ignore[arg-type]


homes = st.lists(alarms(), max_size=6, unique_by=lambda one: one.event)
cuts = st.none() | seconds


@given(home=homes, now_s=seconds, cut_s=cuts)
def test_nobody_hears_of_help_unless_central_has_said_so_of_every_alarm(
    home: list[Alarm], now_s: float, cut_s: float | None
) -> None:
    phrase = decide(home, now_s, cut_off_since_s=cut_s, cut_off_after_s=300).phrase
    shown = [one for one in home if one.action is not LocalAction.NONE]
    if phrase in REASSURING:
        assert shown
        assert all(one.stage >= Stage.TAKEN for one in shown)
    if phrase is Phrase.ON_THE_WAY:
        assert all(one.stage is Stage.ON_THE_WAY for one in shown)
    if phrase in {Phrase.RECEIVED, Phrase.NO_ANSWER}:
        assert all(one.stage >= Stage.WAITING for one in shown)


calling = alarms(action=LocalAction.LAMP_AND_BUZZER, stage=Stage.UNKNOWN) | alarms(
    action=LocalAction.LAMP, stage=Stage.WAITING
)


@given(caller=calling, others=homes, news=st.data())
def test_what_runs_ends_with_its_cause(caller: Alarm, others: list[Alarm], news: st.DataObject) -> None:
    home, now_s = [caller, *(one for one in others if one.event != caller.event)], 10_000.0
    decision = decide(home, now_s)
    call = news.draw(st.sampled_from(decision.calls))
    ended = (
        Stage.WAITING if call.cause is Cause.NO_RECEIPT else news.draw(st.sampled_from([Stage.TAKEN, Stage.ON_THE_WAY]))
    )
    after = [replace(one, stage=ended, since_s=now_s) if one.event == call.event else one for one in home]
    assert (call.event, call.cause) not in {(one.event, one.cause) for one in decide(after, now_s).calls}
    gone = [one for one in home if one.event != call.event]
    assert call.event not in {one.event for one in decide(gone, now_s).calls}
    assert not decide([], now_s).calls


@given(home=homes)
def test_silent_alarms_call_for_nothing_and_quiet_ones_make_no_sound(home: list[Alarm]) -> None:
    decision = decide(home, 10_000)
    actions = {one.event: one.action for one in home}
    assert all(actions[call.event] is not LocalAction.NONE for call in decision.calls)
    assert all(call.may_sound is (actions[call.event] is LocalAction.LAMP_AND_BUZZER) for call in decision.calls)
    if LocalAction.LAMP_AND_BUZZER not in actions.values():
        assert decision.sound is None
        assert decision.phrase is None


@given(home=homes, now_s=seconds, later_s=seconds, cut_s=cuts)
def test_what_began_goes_on_while_nothing_is_heard(
    home: list[Alarm], now_s: float, later_s: float, cut_s: float | None
) -> None:
    def events(decision: Decision) -> set[tuple[EventId, Cause]]:
        return {(call.event, call.cause) for call in decision.calls}

    before = decide(home, now_s, cut_off_since_s=cut_s, cut_off_after_s=300)
    after = decide(home, now_s + later_s, cut_off_since_s=cut_s, cut_off_after_s=300)
    assert events(before) <= events(after)
    assert after.is_cut_off or not before.is_cut_off
    if before.phrase is Phrase.NOT_THROUGH:
        assert after.phrase is Phrase.NOT_THROUGH


@given(home=homes, now_s=seconds, cut_s=cuts)
def test_it_looks_again_exactly_when_something_will_be_due(
    home: list[Alarm], now_s: float, cut_s: float | None
) -> None:
    decision = decide(home, now_s, cut_off_since_s=cut_s, cut_off_after_s=300)
    if decision.next_s is None:
        assert decide(home, now_s + 10**6, cut_off_since_s=cut_s, cut_off_after_s=300).calls == decision.calls
        return
    assert decision.next_s > now_s
    then = decide(home, decision.next_s, cut_off_since_s=cut_s, cut_off_after_s=300)
    assert len(then.calls) > len(decision.calls) or then.is_cut_off
    middle = (now_s + decision.next_s) / 2
    assume(now_s < middle < decision.next_s)
    assert decide(home, middle, cut_off_since_s=cut_s, cut_off_after_s=300) == decision


@given(one=alarms(action=LocalAction.LAMP_AND_BUZZER))
def test_a_deadline_never_lies_before_the_press_and_never_beyond_both_waits(one: Alarm) -> None:
    at_s = due_s(one)
    if one.stage >= Stage.TAKEN:
        assert at_s is None
        return
    assert at_s is not None
    assert at_s >= one.raised_s + one.deadlines.no_receipt_s
    assert at_s <= max(one.since_s, one.raised_s) + one.deadlines.no_claim_s


@given(home=homes, now_s=seconds, cut_s=seconds)
def test_a_home_that_is_cut_off_is_told_so_only_while_there_is_no_alarm(
    home: list[Alarm], now_s: float, cut_s: float
) -> None:
    decision = decide(home, now_s, cut_off_since_s=cut_s, cut_off_after_s=300)
    is_calm = all(one.action is LocalAction.NONE for one in home)
    assert decision.is_cut_off is (is_calm and now_s >= cut_s + 300)
    assert (decision.phrase is Phrase.CUT_OFF) is decision.is_cut_off


AT = Deadlines()
PRESS = Alarm(
    event=EventId(b"h" * 8, b"e" * 8, Lane.ALARM, 1),
    device="pendant-1",
    alarm_class=AlarmClass.PERSONAL,
    action=LocalAction.LAMP_AND_BUZZER,
    stage=Stage.UNKNOWN,
    raised_s=100.0,
    since_s=100.0,
    deadlines=AT,
)


@pytest.mark.parametrize(
    ("stage", "since_s", "now_s", "cause", "phrase"),
    [
        (Stage.UNKNOWN, 100.0, 114.9, None, None),
        (Stage.UNKNOWN, 100.0, 115.0, Cause.NO_RECEIPT, Phrase.NOT_THROUGH),
        (Stage.WAITING, 101.0, 219.9, None, Phrase.RECEIVED),
        (Stage.WAITING, 101.0, 220.0, Cause.NO_CLAIM, Phrase.NO_ANSWER),
        (Stage.WAITING, 300.0, 419.9, None, Phrase.RECEIVED),
        (Stage.WAITING, 300.0, 420.0, Cause.NO_CLAIM, Phrase.NO_ANSWER),
        (Stage.TAKEN, 130.0, 9_000.0, None, Phrase.TAKEN),
        (Stage.ON_THE_WAY, 130.0, 9_000.0, None, Phrase.ON_THE_WAY),
    ],
    ids=[
        "not yet",
        "no receipt for 15 s",
        "received at once, nobody for 119.9 s",
        "nobody for 120 s after the press",
        "received late: people get their time from then",
        "received late, nobody since",
        "taken",
        "on the way",
    ],
)
def test_one_press_and_what_follows(
    stage: Stage, since_s: float, now_s: float, cause: Cause | None, phrase: Phrase | None
) -> None:
    decision = decide([replace(PRESS, stage=stage, since_s=since_s)], now_s)
    assert decision.sound is cause
    assert decision.phrase is phrase
