import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble.ladder import LEARNT, LONGEST_WAIT_S, REFUSALS, ROUNDS, SHORTEST_S, Ladder, Rung

SILENCE_S = 180.0


def ladder(*, may_restart_service: bool = True) -> Ladder:
    return Ladder(silence_s=SILENCE_S, may_restart_service=may_restart_service, now_s=0.0)


def lively(**settings: bool) -> tuple[Ladder, float]:
    """A radio that has heard something every second for a while."""
    record = ladder(**settings)
    for second in range(100):
        record.heard(float(second))
    return record, 99.0


def test_until_enough_was_heard_the_setting_is_the_patience() -> None:
    record = ladder()
    assert record.due_s == SILENCE_S
    for second in range(LEARNT - 1):
        record.heard(float(second))
    assert record.patience_s == SILENCE_S


def test_in_a_lively_place_silence_is_noticed_sooner() -> None:
    record, now_s = lively()
    assert record.patience_s == SHORTEST_S
    assert record.due_s == now_s + SHORTEST_S


def test_a_place_that_is_quiet_now_and_then_teaches_patience_up_to_the_setting() -> None:
    record, now_s = lively()
    record.heard(now_s + 20.0)
    assert record.patience_s == 80.0
    record.heard(now_s + 1000.0)
    assert record.patience_s == SILENCE_S


def test_the_rungs_come_in_their_order_each_after_a_longer_wait() -> None:
    record, now_s = lively()
    waits, rungs = [], []
    for _ in range(6):
        waits.append(record.due_s - now_s)
        now_s = record.due_s
        rungs.append(record.climb(now_s))
        record.scanning(now_s)
    assert rungs == [Rung.SCAN, Rung.POWER, Rung.SERVICE] * 2
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 960.0]


def test_the_service_is_left_alone_unless_that_was_allowed() -> None:
    record, now_s = lively(may_restart_service=False)
    assert Rung.SERVICE not in {record.climb(now_s + 1000.0 * step) for step in range(20)}
    assert Rung.SERVICE not in {ladder(may_restart_service=False).refused() for _ in range(200)}


def test_a_home_in_which_nothing_advertises_is_not_reset_for_ever_and_raises_nothing() -> None:
    record, now_s, resets, week_s = ladder(), 0.0, 0, 7 * 86_400.0
    while now_s < week_s:
        now_s = record.due_s
        resets += record.climb(now_s) is not Rung.SCAN
        record.scanning(now_s)
    assert resets == 2 * ROUNDS
    assert record.due_s - now_s == LONGEST_WAIT_S
    assert not record.is_told


def test_a_silence_unlike_any_before_is_told_before_the_power_is_switched() -> None:
    record, _ = lively()
    assert record.climb(record.due_s) is Rung.SCAN
    assert not record.is_told
    assert record.climb(record.due_s) is Rung.POWER
    assert record.is_told
    assert record.heard(1000.0)
    assert not record.heard(1001.0)


def test_a_pause_that_a_reset_ended_teaches_nothing() -> None:
    record, now_s = lively()
    record.climb(now_s + 30)
    record.climb(now_s + 90)
    record.heard(now_s + 91)
    assert record.patience_s == SHORTEST_S


def test_refusals_climb_by_count_ever_more_rarely() -> None:
    record = ladder()
    found = [(count, rung) for count in range(1, 100) if (rung := record.refused()) is not None]
    assert found == [
        (REFUSALS, Rung.POWER),
        (2 * REFUSALS, Rung.SERVICE),
        (4 * REFUSALS, Rung.POWER),
        (8 * REFUSALS, Rung.SERVICE),
        (16 * REFUSALS, Rung.POWER),
        (32 * REFUSALS, Rung.SERVICE),
    ]


@pytest.mark.parametrize("end", ["heard", "granted"])
def test_refusals_are_forgotten_once_a_search_works(end: str) -> None:
    record = ladder()
    for _ in range(REFUSALS - 1):
        assert record.refused() is None
    if end == "heard":
        record.heard(1.0)
    else:
        record.granted()
    assert record.refused() is None


@given(st.lists(st.tuples(st.booleans(), st.floats(min_value=0, max_value=5000, allow_nan=False)), max_size=200))
def test_whatever_is_heard_the_next_look_is_ahead_and_bounded(steps: list[tuple[bool, float]]) -> None:
    record, now_s = ladder(), 0.0
    for is_heard, wait_s in steps:
        was_told = record.is_told
        if is_heard:
            now_s += wait_s
            assert record.heard(now_s) is was_told
            assert not record.is_told
            assert record.climbed == 0
        else:
            now_s = max(now_s, record.due_s)
            record.climb(now_s)
            record.scanning(now_s)
        assert SHORTEST_S <= record.patience_s <= SILENCE_S
        assert now_s < record.due_s <= now_s + LONGEST_WAIT_S
