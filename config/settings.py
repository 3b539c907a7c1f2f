"""The settings of a hub, as one value: what the daemon, triage and the drivers are started with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from cloud_sync.settings import ModemSettings, UplinkSettings
from config.devices import DeviceSettings
from config.local_response import LocalResponseSection
from config.problems import Problem
from drivers.contract import DriverSettings
from ground.models import BaseModel, ConfigDict, Field, SerializeAsAny, field_validator

Seconds = Annotated[float, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class HubSection(_Section):
    """`[hub]`: where the hub keeps what it must not lose, and its place in the world."""

    state_dir: str = "state"
    """Folder of the journal, the identity and the control socket, relative to this file."""
    language: Literal["nb", "en"] = "nb"
    """Language of what the hub says at home."""
    zone: str = "Europe/Oslo"
    """Time zone of the home, for hours of the day. Summer time is followed."""
    telemetry_commit_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """How often measurements are written to the card: what a power cut may cost of them. Alarms never wait."""
    intake_queue: Annotated[int, Field(ge=64, le=65_536)] = 4096
    """How many observations that cannot raise an alarm may wait. Those that can have a queue of their own."""
    fold_s: Annotated[float, Field(ge=10, le=86_400)] = 600.0
    """A technical condition that comes and goes is told at once, then at most once in so long, with a count."""

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f'there is no time zone "{value}"; write it as in "Europe/Oslo"') from None
        return value


class StorageSection(_Section):
    """`[storage]`: how much of the card the hub may use, and what gives way when it is too little.

    Alarm and care events have no bound and are never dropped. When the card is full, measurements and technical events
    give way to them, then the reserve does; after that they live in memory until the card takes them. What was dropped
    is named in a gap record, which central shows.
    """

    telemetry_mib: Annotated[int, Field(ge=1, le=65_536)] = 448
    """Measurements waiting for central. Beyond this the oldest go. A million of them take about 200 MiB."""
    technical_mib: Annotated[int, Field(ge=1, le=8_192)] = 64
    """Technical events waiting for central. Beyond this the oldest go."""
    keep_free_mib: Annotated[int, Field(ge=1, le=8_192)] = 32
    """With less than this (or an eighth of the card) free, measurements do not grow any more: the oldest make room."""
    reserve_mib: Annotated[int, Field(ge=1, le=256)] = 4
    """Space kept back for alarms: 4 MiB hold about 2,000."""
    kept_days: Annotated[int, Field(ge=1, le=90)] = 7
    """How long alarm and care events stay after central has them, to be offered again to a central that was restored
    from a backup. Central's backups must not be older."""


class DispatchSection(_Section):
    """`[dispatch]`: how long to wait for what before doing more."""

    heartbeat_s: Annotated[float, Field(ge=5, le=3600)] = 30.0
    """Sign of life on the path in use; central counts the hub as late when three are missing."""
    reserve_heartbeat_s: Annotated[float, Field(ge=30, le=86_400)] = 3600.0
    """Sign of life on each path in reserve: an untested reserve is none."""
    second_path_after_s: Annotated[float, Field(ge=0.2, le=60)] = 2.0
    """An alarm without a receipt for so long is also sent by another path."""
    third_path_after_s: Annotated[float, Field(ge=0.2, le=600)] = 10.0
    """And by one more path each time so long has passed without a receipt."""
    resend_after_s: Annotated[float, Field(ge=1, le=60)] = 5.0
    """An alarm without a receipt for so long is sent again, on a fresh connection if this one is silent."""
    reconnect_spread_s: Annotated[float, Field(ge=0.5, le=600)] = 10.0
    """When a connection that held breaks, the next attempt is made at some moment within so long, drawn by chance: it
    may have broken for a whole region. While an alarm waits there is no such pause."""


class ServiceSection(_Section):
    """`[service]`: when a start counts as failed, and what happens after several of them."""

    healthy_after_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    """A run that has lasted so long with all its parts alive has succeeded; its settings are kept as the last good."""
    crashes: Annotated[int, Field(ge=2, le=100)] = 5
    """So many starts in a row that did not succeed, and the next is in safe mode."""
    safe_for_s: Annotated[float, Field(ge=30, le=604_800)] = 3600.0
    """Safe mode lasts so long before the full set is tried again, twice as long after each try that fails."""


class IndicatorSection(_Section):
    """`[indicators]`: which driver has lamp, buzzer and the relay that is energised while the hub is healthy."""

    driver: str
    """A name under `[drivers]`."""


class HubSettings(BaseModel):
    """A whole settings file. Made by `config.load`, which checks what one table alone cannot know."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    hub: HubSection = HubSection()
    dispatch: DispatchSection = DispatchSection()
    storage: StorageSection = StorageSection()
    uplinks: Mapping[str, UplinkSettings] = {}
    """Paths to central by name, most preferred first."""
    modem: ModemSettings | None = None
    """The modem for SMS, where there is one."""
    drivers: Mapping[str, SerializeAsAny[DriverSettings]] = {}
    """Drivers by name. `type` says which driver it is, the rest are that driver's own settings."""
    devices: tuple[DeviceSettings, ...] = ()
    indicators: IndicatorSection | None = None
    service: ServiceSection = ServiceSection()
    local_response: LocalResponseSection = LocalResponseSection()

    base: Path = Field(default=Path(), exclude=True)
    """The folder of the file: relative paths start here."""
    driver_of: Mapping[str, str] = Field(default={}, exclude=True)
    """Device alias to the name of its driver, for the devices that the drivers' settings list."""
    driver_types: Mapping[str, str] = Field(default={}, exclude=True)
    """Driver name to its type."""
    heard_regularly: frozenset[str] = Field(default=frozenset(), exclude=True)
    """Drivers whose devices report by themselves, so that silence means something."""
    warnings: tuple[Problem, ...] = Field(default=(), exclude=True)
    hash_as_read: str = Field(default="", exclude=True)
    """The hash as whoever read the file found it. Empty: it is worked out when it is asked for."""

    @property
    def state_dir(self) -> Path:
        """Where the journal and the identity lie."""
        return self.base / self.hub.state_dir

    @property
    def zone(self) -> ZoneInfo:
        """The home's time zone."""
        return ZoneInfo(self.hub.zone)

    @property
    def config_hash(self) -> str:
        """Sixteen hex digits that change when any setting changes, and not with layout, comments or order of keys."""
        if self.hash_as_read:
            return self.hash_as_read
        content = self.model_dump(mode="json") | {
            "uplink_order": list(self.uplinks),
            "driver_types": dict(self.driver_types),
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
