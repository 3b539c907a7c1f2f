"""Writes docs/settings.md from the models: `python -m config.reference [--write | --check]`.

What the page says about a key is what the code says about it: the text under the field, its type, bounds and default.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cloud_sync.settings import HttpsSettings, ModemSettings, MqttSettings, SmsSettings
from cloud_sync.stub import LocalAction
from config.devices import DEVICE_KINDS, DeviceSettings
from config.local_response import LocalResponseSection
from config.paging import PagingSettings
from config.plugins import known_types, load_plugin
from config.profiles import PROFILES, Meaning, Profile
from config.settings import DispatchSection, HubSection, IndicatorSection, ServiceSection, StorageSection
from drivers.contract import DriverSettings

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"

_INTRO = """\
# Settings of a hub

A hub reads one TOML file. `vaktpost hub check-config FILE` reads it as the hub would, names everything that is wrong
with file, line, key and the probably right word, and exits with 2 when the file cannot be used.

- Unknown keys are refused: a misspelt setting must not silently keep its default.
- Paths are relative to the folder of the file. The file holds no secrets: keys lie in files of their own.
- Names of drivers, uplinks and devices are lower-case letters, digits and hyphens, at most 16.
- Two whole examples: [flat.toml](../config/examples/flat.toml) and [ward.toml](../config/examples/ward.toml).

