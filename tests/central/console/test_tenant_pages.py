"""A municipality's settings: changed with an entry in the log, refused to others, and what they do in its wards."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from central.console.catalogue import words
from central.console.roles import Role
from central.lifecycle import Handling
from central.views import Actor

T = words("nb")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
SCRIPT = "<script>alert(1)</script>"
FORM = {
    "name": "Aure",
    "zone": "Europe/Oslo",
    "language": "nb",
    "presence_claims": "yes",
    "state": "active",
}


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


async def sent(browser: Any, path: str, **fields: Any) -> Any:
    body = urlencode([("csrf", browser.csrf), *((key, value) for key, value in fields.items() if value is not None)])
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return await browser.request("POST", path, body=body.encode(), headers=headers)


async def test_settings_are_saved_and_the_log_says_what_they_are_from_now_on(
    console: Any, ada: Any, tenant: str
) -> None:
    path = f"/places/tenants/{tenant}"
    assert path in (await ada.get("/places")).text
    assert T("tenant.presence") in (await ada.get(path)).text
    saved = await sent(ada, path, version="1", **FORM)
    assert (saved.status, saved.header("location")) == (303, f"{path}?said=saved")
    page = (await ada.get(path)).text
    assert 'name="presence_claims" value="yes" checked' in page
    row = (await console.bench.rows("SELECT actor_name, content FROM log_entry WHERE what = 'tenant_changed'"))[0]
    told = json.loads(row[1])
    assert (row[0], told["tenant"], told["presence_claims"], told["name"]) == ("Ada Nes", tenant, True, "Aure")
    assert "zone" not in told


async def test_who_saves_second_sees_what_it_is_now_and_keeps_what_was_typed(ada: Any, tenant: str) -> None:
    path = f"/places/tenants/{tenant}"
    await sent(ada, path, version="1", **FORM)
    late = await sent(ada, path, version="1", **(FORM | {"name": "Aure og omegn", "presence_claims": None}))
    assert late.status == 409
    assert 'value="Aure og omegn"' in late.text
    assert "Aure, Europe/Oslo" in late.text
    assert 'name="version" value="2"' in late.text


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"name": ""}, "name"),
        ({"name": SCRIPT * 8}, "name"),
        ({"name": "Smøla"}, "name"),
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"language": "sv"}, "language"),
    ],
)
async def test_faults_stand_at_their_fields(
    console: Any, ada: Any, tenant: str, wrong: dict[str, str], where: str
) -> None:
    await console.services.people.places.add_tenant(ADMIN, "Smøla")
    answer = await sent(ada, f"/places/tenants/{tenant}", version="1", **(FORM | wrong))
    assert answer.status in {409, 422}
    assert f'id="fault-{where}"' in answer.text
    assert SCRIPT not in answer.text
    assert await console.bench.value(f"SELECT version FROM tenant WHERE id = '{tenant}'") == 1


async def test_a_municipality_in_use_is_not_ended_and_an_empty_one_is(console: Any, ada: Any, hub: Any) -> None:
    places = console.services.people.places
    empty = await places.add_tenant(ADMIN, "Smøla")
    path = f"/places/tenants/{empty}"
    await places.place_hub(ADMIN, hub.id.hex(), empty, None)
    form = FORM | {"name": "Smøla", "state": "ended"}
    refused = await sent(ada, path, version="1", **form)
    assert (refused.status, T("tenantfault.tenant_in_use") in refused.text) == (409, True)
    await places.place_hub(ADMIN, hub.id.hex(), None, None)
    assert (await sent(ada, path, version="1", **form)).status == 303
    assert T("tenant.is_ended") in (await ada.get(path)).text


async def test_an_administrator_of_one_municipality_keeps_it_and_no_other(console: Any, tenant: str) -> None:
    places = console.services.people.places
    own = await places.add_tenant(ADMIN, "Smøla")
    browser = await console.signed_in("Siv Smøla", Role.ADMINISTRATOR)
    await places.assign(ADMIN, await console.accounts.id_of("Siv Smøla"), Role.ADMINISTRATOR, tenant=own)
    assert (await browser.get(f"/places/tenants/{own}")).status == 200
    assert (await sent(browser, f"/places/tenants/{own}", version="1", **(FORM | {"name": "Smøla"}))).status == 303
    for answer in (
        await browser.get(f"/places/tenants/{tenant}"),
        await sent(browser, f"/places/tenants/{tenant}", version="1", **FORM),
        await browser.get(f"/api/v1/tenants/{tenant}"),
    ):
        assert answer.status == 404
    ended = await sent(browser, f"/places/tenants/{own}", version="2", **(FORM | {"name": "Smøla", "state": "ended"}))
    assert (ended.status, T("tenantfault.everywhere_only") in ended.text) == (422, True)
    assert [one["id"] for one in (await browser.get("/api/v1/tenants")).json["tenants"]] == [own]


async def called(bench: Any, hub: Any, *words_of: str) -> Any:
    """A call from a room, and what staff do there."""
    sealed = hub.seal("nurse_call", device="room-12")
    await bench.tell(hub, sealed)
    for word in words_of:
        bench.clock.advance(2)
        await bench.tell(hub, hub.seal(word, device="room-12"))
    return await bench.alarm_of(sealed)


@pytest.mark.parametrize(
    ("of_tenant", "rule", "claims"),
    [("yes", "", True), ("yes", "no", False), (None, "yes", True), (None, "", False)],
)
async def test_a_ward_follows_its_municipality_unless_it_says_otherwise(
    console: Any, ada: Any, hub: Any, tenant: str, of_tenant: str | None, rule: str, claims: bool
) -> None:
    bench = console.bench
    ward = await console.services.people.places.add_unit(ADMIN, tenant, "Avdeling 2", "ward")
    await console.services.people.places.place_hub(ADMIN, hub.id.hex(), tenant, ward)
    assert (await sent(ada, f"/places/tenants/{tenant}", version="1", **(FORM | {"presence_claims": of_tenant}))).status
    said = await sent(ada, f"/places/units/{ward}/presence", version="1", rule=rule)
    assert said.status == 303
    alarm = await called(bench, hub, "nurse_presence")
    assert (alarm.stage.handling is Handling.CLAIMED) is claims


async def test_a_zone_does_not_follow_the_rule_for_wards(console: Any, ada: Any, hub: Any, tenant: str) -> None:
    zone = await console.services.people.places.add_unit(ADMIN, tenant, "Sone nord", "zone")
    await console.services.people.places.place_hub(ADMIN, hub.id.hex(), tenant, zone)
    await sent(ada, f"/places/tenants/{tenant}", version="1", **FORM)
    alarm = await called(console.bench, hub, "nurse_presence")
    assert alarm.stage.handling is Handling.WAITING


async def test_a_ward_changed_meanwhile_is_said_and_others_are_not_found(console: Any, ada: Any, tenant: str) -> None:
    ward = await console.services.people.places.add_unit(ADMIN, tenant, "Avdeling 2", "ward")
    path = f"/places/units/{ward}/presence"
    await sent(ada, path, version="1", rule="yes")
    late = await sent(ada, path, version="1", rule="no")
    assert (late.status, T("tenantfault.stale") in late.text) == (409, True)
    assert (await sent(ada, path, version="2", rule="perhaps")).status == 422
    assert (await sent(ada, f"/places/units/{'ee' * 8}/presence", version="1", rule="no")).status == 404
