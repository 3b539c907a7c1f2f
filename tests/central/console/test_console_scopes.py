"""Who sees which tenant: every route of the application, every role, with the ids of one's own tenant and of another's.

The routes come from the application itself. A route with a kind of id that `Town.ids` does not know fails the test:
say there what stands for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from central.console.assembly import UNGUARDED, api_routes, guards
from central.console.gate import Needs
from central.console.roles import ALLOWED, Action, Role
from central.people.facts import FactKind
from central.views import Actor

ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
LEAD = Actor(id="lead", name="Lead One", role="lead")
EVERYWHERE_ONLY = {"account_id", "tenant_id", "assignment_id", "incident_id"}
"""Ids of things of which somebody in a part of the installation learns nothing: refused whosever they are."""

NOT_OF_A_TENANT = {"token", "lang", "kind", "tab", "step", "state"}
"""Path parameters that name nothing of anybody's."""


@dataclass
class Place:
    """A tenant with one of everything."""

    tenant: str
    unit: str
    hub: str
    resident: str
    alarm: str
    name: str


async def place(bench: Any, name: str, pseudonym: str) -> Place:
    people = bench.services.people
    tenant = await people.places.add_tenant(ADMIN, name)
    unit = await people.places.add_unit(ADMIN, tenant, f"{name} nord", "zone")
    hub = await bench.enrolled(f"{name} 1")
    await people.places.place_hub(ADMIN, hub.id.hex(), tenant, unit)
    names = {FactKind.FIRST_NAME: f"Fornavn{name}", FactKind.LAST_NAME: f"Etternavn{name}"}
    await people.keeping.register(
        LEAD, tenant=tenant, unit=unit, pseudonym=pseudonym, hub=hub.id.hex(), named=names, source="resident"
    )
    await people.keeping.record(LEAD, pseudonym, FactKind.KEY_CODE, f"kode{name}", source="resident")
    alarm = await bench.press(hub, resident=pseudonym)
    return Place(tenant=tenant, unit=unit, hub=hub.id.hex(), resident=pseudonym, alarm=alarm.id, name=name)


@dataclass
class Towns:
    console: Any
    own: Place
    other: Place

    async def signed_in(self, role: Role) -> Any:
        """Somebody with this role in the one tenant only."""
        name = f"Somebody {role}"
        browser = await self.console.signed_in(name, role)
        account = await self.console.accounts.id_of(name)
        await self.console.services.people.places.assign(ADMIN, account, role, tenant=self.own.tenant)
        return browser

    async def refused(self) -> int:
        """How many attempts at what is not theirs have been noted."""
        await self.console.services.security.flush()
        found = await self.console.services.security.recent()
        return sum(event.count for event in found if event.reason == "elsewhere")


@pytest.fixture
async def towns(console: Any) -> Towns:
    own, other = await place(console.bench, "Aure", "r-own"), await place(console.bench, "Smøla", "r-other")
    return Towns(console, own, other)


def ids_of(place: Place) -> dict[str, str]:
    return {
        "alarm_id": place.alarm,
        "hub_id": place.hub,
        "resident_id": place.resident,
        "unit_id": place.unit,
        "tenant_id": place.tenant,
    }


def routes(console: Any) -> Iterator[tuple[str, str, Needs]]:
    for route in api_routes(console.app.routes):
        guard = next(iter(guards(route.dependant)), None) if route.path not in UNGUARDED else None
        if isinstance(guard, Needs):
            for method in sorted(route.methods - {"HEAD"}):
                yield method, route.path, guard


def filled(path: str, place: Place) -> str:
    ids = ids_of(place) | dict.fromkeys(EVERYWHERE_ONLY | NOT_OF_A_TENANT, "key_code")
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: ids.get(match[1], "0123456789abcdef"), path)


