"""The rules of an alarm's life, walked at random: no way leads where none should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central import lifecycle
from central.lifecycle import (
    CLAIMED,
    CLOSED,
    DEFERRED,
    DISPATCH_STEPS,
    HELD,
    OPEN_DISPATCH,
    STAGES,
    WAITING,
    Action,
    Dispatch,
    DispatchState,
    Handling,
    Meaning,
    Stage,
    after,
    allowed,
    furthest,
    stage_of,
)
from cloud_sync.central_messages import ReplyState
from cloud_sync.vocabulary import BY_WORD, KINDS, AlarmClass

LIGHT_GREEN = {Action.CLAIM, Action.ROOM_CLAIM}
END = {Action.CLOSE, Action.OVERRIDE_CLOSE, Action.ROOM_CLOSE}
BY_THE_DEVICE = {Action.REPEAT, Action.CLEAR}


@given(st.lists(st.sampled_from(list(Action)), max_size=40))
def test_whatever_happens_only_people_light_green_and_only_a_close_closes(actions: list[Action]) -> None:
    stage = WAITING
    for action in actions:
        found = after(stage, action)
        if found is None:
            continue
        if found.reply in {ReplyState.TAKEN, ReplyState.ON_THE_WAY} and stage.reply is ReplyState.WAITING:
            assert action in LIGHT_GREEN
        if found.reply is ReplyState.ON_THE_WAY and stage.reply is not ReplyState.ON_THE_WAY:
            assert action in {Action.ON_THE_WAY, Action.ON_SITE}
        if found == CLOSED:
            assert action in END
        if action in BY_THE_DEVICE:
            assert found == stage or (stage, action, found) == (DEFERRED, Action.REPEAT, WAITING)
        stage = found


def test_without_a_leads_reason_or_the_reset_at_the_room_only_what_somebody_has_is_closed() -> None:
    assert {stage for stage in STAGES.values() if after(stage, Action.CLOSE)} == set(HELD)


def test_nobody_defers_what_somebody_has_promised_to_go_to() -> None:
    can = {stage.word for stage in STAGES.values() if after(stage, Action.DEFER)}
    assert can == {"claimed", "sent"}


def test_whatever_becomes_of_a_deferral_a_person_has_it_or_it_waits() -> None:
    ways = {action: after(DEFERRED, action) for action in allowed(DEFERRED)}
    assert ways[Action.COME_BACK] == ways[Action.REPEAT] == WAITING
    assert ways[Action.CLAIM] == ways[Action.UNDO_DEFER] == CLAIMED
    assert {Action.CLOSE, Action.RELEASE, Action.EXPIRE} & set(ways) == set()


@pytest.mark.parametrize("handling", list(Handling))
@pytest.mark.parametrize("dispatch", list(Dispatch))
def test_who_was_sent_counts_only_while_somebody_has_the_alarm(handling: Handling, dispatch: Dispatch) -> None:
    stage = stage_of(handling, dispatch)
    assert stage == STAGES[stage.word]
    assert stage.handling is handling
    assert stage.dispatch is (dispatch if handling is Handling.CLAIMED else Dispatch.NONE)


@given(st.lists(st.sampled_from(list(DispatchState)), max_size=60))
def test_a_dispatch_that_is_over_stays_over_and_nobody_is_there_who_did_not_say_so(states: list[DispatchState]) -> None:
    at = DispatchState.SENT
    for state in states:
        if state not in DISPATCH_STEPS[at]:
            continue
        assert at not in {DispatchState.DONE, DispatchState.CANCELLED, DispatchState.DECLINED}
        if state is DispatchState.DONE:
            assert at is DispatchState.ON_SITE
        at = state
    assert (furthest([at]) is Dispatch.NONE) == (at not in OPEN_DISPATCH)


@given(st.lists(st.sampled_from(list(DispatchState)), max_size=6))
def test_the_alarm_says_how_far_the_furthest_is_of_those_still_out(states: list[DispatchState]) -> None:
    out = [state.value for state in states if state in OPEN_DISPATCH]
    found = furthest(states)
    assert (found is Dispatch.NONE) == (not out)
    for word in ("on_site", "on_the_way", "accepted"):
        if word in out:
            assert found == word
            break


@pytest.mark.parametrize("stage", STAGES.values(), ids=lambda stage: stage.word)
def test_every_stage_has_a_way_on_and_a_word_for_the_home(stage: Stage) -> None:
    assert allowed(stage)
    assert STAGES[stage.word] == stage
    assert stage.reply in ReplyState


def test_a_device_can_do_nothing_to_a_closed_alarm() -> None:
    assert allowed(CLOSED) == (Action.UNDO_CLOSE,)


def test_a_rank_rises_within_care_only() -> None:
    assert [lifecycle.lifted_rank(rank) for rank in range(7)] == [0, 1, 1, 2, 4, 5, 6]


def test_every_kind_means_something_and_everything_a_person_answers_is_personal() -> None:
    for kind in KINDS:
        meaning = lifecycle.meaning_of(kind)
        assert (meaning is Meaning.PERSONAL) == kind.is_alarm
        if kind.alarm_class is AlarmClass.TECHNICAL and kind.rank <= 5:
            assert meaning is Meaning.TECHNICAL
    assert lifecycle.meaning_of(BY_WORD["test_alarm"]) is Meaning.TEST


def test_what_ends_a_condition_and_the_condition_are_both_kinds() -> None:
    for over, condition in lifecycle.CLEARED_BY.items():
        assert BY_WORD[over].rank == 6
        assert lifecycle.meaning_of(BY_WORD[condition]) is Meaning.TECHNICAL


def test_centrals_own_kinds_do_not_shadow_the_wires() -> None:
    assert not set(lifecycle.CENTRAL_KINDS) & set(BY_WORD)
