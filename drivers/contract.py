"""The one contract between a driver and the hub.

A driver turns what a device says into Observations and decides nothing about them. It opens its hardware on enter,
closes it on exit, and yields facts in between. It keeps no state that must survive a restart: what must be
remembered (a replay counter, the digest of the last block) travels in `Observation.remember`, is committed together
with the event it belongs to, and comes back through `DriverContext.remembered`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Protocol, runtime_checkable

from ground.models import BaseModel, ConfigDict, StringConstraints

Scalar = bool | int | float | str | None

ALIAS = re.compile(r"^[a-z0-9][a-z0-9-]{0,15}$")
"""How a device is named everywhere on a hub: lower case ASCII, at most 16 characters (it travels in an SMS stub)."""

Alias = Annotated[str, StringConstraints(pattern=ALIAS.pattern)]


class Fact(StrEnum):
    """What an Observation can be about. `value` is given with each."""

    BUTTON = "button"  # str: "press", "double", "triple", "long", "hold"
    CORD = "cord"  # bool: True = pulled or loop cut
    NURSE_CALL = "nurse_call"  # str: "call", "emergency", "assistance", "presence", "reset"
    FALL = "fall"  # bool
    SMOKE = "smoke"  # bool
    CO = "co"  # bool
    GAS = "gas"  # bool
    HEAT = "heat"  # bool
    WATER = "water"  # bool
    DOOR = "door"  # bool: True = open
    MOTION = "motion"  # bool
    PRESENCE = "presence"  # bool: bed or chair mat, True = somebody on it
    CONTACT = "contact"  # bool: a plain relay, meaning given by the device's profile
    TAMPER = "tamper"  # bool
    FAULT = "fault"  # bool: the device reports itself broken (a detector's fault relay)
    BATTERY = "battery"  # int, percent
    BATTERY_LOW = "battery_low"  # bool
    TEMPERATURE = "temperature"  # float, degrees Celsius
    HUMIDITY = "humidity"  # float, percent
    MAINS = "mains"  # bool: True = mains present
    LINK = "link"  # bool: True = the driver's own line, bus or poll is there
    MEASUREMENT = "measurement"  # float; details name quantity and unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One fact from one device.

    `observed_boot_s` is CLOCK_BOOTTIME seconds at reception. `may_alarm` puts it on the intake queue that nothing
    bulky can fill. `remember` is committed with the event. `confirmation`, where a device waits for an answer, is set
    to True once the event is confirmed (fsynced here or receipted by central) and to False when it was refused.
    """

    device: str
    fact: Fact
    value: Scalar
    observed_boot_s: float
    may_alarm: bool = False
    device_time: datetime | None = None
    rssi_dbm: int | None = None
    details: Mapping[str, Scalar] = field(default_factory=dict)
    remember: Mapping[str, int | str] = field(default_factory=dict)
    is_replay_suspect: bool = False
    """Authentic, but its counter went back (new battery, or a replay): the alarm counts *and* a security event."""
    confirmation: asyncio.Future[bool] | None = None


@dataclass(slots=True, kw_only=True)
class DriverContext:
    """What a driver gets from the hub, and all it gets."""

    boot_s: Callable[[], float]
    """CLOCK_BOOTTIME, seconds."""
    remembered: Callable[[str], int | str | None]
    """What an earlier Observation of this driver asked to remember, committed with its event. Keys are per driver."""
    log: Any
    """A structlog logger bound to the driver's name."""
    diagnostics: MutableMapping[str, Scalar] = field(default_factory=dict)
    """Facts for the health check, written by the driver at will: "last_poll_boot_s", "frames_refused", ..."""
    alive: Callable[[], None] = lambda: None
    """A promise: called by the driver's own loop at least every ten seconds, from the first call on. A driver that then
    gives no sign for 45 seconds hangs, and is ended and started anew. Never call it from a timer of its own: that would
    go on through the very fault that it is to show."""


class Driver(Protocol):
    """Opens hardware on enter, closes it on exit, yields facts in between.

    Raise TransientDriverError to be restarted, PermanentDriverError to be parked. The iterator ends only by exception
    or by leaving the context. A link that is down is told once as `Fact.LINK` False and once as True when it is back.
    """

    name: str

    def open(self, context: DriverContext, /) -> AbstractAsyncContextManager[AsyncIterator[Observation]]: ...


class DriverSettings(BaseModel):
    """What every driver's settings share. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    optional: bool = False
    """The hub is of use without this driver: in safe mode it is left out. Not for anything that can raise an alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverPlugin:
    """What an entry point of the group `vaktpost.drivers` names.

    `build(name, settings, base)` makes the driver; `base` is the folder that relative paths in the settings start
    from. `aliases(settings)` lists the devices the settings define, so that the loader can match them with [[devices]].
    `files(settings)` lists paths that must exist (key files), for check-config: (key in the settings, path).
    `finds_devices`: facts may name devices that the settings do not list (the rooms behind a panel).
    `hears_regularly`: devices report by themselves now and then, so that silence means that one is missing. False for
    wired inputs, which speak only when something changes.
    """

    type_name: str
    settings: type[DriverSettings]
    build: Callable[[str, Any, Path], Driver]
    aliases: Callable[[Any], tuple[str, ...]]
    files: Callable[[Any], tuple[tuple[str, str], ...]] = lambda _settings: ()
    finds_devices: bool = False
    hears_regularly: bool = True


class Lamp(StrEnum):
    """What the lamp at home can say. Green is only ever lit by a person's act."""

    OFF = "off"
    WAITING = "waiting"
    TAKEN = "taken"
    ON_THE_WAY = "on_the_way"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A repeated sequence of (is_on, seconds) steps; an empty one is off, a single step is steady."""

    colour: str | None
    steps: tuple[tuple[bool, float], ...] = ()


class Indicators(Protocol):
    """Lamp, buzzer, the relay that is energised while the hub is healthy, and the one that calls whoever is near.

    Calls return at once; patterns play until replaced. Leaving the context lets the relays drop. `trouble` says in
    words why nothing can be shown at present; empty when all is well.
    """

    @property
    def trouble(self) -> str: ...

    def lamp(self, pattern: Pattern, /) -> None: ...

    def buzzer(self, pattern: Pattern, /) -> None: ...

    def healthy(self, is_healthy: bool, /) -> None: ...

    def call(self, is_on: bool, /) -> None: ...


@runtime_checkable
class ProvidesIndicators(Protocol):
    """A driver that can also show and sound: the hub asks with `isinstance`.

    The context may be entered before, after or without `Driver.open`, and stays usable while the driver restarts:
    what was last asked for is shown again as soon as the hardware is back. Hardware that fails is logged, not raised.
    """

    def indicators(self) -> AbstractAsyncContextManager[Indicators]: ...
