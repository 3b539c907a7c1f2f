"""Silence: of a resident, of a device, of a line; and what a restart of process or machine does to it."""

from __future__ import annotations

import pytest

from drivers.contract import Fact

HOUR, MINUTE = 3600, 60
ACTIVITY = {"alias": "motion-1", "profile": "activity", "resident": "r-7f3a90"}
KITCHEN = {"alias": "motion-2", "profile": "motion", "resident": "r-7f3a90"}
PENDANT = {"alias": "pendant-1", "profile": "pendant", "resident": "r-7f3a90", "missing_after_s": 24 * HOUR}
BED = {"alias": "bed-1", "profile": "bed-mat", "missing_after_s": 0}


def only(kind, told):
    return [each for each in told if each == kind]


def test_no_sign_of_life_for_twelve_hours_is_told_and_cleared_by_the_next(make_home):
    home = make_home(ACTIVITY, KITCHEN, at="2026-11-22 08:30")
    home.tell("motion-1", Fact.MOTION, True)
    assert only("inactivity", home.pass_time(12 * HOUR)) == []
    assert only("inactivity", home.pass_time(2 * MINUTE)) == ["inactivity"]
    event = next(each.event for each in home.judged if each.event.kind.word == "inactivity")
    assert event.resident == "r-7f3a90"
    assert 12 * HOUR <= event.details["silent_s"] <= 12 * HOUR + 60
    assert only("inactivity", home.pass_time(6 * HOUR)) == []
    assert "alarm_cleared" in home.tell("motion-2", Fact.MOTION, True)


@pytest.mark.parametrize(
    ("alias", "fact", "value"),
    [("motion-2", Fact.MOTION, True), ("pendant-1", Fact.BUTTON, "press"), ("bed-1", Fact.PRESENCE, True)],
)
def test_any_device_of_the_resident_shows_that_somebody_is_active(make_home, alias, fact, value):
    bed = {**BED, "resident": "r-7f3a90", "active_between": ["03:00", "03:01"]}
    home = make_home(ACTIVITY, KITCHEN, PENDANT, bed, at="2026-11-22 08:30")
    home.tell("bed-1", Fact.PRESENCE, False)
    home.pass_time(11 * HOUR)
    home.tell(alias, fact, value)
    assert only("inactivity", home.pass_time(2 * HOUR)) == []


def test_a_state_that_is_only_told_again_is_no_activity(make_home):
    bed = {**BED, "resident": "r-7f3a90"}
    home = make_home(ACTIVITY, bed, at="2026-11-22 08:30")
    home.tell("bed-1", Fact.PRESENCE, True)
    told = []
    for _ in range(26):
        told += home.pass_time(30 * MINUTE)
        home.tell("bed-1", Fact.PRESENCE, True)
        home.tell("motion-1", Fact.MOTION, False)
    assert only("inactivity", told) == ["inactivity"]


def test_another_residents_activity_does_not_count(make_home):
    other = {**KITCHEN, "resident": "r-000001"}
    home = make_home(ACTIVITY, other, at="2026-11-22 08:30")
    home.pass_time(11 * HOUR)
    home.tell("motion-2", Fact.MOTION, True)
    assert only("inactivity", home.pass_time(90 * MINUTE)) == ["inactivity"]


def test_inactivity_counts_by_night_too_and_is_told_in_the_morning(make_home):
    home = make_home(ACTIVITY, at="2026-11-22 19:00")
    home.tell("motion-1", Fact.MOTION, True)
    assert only("inactivity", home.until("07:59")) == []
    assert only("inactivity", home.until("08:00")) == ["inactivity"]


def test_activity_costs_one_write_a_minute_and_never_one_in_the_alarm_file(make_home):
    home = make_home(ACTIVITY)
    home.writes = 0
    for _ in range(600):
        home.pass_time(1)
        home.tell("motion-1", Fact.MOTION, True)
    assert home.files[True] == {}
    assert home.writes <= 25  # ten minutes: activity and last motion once a minute, and the sign of life seldom


def test_measurements_write_no_memory(make_home):
    home = make_home({"alias": "t-1", "profile": "thermometer"})
    home.tell("t-1", Fact.TEMPERATURE, 20.0)
    home.writes = 0
    for number in range(1000):
        home.pass_time(1)
        home.tell("t-1", Fact.TEMPERATURE, 20.0 + number % 3)
    assert home.writes == 0


def test_a_silent_device_is_missing_once_and_back_once(make_home):
    home = make_home(PENDANT)
    home.tell("pendant-1", Fact.BATTERY, 90)
    assert home.pass_time(24 * HOUR) == []
    assert home.pass_time(4 * HOUR) == ["device_missing"]
    assert home.pass_time(100 * HOUR) == []
    assert home.triage.devices()["pendant-1"].state == "missing"
    assert home.tell("pendant-1", Fact.BATTERY, 90) == ["device_back"]
    assert home.tell("pendant-1", Fact.BATTERY, 90) == []


def test_a_device_that_was_never_heard_is_missing_too(make_home):
    home = make_home(PENDANT)
    assert home.triage.devices()["pendant-1"].state == "never_heard"
    assert home.pass_time(28 * HOUR) == ["device_missing"]


def test_a_device_that_is_heard_now_and_then_is_never_missing(make_home):
    home = make_home(PENDANT)
    for _ in range(40):
        home.tell("pendant-1", Fact.BATTERY, 90)
        assert home.pass_time(23.9 * HOUR) == []


