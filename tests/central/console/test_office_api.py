"""The JSON API of the office: organisation, residents' records, incidents and announced work, by the pages' rules."""

from __future__ import annotations

from typing import Any

import pytest

from central.console.roles import Role
from central.views import Actor

ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
PERSON = {"name": "Sunniva", "relation": "datter", "phone": "+47 900 00 001"}
HOUR_MS = 3_600_000


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


async def call(browser: Any, method: str, path: str, content: Any = None) -> Any:
    headers = {"x-csrf-token": browser.csrf}
    return await browser.request(method, f"/api/v1{path}", content=content, headers=headers)


async def made(browser: Any, path: str, content: Any) -> str:
    answer = await call(browser, "POST", path, content)
    assert answer.status == 201, answer.text
    return str(answer.json.get("id") or answer.json["resident"])


# ── Organisation ─────────────────────────────────────────────────────────────────────


async def test_an_organisation_is_founded_over_the_api(console: Any, ada: Any, hub: Any) -> None:
    tenant = await made(ada, "/tenants", {"name": "Aure", "settings": {"presence_claims": True}})
    assert (await call(ada, "GET", f"/tenants/{tenant}")).json["settings"]["presence_claims"] is True
    zone = await made(ada, "/units", {"tenant": tenant, "name": "Sone nord", "kind": "zone"})
    ward = {"tenant": tenant, "name": "Avdeling 2", "kind": "ward", "parent": zone, "presence_claims": False}
    inner = await made(ada, "/units", ward)
    listed = (await call(ada, "GET", f"/units?tenant={tenant}")).json["units"]
    assert [(one["name"], one["depth"], one["presence_claims"]) for one in listed] == [
        ("Sone nord", 0, None),
        ("Avdeling 2", 1, False),
    ]
    changed = await call(
        ada, "PUT", f"/units/{inner}", {"name": "Avdeling 3", "kind": "ward", "parent": zone, "version": 1}
    )
    assert (changed.json["name"], changed.json["version"], changed.json["presence_claims"]) == ("Avdeling 3", 2, None)
    account = await console.account("Per Vik", Role.RESPONDER)
    team = await made(ada, "/teams", {"name": "Natt", "kind": "patrol", "tenant": tenant, "members": [account.id]})
    body = {"name": "Natt", "kind": "patrol", "members": [], "phone": "+4799900001", "version": 1}
    assert (await call(ada, "PUT", f"/teams/{team}", body)).json["phone"] == "+4799900001"
    assert (await call(ada, "PUT", f"/teams/{team}", body)).status == 409
    teams = (await call(ada, "GET", "/teams")).json["teams"]
    assert [one["name"] for one in teams if one["tenant"] == tenant] == ["Natt"]
    twice = await call(ada, "POST", "/teams", {"name": "Natt", "kind": "patrol", "tenant": tenant})
    assert (twice.status, twice.json["reason"]) == (409, "name_taken")
    neighbour = await made(ada, "/tenants", {"name": "Vestmark", "zone": "Europe/Oslo", "language": "nb"})
    theirs = await made(ada, "/teams", {"name": "Natt", "kind": "patrol", "tenant": neighbour})
    day = await made(ada, "/teams", {"name": "Dag", "kind": "patrol", "tenant": neighbour})
    for own, name, status in ((day, "Natt", 409), (day, "Kveld", 200), (theirs, "Natt", 200)):
        words = {"name": name, "kind": "patrol", "version": 1}
        assert (await call(ada, "PUT", f"/teams/{own}", words)).status == status, name
    role = await made(ada, "/assignments", {"account": account.id, "role": "lead", "tenant": tenant})
    assert role in [one["id"] for one in (await call(ada, "GET", "/assignments")).json["assignments"]]
    assert (await call(ada, "DELETE", f"/assignments/{role}")).status == 204
    assert (
        await call(ada, "PUT", f"/hubs/{hub.id.hex()}/place", {"tenant": tenant, "unit": zone, "version": 1})
    ).status == 204
    assert await console.bench.value("SELECT unit FROM hub") == zone


