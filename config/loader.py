"""From a TOML file to checked settings, or to a list of everything that is wrong with it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from cloud_sync.settings import ModemSettings, UplinkSettings
from config import translation
from config.crosscheck import cross_check
from config.devices import DeviceSettings
from config.files import check_files, nearest_file
from config.lines import Lines, dotted
from config.local_response import LocalResponseSection
from config.nearest import suggestion
from config.plugins import PluginError, known_types, load_plugin
from config.problems import Problem, SettingsError, Severity
from config.settings import DispatchSection, HubSection, HubSettings, IndicatorSection, ServiceSection, StorageSection
from config.text_messages import check_modem, check_pin_file
from drivers.contract import ALIAS, DriverPlugin, DriverSettings

MAX_BYTES = 1024 * 1024
SECTIONS = (
    "hub",
    "dispatch",
    "uplinks",
    "modem",
    "drivers",
    "devices",
    "indicators",
    "service",
    "local_response",
    "storage",
)
_AT_LINE = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$")

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of a file: `settings` is None when one of the problems is an error."""

    path: Path
    settings: HubSettings | None
    problems: tuple[Problem, ...]


def load(path: Path | str, *, base: Path | None = None, needs_files: bool = True) -> HubSettings:
    """The settings in this file; its warnings are in `settings.warnings`. Raises SettingsError with every problem.

    `base` is where relative paths start, when that is not the file's own folder: for a copy that lies elsewhere.
    `needs_files`: see `check`.
    """
    checked = check(path, base=base, needs_files=needs_files)
    if checked.settings is None:
        raise SettingsError(checked.problems)
    return checked.settings


