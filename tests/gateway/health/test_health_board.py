"""What the kernel's files say of power and temperature, and what they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.health.board import read_board
from gateway.health.facts import BoardFacts


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def test_a_raspberry_pi_tells_temperature_and_throttling(tmp_path: Path) -> None:
    put(tmp_path, "class/thermal/thermal_zone0/temp", "41234")
    put(tmp_path, "class/thermal/thermal_zone1/temp", "48312")
    put(tmp_path, "devices/platform/soc/soc:firmware/get_throttled", "50005")
    put(tmp_path, "class/hwmon/hwmon1/name", "rpi_volt")
    put(tmp_path, "class/hwmon/hwmon1/in0_lcrit_alarm", "1")
    assert read_board(tmp_path) == BoardFacts(temperature_c=48.312, throttled=0x50005, is_under_voltage=True)


def test_a_throttling_word_of_nought_is_good_news_and_not_none(tmp_path: Path) -> None:
    put(tmp_path, "devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "0")
    assert read_board(tmp_path).throttled == 0


def test_a_supply_with_a_battery_tells_whether_the_mains_is_there(tmp_path: Path) -> None:
    put(tmp_path, "class/power_supply/AC/type", "Mains")
    put(tmp_path, "class/power_supply/AC/online", "0")
    put(tmp_path, "class/power_supply/BAT/type", "Battery")
    put(tmp_path, "class/power_supply/BAT/capacity", "87")
    assert read_board(tmp_path) == BoardFacts(is_mains_on=False, ups_pct=87)


@pytest.mark.parametrize("text", ["", "hot", "999999999", "-273000", "4\x001"])
def test_nonsense_counts_as_no_sensor(tmp_path: Path, text: str) -> None:
    put(tmp_path, "class/thermal/thermal_zone0/temp", text)
    put(tmp_path, "class/power_supply/BAT/type", "Battery")
    put(tmp_path, "class/power_supply/BAT/capacity", text)
    assert read_board(tmp_path) == BoardFacts()


def test_a_board_without_sensors_tells_nothing(tmp_path: Path) -> None:
    assert read_board(tmp_path / "absent") == BoardFacts()
