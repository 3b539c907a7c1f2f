"""A radio that says it searches and hears nothing, and what brings it back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from drivers.ble.link import LinkTimes
from drivers.contract import Fact
from simulators.bluez import FakeBlueZ
from simulators.bthome_device import SimulatedPendant, SimulatedThermometer
from simulators.dbus import PrivateBus
from simulators.systemd_bus import FakeSystemd

if TYPE_CHECKING:
    from conftest import Listen, Listening

PENDANT = "A4:C1:38:00:00:01"
NEIGHBOUR = "A4:C1:38:FF:00:01"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")
LIMIT_S = 60
QUICK = LinkTimes(call_s=5.0, idle_s=0.3, retry_s=(0.02, 0.05), off_s=0.05, look_s=0.05)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.ble.ladder.SHORTEST_S", 0.2)


@asynccontextmanager
async def lively(bluez: FakeBlueZ) -> AsyncIterator[None]:
    """Something in the neighbourhood that advertises all the time."""

    async def chatter() -> None:
        neighbour = SimulatedThermometer(NEIGHBOUR, repeats=1)
        while True:
            await neighbour.measure(bluez, 20.0, 40.0)
            await asyncio.sleep(0.01)

    task = asyncio.create_task(chatter())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def heard_enough(hub: Listening) -> None:
    async with asyncio.timeout(LIMIT_S):
        while hub.diagnostics.get("silence_limit_s") is None or hub.diagnostics["silence_limit_s"] > 1:
            await asyncio.sleep(0.02)


async def test_a_radio_that_a_new_search_mends_is_mended_without_a_word(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None), times=QUICK)
    async with lively(bluez):
        await heard_enough(hub)
        bluez.get_stuck("scan")
        async with asyncio.timeout(LIMIT_S):
            while bluez.stuck_until is not None:
                await asyncio.sleep(0.01)
        pendant = SimulatedPendant(PENDANT, repeats=20, interval_s=0.02)
        await pendant.press(bluez)
        await hub.until_fact(Fact.BUTTON)
    assert bluez.power_cycles == 0
    assert [each.value for each in hub.told if each.fact is Fact.LINK] == [True]


async def test_a_radio_that_needs_its_power_off_is_told_lost_once_mended_and_told_back_once(
    bluez: FakeBlueZ, listen: Listen
) -> None:
    memory: dict[str, int | str] = {}
    pendant = SimulatedPendant(PENDANT, KEY, repeats=20, interval_s=0.02)
    hub = await listen(("pendant", PENDANT, KEY), times=QUICK, memory=memory)
    async with lively(bluez):
        await hub.until_fact(Fact.LINK, value=True)
        first = pendant.press_data()
        await pendant.send(bluez, first)
        await hub.until_fact(Fact.BUTTON)
        await heard_enough(hub)
        bluez.get_stuck("power")
        assert (await hub.until_fact(Fact.LINK, value=False)).details["reason"] == "deaf"
        assert (await hub.until_fact(Fact.LINK, value=True)).details["reason"] == "heard_after_power_cycled"
        await pendant.press(bluez)
        assert not (await hub.until_fact(Fact.BUTTON)).is_replay_suspect
        # The counters have outlived the reset: a recording is still known for one.
        await pendant.send(bluez, first)
    assert hub.count(Fact.BUTTON) == 2
    assert bluez.power_cycles == hub.diagnostics["power_cycles"] == 1
    assert hub.diagnostics["last_reset"] == "power_cycled"
    assert [each.value for each in hub.told if each.fact is Fact.LINK] == [True, False, True]


async def test_a_radio_that_only_a_new_bluetoothd_mends_gets_one_where_that_is_allowed(
    bus: PrivateBus, bluez: FakeBlueZ, listen: Listen
) -> None:
    async with FakeSystemd(bus.address, bluez) as systemd, lively(bluez):
        hub = await listen(("pendant", PENDANT, None), times=QUICK, restart_service=True)
        await heard_enough(hub)
        bluez.get_stuck("service")
        await hub.until_fact(Fact.LINK, value=False)
        await hub.until_fact(Fact.LINK, value=True)
        pendant = SimulatedPendant(PENDANT, repeats=20, interval_s=0.02)
        await pendant.press(bluez)
        await hub.until_fact(Fact.BUTTON)
        assert systemd.restarts == hub.diagnostics["service_restarts"] == 1
        await hub.close()


async def test_where_it_is_not_allowed_that_is_counted_and_the_rungs_begin_again(
    bus: PrivateBus, bluez: FakeBlueZ, listen: Listen
) -> None:
    async with FakeSystemd(bus.address, bluez, is_allowed=False) as systemd, lively(bluez):
        hub = await listen(("pendant", PENDANT, None), times=QUICK, restart_service=True)
        await heard_enough(hub)
        bluez.get_stuck("service")
        async with asyncio.timeout(LIMIT_S):
            while bluez.power_cycles < 2:
                await asyncio.sleep(0.02)
        assert systemd.asked == 1
        assert hub.diagnostics["resets_refused"] == 1
        assert hub.count(Fact.LINK) == 2
        await hub.close()


async def test_the_service_is_not_touched_unless_the_settings_say_so(
    bus: PrivateBus, bluez: FakeBlueZ, listen: Listen
) -> None:
    async with FakeSystemd(bus.address, bluez) as systemd, lively(bluez):
        hub = await listen(("pendant", PENDANT, None), times=QUICK)
        await heard_enough(hub)
        bluez.get_stuck("service")
        async with asyncio.timeout(LIMIT_S):
            while bluez.power_cycles < 2:
                await asyncio.sleep(0.02)
        assert systemd.asked == 0
        await hub.close()


async def test_a_search_that_is_in_progress_for_ever_is_ended_by_switching_the_radio(
    bluez: FakeBlueZ, listen: Listen
) -> None:
    bluez.is_in_progress = True
    hub = await listen(("pendant", PENDANT, None), times=QUICK)
    assert (await hub.until_fact(Fact.LINK)).details["reason"] == "scan_refused"
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.until_scanning()
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert bluez.power_cycles == 1


async def test_a_radio_that_may_not_be_switched_is_left_on(bluez: FakeBlueZ, listen: Listen) -> None:
    bluez.denies_power = True
    bluez.is_in_progress = True
    hub = await listen(("pendant", PENDANT, None), times=QUICK)
    async with asyncio.timeout(LIMIT_S):
        while not hub.diagnostics["resets_refused"]:
            await asyncio.sleep(0.01)
    bluez.is_in_progress = False
    await hub.until_fact(Fact.LINK, value=True)
    assert bluez.power_cycles == 0


@pytest.mark.parametrize("adapter", [None, "02:00:00:00:00:01"])
async def test_a_stick_that_comes_back_under_another_name_is_taken_up_again(
    bluez: FakeBlueZ, listen: Listen, adapter: str | None
) -> None:
    hub = await listen(("pendant", PENDANT, None), times=QUICK, **({"adapter": adapter} if adapter else {}))
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.until_scanning()
    bluez.unplug()
    assert (await hub.until_fact(Fact.LINK, value=False)).details["reason"] == "no_adapter"
    bluez.plug_in("hci1")
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.until_scanning()
    assert hub.diagnostics["adapter"] == "hci1"
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert hub.count(Fact.LINK) == 3


async def test_a_quiet_home_is_never_told_lost(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None), times=QUICK, silence_s=5)
    hub.driver._settings = hub.driver._settings.model_copy(update={"silence_s": 0.05})
    await hub.close()
    hub = await listen(driver=hub.driver)
    async with asyncio.timeout(20):
        while hub.diagnostics["silent_restarts_in_a_row"] < 5:
            await asyncio.sleep(0.02)
    await bluez.until_scanning()
    await SimulatedPendant(PENDANT, repeats=20, interval_s=0.02).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert False not in [each.value for each in hub.told if each.fact is Fact.LINK]
