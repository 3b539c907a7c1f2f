import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.comeback import Comeback, End, Times

TIMES = Times()


def comeback() -> Comeback:
    return Comeback(TIMES, random.Random(7))


def test_what_was_unplugged_is_looked_for_at_least_once_a_minute_for_ever() -> None:
    record = comeback()
    pauses = [record.ended(End.PASSING, 0.1) for _ in range(200)]
    assert not any(pause.is_parked for pause in pauses)
    assert max(pause.seconds for pause in pauses) <= TIMES.max_s
    assert min(pause.seconds for pause in pauses) >= TIMES.base_s


def test_a_crash_loop_is_parked_with_pauses_that_grow_to_a_bound() -> None:
    record = comeback()
    pauses = [record.ended(End.CRASHED, 0.1) for _ in range(20)]
    parked = [pause.seconds for pause in pauses if pause.is_parked]
    assert [pause.is_parked for pause in pauses[:6]] == [False] * 4 + [True] * 2
    assert parked[0] < parked[1] < parked[2]
    assert max(parked) <= TIMES.crashing_max_s * 1.1


def test_a_driver_that_needs_a_person_is_parked_at_once() -> None:
    record = comeback()
    first = record.ended(End.NEEDS_PERSON, 0.1)
    assert first.is_parked
    assert first.is_news
    assert max(record.ended(End.NEEDS_PERSON, 0.1).seconds for _ in range(20)) <= TIMES.parked_max_s * 1.1


@pytest.mark.parametrize("end", list(End))
def test_people_are_told_once_and_that_it_is_over_once(end: End) -> None:
    record = comeback()
    assert sum(record.ended(end, 0.1).is_news for _ in range(50)) == 1
    assert not record.steadied(TIMES.steady_s / 2)
    assert [record.steadied(TIMES.steady_s), record.steadied(2 * TIMES.steady_s)] == [True, False]
    assert sum(record.ended(end, 0.1).is_news for _ in range(50)) == 1


def test_a_driver_that_failed_once_and_ran_well_since_is_no_news() -> None:
    record = comeback()
    for _ in range(50):
        assert not record.ended(End.CRASHED, TIMES.steady_s).is_news
        assert not record.steadied(TIMES.steady_s)


def test_a_driver_that_runs_for_moments_between_crashes_is_not_back() -> None:
    record = comeback()
    told = 0
    for _ in range(100):
        told += record.ended(End.CRASHED, TIMES.steady_s * 0.9).is_news
        assert not record.steadied(TIMES.steady_s * 0.9)
    assert told == 1


@given(
    st.lists(st.tuples(st.sampled_from(End), st.floats(min_value=0, max_value=200, allow_nan=False)), max_size=80),
    st.integers(),
)
def test_whatever_happens_every_pause_is_bounded_and_news_and_their_end_take_turns(
    runs: list[tuple[End, float]], seed: int
) -> None:
    record = Comeback(TIMES, random.Random(seed))
    turns: list[str] = []
    for end, ran_s in runs:
        if record.steadied(ran_s):
            turns.append("back")
        pause = record.ended(end, ran_s)
        assert TIMES.base_s <= pause.seconds <= TIMES.parked_max_s * 1.1
        if pause.is_news:
            turns.append("parked")
    assert turns == (["parked", "back"] * len(turns))[: len(turns)]
