"""A file of residents as records, each with its line, and what is wrong with its form.

A CSV has a line of column names and one resident per line. JSON is a list of objects with the same names; there a
resident may also have several `contacts`, `services` and `visits`.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central.errors import CentralError
from central.people.contacts import Entry
from central.people.facts import FactKind
from central.people.tenants import Tenant, Unit

MAX_BYTES = 32 * 1024 * 1024
MAX_FAULTS = 50
PLACE = ("pseudonym", "reference", "tenant", "unit", "hub", "critical", "source", "as_of")
CONTACT = ("contact_name", "contact_relation", "contact_phone", "contact_services", "contact_document")
COLUMNS = (*PLACE, *(kind.value for kind in FactKind), "services", *CONTACT)
FIELDS = (*PLACE, *(kind.value for kind in FactKind), "services", "contacts", "visits")


class FileRefusedError(CentralError):
    """The file is not right; nothing was written. `faults` are whole sentences with their line."""

    def __init__(self, path: Path, faults: Sequence[str], *, done: int = 0) -> None:
        shown = [
            *faults[:MAX_FAULTS],
            *([f"... and {len(faults) - MAX_FAULTS} more."] if len(faults) > MAX_FAULTS else []),
        ]
        said = f"{done} residents were imported; these were not" if done else "nothing was imported"
        super().__init__("\n".join([f"{path}: {said}.", *shown]))
        self.faults = tuple(faults)


@dataclass(slots=True, kw_only=True, repr=False)
class Record:
    """One resident: what stands in the file, and what it means here once that was checked."""

    where: str
    raw: Mapping[str, Any]
    is_row: bool = False
    tenant: Tenant | None = None
    unit: Unit | None = None
    hub: str | None = None
    is_critical: bool = False
    pseudonym: str = ""
    reference: str = ""
    source: str = "import"
    as_of_ms: int | None = None
    named: dict[FactKind, str] = field(default_factory=dict)
    granted: list[tuple[str, int | None, int | None]] = field(default_factory=list)
    entries: list[Entry] | None = None
    visits: list[dict[str, Any]] = field(default_factory=list)


def read(path: Path) -> tuple[list[Record], list[str]]:
    """The file as records, each with its line, and what is wrong with its form. Raises FileRefusedError."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileRefusedError(path, ["the file is larger than 32 MB; cut it in pieces."])
        text = path.read_text(encoding="utf-8-sig").replace("\x00", "")
    except OSError as error:
        raise FileRefusedError(path, [f"the file cannot be read: {error.strerror}."]) from None
    except UnicodeDecodeError:
        raise FileRefusedError(path, ["the file is not UTF-8. Save it as UTF-8 and try again."]) from None
    return _read_json(path, text) if path.suffix.lower() == ".json" else _read_csv(path, text)


def _read_csv(path: Path, text: str) -> tuple[list[Record], list[str]]:
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, restkey="", strict=True)
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        faults = [_unknown("line 1", name, COLUMNS) for name in names if name not in COLUMNS]
        if not names or faults:
            raise FileRefusedError(path, faults or ["the file is empty; its first line names the columns."])
        records = []
        for row in reader:
            where = f"line {reader.line_num}"
            if "" in row:
                faults.append(f"{where}: there are more fields than columns; put texts with {delimiter} in quotes.")
                continue
            raw: dict[str, Any] = {name: (value or "").strip() for name, value in row.items()}
            if not any(raw.values()):
                continue
            raw["services"] = [{"kind": one} for one in raw.get("services", "").replace(",", " ").split()]
            person = {name.removeprefix("contact_"): raw.pop(name, "") for name in CONTACT}
            if person["name"]:
                agreed = {"services": person.pop("services").replace(",", " ").split()}
                agreement = {**agreed, "document": person.pop("document")}
                raw["contacts"] = [{**person, "agreement": agreement}]
            elif missing := next((name for name, value in person.items() if value), None):
                faults.append(f"{where}: contact_name: needed, because contact_{missing} is filled.")
            records.append(Record(where=where, raw=raw, is_row=True))
    except csv.Error as error:
        raise FileRefusedError(path, [f"line {reader.line_num}: {error}."]) from None
    return records, faults


def _read_json(path: Path, text: str) -> tuple[list[Record], list[str]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileRefusedError(path, [f"line {error.lineno}: not valid JSON: {error.msg}."]) from None
    except RecursionError:
        raise FileRefusedError(path, ["lists in lists without end are no residents."]) from None
    if not isinstance(content, list):
        raise FileRefusedError(path, ["the file has to be a list of residents: [{...}, {...}]."])
    records, faults = [], []
    for number, raw in enumerate(content, start=1):
        where = f"resident {number}"
        if not isinstance(raw, dict):
            faults.append(f"{where}: has to be an object, {{...}}.")
            continue
        faults += [_unknown(where, name, FIELDS) for name in raw if name not in FIELDS]
        records.append(Record(where=where, raw=raw))
    return records, faults


def _unknown(where: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'Did you mean "{near[0]}"?' if near else f"Known are: {', '.join(known)}."
    return f'{where}: there is no field "{name[:40]}". {hint}'
