from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.probes import ProbeRule, Probes

RULE = ProbeRule()
steps = st.lists(
    st.tuples(st.sampled_from(["sent", "failed", "answered", "soon"]), st.floats(0, 200_000)), min_size=1, max_size=30
)


@given(st.integers(0, 10_000))
def test_the_first_probe_leaves_within_ten_minutes_of_the_start_and_not_all_at_once(seed: int) -> None:
    probes = Probes(random.Random(seed), RULE, 1000.0)
    assert 1000.0 < probes.due_s <= 1600.0
    assert probes.due_s != Probes(random.Random(seed + 1), RULE, 1000.0).due_s
    assert not probes.is_overdue(1e9)  # nothing was asked, so nothing is missing


def test_what_is_answered_waits_for_the_next_day_and_what_is_not_for_an_hour() -> None:
    probes = Probes(random.Random(1), RULE, 0.0)
    probes.sent(500.0, 7)
    assert 500 + 0.9 * RULE.again_s <= probes.due_s <= 500 + RULE.again_s
    assert not probes.is_overdue(500 + RULE.answered_within_s - 1)
    assert probes.is_overdue(500 + RULE.answered_within_s)
    probes.sent(4000.0, 8)
    assert probes.is_overdue(4001.0)  # another one that is sent answers nothing
    probes.answered(4100.0, 9)
    assert not probes.is_overdue(1e9)
    assert probes.due_s >= 4100 + 0.9 * RULE.every_s
    assert probes.view(4100.0, 9).answered_ms == 9


@given(seed=st.integers(0, 10_000), steps=steps)
def test_the_next_probe_is_always_within_a_day_and_its_order_never_makes_a_burst(
    seed: int, steps: list[tuple[str, float]]
) -> None:
    probes, now_s, sent_s = Probes(random.Random(seed), RULE, 0.0), 0.0, None
    for what, gap_s in steps:
        now_s += gap_s
        if what == "soon":
            probes.soon(now_s)
        elif what == "answered":
            probes.answered(now_s, 1)
        elif now_s >= probes.due_s:
            if sent_s is not None:
                assert now_s - sent_s >= 0.9 * RULE.retry_s
            if what == "sent":
                probes.sent(now_s, 1)
            else:
                probes.failed(now_s, "no network")
            sent_s = now_s if what == "sent" else sent_s
        assert probes.due_s <= now_s + RULE.every_s


@given(
    steps=steps,
    asleep_s=st.floats(0, 1e6),
    seed=st.integers(0, 100),
)
def test_what_is_kept_over_a_restart_is_what_was_known(
    steps: list[tuple[str, float]], asleep_s: float, seed: int
) -> None:
    base_ms, now_s = 1_790_000_000_000, 0.0
    before = Probes(random.Random(seed), RULE, now_s)
    for what, gap_s in steps:
        now_s += gap_s
        wall_ms = base_ms + round(now_s * 1000)
        match what:
            case "sent":
                before.sent(now_s, wall_ms)
            case "failed":
                before.failed(now_s, "no network")
            case "answered":
                before.answered(now_s, wall_ms)
    text = before.memory(now_s, base_ms + round(now_s * 1000))
    later_s = now_s + asleep_s
    later_ms = base_ms + round(later_s * 1000)
    after = Probes(random.Random(seed), RULE, 5.0)  # the clock since boot began anew
    after.recall(text, 5.0, later_ms)
    then, now = before.view(later_s, later_ms), after.view(5.0, later_ms)
    assert now.answered_ms == then.answered_ms
    assert now.is_stale == then.is_stale or abs((then.answered_s_ago or 0) - RULE.every_s - RULE.answered_within_s) < 1
    assert (now.awaited_s is None) == (then.awaited_s is None)
    assert abs((now.awaited_s or 0) - (then.awaited_s or 0)) < 0.01


@given(st.one_of(st.text(), st.integers(), st.none()))
def test_rubbish_that_was_kept_is_as_nothing(kept: str | int | None) -> None:
    probes = Probes(random.Random(1), RULE, 0.0)
    probes.recall(kept, 0.0, 1_790_000_000_000)
    view = probes.view(0.0, 1_790_000_000_000)
    assert view.awaited_s is None or view.awaited_s >= 0
