"""Technical conditions: told at once, folded when they come and go, and never without their end."""

from __future__ import annotations

import pytest

from cloud_sync.identity import Lane
from drivers.contract import Fact

PENDANT = {"alias": "pendant-1", "profile": "pendant", "missing_after_s": 0}


def told_of(home, word):
    return [judged.event for judged in home.judged if judged.event.kind.word == word]


def test_a_low_battery_is_told_once_and_good_again_only_well_above(make_home):
    home = make_home(PENDANT)
    assert home.tell("pendant-1", Fact.BATTERY, 21) == ["battery_level"]
    assert home.tell("pendant-1", Fact.BATTERY, 20) == ["battery_low", "battery_level"]
    assert home.tell("pendant-1", Fact.BATTERY, 20) == []
    assert home.tell("pendant-1", Fact.BATTERY, 25) == ["battery_level"]
    assert home.tell("pendant-1", Fact.BATTERY, 19) == ["battery_level"]
    assert home.tell("pendant-1", Fact.BATTERY, 30) == ["battery_ok", "battery_level"]
    assert home.triage.devices()["pendant-1"].battery_pct == 30


def test_the_devices_own_warning_counts_and_does_not_double(make_home):
    home = make_home(PENDANT)
    assert home.tell("pendant-1", Fact.BATTERY_LOW, True) == ["battery_low"]
    assert home.tell("pendant-1", Fact.BATTERY, 12) == ["battery_level"]
    assert home.tell("pendant-1", Fact.BATTERY_LOW, False) == []
    assert home.tell("pendant-1", Fact.BATTERY, 95) == ["battery_ok", "battery_level"]


def test_the_level_that_counts_as_low_can_be_set(make_home):
    home = make_home({**PENDANT, "battery_low_pct": 40})
    assert home.tell("pendant-1", Fact.BATTERY, 40) == ["battery_low", "battery_level"]


@pytest.mark.parametrize(
    ("fact", "lost", "back"),
    [
        (Fact.MAINS, ("mains_lost", False), ("mains_back", True)),
        (Fact.FAULT, ("detector_fault", True), ("detector_fault_cleared", False)),
        (Fact.LINK, ("link_lost", False), ("link_back", True)),
    ],
)
def test_a_pair_is_told_at_once_and_what_follows_is_folded(make_home, fact, lost, back):
    home = make_home({"alias": "thing", "profile": "other"})
    assert home.tell("thing", fact, back[1]) == []
    assert home.tell("thing", fact, lost[1]) == [lost[0]]
    home.pass_time(5)
    assert home.tell("thing", fact, back[1]) == [back[0]]
    for _ in range(50):
        home.pass_time(2)
        assert home.tell("thing", fact, lost[1]) == []
        home.pass_time(2)
        assert home.tell("thing", fact, back[1]) == []
    home.tell("thing", fact, lost[1])
    assert home.pass_time(600) == [lost[0]]
    assert told_of(home, lost[0])[-1].count == 101
    assert home.tell("thing", fact, back[1]) == [back[0]]


def test_folding_survives_a_restart(make_home):
    home = make_home({"alias": "thing", "profile": "mains"})
    for value in (False, True, False, True):
        home.pass_time(1)
        home.tell("thing", Fact.MAINS, value)
    home.restart()
    assert home.pass_time(600) == ["mains_back"]
    assert told_of(home, "mains_back")[-1].count == 2


def test_a_slow_change_is_never_folded(make_home):
    home = make_home({"alias": "thing", "profile": "mains"})
    for _ in range(3):
        assert home.tell("thing", Fact.MAINS, False) == ["mains_lost"]
        home.pass_time(3600)
        assert home.tell("thing", Fact.MAINS, True) == ["mains_back"]
        home.pass_time(3600)


def test_tampering_is_told_with_a_count_and_its_end_is_not(make_home):
    home = make_home(PENDANT)
    assert home.tell("pendant-1", Fact.TAMPER, True) == ["tamper"]
    assert home.tell("pendant-1", Fact.TAMPER, False) == []
    assert home.tell("pendant-1", Fact.TAMPER, True) == []
    assert home.pass_time(600) == ["tamper"]


def test_a_silent_nurse_call_panel_is_care_and_not_only_technical(make_home):
    home = make_home({"alias": "panel", "profile": "nurse-call"})
    assert home.tell("panel", Fact.LINK, False) == ["link_lost"]
    assert home.last.events[0].lane is Lane.CARE
    assert home.tell("panel", Fact.LINK, True) == ["link_back"]
    assert home.last.events[0].lane is Lane.CARE, "lost and back keep their order"


@pytest.mark.parametrize(
    ("fact", "kind"),
    [(Fact.DOOR, "door_state"), (Fact.PRESENCE, "presence_state"), (Fact.CONTACT, "contact_state")],
)
def test_a_state_without_a_rule_is_telemetry_when_it_changes(make_home, fact, kind):
    home = make_home(PENDANT)
    assert home.tell("pendant-1", fact, True) == [kind]
    assert home.last.events[0].lane is Lane.TELEMETRY
    assert home.tell("pendant-1", fact, True) == []
    home.restart()
    assert home.tell("pendant-1", fact, True) == []
    assert home.tell("pendant-1", fact, False) == [kind]


def test_motion_that_goes_on_is_told_once_a_minute(make_home):
    home = make_home({"alias": "motion-1", "profile": "motion", "missing_after_s": 0})
    told = []
    for _ in range(300):
        told += home.tell("motion-1", Fact.MOTION, True)
        home.pass_time(1)
    assert told == ["motion"] * 5
    assert home.tell("motion-1", Fact.MOTION, False) == ["motion"]
    assert home.tell("motion-1", Fact.MOTION, False) == []


def test_signal_strength_is_no_measurement_of_a_resident(make_home):
    home = make_home(PENDANT)
    assert home.tell("pendant-1", Fact.MEASUREMENT, -71.0, details={"quantity": "rssi", "unit": "dBm"}) == [
        "signal_level"
    ]


def test_the_state_of_every_device_is_there_for_the_health_check(make_home):
    home = make_home(PENDANT, {"alias": "smoke-1", "profile": "smoke-detector"})
    home.tell("smoke-1", Fact.TEMPERATURE, 20.0, rssi_dbm=-70)
    home.tell("smoke-1", Fact.FAULT, True)
    home.tell("ghost-1", Fact.BATTERY, 5)
    devices = home.triage.devices()
    assert devices["smoke-1"].state == "fault"
    assert devices["smoke-1"].rssi_dbm == -70
    assert devices["smoke-1"].last_heard_boot_s == home.boot_s
    assert devices["smoke-1"].driver == "radio"
    assert devices["pendant-1"].state == "never_heard"
    assert devices["ghost-1"].state == "battery_low"
    assert devices["ghost-1"].is_known is False
