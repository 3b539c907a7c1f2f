"""From a device's advertisement over D-Bus and real bleak to what the hub is told."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from drivers.ble import PLUGIN
from drivers.ble import driver as driver_module
from drivers.ble.driver import BleDriver
from drivers.contract import Fact
from drivers.errors import PermanentDriverError, TransientDriverError
from simulators.bluez import FakeBlueZ
from simulators.bthome_device import (
    BTHOME_UUID,
    SimulatedDoor,
    SimulatedPendant,
    SimulatedSmokeDetector,
    SimulatedThermometer,
)
from simulators.dbus import PrivateBus

if TYPE_CHECKING:
    from conftest import Listen

PENDANT = "A4:C1:38:00:00:01"
DOOR = "A4:C1:38:00:00:02"
SMOKE = "A4:C1:38:00:00:03"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_press_repeated_six_times_on_the_air_is_told_once(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None), ("door", DOOR, None))
    await hub.until_fact(Fact.LINK, value=True)
    pendant = SimulatedPendant(PENDANT, interval_s=0.01, rssi_dbm=-71)
    assert await pendant.press(bluez)
    pressed = await hub.until_fact(Fact.BUTTON)
    assert (pressed.device, pressed.value, pressed.rssi_dbm) == ("pendant", "press", -71)
    assert pressed.may_alarm
    await SimulatedDoor(DOOR, interval_s=0.01).report(bluez, state=True)
    await hub.until_fact(Fact.DOOR)
    assert hub.count(Fact.BUTTON) == 1
    assert hub.diagnostics["duplicates"] >= 5
    assert hub.diagnostics["frames_refused"] == 0


async def test_each_further_press_of_an_encrypted_pendant_is_told(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, KEY))
    await hub.until_fact(Fact.LINK, value=True)
    pendant = SimulatedPendant(PENDANT, KEY, repeats=3, interval_s=0.01)
    for kind in ("press", "press", "long", "double"):
        await pendant.press(bluez, kind)
        pressed = await hub.until_fact(Fact.BUTTON)
        assert pressed.value == kind
        assert not pressed.is_replay_suspect
    assert hub.count(Fact.BUTTON) == 4


async def test_a_press_is_heard_where_only_passive_scanning_is_granted(bus: PrivateBus, listen: Listen) -> None:
    async with FakeBlueZ(bus.address, accepts_discovery=False) as bluez:
        hub = await listen(("pendant", PENDANT, None))
        await hub.until_fact(Fact.LINK, value=True)
        await bluez.until_scanning()
        assert hub.diagnostics["scan_mode"] == "passive"
        assert await SimulatedPendant(PENDANT, interval_s=0.01).press(bluez)
        await hub.until_fact(Fact.BUTTON)
        await hub.close()


async def test_a_radio_that_offers_no_passive_scanning_is_scanned_actively(bus: PrivateBus, listen: Listen) -> None:
    async with FakeBlueZ(bus.address, has_monitors=False) as bluez:
        hub = await listen(("pendant", PENDANT, None), scan_mode="passive")
        await hub.until_fact(Fact.LINK, value=True)
        assert hub.diagnostics["scan_mode"] == "active"
        assert await SimulatedPendant(PENDANT, interval_s=0.01).press(bluez)
        await hub.until_fact(Fact.BUTTON)
        await hub.close()


async def test_an_identical_second_press_is_heard_although_bluez_knows_the_first(
    bluez: FakeBlueZ, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.ble.freshness.COPY_GAP_S", 0.2)
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    pendant = SimulatedPendant(PENDANT, has_packet_id=False, repeats=2, interval_s=0.01)
    await pendant.press(bluez)
    await hub.until_fact(Fact.BUTTON)
    await asyncio.sleep(0.3)
    await pendant.press(bluez)
    await hub.until_fact(Fact.BUTTON)


async def test_a_change_of_signal_strength_does_not_bring_an_old_press_back(
    bluez: FakeBlueZ, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.ble.freshness.COPY_GAP_S", 0.0)
    hub = await listen(("pendant", PENDANT, None), ("door", DOOR, None))
    await hub.until_fact(Fact.LINK, value=True)
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    # An advertisement without service data: BlueZ announces the strength alone, bleak adds the old press to it.
    assert bluez.advertise(PENDANT, {}, rssi=-40)
    await SimulatedDoor(DOOR, repeats=1).report(bluez, state=True)
    await hub.until_fact(Fact.DOOR)
    assert hub.count(Fact.BUTTON) == 1


async def test_what_other_people_s_devices_say_is_left_alone(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    await SimulatedPendant("A4:C1:38:FF:FF:FF", repeats=1).press(bluez)
    bluez.advertise("A4:C1:38:FF:FF:FE", {"0000feaa-0000-1000-8000-00805f9b34fb": b"\x00\x01"})
    bluez.advertise("A4:C1:38:FF:FF:FD", {BTHOME_UUID: b"\xff" * 30})
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    assert (await hub.until_fact(Fact.BUTTON)).device == "pendant"
    assert {each.device for each in hub.told} == {"bluetooth", "pendant"}
    assert hub.diagnostics["frames_refused"] == 0


async def test_a_device_with_changing_addresses_is_known_by_the_one_inside(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("door", DOOR, None))
    await hub.until_fact(Fact.LINK, value=True)
    inside = bytes.fromhex(DOOR.replace(":", ""))[::-1]
    bluez.advertise("5A:00:00:00:00:01", {BTHOME_UUID: b"\x42" + inside + b"\x1a\x01"})
    assert (await hub.until_fact(Fact.DOOR)).device == "door"


async def test_a_plain_press_from_a_device_with_a_key_is_refused_and_counted(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, KEY), ("door", DOOR, None))
    await hub.until_fact(Fact.LINK, value=True)
    await SimulatedPendant(PENDANT, None, repeats=1).press(bluez)
    await SimulatedPendant(PENDANT, bytes(16), repeats=1).press(bluez)
    await SimulatedDoor(DOOR, repeats=1).report(bluez, state=True)
    await hub.until_fact(Fact.DOOR)
    assert hub.count(Fact.BUTTON) == 0
    assert hub.diagnostics["frames_refused"] == 2
    assert hub.diagnostics["refused_plaintext"] == hub.diagnostics["refused_not_authentic"] == 1


async def test_after_a_restart_of_the_hub_a_recorded_press_raises_as_suspect_and_a_new_one_plainly(
    bluez: FakeBlueZ, listen: Listen
) -> None:
    memory: dict[str, int | str] = {}
    pendant = SimulatedPendant(PENDANT, KEY, repeats=1)
    hub = await listen(("pendant", PENDANT, KEY), memory=memory)
    await hub.until_fact(Fact.LINK, value=True)
    recorded = pendant.press_data()
    await pendant.send(bluez, recorded)
    await hub.until_fact(Fact.BUTTON)
    await pendant.press(bluez)
    await hub.until_fact(Fact.BUTTON)
    await hub.close()
    await bluez.until_idle()

    hub = await listen(("pendant", PENDANT, KEY), memory=memory)
    await hub.until_fact(Fact.LINK, value=True)
    await pendant.press(bluez)
    assert not (await hub.until_fact(Fact.BUTTON)).is_replay_suspect
    await pendant.send(bluez, recorded)
    suspect = await hub.until_fact(Fact.BUTTON)
    assert suspect.is_replay_suspect
    assert suspect.may_alarm
    assert suspect.details == {"counter": 1, "counter_before": 3}


async def test_the_last_press_still_on_the_air_after_a_restart_is_not_told_again(
    bluez: FakeBlueZ, listen: Listen
) -> None:
    memory: dict[str, int | str] = {}
    pendant = SimulatedPendant(PENDANT, KEY, repeats=1)
    said = pendant.press_data()
    hub = await listen(("pendant", PENDANT, KEY), memory=memory)
    await hub.until_fact(Fact.LINK, value=True)
    await pendant.send(bluez, said)
    await hub.until_fact(Fact.BUTTON)
    await hub.close()
    hub = await listen(("pendant", PENDANT, KEY), ("door", DOOR, None), memory=memory)
    await hub.until_fact(Fact.LINK, value=True)
    await pendant.send(bluez, said)
    await SimulatedDoor(DOOR, repeats=1).report(bluez, state=True)
    await hub.until_fact(Fact.DOOR)
    assert hub.count(Fact.BUTTON) == 0
    assert hub.diagnostics["duplicates"] == 1


async def test_a_smoke_detector_and_a_thermometer_are_told_apart_by_urgency(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("smoke", SMOKE, KEY), ("thermometer", DOOR, None))
    await hub.until_fact(Fact.LINK, value=True)
    await SimulatedThermometer(DOOR, repeats=2, interval_s=0.01).measure(bluez, 21.5, 40.25)
    assert (await hub.until_fact(Fact.TEMPERATURE)).value == 21.5
    assert (await hub.until_fact(Fact.HUMIDITY)).value == 40.25
    await SimulatedSmokeDetector(SMOKE, KEY, repeats=2, interval_s=0.01).report(bluez, state=True)
    assert (await hub.until_fact(Fact.SMOKE)).value is True
    urgent = {each.fact for each in hub.told if each.may_alarm}
    assert urgent == {Fact.SMOKE}


async def test_an_adapter_that_is_switched_off_and_on_is_told_once_each_way(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    for _ in range(2):
        bluez.power(on=False)
        lost = await hub.until_fact(Fact.LINK, value=False)
        assert (lost.device, lost.details["reason"]) == ("bluetooth", "powered_off")
        assert hub.diagnostics["scanning"] is False
        bluez.power(on=True)
        await hub.until_fact(Fact.LINK, value=True)
        await bluez.until_scanning()
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert [each.value for each in hub.told if each.fact is Fact.LINK] == [True, False, True, False, True]


async def test_a_bluetoothd_that_ends_and_starts_again_is_told_once_each_way(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.vanish()
    assert (await hub.until_fact(Fact.LINK, value=False)).details["reason"] == "no_bluez"
    await bluez.come_back()
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.until_scanning()
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert hub.count(Fact.LINK) == 3


async def test_a_bus_that_is_killed_and_started_again_is_told_once_each_way(
    bus: PrivateBus, bluez: FakeBlueZ, listen: Listen
) -> None:
    with structlog.testing.capture_logs() as logged:
        hub = await listen(("pendant", PENDANT, None))
        await hub.until_fact(Fact.LINK, value=True)
        await bus.kill()
        assert (await hub.until_fact(Fact.LINK, value=False)).details["reason"] == "no_bus"
        await until(lambda: sum(each["event"] == "ble_bus_lost" for each in logged) >= 3)
        await bus.start()
        await bluez.come_back()
        await hub.until_fact(Fact.LINK, value=True)
        await bluez.until_scanning()
        await SimulatedPendant(PENDANT, repeats=1).press(bluez)
        await hub.until_fact(Fact.BUTTON)
    assert hub.count(Fact.LINK) == 3
    turns = [each["event"] for each in logged if each["log_level"] in {"info", "warning"}]
    assert turns == ["ble_link_up", "ble_link_down", "ble_link_up"]


async def test_a_driver_that_was_closed_while_there_was_no_bus_hears_nothing_of_the_next(
    bus: PrivateBus, bluez: FakeBlueZ, listen: Listen
) -> None:
    gone = await listen(("pendant", PENDANT, None))
    await gone.until_fact(Fact.LINK, value=True)
    await bus.kill()
    await gone.until_fact(Fact.LINK, value=False)
    await gone.close()
    await bus.start()
    await bluez.come_back()
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert gone.diagnostics["last_advert_boot_s"] is None


async def test_a_driver_that_is_opened_again_does_not_tell_again_that_its_radio_is_there(
    bluez: FakeBlueZ, listen: Listen
) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    await hub.close()
    await bluez.until_idle()
    hub = await listen(driver=hub.driver)
    await bluez.until_scanning()
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert hub.count(Fact.LINK) == 0


async def test_a_hub_that_starts_before_bluetooth_is_there_says_so_and_waits(bus: PrivateBus, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None))
    assert (await hub.until_fact(Fact.LINK)).value is False
    async with FakeBlueZ(bus.address, is_powered=False) as bluez:
        bluez.power(on=True)
        await hub.until_fact(Fact.LINK, value=True)
        await SimulatedPendant(PENDANT, repeats=1).press(bluez)
        await hub.until_fact(Fact.BUTTON)
        await hub.close()


async def test_a_named_adapter_that_is_not_there_is_missed_by_name(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None), adapter="hci7", alias="radio")
    lost = await hub.until_fact(Fact.LINK, value=False)
    assert lost.device == "radio"
    assert lost.details == {"reason": "no_adapter", "adapter": "hci7"}


async def test_a_hub_that_may_not_ask_bluez_says_so_and_asks_again(bluez: FakeBlueZ, listen: Listen) -> None:
    bluez.denies_access = True
    hub = await listen(("pendant", PENDANT, None))
    assert (await hub.until_fact(Fact.LINK)).details["reason"] == "access_denied"
    bluez.denies_access = False
    await hub.until_fact(Fact.LINK, value=True)


async def test_a_scan_that_bluez_refuses_is_tried_until_it_is_granted(bus: PrivateBus, listen: Listen) -> None:
    async with FakeBlueZ(bus.address, accepts_discovery=False, has_monitors=False) as bluez:
        hub = await listen(("pendant", PENDANT, None))
        assert (await hub.until_fact(Fact.LINK)).details["reason"] == "scan_refused"
        bluez.accepts_discovery = True
        await hub.until_fact(Fact.LINK, value=True)
        await hub.close()


async def test_a_search_that_ended_by_itself_is_begun_again_without_a_word(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.until_scanning()
    bluez.end_discovery()
    await bluez.until_scanning()
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert hub.count(Fact.LINK) == 1
    assert hub.diagnostics["scan_restarts"] == 1


async def test_a_radio_that_hears_nothing_is_scanned_anew_and_the_count_says_how_often(
    bluez: FakeBlueZ, listen: Listen
) -> None:
    hub = await listen(("pendant", PENDANT, None), silence_s=5)
    hub.driver._settings = hub.driver._settings.model_copy(update={"silence_s": 0.1})
    await hub.close()
    hub = await listen(driver=hub.driver)
    bluez.is_deaf = True
    before = bluez.scan_starts
    async with asyncio.timeout(10):
        while bluez.scan_starts < before + 3:
            await bluez.until_idle()
            await bluez.until_scanning()
    assert hub.diagnostics["silent_restarts_in_a_row"] >= 2
    assert hub.diagnostics["last_advert_boot_s"] is None
    bluez.is_deaf = False
    pendant = SimulatedPendant(PENDANT, repeats=50, interval_s=0.02)
    assert await pendant.press(bluez)
    await hub.until_fact(Fact.BUTTON)
    assert hub.diagnostics["silent_restarts_in_a_row"] == 0
    assert hub.diagnostics["last_advert_boot_s"] is not None
    assert False not in [each.value for each in hub.told if each.fact is Fact.LINK]


async def test_closing_the_driver_ends_its_scan(bluez: FakeBlueZ, listen: Listen) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)
    await bluez.until_scanning()
    await hub.close()
    await bluez.until_idle()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("ble-")]


async def test_a_fault_of_the_driver_itself_ends_it_as_transient(
    bluez: FakeBlueZ, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = await listen(("pendant", PENDANT, None))
    await hub.until_fact(Fact.LINK, value=True)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("drivers.ble.device.Device.hear", broken)
    await SimulatedPendant(PENDANT, repeats=1).press(bluez)
    failure = await hub.failure()
    assert isinstance(failure, TransientDriverError)
    assert isinstance(failure.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"231d39c1d7cc1ab1aee224cd096db9", "does not hold a key: expected 32 hexadecimal digits"),
        (b"231d39c1d7cc1ab1", "does not hold a key"),
        (b"not a key at all, but a sentence", "does not hold a key"),
        (None, "cannot be read: No such file or directory"),
    ],
)
async def test_a_bad_key_file_parks_the_driver_with_the_file_named(
    content: bytes | None, complaint: str, bluez: FakeBlueZ, listen: Listen, tmp_path: Path
) -> None:
    hub = await listen(("pendant", PENDANT, KEY))
    await hub.close()
    (tmp_path / "pendant.key").unlink()
    if content is not None:
        (tmp_path / "pendant.key").write_bytes(content)
    with pytest.raises(PermanentDriverError, match=complaint) as raised:
        await listen(driver=hub.driver)
    assert str(tmp_path / "pendant.key") in str(raised.value)
    assert content is None or content.decode() not in str(raised.value)


async def test_a_key_that_cannot_be_read_silences_its_own_device_only_and_is_taken_up_when_it_can(
    bluez: FakeBlueZ, listen: Listen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "KEYS_AGAIN_S", 0.1)
    hub = await listen(("pendant", PENDANT, KEY), ("smoke", SMOKE, KEY))
    await hub.until_fact(Fact.LINK, value=True)
    await hub.close()
    (tmp_path / "smoke.key").rename(tmp_path / "elsewhere")
    hub = await listen(driver=hub.driver, memory=hub.memory)
    fault = await hub.until_fact(Fact.FAULT, value=True)
    assert (fault.device, fault.details["cause"]) == ("smoke", "key")
    assert "smoke.key" in str(fault.details["reason"])
    assert hub.diagnostics["keys_unusable"] == "smoke"
    await until(lambda: hub.diagnostics["scanning"])
    await SimulatedPendant(PENDANT, KEY, repeats=1).press(bluez)
    assert (await hub.until_fact(Fact.BUTTON)).device == "pendant"
    await hub.close()
    again = await listen(driver=hub.driver, memory=hub.memory)
    (tmp_path / "elsewhere").rename(tmp_path / "smoke.key")
    assert (await again.until_fact(Fact.FAULT)).value is False, "it was told before, and is told to be over"
    await until(lambda: again.diagnostics["scanning"])
    button = SimulatedPendant(SMOKE, KEY, repeats=1)
    await button.press(bluez)
    assert (await again.until_fact(Fact.BUTTON)).device == "smoke"
    await again.close()
    last = await listen(driver=hub.driver, memory=again.memory)
    await until(lambda: last.diagnostics["scanning"])
    await button.press(bluez)
    await last.until_fact(Fact.BUTTON)
    assert not last.count(Fact.FAULT), "what is over is not told at every start"


async def test_a_key_file_may_hold_the_bytes_themselves(bluez: FakeBlueZ, listen: Listen, tmp_path: Path) -> None:
    (tmp_path / "raw.key").write_bytes(KEY)
    (tmp_path / "raw.key").chmod(stat.S_IRUSR)
    settings = PLUGIN.settings.model_validate(
        {"devices": [{"alias": "pendant", "address": PENDANT, "key_file": "raw.key"}]}
    )
    driver = PLUGIN.build("bluetooth", settings, tmp_path)
    assert isinstance(driver, BleDriver)
    hub = await listen(driver=driver)
    await hub.until_fact(Fact.LINK, value=True)
    await SimulatedPendant(PENDANT, KEY, repeats=1).press(bluez)
    await hub.until_fact(Fact.BUTTON)
