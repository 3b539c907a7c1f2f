"""When the hub starts with less: the rules alone, and what is left of the settings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import HubSettings, SettingsError, load
from gateway import safe_mode
from gateway.safe_mode import FULL, Mode, Record, Starts, begin, ended, lasted, reduced, served, trial_after_s
from gateway.start import LAST_GOOD, Start, prepare

SETTINGS = """
[hub]
state_dir = "state"

[uplinks.sim]
type = "https"
url = "https://127.0.0.1:9"

[uplinks.fibre]
type = "https"
url = "https://127.0.0.1:8"

[drivers.inputs]
type = "load"
socket = "load.sock"

[drivers.extra]
type = "load"
socket = "extra.sock"
sensor = "sensor-2"
button = "button-2"
optional = true

[[devices]]
alias = "button-1"
profile = "pendant"

[[devices]]
alias = "button-2"
profile = "pendant"
"""


def starts(record: Record, *, settings: str = "a", count: int = 1) -> list[Record]:
    """So many starts that crash."""
    found = []
    for _ in range(count):
        record = begin(record, settings)
        found.append(record)
    return found


def test_the_sixth_start_after_five_crashes_is_in_safe_mode() -> None:
    found = starts(Record(), count=6)
    assert [one.is_safe for one in found] == [False] * 5 + [True]


def test_a_run_that_lasts_or_is_asked_to_end_does_not_count_as_a_crash() -> None:
    for mended in (lasted, ended):
        record = starts(Record(), count=4)[-1]
        assert [one.is_safe for one in starts(mended(record), count=5)] == [False] * 5


def test_safe_mode_stays_safe_while_it_crashes_itself() -> None:
    assert [one.is_safe for one in starts(Record(), count=12)] == [False] * 5 + [True] * 7


@pytest.mark.parametrize("leave", [served, ended], ids=["served", "ended on request"])
def test_the_full_set_is_tried_after_safe_mode_and_one_crash_brings_it_back_for_twice_as_long(
    leave: Callable[[Record], Record],
) -> None:
    safe = starts(Record(), count=6)[-1]
    assert trial_after_s(safe, 3600) == 3600
    trial, again = starts(leave(lasted(safe)), count=2)
    assert not trial.is_safe
    assert again.is_safe
    assert trial_after_s(again, 3600) == 7200
    assert begin(again, "a").is_safe


def test_a_trial_that_lasts_leaves_nothing_behind() -> None:
    trial = begin(served(starts(Record(), count=6)[-1]), "a")
    assert lasted(trial) == Record(settings="a")


def test_new_settings_are_tried_at_once_with_all_the_chances_of_a_first_start() -> None:
    safe = starts(Record(), count=9)[-1]
    assert [one.is_safe for one in starts(safe, settings="b", count=6)] == [False] * 5 + [True]


@given(st.lists(st.sampled_from(["crash", "last", "serve", "end"]), max_size=60))
def test_it_never_crashes_with_the_full_set_more_than_five_times_in_a_row_without_safe_mode(fates: list[str]) -> None:
    record, in_a_row, safe_starts = Record(), 0, 0
    for fate in fates:
        record = begin(record, "a")
        if record.is_safe:
            safe_starts += 1
            in_a_row = 0
        if fate == "crash":
            in_a_row += not record.is_safe
        else:
            in_a_row = 0
            record = lasted(record)
            if fate == "serve":
                record = served(record)
            elif fate == "end":
                record = ended(record)
        assert in_a_row <= 5
    if fates[-6:] == ["crash"] * 6:
        assert safe_starts


@given(st.integers(0, 1000))
def test_safe_mode_never_lasts_longer_than_a_day_and_a_half_by_default(trials: int) -> None:
    assert 3600 <= trial_after_s(Record(is_safe=True, trials=trials), 3600) <= 36 * 3600


# what is left


@pytest.fixture
def place(tmp_path: Path) -> Path:
    config = tmp_path / "hub.toml"
    config.write_text(textwrap.dedent(SETTINGS))
    (tmp_path / "state").mkdir()
    return config


@pytest.fixture
def settings(place: Path) -> HubSettings:
    return load(place)


def test_safe_mode_has_the_inputs_that_can_raise_alarms_one_path_and_no_optional_driver(settings: HubSettings) -> None:
    less, left_out = reduced(settings)
    assert list(less.drivers) == ["inputs"]
    assert list(less.uplinks) == ["sim"]
    assert [device.alias for device in less.devices] == ["button-1"]
    assert left_out == ("driver extra", "path fibre")


def test_a_path_with_which_even_safe_mode_crashes_gives_way_to_the_next(settings: HubSettings) -> None:
    used = [next(iter(reduced(settings, crashes)[0].uplinks)) for crashes in range(8)]
    assert used == ["sim"] * 3 + ["fibre"] * 3 + ["sim"] * 2


# the start itself


def crash(place: Path, times: int) -> Start:
    for _ in range(times):
        start = prepare(place)
    return start


def test_starts_are_counted_before_anything_can_go_wrong(place: Path) -> None:
    assert crash(place, 5).mode == FULL
    start = crash(place, 1)
    assert start.mode.is_safe
    assert (start.mode.why, start.mode.crashes) == ("crash_loop", 5)
    assert list(start.settings.drivers) == ["inputs"]
    assert start.mode.details() == {"reason": "crash_loop", "crashes": 5, "left_out": 2}


def test_safe_mode_uses_the_last_good_settings(place: Path) -> None:
    (place.parent / "state" / LAST_GOOD).write_text(SETTINGS)
    place.write_text(SETTINGS.replace("uplinks.sim", "uplinks.other"))
    start = crash(place, 6)
    assert start.mode.is_safe
    assert start.mode.is_last_good
    assert list(start.settings.uplinks) == ["sim"]


def test_a_settings_file_that_cannot_be_used_is_replaced_by_the_last_good_one(place: Path) -> None:
    (place.parent / "state" / LAST_GOOD).write_text(place.read_text())
    good = load(place)
    place.write_text(place.read_text().replace('profile = "pendant"', 'profile = "pendent"', 1))
    start = prepare(place)
    assert start.mode.is_last_good
    assert not start.mode.is_safe
    assert start.mode.why == "settings"
    assert "devices" in start.mode.problem
    assert start.settings.config_hash == good.config_hash
    assert start.settings.state_dir == good.state_dir
    with pytest.raises(SettingsError):
        load(place)


WITH_FILES = """
[uplinks.broker]
type = "mqtt"
host = "127.0.0.1"
password_file = "broker.password"

