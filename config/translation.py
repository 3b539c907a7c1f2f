"""What a validation error means, in words for whoever wrote the file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.nearest import nearest, suggestion

Path = tuple[str | int, ...]
Report = Callable[[Path, str, str], None]
"""(path in the file, message, hint)"""

_EXPECTED = {
    "string": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list in square brackets",
    "tuple": "a list in square brackets",
    "dict": "a table",
    "model": "a table",
    "model_attributes": "a table",
    "path": "a file name in quotes",
    "ip_any_address": 'an address such as "192.0.2.10"',
}
_TYPE_ERROR = re.compile(r"^(\w+?)_(?:type|parsing|from_float|parsing_size)$")
_BOUNDS = {
    "greater_than_equal": ("ge", "too small", "at least"),
    "greater_than": ("gt", "too small", "more than"),
    "less_than_equal": ("le", "too large", "at most"),
    "less_than": ("lt", "too large", "less than"),
}
_LENGTHS = {
    "too_short": ("min_length", "too few", "at least"),
    "too_long": ("max_length", "too many", "at most"),
    "string_too_short": ("min_length", "too short", "at least"),
    "string_too_long": ("max_length", "too long", "at most"),
}
_RESIDENT = "^r-[0-9a-f]{6,16}$"
_PATTERNS = {
    "^[a-z0-9][a-z0-9-]{0,15}$": 'lower-case letters, digits and hyphens, at most 16, such as "pendant-1"',
    r"^[a-z0-9][a-z0-9-]{0,15}$|^[a-z0-9][a-z0-9-]{0,14}\*$": (
        'lower-case letters, digits and hyphens, at most 16, such as "pendant-1"; a * at the end covers a family'
    ),
    _RESIDENT: 'a pseudonym of r- and 6 to 16 hexadecimal digits, such as "r-7f3a90"; never a name',
    "^[0-9]$": 'a single digit, such as "2"',
    "^hci[0-9]{1,2}$": 'the name of a Bluetooth adapter, such as "hci0"',
}


def translate(error: ValidationError, model: Any, raw: Any, report: Report) -> None:
    """Report everything in `error`, which `model` raised for `raw`. Follow-up errors of a misspelt key are left out."""
    errors = error.errors(include_url=False)
    places = [(_place(each["loc"], raw), each) for each in errors]
    meant: set[Path] = set()
    for place, each in places:
        if each["type"] == "extra_forbidden":
            known = keys_at(model, each["loc"][:-1])
            word = str(place[-1])
            near = nearest(word, known)
            if near is not None:
                meant.add((*place[:-1], near))
            report(place, f'there is no key "{word}" here', suggestion(word, known, what="the keys are"))
    for place, each in places:
        if each["type"] == "extra_forbidden" or (each["type"] == "missing" and place in meant):
            continue
        if each["type"] == "too_short" and any(
            len(other) > len(place) and other[: len(place)] == place for other, _ in places
        ):
            continue  # its entries are there and wrong themselves
        message, hint = words(each)
        if each["type"] == "union_tag_not_found":
            hint = f'add type = "...": one of {", ".join(filter(None, map(_tag, _models(model))))}'
        report((*place, "type") if each["type"] == "union_tag_invalid" else place, message, hint)


def words(error: ErrorDetails) -> tuple[str, str]:
    """(what is wrong, what to do) for one error."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        last = error["loc"][-1] if error["loc"] else ""
        return ("an entry is missing" if isinstance(last, int) else "is missing"), "add it: it has no default"
    if kind in {"literal_error", "enum", "union_tag_invalid"}:
        allowed = _alternatives(str(context.get("expected") or context.get("expected_tags", "")))
        found = context.get("tag", value)
        return f"{shown(found)} cannot stand here", suggestion(str(found), allowed, what="one of")
    if kind == "union_tag_not_found":
        return "has no type", 'add type = "...": it says what the rest of the table is'
    if kind == "value_error":
        return _split(str(context.get("error", error["msg"])))
    if kind in _BOUNDS:
        bound, problem, word = _BOUNDS[kind]
        return f"{shown(value)} is {problem}", f"{word} {context[bound]:g} is expected"
    if kind in _LENGTHS:
        bound, problem, word = _LENGTHS[kind]
        unit = "characters" if kind.startswith("string") else "entries"
        return f"{shown(value)} is {problem}", f"{word} {context[bound]} {unit} are expected"
    if kind == "string_pattern_mismatch":
        pattern = str(context.get("pattern"))
        if pattern == _RESIDENT:  # what stands there may be a name, and this text may go to a log
            return "is not a pseudonym", f"expected: {_PATTERNS[pattern]}"
        return f"{shown(value)} does not fit", f"expected: {_PATTERNS.get(pattern, f'text that matches {pattern}')}"
    match = _TYPE_ERROR.match(kind)
    name = match[1] if match is not None else kind
    if name in _EXPECTED:
        return f"{_EXPECTED[name]} is expected, found {shown(value)}", _type_hint(name, value)
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}, found {shown(value)}", ""


