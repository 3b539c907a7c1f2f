"""What triage is told about an installation: whose each device is, what it means, how long it may be silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from config.devices import DeviceSettings
from config.profiles import UNKNOWN, Profile
from config.settings import HubSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRules:
    """One device. `missing_after_ms` None: its silence means nothing. `is_known`: the settings describe it."""

    alias: str
    profile: Profile
    resident: str | None = None
    driver: str | None = None
    missing_after_ms: int | None = None
    is_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageRules:
    """All devices. `families` covers aliases by how they begin, the longest beginning first."""

    devices: Mapping[str, DeviceRules]
    zone: ZoneInfo
    families: tuple[tuple[str, DeviceRules], ...] = ()
    drivers: frozenset[str] = field(default_factory=frozenset)
    fold_ms: int = 600_000

    @classmethod
    def from_settings(cls, settings: HubSettings) -> TriageRules:
        """The rules of a checked settings file."""
        devices: dict[str, DeviceRules] = {}
        families: list[tuple[str, DeviceRules]] = []
        for device in settings.devices:
            rules = _device_rules(device, settings)
            if device.is_family:
                families.append((device.alias[:-1], rules))
            else:
                devices[device.alias] = rules
        families.sort(key=lambda family: -len(family[0]))
        return cls(
            devices=devices,
            zone=settings.zone,
            families=tuple(families),
            drivers=frozenset(settings.driver_types),
            fold_ms=round(settings.hub.fold_s * 1000),
        )

    def find(self, alias: str) -> DeviceRules:
        """The rules of a device; of one that nobody described, those that raise whatever may be an alarm."""
        known = self.devices.get(alias)
        if known is not None:
            return known
        for beginning, rules in self.families:
            if alias.startswith(beginning):
                return DeviceRules(alias=alias, profile=rules.profile, resident=rules.resident)
        # A radio without a name of its own is called as its driver is.
        return DeviceRules(
            alias=alias, profile=UNKNOWN, driver=alias if alias in self.drivers else None, is_known=False
        )


def _device_rules(device: DeviceSettings, settings: HubSettings) -> DeviceRules:
    profile = device.resolved
    driver = settings.driver_of.get(device.alias)
    after_s = profile.missing_after_s
    is_heard = driver in settings.heard_regularly or device.missing_after_s is not None
    return DeviceRules(
        alias=device.alias,
        profile=profile,
        resident=device.resident,
        driver=driver,
        missing_after_ms=None if after_s is None or not is_heard or device.is_family else round(after_s * 1000),
    )
