"""Serial ports by what is plugged in rather than by where: `usb:0403:6001:A10KX3` is that converter under any name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from drivers.errors import TransientDriverError

PREFIX = "usb:"
_IDENTITY = re.compile(
    r"^usb:(?P<vendor>[0-9a-f]{4}):(?P<product>[0-9a-f]{4})(?::(?P<serial>[\x21-\x7e]{1,64}))?$", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A USB converter: vendor and product id, and its serial number where it has one."""

    vendor: int
    product: int
    serial: str | None = None

    def matches(self, found: Any) -> bool:
        """Whether a port of `serial.tools.list_ports` is it."""
        return (found.vid, found.pid) == (self.vendor, self.product) and (
            self.serial is None or found.serial_number == self.serial
        )


def parse(port: str) -> Identity | None:
    """The identity that a setting names, None when it names a path or an address. Raises ValueError in words."""
    if not port.lower().startswith(PREFIX):
        return None
    found = _IDENTITY.match(port)
    if found is None:
        raise ValueError(
            f'{port!r} should look like "usb:0403:6001:A10KX3": vendor and product as lsusb shows them, and the serial'
            " number where there is one"
        )
    return Identity(vendor=int(found["vendor"], 16), product=int(found["product"], 16), serial=found["serial"])


def locate(port: str) -> str:
    """The device path that a setting means right now. Raises TransientDriverError when it is not there, or twice."""
    identity = parse(port)
    if identity is None:
        return port
    from serial.tools import list_ports

    return choose(port, identity, list_ports.comports())


def choose(port: str, identity: Identity, present: Iterable[Any]) -> str:
    """The path of the one port that is it."""
    present = sorted(present, key=lambda found: str(found.device))
    paths = [str(found.device) for found in present if identity.matches(found)]
    if len(paths) == 1:
        return paths[0]
    if paths:
        raise TransientDriverError(
            f"{port} fits {', '.join(paths)}: add the serial number, or name the port by its place under"
            " /dev/serial/by-path/"
        )
    others = ", ".join(
        f"usb:{found.vid:04x}:{found.pid:04x}" + (f":{found.serial_number}" if found.serial_number else "")
        for found in present
        if found.vid is not None
    )
    raise TransientDriverError(f"{port} is not plugged in. What is: {others or 'no USB converter'}.")