def test_restarts_do_not_start_the_silence_again(make_home):
    home = make_home(PENDANT)
    told = []
    for _ in range(29):
        told += home.pass_time(HOUR)
        told += home.restart()
    assert told == ["device_missing"]


def test_reboots_do_not_start_the_silence_again_and_the_time_off_does_not_count(make_home):
    home = make_home(PENDANT)
    told = []
    for _ in range(4):
        told += home.pass_time(5 * HOUR)
        told += home.reboot(48 * HOUR, is_trusted=False)
    assert told == []  # 20 hours listened
    assert home.pass_time(12 * HOUR) == ["device_missing"]


def test_nobody_is_missing_while_the_drivers_line_is_down(make_home):
    home = make_home(PENDANT)
    home.pass_time(20 * HOUR)
    home.tell("radio", Fact.LINK, False)
    assert home.pass_time(72 * HOUR) == []
    home.restart()
    assert home.pass_time(72 * HOUR) == []
    assert home.tell("radio", Fact.LINK, True) == ["link_back"]
    assert home.pass_time(23 * HOUR) == []
    assert home.pass_time(6 * HOUR) == ["device_missing"]


def test_the_silence_of_wired_devices_and_of_families_means_nothing(make_home):
    home = make_home({**BED}, {"alias": "room-*", "profile": "pendant"})
    home.tell("room-1", Fact.BUTTON, "press")
    assert home.pass_time(1000 * HOUR) == []


def test_fourteen_of_fifteen_minutes_are_not_forgotten_by_a_restart(make_home):
    home = make_home(BED, at="2026-11-22 23:30")
    home.tell("bed-1", Fact.PRESENCE, False)
    home.pass_time(14 * MINUTE)
    assert home.restart() == []
    assert home.pass_time(59) == []
    assert home.pass_time(1) == ["bed_absent"]
    assert home.restart() == []
    assert home.tell("bed-1", Fact.PRESENCE, False) == []
    assert home.tell("bed-1", Fact.PRESENCE, True) == ["alarm_cleared"]


def test_what_elapsed_while_the_machine_was_off_raises_at_once(make_home):
    home = make_home(BED, at="2026-11-22 23:30")
    home.tell("bed-1", Fact.PRESENCE, False)
    home.pass_time(5 * MINUTE)
    assert home.reboot(5 * MINUTE) == []
    assert home.reboot(6 * MINUTE) == ["bed_absent"]
    assert home.judged[-1].event.details["lasted_s"] == 16 * MINUTE


def test_without_a_clock_after_a_power_cut_a_running_delay_counts_as_elapsed(make_home):
    home = make_home(BED, at="2026-11-22 23:30")
    home.tell("bed-1", Fact.PRESENCE, False)
    home.pass_time(10)
    assert home.reboot(5, is_trusted=False) == ["bed_absent"]
    details = home.judged[-1].event.details
    assert details["lasted"] == "unknown"
    assert details["hours"] == "clock_untrusted"


def test_after_a_power_cut_inactivity_waits_a_little_for_the_clock(make_home):
    home = make_home(ACTIVITY, at="2026-11-22 09:00")
    home.tell("motion-1", Fact.MOTION, True)
    home.pass_time(HOUR)
    assert only("inactivity", home.reboot(HOUR, is_trusted=False)) == []
    home.pass_time(MINUTE)
    home.is_trusted = True
    home.pass_time(HOUR)
    told = home.pass_time(10 * HOUR)
    assert only("inactivity", told) == ["inactivity"]
    event = next(each.event for each in home.judged if each.event.kind.word == "inactivity")
    assert event.details["silent_s"] >= 12 * HOUR


def test_without_any_clock_inactivity_of_unknown_length_is_told_on_the_safe_side(make_home):
    home = make_home(ACTIVITY, at="2026-11-22 10:00")
    home.tell("motion-1", Fact.MOTION, True)
    home.reboot(HOUR, is_trusted=False)
    assert only("inactivity", home.pass_time(4 * MINUTE)) == []
    assert only("inactivity", home.pass_time(2 * MINUTE)) == ["inactivity"]
    assert home.judged[-1].event.details["silent"] == "unknown"


def test_damaged_memory_stops_nothing_and_errs_on_the_safe_side(make_home):
    home = make_home(BED, ACTIVITY, PENDANT, at="2026-11-22 23:30")
    for key in list(home.memory):
        home.files[key.startswith("triage/u/")][key] = "|||,x:::"
    home.files[True]["triage/u/bed-1/presence"] = "what is this|"
    home.files[False]["triage/b/gone/heard"] = "0|x:1:1:1"
    home.files[False]["triage/b/bed-1/no-such-rule"] = "1"
    home.files[False]["triage/b"] = 7
    assert home.restart() == ["bed_absent"]
    assert "triage/b/gone/heard" not in home.memory, "what no rule uses is forgotten"
    assert "triage/b" not in home.memory
    assert home.tell("pendant-1", Fact.BUTTON, "press") == ["pendant_pressed"]


def test_memory_holds_nothing_about_a_resident(make_home):
    home = make_home(BED, ACTIVITY, PENDANT)
    home.tell("motion-1", Fact.MOTION, True)
    home.tell("bed-1", Fact.PRESENCE, False)
    home.tell("ghost-1", Fact.BUTTON, "press")
    assert home.memory
    assert "r-7f3a90" not in str(home.memory)
