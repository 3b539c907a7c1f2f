"""Presses, cords, detectors and calls: what a person or a detector says is always heard."""

from __future__ import annotations

import asyncio

import pytest

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event
from drivers.contract import Fact

PENDANT = {"alias": "pendant-1", "profile": "pendant", "resident": "r-7f3a90"}
SMOKE = {"alias": "smoke-1", "profile": "smoke-detector", "resident": "r-7f3a90"}


def test_a_press_is_an_alarm_of_its_resident(make_home):
    home = make_home(PENDANT)
    assert home.tell("pendant-1", Fact.BUTTON, "press") == ["pendant_pressed"]
    (judged,) = home.last.events
    assert judged.lane is Lane.ALARM
    assert judged.action is LocalAction.LAMP_AND_BUZZER
    assert judged.event.resident == "r-7f3a90"
    assert judged.event.device == "pendant-1"
    assert judged.event.value == "press"
    assert judged.event.rule == "pendant/button"


def test_every_further_press_is_an_event_of_its_own(make_home):
    home = make_home(PENDANT)
    for _ in range(8):
        assert home.tell("pendant-1", Fact.BUTTON, "press") == ["pendant_pressed"]
        home.pass_time(1)


def test_a_press_on_a_device_of_another_sort_raises_too(make_home):
    home = make_home({"alias": "door-1", "profile": "door"})
    assert home.tell("door-1", Fact.BUTTON, "long") == ["pendant_pressed"]


def test_a_press_that_is_to_be_ignored_raises_nothing(make_home):
    home = make_home({"alias": "climate-1", "profile": "thermometer", "ignore": ["button"]})
    assert home.tell("climate-1", Fact.BUTTON, "press") == []


def test_an_assault_button_gives_nothing_away_at_home(make_home):
    home = make_home({"alias": "staff-1", "profile": "assault-button"})
    assert home.tell("staff-1", Fact.BUTTON, "press") == ["assault"]
    assert home.last.events[0].action is LocalAction.NONE
    assert home.last.events[0].event.kind.rank == 0


def test_a_smoke_detector_raises_once_until_it_is_clear(make_home):
    home = make_home(SMOKE)
    assert home.tell("smoke-1", Fact.SMOKE, True) == ["smoke"]
    for _ in range(10):
        home.pass_time(60)
        assert home.tell("smoke-1", Fact.SMOKE, True) == []
    assert home.tell("smoke-1", Fact.SMOKE, False) == ["alarm_cleared"]
    assert home.last.events[0].event.details["cleared"] == "smoke"
    assert home.tell("smoke-1", Fact.SMOKE, False) == []
    assert home.tell("smoke-1", Fact.SMOKE, True) == ["smoke"]


def test_a_detector_that_was_silent_for_long_raises_again_because_its_end_may_be_lost(make_home):
    home = make_home(SMOKE)
    home.tell("smoke-1", Fact.SMOKE, True)
    home.pass_time(16 * 60)
    assert home.tell("smoke-1", Fact.SMOKE, True) == ["smoke"]
    assert home.last.events[0].event.details["repeated"] is True


def test_a_cord_still_pulled_after_a_reboot_raises_again(make_home):
    home = make_home({"alias": "cord-1", "profile": "pull-cord"})
    assert home.tell("cord-1", Fact.CORD, True) == ["cord_pulled"]
    home.reboot(3600)
    assert home.tell("cord-1", Fact.CORD, True) == ["cord_pulled"]
    home.reboot(30, is_trusted=False)
    assert home.tell("cord-1", Fact.CORD, True) == ["cord_pulled"]


def test_two_detectors_in_one_device_do_not_mix_up(make_home):
    home = make_home(SMOKE)
    assert home.tell("smoke-1", Fact.SMOKE, True) == ["smoke"]
    assert home.tell("smoke-1", Fact.SMOKE, False, details={"nth": 2}) == []
    assert home.tell("smoke-1", Fact.SMOKE, True, details={"nth": 2}) == ["smoke"]
    home.restart()
    assert home.tell("smoke-1", Fact.SMOKE, False, details={"nth": 2}) == ["alarm_cleared"]
    assert home.tell("smoke-1", Fact.SMOKE, False) == ["alarm_cleared"]