async def test_problems_of_the_organisation_name_their_field_and_change_nothing(ada: Any, tenant: str) -> None:
    stale = await call(ada, "PUT", f"/tenants/{tenant}", {"name": "Aure", "version": 7})
    assert (stale.status, stale.json["current"]["version"], stale.json["yours"]["version"]) == (409, 1, 7)
    zone = await call(ada, "PUT", f"/tenants/{tenant}", {"name": "Aure", "zone": "Europe/Atlantis", "version": 1})
    assert (zone.status, zone.json["field"]) == (422, "zone")
    assert zone.header("content-type") == "application/problem+json"
    kind = await call(ada, "POST", "/units", {"tenant": tenant, "name": "x", "kind": "castle"})
    assert (kind.status, kind.json["field"]) == (422, "kind")
    phone = await call(ada, "POST", "/teams", {"name": "x", "kind": "patrol", "tenant": tenant, "phone": "ring"})
    assert (phone.status, phone.json["field"]) == (422, "phone")
    assert (await call(ada, "PUT", f"/teams/{'ee' * 8}", {"name": "x", "kind": "ward", "version": 1})).status == 404
    own = (await call(ada, "GET", "/session")).json["account"]
    oneself = await call(ada, "POST", "/assignments", {"account": own, "role": "lead"})
    assert (oneself.status, oneself.json["reason"]) == (403, "oneself")


async def test_others_organisations_are_neither_listed_nor_changed(console: Any, tenant: str) -> None:
    places = console.services.people.places
    own = await places.add_tenant(ADMIN, "Smøla")
    unit = await places.add_unit(ADMIN, tenant, "Sone nord", "zone")
    team = await places.add_team(ADMIN, "Natt", "patrol", tenant=tenant)
    browser = await console.signed_in("Siv Smøla", Role.ADMINISTRATOR)
    await places.assign(ADMIN, await console.accounts.id_of("Siv Smøla"), Role.ADMINISTRATOR, tenant=own)
    for method, path, body in (
        ("GET", f"/tenants/{tenant}", None),
        ("PUT", f"/tenants/{tenant}", {"name": "x", "version": 1}),
        ("PUT", f"/units/{unit}", {"name": "x", "kind": "zone", "version": 1}),
        ("PUT", f"/teams/{team}", {"name": "x", "kind": "patrol", "version": 1}),
        ("POST", "/units", {"tenant": tenant, "name": "x", "kind": "zone"}),
        ("POST", "/teams", {"tenant": tenant, "name": "x", "kind": "patrol"}),
    ):
        assert (await call(browser, method, path, body)).status == 404, path
    assert (await call(browser, "POST", "/tenants", {"name": "x"})).status == 403
    assert (await call(browser, "GET", "/assignments")).status == 403
    assert unit not in [one["id"] for one in (await call(browser, "GET", "/units")).json["units"]]
    assert team not in [one["id"] for one in (await call(browser, "GET", "/teams")).json["teams"]]


# ── Records ──────────────────────────────────────────────────────────────────────────


