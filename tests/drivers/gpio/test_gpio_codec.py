from __future__ import annotations

import pytest

from drivers.gpio.codec import Change, Restless, Settled, Zone


def run(zone: Zone, *samples: tuple[bool, float], until_s: float) -> list[Change]:
    found: list[Change] = []
    for is_active, at_s in samples:
        found += zone.sample(is_active, at_s)
    return [*found, *zone.advance(until_s)]


def test_an_input_that_is_active_at_the_first_reading_is_told() -> None:
    zone = Zone(stable_s=0.05, restless_s=3)
    assert zone.sample(True, 100.0) == ()
    assert zone.due_s() == pytest.approx(100.05)
    assert zone.advance(100.04) == ()
    (told,) = zone.advance(100.06)
    assert told == Settled(is_active=True, since_s=100.0, at_s=pytest.approx(100.05), is_initial=True)
    assert zone.due_s() is None


def test_a_first_reading_at_rest_is_told_as_well() -> None:
    (told,) = run(Zone(stable_s=0.05, restless_s=3), (False, 1.0), until_s=2.0)
    assert isinstance(told, Settled)
    assert (told.is_active, told.is_initial) == (False, True)


def test_a_pull_with_bouncing_contacts_is_one_pull() -> None:
    zone = Zone(stable_s=0.05, restless_s=3)
    run(zone, (False, 0.0), until_s=1.0)
    bouncing = [(True, 1.000), (False, 1.003), (True, 1.004), (False, 1.011), (True, 1.012)]
    (told,) = run(zone, *bouncing, until_s=2.0)
    assert told == Settled(is_active=True, since_s=1.012, at_s=pytest.approx(1.062), is_initial=False)
    assert zone.bounces == 4


def test_a_spike_shorter_than_the_debounce_is_counted_and_not_told() -> None:
    zone = Zone(stable_s=0.05, restless_s=3)
    run(zone, (False, 0.0), until_s=1.0)
    assert run(zone, (True, 1.0), (False, 1.04), until_s=9.0) == []
    assert zone.bounces == 2


def test_a_short_pull_is_found_even_when_nobody_looked_in_time() -> None:
    zone = Zone(stable_s=0.05, restless_s=3)
    run(zone, (False, 0.0), until_s=1.0)
    pulled, released = run(zone, (True, 10.0), (False, 10.06), until_s=60.0)
    assert pulled == Settled(is_active=True, since_s=10.0, at_s=pytest.approx(10.05), is_initial=False)
    assert released == Settled(is_active=False, since_s=10.06, at_s=pytest.approx(10.11), is_initial=False)


def hum(start_s: float, end_s: float) -> list[tuple[bool, float]]:
    """An open loop that picks up 50 Hz from the mains beside it."""
    steps = round((end_s - start_s) / 0.01)
    return [(step % 2 == 0, start_s + step * 0.01) for step in range(steps)]


def test_a_loop_that_hums_is_restless_and_a_cord_that_hums_is_pulled() -> None:
    zone = Zone(stable_s=0.05, restless_s=3, is_raised_by_unrest=True)
    run(zone, (False, 0.0), until_s=1.0)
    told = run(zone, *hum(1.0, 10.0), until_s=10.0)
    assert told == [
        Restless(is_restless=True, at_s=pytest.approx(4.0)),
        Settled(is_active=True, since_s=1.0, at_s=pytest.approx(4.0), is_initial=False, is_unrest=True),
    ]
    calm = run(zone, (False, 10.0), until_s=11.0)
    assert calm[0] == Restless(is_restless=False, at_s=pytest.approx(10.04))
    assert isinstance(calm[1], Settled)
    assert not calm[1].is_active


def test_a_mat_that_hums_is_restless_and_keeps_its_state() -> None:
    zone = Zone(stable_s=0.05, restless_s=3)
    run(zone, (True, 0.0), until_s=1.0)
    assert run(zone, *hum(1.0, 10.0), until_s=10.0) == [Restless(is_restless=True, at_s=pytest.approx(4.01))]
    assert zone.state is True


def test_a_cord_that_hums_from_the_start_is_pulled() -> None:
    zone = Zone(stable_s=0.05, restless_s=3, is_raised_by_unrest=True)
    told = run(zone, *hum(0.0, 5.0), until_s=5.0)
    assert told[1] == Settled(is_active=True, since_s=0.0, at_s=3.0, is_initial=True, is_unrest=True)


def test_a_time_that_goes_back_is_read_as_now() -> None:
    zone = Zone(stable_s=0.05, restless_s=3)
    run(zone, (False, 0.0), until_s=10.0)
    assert zone.sample(True, 4.0) == ()
    assert zone.advance(10.04) == ()
    (told,) = zone.advance(10.06)
    assert told == Settled(is_active=True, since_s=10.0, at_s=pytest.approx(10.05), is_initial=False)


def test_unrest_has_to_be_longer_than_the_debounce() -> None:
    with pytest.raises(ValueError, match="must be longer than stable_s"):
        Zone(stable_s=1.0, restless_s=1.0)
