"""New, copy, old or replayed: the rules that decide about a press, with the time given."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import structlog

from drivers.ble import PLUGIN
from drivers.ble.device import Device, Tally
from drivers.ble.freshness import AUTHENTIC_COPY_S, COPY_GAP_S, COPY_SPAN_S, PROBATION_S
from drivers.contract import Fact, Observation
from simulators.bthome_device import BTHomeDevice, SimulatedDoor, SimulatedPendant

MAC = "A4:C1:38:00:00:01"
KEY = bytes.fromhex("231d39c1d7cc1ab1aee224cd096db932")


class Ear:
    """A device as the hub hears it, with a clock of its own and a memory that every Observation is committed to."""

    def __init__(self, key: bytes | None = None, **rules: Any) -> None:
        self.now_s = 1000.0
        self.key = key
        self.boot_id = "this boot"
        self.memory: dict[str, int | str] = {}
        self.diagnostics: dict[str, Any] = {}
        self.rules = PLUGIN.settings.model_validate({"devices": [{"alias": "pendant", "address": MAC}], **rules})
        self.restart()

    def restart(self) -> None:
        self.device = Device(
            self.rules.devices[0],
            self.rules,
            key=self.key,
            boot_id=self.boot_id,
            started_boot_s=self.now_s,
            remembered=self.memory.get,
            tally=Tally(self.diagnostics),
            log=structlog.get_logger(),
        )

    def hear(self, said: bytes, *, after_s: float = 0.0, rssi: int | None = -60) -> list[Observation]:
        self.now_s += after_s
        told = self.device.hear(said, rssi, self.now_s)
        for each in told:
            self.memory.update(each.remember)
        return told

    def presses(self, said: bytes, *, after_s: float = 0.0) -> list[Observation]:
        return [each for each in self.hear(said, after_s=after_s) if each.fact is Fact.BUTTON]


def _door(device: BTHomeDevice, *, is_open: bool) -> bytes:
    return device.service_data(bytes((0x1A, is_open)))


def _temperature(device: BTHomeDevice, celsius: int) -> bytes:
    return device.service_data(b"\x57" + bytes((celsius,)))


# Without a key


def test_a_second_press_with_the_next_packet_id_is_told_at_once() -> None:
    ear, pendant = Ear(), SimulatedPendant(MAC)
    first, second = pendant.press_data(), pendant.press_data()
    assert len(ear.presses(first)) == 1
    assert len(ear.presses(second, after_s=0.1)) == 1
    assert ear.presses(first, after_s=0.1) == []
    assert ear.presses(second, after_s=0.1) == []


def test_copies_count_as_one_press_for_as_long_as_they_keep_coming_but_not_for_ever() -> None:
    ear, said = Ear(), SimulatedPendant(MAC, has_packet_id=False).press_data()
    assert len(ear.presses(said)) == 1
    at_s, told_at_s = 0.0, []
    while at_s < 2 * COPY_SPAN_S:
        at_s += 1.0
        if ear.presses(said, after_s=1.0):
            told_at_s.append(at_s)
    assert told_at_s == [COPY_SPAN_S, 2 * COPY_SPAN_S]


@pytest.mark.parametrize("has_packet_id", [True, False])
def test_the_same_press_after_a_pause_is_a_new_one(has_packet_id: bool) -> None:
    """A pendant without a memory starts from the same packet id at every press."""
    ear, said = Ear(), SimulatedPendant(MAC, has_packet_id=has_packet_id).press_data()
    assert len(ear.presses(said)) == 1
    assert ear.presses(said, after_s=COPY_GAP_S - 0.1) == []
    assert len(ear.presses(said, after_s=COPY_GAP_S)) == 1


def test_a_frame_without_a_press_ends_the_press_before_it() -> None:
    ear = Ear()
    pressed, idle = b"\x44\x3a\x01", b"\x44\x3a\x00"
    assert len(ear.presses(pressed)) == 1
    assert ear.presses(idle, after_s=0.5) == []
    assert len(ear.presses(pressed, after_s=0.5)) == 1


def test_a_press_is_not_new_because_the_temperature_beside_it_changed() -> None:
    ear = Ear()
    assert len(ear.presses(b"\x44\x3a\x01\x57\x14")) == 1
    assert ear.presses(b"\x44\x3a\x01\x57\x15", after_s=1.0) == []
    assert len(ear.presses(b"\x44\x3a\x04\x57\x15", after_s=1.0)) == 1, "another kind of press is another press"


def test_copies_taken_without_decoding_keep_their_press_alive_too() -> None:
    ear = Ear()
    assert len(ear.presses(b"\x44\x00\x07\x01\x64\x3a\x01")) == 1
    for _ in range(8):
        ear.presses(b"\x44\x00\x07\x01\x64\x3a\x01", after_s=1.0)
    assert ear.presses(b"\x44\x00\x07\x01\x63\x3a\x01", after_s=0.5) == [], "the battery went down between two copies"


def test_a_device_that_sends_two_packets_in_turn_presses_once() -> None:
    ear = Ear()
    one, other = b"\x44\x00\x05\x3a\x01", b"\x44\x00\x06\x57\x14"
    assert len(ear.presses(one)) == 1
    for _ in range(10):
        assert ear.presses(other, after_s=0.2) == []
        assert ear.presses(one, after_s=0.2) == []


def test_the_end_of_a_hold_is_told_only_when_its_beginning_was_missed() -> None:
    ear = Ear()
    assert [each.value for each in ear.presses(b"\x44\x00\x01\x3a\x80")] == ["hold"]
    assert ear.presses(b"\x44\x00\x02\x3a\x81", after_s=3.0) == []
    assert [each.value for each in ear.presses(b"\x44\x00\x09\x3a\x81", after_s=600.0)] == ["hold"]


def test_the_second_button_and_the_count_of_long_presses_are_in_the_details() -> None:
    ear = Ear()
    assert ear.presses(b"\x44\x00\x01\x3a\x00\x3a\x05")[0].details == {"button": 2, "count": 2}


# With a key


def test_copies_of_an_authentic_press_count_once_whatever_the_pauses_between_them() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY)
    said = pendant.press_data()
    assert len(ear.presses(said)) == 1
    for _ in range(5):
        assert ear.presses(said, after_s=AUTHENTIC_COPY_S / 6) == []
    assert ear.diagnostics["replay_suspects"] == 0


def test_an_alarm_with_a_counter_that_went_back_raises_as_suspect_each_time_until_a_day_has_passed() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY, counter=1000)
    assert not ear.presses(pendant.press_data())[0].is_replay_suspect
    pendant.change_battery()
    (suspect,) = ear.presses(pendant.press_data(), after_s=3600.0)
    assert suspect.is_replay_suspect
    assert suspect.may_alarm
    assert suspect.details == {"counter": 1, "counter_before": 1001}
    assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=3600.0)] == [True]
    ear.restart()
    assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=3600.0)] == [True]
    assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=PROBATION_S)] == [False]
    ear.restart()
    assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=3600.0)] == [False]


def test_a_probation_that_was_under_way_outlives_a_restart_and_begins_again_after_a_reboot() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY, counter=1000)
    ear.hear(pendant.press_data())
    assert len(ear.memory) == 2, "the press and the battery are committed each in their own order"
    pendant.change_battery()
    assert ear.presses(pendant.press_data(), after_s=3600.0)[0].is_replay_suspect
    ear.restart()
    assert not ear.presses(pendant.press_data(), after_s=PROBATION_S)[0].is_replay_suspect
    pendant.change_battery()
    assert ear.presses(pendant.press_data(), after_s=3600.0)[0].is_replay_suspect
    ear.boot_id, ear.now_s = "the next boot", 20.0
    ear.restart()
    assert ear.presses(pendant.press_data(), after_s=PROBATION_S - 1)[0].is_replay_suspect
    assert not ear.presses(pendant.press_data(), after_s=1.0)[0].is_replay_suspect


def test_a_recorded_alarm_does_not_make_what_was_recorded_after_it_look_new() -> None:
    ear, door = Ear(KEY), SimulatedDoor(MAC, KEY)
    recorded_open, recorded_closed = _door(door, is_open=True), _door(door, is_open=False)
    ear.hear(recorded_open)
    ear.hear(recorded_closed, after_s=10.0)
    assert ear.hear(_door(door, is_open=True), after_s=3600.0)
    assert [each.is_replay_suspect for each in ear.hear(recorded_open, after_s=100.0)] == [True]
    assert ear.hear(recorded_closed, after_s=1.0) == [], "the door stands open, whatever the recording says"
    assert ear.hear(_door(door, is_open=False), after_s=1.0)[-1].value is False, "the door itself is believed"


def test_a_recording_played_for_more_than_a_day_is_not_believed_while_the_device_itself_is_heard() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY)
    recording = [pendant.press_data() for _ in range(60)]
    for said in recording:
        ear.hear(said, after_s=60.0)
    for said in recording:
        assert all(each.is_replay_suspect for each in ear.presses(said, after_s=3600.0))
        assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=60.0)] == [False]


@pytest.mark.parametrize("is_restarted", [True, False])
def test_a_pendant_that_begins_again_at_the_very_count_it_had_is_heard_right_after_a_restart_of_the_hub(
    is_restarted: bool,
) -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY, battery_pct=40)
    assert len(ear.presses(pendant.press_data())) == 1
    pendant.change_battery()
    if is_restarted:
        ear.restart()
    assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=5.0)] == [True]


def test_the_same_bytes_soon_after_a_restart_are_a_copy_only_as_long_as_without_one() -> None:
    ear, said = Ear(KEY), SimulatedPendant(MAC, KEY).press_data()
    assert len(ear.presses(said)) == 1
    ear.now_s += AUTHENTIC_COPY_S - 10
    ear.restart()
    assert ear.presses(said, after_s=9.0) == []
    assert [each.is_replay_suspect for each in ear.presses(said, after_s=2.0)] == [True]


def test_after_a_reboot_the_same_bytes_are_raised_again() -> None:
    ear, said = Ear(KEY), SimulatedPendant(MAC, KEY).press_data()
    assert len(ear.presses(said)) == 1
    ear.boot_id = "the next boot"
    ear.restart()
    assert [each.is_replay_suspect for each in ear.presses(said, after_s=1.0)] == [True]


@pytest.mark.parametrize("boot_id", ["this boot", "the next boot"])
def test_a_state_repeated_for_hours_under_one_counter_is_no_news_after_a_restart(boot_id: str) -> None:
    ear, detector = Ear(KEY), BTHomeDevice(MAC, KEY)
    said = detector.service_data(b"\x29\x01")
    ear.hear(said)
    ear.now_s += 3600.0
    ear.boot_id = boot_id
    ear.restart()
    for _ in range(60):
        assert ear.hear(said, after_s=10.0) == []
    assert ear.diagnostics["replay_suspects"] == ear.diagnostics["frames_refused"] == 0


def test_what_an_older_version_remembered_is_still_known() -> None:
    ear = Ear(KEY)
    fingerprint = hashlib.sha256(KEY).hexdigest()[:8]
    ear.memory = {"counter/pendant/alarm": f"{fingerprint}:2:1000"}
    ear.restart()
    assert ear.presses(SimulatedPendant(MAC, KEY, counter=900).press_data())[0].details["counter_before"] == 1000
    assert not ear.presses(SimulatedPendant(MAC, KEY, counter=1000).press_data(), after_s=1.0)[0].is_replay_suspect


def test_a_press_right_after_a_new_battery_is_told_although_it_looks_like_the_one_before() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY, counter=1000)
    assert len(ear.presses(pendant.press_data())) == 1
    pendant.change_battery()
    assert [each.is_replay_suspect for each in ear.presses(pendant.press_data(), after_s=2.0)] == [True]


def test_a_door_that_still_stands_open_after_a_new_battery_is_told_again() -> None:
    ear, door = Ear(KEY), SimulatedDoor(MAC, KEY, counter=1000)
    ear.hear(_door(door, is_open=True))
    door.change_battery()
    (suspect,) = ear.hear(_door(door, is_open=True), after_s=100.0)
    assert (suspect.fact, suspect.value, suspect.is_replay_suspect) == (Fact.DOOR, True, True)
    assert ear.hear(_door(door, is_open=False), after_s=1.0) == [], "that it was closed is not believed for a day"
    assert [each.value for each in ear.hear(_door(door, is_open=False), after_s=PROBATION_S)][-1] is False


def test_what_is_no_alarm_is_refused_with_a_counter_that_went_back() -> None:
    ear, door = Ear(KEY), SimulatedDoor(MAC, KEY)
    closed = _door(door, is_open=False)
    ear.hear(closed)
    assert ear.hear(_door(door, is_open=True), after_s=120.0)
    assert ear.hear(closed, after_s=120.0) == [], "a recorded 'closed' must not hide an open door"
    assert ear.diagnostics["refused_counter_went_back"] == 1


def test_of_a_suspect_frame_only_what_alarms_is_believed() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY)
    recorded = pendant.service_data(b"\x3a\x01", b"\x29\x00")
    ear.hear(recorded)
    assert [each.value for each in ear.hear(pendant.service_data(b"\x29\x01"), after_s=100.0)] == [True]
    again = ear.hear(recorded, after_s=100.0)
    assert [(each.fact, each.is_replay_suspect) for each in again] == [(Fact.BUTTON, True)]


def test_a_pendant_that_forgets_its_counter_at_each_press_is_heard_each_time() -> None:
    """What a dying battery looks like: every press is the first one."""
    ear = Ear(KEY)
    said = SimulatedPendant(MAC, KEY).press_data()
    assert [each.is_replay_suspect for each in ear.presses(said)] == [False]
    for _ in range(3):
        assert [each.is_replay_suspect for each in ear.presses(said, after_s=AUTHENTIC_COPY_S + 1)] == [True]


def test_a_state_repeated_for_hours_under_one_counter_is_neither_news_nor_suspect() -> None:
    ear, detector = Ear(KEY), BTHomeDevice(MAC, KEY)
    said = detector.service_data(b"\x29\x01")
    assert [each.fact for each in ear.hear(said)] == [Fact.BATTERY, Fact.SMOKE]
    for _ in range(60):
        assert ear.hear(said, after_s=60.5) == []
    assert ear.diagnostics["replay_suspects"] == ear.diagnostics["frames_refused"] == 0


def test_a_press_that_is_encrypted_anew_for_each_copy_counts_once() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY, packet_id=41)
    assert len(ear.presses(pendant.press_data())) == 1
    for _ in range(5):
        pendant._packet_id = 41
        assert ear.presses(pendant.press_data(), after_s=0.5) == []


def test_the_counter_is_remembered_with_whatever_is_told_and_an_alarm_may_overtake() -> None:
    ear, device = Ear(KEY), BTHomeDevice(MAC, KEY)
    (slow, *_rest) = ear.device.hear(_temperature(device, 20), -60, 1000.0)
    (fast,) = ear.device.hear(device.service_data(b"\x3a\x01"), -60, 1001.0)
    assert fast.may_alarm
    assert not slow.may_alarm
    ear.memory.update(fast.remember)
    ear.memory.update(slow.remember)  # its commit came later, with the older counter
    ear.restart()
    replayed = SimulatedPendant(MAC, KEY, counter=0, packet_id=0)
    assert ear.presses(replayed.press_data(), after_s=600.0)[0].details["counter_before"] == 2


def test_nothing_is_remembered_that_was_not_told() -> None:
    ear, pendant = Ear(KEY), SimulatedPendant(MAC, KEY)
    said = pendant.press_data()
    ear.device.hear(said, -60, ear.now_s)  # told, but the hub fell over before it was committed
    ear.restart()
    assert len(ear.presses(said, after_s=2.0)) == 1


def test_a_device_with_a_new_key_starts_anew() -> None:
    ear = Ear(KEY)
    ear.hear(SimulatedPendant(MAC, KEY, counter=5000).press_data())
    ear.key = bytes(range(16))
    ear.restart()
    (pressed,) = ear.presses(SimulatedPendant(MAC, ear.key).press_data(), after_s=600.0)
    assert not pressed.is_replay_suspect


@pytest.mark.parametrize("mark", ["", "nonsense", "1:2:3", "a:b:c:d", ":-1:-1", 7])
def test_a_damaged_memory_is_no_memory(mark: int | str) -> None:
    ear = Ear(KEY)
    ear.memory = {"counter/pendant/alarm": mark, "counter/pendant/other": mark}
    ear.restart()
    assert len(ear.presses(SimulatedPendant(MAC, KEY).press_data(), after_s=600.0)) == 1


# States and measurements


def test_a_state_is_told_when_it_changes_and_again_after_a_while() -> None:
    ear, door = Ear(refresh_s=300), SimulatedDoor(MAC)

    def doors(is_open: bool, after_s: float) -> list[Any]:
        return [
            each.value for each in ear.hear(_door(door, is_open=is_open), after_s=after_s) if each.fact is Fact.DOOR
        ]

    assert doors(False, 0.0) == [False]
    assert doors(False, 10.0) == []
    assert doors(True, 1.0) == [True]
    assert doors(True, 299.0) == []
    assert doors(True, 1.0) == [True]
    assert doors(False, 0.1) == [False]


def test_a_measurement_that_creeps_is_told_at_most_once_a_minute() -> None:
    ear, meter = Ear(measurement_s=60, refresh_s=300), BTHomeDevice(MAC)
    told = [
        each.value
        for nth in range(30)
        for each in ear.hear(_temperature(meter, nth), after_s=10.0)
        if each.fact is Fact.TEMPERATURE
    ]
    assert told == [0.0, 6.0, 12.0, 18.0, 24.0]


def test_a_pendant_that_says_nothing_but_that_it_is_there_is_heard() -> None:
    ear = Ear(refresh_s=300)
    assert [each.fact for each in ear.hear(b"\x44\x00\x01\x3a\x00")] == [Fact.MEASUREMENT]
    assert ear.hear(b"\x44\x00\x02\x3a\x00", after_s=299.0) == []
    (alive,) = ear.hear(b"\x44\x00\x03\x3a\x00", after_s=1.0)
    assert (alive.value, alive.details) == (-60.0, {"quantity": "rssi", "unit": "dBm"})
    assert not alive.may_alarm


def test_only_what_may_become_an_alarm_is_marked_so() -> None:
    ear = Ear()
    every = b"".join(bytes((each, 1)) for each in (0x15, 0x17, 0x1A, 0x1C, 0x1D, 0x20, 0x21, 0x23, 0x26, 0x29, 0x2B))
    told = ear.hear(b"\x44\x01\x64" + every + b"\x3a\x01\x57\x14")
    urgent = {each.fact for each in told if each.may_alarm}
    assert urgent == {Fact.BUTTON, Fact.CO, Fact.DOOR, Fact.GAS, Fact.HEAT, Fact.WATER, Fact.PRESENCE, Fact.SMOKE}
    assert {each.fact for each in told} - urgent == {
        Fact.BATTERY,
        Fact.BATTERY_LOW,
        Fact.FAULT,
        Fact.MOTION,
        Fact.TAMPER,
        Fact.TEMPERATURE,
    }


def test_an_object_of_a_later_edition_is_counted_and_what_stood_before_it_is_told() -> None:
    ear = Ear()
    assert [each.fact for each in ear.hear(b"\x44\x1a\x01\xfe\x00")] == [Fact.DOOR]
    assert ear.diagnostics["unknown_objects"] == 1
    ear.hear(b"\x44\x1a\x00\x02\xca")
    assert ear.diagnostics["frames_cut_short"] == 1
