"""Two people change the same thing: the second is refused, sees what the first did, and what they typed is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING
from central.console.catalogue import words
from central.console.roles import Role
from central.people.contacts import entry_from
from central.people.facts import FactKind
from central.routing.calendar import local
from central.routing.duty import Rotas
from central.routing.rota import Override, Shift
from central.views import Actor

T = words("nb")
LEAD = Actor(id="lead", name="Lead One", role="lead")
HOUR_MS, DAY_MS = 3_600_000, 24 * 3_600_000


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


@pytest.fixture
async def resident(bench: Any, tenant: str) -> str:
    await bench.services.people.keeping.register(
        LEAD, tenant=tenant, pseudonym="r-1", named={FactKind.FIRST_NAME: "Ragnhild"}, source="epj"
    )
    return "r-1"


@pytest.fixture
async def second(console: Any) -> Any:
    """Another lead, at another desk."""
    return await console.signed_in("Lead Two", Role.LEAD)


async def put(browser: Any, path: str, content: Any) -> Any:
    return await browser.request("PUT", path, content=content, headers={"x-csrf-token": browser.csrf})


async def delete(browser: Any, path: str) -> Any:
    return await browser.request("DELETE", path, headers={"x-csrf-token": browser.csrf})


# ── Facts ────────────────────────────────────────────────────────────────────────────


async def fact_id(bench: Any, kind: str = "address") -> str:
    found = await bench.value(f"SELECT id FROM resident_fact WHERE kind = '{kind}' AND ended_ms IS NULL")
    return str(found or "")


async def test_who_writes_a_fact_second_sees_the_other_text_and_keeps_what_was_typed(
    console: Any, other: Any, second: Any, resident: str
) -> None:
    bench, path = console.bench, f"/residents/{resident}/facts"
    form = {"kind": "address", "source": "home_care", "text": "Solbakken 2"}
    assert "was.address" not in (await second.get(f"/residents/{resident}")).text
    assert (await other.post(path, form=form)).status == 303
    late = await second.post(path, form=form | {"text": "Fjordveien 3", "source": "next_of_kin"})
    assert late.status == 409
    for text in ("Solbakken 2", "Fjordveien 3</textarea>", T("routine.save_over"), T("record.conflict")):
        assert text in late.text, text
    assert '<option value="next_of_kin" selected>' in late.text
    assert '<option value="address" selected>' in late.text
    theirs = await fact_id(bench)
    assert f'name="was.address" value="{theirs}"' in late.text
    assert await bench.value("SELECT count(*) FROM resident_fact WHERE kind = 'address'") == 1
    over = await second.post(path, form=form | {"text": "Fjordveien 3", "was.address": theirs})
    assert over.status == 303
    assert "Fjordveien 3" in (await other.get(f"/residents/{resident}")).text


async def test_a_fact_that_somebody_has_ended_is_not_written_over_and_the_same_text_twice_is_no_conflict(
    console: Any, other: Any, second: Any, resident: str
) -> None:
    bench, path = console.bench, f"/residents/{resident}/facts"
    form = {"kind": "know", "source": "home_care", "text": "Hører dårlig"}
    assert (await other.post(path, form=form)).status == 303
    assert (await second.post(path, form=form)).status == 303  # they say the same
    seen = await fact_id(bench, "know")
    assert (await other.post(path, form=form | {"text": "", "was.know": seen})).status == 303
    late = await second.post(path, form=form | {"text": "Hører godt", "was.know": seen})
    assert late.status == 409
    assert T("resident.fact_ended", kind=T("fact.know")) in late.text
    assert "Hører godt</textarea>" in late.text
    assert await fact_id(bench, "know") == ""


async def test_a_secret_that_was_changed_meanwhile_stays_folded_in_the_refusal(
    console: Any, other: Any, second: Any, resident: str
) -> None:
    path = f"/residents/{resident}/facts"
    form = {"kind": "key_code", "source": "home_care", "text": "4471-hemmelig"}
    assert (await other.post(path, form=form)).status == 303
    late = await second.post(path, form=form | {"text": "9999"})
    assert late.status == 409
    assert T("resident.fact_folded") in late.text
    assert "4471-hemmelig" not in late.text
    body = {"kind": "key_code", "source": "home_care", "text": "9999"}
    refused = await second.post(f"/api/v1{path}", content=body)
    assert "4471" not in refused.text
    theirs = await fact_id(console.bench, "key_code")
    assert (refused.status, refused.json["reason"]) == (409, "stale")
    assert (refused.json["current"]["id"], refused.json["yours"]) == (theirs, {"replaces": ""})
    assert (await second.post(f"/api/v1{path}", content=body | {"replaces": theirs})).json == {"changed": True}
    found = (await second.get(f"/api/v1/residents/{resident}")).json["facts"]
    assert await fact_id(console.bench, "key_code") in {fact["id"] for fact in found}


async def test_what_was_typed_of_a_fact_is_kept_when_its_day_is_wrong(other: Any, resident: str) -> None:
    form = {"kind": "address", "source": "home_care", "text": "Solbakken 2", "as_of": "2099-01-01"}
    answer = await other.post(f"/residents/{resident}/facts", form=form)
    assert answer.status == 422
    assert "Solbakken 2</textarea>" in answer.text
    assert '<option value="home_care" selected>' in answer.text


# ── Ends of contacts and services ────────────────────────────────────────────────────


async def test_a_contact_that_was_changed_meanwhile_is_not_ended(
    console: Any, other: Any, second: Any, resident: str
) -> None:
    bench, keeping = console.bench, console.services.people.keeping
    daughter = {"name": "Sunniva", "relation": "datter", "phone": "90000001"}
    contact = await keeping.add_contact(LEAD, resident, entry_from(daughter), source="resident")
    assert '<input type="hidden" name="version" value="1">' in (await second.get(f"/residents/{resident}")).text
    changed = daughter | {"relation": "niese"}
    await keeping.change_contact(LEAD, resident, contact, 1, entry_from(changed), source="resident")
    late = await second.post(f"/residents/{resident}/contacts/{contact}/end", form={"version": "1"})
    assert late.status == 409
    assert "Det er nå: Sunniva. niese" in late.text
    path = f"/api/v1/residents/{resident}/contacts/{contact}"
    refused = await delete(second, f"{path}?version=1")
    assert (refused.status, refused.json["current"], refused.json["yours"]) == (409, {"version": 2}, {"version": 1})
    assert (await delete(second, path)).status == 422
    assert await bench.value("SELECT count(*) FROM contact WHERE ended_ms IS NULL") == 1
    assert (await delete(second, f"{path}?version=2")).status == 204
    assert (await delete(second, f"{path}?version=2")).status == 404
    assert await bench.value("SELECT count(*) FROM contact WHERE ended_ms IS NULL") == 0


async def test_a_service_that_was_changed_meanwhile_is_not_ended(
    console: Any, other: Any, second: Any, resident: str
) -> None:
    bench, keeping = console.bench, console.services.people.keeping
    now = bench.clock.now_ms()
    await keeping.grant(LEAD, resident, "TA", from_ms=now - DAY_MS, to_ms=None, source="epj")
    service = await bench.value("SELECT id FROM service")
    await keeping.change_service(LEAD, resident, service, 1, from_ms=now - DAY_MS, to_ms=now + 9 * DAY_MS, plan=None)
    path = f"/residents/{resident}/services/{service}"
    late = await second.post(f"{path}/end", form={"version": "1"})
    assert late.status == 409
    assert "ble ikke avsluttet" in late.text
    assert T("fact_source.epj") in late.text
    assert await bench.value("SELECT to_ms FROM service") == now + 9 * DAY_MS
    assert 'name="version" value="2"' in (await second.get(path)).text
    assert (await second.post(f"{path}/end", form={"version": "2"})).status == 303
    assert await bench.value("SELECT to_ms FROM service") == now


# ── Hubs, accounts, roles ────────────────────────────────────────────────────────────


async def test_a_hub_that_was_placed_meanwhile_stays_there_and_the_choice_is_kept(
    console: Any, ada: Any, tenant: str, hub: Any
) -> None:
    bench, places = console.bench, console.services.people.places
    zones = [await places.add_unit(LEAD, tenant, name, "zone") for name in ("Sone nord", "Sone sør")]
    hub_id = hub.id.hex()
    bjorn = await console.signed_in("Bjørn Vik", Role.ADMINISTRATOR)
    path = f"/places/hubs/{hub_id}"
    assert (await ada.post(path, form={"where": f"{tenant}:{zones[0]}", "version": "1"})).status == 303
    late = await bjorn.post(path, form={"where": f"{tenant}:{zones[1]}", "version": "1"})
    assert late.status == 409
    assert "i mellomtiden: " in late.text
    assert "Sone nord" in late.text.partition("i mellomtiden: ")[2][:80]
    assert await bench.value(f"SELECT unit FROM hub WHERE id = '{hub_id}'") == zones[0]
    chosen = late.text.partition(f'action="{path}"')[2].partition("</form>")[0]
    assert 'name="version" value="2"' in chosen
    assert f'value="{tenant}:{zones[1]}" selected' in chosen
    api = f"/api/v1/hubs/{hub_id}/place"
    known = await bjorn.get(api)
    assert known.json == {"tenant": tenant, "unit": zones[0], "version": 2}
    refused = await put(bjorn, api, {"tenant": tenant, "unit": None, "version": 1})
    assert (refused.status, refused.json["reason"], refused.json["current"]) == (409, "stale", known.json)
    assert (await put(bjorn, api, {"tenant": tenant, "unit": None})).status == 422
    assert (await put(bjorn, api, {"tenant": tenant, "unit": None, "version": 2})).status == 204


async def test_an_account_that_was_changed_meanwhile_keeps_that_role_and_is_not_shut_out(
    console: Any, ada: Any
) -> None:
    account = await console.account("Kari Dal", Role.RESPONDER)
    bjorn = await console.signed_in("Bjørn Vik", Role.ADMINISTRATOR)
    path = f"/users/{account.id}"
    assert (await ada.post(f"{path}/role", form={"role": "lead", "version": "1"})).status == 200
    late = await bjorn.post(f"{path}/role", form={"role": "technician", "version": "1"})
    assert late.status == 409
    said = T("users.stale", name="Kari Dal", role=T("role.lead").lower(), state=T("users.is_active").lower())
    assert said in late.text
    row = late.text.partition(f'action="{path}/role"')[2].partition("</form>")[0]
    assert 'name="version" value="2"' in row
    assert '<option value="technician" selected>' in row
    assert (await bjorn.post(f"{path}/disable", form={"version": "1"})).status == 409
    assert (await bjorn.post(f"{path}/disable")).status == 409
    kept = await console.accounts.one(account.id)
    assert (kept.role, kept.is_active, kept.version) == (Role.LEAD, True, 2)
    assert (await bjorn.post(f"{path}/disable", form={"version": "2"})).status == 200
    assert (await ada.post(f"{path}/enable", form={"version": "2"})).status == 409
    assert not (await console.accounts.one(account.id)).is_active


async def test_a_password_or_a_setting_of_ones_own_is_no_change_that_others_have_to_look_at(console: Any) -> None:
    account = await console.account("Kari Dal", Role.RESPONDER)
    await console.accounts.set_preferences(account.id, language="en", theme="dark", has_single_keys=False)
    await console.accounts.set_password(account.id, "en helt annen lang setning")
    assert (await console.accounts.one(account.id)).version == 1


async def test_a_role_that_two_give_is_given_once_and_one_that_two_end_is_ended_once(
    console: Any, ada: Any, tenant: str
) -> None:
    bench = console.bench
    account = await console.account("Kari Dal", Role.RESPONDER)
    bjorn = await console.signed_in("Bjørn Vik", Role.ADMINISTRATOR)
    form = {"account": account.id, "role": "lead", "where": tenant}
    assert (await ada.post("/places/assignments", form=form)).status == 303
    again = await bjorn.post("/places/assignments", form=form)
    assert (again.status, T("resident.fault_assigned_already") in again.text) == (409, True)
    body = {"account": account.id, "role": "lead", "tenant": tenant}
    assert (await bjorn.post("/api/v1/assignments", content=body)).json["reason"] == "assigned_already"
    assert await bench.value("SELECT count(*) FROM assignment") == 1
    given = await bench.value("SELECT id FROM assignment")
    ended_ms = bench.clock.now_ms()
    assert (await ada.post(f"/places/assignments/{given}/end")).status == 303
    bench.clock.advance(60)
    late = await bjorn.post(f"/places/assignments/{given}/end")
    assert (late.status, T("resident.fault_is_over") in late.text) == (409, True)
    refused = await delete(bjorn, f"/api/v1/assignments/{given}")
    assert (refused.status, refused.json["current"]) == (409, {"to_ms": ended_ms})
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'role_ended'") == 1
    assert (await ada.post("/places/assignments", form=form)).status == 303  # once more, after it was over


# ── Rotas ────────────────────────────────────────────────────────────────────────────


async def test_a_shift_or_an_exception_that_somebody_has_ended_is_not_ended_again(
    console: Any, other: Any, second: Any, tenant: str
) -> None:
    bench = console.bench
    team = await console.services.people.places.add_team(LEAD, "Natt", "patrol", tenant=tenant)
    rotas, now = Rotas(bench.store, bench.clock), bench.clock.now_ms()
    today = local(now, ZoneInfo("Europe/Oslo"))[0]

    def shift(begin_days: int) -> Shift:
        return Shift(
            id="", account=None, weekdays=frozenset(range(7)), from_minute=0, to_minute=24 * 60,
            from_day=today + timedelta(days=begin_days), to_day=None,
        )  # fmt: skip

    held = await rotas.add_shift(LEAD, EVERYTHING, team, shift(-7))
    coming = await rotas.add_shift(LEAD, EVERYTHING, team, shift(7))
    extra = Override(id="", account=None, instead_of=None, from_ms=now + HOUR_MS, to_ms=now + 2 * HOUR_MS)
    override = await rotas.add_override(LEAD, EVERYTHING, team, extra)
    api = f"/api/v1/teams/{team}/rota"
    for what, one, status, path in (
        ("shift", held, 409, f"shifts/{held}"),
        ("shift", coming, 404, f"shifts/{coming}"),
        ("override", override, 404, f"overrides/{override}"),
    ):
        first_answer = await other.post(f"/rota/{team}/{path}/end")
        assert first_answer.header("location") == f"/rota/{team}?said={what}_ended"
        late = await second.post(f"/rota/{team}/{path}/end")
        assert (late.status, T("rota.over_already") in late.text) == (status, True), one
        assert (await delete(second, f"{api}/{path}")).status == status
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'shift_ended'") == 2
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'override_ended'") == 1


# ── Incidents ────────────────────────────────────────────────────────────────────────

INCIDENT = "1c" * 8


async def test_an_incident_that_was_written_about_or_grew_meanwhile_is_not_closed_and_the_choice_is_kept(
    console: Any, tore: Any, other: Any, tenant: str
) -> None:
    bench, now = console.bench, console.bench.clock.now_ms()
    await bench.change(
        "INSERT INTO incident (id, cell, kind, tenant, state, count, critical, opened_ms, last_ms)"
        f" VALUES ('{INCIDENT}', 'tenant:{tenant}', 'mains_lost', '{tenant}', 'open', 1, 0, {now}, {now})"
    )
    path, api = f"/technical/incidents/{INCIDENT}", f"/api/v1/incidents/{INCIDENT}"
    mine = (await tore.post(f"{api}/claim")).json["version"]
    assert f'name="version" value="{mine}"' in (await tore.get(path)).text.partition(f"{path}/close")[2]
    noted = await put(other, f"{api}/note", {"note": "Gjelder også Kvernvegen", "version": mine})
    assert noted.status == 200
    form = {"outcome": "power_restored", "version": str(mine)}
    late = await tore.post(f"{path}/close", form=form)
    assert late.status == 409
    for text in (
        T("technical.changed_meanwhile"),
        "Gjelder også Kvernvegen",
        '<option value="power_restored" selected>',
    ):
        assert text in late.text, text
    body = {"outcome": "power_restored", "note": "I orden", "version": mine}
    refused = await tore.post(f"{api}/close", content=body)
    assert (refused.status, refused.json["reason"]) == (409, "written_meanwhile")
    assert refused.json["current"] == {"version": mine + 1, "note": "Gjelder også Kvernvegen", "still_open": 0}
    assert refused.json["yours"] == {"note": "I orden"}
    assert (await tore.post(f"{api}/close", content={"outcome": "power_restored"})).status == 422
    assert await bench.value("SELECT state FROM incident") == "open"
    # More faults come: what they are nobody can have read when the page was made.
    await bench.change("UPDATE incident SET count = 9, still_open = 8, version = version + 1")
    assert (await tore.post(f"{path}/close", form=form | {"version": str(mine + 1)})).status == 409
    assert (await tore.post(f"{path}/close", form=form | {"version": str(mine + 2)})).status == 303
    assert await bench.value("SELECT state FROM incident") == "closed"
    kept = (await tore.get(api)).json["incident"]
    assert (kept["note"], kept["outcome"]) == ("Gjelder også Kvernvegen", "power_restored")
