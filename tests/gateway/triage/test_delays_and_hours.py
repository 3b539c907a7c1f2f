"""Conditions that must last a while, at certain hours of the day."""

from __future__ import annotations

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from drivers.contract import Fact

BED = {"alias": "bed-1", "profile": "bed-mat", "resident": "r-7f3a90", "missing_after_s": 0}
DOOR = {"alias": "door-1", "profile": "door", "resident": "r-7f3a90"}
NIGHT_DOOR = {"alias": "door-1", "profile": "door-night", "missing_after_s": 0}
MINUTE = 60


def test_nobody_in_bed_for_a_quarter_of_an_hour_at_night_is_told(make_home):
    home = make_home(BED, at="2026-11-22 23:30")
    home.tell("bed-1", Fact.PRESENCE, True)
    home.tell("bed-1", Fact.PRESENCE, False)
    assert home.pass_time(15 * MINUTE - 1) == []
    assert home.pass_time(1) == ["bed_absent"]
    judged = home.judged[-1]
    assert judged.lane is Lane.CARE
    assert judged.action is LocalAction.LAMP
    assert judged.event.details["lasted_s"] == 900
    assert home.pass_time(3600) == []
    assert home.tell("bed-1", Fact.PRESENCE, True) == ["alarm_cleared"]


def test_who_is_back_in_time_raises_nothing(make_home):
    home = make_home(BED, at="2026-11-22 23:30")
    home.tell("bed-1", Fact.PRESENCE, False)
    home.pass_time(14 * MINUTE)
    assert home.tell("bed-1", Fact.PRESENCE, True) == []
    home.tell("bed-1", Fact.PRESENCE, False)
    assert home.pass_time(14 * MINUTE) == []
    assert home.pass_time(1 * MINUTE) == ["bed_absent"]


def test_an_empty_bed_by_day_raises_a_quarter_of_an_hour_after_bedtime(make_home):
    home = make_home(BED, at="2026-11-22 12:00")
    home.tell("bed-1", Fact.PRESENCE, False)
    assert home.until("22:14") == []
    assert home.until("22:15") == ["bed_absent"]


def test_a_delay_that_ends_after_the_hours_waits_for_the_next_night(make_home):
    home = make_home(BED, at="2026-11-22 06:50")
    home.tell("bed-1", Fact.PRESENCE, False)
    assert home.until("22:14") == []
    assert home.until("22:15") == ["bed_absent"]


def test_a_timer_that_ran_out_is_told_before_the_fact_that_ends_it(make_home):
    home = make_home(DOOR)
    home.tell("door-1", Fact.DOOR, True)
    home.boot_s += 700
    home.wall_s += 700
    assert home.tell("door-1", Fact.DOOR, False) == ["door_left_open", "alarm_cleared"]


def test_a_door_left_open_is_told_whatever_the_hour(make_home):
    home = make_home(DOOR)
    home.tell("door-1", Fact.DOOR, True)
    assert home.pass_time(10 * MINUTE) == ["door_left_open"]
    assert home.tell("door-1", Fact.DOOR, False) == ["alarm_cleared"]


def test_a_door_opened_at_night_is_told_at_once_and_by_day_not_at_all(make_home):
    home = make_home(NIGHT_DOOR, at="2026-11-22 12:00")
    assert home.tell("door-1", Fact.DOOR, True) == []
    assert home.tell("door-1", Fact.DOOR, False) == []
    home.until("23:30")
    assert home.tell("door-1", Fact.DOOR, True) == ["door_opened"]
    assert home.tell("door-1", Fact.DOOR, False) == ["alarm_cleared"]


def test_a_door_that_stands_open_when_the_night_begins_is_told_then(make_home):
    home = make_home(NIGHT_DOOR, at="2026-11-22 20:00")
    home.tell("door-1", Fact.DOOR, True)
    assert home.until("21:59") == []
    assert home.until("22:00") == ["door_opened"]


def test_hours_always_apply_while_the_clock_is_not_trusted(make_home):
    home = make_home(NIGHT_DOOR, at="2026-11-22 12:00")
    home.is_trusted = False
    assert home.tell("door-1", Fact.DOOR, True) == ["door_opened"]
    assert home.judged[-1].event.details["hours"] == "clock_untrusted"


def test_a_clock_that_is_set_meanwhile_changes_what_the_hours_are(make_home):
    home = make_home(NIGHT_DOOR, at="2026-11-22 12:00")
    home.tell("door-1", Fact.DOOR, True)
    home.wall_s += 11 * 3600
    assert home.pass_time(16 * MINUTE) == ["door_opened"]


def test_hours_of_ones_own_and_a_longer_delay(make_home):
    home = make_home({**BED, "delay_s": 1800, "active_between": ["01:00", "05:00"]}, at="2026-11-22 23:30")
    home.tell("bed-1", Fact.PRESENCE, False)
    assert home.until("01:29") == []
    assert home.until("01:30") == ["bed_absent"]


def test_the_night_in_which_summer_time_ends_is_an_hour_longer(make_home):
    home = make_home({**BED, "active_between": ["04:00", "06:00"]}, at="2026-10-24 23:00")
    home.tell("bed-1", Fact.PRESENCE, False)
    begin_s = home.boot_s
    while not home.pass_time(MINUTE):
        assert home.boot_s - begin_s < 8 * 3600
    # 23:00 summer time to 04:15 standard time: 5 h 15 min by the clock, and one hour twice
    assert round((home.boot_s - begin_s) / MINUTE) == 6 * 60 + 15


def test_the_night_in_which_summer_time_begins_is_an_hour_shorter(make_home):
    home = make_home({**BED, "active_between": ["04:00", "06:00"]}, at="2026-03-28 23:00")
    home.tell("bed-1", Fact.PRESENCE, False)
    begin_s = home.boot_s
    while not home.pass_time(MINUTE):
        assert home.boot_s - begin_s < 8 * 3600
    assert round((home.boot_s - begin_s) / MINUTE) == 4 * 60 + 15


def test_a_reading_beyond_its_limit_for_long_enough_is_told_with_hysteresis(make_home):
    home = make_home({"alias": "t-1", "profile": "thermometer", "below": 14.0, "hysteresis": 1.0, "delay_s": 600})
    assert home.tell("t-1", Fact.TEMPERATURE, 13.0) == ["temperature"]
    home.pass_time(300)
    assert home.tell("t-1", Fact.TEMPERATURE, 14.5) == ["temperature"]
    assert home.pass_time(300) == ["limit_exceeded"]
    assert home.tell("t-1", Fact.TEMPERATURE, 14.9) == ["temperature"]
    assert home.tell("t-1", Fact.TEMPERATURE, 15.0) == ["alarm_cleared", "temperature"]
    assert home.tell("t-1", Fact.TEMPERATURE, 14.2) == ["temperature"]


def test_a_limit_is_for_one_quantity_of_a_meter(make_home):
    home = make_home({"alias": "meter", "profile": "health-meter", "below": 90.0, "quantity": "spo2"})
    assert home.tell("meter", Fact.MEASUREMENT, 60.0, details={"quantity": "pulse"}) == ["measurement"]
    assert home.tell("meter", Fact.MEASUREMENT, 88.0, details={"quantity": "spo2"}) == ["limit_exceeded", "measurement"]
    assert home.last.events[0].event.value == 88.0
    assert home.tell("meter", Fact.MEASUREMENT, float("nan"), details={"quantity": "spo2"}) == ["measurement"]
