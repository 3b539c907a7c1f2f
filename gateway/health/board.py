"""What the board under the hub tells of its power and temperature: files of the kernel, read in a thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cloud_sync.health import HealthLine, Outcome
from cloud_sync.vocabulary import Scalar
from gateway.health import limits
from gateway.health.facts import BoardFacts
from gateway.health.lines import over

MAX_SENSORS = 32
_THROTTLED = ("devices/platform/soc/soc:firmware/get_throttled", "devices/platform/soc@*/soc*:firmware/get_throttled")
UNDER_VOLTAGE = 0x1
CAPPED = 0x2
THROTTLED = 0x4
SOFT_LIMIT = 0x8


def read_board(root: Path) -> BoardFacts:
    """Read what there is below `/sys`. A sensor that is absent or speaks nonsense is left out. Blocks."""
    temperatures = [
        celsius
        for path in _some(root, "class/thermal/thermal_zone*/temp")
        if (milli := _number(path)) is not None and -40 <= (celsius := milli / 1000) <= 150
    ]
    return BoardFacts(
        temperature_c=max(temperatures, default=None),
        throttled=_throttled(root),
        is_under_voltage=_under_voltage(root),
        is_mains_on=_mains(root),
        ups_pct=_ups(root),
    )


def judge_board(facts: BoardFacts) -> Iterator[HealthLine]:
    """Lines for the sensors that there are."""
    if facts.temperature_c is not None:
        result = over(facts.temperature_c, limits.BOARD_C)
        yield HealthLine(
            id="board.temperature",
            result=result,
            text_key="board_temperature",
            value=round(facts.temperature_c, 1),
            unit="C",
            limit=limits.BOARD_C.warn,
            next_key="" if result is Outcome.OK else "cool_board",
        )
    power = _judge_power(facts)
    if power is not None:
        yield power


def _judge_power(facts: BoardFacts) -> HealthLine | None:
    if facts.throttled is None and facts.is_under_voltage is None and facts.is_mains_on is None:
        return None
    bits = facts.throttled or 0
    params: dict[str, Scalar] = {} if facts.ups_pct is None else {"ups_pct": facts.ups_pct}
    if bits & UNDER_VOLTAGE or facts.is_under_voltage:
        result, found, next_key = Outcome.FAIL, "under_voltage", "replace_supply"
    elif facts.is_mains_on is False:
        result, found, next_key = Outcome.WARN, "on_battery", "check_mains"
    elif bits >> 16 & UNDER_VOLTAGE:
        result, found, next_key = Outcome.WARN, "was_under_voltage", "replace_supply"
    elif bits & (CAPPED | THROTTLED | SOFT_LIMIT):
        result, found, next_key = Outcome.WARN, "slowed_down", "cool_board"
    else:
        result, found, next_key = Outcome.OK, "power_good", ""
    return HealthLine(
        id="board.power",
        result=result,
        text_key="board_power",
        value=facts.ups_pct,
        unit="" if facts.ups_pct is None else "%",
        found_key=found,
        next_key=next_key,
        params=params,
    )


def _throttled(root: Path) -> int | None:
    found = (_hex(path) for pattern in _THROTTLED for path in _some(root, pattern))
    return next((bits for bits in found if bits is not None), None)


def _under_voltage(root: Path) -> bool | None:
    """The Raspberry Pi's own voltage monitor (`rpi_volt`): its alarm is latched while the supply is too weak."""
    for path in _some(root, "class/hwmon/hwmon*/name"):
        if _text(path) == "rpi_volt":
            alarm = _number(path.parent / "in0_lcrit_alarm")
            return None if alarm is None else alarm != 0
    return None


def _mains(root: Path) -> bool | None:
    states = [
        online != 0
        for path in _some(root, "class/power_supply/*/type")
        if _text(path) in {"Mains", "USB"} and (online := _number(path.parent / "online")) is not None
    ]
    return any(states) if states else None


def _ups(root: Path) -> int | None:
    for path in _some(root, "class/power_supply/*/type"):
        if _text(path) in {"Battery", "UPS"}:
            level = _number(path.parent / "capacity")
            if level is not None and 0 <= level <= 100:
                return level
    return None


def _some(root: Path, pattern: str) -> list[Path]:
    try:
        return sorted(root.glob(pattern))[:MAX_SENSORS]
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")[:64].strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _hex(path: Path) -> int | None:
    try:
        return int(_text(path), 16)
    except ValueError:
        return None