@pytest.mark.parametrize(
    ("fact", "kind"),
    [
        (Fact.FALL, "fall"),
        (Fact.CO, "carbon_monoxide"),
        (Fact.GAS, "gas"),
        (Fact.HEAT, "heat"),
        (Fact.WATER, "water"),
        (Fact.CORD, "cord_pulled"),
    ],
)
def test_every_detector_has_its_kind_and_goes_its_lane(make_home, fact, kind):
    home = make_home({"alias": "any-1", "profile": "other"})
    assert home.tell("any-1", fact, True) == [kind]
    assert home.last.events[0].lane is BY_WORD[kind].lane
    assert home.tell("any-1", fact, False) == ["alarm_cleared"]


@pytest.mark.parametrize(
    ("value", "kind", "lane"),
    [
        ("call", "nurse_call", Lane.CARE),
        ("emergency", "nurse_emergency", Lane.ALARM),
        ("assistance", "nurse_assistance", Lane.ALARM),
        ("presence", "nurse_presence", Lane.CARE),
        ("reset", "nurse_reset", Lane.CARE),
        ("something new", "nurse_call", Lane.CARE),
    ],
)
def test_a_panel_says_what_sort_of_call_it_is(make_home, value, kind, lane):
    home = make_home({"alias": "room-*", "profile": "nurse-call"})
    assert home.tell("room-12", Fact.NURSE_CALL, value, driver="panel") == [kind]
    assert home.last.events[0].lane is lane
    assert home.last.events[0].event.value == value


def test_a_room_that_is_named_belongs_to_its_resident_and_the_others_to_nobody(make_home):
    home = make_home(
        {"alias": "room-*", "profile": "nurse-call"},
        {"alias": "room-12", "profile": "nurse-call", "resident": "r-19c04e"},
    )
    home.tell("room-12", Fact.NURSE_CALL, "call")
    assert home.last.events[0].event.resident == "r-19c04e"
    assert home.tell("room-13", Fact.NURSE_CALL, "call") == ["nurse_call"]
    assert home.last.events[0].event.resident is None


def test_a_kind_of_ones_own_takes_the_place_of_the_profiles(make_home):
    home = make_home({"alias": "contact-1", "profile": "generic-contact", "kind": "seizure", "lane": "care"})
    assert home.tell("contact-1", Fact.CONTACT, True) == ["seizure"]
    assert home.last.events[0].lane is Lane.CARE
    assert home.tell("contact-1", Fact.CONTACT, True) == []
    assert home.tell("contact-1", Fact.CONTACT, False) == ["alarm_cleared"]


def test_an_unknown_device_raises_on_the_safe_side_and_is_told_once(make_home):
    home = make_home(PENDANT)
    assert home.tell("ghost-1", Fact.BUTTON, "press") == ["pendant_pressed", "device_unknown"]
    assert home.tell("ghost-1", Fact.BUTTON, "press") == ["pendant_pressed"]
    home.restart()
    assert home.tell("ghost-1", Fact.SMOKE, True) == ["smoke"]
    assert home.tell("ghost-2", Fact.TEMPERATURE, 20.0) == ["device_unknown", "temperature"]


def test_the_drivers_own_line_is_no_unknown_device(make_home):
    home = make_home(PENDANT)
    assert home.tell("radio", Fact.LINK, False) == ["link_lost"]
    assert home.tell("radio", Fact.LINK, True) == ["link_back"]


