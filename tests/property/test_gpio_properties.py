"""No flutter gets through a debounce, no stable state is missed, and when one looks makes no difference."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import Fact, Observation, Pattern
from drivers.gpio.codec import Change, Restless, Settled, Zone
from drivers.gpio.facts import Outbox
from drivers.gpio.patterns import SHORTEST_STEP_S, step_at

STABLE_MS, RESTLESS_MS = 50, 300

runs = st.lists(st.tuples(st.booleans(), st.integers(min_value=1, max_value=160)), min_size=1, max_size=40)
"""Levels and for how many milliseconds each is held; times are whole numbers, so nothing is rounded."""


def timeline(held: list[tuple[bool, int]]) -> list[bool]:
    """The level in every millisecond."""
    return [level for level, length in held for _ in range(length)]


def edges(held: list[tuple[bool, int]]) -> list[tuple[bool, int]]:
    at, found = 0, []
    for level, length in held:
        found.append((level, at))
        at += length
    return found


def feed(zone: Zone, held: list[tuple[bool, int]], looks: list[int]) -> list[Change]:
    """All samples, and `advance` at the times in `looks`; then one look at the very end."""
    found: list[Change] = []
    steps = [(at, 0, level) for level, at in edges(held)] + [(at, 1, False) for at in looks]
    for at, is_look, level in sorted(steps):
        found += zone.advance(at) if is_look else zone.sample(level, at)
    return [*found, *zone.advance(sum(length for _, length in held))]


@given(runs, st.lists(st.integers(min_value=0, max_value=6400)))
def test_exactly_the_levels_that_hold_become_states(held: list[tuple[bool, int]], looks: list[int]) -> None:
    end = sum(length for _, length in held)
    zone = Zone(stable_s=STABLE_MS, restless_s=10**9)
    found = feed(zone, held, [look for look in looks if look <= end])

    merged: list[list[int]] = []
    for level, at in edges(held):
        if not merged or merged[-1][0] != level:
            merged.append([int(level), at])
    expected, state = [], None
    for (level, since), (_next, until) in pairwise([*merged, [2, end]]):
        if until - since >= STABLE_MS and level != state:
            expected.append(
                Settled(is_active=bool(level), since_s=since, at_s=since + STABLE_MS, is_initial=state is None)
            )
            state = level
    assert found == expected


@given(runs, st.lists(st.integers(min_value=0, max_value=6400)), st.booleans())
def test_when_one_looks_makes_no_difference(held: list[tuple[bool, int]], looks: list[int], is_raised: bool) -> None:
    end = sum(length for _, length in held)

    def zone() -> Zone:
        return Zone(stable_s=STABLE_MS, restless_s=RESTLESS_MS, is_raised_by_unrest=is_raised)

    eager = feed(zone(), held, list(range(end)))
    assert feed(zone(), held, [look for look in looks if look <= end]) == eager
    assert feed(zone(), held, []) == eager


@given(runs, st.booleans())
def test_a_zone_agrees_with_counting_milliseconds(held: list[tuple[bool, int]], is_raised: bool) -> None:
    """The rules once more, written the slow way: a counter of quiet and a counter of unquiet milliseconds."""
    zone = Zone(stable_s=STABLE_MS, restless_s=RESTLESS_MS, is_raised_by_unrest=is_raised)
    levels = timeline(held)
    state: bool | None = None
    quiet, unquiet, is_restless = 0, 0, False
    is_settled = False
    for at, level in enumerate(levels):
        zone.sample(level, at)
        assert (zone.state, zone.is_restless) == (state, is_restless), at
        if at and level is not levels[at - 1]:
            quiet, is_settled = 0, False
        quiet += 1
        unquiet = 0 if is_settled else unquiet + 1
        if quiet >= STABLE_MS:
            state, is_restless, is_settled, unquiet = level, False, True, 0
        elif unquiet >= RESTLESS_MS:
            is_restless = True
            if is_raised:
                state = True


@given(st.lists(st.tuples(st.booleans(), st.floats(min_value=-1e6, max_value=1e6))), st.booleans())
def test_whatever_the_clock_does_states_alternate_and_times_never_go_back(
    samples: list[tuple[bool, float]], is_raised: bool
) -> None:
    zone = Zone(stable_s=0.05, restless_s=3.0, is_raised_by_unrest=is_raised)
    found = [change for level, at in samples for change in zone.sample(level, at)]
    settled = [change for change in found if isinstance(change, Settled)]
    restless = [change for change in found if isinstance(change, Restless)]
    assert [change.at_s for change in found] == sorted(change.at_s for change in found)
    assert all(earlier.is_active is not later.is_active for earlier, later in pairwise(settled))
    assert all(earlier.is_restless is not later.is_restless for earlier, later in pairwise(restless))
    assert [change.is_initial for change in settled] == [True, *[False] * (len(settled) - 1)][: len(settled)]


observations = st.builds(
    Observation,
    device=st.sampled_from(["cord-bath", "mat-bed", "door"]),
    fact=st.sampled_from([Fact.CORD, Fact.PRESENCE, Fact.FAULT]),
    value=st.booleans(),
    observed_boot_s=st.floats(min_value=0, max_value=1e6),
    may_alarm=st.booleans(),
)


@given(st.lists(observations, max_size=120))
def test_a_full_outbox_keeps_order_the_last_word_and_one_of_each_alarm(told: list[Observation]) -> None:
    outbox = Outbox(limit=20)
    for observation in told:
        outbox.put(observation)
    kept = []
    while (observation := outbox.pop()) is not None:
        kept.append(observation)
    assert len(kept) == min(20, len(told)) == len(told) - outbox.dropped
    places = iter(told)
    assert all(any(observation is place for place in places) for observation in kept), "order"
    assert {(o.device, o.fact): o for o in kept} == {(o.device, o.fact): o for o in told}, "last word"
    alarms = {(o.device, o.fact, o.value) for o in told if o.may_alarm}
    assert alarms <= {(o.device, o.fact, o.value) for o in kept}, "an alarm is gone"


patterns = st.builds(
    Pattern,
    colour=st.none(),
    steps=st.lists(st.tuples(st.booleans(), st.floats(min_value=0, max_value=5)), min_size=2, max_size=6).map(tuple),
)


@given(patterns)
def test_a_pattern_plays_its_steps_in_order_for_their_time(pattern: Pattern) -> None:
    at_s = 0.0
    for is_on, given_s in pattern.steps * 2:
        length_s = max(SHORTEST_STEP_S, given_s)
        shown, left_s = step_at(pattern, at_s + length_s / 2)
        assert shown is is_on
        assert left_s is not None
        assert abs(left_s - length_s / 2) < 1e-6
        at_s += length_s
