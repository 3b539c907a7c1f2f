"""Settings of the modem and of SMS: what does not fit together is said, with what to do."""

from __future__ import annotations

import pytest

MAIN = '[uplinks.main]\ntype = "https"\nurl = "https://central.example.org:8443"'
SMS = '[uplinks.sms]\ntype = "sms"\nnumber = "+47 59 00 00 00"'
MODEM = '[modem]\nport = "/dev/ttyUSB2"'


def told(checked):
    return {
        each.key: (each.severity, each.message, each.hint)
        for each in checked.problems
        if each.key not in {"drivers", "devices"}
    }


def test_a_modem_and_a_path_by_sms_are_read(check):
    checked = check(MAIN, SMS, MODEM)
    assert told(checked) == {}
    settings = checked.settings
    assert settings.uplinks["sms"].number == "+4759000000"
    assert settings.modem.port == "/dev/ttyUSB2"
    assert settings.config_hash != check(MAIN, SMS, MODEM, "poll_s = 60.0").settings.config_hash


def test_a_path_by_sms_without_a_modem_is_refused(check):
    assert told(check(MAIN, SMS))["uplinks.sms"][:2] == ("error", "goes by SMS, and there is no modem")


def test_an_on_call_phone_without_a_modem_is_refused(check):
    key = "local_response.on_call"
    assert "no modem" in told(check(MAIN, f"[{key}]", 'numbers = ["+4790000000"]'))[key][1]


def test_a_modem_that_nothing_uses_is_a_warning(check):
    assert told(check(MAIN, MODEM))["modem"][0] == "warning"
    assert told(check(MAIN, MODEM, "[local_response.on_call]", 'numbers = ["+4790000000"]')) == {}


def test_sms_as_the_only_path_is_refused(check):
    severity, message, hint = told(check(SMS, MODEM))["uplinks.sms"]
    assert (severity, message) == ("error", "is the only path: a text tells that there is an alarm, and little more")
    assert "[uplinks.main]" in hint


def test_sms_before_a_path_that_carries_all_is_a_warning(check):
    assert told(check(SMS, MAIN, MODEM))["uplinks.sms"][0] == "warning"


def test_two_paths_by_sms_are_one_too_many(check):
    other = SMS.replace("uplinks.sms", "uplinks.sms2")
    assert "already" in told(check(MAIN, SMS, other, MODEM))["uplinks.sms2"][1]


@pytest.mark.parametrize("number", ["59000000", "+47", "sentralen", "+0047590000"])
def test_a_number_that_is_none_is_refused_with_an_example(check, number):
    severity, message, hint = told(check(MAIN, SMS.replace("+47 59 00 00 00", number), MODEM))["uplinks.sms.number"]
    assert severity == "error"
    assert "international form" in message
    assert '"+4790000000"' in hint


@pytest.mark.parametrize("port", ["socket://", "socket://host", "http://host:1", "socket://host:99999"])
def test_a_port_that_is_none_is_refused(check, port):
    assert told(check(MAIN, SMS, MODEM.replace("/dev/ttyUSB2", port)))["modem.port"][0] == "error"


def test_a_pin_file_has_to_be_there_and_should_be_private(check, tmp_path):
    parts = (MAIN, SMS, MODEM, 'pin_file = "pin"')
    assert "there is no file" in told(check(*parts))["modem.pin_file"][1]
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "pin").chmod(0o644)
    severity, message, _ = told(check(*parts))["modem.pin_file"]
    assert (severity, message.endswith("everybody")) == ("warning", True)
    (tmp_path / "pin").chmod(0o600)
    assert told(check(*parts)) == {}


def test_a_misspelt_key_is_met_with_the_right_one(check):
    assert told(check(MAIN, SMS, MODEM, "baud_rate = 9600"))["modem.baud_rate"][2] == 'did you mean "baudrate"?'