async def test_a_resident_is_registered_and_kept_over_the_api(
    console: Any, other: Any, first: Any, hub: Any, tenant: str
) -> None:
    now = console.bench.clock.now_ms()
    facts = {"first_name": "Ragnhild", "address": "Solbakken 214", "key_code": "4471"}
    body = {"tenant": tenant, "pseudonym": "r-1", "hub": hub.id.hex(), "facts": facts, "source": "epj"}
    assert await made(other, "/residents", body) == "r-1"
    again = await call(other, "POST", "/residents", body)
    assert (again.status, again.json["reason"]) == (409, "resident_known")
    agreement = {"services": ["TA"], "hours": [{"days": [5, 6], "begin": 1320, "to": 420}], "document": "2026/118"}
    contact = await made(other, "/residents/r-1/contacts", {"person": PERSON, "agreement": agreement})
    second = await made(other, "/residents/r-1/contacts", {"person": PERSON | {"name": "Per"}})
    assert (await call(other, "POST", f"/residents/r-1/contacts/{second}/earlier")).status == 204
    granted = await call(other, "POST", "/residents/r-1/services", {"kind": "TA", "from_ms": now})
    assert granted.json["changed"] is True
    visit = {"from_ms": now + HOUR_MS, "to_ms": now + 2 * HOUR_MS, "reference": "liste-4"}
    assert (await call(other, "POST", "/residents/r-1/visits", visit)).json["done"] == "added"
    assert (await call(other, "POST", "/residents/r-1/visits", visit)).json["done"] == "same"
    card = (await call(other, "GET", "/residents/r-1")).json
    assert [one["name"] for one in card["contacts"]] == ["Per", "Sunniva"]
    assert card["contacts"][1]["agreement"]["hours"] == [{"days": [5, 6], "begin": 1320, "to": 420}]
    service, planned = card["services"][0], card["visits"][0]
    changed = {"person": PERSON | {"phone": "+47 900 00 009"}, "agreement": agreement, "version": 1}
    assert (await call(other, "PUT", f"/residents/r-1/contacts/{contact}", changed)).json["changed"] is True
    stale = await call(other, "PUT", f"/residents/r-1/contacts/{contact}", changed)
    assert (stale.status, stale.json["current"]["version"]) == (409, 2)
    assert (await call(other, "DELETE", f"/residents/r-1/contacts/{second}?version=1")).status == 204
    until = {"from_ms": service["from_ms"], "to_ms": now + 24 * HOUR_MS, "version": service["version"]}
    assert (await call(other, "PUT", f"/residents/r-1/services/{service['id']}", until)).json["changed"] is True
    moved = {"from_ms": now + 3 * HOUR_MS, "to_ms": now + 4 * HOUR_MS, "version": planned["version"]}
    assert (await call(other, "PUT", f"/residents/r-1/visits/{planned['id']}", moved)).json["changed"] is True
    state = {"state": "done", "version": planned["version"]}
    assert (await call(other, "POST", f"/residents/r-1/visits/{planned['id']}/state", state)).status == 409
    state["version"] = planned["version"] + 1
    assert (await call(other, "POST", f"/residents/r-1/visits/{planned['id']}/state", state)).status == 204
    card = (await call(other, "GET", "/residents/r-1")).json
    assert (card["visits"][0]["state"], card["services"][0]["to_ms"]) == ("done", now + 24 * HOUR_MS)
    place = {"unit": None, "hub": None, "is_critical": True, "version": card["version"]}
    assert (await call(other, "PUT", "/residents/r-1/place", place)).status == 204
    assert (await call(other, "POST", "/residents/r-1/erase", {"confirm": "r-2"})).json["field"] == "confirm"
    assert (await call(other, "POST", "/residents/r-1/erase", {"confirm": "r-1"})).status == 204
    assert (await call(other, "GET", "/residents/r-1")).status == 410
    assert (await call(first, "POST", "/residents", body)).status == 403


async def test_problems_of_a_record_name_their_field(console: Any, other: Any, tenant: str) -> None:
    now = console.bench.clock.now_ms()
    nameless = await call(other, "POST", "/residents", {"tenant": tenant, "facts": {"address": "x"}})
    assert (nameless.status, nameless.json["field"]) == (422, "facts.first_name")
    await made(other, "/residents", {"tenant": tenant, "pseudonym": "r-1", "facts": {"first_name": "Kari"}})
    base = "/residents/r-1"
    for path, body, field in (
        ("/contacts", {"person": {"name": "Per", "phone": "ring"}}, "person.phone"),
        ("/contacts", {"person": {"name": "Per"}, "agreement": {"services": ["TA"]}}, "phone"),
        ("/services", {"kind": "XX", "from_ms": now}, "service"),
        ("/services", {"kind": "TA", "from_ms": now, "to_ms": now}, "to"),
        ("/services", {"kind": "TA", "from_ms": now, "plan": "ee" * 8}, "plan"),
        ("/visits", {"from_ms": now, "to_ms": now}, "to"),
        ("/visits", {"from_ms": now, "to_ms": now + HOUR_MS, "team": "ee" * 8}, "team"),
    ):
        answer = await call(other, "POST", base + path, body)
        assert (answer.status, answer.json["field"]) == (422, field), answer.text
        assert answer.header("content-type") == "application/problem+json"


async def test_records_of_another_municipality_are_not_found(console: Any, other: Any, tenant: str) -> None:
    await made(other, "/residents", {"tenant": tenant, "pseudonym": "r-1", "facts": {"first_name": "Kari"}})
    contact = await made(other, "/residents/r-1/contacts", {"person": PERSON})
    places = console.services.people.places
    own = await places.add_tenant(ADMIN, "Smøla")
    lead = await console.signed_in("Smøla Lead", Role.LEAD)
    await places.assign(ADMIN, await console.accounts.id_of("Smøla Lead"), Role.LEAD, tenant=own)
    for method, path, body in (
        ("POST", "/residents", {"tenant": tenant, "facts": {"first_name": "x"}}),
        ("PUT", "/residents/r-1/place", {"version": 1}),
        ("POST", "/residents/r-1/contacts", {"person": PERSON}),
        ("PUT", f"/residents/r-1/contacts/{contact}", {"person": PERSON, "version": 1}),
        ("DELETE", f"/residents/r-1/contacts/{contact}?version=1", None),
        ("POST", "/residents/r-1/services", {"kind": "TA", "from_ms": 0}),
        ("POST", "/residents/r-1/visits", {"from_ms": 0, "to_ms": 1}),
        ("POST", "/residents/r-1/erase", {"confirm": "r-1"}),
    ):
        assert (await call(lead, method, path, body)).status == 404, path


