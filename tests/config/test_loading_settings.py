"""Settings files: what is read from a good one, and what is said of a bad one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import config
from config import Problem, SettingsError, render_json, render_text
from config.lines import Lines

UPLINK = '[uplinks.main]\ntype = "https"\nurl = "https://127.0.0.1:8443"\n'
RADIO = """
[drivers.radio]
type = "ble"
[[drivers.radio.devices]]
alias = "pendant-1"
address = "A4:C1:38:00:00:01"
[[drivers.radio.devices]]
alias = "door-1"
address = "A4:C1:38:00:00:02"
"""
DEVICES = """
[[devices]]
alias = "pendant-1"
profile = "pendant"
[[devices]]
alias = "door-1"
profile = "door"
"""
GOOD = UPLINK + RADIO + DEVICES
EXAMPLES = Path(config.__file__).parent / "examples"


def errors(checked) -> list[Problem]:
    return [each for each in checked.problems if each.severity == "error"]


def test_a_good_file_is_read(check):
    checked = check("[hub]\nstate_dir = 'var'", GOOD)
    assert checked.problems == ()
    settings = checked.settings
    assert settings.state_dir == checked.path.parent / "var"
    assert settings.driver_of == {"pendant-1": "radio", "door-1": "radio"}
    assert settings.driver_types == {"radio": "ble"}
    assert settings.heard_regularly == {"radio"}
    assert settings.uplinks["main"].url == "https://127.0.0.1:8443"
    assert settings.zone.key == "Europe/Oslo"
    assert config.load(checked.path) == settings


@pytest.mark.parametrize("name", ["flat", "ward"])
def test_the_examples_are_good_but_for_their_key_files(name):
    checked = config.check(EXAMPLES / f"{name}.toml")
    assert all(each.key.endswith("key_file") for each in errors(checked))


def test_an_example_with_its_key_files_can_be_used(tmp_path):
    (tmp_path / "flat.toml").write_bytes((EXAMPLES / "flat.toml").read_bytes())
    for problem in config.check(tmp_path / "flat.toml").problems:
        if problem.key.endswith("key_file"):
            path = Path(problem.message.removeprefix("there is no file "))
            path.parent.mkdir(exist_ok=True)
            path.write_text("00" * 16)
    settings = config.load(tmp_path / "flat.toml")
    assert list(settings.uplinks) == ["main", "mobile"], "the order is the preference"
    assert [each.key for each in settings.warnings] == ["devices[7].ignore"]


@pytest.mark.parametrize(
    ("text", "key", "message", "hint"),
    [
        ("[hub]\nstat_dir = 'x'", "hub.stat_dir", 'no key "stat_dir"', '"state_dir"'),
        ("[hub]\nlanguage = 'no'", "hub.language", '"no" cannot stand here', "nb"),
        (
            "[hub]\ntelemetry_commit_s = 'fast'",
            "hub.telemetry_commit_s",
            'a number is expected, found the text "fast"',
            "",
        ),
        ("[hub]\ntelemetry_commit_s = true", "hub.telemetry_commit_s", "a number is expected, found true", ""),
        ("[hub]\nstate_dir = 5", "hub.state_dir", "text in quotes is expected, found the number 5", '"5"'),
        ("[hub]\nintake_queue = 3", "hub.intake_queue", "the number 3 is too small", "at least 64"),
        ("[hub]\nzone = 'Europe/Osslo'", "hub.zone", 'no time zone "Europe/Osslo"', "Europe/Oslo"),
        ("[dispatch]\nheartbeats_s = 3", "dispatch.heartbeats_s", "no key", '"heartbeat_s"'),
        ("[indicator]\ndriver = 'radio'", "indicator", 'no section "indicator"', '"indicators"'),
        ("[indicators]\ndriver = 'radoi'", "indicators.driver", 'no driver "radoi"', '"radio"'),
        ("[uplinks.b]\ntype = 'mqqt'", "uplinks.b.type", '"mqqt" cannot stand here', '"mqtt"'),
        ("[uplinks.b]\ntype = 'mqtt'\nhost = 'h'\nprt = 1", "uplinks.b.prt", 'no key "prt"', '"port"'),
        ("[uplinks.b]\nurl = 'https://x'", "uplinks.b", "has no type", "https, mqtt"),
        ("[uplinks.b]\ntype = 'https'\nurl = 'http://x'", "uplinks.b.url", "https://", ""),
        ("[uplinks.Main]\ntype = 'https'", "uplinks.Main", "cannot be a name", "lower-case"),
        ("[drivers.b]\ntype = 'bel'", "drivers.b.type", 'no driver "bel"', '"ble"'),
        ("[drivers.b]\nalias = 'x'", "drivers.b", "has no type", "ble, espa, gpio"),
        ("[[devices]]\nalias = 'radio'\nprofile = 'pendnt'", "devices[2].profile", 'no profile "pendnt"', '"pendant"'),
    ],
)
def test_a_mistake_is_answered_with_place_and_nearest_right_word(check, text, key, message, hint):
    found = errors(check(GOOD, text))
    assert [each.key for each in found] == [key]
    assert message in found[0].message
    assert hint in found[0].hint + found[0].message
    assert found[0].line is not None


@pytest.mark.parametrize(
    ("text", "key", "message", "hint"),
    [
        ("profle = 'door'", "profle", 'no key "profle"', '"profile"'),
        ("profile = 'door'\nkind = 'dor_opened'", "kind", 'cannot raise "dor_opened"', '"door_opened"'),
        ("profile = 'door'\nresident = 'Operator One'", "resident", "is not a pseudonym", "never a name"),
        ("profile = 'door'\nactive_between = ['22:00', '25:00']", "active_between", "not a time of day", '"22:00"'),
        ("profile = 'door'\nactive_between = ['22:00']", "active_between[1]", "an entry is missing", ""),
        ("profile = 'door'\nactive_between = ['22:00', '22:00']", "active_between", "no time at all", ""),
        ("profile = 'door'\nabove = 5.0", "above", "measures nothing", "leave it out"),
        ("profile = 'door'\nignore = ['butto']", "ignore[0]", '"butto" cannot stand here', '"button"'),
        ("profile = 'door'\nlane = 'technical'", "lane", "no technical event", '"care"'),
        ("profile = 'pendant'\ndelay_s = 5.0", "delay_s", "raised at once", "leave it out"),
        ("profile = 'pendant'\nactive_between = ['22:00', '06:00']", "active_between", "at any hour", "leave it out"),
        ("profile = 'generic-contact'\nkind = 'seizure'\ndelay_s = 5.0", "delay_s", "raised at once", ""),
        ("profile = 'motion'\ndelay_s = 5.0", "delay_s", "raises nothing by itself", "kind"),
        ("profile = 'thermometer'\ndelay_s = 5.0", "delay_s", "nothing without a limit", "above or below"),
        ("profile = 'thermometer'\nhysteresis = 5.0", "hysteresis", "belongs to a limit", ""),
        ("profile = 'thermometer'\nabove = 5.0\nbelow = 6.0", "below", "not lower than above", ""),
        ("profile = 'nurse-call'\nkind = 'fall'", "kind", "the panel itself", "mapping"),
    ],
)
def test_a_mistake_about_a_device_is_answered_likewise(check, text, key, message, hint):
    devices = f"[[devices]]\nalias = 'pendant-1'\nprofile = 'pendant'\n[[devices]]\nalias = 'door-1'\n{text}"
    found = errors(check(UPLINK, RADIO, devices))
    assert [each.key for each in found] == [f"devices[1].{key}"]
    assert message in found[0].message
    assert hint in found[0].hint
    assert "Nordmann" not in str(found[0]), "what stands there may be a name, and this may go to a log"


def test_a_driver_own_settings_are_answered_likewise(check):
    found = errors(check(GOOD.replace('address = "A4:C1:38:00:00:02"', 'adress = "A4:C1:38:00:00:02"')))
    assert [each.key for each in found] == ["drivers.radio.devices[1].adress"]
    assert '"address"' in found[0].hint
    pins = "[drivers.pins]\ntype = 'gpio'\n[[drivers.pins.inputs]]\nalias = 'cord-1'\npin = 99\nkind = 'cord'"
    found = errors(check(GOOD, pins))
    assert [each.key for each in found] == ["drivers.pins.inputs[0].pin"]
    assert "99" in found[0].message


def test_everything_is_found_at_once_and_in_the_order_of_the_file(check):
    text = GOOD.replace("pendant-1", "Pendant", 1).replace('"door"', '"doro"').replace('"ble"', '"ble"\nsilence_s = 1')
    found = errors(check("[hub]\nlanguage = 'sv'", text))
    assert [each.key for each in found] == [
        "hub.language",
        "drivers.radio.silence_s",
        "drivers.radio.devices[0].alias",
        "devices[0].alias",
        "devices[1].profile",
    ]
    assert [each.line for each in found] == sorted(each.line for each in found)


@pytest.mark.parametrize(
    ("more", "key", "first"),
    [
        (
            'alias = "pendant-1"\naddress = "A4:C1:38:00:00:09"',
            "drivers.radio.devices[2].alias",
            "drivers.radio.devices[0].alias",
        ),
        (
            'alias = "pendant-9"\naddress = "a4c138000002"',
            "drivers.radio.devices[2].address",
            "drivers.radio.devices[1].address",
        ),
    ],
)
def test_what_stands_twice_names_both_places(check, more, key, first):
    radio = RADIO + f"[[drivers.radio.devices]]\n{more}\n"
    found = [each for each in errors(check(UPLINK, radio, DEVICES)) if each.key == key]
    assert len(found) == 1
    assert first in found[0].message


def test_one_device_on_two_drivers_names_both_places(check):
    pins = "[drivers.pins]\ntype = 'gpio'\n[[drivers.pins.inputs]]\nalias = 'door-1'\npin = 17\nkind = 'door'"
    (found,) = errors(check(GOOD, pins))
    assert found.key == "drivers.pins.inputs[0].alias"
    assert "drivers.radio.devices[1].alias" in found.message


def test_two_inputs_of_one_wired_device_are_one_device(check):
    pins = """
