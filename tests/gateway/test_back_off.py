"""One path's pauses, and a whole region's: thousands of hubs that lose central in one instant."""

from __future__ import annotations

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.back_off import FRAMES, BackOff, BackOffRule


def test_pauses_grow_and_never_pass_the_longest() -> None:
    back_off = BackOff(random.Random(1))
    back_off.lost(0.0)
    pauses = [back_off.pause_s() for _ in range(200)]
    assert pauses[0] <= 3 * FRAMES.base_s
    assert all(FRAMES.base_s <= pause <= FRAMES.max_s for pause in pauses)
    assert max(pauses) > FRAMES.max_s / 2
    assert len(set(pauses)) == 200  # also the longest are drawn: no two hubs share them


def long_away() -> BackOff:
    back_off = BackOff(random.Random(1))
    back_off.lost(0.0)
    for _ in range(6):
        back_off.pause_s()
    return back_off


def test_a_connection_that_is_heard_and_breaks_at_once_resets_nothing() -> None:
    back_off = long_away()
    before_s = back_off.last_s
    back_off.opened()
    back_off.heard(100.0)
    back_off.lost(100.0 + FRAMES.stable_s - 0.1)
    assert back_off.last_s == before_s
    back_off.opened()
    back_off.heard(200.0)
    back_off.lost(200.0 + FRAMES.stable_s)
    assert back_off.pause_s() <= FRAMES.spread_s


def test_a_connection_on_which_central_was_never_heard_resets_nothing_however_long_it_held() -> None:
    back_off = long_away()
    before_s = back_off.last_s
    back_off.opened()
    back_off.lost(9999.0)
    assert back_off.last_s == before_s


@given(
    seed=st.integers(0, 10_000),
    steps=st.lists(st.tuples(st.sampled_from(["opened", "heard", "lost", "pause"]), st.floats(-10, 5000)), max_size=40),
    outage_s=st.floats(0, 1e6),
)
def test_whatever_happened_before_an_alarm_waits_no_longer_than_a_fifth_of_a_second(
    seed: int, steps: list[tuple[str, float]], outage_s: float
) -> None:
    back_off, now_s = BackOff(random.Random(seed)), 1000.0
    for what, gap_s in steps:
        now_s += gap_s
        if what == "opened":
            back_off.opened()
        elif what == "heard":
            back_off.heard(now_s)
        elif what == "lost":
            back_off.lost(now_s)
        else:
            assert FRAMES.base_s <= back_off.pause_s() <= FRAMES.max_s
    assert 0 < back_off.hurry_s(now_s + outage_s) <= FRAMES.hurry_max_s


class Region:
    """Hubs whose connections, stable before, all break at 0; central is back after `away_s`."""

    def __init__(
        self, hubs: int, away_s: float, *, rule: BackOffRule = FRAMES, hangs_s: float = 0.0, seed: int = 7
    ) -> None:
        self.away_s = away_s
        self.arrived: dict[int, float] = {}
        """Hub → when it got through."""
        self.attempts = Counter[int]()
        """Second → how many knocked."""
        chance = random.Random(seed)
        self._hangs_s = hangs_s
        self._hubs = [BackOff(random.Random(chance.random()), rule) for _ in range(hubs)]
        for one in self._hubs:
            one.opened()
            one.heard(-3600.0)
            one.lost(0.0)

    def run(self, in_a_hurry: frozenset[int] = frozenset()) -> None:
        def pause_s(hub: int, now_s: float) -> float:
            back_off = self._hubs[hub]
            calm_s = back_off.pause_s()
            return min(calm_s, back_off.hurry_s(now_s)) if hub in in_a_hurry else calm_s

        due = [(pause_s(hub, 0.0), hub) for hub in range(len(self._hubs))]
        heapq.heapify(due)
        while due:
            now_s, hub = heapq.heappop(due)
            if hub not in in_a_hurry:
                self.attempts[int(now_s)] += 1
            if now_s >= self.away_s:
                self.arrived[hub] = now_s
            else:
                failed_s = now_s + self._hangs_s
                if failed_s >= self.away_s:  # what hangs in the network gets through at once
                    self.arrived[hub] = max(now_s, self.away_s)
                    continue
                self._hubs[hub].lost(failed_s)
                heapq.heappush(due, (failed_s + pause_s(hub, failed_s), hub))


@pytest.mark.parametrize("away_s", [0.2, 3.0, 20.0, 300.0])
@pytest.mark.parametrize("spread_s", [10.0, 60.0])
def test_a_region_that_comes_back_is_spread_over_time_and_alarms_come_at_once(away_s: float, spread_s: float) -> None:
    hubs = 4000
    alarms = frozenset(range(0, hubs, 100))
    region = Region(hubs, away_s, rule=BackOffRule(spread_s=spread_s))
    region.run(alarms)
    assert len(region.arrived) == hubs
    for hub in alarms:
        assert region.arrived[hub] - away_s <= 0.25
    calm = [at_s for hub, at_s in region.arrived.items() if hub not in alarms]
    per_second = Counter(int(at_s - away_s) for at_s in calm)
    # What is drawn evenly again and again peaks at e times its first rate; while central is away nobody knocks in step
    # either.
    assert max(per_second.values()) <= 3.2 * hubs / spread_s
    assert max(region.attempts.values()) <= 3.2 * hubs / spread_s
    assert max(calm) - away_s <= max(FRAMES.max_s, spread_s)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), away_s=st.floats(0.1, 200.0), hangs_s=st.sampled_from([0.0, 0.3, 5.0]))
def test_no_moment_of_return_makes_a_storm(seed: int, away_s: float, hangs_s: float) -> None:
    hubs = 800
    region = Region(hubs, away_s, seed=seed, hangs_s=hangs_s)
    region.run()
    per_second = Counter(int(at_s - away_s) for at_s in region.arrived.values())
    most = max(list(per_second.values())[1:] or [0]) if hangs_s else max(per_second.values())
    assert most <= 3.2 * hubs / FRAMES.spread_s  # those that hang in the network get through in its first instant


def test_a_central_that_takes_connections_and_drops_them_is_knocked_at_ever_more_rarely() -> None:
    hubs = [BackOff(random.Random(seed)) for seed in range(500)]
    knocks = Counter[int]()
    for back_off in hubs:
        back_off.opened()
        back_off.heard(-3600.0)
        back_off.lost(0.0)
        now_s = 0.0
        while now_s < 120:
            now_s += back_off.pause_s()
            knocks[int(now_s // 20)] += 1
            back_off.opened()
            back_off.heard(now_s)
            now_s += 1.0  # overloaded: it answers, and breaks
            back_off.lost(now_s)
    assert max(knocks.values()) == knocks[0]
    assert knocks[5] < 0.8 * knocks[0]
