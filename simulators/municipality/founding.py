"""The municipality comes to central: places, people, homes, residents, agreements, plans and planned visits.

Through the same functions that the pages and the import use. What has none yet stands in `_by_hand`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass

from central.access import EVERYTHING
from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import Central
from central.people.contacts import Entry, entry_from
from central.people.facts import FactKind
from central.people.tenants import TenantSettings, teams, tenants, units
from central.routing.plan import Channel, Ends, Plan, ReceiverKind, Step, Variant, WeekHours
from central.routing.plans import Plans
from central.sql import Sql
from central.views import Actor
from simulators.municipality.homes import Home
from simulators.municipality.script import Visit
from simulators.municipality.town import (
    EVENING_MIN,
    LATE_MIN,
    MORNING_MIN,
    NORTH,
    PATROLLED,
    PATROLLED_RESIDENT,
    SOUTH,
    TENANT,
    WARD,
    Resident,
    Town,
)

FOUNDER = Actor(id="founder", name="Founder", role="administrator")
FIRST_CONTACT_PHONE = 47_920_00_000
AT_ONCE = 8

_PLAN_OF = Sql("UPDATE service SET plan = :plan WHERE resident = :resident AND kind = 'TA'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What central calls them."""

    accounts: Mapping[str, str]
    """By a worker's key."""
    teams: Mapping[str, str]
    """By name."""


async def found_municipality(central: Central, town: Town, homes: Mapping[str, Home], visits: tuple[Visit, ...]) -> Ids:
    """Everything, in an empty central."""
    places, store = central.services.people.places, central.services.store
    tenant = (await store.fetch(tenants))[0]
    await places.set_tenant(
        FOUNDER, tenant.id, tenant.version, name=TENANT, zone=tenant.zone, language="en", settings=TenantSettings()
    )
    unit_ids = {
        name: await places.add_unit(FOUNDER, tenant.id, name, kind)
        for name, kind in ((NORTH, "zone"), (SOUTH, "zone"), (WARD, "ward"))
    }
    ward = next(unit for unit in await store.fetch(units) if unit.id == unit_ids[WARD])
    await places.set_unit(
        FOUNDER, ward.id, ward.version, name=ward.name, kind="ward", parent=None, settings={"presence_claims": True}
    )
    accounts = Accounts(store, central.services.clock)
    account_ids = {worker.key: (await accounts.add(worker.name, Role.RESPONDER)).id for worker in town.workers}
    team_ids = await _found_teams(central, town, tenant.id, unit_ids, account_ids)
    plan_ids = await _write_plans(central, tenant.id, team_ids)
    for home in homes.values():
        await home.install(central)
        place = next(resident.place for resident in town.residents if resident.hub == home.label)
        await places.place_hub(FOUNDER, home.id, tenant.id, unit_ids[place])
    await _in_turns(
        [
            _move_in(central, resident, tenant.id, unit_ids[resident.place], homes[resident.hub].id, plan_ids)
            for resident in town.residents
        ]
    )
    for visit in visits:
        await central.services.people.keeping.plan_visit(
            FOUNDER,
            town.resident(visit.resident).pseudonym,
            from_ms=visit.from_ms,
            to_ms=visit.to_ms,
            team=team_ids[visit.team],
            source="home_care",
        )
    return Ids(accounts=account_ids, teams=team_ids)


async def _in_turns(works: Sequence[Coroutine[None, None, None]]) -> None:
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(work: Coroutine[None, None, None]) -> None:
        async with turn:
            await work

    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(one(work))


async def _found_teams(
    central: Central, town: Town, tenant: str, unit_ids: Mapping[str, str], account_ids: Mapping[str, str]
) -> dict[str, str]:
    places = central.services.people.places
    (first,) = await central.services.store.fetch(teams)  # every installation has a centre
    found: dict[str, str] = {}
    for team in town.teams:
        members = [account_ids[worker.key] for worker in town.workers if worker.team == team.name]
        if not found:
            await places.set_team(
                FOUNDER, first.id, first.version, name=team.name, kind=team.kind, unit=None, serves=[tenant],
                members=members, phone=team.phone, email="",
            )  # fmt: skip
            found[team.name] = first.id
            continue
        is_centre = team.kind == "centre"
        found[team.name] = await places.add_team(
            FOUNDER,
            team.name,
            team.kind,
            tenant=None if is_centre else tenant,
            unit=None if is_centre else unit_ids[team.place],
            serves=[tenant] if is_centre else (),
            members=members,
            phone=team.phone,
        )
    return found