def shown(value: Any) -> str:
    """A value as it stands in the file, with the word for what it is."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'the text "{value if len(value) <= 60 else value[:57] + "..."}"'
        case int() | float():
            return f"the number {value}"
        case list() | tuple():
            return f"a list of {len(value)}"
        case Mapping():
            return "a table"
        case _:
            return str(value)


def keys_at(model: Any, loc: Sequence[str | int]) -> tuple[str, ...]:
    """The keys of the table at `loc` inside what `model` describes."""
    candidates = list(_models(model))
    for part in loc:
        if isinstance(part, int):
            continue
        inside = [
            inner
            for each in candidates
            if part in each.model_fields
            for inner in _models(each.model_fields[part].annotation)
        ]
        if inside:
            candidates = inside
        else:  # the tag of a union, or a name in a mapping of tables
            tagged = [each for each in candidates if part in {each.__name__, _tag(each)}]
            candidates = tagged or candidates
    return tuple(dict.fromkeys(name for each in candidates for name in each.model_fields))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    origin = get_origin(annotation)
    inner = get_args(annotation)[:1] if origin is Annotated else get_args(annotation)
    if origin is Union or inner:
        for each in inner:
            yield from _models(each)


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("type")
    choices = get_args(field.annotation) if field is not None else ()
    return choices[0] if choices and isinstance(choices[0], str) else None


def _place(loc: tuple[int | str, ...], raw: Any) -> Path:
    """The part of a location that is in the file: union tags are not."""
    place: list[str | int] = []
    here = raw
    for index, part in enumerate(loc):
        is_last = index == len(loc) - 1
        if isinstance(here, Mapping) and part in here:
            here = here[str(part)]
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        elif not is_last or (isinstance(here, Mapping) and here.get("type") == part):
            continue
        place.append(part)
    return tuple(place)


def _alternatives(expected: str) -> list[str]:
    quoted = re.findall(r"'([^']*)'", expected)
    return quoted or [each for each in re.split(r", | or ", expected) if each]


def _split(text: str) -> tuple[str, str]:
    """A driver's own sentence: what stands after the last semicolon or colon is the advice."""
    message, separator, advice = text.rpartition("; ")
    if not separator:
        message, separator, advice = text.rpartition(": ")
    return (message, advice) if separator and len(message) > 10 and len(advice) > 10 else (text, "")


def _type_hint(name: str, value: Any) -> str:
    if name in {"int", "float", "bool"} and isinstance(value, str):
        return "write it without quotes"
    if name in {"string", "path"} and isinstance(value, int | float):
        return f'write it in quotes: "{str(value).lower() if isinstance(value, bool) else value}"'
    if name in {"tuple", "list"} and isinstance(value, Mapping):
        return "write the header with two brackets, [[...]], once for each"
    if name in {"tuple", "list"}:
        return "write it in square brackets, also when there is only one"
    if name in {"model", "dict"} and isinstance(value, list):
        return "write the header with one bracket, [...]"
    return ""
