"""Bluetooth: buttons, detectors and sensors that advertise in BTHome version 2, in the clear or encrypted."""

from __future__ import annotations

from pathlib import Path

from drivers.ble.settings import BleSettings, aliases, files
from drivers.contract import Driver, DriverPlugin


def _build(name: str, settings: BleSettings, base: Path) -> Driver:
    from drivers.ble.driver import BleDriver

    return BleDriver(name, settings, base)


PLUGIN = DriverPlugin(type_name="ble", settings=BleSettings, build=_build, aliases=aliases, files=files)
