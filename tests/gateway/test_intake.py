"""The way in: alarms first, everything bounded, nothing lost quietly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import Stamp
from drivers.contract import Fact, Observation
from gateway import intake as intake_module
from gateway.intake import Intake
from gateway.triage import Judged


class Bench:
    """An intake with a clock that stands still, and what it reported."""

    def __init__(self, **limits: int) -> None:
        self.reported: list[Judged] = []
        self.told = asyncio.Event()
        stamp = Stamp(boot_ms=5000, wall_ms=1_795_000_000_000, is_wall_trusted=True)
        self.intake = Intake(boot_s=lambda: 5.0, stamp=lambda: stamp, report=self._report, **limits)
        self.number = 0

    def _report(self, judged: Judged) -> None:
        self.reported.append(judged)
        self.told.set()

    def put(self, device: str = "t-1", fact: Fact = Fact.TEMPERATURE, value: Any = 20.0, **more: Any) -> Observation:
        self.number += 1
        more.setdefault("observed_boot_s", self.number / 1000)
        seen = Observation(device=device, fact=fact, value=value, **more)
        self.intake.put("radio", seen)
        return seen

    def press(self, device: str = "pendant-1", **more: Any) -> Observation:
        return self.put(device, Fact.BUTTON, "press", may_alarm=True, **more)

    async def rest(self) -> list[Observation]:
        self.intake.close()
        return [seen async for _, seen in self.intake]


async def test_an_alarm_overtakes_everything_that_cannot_be_one():
    bench = Bench()
    waiting = [bench.put() for _ in range(1000)]
    press = bench.press()
    assert await bench.rest() == [press, *waiting]


async def test_the_driver_is_named_with_each_observation():
    bench = Bench()
    bench.put()
    bench.intake.close()
    assert [driver async for driver, _ in bench.intake] == ["radio"]


async def test_an_alarm_that_comes_while_a_flood_is_worked_off_is_next_within_sixty_four():
    bench = Bench()
    for _ in range(1000):
        bench.put()

    async def press_soon() -> None:
        bench.press()

    pressing = asyncio.create_task(press_soon())
    handed_out = 0
    async for _, seen in bench.intake:
        handed_out += 1
        if seen.fact is Fact.BUTTON:
            break
    await pressing
    assert handed_out <= 65


async def test_a_waiting_consumer_wakes_for_what_is_put():
    bench = Bench()

    async def first() -> Observation:
        async for _, seen in bench.intake:
            return seen
        raise AssertionError

    taking = asyncio.create_task(first())
    await asyncio.sleep(0)
    press = bench.press()
    assert await asyncio.wait_for(taking, 1) is press


async def test_the_oldest_measurement_gives_way_and_one_event_says_so():
    bench = Bench(other_limit=10)
    seen = [bench.put() for _ in range(25)]
    assert bench.intake.counters.dropped == 15
    assert len(bench.reported) == 1
    (judged,) = bench.reported
    assert judged.event.kind.word == "observations_dropped"
    assert judged.lane is Lane.TECHNICAL
    assert judged.event.count == 1
    assert await bench.rest() == seen[15:]
    assert [each.event.count for each in bench.reported] == [1, 14]


async def test_further_losses_are_told_once_a_minute(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(intake_module, "REPORT_EVERY_S", 0.02)
    bench = Bench(other_limit=10)
    for _ in range(15):
        bench.put()
    assert len(bench.reported) == 1
    bench.told.clear()
    await asyncio.wait_for(bench.told.wait(), 2)
    assert [each.event.count for each in bench.reported] == [1, 4]
    assert bench.reported[1].event.details == {"may_alarm": 0, "other": 4}
    bench.intake.close()


async def test_a_full_alarm_queue_refuses_and_says_no_to_the_device():
    bench = Bench(alarm_limit=4)
    kept = [bench.press(f"pendant-{number}") for number in range(4)]
    answer = asyncio.get_running_loop().create_future()
    bench.press("pendant-9", confirmation=answer)
    assert answer.result() is False
    assert bench.intake.counters.refused_alarms == 1
    assert bench.reported[0].lane is Lane.CARE, "a lost alarm does not wait behind measurements"
    assert bench.reported[0].event.details == {"may_alarm": 1, "other": 0}
    assert await bench.rest() == kept


async def test_a_stuck_button_cannot_push_out_a_pull_cord():
    bench = Bench(alarm_limit=8)
    for _ in range(100):
        bench.press("stuck-1")
    cord = bench.put("cord-1", Fact.CORD, True, may_alarm=True)
    left = await bench.rest()
    assert cord in left
    assert sum(seen.device == "stuck-1" for seen in left) == 7
    assert bench.intake.counters.refused_alarms == 0


async def test_when_room_must_be_made_the_last_word_on_a_state_stays_the_last():
    bench = Bench(alarm_limit=3)
    for value in (True, False, True, False, True):
        bench.put("door-1", Fact.DOOR, value, may_alarm=True)
    left = [seen.value for seen in await bench.rest()]
    assert left[-1] is True
    assert set(left) == {True, False}


async def test_measurements_never_take_the_place_of_alarms():
    bench = Bench(alarm_limit=4, other_limit=4)
    presses = [bench.press(f"pendant-{number}") for number in range(4)]
    for _ in range(1000):
        bench.put()
    assert (await bench.rest())[:4] == presses


async def test_the_same_reception_twice_is_taken_once():
    bench = Bench()
    bench.press(observed_boot_s=1.0)
    bench.press(observed_boot_s=1.0)
    bench.press(observed_boot_s=1.001)
    assert len(await bench.rest()) == 2
    assert bench.intake.counters.copies == 1


async def test_what_waits_for_an_answer_is_never_taken_for_a_copy():
    bench = Bench()
    loop = asyncio.get_running_loop()
    for _ in range(2):
        bench.press(observed_boot_s=1.0, confirmation=loop.create_future())
    assert len(await bench.rest()) == 2


async def test_after_closing_nothing_is_taken_in_and_the_device_is_told():
    bench = Bench()
    bench.intake.close()
    answer = asyncio.get_running_loop().create_future()
    bench.press(confirmation=answer)
    assert answer.result() is False
    assert await bench.rest() == []
