"""Loops and lamps on the header of a Raspberry Pi: pull cords, relays, mats, doors; lamp, buzzer, health relay."""

from __future__ import annotations

from drivers.contract import DriverPlugin
from drivers.gpio.driver import GpioDriver, build
from drivers.gpio.settings import GpioSettings, aliases

PLUGIN = DriverPlugin(type_name="gpio", settings=GpioSettings, build=build, aliases=aliases, hears_regularly=False)

__all__ = ["PLUGIN", "GpioDriver", "GpioSettings"]
