"""Taking in residents from a CSV or JSON file: checked whole before anything is written; the same file twice is once.

Each resident is a transaction of its own, and after each the others get their turn: a municipality's residents at once
would keep every alarm out for as long as that takes. All are tried first, and nothing is kept when one does not go.

A CSV has a line of column names and one resident per line. JSON is a list of objects with the same names; there a
resident may also have several `contacts`, `services` and `visits`. A resident is known again by its pseudonym, or by
the municipality's own reference.
"""

from __future__ import annotations

import asyncio
import csv
import difflib
import io
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.clock import Clock
from central.errors import ActionError, CentralError, IncompleteError
from central.people import contacts, facts, looking, residents, services, visits
from central.people.contacts import Entry, entry_from
from central.people.facts import FactKind
from central.people.keeping import ADMINISTRATION, add_resident
from central.people.tenants import Tenant, Unit, tenants, units
from central.people.vault import ErasedError, Vault
from central.people.visits import VisitState
from central.routing.services import SERVICES
from central.sql import Sql
from central.store import Priority, Store
from central.views import Actor
from cloud_sync.identity import new_id

MAX_BYTES = 32 * 1024 * 1024
MAX_FAULTS = 50
LONGEST_PAUSE_S = 0.1
PLACE = ("pseudonym", "reference", "tenant", "unit", "hub", "critical", "source", "as_of")
CONTACT = ("contact_name", "contact_relation", "contact_phone", "contact_services", "contact_document")
COLUMNS = (*PLACE, *(kind.value for kind in FactKind), "services", *CONTACT)
FIELDS = (*PLACE, *(kind.value for kind in FactKind), "services", "contacts", "visits")
_TRUE, _FALSE = frozenset({"1", "true", "yes", "ja", "x"}), frozenset({"", "0", "false", "no", "nei"})

