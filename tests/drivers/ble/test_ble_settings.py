"""What a person may write, and what they are told when it cannot be meant."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.ble import PLUGIN

ONE = {"alias": "pendant", "address": "A4:C1:38:00:00:01", "key_file": "keys/pendant.key"}
TWO = {"alias": "door", "address": "A4:C1:38:00:00:02"}


def _settings(*devices: Any, **others: Any) -> Any:
    return PLUGIN.settings.model_validate({"type": "ble", "devices": list(devices), **others})


@pytest.mark.parametrize("written", ["A4:C1:38:00:00:0F", "a4:c1:38:00:00:0f", "a4-c1-38-00-00-0f", " a4c13800000f "])
def test_an_address_may_be_written_in_any_usual_way(written: str) -> None:
    assert _settings({"alias": "door", "address": written}).devices[0].address == "A4:C1:38:00:00:0F"


@pytest.mark.parametrize("written", ["A4:C1:38:00:00", "A4:C1:38:00:00:0G", "A4:C1-38:00:00:01", "pendant", "", 7])
def test_what_is_no_address_is_named_with_an_example(written: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        _settings({"alias": "door", "address": written})
    if isinstance(written, str):
        assert "such as A4:C1:38:00:00:01" in str(refused.value)


def test_one_address_under_two_names_is_refused_with_both_named() -> None:
    with pytest.raises(ValidationError, match="A4:C1:38:00:00:01 is given to pendant and to other"):
        _settings(ONE, {"alias": "other", "address": "a4-c1-38-00-00-01"})


def test_one_name_for_two_addresses_is_refused() -> None:
    with pytest.raises(ValidationError, match="the alias pendant is given to two addresses"):
        _settings(ONE, {"alias": "pendant", "address": "A4:C1:38:00:00:09"})


def test_the_radio_cannot_be_called_like_a_device() -> None:
    with pytest.raises(ValidationError, match="door is a device; give the radio an alias of its own"):
        _settings(ONE, TWO, alias="door")


@pytest.mark.parametrize(
    "others",
    [
        {"adaptor": "hci0"},
        {"adapter": "bluetooth"},
        {"scan_mode": "sometimes"},
        {"silence_s": 0},
        {"refresh_s": -1},
        {"alias": "Not An Alias"},
    ],
)
def test_what_is_not_a_setting_is_refused(others: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _settings(ONE, **others)


def test_a_radio_without_devices_is_refused() -> None:
    with pytest.raises(ValidationError):
        _settings()


def test_devices_with_one_bracket_are_pointed_out() -> None:
    with pytest.raises(ValidationError, match=r"\[\[drivers.NAME.devices\]\] with two brackets"):
        PLUGIN.settings.model_validate({"devices": ONE})


def test_the_plugin_lists_devices_and_key_files() -> None:
    settings = _settings(TWO, ONE, alias="radio")
    assert PLUGIN.type_name == "ble"
    assert PLUGIN.aliases(settings) == ("door", "pendant", "radio")
    assert PLUGIN.files(settings) == (("devices[1].key_file", "keys/pendant.key"),)
    assert PLUGIN.aliases(_settings(TWO)) == ("door",)


def test_settings_alone_import_neither_bleak_nor_dbus() -> None:
    import subprocess
    import sys

    seen = "import sys, drivers.ble, drivers.ble.driver; print(sorted({'bleak', 'dbus_fast'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
