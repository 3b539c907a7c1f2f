"""The rules of an alarm's life, walked at random: no way leads where none should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central import lifecycle
from central.lifecycle import CLAIMED, CLOSED, ON_THE_WAY, STAGES, WAITING, Action, Meaning, Stage, after, allowed
from cloud_sync.central_messages import ReplyState
from cloud_sync.vocabulary import BY_WORD, KINDS, AlarmClass

BY_A_PERSON = {Action.CLAIM, Action.ON_THE_WAY, Action.CLOSE, Action.UNDO_CLOSE, Action.RENEW}


@given(st.lists(st.sampled_from(list(Action)), max_size=40))
def test_whatever_happens_only_people_light_green_and_only_a_close_closes(actions: list[Action]) -> None:
    stage = WAITING
    for action in actions:
        found = after(stage, action)
        if found is None:
            continue
        if found.reply in {ReplyState.TAKEN, ReplyState.ON_THE_WAY} and stage.reply is ReplyState.WAITING:
            assert action is Action.CLAIM
        if found == CLOSED:
            assert action is Action.CLOSE
            assert stage in {CLAIMED, ON_THE_WAY}
        if action in {Action.REPEAT, Action.CLEAR}:
            assert found == stage
        stage = found


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
