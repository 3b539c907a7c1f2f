"""The health check of a whole hub, with one thing broken at a time: that, and nothing else, is named."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync.health import COMMAND, HealthResult
from cloud_sync.identity import Lane
from drivers.contract import Fact
from drivers.errors import PermanentDriverError, TransientDriverError
from gateway import identity_store
from gateway.daemon import Hub
from gateway.health import self_test

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any


BUTTONS_GONE = {"driver.buttons": "fail", "device.pendant-1.heard": "unknown", "device.climate-1.heard": "unknown"}


async def settle(home: HubUnderTest, central: Central, hub: Hub) -> None:
    """A hub in order: connected, every driver and device heard."""
    home.button.tell(Fact.LINK, True, "buttons", details={"reason": "scanning"})
    home.button.tell(Fact.TEMPERATURE, 21.0, "climate-1", rssi_dbm=-60)
    home.button.tell(Fact.BATTERY, 90, "pendant-1", rssi_dbm=-70)
    await central.until(lambda: central.of_kind("hub_started"))
    async with asyncio.timeout(5):
        while hub.watch.triage.devices()["pendant-1"].battery_pct is None or not all(one.is_up for one in hub.paths):
            await asyncio.sleep(0.01)


async def ask(central: Central, **expected: str) -> HealthResult:
    return HealthResult.from_plain(await central.result(central.command(COMMAND, **expected)))


def deviations(result: HealthResult) -> dict[str, str]:
    return {line.id: line.result.value for line in result.lines if line.result.value != "ok"}


async def until_named(central: Central, wanted: Mapping[str, str]) -> HealthResult:
    """Check until the check says so: what was broken takes a moment to be noticed."""
    async with asyncio.timeout(15):
        while deviations(result := await ask(central)) != wanted:
            await asyncio.sleep(0.2)
    return result


async def test_a_sound_hub_answers_central_with_every_line_in_order(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        result = await until_named(central, {})
    assert [line.id for line in result.lines if not line.id.startswith("board.")] == [
        "test",
        "journal.write",
        "journal.space",
        "uplink.main",
        "waiting.alarms",
        "driver.buttons",
        "device.pendant-1.heard",
        "device.pendant-1.signal",
        "device.pendant-1.battery",
        "device.climate-1.heard",
        "device.climate-1.signal",
        "local.lamp_and_buzzer",
        "clock",
        "key.identity",
        "key.sign",
        "key.seal",
        "program",
        "software",
        "settings",
    ]
    assert result.took_ms < 5000


async def test_the_round_trip_is_an_envelope_that_central_receipts(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        result = await ask(central)
    empty = [envelope for _, envelope in central.envelopes if not envelope.records]
    assert [envelope.lane for envelope in empty] == [Lane.ALARM]
    line = result.line("uplink.main")
    assert line is not None
    assert isinstance(line.value, float)


async def test_a_radio_that_is_gone_is_one_fault_and_its_devices_are_unknown(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        home.button.tell(Fact.LINK, False, "buttons", details={"reason": "no_bus"})
        result = await until_named(central, BUTTONS_GONE)
        line = result.line("driver.buttons")
        assert line is not None
        assert line.params["reason"] == "no_bus"
        home.button.tell(Fact.LINK, True, "buttons")
        await until_named(central, {})


@pytest.mark.parametrize("error", [PermanentDriverError("no such port"), TransientDriverError("the bus went away")])
async def test_a_driver_that_failed_is_named_with_its_reason(
    error: Exception, home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        home.button.told.put_nowait(error)
        async with asyncio.timeout(5):
            while not hub.drivers.hosted[0].last_error:
                await asyncio.sleep(0.01)
        if isinstance(error, PermanentDriverError):
            result = await until_named(central, BUTTONS_GONE)
            line = result.line("driver.buttons")
            assert line is not None
            assert line.params["error"] == "no such port"
        else:
            await until_named(
                central,
                # Begun anew, it has said nothing of its line yet: not known to be good.
                {
                    "driver.buttons": "unknown",
                    "device.pendant-1.heard": "unknown",
                    "device.climate-1.heard": "unknown",
                },
            )


async def test_a_flat_battery_is_named_and_nothing_else(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        home.button.tell(Fact.BATTERY, 8, "pendant-1")
        result = await until_named(central, {"device.pendant-1.battery": "fail"})
    line = result.line("device.pendant-1.battery")
    assert line is not None
    assert (line.value, line.limit, line.next_key) == (8, 20, "change_battery")


async def test_a_weak_signal_is_named_and_nothing_else(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        home.button.tell(Fact.TEMPERATURE, 21.5, "climate-1", rssi_dbm=-88)
        await until_named(central, {"device.climate-1.signal": "warn"})


async def test_a_reserve_path_that_is_cut_is_named_and_the_first_one_stays_good(
    home: HubUnderTest, central: Central
) -> None:
    home.lines.append(central.path("reserve"))
    async with home.running() as hub:
        await settle(home, central, hub)
        home.lines[1].cut()
        result = await until_named(central, {"uplink.reserve": "fail"})
    line = result.line("uplink.reserve")
    assert line is not None
    assert line.found_key == "no_connection"


async def test_a_clock_two_hours_off_is_named_and_nothing_else(home: HubUnderTest, central: Central) -> None:
    central.clock_shift_ms = 7_200_000
    async with home.running() as hub:
        await settle(home, central, hub)
        result = await until_named(central, {"clock": "fail"})
    line = result.line("clock")
    assert line is not None
    assert isinstance(line.value, float)
    assert line.value == pytest.approx(-7200, abs=2)


async def test_a_machine_at_central_that_does_not_answer_tests_is_named(home: HubUnderTest, central: Central) -> None:
    central.answers_tests = False
    async with home.running() as hub:
        await settle(home, central, hub)
        result = await ask_slowly(central)
    assert deviations(result) == {"test": "fail"}
    line = result.line("test")
    assert line is not None
    assert line.found_key == "test_not_answered"


async def ask_slowly(central: Central) -> HealthResult:
    command = central.command(COMMAND)
    await central.until(lambda: any(one.command == command for one in central.results), timeout_s=12)
    return HealthResult.from_plain(await central.result(command))


async def test_settings_that_are_not_those_of_the_last_check_are_a_deviation(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        software = hub.epoch.software
        changed = await ask(central, expected_software=software, expected_config="0123456789abcdef")
        same = await ask(central, expected_software=software, expected_config=hub.settings.config_hash)
    told = [{name: result.line(name).result.value for name in ("software", "settings")} for result in (changed, same)]
    assert told == [{"software": "ok", "settings": "warn"}, {"software": "ok", "settings": "ok"}]


async def test_a_check_that_waits_for_a_mute_path_delays_no_alarm(home: HubUnderTest, central: Central) -> None:
    home.lines.append(central.path("reserve"))
    async with home.running() as hub:
        await settle(home, central, hub)
        home.lines[1].is_mute = True
        command = central.command(COMMAND)
        await central.until(lambda: any(not one.records for _, one in central.envelopes))
        started_s = time.monotonic()
        assert await home.button.press() is True
        await central.event("pendant_pressed")
        pressed_s = time.monotonic() - started_s
        assert not central.results, "the check was over before the press, so the test shows nothing"
        await central.until(lambda: any(one.command == command for one in central.results), timeout_s=12)
        result = HealthResult.from_plain(await central.result(command))
    assert pressed_s < 0.5
    assert deviations(result) == {"uplink.reserve": "fail"}


# on the spot


def lines_of(told: list[str]) -> dict[str, str]:
    return {line["id"]: line["result"] for line in json.loads(told[0])["lines"]}


async def test_the_self_test_is_the_same_check(home: HubUnderTest, central: Central) -> None:
    told: list[str] = []
    async with home.running() as hub:
        await settle(home, central, hub)
        home.button.tell(Fact.BATTERY, 8, "pendant-1")
        by_central = await until_named(central, {"device.pendant-1.battery": "fail"})
        settings = home.settings()
        status = await asyncio.to_thread(self_test.run, settings, as_json=True, say=told.append)
        shown: list[str] = []
        await asyncio.to_thread(self_test.run, settings, as_json=False, language="en", say=shown.append)
    assert status == self_test.DEVIATES
    assert lines_of(told) == {line.id: line.result.value for line in by_central.lines}
    assert "pendant-1: battery" in shown[0]
    assert "Change the battery at the next visit." in shown[0]


async def test_the_self_test_of_a_sound_hub_ends_well(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
        async with asyncio.timeout(15):
            while await asyncio.to_thread(self_test.run, home.settings(), as_json=True, say=lambda _: None):
                await asyncio.sleep(0.2)  # a card that was slow for once


async def test_a_hub_that_does_not_run_tells_what_can_be_told(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await settle(home, central, hub)
    identity_store.store(home.state_dir, central.identity())
    told: list[str] = []
    status = await asyncio.to_thread(self_test.run, home.settings(), as_json=True, say=told.append)
    found = lines_of(told)
    assert status == self_test.DEVIATES
    assert found["program"] == "fail"
    assert (found["journal.write"], found["journal.space"], found["settings"]) == ("ok", "ok", "ok")
    assert {found[line] for line in ("test", "uplink", "driver", "device")} == {"unknown"}
    assert "key.identity" in found


async def test_a_hub_that_was_never_enrolled_says_so_in_one_line(home: HubUnderTest) -> None:
    told: list[str] = []
    home.state_dir.mkdir()
    status = await asyncio.to_thread(self_test.run, home.settings(), as_json=True, say=told.append)
    assert status == self_test.DEVIATES
    assert lines_of(told)["journal.write"] == "fail"