def test_a_thousand_unknown_names_cost_no_memory_and_no_alarm(make_home):
    home = make_home(PENDANT)
    for number in range(1200):
        assert "pendant_pressed" in home.tell(f"ghost-{number}", Fact.BUTTON, "press")
    assert len(home.memory) < 1100
    assert home.tell("Not An Alias At All, Far Too Long", Fact.SMOKE, True) == ["smoke"]
    assert len(home.last.events[0].event.device) <= 16
    assert home.tell("pendant-1", Fact.BUTTON, "press") == ["pendant_pressed"]


def test_what_may_be_a_replay_raises_the_alarm_and_a_security_event(make_home):
    home = make_home(PENDANT)
    told = home.tell("pendant-1", Fact.BUTTON, "press", is_replay_suspect=True, remember={"counter": 3})
    assert told == ["pendant_pressed", "security"]
    alarm, security = home.last.events
    assert alarm.remember == {"driver/radio/counter": 3}
    assert not any(key.startswith("driver/") for key in security.remember)
    assert security.lane is Lane.TECHNICAL
    assert home.tell("pendant-1", Fact.BUTTON, "press", is_replay_suspect=True) == ["pendant_pressed"]
    assert home.pass_time(700) == ["security"]
    assert home.judged[-1].event.count == 1


def test_what_may_be_a_replay_can_neither_reassure_nor_count_as_a_sign_of_life(make_home):
    home = make_home({**SMOKE, "missing_after_s": 3600})
    home.tell("smoke-1", Fact.SMOKE, True)
    home.pass_time(3000)
    assert home.tell("smoke-1", Fact.SMOKE, False, is_replay_suspect=True) == ["security"]
    assert home.tell("smoke-1", Fact.TEMPERATURE, 20.0, is_replay_suspect=True) == []
    assert "device_missing" in home.pass_time(1200)
    assert home.tell("smoke-1", Fact.SMOKE, False) == ["alarm_cleared", "device_back"]


async def test_the_confirmation_goes_with_the_most_urgent_event(make_home):
    home = make_home(PENDANT)
    waiting = asyncio.get_running_loop().create_future()
    home.tell("ghost-1", Fact.BUTTON, "press", confirmation=waiting, is_replay_suspect=True)
    assert [judged.confirmation for judged in home.last.events] == [waiting, None, None]
    assert home.last.confirmation is None


async def test_a_confirmation_that_no_event_carries_is_handed_back(make_home):
    home = make_home(SMOKE)
    home.tell("smoke-1", Fact.SMOKE, True)
    waiting = asyncio.get_running_loop().create_future()
    assert home.tell("smoke-1", Fact.SMOKE, True, confirmation=waiting, remember={"counter": 9}) == []
    assert home.last.confirmation is waiting
    assert home.last.remember[Lane.TELEMETRY] == {"driver/radio/counter": 9}


def test_an_event_always_fits_the_wire_whatever_a_device_says(make_home):
    home = make_home({"alias": "room-*", "profile": "nurse-call"})
    details = {f"key {number}": "ø" * 400 for number in range(100)} | {"nan": float("nan"), "big": 2**70}
    home.tell("room-1", Fact.NURSE_CALL, "call", details=details)
    event = home.last.events[0].event
    assert Event.from_bytes(event.to_bytes(), event.stamp) == event
    assert event.details["shortened"] is True
    home.tell("room-1", Fact.MEASUREMENT, float("inf"))
    event = home.last.events[0].event
    assert event.value is None
    assert event.details == {"unreadable_value": "inf"}


def test_the_time_of_an_event_is_when_it_was_observed(make_home):
    home = make_home(PENDANT)
    seen_s, wall_s = home.boot_s, home.wall_s
    home.boot_s += 5
    home.wall_s += 5
    from drivers.contract import Observation

    seen = Observation(device="pendant-1", fact=Fact.BUTTON, value="press", observed_boot_s=seen_s)
    event = home.triage.judge(seen, "radio", home.stamp).events[0].event
    assert event.stamp.boot_ms == round(seen_s * 1000)
    assert event.stamp.wall_ms == round(wall_s * 1000)