This page is written by `python -m config.reference --write` from the code and compared in the tests.
"""
_DEVICES = """\
One `[[devices]]` for each device, whatever driver it is on. An alias that ends in `*` covers all devices that begin so
and are not named themselves: the rooms behind a nurse-call panel turn up as calls come in. A device that a driver has
and nobody describes raises all the same, on the safe side, and names no resident; `check-config` warns.
"""
_PROFILES = """\
Every profile knows every fact: a press raises `pendant_pressed` on whatever device, a detector raises its kind. The
table tells what differs. *Missing after* holds for devices whose driver hears them regularly (Bluetooth); the silence
of a wired input means nothing. A battery counts as low at 20 %.
"""
_TYPES = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "file name"}


def page() -> str:
    """The whole reference, as it stands in docs/settings.md."""
    parts = [
        _INTRO,
        _section("`[hub]`", HubSection),
        _section("`[dispatch]`", DispatchSection),
        _section("`[storage]`", StorageSection),
        "## `[uplinks.NAME]`\n\nPaths to central; the first in the file is preferred.\n",
        _section('`type = "https"`', HttpsSettings, level=3),
        _section('`type = "mqtt"`', MqttSettings, level=3),
        _section('`type = "sms"`', SmsSettings, level=3),
        _section("`[modem]`", ModemSettings),
        _section("`[[devices]]`", DeviceSettings, intro=_DEVICES),
        _kinds(),
        "## Profiles\n\n" + _PROFILES + "\n" + _profile_table(),
        "## `[drivers.NAME]`\n\n`type` says which driver it is; the rest are that driver's own settings.\n",
        *_driver_sections(),
        _section("`[indicators]`", IndicatorSection),
        _section("`[service]`", ServiceSection),
        _section("`[local_response]`", LocalResponseSection, at="local_response"),
        _section("`[local_response.pager]`", PagingSettings, level=3),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def main(argv: list[str]) -> int:
    """Print the page, write it, or compare it with the one that is there."""
    text = page()
    match argv:
        case []:
            sys.stdout.write(text)
        case ["--write"]:
            PAGE.write_text(text, encoding="utf-8")
        case ["--check"]:
            if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
                sys.stderr.write(f"{PAGE} is out of date: run python -m config.reference --write\n")
                return 1
        case _:
            sys.stderr.write("usage: python -m config.reference [--write | --check]\n")
            return 2
    return 0


def _section(title: str, model: type[BaseModel], *, level: int = 2, intro: str = "", at: str = "") -> str:
    """One table of keys, and the tables inside it. `at` is the dotted name that theirs begin with."""
    lines = [f"{'#' * level} {title}", ""]
    text = intro or _docstring(model)
    if text:
        lines += [text.rstrip(), ""]
    lines += ["| key | type | default | |", "| --- | --- | --- | --- |"]
    notes = _notes(model)
    inner: list[tuple[str, type[BaseModel]]] = []
    for key, field in model.model_fields.items():
        if key == "type":
            continue
        note = " ".join((field.description or notes.get(key, "")).split())
        lines.append(f"| `{key}` | {_cell(_type_words(field))} | {_default(field)} | {_cell(note)} |")
        inner += [
            (key, each) for each in _models(field.annotation) if each is not DriverSettings
        ]  # see its own section
    for key, each in inner:
        name = f"[{at}.{key}]"
        heading = f"`[{name}]`" if _is_list(model.model_fields[key].annotation) else f"`{name}`"
        lines += ["", _section(heading, each, level=level + 1, at=f"{at}.{key}").rstrip("\n")]
    return "\n".join(lines).rstrip("\n") + "\n"


def _driver_sections() -> Iterator[str]:
    for name, point in sorted(known_types().items()):
        plugin = load_plugin(name) if point.module.startswith("drivers.") else None
        if plugin is not None:
            yield _section(f'`type = "{name}"`', plugin.settings, level=3, at="drivers.NAME")


def _kinds() -> str:
    words = ", ".join(f"`{word}`" for word in DEVICE_KINDS)
    return textwrap.fill(f"`kind` can be: {words}.", width=120, break_on_hyphens=False) + "\n"


def _profile_table() -> str:
    lines = [
        "| profile | | raises | lane | after | hours | on the spot | missing after |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for profile in PROFILES.values():
        meaning, delay_s = _main_rule(profile)
        missing_s = profile.missing_after_s
        cells = [
            f"`{profile.name}`",
            profile.title,
            "-" if meaning is None else f"`{meaning.kind.word}`",
            "-" if meaning is None else meaning.lane.word,
            "at once" if meaning is not None and not delay_s else "-" if meaning is None else _duration(delay_s),
            "-" if meaning is None else "any" if meaning.hours is None else str(meaning.hours),
            "-" if meaning is None else _ACTION_WORDS[meaning.action],
            "-" if missing_s is None else _duration(missing_s),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


_ACTION_WORDS: Mapping[LocalAction, str] = {
    LocalAction.NONE: "nothing",
    LocalAction.LAMP: "lamp",
    LocalAction.LAMP_AND_BUZZER: "lamp and buzzer",
}


def _main_rule(profile: Profile) -> tuple[Meaning | None, float]:
    if profile.inactivity_after_s is not None:
        return profile.inactivity, profile.inactivity_after_s
    if profile.name == "nurse-call":
        return profile.calls["call"], 0
    meaning = None if profile.main is None else profile.meanings.get(profile.main)
    return meaning, 0 if meaning is None else meaning.delay_s


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:g} h" if seconds >= 3600 else f"{seconds / 60:g} min"


def _type_words(field: FieldInfo) -> str:
    words = _words(field.annotation)
    bounds: dict[str, Any] = {}
    for source in (*field.metadata, *_metadata(field.annotation)):
        for name in ("ge", "gt", "le", "lt"):
            if getattr(source, name, None) is not None:
                bounds[name] = getattr(source, name)
    low, high = bounds.get("ge"), bounds.get("le")
    if "gt" in bounds:
        words += f", more than {bounds['gt']:g}" + ("" if high is None else f", at most {high:g}")
    elif low is not None and high is not None:
        words += f", {low:g} to {high:g}"
    elif low is not None:
        words += f", at least {low:g}"
    elif high is not None:
        words += f", at most {high:g}"
    return words


def _metadata(annotation: Any) -> tuple[Any, ...]:
    """What `Annotated` says inside an optional."""
    found: list[Any] = []
    for each in get_args(annotation) if get_origin(annotation) in {Union, UnionType} else ():
        if get_origin(each) is Annotated:
            for source in get_args(each)[1:]:
                found += getattr(source, "metadata", [source])
    return tuple(found)


def _words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inner[0])
    if origin in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_words(each) for each in inner if each is not type(None)))
    if origin is Literal:
        return ", ".join(f"`{_toml(each)}`" for each in inner)
    if origin in {tuple, list}:
        if len(inner) == 2 and inner[1] is not Ellipsis:
            return f"two of {_words(inner[0])}"
        return f"list of {_words(inner[0])}"
    if origin is Mapping:
        return f"table of {_words(inner[1])}"
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            return "table"
        if issubclass(annotation, Enum):
            return ", ".join(f"`{_toml(each.value)}`" for each in annotation)
        return _TYPES.get(annotation, "text" if annotation.__name__.startswith("IPv") else annotation.__name__)
    return str(annotation)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ((), {}) or isinstance(value, BaseModel):
        return "-"
    return f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value.value if isinstance(value, Enum) else value, ensure_ascii=False)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in {tuple, list}:
        return True
    return any(_is_list(each) for each in get_args(annotation))


def _docstring(model: type[BaseModel]) -> str:
    """The first paragraph of a model's own docstring, without what only its code block shows."""
    text = inspect.cleandoc(model.__dict__.get("__doc__") or "").split("```")[0].rstrip()
    text = re.sub(r"^`?\[\S*\]`?(?: with type = \"\w+\")?[.:]?\s*", "", text)
    return text[:1].upper() + text[1:]


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field, which Python itself does not keep."""
    notes: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base in {BaseModel, object} or not issubclass(base, BaseModel):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        if not isinstance(body, ast.ClassDef):
            continue
        for before, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                notes[before.target.id] = after.value.value
    return notes


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