def check(path: Path | str, *, base: Path | None = None, needs_files: bool = True) -> Checked:
    """Read a settings file and everything it names. Raises nothing.

    Without `needs_files` a file that the settings name and that cannot be read is a warning.
    """
    path = Path(path)
    reading = _Reading(file=str(path), base=path.parent if base is None else base, needs_files=needs_files)
    raw = _read(path, reading)
    settings = _settings(raw, reading) if raw is not None else None
    problems = tuple(sorted(reading.problems, key=lambda each: (each.severity, each.line or 0)))
    if any(problem.severity == "error" for problem in problems):
        return Checked(path=path, settings=None, problems=problems)
    return Checked(path=path, settings=settings, problems=problems)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A file while it is read: where its keys stand, and what was found wrong."""

    file: str
    base: Path
    needs_files: bool = True
    lines: Lines = field(default_factory=lambda: Lines(""))
    problems: list[Problem] = field(default_factory=list)

    def report(
        self, path: tuple[str | int, ...], message: str, hint: str = "", *, severity: Severity = "error"
    ) -> None:
        self.problems.append(
            Problem(
                file=self.file,
                key=dotted(path),
                message=message,
                hint=hint,
                line=self.lines.of(path),
                severity=severity,
            )
        )

    def report_file(
        self, path: tuple[str | int, ...], message: str, hint: str = "", *, severity: Severity = "error"
    ) -> None:
        """Something is wrong with a file that the settings name."""
        self.report(path, message, hint, severity=severity if self.needs_files else "warning")

    def under(self, *at: str | int) -> translation.Report:
        """A report whose paths begin at this table."""
        return lambda path, message, hint: self.report((*at, *path), message, hint)

    def validate(self, model: type[Model], table: Any, *at: str | int) -> Model | None:
        """The table as a model; None when something in it is wrong, which is then reported."""
        try:
            return model.model_validate(table)
        except ValidationError as error:
            translation.translate(error, model, table, self.under(*at))
            return None


def _read(path: Path, reading: _Reading) -> dict[str, Any] | None:
    try:
        with path.open("rb") as opened:
            content = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        near = nearest_file(path)
        reading.report(
            (), "there is no such file", f"did you mean {near}?" if near else "give the path of a .toml file"
        )
        return None
    except OSError as error:
        reading.report((), f"cannot be read: {error.strerror or error}", "give the path of a .toml file")
        return None
    if len(content) > MAX_BYTES:
        reading.report((), "is larger than 1 MiB", "this is not a settings file")
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reading.problems.append(
            Problem(file=reading.file, key="", line=line, message="is not UTF-8 text", hint="save the file as UTF-8")
        )
        return None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        reading.problems.append(_syntax_problem(str(error), text, reading.file))
        return None
    reading.lines = Lines(text)
    return raw


def _syntax_problem(message: str, text: str, file: str) -> Problem:
    match = _AT_LINE.match(message)
    lines = text.splitlines()
    number = int(match[2]) if match is not None and match[2] else max(1, len(lines))
    stands = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    cause = (match[1] if match is not None else message).rstrip(".")
    hint = "lines look like: key = value, and headers like [hub] or [[devices]]"
    if cause == "Invalid value":
        hint = 'text stands in quotes, times too: key = "value"; true and false are lower case and without quotes'
    elif cause.startswith("Cannot overwrite"):
        hint = "the same key or header stands there twice: take one out"
    elif cause.startswith("Cannot declare") or "Cannot mutate" in cause:
        hint = "this header stands there twice: take one out, or write [[...]] with two brackets for one more of a list"
    elif cause.startswith("Expected '='"):
        hint = "a key is followed by = and its value"
    return Problem(
        file=file, key="", line=number, message=f"cannot be understood: {cause.lower()}: {stands}", hint=hint
    )


def _settings(raw: dict[str, Any], reading: _Reading) -> HubSettings | None:
    for word in raw:
        if word not in SECTIONS:
            reading.report(
                (word,), f'there is no section "{word}"', suggestion(word, SECTIONS, what="the sections are")
            )
    hub = reading.validate(HubSection, raw.get("hub", {}), "hub")
    dispatch = reading.validate(DispatchSection, _without_what_moved(raw.get("dispatch", {}), reading), "dispatch")
    local_response = _local_response(raw.get("local_response", {}), reading)
    service = reading.validate(ServiceSection, raw.get("service", {}), "service")
    storage = reading.validate(StorageSection, raw.get("storage", {}), "storage")
    indicators = None
    if "indicators" in raw:
        indicators = reading.validate(IndicatorSection, raw["indicators"], "indicators")
    uplinks = _uplinks(raw, reading)
    modem = reading.validate(ModemSettings, raw["modem"], "modem") if "modem" in raw else None
    check_modem(raw=raw, modem=modem, uplinks=uplinks, report=reading.report)
    plugins, drivers = _drivers(raw, reading)
    devices = _devices(raw, reading)
    driver_of = cross_check(
        raw=raw, plugins=plugins, drivers=drivers, devices=devices, indicators=indicators, report=reading.report
    )
    check_files(reading.base, plugins=plugins, drivers=drivers, uplinks=uplinks, report=reading.report_file)
    if modem is not None and modem.pin_file is not None:
        check_pin_file(reading.base / modem.pin_file, reading.report_file)
    if (
        hub is None
        or dispatch is None
        or service is None
        or storage is None
        or local_response is None
        or any(problem.severity == "error" for problem in reading.problems)
    ):
        return None
    return HubSettings(
        hub=hub,
        dispatch=dispatch,
        storage=storage,
        uplinks=uplinks,
        modem=modem,
        drivers=drivers,
        devices=tuple(devices.values()),
        indicators=indicators,
        service=service,
        local_response=local_response,
        base=reading.base,
        driver_of=driver_of,
        driver_types={name: plugin.type_name for name, plugin in plugins.items()},
        heard_regularly=frozenset(name for name, plugin in plugins.items() if plugin.hears_regularly),
        warnings=tuple(reading.problems),
    )


def _local_response(table: Any, reading: _Reading) -> LocalResponseSection | None:
    paging = table.get("pager") if isinstance(table, dict) else None
    if paging is None:
        return reading.validate(LocalResponseSection, table, "local_response")
    from config.paging import PagingSettings  # a hub without staff paging has no use for it

    pager = reading.validate(PagingSettings, paging, "local_response", "pager")
    rest = {key: value for key, value in table.items() if key != "pager"}
    section = reading.validate(LocalResponseSection, rest, "local_response")
    return None if section is None or pager is None else section.model_copy(update={"pager": pager})


def _without_what_moved(table: Any, reading: _Reading) -> Any:
    """`[dispatch]` without a key that older files have there."""
    if not isinstance(table, dict) or "local_response_after_s" not in table:
        return table
    reading.report(
        ("dispatch", "local_response_after_s"),
        "has moved",
        f"write after_no_receipt_s = {table['local_response_after_s']} under [local_response]",
    )
    return {key: value for key, value in table.items() if key != "local_response_after_s"}


def _tables(raw: Mapping[str, Any], section: str, what: str, reading: _Reading) -> dict[str, dict[str, Any]]:
    """The named tables of a section; what is not one is reported."""
    found = raw.get(section, {})
    if not isinstance(found, dict):
        reading.report(
            (section,), f"named tables are expected, found {translation.shown(found)}", f"[{section}.{what}]"
        )
        return {}
    tables: dict[str, dict[str, Any]] = {}
    for name, table in found.items():
        if not isinstance(table, dict):
            reading.report(
                (section, name),
                f"a table is expected, found {translation.shown(table)}",
                f"give it a name of its own: [{section}.{what}]",
            )
        elif not ALIAS.match(name):
            reading.report(
                (section, name), f'"{name}" cannot be a name', "lower-case letters, digits and hyphens, at most 16"
            )
        else:
            tables[name] = table
    return tables


def _uplinks(raw: Mapping[str, Any], reading: _Reading) -> dict[str, Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(UplinkSettings)
    uplinks: dict[str, Any] = {}
    for name, table in _tables(raw, "uplinks", "main", reading).items():
        try:
            uplinks[name] = adapter.validate_python(table)
        except ValidationError as error:
            translation.translate(error, UplinkSettings, table, reading.under("uplinks", name))
    if not raw.get("uplinks"):
        reading.report(
            ("uplinks",), "no path to central is given", 'add [uplinks.main] with type = "https" and its url'
        )
    return uplinks


def _drivers(raw: Mapping[str, Any], reading: _Reading) -> tuple[dict[str, DriverPlugin], dict[str, DriverSettings]]:
    plugins: dict[str, DriverPlugin] = {}
    drivers: dict[str, DriverSettings] = {}
    for name, table in _tables(raw, "drivers", "bluetooth", reading).items():
        type_name = table.get("type")
        if not isinstance(type_name, str):
            known = ", ".join(sorted(known_types()))
            reading.report(("drivers", name), "has no type", f'add type = "...": one of {known}')
            continue
        try:
            plugin = load_plugin(type_name)
        except PluginError as error:
            reading.report(("drivers", name, "type"), f'the driver "{type_name}" {error}')
            continue
        if plugin is None:
            reading.report(
                ("drivers", name, "type"),
                f'there is no driver "{type_name}"',
                suggestion(type_name, known_types(), what="the drivers are"),
            )
            continue
        plugins[name] = plugin
        if "type" not in plugin.settings.model_fields:
            table = {key: value for key, value in table.items() if key != "type"}  # noqa: PLW2901  # a copy without it
        settings = reading.validate(plugin.settings, table, "drivers", name)
        if settings is not None:
            drivers[name] = settings
    return plugins, drivers


def _devices(raw: Mapping[str, Any], reading: _Reading) -> dict[int, DeviceSettings]:
    """The devices that are right in themselves, by their place in the list."""
    found = raw.get("devices", [])
    if not isinstance(found, list):
        reading.report(
            ("devices",),
            f"a list of tables is expected, found {translation.shown(found)}",
            "write [[devices]] with two brackets, once for each device",
        )
        return {}
    devices: dict[int, DeviceSettings] = {}
    for index, table in enumerate(found):
        device = reading.validate(DeviceSettings, table, "devices", index)
        if device is None:
            continue
        devices[index] = device
        for key, message, hint in device.objections():
            reading.report(("devices", index, key), message, hint)
    return devices
