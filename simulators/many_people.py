"""Fills a central with an organisation of ten thousand: names, units, teams, roles, visits, looks, plans, cards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, update

from central.people import facts
from central.people.facts import FactKind
from central.routing.plan import DEFAULT_PLAN
from central.services import Services
from central.store import Priority
from central.tables import enrolment_code, hub, resident
from central.tables_people import (
    access_entry,
    assignment,
    service,
    team,
    team_member,
    team_tenant,
    tenant,
    unit,
    visit,
)
from central.tables_response import incident, maintenance, plan, rota_shift, routine_card
from simulators.many_rows import FIRST, LAST, STREETS, fill, insert_rows

HOUR_MS = 3_600_000
MUNICIPALITIES = 357
"""As many as there are in the country."""

TEAMS_PER = 10
"""A team for so many accounts. The first has no members, so it is everybody; the second names everybody."""


def _id(kind: str, number: int) -> str:
    return f"{kind}{number:015x}"


def account_id(number: int) -> str:
    """Of the account that `fill` made as this one."""
    return _id("b", number) * 2


async def fill_everything(services: Services, count: int) -> None:
    """What `fill` makes, and as many units, names, visits, looks, roles and codes; a tenth as many teams and plans."""
    await fill(services, count)
    now = services.clock.now_ms()
    async with services.store.read() as connection:
        own = (await connection.execute(select(tenant.c.id).order_by(tenant.c.id).limit(1))).scalar()
    towns = [
        {"id": _id("d", n), "name": f"{STREETS[n % len(STREETS)]} kommune {n}", "created_ms": now}
        for n in range(min(count, MUNICIPALITIES))
    ]
    await insert_rows(services, tenant, towns)
    await _units_and_teams(services, count, own)
    await _of_residents(services, count, now)
    await _of_accounts(services, count, now, own)
    await _decisions(services, count, now, own)
    await _names(services, count, now)


async def _units_and_teams(services: Services, count: int, own: Any) -> None:
    units = [
        {
            "id": _id("e", n),
            "tenant": own,
            "parent": _id("e", n - n % 10) if n % 10 else None,
            "kind": "house" if n % 10 else "zone",
            "name": f"{STREETS[n % len(STREETS)]} omsorgsboliger {n}",
        }
        for n in range(count)
    ]
    teams = [
        {
            "id": _id("f", n),
            "kind": "patrol",
            "name": f"Utrykning {STREETS[n % len(STREETS)]} {n}",
            "tenant": own if n else None,
        }
        for n in range(max(2, count // TEAMS_PER))
    ]
    await insert_rows(services, unit, units)
    await insert_rows(services, team, teams)
    await insert_rows(services, team_tenant, [{"team": one["id"], "tenant": own} for one in teams])
    members = [
        {"team": _id("f", n), "account": account_id(k)}
        for n in range(1, len(teams))
        for k in (range(count) if n == 1 else range(n * TEAMS_PER, min(count, (n + 1) * TEAMS_PER)))
    ]
    await insert_rows(services, team_member, members)


async def _of_residents(services: Services, count: int, now: int) -> None:
    """One has ten thousand of what a page about one lists."""
    first = "r-000000"
    async with services.store.write(Priority.PEOPLE) as connection:
        await connection.execute(update(resident).values(unit=_id("e", 0)).where(resident.c.unit.is_(None)))
        await connection.execute(update(hub).values(unit=_id("e", 0)).where(hub.c.unit.is_(None)))
    looks = [
        {
            "at_ms": now - n,
            "actor": account_id(n),
            "actor_name": f"{FIRST[n % len(FIRST)]} {n}",
            "resident": first,
            "what": "card,contacts",
            "purpose": "alarm",
        }
        for n in range(count)
    ]
    visits = [
        {
            "id": _id("1", n),
            "resident": first if n % 2 else f"r-{n:06x}",
            "from_ms": now + n * HOUR_MS,
            "to_ms": now + (n + 1) * HOUR_MS,
            "source": "other",
            "changed_ms": now,
            "changed_by": "x",
        }
        for n in range(count)
    ]
    services_ = [
        {
            "id": _id("2", n),
            "resident": f"r-{n:06x}",
            "kind": "TA",
            "from_ms": now - HOUR_MS,
            "source": "epj",
            "as_of_ms": now - HOUR_MS,
            "written_by": "x",
        }
        for n in range(count)
    ]
    await insert_rows(services, access_entry, looks)
    await insert_rows(services, visit, visits)
    await insert_rows(services, service, services_)


async def _of_accounts(services: Services, count: int, now: int, own: Any) -> None:
    given = [
        {
            "id": _id("3", n),
            "account": account_id(n),
            "role": "responder",
            "tenant": own,
            "from_ms": now,
            "given_by": "x",
        }
        for n in range(count)
    ]
    shifts = [
        {
            "id": _id("4", n),
            "team": _id("f", n % max(2, count // TEAMS_PER)),
            "account": account_id(n),
            "weekdays": 1 << n % 7,
            "from_minute": 0,
            "to_minute": 480,
            "from_day": "2026-01-01",
            "written_by": "x",
        }
        for n in range(count)
    ]
    codes = [
        {
            "secret_hash": f"{n:064x}",
            "label": f"{STREETS[n % len(STREETS)]} {n}",
            "created_ms": now,
            "expires_ms": now + HOUR_MS,
            "created_by": "x",
        }
        for n in range(count)
    ]
    await insert_rows(services, assignment, given)
    await insert_rows(services, rota_shift, shifts)
    await insert_rows(services, enrolment_code, codes)


async def _decisions(services: Services, count: int, now: int, own: Any) -> None:
    few = max(2, count // TEAMS_PER)
    plans = [
        {
            "id": _id("5", n),
            "version": 1,
            "tenant": own,
            "name": f"Plan {n}",
            "content": DEFAULT_PLAN.model_copy(update={"name": f"Plan {n}"}).model_dump_json(),
            "state": "active",
            "written_ms": now,
            "written_by": account_id(n),
        }
        for n in range(few)
    ]
    cards = [
        {
            "id": _id("6", n),
            "version": 1,
            "tenant": own,
            "criterion": f"own_{n}",
            "content": '{"nb": ["Ring først", "Send noen"], "en": []}',
            "state": "active",
            "written_ms": now,
            "written_by": account_id(n),
        }
        for n in range(few)
    ]
    incidents = [
        {
            "id": _id("7", n),
            "cell": f"unit:{_id('e', n)}",
            "kind": "mains_lost",
            "tenant": own,
            "unit": _id("e", n),
            "state": "open",
            "count": 12,
            "critical": n % 3,
            "opened_ms": now,
            "last_ms": now,
        }
        for n in range(few)
    ]
    periods = [
        {
            "id": _id("8", n),
            "scope": "hub",
            "ref": _id("a", n),
            "kind": "maintenance",
            "from_ms": now,
            "to_ms": now + HOUR_MS,
            "why": "bytte",
            "written_by": "x",
            "tenant": own,
        }
        for n in range(count)
    ]
    await insert_rows(services, plan, plans)
    await insert_rows(services, routine_card, cards)
    await insert_rows(services, incident, incidents)
    await insert_rows(services, maintenance, periods)


async def _names(services: Services, count: int, now: int) -> None:
    """Sealed as always: a search has to open every one."""
    vault = services.people.vault
    for first in range(0, count, 500):

        async def work(connection: Any, first: int = first) -> None:
            for n in range(first, min(count, first + 500)):
                key = await vault.key_of(connection, f"r-{n:06x}", now)
                named = {FactKind.FIRST_NAME: FIRST[n % len(FIRST)], FactKind.LAST_NAME: f"{LAST[n % len(LAST)]} {n}"}
                for kind, text in named.items():
                    await facts.record(connection, key, kind, text, source="epj", as_of_ms=now, by="x", now=now)

        await services.store.transact(Priority.PEOPLE, work)