[drivers.pins]
type = "gpio"
[[drivers.pins.inputs]]
alias = "fire"
pin = 17
kind = "smoke"
[[drivers.pins.inputs]]
alias = "fire"
pin = 22
kind = "smoke_fault"
[[devices]]
alias = "fire"
profile = "smoke-detector"
"""
    checked = check(GOOD, pins)
    assert checked.problems == ()
    assert checked.settings.heard_regularly == {"radio"}


def test_a_device_described_twice_names_both_places(check):
    (found,) = errors(check(GOOD, "[[devices]]\nalias = 'door-1'\nprofile = 'door-night'"))
    assert found.key == "devices[2].alias"
    assert "devices[1].alias" in found.message


def test_a_device_that_no_driver_has_is_refused_with_the_nearest_one(check):
    (found,) = errors(check(GOOD.replace('alias = "door-1"\nprofile', 'alias = "dor-1"\nprofile')))
    assert found.key == "devices[1].alias"
    assert 'no driver has a device "dor-1"' in found.message
    assert '"door-1"' in found.hint


def test_a_device_that_nobody_describes_is_a_warning_because_it_raises_all_the_same(check):
    checked = check(UPLINK, RADIO, DEVICES.split('[[devices]]\nalias = "door-1"', maxsplit=1)[0])
    (found,) = checked.problems
    assert found.severity == "warning"
    assert '"door-1"' in found.message
    assert checked.settings.warnings == (found,)


def test_rooms_behind_a_panel_need_not_be_listed(check):
    panel = "[drivers.panel]\ntype = 'espa'\nalias = 'panel'\nport = 'socket://127.0.0.1:4001'\n"
    rooms = "".join(
        f"[[devices]]\nalias = '{alias}'\nprofile = 'nurse-call'\n" for alias in ("panel", "room-*", "room-12")
    )
    assert check(UPLINK, panel, rooms).problems == ()
    (found,) = check(GOOD, "[[devices]]\nalias = 'rom-*'\nprofile = 'pendant'").problems
    assert found.key == "devices[2].alias"


def test_an_alarm_that_is_ignored_is_a_warning(problem):
    found = problem(GOOD.replace('profile = "door"', 'profile = "door"\nignore = ["button", "temperature"]'))
    assert found.severity == "warning"
    assert '"button" of door-1' in found.message


def test_a_window_of_silence_for_a_wired_device_is_a_warning(problem):
    pins = "[drivers.pins]\ntype = 'gpio'\n[[drivers.pins.inputs]]\nalias = 'cord-1'\npin = 17\nkind = 'cord'\n"
    device = "[[devices]]\nalias = 'cord-1'\nprofile = 'pull-cord'\nmissing_after_s = 3600.0"
    found = problem(GOOD, pins, device)
    assert (found.severity, found.key) == ("warning", "devices[2].missing_after_s")


def test_a_missing_key_file_names_file_key_and_the_nearest_one(check, tmp_path):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "pendant-1.key").write_text("00" * 16)
    text = GOOD.replace('0:01"', '0:01"\nkey_file = "keys/pendent-1.key"')
    (found,) = errors(check(text))
    assert found.key == "drivers.radio.devices[0].key_file"
    assert str(tmp_path / "keys" / "pendent-1.key") in found.message
    assert '"keys/pendant-1.key"' in found.hint
    assert check(text.replace("pendent", "pendant")).problems == ()
    (found,) = errors(check(text.replace("keys/pendent-1.key", "keys")))
    assert "is a folder" in found.message
    (found,) = errors(check(text.replace("keys/pendent-1.key", "key/pendant-1.key")))
    assert '"keys/pendant-1.key"' in found.hint


def test_files_of_uplinks_are_looked_for_too(check, tmp_path):
    broker = "[uplinks.broker]\ntype = 'mqtt'\nhost = 'h'\nca_file = 'broker-ca.pem'"
    (tmp_path / "broker_ca.pem").write_text("x")
    (found,) = errors(check(GOOD, broker))
    assert found.key == "uplinks.broker.ca_file"
    assert '"broker_ca.pem"' in found.hint


def test_nothing_to_hear_or_to_reach_is_said(check):
    found = {each.key: each.severity for each in check("").problems}
    assert found == {"uplinks": "error", "drivers": "warning", "devices": "warning"}


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[hub\n", 1, "key = value"),
        ("[hub]\nlanguage = nb\n", 2, "quotes"),
        ("[hub]\n\nactive = True\n", 3, "lower case"),
        ("[hub]\nzone = 'a'\nzone = 'b'\n", 3, "twice"),
        ("[[devices]]\nalias = 'a'\n[devices]\n", 3, "two brackets"),
        ("[hub]\nlanguage\n", 2, "followed by ="),
        ("[hub]\nzone = 'a", 2, ""),
    ],
)
def test_what_is_no_toml_names_the_line_and_what_to_do(check, text, line, hint):
    (found,) = check(text).problems
    assert found.line == line
    assert "cannot be understood" in found.message
    assert hint in found.hint


def test_a_file_that_is_not_there_or_no_text_is_said(tmp_path, check):
    check(GOOD, name="hub.toml")
    (found,) = config.check(tmp_path / "hubb.toml").problems
    assert found.message == "there is no such file"
    assert "hub.toml" in found.hint
    (found,) = config.check(tmp_path).problems
    assert "cannot be read" in found.message
    (tmp_path / "latin.toml").write_bytes(b"[hub]\n# \xe6\xf8\xe5\n")
    (found,) = config.check(tmp_path / "latin.toml").problems
    assert (found.line, found.message) == (2, "is not UTF-8 text")
    (tmp_path / "big.toml").write_bytes(b"#" * 2_000_000)
    assert "larger than" in config.check(tmp_path / "big.toml").problems[0].message
    with pytest.raises(SettingsError, match="no such file"):
        config.load(tmp_path / "hubb.toml")


def test_a_byte_order_mark_does_no_harm(check, tmp_path):
    (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert config.check(tmp_path / "bom.toml").problems == ()


@pytest.mark.parametrize(
    "text",
    [
        "hub = 1",
        "devices = 1",
        "drivers = 1",
        "uplinks = [1]",
        "[drivers]\na = 1",
        "[[drivers.a]]",
        "[devices]\na = 1",
        "devices = [1, 'x', []]",
        "indicators = 'a'",
    ],
)
def test_what_has_the_wrong_shape_is_said_and_never_a_traceback(check, text):
    found = errors(check(text))
    assert found
    assert "expected" in " ".join(each.message for each in found)


def test_the_hash_follows_the_settings_and_not_the_layout(check):
    one = check(GOOD).settings.config_hash
    assert len(one) == 16
    assert check("# a comment\n" + DEVICES, RADIO.replace("type", "  type"), UPLINK).settings.config_hash == one
    assert check(GOOD, name="other.toml").settings.config_hash == one
    assert check(GOOD.replace('"door"', '"door-night"')).settings.config_hash != one
    assert check(GOOD.replace("0:02", "0:03")).settings.config_hash != one
    second = '[uplinks.b]\ntype = "https"\nurl = "https://b"\n'
    assert check(second, GOOD).settings.config_hash != check(GOOD, second).settings.config_hash


def test_what_check_config_prints_for_people_and_machines(check):
    checked = check(GOOD.replace('"door"', '"doro"'))
    text = render_text(checked.path, checked.problems)
    assert f"{checked.path}:" in text
    assert text.endswith("1 error, 0 warnings: not usable")
    answer: dict[str, Any] = json.loads(render_json(checked.path, checked.problems))
    assert answer["ok"] is False
    assert answer["problems"][0]["key"] == "devices[1].profile"
    good = check(GOOD)
    assert render_text(good.path, good.problems).endswith(": good")
    answer = json.loads(render_json(good.path, good.problems, config_hash=good.settings.config_hash))
    assert answer == {"file": str(good.path), "ok": True, "config_hash": good.settings.config_hash, "problems": []}


def test_only_the_drivers_that_are_named_are_imported(check):
    path = check(GOOD).path
    code = (
        "import sys, config; config.load(sys.argv[1]);"
        "others = ('drivers.gpio', 'drivers.espa', 'bleak', 'gpiozero', 'serial');"
        "print([m for m in sys.modules if m.startswith(others)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_lines_are_found_for_nested_lists_and_dotted_keys():
    lines = Lines("a.b = 1\n[x]\n'k' = 2 # c\n[[x.y]]\nz = 1\n[[x.y]]\nz = 2\n[[x.y.w]]\nv = 1\n[x.y.t]\nu = 3\n")
    assert lines.of(("a", "b")) == 1
    assert lines.of(("x", "k")) == 3
    assert lines.of(("x", "y", 0, "z")) == 5
    assert lines.of(("x", "y", 1, "z")) == 7
    assert lines.of(("x", "y", 1, "w", 0, "v")) == 9
    assert lines.of(("x", "y", 1, "t", "u")) == 11
    assert lines.of(("x", "y", 1, "missing")) == 6
    assert lines.of(("nowhere",)) is None
