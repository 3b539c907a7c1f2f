"""What one table of the settings cannot know of another: names given twice, and names that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from config.devices import DeviceSettings
from config.lines import dotted
from config.nearest import nearest, suggestion
from config.settings import IndicatorSection
from drivers.contract import DriverPlugin, DriverSettings, Fact

Path = tuple[str | int, ...]
Report = Callable[..., None]

_RAISING = frozenset({Fact.BUTTON, Fact.CORD, Fact.NURSE_CALL, Fact.FALL, Fact.SMOKE, Fact.CO, Fact.GAS, Fact.HEAT})


def cross_check(
    *,
    raw: Mapping[str, Any],
    plugins: Mapping[str, DriverPlugin],
    drivers: Mapping[str, DriverSettings],
    devices: Mapping[int, DeviceSettings],
    indicators: IndicatorSection | None,
    report: Report,
) -> dict[str, str]:
    """Report what does not fit together. Returns which driver each listed device belongs to."""
    tables = raw.get("drivers", {})
    tables = tables if isinstance(tables, dict) else {}
    if not tables:
        report(("drivers",), "no driver is set up: the hub will hear nothing", "add [drivers.NAME]", severity="warning")
    _check_addresses(tables, report)
    driver_of = _owners(tables, plugins, drivers, report)
    _check_devices(raw, tables, plugins, driver_of, devices, report)
    _check_coverage(raw, plugins, tables, driver_of, report)
    if indicators is not None and indicators.driver not in tables:
        report(
            ("indicators", "driver"),
            f'there is no driver "{indicators.driver}"',
            suggestion(indicators.driver, tables, what="the drivers are"),
        )
    return driver_of


def _named(table: Any, at: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every table with an alias in a driver's settings, and where it stands."""
    if isinstance(table, dict):
        if isinstance(table.get("alias"), str):
            yield at, table
        for key, value in table.items():
            yield from _named(value, (*at, key))
    elif isinstance(table, list):
        for index, value in enumerate(table):
            yield from _named(value, (*at, index))


def _check_addresses(tables: Mapping[str, Any], report: Report) -> None:
    """One device must not be heard under two names, also not by two drivers."""
    places: dict[str, Path] = {}
    for name, table in tables.items():
        for at, entry in _named(table, ("drivers", name)):
            address = entry.get("address")
            if not isinstance(address, str):
                continue
            plain = "".join(each for each in address.upper() if each.isalnum())
            first = places.setdefault(plain, at)
            if first != at:
                report(
                    (*at, "address"),
                    f'the address "{address}" stands at {dotted((*first, "address"))} already',
                    "every device is listed once: take one out or correct its address",
                )


def _owners(
    tables: Mapping[str, Any],
    plugins: Mapping[str, DriverPlugin],
    drivers: Mapping[str, DriverSettings],
    report: Report,
) -> dict[str, str]:
    """Device alias to driver name; an alias that two drivers or two devices of one use is reported."""
    places: dict[str, Path] = {}
    owners: dict[str, str] = {}
    for name, table in tables.items():
        entries = [(at, str(entry["alias"])) for at, entry in _named(table, ("drivers", name))]
        # What a driver accepts within its own table is its own affair: two inputs may be one device.
        listed = list(plugins[name].aliases(drivers[name])) if name in drivers else []
        for at, alias in entries:
            first = places.setdefault(alias, at)
            is_shared = first[1] == name and listed.count(alias) == 1
            if first != at and not is_shared:
                report(
                    (*at, "alias"),
                    f'the alias "{alias}" stands at {dotted((*first, "alias"))} already',
                    "every device has an alias of its own",
                )
            owners.setdefault(alias, name)
        for alias in listed:
            owners.setdefault(alias, name)
    return owners


def _check_devices(
    raw: Mapping[str, Any],
    tables: Mapping[str, Any],
    plugins: Mapping[str, DriverPlugin],
    driver_of: Mapping[str, str],
    devices: Mapping[int, DeviceSettings],
    report: Report,
) -> None:
    finds_devices = any(plugin.finds_devices for plugin in plugins.values())
    seen: dict[str, int] = {}
    for index, device in devices.items():
        first = seen.setdefault(device.alias, index)
        if first != index:
            report(
                ("devices", index, "alias"),
                f'the alias "{device.alias}" stands at devices[{first}].alias already',
                "say everything about a device in one place",
            )
        for fact in device.ignore:
            if fact in _RAISING:
                report(
                    ("devices", index, "ignore"),
                    f'"{fact}" of {device.alias} will not raise an alarm',
                    "make sure that nobody relies on it",
                    severity="warning",
                )
        if device.is_family:
            if tables and not finds_devices and not any(each.startswith(device.alias[:-1]) for each in driver_of):
                report(("devices", index, "alias"), f'no driver has a device like "{device.alias}"', "list it there")
            continue
        owner = driver_of.get(device.alias)
        if owner is None and not finds_devices:
            near = nearest(device.alias, set(driver_of) - {each.alias for each in devices.values()})
            report(
                ("devices", index, "alias"),
                f'no driver has a device "{device.alias}": it would never be heard',
                f'did you mean "{near}"?' if near else "list it under its driver, or take it out",
            )
        if owner is not None and owner in plugins and device.missing_after_s and not plugins[owner].hears_regularly:
            report(
                ("devices", index, "missing_after_s"),
                f'{device.alias} speaks only when something changes (driver "{owner}"): it would count as missing',
                "leave it out",
                severity="warning",
            )
    if not raw.get("devices"):
        report(
            ("devices",),
            "no device is described: alarms will name no resident",
            "add [[devices]] with alias and profile for each device",
            severity="warning",
        )


def _check_coverage(
    raw: Mapping[str, Any],
    plugins: Mapping[str, DriverPlugin],
    tables: Mapping[str, Any],
    driver_of: Mapping[str, str],
    report: Report,
) -> None:
    """A device that nothing is said about still raises, on the safe side; its writer should know."""
    found = raw.get("devices")
    described = [str(each.get("alias")) for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    if not described:
        return  # that is a warning of its own
    families = tuple(alias[:-1] for alias in described if alias.endswith("*"))
    for alias, name in driver_of.items():
        table = tables.get(name, {})
        is_line = isinstance(table, dict) and table.get("alias") == alias
        if alias in described or (families and alias.startswith(families)):
            continue
        if is_line and not (name in plugins and plugins[name].finds_devices):
            continue  # the radio itself: only its link is ever told
        report(
            ("drivers", name),
            f'nothing says what "{alias}" means: what it raises will name no resident',
            f'add [[devices]] with alias = "{alias}" and a profile',
            severity="warning",
        )