async def _write_plans(central: Central, tenant: str, team_ids: Mapping[str, str]) -> dict[str, str]:
    plans = Plans(central.services.store, central.services.clock)
    day = (WeekHours(begin=MORNING_MIN, to=EVENING_MIN),)
    night = (WeekHours(begin=EVENING_MIN, to=LATE_MIN),)
    kin = Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,), patience_s=120)

    def asks(team: str, patience_s: int = 60, *, by_phone: bool = False) -> Step:
        channels = (Channel.CONSOLE, Channel.SMS) if by_phone else (Channel.CONSOLE,)
        return Step(receiver=ReceiverKind.TEAM, team=team_ids[team], channels=channels, patience_s=patience_s)

    found: dict[str, str] = {}
    for name, own, other in ((NORTH, "Centre A", "Centre B"), (SOUTH, "Centre B", "Centre A")):
        last = asks(own, 120, by_phone=True)
        variants = (
            Variant(name="day", hours=day, steps=(asks(own), asks(other), last)),
            Variant(name="night", hours=night, steps=(asks(own), kin, last)),
            Variant(name="late night", steps=(asks(other), last)),
        )
        plan = Plan(name=name, variants=variants)
        found[name] = (await plans.write(FOUNDER, EVERYTHING, plan, tenant=tenant, service=None)).id or ""
    goes = {"ends": Ends.ACCEPTED, "patience_s": 120}
    out = {team: asks(team, by_phone=True).model_copy(update=goes) for team in ("Patrol South", "Patrol North")}
    by_patrol = (asks("Centre B"), out["Patrol South"], kin.model_copy(update=goes), out["Patrol North"], last)
    plan = Plan(name=PATROLLED, variants=(Variant(name="always", steps=by_patrol),))
    found[PATROLLED] = (await plans.write(FOUNDER, EVERYTHING, plan, tenant=tenant, service=None)).id or ""
    steps = (asks("Ward staff"), asks("Centre A"), asks("Ward staff", 120, by_phone=True))
    ward = Plan(name=WARD, variants=(Variant(name="always", steps=steps),))
    await plans.write(FOUNDER, EVERYTHING, ward, tenant=tenant, service="RT")
    return found


async def _move_in(
    central: Central, resident: Resident, tenant: str, unit: str, hub: str, plan_ids: Mapping[str, str]
) -> None:
    keeping = central.services.people.keeping
    await keeping.register(
        FOUNDER,
        pseudonym=resident.pseudonym,
        tenant=tenant,
        unit=unit,
        hub=hub,
        named={FactKind.FIRST_NAME: "Resident", FactKind.LAST_NAME: f"{resident.number:03}"},
        source="import",
    )
    kind = "RT" if resident.place == WARD else "TA"
    await keeping.grant(FOUNDER, resident.pseudonym, kind, from_ms=0, to_ms=None)
    plan = PATROLLED if resident.number == PATROLLED_RESIDENT else resident.place
    if plan in plan_ids:
        await _by_hand(central, resident, plan_ids[plan])
    for place in range(1, resident.next_of_kin + 1):
        await keeping.add_contact(FOUNDER, resident.pseudonym, _next_of_kin(resident, place), source="import")


async def _by_hand(central: Central, resident: Resident, plan: str) -> None:
    """Which plan a service has cannot be said through `keeping` yet."""
    async with central.services.store.write() as connection:
        await _PLAN_OF.rows(connection, resident=resident.pseudonym, plan=plan)


def contact_phone(resident: int, place: int) -> str:
    """The telephone of next of kin."""
    return f"+{FIRST_CONTACT_PHONE + 10 * resident + place}"


def _next_of_kin(resident: Resident, place: int) -> Entry:
    return entry_from(
        {
            "name": f"Next of kin {place} of {resident.name}",
            "phone": contact_phone(resident.number, place),
            "agreement": {"services": ["TA"], "document": f"{resident.number}/{place}"},
        }
    )
