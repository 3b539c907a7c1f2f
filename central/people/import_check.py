"""What the records of a file of residents mean in this central: places, people's facts, services, contacts, visits."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import IncompleteError
from central.people import facts, residents, visits
from central.people.contacts import check_reachable, entry_from
from central.people.facts import FactKind
from central.people.import_file import Record
from central.people.tenants import Team, Tenant, Unit, teams, tenants, units
from central.people.visits import VisitState
from central.routing.services import SERVICES
from central.sql import Sql

_TRUE, _FALSE = frozenset({"1", "true", "yes", "ja", "x"}), frozenset({"", "0", "false", "no", "nei"})

UNREACHABLE = "who has agreed to be told of alarms needs a telephone or an e-mail address."

_HUBS = Sql("SELECT id, label, tenant FROM hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a file of residents may name: as it is now."""

    tenants: Mapping[str, Tenant]
    units: Sequence[Unit]
    hubs: Sequence[tuple[Any, ...]]
    teams: Sequence[Team]
    zone: ZoneInfo
    now: int

    @classmethod
    async def load(cls, connection: AsyncConnection, zone: ZoneInfo, now: int) -> Known:
        """Everything of this central. Times without a zone are of this one."""
        return cls(
            tenants={one.name.casefold(): one for one in await tenants(connection)},
            units=await units(connection),
            hubs=[tuple(row) for row in await _HUBS.rows(connection)],
            teams=[one for one in await teams(connection) if one.is_active],
            zone=zone,
            now=now,
        )

    def check_all(self, records: Sequence[Record]) -> list[str]:
        """Fill in what the records mean. Returns what is wrong, each with its line."""
        faults = [f"{record.where}: {fault}" for record in records for fault in self._check(record)]
        return faults + _twice(records)

    def _check(self, record: Record) -> list[str]:
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

    def _place(self, record: Record, tenant: str, unit: str, hub: str, faults: list[str]) -> None:
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

    def _services(self, record: Record, faults: list[str]) -> None:
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

    def _contacts(self, record: Record, faults: list[str]) -> None:
        if "contacts" not in record.raw:
            return
        record.entries = []
        for number, one in enumerate(_list(record.raw, "contacts", faults), start=1):
            try:
                entry = entry_from(one)
                check_reachable(entry)
                record.entries.append(entry)
            except IncompleteError as error:
                choices = f" Known are {', '.join(error.choices)}." if error.choices else ""
                said = {"unreachable": UNREACHABLE}.get(error.reason) or f"{error.reason.replace('_', ' ')}."
                column = "contact_phone" if error.reason == "unreachable" and record.is_row else error.field
                faults.append(f"{column} of contact {number}: {said}{choices}")

    def _team(self, name: str, tenant: Tenant | None) -> str | None:
        """The id of one that serves the tenant; its own goes before one that several share."""
        if tenant is None:
            return None
        serving = [one for one in self.teams if tenant.id == one.tenant or (not one.tenant and tenant.id in one.serves)]
        found = sorted((not one.tenant, one.id) for one in serving if one.name.casefold() == name.casefold())
        return found[0][1] if found else None

    def _visits(self, record: Record, faults: list[str]) -> None:
        for one in _list(record.raw, "visits", faults):
            if not isinstance(one, dict) or set(one) - {"from", "to", "team", "reference", "state"}:
                faults.append("visits: each has from, to, reference, and may have team and state.")
                continue
            begin = self._day(str(one.get("from") or ""), "visits.from", faults)
            end = self._day(str(one.get("to") or ""), "visits.to", faults)
            named = str(one.get("team") or "")
            team = self._team(named, record.tenant)
            if named and team is None:
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
                        "team": team,
                        "reference": reference,
                        "state": VisitState(state),
                    }
                )


def _twice(records: Sequence[Record]) -> list[str]:
    seen: dict[tuple[str, str], str] = {}
    faults = []
    for record in records:
        for name, value in (("pseudonym", record.pseudonym), ("reference", record.reference)):
            before = seen.setdefault((name, value), record.where) if value else record.where
            if before != record.where:
                faults.append(f"{record.where}: {name}: the same as in {before}.")
    return faults


def _list(raw: Mapping[str, Any], name: str, faults: list[str]) -> Sequence[Any]:
    value = raw.get(name) or []
    if isinstance(value, list):
        return value
    faults.append(f"{name}: has to be a list.")
    return []