# ── Technical duty ───────────────────────────────────────────────────────────────────

INCIDENT = """INSERT INTO incident (id, cell, kind, tenant, state, count, critical, opened_ms, last_ms)
    VALUES ('{id}', 'tenant:{tenant}', 'hub_silent', '{tenant}', 'open', 1, 1, 1, 1)"""


async def test_an_incident_is_taken_written_about_and_closed_over_the_api(
    console: Any, tore: Any, other: Any, tenant: str
) -> None:
    incident = "1c" * 8
    await console.bench.change(INCIDENT.format(id=incident, tenant=tenant))
    assert [one["id"] for one in (await call(tore, "GET", "/incidents")).json] == [incident]
    taken = await call(tore, "POST", f"/incidents/{incident}/claim")
    assert (taken.json["owner_name"], taken.json["is_mine"], taken.json["cell"]) == ("Tore Berg", True, "tenant")
    second = await call(other, "POST", f"/incidents/{incident}/claim")
    assert (second.status, second.json["holder"]["name"]) == (409, "Tore Berg")
    noted = {"note": "Netteier er ringt", "version": taken.json["version"]}
    assert (await call(tore, "PUT", f"/incidents/{incident}/note", noted)).json["note"] == "Netteier er ringt"
    stale = await call(tore, "PUT", f"/incidents/{incident}/note", noted | {"note": "Noe annet"})
    assert (stale.status, stale.json["current"]["note"]) == (409, "Netteier er ringt")
    wrong = await call(tore, "POST", f"/incidents/{incident}/close", {"outcome": "magic", "version": 3})
    assert (wrong.status, wrong.json["field"]) == (422, "outcome")
    closed = await call(tore, "POST", f"/incidents/{incident}/close", {"outcome": "power_restored", "version": 3})
    assert closed.json["state"] == "closed"
    assert [one["id"] for one in (await call(tore, "GET", "/incidents?closed=true")).json] == [incident]
    assert (await call(tore, "GET", f"/incidents/{incident}")).json["alarms"] == []
    assert (await call(tore, "GET", f"/incidents/{'ee' * 8}")).status == 404


async def test_work_is_announced_and_ended_and_faults_closed_together(
    console: Any, tore: Any, first: Any, hub: Any
) -> None:
    now = console.bench.clock.now_ms()
    await console.bench.tell(hub, hub.seal("battery_low", value=9))
    fault = (await call(tore, "GET", "/alarms?queue=technical")).json["alarms"][0]["id"]
    personal = await console.bench.press(hub)
    body = {"alarms": [fault, personal.id], "outcome": "battery_changed"}
    assert (await call(tore, "POST", "/technical/close", body)).json["closed"] == 1
    period = {"reach": "hub", "ref": hub.id.hex(), "to_ms": now + HOUR_MS, "why": "bytter ruter"}
    begun = await call(tore, "POST", "/maintenance", period)
    assert (begun.status, begun.json["sort"], begun.json["ref"]) == (201, "maintenance", hub.id.hex())
    assert [one["id"] for one in (await call(first, "GET", "/maintenance")).json] == [begun.json["id"]]
    assert (await call(tore, "POST", f"/maintenance/{begun.json['id']}/end")).status == 204
    assert (await call(first, "POST", "/maintenance", period)).status == 403
    past = await call(tore, "POST", "/maintenance", period | {"to_ms": 1})
    assert (past.status, past.json["field"]) == (422, "to")
    unknown = await call(tore, "POST", "/maintenance", period | {"ref": "no such hub"})
    assert (unknown.status, unknown.json["field"]) == (422, "ref")


async def test_every_answer_of_the_office_is_described_with_its_problems(console: Any) -> None:
    described = (await console.browser().get("/api/openapi.json")).json
    wanted = {"/tenants", "/units", "/teams", "/assignments", "/residents", "/incidents", "/maintenance", "/cards"}
    for path in wanted:
        for operation in described["paths"][f"/api/v1{path}"].values():
            assert {"403", "404", "409", "422"} <= set(operation["responses"])
    for name in ("CardBody", "CriteriaBody", "TenantBody", "TeamBody", "RegisterBody", "ContactBody", "PeriodBody"):
        assert "example" in described["components"]["schemas"][name], name
