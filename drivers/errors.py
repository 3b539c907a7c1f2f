"""What can go wrong in a driver, split by what the hub does about it."""

from __future__ import annotations


class DriverError(Exception):
    """A driver's fault: contained by its supervisor, never the hub's end."""


class TransientDriverError(DriverError):
    """Will likely pass (unplugged, bus gone): the supervisor restarts the driver after a back-off."""


class PermanentDriverError(DriverError):
    """Needs a person (no such port, key of the wrong length): the driver is parked, a technical event raised."""
