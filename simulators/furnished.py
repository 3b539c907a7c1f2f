"""One of everything in a central: a resident with all that may be known of one, a plan, a rota, an alarm at work.

For people who look at pages; the names are invented.
"""

from __future__ import annotations

from central.access import EVERYTHING
from central.alarms import Alarms
from central.people.contacts import entry_from
from central.people.facts import FactKind
from central.people.people import People
from central.people.tenants import TenantSettings
from central.routines.cards import Cards, CardText, Subject
from central.services import Services
from central.views import Actor
from simulators.live_hub import LiveHub

RESIDENT = "r-7f3a90"
LEAD = Actor(id="furnisher", name="Lead One", role="lead")
OTHER = Actor(id="other", name="Operator Two", role="responder")
DAY_MS = 24 * 3_600_000
FACTS = (
    (FactKind.ADDRESS, "Solbakken 214, 6690 Aure", "population_register", 20),
    (FactKind.DIRECTIONS, "Andre inngang fra parkeringen, heis til 2. etasje", "home_care", 90),
    (FactKind.PHONE, "+47 900 00 001", "resident", 20),
    (FactKind.ACCESS, "Nøkkelboks til venstre for døra", "home_care", 400),
    (FactKind.KEY_CODE, "4471", "home_care", 400),
    (FactKind.KNOW, "Hører dårlig på venstre øre. Snakk tydelig og gi henne tid.", "next_of_kin", 12),
    (FactKind.HEALTH, "Insulinkrevende diabetes", "epj", 30),
)
CONTACTS: tuple[tuple[str, str, list[str]], ...] = (
    ("Sunniva Myklebust", "datter", ["TA", "DT"]),
    ("Per Olsen", "nabo", []),
)


async def furnish(services: Services) -> str:
    """A municipality with a zone, a patrol, and one resident. Returns the patrol's id."""
    people, now = services.people, services.clock.now_ms()
    aure = await people.places.add_tenant(LEAD, "Aure")
    zone = await people.places.add_unit(LEAD, aure, "Sone nord", "zone")
    await people.places.add_unit(LEAD, aure, "Solbakken omsorgsboliger", "house", parent=zone)
    await people.places.add_unit(LEAD, aure, "Avdeling 2", "ward", parent=zone)
    patrol = await people.places.add_team(LEAD, "Nattpatruljen", "patrol", tenant=aure, phone="+47 900 00 009")
    await _resident(people, aure, zone, now)
    await _routines(services, aure)
    return patrol


async def _routines(services: Services, tenant: str) -> None:
    """What the municipality has written for its responders, and what it has decided."""
    cards = Cards(services.store, services.clock)
    smoke = CardText(nb=("Ring 110 først", "Ring vaktmester på Solbakken, 70 00 00 00", "Send Nattpatruljen"))
    await cards.write(LEAD, EVERYTHING, smoke, tenant=tenant, subject=Subject(kind="smoke"), why="ny vaktmester")
    fallen = CardText(
        nb=("Spør om hodet og hoften", "Ikke løft alene", "Send Nattpatruljen"),
        en=("Ask about head and hip", "Do not lift alone", "Send the night patrol"),
    )
    await cards.write(LEAD, EVERYTHING, fallen, tenant=tenant, subject=Subject(criterion="fallen"))
    await services.people.places.set_tenant(
        LEAD, tenant, 1, name="Aure", zone="Europe/Oslo", language="nb",
        settings=TenantSettings(presence_claims=True),
    )  # fmt: skip


async def _resident(people: People, tenant: str, unit: str, now: int) -> None:
    named = {FactKind.FIRST_NAME: "Ragnhild", FactKind.LAST_NAME: "Myklebust", FactKind.BORN: "1938"}
    await people.keeping.register(
        LEAD, tenant=tenant, unit=unit, pseudonym=RESIDENT, named=named, source="population_register", is_critical=True
    )
    for kind, text, source, age in FACTS:
        await people.keeping.record(LEAD, RESIDENT, kind, text, source=source, as_of_ms=now - age * DAY_MS)
    for name, relation, granted in CONTACTS:
        agreement: dict[str, object] = {"services": granted, "document": "2026/118" if granted else ""}
        if granted:
            agreement["hours"] = [{"days": [5, 6], "begin": 22 * 60, "to": 7 * 60}]
        raw = {"name": name, "relation": relation, "phone": "+47 900 00 002", "agreement": agreement}
        await people.keeping.add_contact(LEAD, RESIDENT, entry_from(raw), source="resident")
    await people.keeping.grant(LEAD, RESIDENT, "TA", from_ms=now - 300 * DAY_MS, to_ms=None, source="epj")
    begin, end = now + DAY_MS // 3, now + DAY_MS // 2
    await people.keeping.plan_visit(LEAD, RESIDENT, from_ms=begin, to_ms=end, source="home_care")


async def alarms_at_work(alarms: Alarms, hub: LiveHub, owner: Actor, patrol: str) -> str:
    """Several alarms, one of them `owner`'s with a call made and a patrol sent. Returns its id."""
    await hub.raise_event("door_opened", device="door-1", resident="r-19c04e", ago_ms=151_000)
    await alarms.take_next(OTHER)
    for ago_ms in (105_000, 60_000, 20_000):
        await hub.raise_event("pendant_pressed", resident=RESIDENT, ago_ms=ago_ms)
    taken = await alarms.take_next(owner)
    if taken is None:
        raise AssertionError("nothing waits")
    await alarms.call(taken.id, owner, "resident", "", "no_answer")
    await alarms.dispatch(taken.id, owner, patrol)
    await hub.raise_event("bed_absent", device="bed-1", resident="r-55d210", value=25, ago_ms=41_000)
    return taken.id