[modem]
port = "/dev/ttyUSB0"
pin_file = "sim.pin"

[drivers.radio]
type = "ble"

[[drivers.radio.devices]]
alias = "smoke-1"
address = "A4:C1:38:00:00:02"
key_file = "smoke-1.key"

[[devices]]
alias = "smoke-1"
profile = "smoke-detector"
"""


@pytest.mark.parametrize("lost", ["smoke-1.key", "sim.pin", "broker.password"])
@pytest.mark.parametrize("has_run", [True, False])
def test_a_file_that_is_lost_silences_what_needs_it_and_nothing_else(place: Path, lost: str, has_run: bool) -> None:
    for name in ("smoke-1.key", "sim.pin", "broker.password"):
        (place.parent / name).write_text("00" * 16)
    place.write_text(place.read_text() + WITH_FILES)
    assert prepare(place).mode.is_full
    if has_run:
        (place.parent / "state" / LAST_GOOD).write_text(place.read_text())
    (place.parent / lost).unlink()
    with pytest.raises(SettingsError, match=lost):
        load(place)
    start = prepare(place)
    assert {"inputs", "extra", "radio"} == set(start.settings.drivers)
    assert (start.mode.is_full, start.mode.is_last_good, start.mode.why) == (False, False, "files")
    assert lost in start.mode.problem
    assert any(lost in str(warning) for warning in start.settings.warnings), "it is said at the start"


def test_the_last_good_settings_are_used_even_if_they_too_lack_a_file(place: Path) -> None:
    (place.parent / "state" / LAST_GOOD).write_text(place.read_text() + WITH_FILES)
    place.write_text("[hub\n")
    start = prepare(place)
    assert (start.mode.is_last_good, start.mode.is_lacking) == (True, True)
    assert set(start.settings.drivers) == {"inputs", "extra", "radio"}


def test_settings_that_lack_no_file_are_preferred_to_those_that_do(place: Path) -> None:
    (place.parent / "state" / LAST_GOOD).write_text(place.read_text())
    place.write_text(place.read_text() + WITH_FILES)
    start = prepare(place)
    assert (start.mode.is_last_good, start.mode.is_lacking) == (True, False)


@pytest.mark.parametrize("content", ["", "[hub\n", "\xff\x00"], ids=["empty", "not TOML", "not text"])
def test_a_ruined_file_is_replaced_also_when_it_does_not_say_where_the_state_is(place: Path, content: str) -> None:
    (place.parent / "state" / LAST_GOOD).write_text(place.read_text())
    place.write_text(content, encoding="latin-1")
    assert prepare(place).mode.is_last_good


def test_the_state_folder_that_systemd_names_is_looked_into(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LAST_GOOD).write_text(place.read_text())
    place.write_text("")
    with pytest.raises(SettingsError):
        prepare(place)
    monkeypatch.setenv("STATE_DIRECTORY", str(elsewhere))
    assert prepare(place).mode.is_last_good


def test_without_a_last_good_one_a_bad_file_is_refused_with_its_problems(place: Path) -> None:
    place.write_text("[hub]\nzome = 1\n")
    with pytest.raises(SettingsError, match="zome"):
        prepare(place)


def test_the_count_lies_in_memory_where_systemd_gives_a_place_there(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    crash(place, 2)
    assert Starts(place.parent / "state").record.unfinished == 2
    assert not (place.parent / "state" / safe_mode.STARTS_FILE).exists()


@pytest.mark.parametrize("content", [b"", b"{", b'{"unfinished": -1}', b"\xff"])
def test_a_damaged_count_is_no_count(place: Path, content: bytes) -> None:
    (place.parent / "state" / safe_mode.STARTS_FILE).write_bytes(content)
    assert Starts(place.parent / "state").record == Record()


def test_a_count_that_cannot_be_kept_does_not_keep_the_hub_from_starting(place: Path) -> None:
    (place.parent / "state").rmdir()
    assert prepare(place).mode == FULL


def test_the_mode_of_a_whole_hub_is_full() -> None:
    assert FULL.is_full
    assert not Mode(is_last_good=True).is_full
    assert not Mode(is_safe=True).is_full
    assert not Mode(is_lacking=True).is_full
