"""A municipality of our own: a tenant beside another, units in one another, somebody who lives there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from central.access import EVERYTHING, Scope
from central.people.contacts import Entry, entry_from
from central.people.facts import FactKind
from central.people.people import People
from central.sql import Sql
from central.views import Actor

LEAD = Actor(id="lead", name="Lead One", role="lead")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
FIRST = Actor(id="first", name="Operator One", role="responder")
SECOND = Actor(id="second", name="Operator Two", role="responder")

NAMES = {FactKind.FIRST_NAME: "Ragnhild", FactKind.LAST_NAME: "Myklebust"}
SECRETS = {
    FactKind.ADDRESS: "Solbakken 214, 6690 Aure",
    FactKind.KEY_CODE: "4471-hemmelig",
    FactKind.HEALTH: "Insulinkrevende diabetes",
}
DAUGHTER = {
    "name": "Sunniva Myklebust",
    "relation": "datter",
    "phone": "+47 900 00 001",
    "agreement": {"services": ["TA"], "document": "2026/118"},
}


@dataclass
class Town:
    """Ids of what there is."""

    bench: Any
    people: People
    aure: str
    other: str
    zone: str
    ward: str

    @property
    def in_aure(self) -> Scope:
        return Scope(tenants=frozenset({self.aure}))

    @property
    def in_other(self) -> Scope:
        return Scope(tenants=frozenset({self.other}))

    async def resident(self, pseudonym: str = "r-1", **more: Any) -> str:
        """Somebody with a name, secrets and a daughter."""
        keeping = self.people.keeping
        values = {"tenant": self.aure, "unit": self.zone, "named": NAMES, "source": "resident"} | more
        resident = await keeping.register(LEAD, pseudonym=pseudonym, **values)
        for kind, text in SECRETS.items():
            await keeping.record(LEAD, resident, kind, text, source="home_care")
        await keeping.add_contact(LEAD, resident, daughter(), source="resident")
        return resident

    async def held(self) -> bytes:
        """All that the database holds, as bytes: the very file, or every row of every table."""
        store = self.bench.store
        if store.dialect.is_sqlite:
            file: Path = store.dialect.file
            return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
        async with store.read() as connection:
            tables = await Sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").rows(connection)
            rows = [
                row[0].encode()
                for (table,) in tables
                for row in await Sql(f'SELECT to_jsonb(t)::text FROM "{table}" t').rows(connection)
            ]
            for table, column in (("resident_fact", "sealed"), ("contact", "sealed"), ("event_raw", "raw")):
                rows += [bytes(row[0]) for row in await Sql(f"SELECT {column} FROM {table}").rows(connection)]
        return b"\n".join(rows)

    async def looks(self, resident: str = "r-1") -> list[tuple[str, str, str | None]]:
        """Who has looked at what and for what, oldest first."""
        _, found, _ = await self.people.access_log(LEAD, EVERYTHING, resident)
        return [(entry.actor_name, ",".join(entry.what), entry.ref) for entry in reversed(found)]


def daughter() -> Entry:
    return entry_from(DAUGHTER)


@pytest.fixture
async def town(bench: Any) -> Town:
    people = bench.services.people
    aure = await people.places.add_tenant(ADMIN, "Aure")
    other = await people.places.add_tenant(ADMIN, "Smøla")
    zone = await people.places.add_unit(ADMIN, aure, "Sone nord", "zone")
    ward = await people.places.add_unit(ADMIN, aure, "Avdeling 2", "ward", parent=zone)
    return Town(bench=bench, people=people, aure=aure, other=other, zone=zone, ward=ward)
