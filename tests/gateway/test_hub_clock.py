from __future__ import annotations

import time

from gateway.clock import DISAGREEMENT_MS, HubClock, boot_id, is_kernel_synchronised


class Turned:
    """Clocks that a test can turn."""

    def __init__(
        self, *, boot_s: float = 100.0, wall_s: float = 1_700_000_000.0, is_synchronised: bool = False
    ) -> None:
        self.boot_s = boot_s
        self.wall_s = wall_s
        self.is_synchronised = is_synchronised

    def pass_time(self, seconds: float) -> None:
        self.boot_s += seconds
        self.wall_s += seconds

    def clock(self, floor_ms: int = 0) -> HubClock:
        return HubClock(
            floor_ms=floor_ms,
            boot_s=lambda: self.boot_s,
            wall_s=lambda: self.wall_s,
            is_synchronised=lambda: self.is_synchronised,
        )


def test_the_kernel_is_asked_and_answers_without_a_fault() -> None:
    assert is_kernel_synchronised() in {True, False}
    assert len(boot_id()) == 16
    assert boot_id() == boot_id()


def test_the_real_clocks_run() -> None:
    clock = HubClock()
    stamp = clock.stamp()
    assert abs(stamp.wall_ms - time.time() * 1000) < 2000
    assert stamp.boot_ms > 0


def test_a_clock_that_nobody_sets_is_not_trusted_and_one_that_the_kernel_vouches_for_is() -> None:
    assert not Turned().clock().stamp().is_wall_trusted
    assert Turned(is_synchronised=True).clock().stamp().is_wall_trusted


def test_time_before_the_floor_is_the_floor_and_not_trusted() -> None:
    turned = Turned(wall_s=1000.0, is_synchronised=True)
    stamp = turned.clock(floor_ms=1_700_000_000_000).stamp()
    assert (stamp.wall_ms, stamp.is_wall_trusted) == (1_700_000_000_000, False)


def test_what_central_says_is_believed_before_a_wrong_clock() -> None:
    turned = Turned(wall_s=1000.0)
    clock = turned.clock()
    clock.learn(1_700_000_000_000, sent_boot_s=99.9, received_boot_s=100.0)
    stamp = clock.stamp()
    assert abs(stamp.wall_ms - 1_700_000_000_050) <= 1
    assert stamp.is_wall_trusted
    turned.pass_time(10)
    assert abs(clock.stamp().wall_ms - 1_700_000_010_050) <= 1


def test_a_clock_that_agrees_with_central_is_kept_and_trusted() -> None:
    turned = Turned()
    clock = turned.clock()
    clock.learn(1_700_000_000_500, sent_boot_s=100.0, received_boot_s=100.0)
    assert clock.stamp().wall_ms == 1_700_000_000_000
    assert clock.is_trusted
    assert clock.central_ms() == 1_700_000_000_500
    assert clock.central_offset_ms == 500


def test_the_answer_with_the_shortest_round_trip_is_believed() -> None:
    turned = Turned()
    clock = turned.clock()
    clock.learn(1_700_000_000_000, sent_boot_s=99.99, received_boot_s=100.0)
    clock.learn(1_700_000_000_000 - 400, sent_boot_s=99.0, received_boot_s=100.0)
    assert clock.central_ms() == 1_700_000_000_005


def test_when_central_has_another_time_altogether_it_is_followed() -> None:
    turned = Turned()
    clock = turned.clock()
    clock.learn(1_700_000_000_000, sent_boot_s=100.0, received_boot_s=100.0)
    moved_ms = 1_700_000_000_000 + 10 * DISAGREEMENT_MS
    clock.learn(moved_ms, sent_boot_s=99.0, received_boot_s=100.0)
    assert abs((clock.central_ms() or 0) - moved_ms) <= 500


def test_that_centrals_clock_was_set_back_is_noted_and_a_step_forward_or_a_slow_answer_is_not() -> None:
    turned = Turned()
    clock = turned.clock()
    clock.learn(1_700_000_000_000, sent_boot_s=99.98, received_boot_s=100.0)
    clock.learn(1_700_000_000_000 + 10 * DISAGREEMENT_MS, sent_boot_s=99.98, received_boot_s=100.0)
    clock.learn(1_700_000_000_000 + 10 * DISAGREEMENT_MS, sent_boot_s=90.0, received_boot_s=100.0)
    assert clock.set_back == 0
    clock.learn(1_700_000_000_000, sent_boot_s=99.98, received_boot_s=100.0)
    assert clock.set_back == 1


def test_an_old_sample_gives_way_to_a_fresh_one_of_the_same_quality() -> None:
    turned = Turned()
    clock = turned.clock()
    clock.learn(1_700_000_000_000, sent_boot_s=99.98, received_boot_s=100.0)
    turned.pass_time(3600)
    clock.learn(1_700_003_600_100, sent_boot_s=3699.98, received_boot_s=3700.0)
    assert clock.central_ms() == 1_700_003_600_110


def test_a_message_that_answers_nothing_only_tells_that_it_is_at_least_so_late() -> None:
    turned = Turned()
    clock = turned.clock()
    assert clock.central_ms() is None
    clock.hear(1_700_000_005_000)
    turned.pass_time(1)
    assert clock.central_ms() == 1_700_000_006_000
    clock.hear(1_600_000_000_000)
    assert clock.central_ms() == 1_700_000_006_000
    assert not clock.is_trusted


def test_an_observation_is_stamped_with_the_moment_it_was_heard() -> None:
    turned = Turned()
    clock = turned.clock()
    turned.pass_time(2)
    stamp = clock.stamp(100.5)
    assert (stamp.boot_ms, stamp.wall_ms) == (100_500, 1_700_000_000_500)


def test_the_floor_follows_only_a_trusted_clock() -> None:
    turned = Turned()
    clock = turned.clock(floor_ms=5)
    assert clock.raise_floor() == 5
    turned.is_synchronised = True
    turned.pass_time(6)
    assert clock.raise_floor() == 1_700_000_006_000
