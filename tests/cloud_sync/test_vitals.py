"""Who is alive, who has been silent for too long, and what the service manager is told."""

from __future__ import annotations

import asyncio
import threading
import time

import structlog
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.vitals import LOOP, Pulse, Vitals, Watchdog


def test_one_that_beats_is_not_silent_and_one_that_stops_is() -> None:
    vitals = Vitals()
    vitals.expect("journal", 60.0, 0.0)
    vitals.expect("loop", 15.0, 0.0)
    vitals.beat("loop", 50.0)
    vitals.beat("journal", 50.0)
    assert vitals.silent(64.9) == ()
    (silence,) = vitals.silent(66.0)
    assert (silence.name, silence.silent_s, silence.patience_s) == ("loop", 16.0, 15.0)
    vitals.beat("journal", 70.0)
    assert [one.name for one in vitals.silent(200.0)] == ["loop", "journal"]


def test_one_that_need_not_beat_any_longer_is_not_missed() -> None:
    vitals = Vitals()
    vitals.expect("uplink sms", 5.0, 0.0)
    vitals.forget("uplink sms")
    assert vitals.silent(1000.0) == ()


@given(
    beats=st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1000)), max_size=30),
    now_s=st.floats(1000, 3000),
)
def test_silent_are_exactly_those_whose_last_beat_is_older_than_their_patience(
    beats: list[tuple[str, float]], now_s: float
) -> None:
    patience = {"a": 1.0, "b": 500.0, "c": 1500.0}
    vitals, last = Vitals(), dict.fromkeys("abc", 0.0)
    for name, patience_s in patience.items():
        vitals.expect(name, patience_s, 0.0)
    for name, at_s in beats:
        vitals.beat(name, at_s)
        last[name] = at_s
    assert {one.name for one in vitals.silent(now_s)} == {name for name in "abc" if now_s - last[name] > patience[name]}


class Service:
    """What systemd hears, and a clock to turn."""

    def __init__(self, *pulses: Pulse) -> None:
        self.heard: list[str] = []
        self.now_s = 100.0
        self.watchdog = Watchdog(pulses, interval_s=1.0, feed=self.heard.append, mono_s=lambda: self.now_s)


def test_the_watchdog_is_fed_while_everybody_beats() -> None:
    service = Service(Pulse(name="journal", patience_s=60.0, is_alive=lambda: True))
    for _ in range(100):
        service.now_s += 10.0
        service.watchdog.take()
        assert service.watchdog.look()
    assert service.heard == ["WATCHDOG=1"] * 100


def test_one_that_hangs_is_named_in_the_last_line_before_the_feed_stops() -> None:
    is_alive = [True]
    service = Service(Pulse(name="sources", patience_s=30.0, is_alive=lambda: is_alive[0]))
    is_alive[0] = False
    with structlog.testing.capture_logs() as lines:
        for _ in range(6):
            service.now_s += 10.0
            service.watchdog.take()
            service.watchdog.look()
    assert service.heard[:3] == ["WATCHDOG=1"] * 3
    assert service.heard[3:] == ["STATUS=hangs: sources", "WATCHDOG=trigger"]
    assert [(line["event"], line["silent"]) for line in lines] == [("watchdog_not_fed", ["sources"])]


def test_a_machine_that_was_stopped_for_a_while_is_not_killed_for_it() -> None:
    service = Service(Pulse(name="journal", patience_s=60.0, is_alive=lambda: True))
    service.now_s += 3600.0
    assert not service.watchdog.look()  # the thread is back before the loop is
    service.watchdog.take()
    assert service.watchdog.look()
    assert "WATCHDOG=trigger" not in service.heard


async def test_a_loop_that_is_blocked_is_found_from_beside_it_with_the_place_where_it_stands() -> None:
    heard: list[str] = []
    released = threading.Event()

    def feed(state: str) -> None:
        heard.append(state)
        if state == "WATCHDOG=trigger":
            released.set()

    watchdog = Watchdog([], interval_s=0.02, loop_patience_s=0.2, feed=feed)
    running = asyncio.create_task(watchdog.run())
    try:
        async with asyncio.timeout(5):
            while "WATCHDOG=1" not in heard:
                await asyncio.sleep(0.01)
        with structlog.testing.capture_logs() as lines:
            assert released.wait(10)  # in the loop: nothing else runs here
    finally:
        running.cancel()
        await asyncio.wait([running])
    (line,) = [line for line in lines if line["event"] == "watchdog_not_fed"]
    assert line["silent"] == [LOOP]
    assert any("test_vitals.py" in place or "threading.py" in place for place in line["at"])
    assert not any(thread.name == "watchdog" for thread in threading.enumerate())


def test_time_is_the_monotonic_one() -> None:
    before = time.monotonic()
    watchdog = Watchdog([Pulse(name="x", patience_s=0.0, is_alive=lambda: False)])
    assert before <= watchdog._mono_s() <= time.monotonic()
