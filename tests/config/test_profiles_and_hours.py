"""Device profiles are sensible before anybody says anything, and hours follow the clock on the wall."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD
from config.devices import DEVICE_KINDS, DeviceSettings
from config.hours import Hours
from config.nearest import nearest, suggestion
from config.profiles import PROFILES, UNKNOWN
from drivers.contract import Fact

OSLO = ZoneInfo("Europe/Oslo")
LIFE = [Fact.BUTTON, Fact.CORD, Fact.FALL, Fact.SMOKE, Fact.CO, Fact.GAS, Fact.HEAT]


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=OSLO).timestamp() * 1000)


@pytest.mark.parametrize("profile", [*PROFILES.values(), UNKNOWN], ids=lambda profile: profile.name)
def test_whatever_the_profile_life_and_fire_raise_at_once_and_as_alarms(profile):
    for fact in LIFE:
        meaning = profile.meanings[fact]
        assert meaning.kind.is_alarm
        assert meaning.lane is Lane.ALARM
        assert meaning.delay_s == 0
        assert meaning.hours is None
    assert profile.calls["emergency"].lane is Lane.ALARM
    assert profile.title


def test_a_local_action_follows_the_class():
    meanings = PROFILES["other"].meanings
    assert meanings[Fact.BUTTON].action is LocalAction.LAMP_AND_BUZZER
    assert meanings[Fact.BATTERY_LOW].action is LocalAction.NONE
    assert PROFILES["bed-mat"].meanings[Fact.PRESENCE].action is LocalAction.LAMP


def test_overrides_replace_what_the_profile_says_and_nothing_else():
    device = DeviceSettings(
        alias="bed-1",
        profile="bed-mat",
        lane="alarm",
        action="lamp_and_buzzer",
        delay_s=60.0,
        active_between=("20:00", "09:00"),
        missing_after_s=0.0,
        battery_low_pct=35,
    )
    assert not list(device.objections())
    profile = device.resolved
    meaning = profile.meanings[Fact.PRESENCE]
    assert (meaning.kind.word, meaning.when) == ("bed_absent", False)
    assert (meaning.lane, meaning.action, meaning.delay_s) == (Lane.ALARM, LocalAction.LAMP_AND_BUZZER, 60.0)
    assert str(meaning.hours) == "20:00-09:00"
    assert profile.missing_after_s is None
    assert profile.battery_low_pct == 35
    assert profile.meanings[Fact.BUTTON] == PROFILES["bed-mat"].meanings[Fact.BUTTON]


def test_a_kind_of_its_own_keeps_hours_and_delay_only_where_it_may_wait():
    waits = DeviceSettings(alias="d", profile="door-night", kind="door_left_open").resolved.meanings[Fact.DOOR]
    assert waits.hours is not None
    prompt = DeviceSettings(alias="d", profile="door-night", kind="assault").resolved.meanings[Fact.DOOR]
    assert prompt.hours is None
    assert prompt.lane is Lane.ALARM


def test_what_a_device_may_raise_leaves_out_what_only_the_hub_knows():
    assert {"pendant_pressed", "door_opened", "nurse_reset"} <= set(DEVICE_KINDS)
    assert not {"hub_started", "test_alarm", "security", "temperature", "alarm_cleared"} & set(DEVICE_KINDS)
    assert all(word in BY_WORD for word in DEVICE_KINDS)


@pytest.mark.parametrize(
    ("now", "opened", "opens"),
    [
        ("2026-11-22 23:00", "2026-11-22 22:00", "2026-11-23 22:00"),
        ("2026-11-23 05:59", "2026-11-22 22:00", "2026-11-23 22:00"),
        ("2026-11-23 06:00", None, "2026-11-23 22:00"),
        ("2026-11-22 21:59", None, "2026-11-22 22:00"),
        ("2026-11-22 22:00", "2026-11-22 22:00", "2026-11-23 22:00"),
    ],
)
def test_hours_over_midnight(now, opened, opens):
    hours = Hours.between("22:00", "06:00")
    assert hours.opened_ms(at(now), OSLO) == (None if opened is None else at(opened))
    assert hours.opens_ms(at(now), OSLO) == at(opens)


def test_hours_of_a_day():
    hours = Hours.between("8:00", "22:00")
    assert str(hours) == "08:00-22:00"
    assert hours.opened_ms(at("2026-11-22 07:59"), OSLO) is None
    assert hours.opened_ms(at("2026-11-22 12:00"), OSLO) == at("2026-11-22 08:00")
    assert hours.opened_ms(at("2026-11-22 22:00"), OSLO) is None


@pytest.mark.parametrize("text", ["24:00", "22", "22:60", "-1:00", "abc", ""])
def test_what_is_no_time_of_day_is_refused(text):
    with pytest.raises(ValueError, match="not a time of day"):
        Hours.between(text, "06:00")


@pytest.mark.parametrize(
    ("word", "right"),
    [
        ("pendnat", "pendant"),
        ("smoke", "smoke-detector"),
        ("Door_Night", "door-night"),
        ("bedmat", "bed-mat"),
        ("fall_sensors", "fall-sensor"),
        ("zzzz", None),
    ],
)
def test_the_nearest_right_word_is_found(word, right):
    assert nearest(word, PROFILES) == right


def test_without_a_near_word_the_few_there_are_are_listed():
    assert suggestion("zzzz", ["b", "a"], what="the keys are") == "the keys are: a, b"
    assert suggestion("zzzz", []) == "nothing can stand here"