_HUBS = Sql("SELECT id, label, tenant FROM hub")
_TEAMS = Sql("SELECT id, name FROM team WHERE state = 'active'")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of it."""

    residents: int
    added: int
    changed: int
    same: int


@dataclass(slots=True, kw_only=True, repr=False)
class _Record:
    where: str
    raw: Mapping[str, Any]
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


async def take_in(store: Store, clock: Clock, vault: Vault, path: Path, actor: Actor, zone: str) -> Imported:
    """Import a file. Raises FileRefusedError; nothing is kept then, unless somebody has changed things meanwhile."""
    records, faults = read(path)
    now = clock.now_ms()
    async with store.read() as connection:
        known = _Known(
            tenants={one.name.casefold(): one for one in await tenants(connection)},
            units=await units(connection),
            hubs=[tuple(row) for row in await _HUBS.rows(connection)],
            teams={row[1].casefold(): row[0] for row in await _TEAMS.rows(connection)},
            zone=ZoneInfo(zone),
            now=now,
        )
    for record in records:
        faults += [f"{record.where}: {fault}" for fault in known.check(record)]
    faults += _twice(records)
    if faults:
        raise FileRefusedError(path, faults)
    done, is_rehearsal = {"added": 0, "changed": 0, "same": 0}, True
    for is_rehearsal in (True, False):
        done = dict.fromkeys(done, 0)
        for record in records:
            try:
                put = partial(_put, vault=vault, record=record, actor=actor, now=now)
                done[await _alone(store, put, is_rehearsal=is_rehearsal)] += 1
            except ErasedError:
                faults.append(f"{record.where}: this resident was erased; register them under another pseudonym.")
            except ActionError as error:
                what = error.field if isinstance(error, IncompleteError) else ""
                faults.append(f"{record.where}: {what or error.reason}: {error.reason.replace('_', ' ')}.")
        if faults and is_rehearsal:
            raise FileRefusedError(path, faults)
    if done["added"] or done["changed"]:
        await store.transact(
            Priority.BULK,
            lambda connection: event_log.append(connection, now, "residents_imported", actor, content=done),
        )
    if faults:
        raise FileRefusedError(path, faults, done=done["added"] + done["changed"] + done["same"])
    return Imported(residents=len(records), **done)


class _RehearsedError(Exception):
    """It went well, and is not to be kept."""


async def _alone(store: Store, put: Callable[[AsyncConnection], Awaitable[str]], *, is_rehearsal: bool) -> str:
    """One resident in a transaction of its own; then others may write, also those of another process."""
    said = ""

    async def work(connection: AsyncConnection) -> str:
        nonlocal said
        said = await put(connection)
        if is_rehearsal:
            raise _RehearsedError
        return said

    started_s = time.monotonic()
    try:
        await store.transact(Priority.BULK, work)
    except _RehearsedError:
        pass
    finally:
        await asyncio.sleep(min(LONGEST_PAUSE_S, time.monotonic() - started_s))
    return said


def read(path: Path) -> tuple[list[_Record], list[str]]:
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


def _read_csv(path: Path, text: str) -> tuple[list[_Record], list[str]]:
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
            records.append(_Record(where=where, raw=raw))
    except csv.Error as error:
        raise FileRefusedError(path, [f"line {reader.line_num}: {error}."]) from None
    return records, faults


def _read_json(path: Path, text: str) -> tuple[list[_Record], list[str]]:
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
        records.append(_Record(where=where, raw=raw))
    return records, faults


def _unknown(where: str, name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f'Did you mean "{near[0]}"?' if near else f"Known are: {', '.join(known)}."
    return f'{where}: there is no field "{name[:40]}". {hint}'


def _twice(records: Sequence[_Record]) -> list[str]:
    seen: dict[tuple[str, str], str] = {}
    faults = []
    for record in records:
        for name, value in (("pseudonym", record.pseudonym), ("reference", record.reference)):
            before = seen.setdefault((name, value), record.where) if value else record.where
            if before != record.where:
                faults.append(f"{record.where}: {name}: the same as in {before}.")
    return faults


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    tenants: Mapping[str, Tenant]
    units: Sequence[Unit]
    hubs: Sequence[tuple[Any, ...]]
    teams: Mapping[str, str]
    zone: ZoneInfo
    now: int

    def check(self, record: _Record) -> list[str]:
        """Fill in what a record means. Returns what is wrong, without repeating what was typed about a person."""
        faults: list[str] = []
        raw = record.raw

        def text(name: str) -> str:
            value = raw.get(name, "")
            if value is None or isinstance(value, str):
                return (value or "").strip()
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            faults.append(f"{name}: has to be a text.")
            return ""

        record.pseudonym, record.reference = text("pseudonym"), text("reference")
        if not record.pseudonym and not record.reference:
            faults.append("pseudonym or reference: one of the two is needed, to know the resident again.")
        try:
            record.pseudonym = record.pseudonym and residents.clean_pseudonym(record.pseudonym)
        except IncompleteError:
            faults.append("pseudonym: letters a-z, digits, dots and dashes, at most 32.")
        self._place(record, text("tenant"), text("unit"), text("hub"), faults)
        critical = raw.get("critical", "")
        word = critical if isinstance(critical, bool) else text("critical").casefold()
        if word is True or word in _TRUE:
            record.is_critical = True
        elif word is not False and word not in _FALSE:
            faults.append("critical: yes or no.")
        record.source = text("source") or "import"
        if record.source not in facts.SOURCES:
            faults.append(f"source: known are {', '.join(facts.SOURCES)}.")
        record.as_of_ms = self._day(text("as_of"), "as_of", faults)
        if record.as_of_ms is not None and record.as_of_ms > self.now:
            faults.append("as_of: lies ahead.")
        for kind in FactKind:
            if kind.value in raw:
                try:
                    record.named[kind] = facts.clean(kind, text(kind.value))
                except IncompleteError as error:
                    faults.append(f"{kind.value}: {error.reason.replace('_', ' ')}.")
        self._services(record, faults)
        self._contacts(record, faults)
        self._visits(record, faults)
        return faults

    def _place(self, record: _Record, tenant: str, unit: str, hub: str, faults: list[str]) -> None:
        if tenant:
            record.tenant = self.tenants.get(tenant.casefold())
            if record.tenant is None:
                faults.append(f"tenant: there is none of this name; {self._near(tenant, self.tenants)}")
        elif len(self.tenants) == 1:
            record.tenant = next(iter(self.tenants.values()))
        else:
            faults.append("tenant: there are several municipalities; name one.")
        if unit and record.tenant is not None:
            own = {one.name.casefold(): one for one in self.units if one.tenant == record.tenant.id}
            record.unit = own.get(unit.casefold())
            if record.unit is None:
                faults.append(f"unit: there is none of this name in the municipality; {self._near(unit, own)}")
        if hub:
            found = [row for row in self.hubs if hub in {row[0], row[1]}]
            if len(found) != 1:
                faults.append(
                    "hub: there is no such hub, by id or by name." if not found else "hub: name it by its id."
                )
            elif record.tenant is not None and found[0][2] not in {None, record.tenant.id}:
                faults.append("hub: stands in another municipality.")
            else:
                record.hub = str(found[0][0])

    @staticmethod
    def _near(word: str, known: Mapping[str, Any]) -> str:
        near = difflib.get_close_matches(word.casefold(), known, n=1)
        names = [one.name for one in known.values()]
        return f'did you mean "{known[near[0]].name}"?' if near else f"known are: {', '.join(sorted(names)) or 'none'}."

    def _day(self, text: str, name: str, faults: list[str]) -> int | None:
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            faults.append(f"{name}: a date is written 2026-11-22, a time 2026-11-22T14:30.")
            return None
        at = at if at.tzinfo is not None else at.replace(tzinfo=self.zone)
        if not 1900 <= at.year <= 2200:
            faults.append(f"{name}: that year is not meant.")
            return None
        return int(at.timestamp() * 1000)

    def _services(self, record: _Record, faults: list[str]) -> None:
        for one in _list(record.raw, "services", faults):
            entry = {"kind": one} if isinstance(one, str) else one
            if not isinstance(entry, dict) or set(entry) - {"kind", "from", "to"}:
                faults.append('services: each is "TA" or {"kind": "TA", "from": DATE, "to": DATE}.')
                continue
            if entry.get("kind") not in SERVICES:
                faults.append(f"services: known are {', '.join(SERVICES)}.")
                continue
            begin = self._day(str(entry.get("from") or ""), "services.from", faults)
            end = self._day(str(entry.get("to") or ""), "services.to", faults)
            record.granted.append((str(entry["kind"]), begin, end))

    def _contacts(self, record: _Record, faults: list[str]) -> None:
        if "contacts" not in record.raw:
            return
        record.entries = []
        for number, one in enumerate(_list(record.raw, "contacts", faults), start=1):
            try:
                record.entries.append(entry_from(one))
            except IncompleteError as error:
                choices = f" Known are {', '.join(error.choices)}." if error.choices else ""
                faults.append(f"{error.field} of contact {number}: {error.reason.replace('_', ' ')}.{choices}")

    def _visits(self, record: _Record, faults: list[str]) -> None:
        for one in _list(record.raw, "visits", faults):
            if not isinstance(one, dict) or set(one) - {"from", "to", "team", "reference", "state"}:
                faults.append("visits: each has from, to, reference, and may have team and state.")
                continue
            begin = self._day(str(one.get("from") or ""), "visits.from", faults)
            end = self._day(str(one.get("to") or ""), "visits.to", faults)
            team = str(one.get("team") or "")
            if team and team.casefold() not in self.teams:
                faults.append("visits.team: there is no such team.")
            reference = str(one.get("reference") or "")[:64]
            state = str(one.get("state") or "planned")
            if state not in set(VisitState):
                faults.append(f"visits.state: known are {', '.join(VisitState)}.")
            elif not reference:
                faults.append("visits.reference: needed, to know the visit again.")
            elif begin is None or end is None or not begin < end <= begin + visits.MAX_LENGTH_MS:
                faults.append("visits: from and to are needed, to after from and within a day.")
            else:
                record.visits.append(
                    {
                        "from_ms": begin,
                        "to_ms": end,
                        "team": self.teams.get(team.casefold()),
                        "reference": reference,
                        "state": VisitState(state),
                    }
                )


def _list(raw: Mapping[str, Any], name: str, faults: list[str]) -> Sequence[Any]:
    value = raw.get(name) or []
    if isinstance(value, list):
        return value
    faults.append(f"{name}: has to be a list.")
    return []


async def _put(connection: AsyncConnection, vault: Vault, record: _Record, actor: Actor, now: int) -> str:
    assert record.tenant is not None  # noqa: S101  # checked before
    tenant = record.tenant.id
    known = await residents.known(connection, record.pseudonym) if record.pseudonym else None
    if known is None and record.reference:
        hashed = await vault.reference_hash(connection, tenant, record.reference)
        known = await residents.by_reference(connection, tenant, hashed)
    unit = record.unit.id if record.unit else None
    is_new = known is None or known.tenant is None
    if known is None or known.tenant is None:
        known = await add_resident(
            connection,
            vault,
            record.pseudonym or new_id().hex(),
            tenant=tenant,
            unit=unit,
            hub=record.hub,
            is_critical=record.is_critical,
            reference=record.reference,
            now=now,
        )
    elif known.tenant != tenant:
        raise IncompleteError("belongs_to_another_municipality", "pseudonym")
    resident = known.pseudonym
    wanted = (
        unit if "unit" in record.raw else known.unit,
        record.hub if "hub" in record.raw else known.hub,
        record.is_critical if "critical" in record.raw else known.is_critical,
    )
    changed = wanted != (known.unit, known.hub, known.is_critical)
    if changed:
        await residents.change(connection, known, unit=wanted[0], hub=wanted[1], is_critical=wanted[2])
    changed |= await _fill(connection, vault, record, resident, actor, now)
    if is_new or changed:
        await looking.note(connection, actor, resident, "import", ADMINISTRATION, now)
        await residents.touch(connection, resident)
    return "added" if is_new else "changed" if changed else "same"


async def _fill(
    connection: AsyncConnection, vault: Vault, record: _Record, resident: str, actor: Actor, now: int
) -> bool:
    key = await vault.key_of(connection, resident, now)
    changed = False
    stated: dict[str, Any] = {"source": record.source, "by": actor.id, "now": now}
    before = await facts.current(connection, key, resident, opened=frozenset(record.named))
    for kind, text in record.named.items():
        # Without a date of its own the file says nothing newer about what stands there already.
        if record.as_of_ms is None and any(one.kind is kind and one.text == text for one in before):
            continue
        as_of = now if record.as_of_ms is None else record.as_of_ms
        changed |= await facts.record(connection, key, kind, text, as_of_ms=as_of, **stated)
    if record.entries is not None:
        changed |= await contacts.replace(connection, key, record.entries, as_of_ms=record.as_of_ms or now, **stated)
    held = {one.kind for one in await services.services_of(connection, resident) if one.holds(now)}
    for kind_word, from_ms, to_ms in record.granted:
        if from_ms is None and kind_word in held:
            continue
        changed |= await services.grant(
            connection, resident, kind_word, from_ms=now if from_ms is None else from_ms, to_ms=to_ms, by=actor.id
        )
    for planned in record.visits:
        done = await visits.put(connection, resident, source="import", by=actor.id, now=now, **planned)
        changed |= done != "same"
    return changed