@pytest.mark.parametrize("role", list(Role))
async def test_another_tenants_ids_are_not_found_on_any_route_in_any_role(towns: Towns, role: Role) -> None:
    browser = await towns.signed_in(role)
    wrong, tried = [], 0
    for method, path, guard in routes(towns.console):
        named = set(re.findall(r"\{(\w+)", path)) & set(ids_of(towns.other)) - EVERYWHERE_ONLY
        if not named or role not in ALLOWED[guard.action]:
            continue
        before = await towns.refused()
        answer = await browser.request(
            method, filled(path, towns.other), content=body_of(path) if "/api/" in path else None,
            form=None if method == "GET" or "/api/" in path else {"csrf": browser.csrf, **body_of(path)},
            headers={"x-csrf-token": browser.csrf},
        )  # fmt: skip
        tried += 1
        is_noted = await towns.refused() > before
        leaks = [towns.other.name] if towns.other.name in answer.text else []
        if answer.status not in {404, 403, 422} or leaks or (answer.status == 404 and not is_noted):
            wrong.append((method, path, answer.status, leaks, is_noted))
    assert wrong == []
    assert tried or role is Role.ADMINISTRATOR


def body_of(path: str) -> dict[str, str]:
    """Enough for a route to look at its ids."""
    last = path.rpartition("/")[2]
    return {
        "close": {"disposition": "cleared_by_phone", "outcome": "anxiety", "help": "none"},
        "shown": {"console": "0011223344556677"},
        "break-glass": {"reason": "resident_called"},
    }.get(last, {})


@pytest.mark.parametrize("role", list(Role))
async def test_lists_hold_what_is_ones_own_and_nothing_of_another_tenant(towns: Towns, role: Role) -> None:
    browser = await towns.signed_in(role)
    wrong, seen_own = [], []
    for method, path, guard in routes(towns.console):
        if method != "GET" or "{" in path or path == "/api/v1/feed" or role not in ALLOWED[guard.action]:
            continue
        answer = await browser.get(path)
        other = [word for word in (towns.other.name, towns.other.resident, towns.other.alarm, towns.other.hub)
                 if word in answer.text]  # fmt: skip
        if other or answer.status >= 500:
            wrong.append((path, answer.status, other))
        if towns.own.name in answer.text:
            seen_own.append(path)
    assert wrong == []
    assert seen_own or role is Role.ADMINISTRATOR


async def test_the_next_alarm_is_never_another_tenants(towns: Towns) -> None:
    browser = await towns.signed_in(Role.RESPONDER)
    taken = await browser.post("/api/v1/alarms/next")
    assert taken.json["alarm"]["id"] == towns.own.alarm
    assert (await browser.post("/api/v1/alarms/next")).json["alarm"] is None


async def test_an_alarm_that_belongs_nowhere_yet_is_seen_by_everybody_who_answers(towns: Towns) -> None:
    stray = await towns.console.bench.enrolled("Stray")
    alarm = await towns.console.bench.press(stray, resident=None)
    browser = await towns.signed_in(Role.RESPONDER)
    listed = (await browser.get("/api/v1/alarms")).json["alarms"]
    assert {one["id"] for one in listed} == {towns.own.alarm, alarm.id}


async def test_a_role_that_has_ended_opens_nothing_any_more(towns: Towns) -> None:
    browser = await towns.signed_in(Role.LEAD)
    assert (await browser.get("/api/v1/alarms")).status == 200
    places = towns.console.services.people.places
    assignment = await towns.console.bench.value("SELECT id FROM assignment")
    await places.end_assignment(ADMIN, assignment)
    assert (await browser.get("/api/v1/alarms")).status == 403
    assert (await browser.get("/me")).status == 200


async def test_a_role_in_a_unit_covers_what_lies_in_it_and_nothing_beside(towns: Towns) -> None:
    people = towns.console.services.people
    ward = await people.places.add_unit(ADMIN, towns.own.tenant, "Avdeling 3", "ward", parent=towns.own.unit)
    beside = await people.places.add_unit(ADMIN, towns.own.tenant, "Sone sør", "zone")
    await people.keeping.register(LEAD, tenant=towns.own.tenant, unit=ward, pseudonym="r-ward")
    await people.keeping.register(LEAD, tenant=towns.own.tenant, unit=beside, pseudonym="r-beside")
    browser = await towns.console.signed_in("Ward Lead", Role.LEAD)
    account = await towns.console.accounts.id_of("Ward Lead")
    await people.places.assign(ADMIN, account, Role.LEAD, unit=towns.own.unit)
    assert (await browser.get("/api/v1/residents/r-ward")).status == 200
    assert (await browser.get("/api/v1/residents/r-own")).status == 200
    assert (await browser.get("/api/v1/residents/r-beside")).status == 404
    assert Action.OVERRIDE_CLAIM.value in (await browser.get("/api/v1/session")).json["may"]
