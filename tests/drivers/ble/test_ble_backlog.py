"""What waits for the hub when the hub is slower than the air."""

from __future__ import annotations

import asyncio

import pytest

from drivers.ble.backlog import Backlog
from drivers.ble.device import Tally
from drivers.contract import Fact, Observation, Scalar


def _told(device: str, fact: Fact, value: Scalar = True) -> Observation:
    return Observation(
        device=device,
        fact=fact,
        value=value,
        observed_boot_s=0.0,
        may_alarm=fact in {Fact.BUTTON, Fact.SMOKE, Fact.DOOR},
    )


async def _taken(backlog: Backlog) -> list[tuple[str, Fact, Scalar]]:
    return [(each.device, each.fact, each.value) for each in [await anext(backlog) for _ in range(len(backlog))]]


async def test_a_flood_of_measurements_pushes_out_measurements_only() -> None:
    diagnostics: dict[str, Scalar] = {}
    backlog = Backlog(Tally(diagnostics), limit=8)
    backlog.put(_told("radio", Fact.LINK, value=False))
    backlog.put(_told("pendant", Fact.BUTTON, "press"))
    for nth in range(1000):
        backlog.put(_told("thermometer", Fact.TEMPERATURE, nth))
    backlog.put(_told("smoke", Fact.SMOKE))
    taken = await _taken(backlog)
    assert len(taken) == 8
    assert ("radio", Fact.LINK, False) in taken
    assert ("pendant", Fact.BUTTON, "press") in taken
    assert taken[-1] == ("smoke", Fact.SMOKE, True)
    assert diagnostics["observations_dropped"] == 1000 + 3 - 8


async def test_a_flood_of_presses_of_one_device_does_not_push_out_another_device() -> None:
    backlog = Backlog(Tally({}), limit=8)
    backlog.put(_told("pendant", Fact.BUTTON, "press"))
    backlog.put(_told("door", Fact.DOOR))
    for _ in range(1000):
        backlog.put(_told("forged", Fact.BUTTON, "press"))
    backlog.put(_told("door", Fact.DOOR, value=False))
    taken = await _taken(backlog)
    assert len(taken) == 8
    assert taken[:2] == [("pendant", Fact.BUTTON, "press"), ("door", Fact.DOOR, True)]
    assert taken[-1] == ("door", Fact.DOOR, False)


async def test_when_all_that_waits_may_alarm_a_measurement_is_not_kept() -> None:
    backlog = Backlog(Tally({}), limit=2)
    for device in ("one", "two"):
        backlog.put(_told(device, Fact.BUTTON, "press"))
    backlog.put(_told("thermometer", Fact.TEMPERATURE, 20.0))
    assert [device for device, _fact, _value in await _taken(backlog)] == ["one", "two"]


async def test_giving_up_waiting_does_not_end_it() -> None:
    backlog = Backlog(Tally({}))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(backlog), 0.01)
    backlog.put(_told("pendant", Fact.BUTTON, "press"))
    assert (await asyncio.wait_for(anext(backlog), 1)).device == "pendant"


async def test_what_waits_is_taken_before_the_failure() -> None:
    backlog = Backlog(Tally({}))
    backlog.put(_told("pendant", Fact.BUTTON, "press"))
    backlog.fail(RuntimeError("broken"))
    assert (await anext(backlog)).device == "pendant"
    with pytest.raises(RuntimeError, match="broken"):
        await anext(backlog)
