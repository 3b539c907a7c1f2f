"""Fields that name one of many: a list while it is short, else words that find it; and only what is somebody's own."""

from __future__ import annotations

import html
import re
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING, Scope
from central.console.roles import Role
from central.console.seeking import MOST_FOUND, MOST_LISTED, Choice, Seek, chosen, found_in, meant, units_in
from central.routing.calendar import local
from central.routing.words import clock_words
from tests.central.conftest import Bench
from tests.central.console.conftest import Browser, Console, Towns

MANY = 3 * MOST_LISTED
POOL = [Choice("1" * 16, "Anne Åsen"), Choice("2" * 16, "Anne Åsen Lie"), Choice("3" * 16, "Bjørn Åsen")]


async def accounts(bench: Bench) -> None:
    """So many that no list of them is any use; the last one comes long after any first page."""
    shown = ", ".join(f"('{n:032x}', 'Ørjan Vik {n:03}', 'responder', 0)" for n in range(MANY))
    await bench.change(f"INSERT INTO user_account (id, name, role, created_ms) VALUES {shown}")


async def team_of_everybody(bench: Bench) -> str:
    return str(await bench.value("SELECT id FROM team WHERE id NOT IN (SELECT team FROM team_member)"))


def text_of(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def options(answer: Any) -> list[str]:
    return [html.unescape(text) for text in re.findall(r'role="option"[^>]*>([^<]*)<', answer.text)]


# ── What words mean ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        ("1" * 16, "1" * 16),
        ("ANNE  åsen", "1" * 16),  # the whole name, though another begins so
        ("lie", "2" * 16),
        ("li\x00e", "2" * 16),  # no text has such a sign, and PostgreSQL takes none
        ("åsen bj", "3" * 16),
        ("åsen", None),
        ("per", None),
        ("", None),
        ("\x00", None),
    ],
)
def test_one_is_meant_by_its_id_its_whole_name_or_words_that_no_other_has(typed: str, wanted: str | None) -> None:
    found = chosen(POOL, typed)
    assert (found.id if found else None) == wanted
    assert meant(POOL, typed) == (wanted or typed)


def test_those_that_begin_with_the_words_come_first() -> None:
    pool = [Choice("1", "Solbakken hus"), Choice("2", "Nedre Solbakken"), Choice("3", "Solbakken")]
    assert [one.text for one in found_in(pool, "sol")] == ["Solbakken", "Solbakken hus", "Nedre Solbakken"]
    assert found_in(pool, "  ") == ()


def test_a_field_shows_the_name_of_what_was_chosen_and_the_hits_of_what_was_not_clear() -> None:
    many = [Choice(f"{n:016x}", f"Anne {n}") for n in range(MOST_LISTED + 1)]
    assert Seek(pool=many, where="", typed=many[7].id).text == "Anne 7"
    assert not Seek(pool=many, where="", typed=many[7].id).hits
    assert Seek(pool=many, where="", typed="anne 4").hits == ()  # the whole name of one, though others begin so
    assert len(Seek(pool=many, where="", typed="anne").hits) == MOST_FOUND
    assert Seek(pool=many, where="", typed="anne").count == len(many)
    assert Seek(pool=many[:3], where="", typed="anne").is_listed


# ── Rotas ────────────────────────────────────────────────────────────────────────────


async def shift(browser: Browser, team: str, account: str, today: date) -> Any:
    form = {"account": account, "day": "0", "from": clock_words(60), "to": "07:00", "from_day": today.isoformat()}
    return await browser.post(f"/rota/{team}/shifts", form=form)


async def test_somebody_far_down_the_alphabet_gets_a_shift_by_name(bench: Bench, console: Console) -> None:
    await accounts(bench)
    team = await team_of_everybody(bench)
    lead = await console.signed_in("Nina Berg", Role.LEAD)
    page = await lead.get(f"/rota/{team}")
    assert "<option" not in page.text
    assert len(page.body) < 60_000
    today = local(bench.clock.now_ms(), ZoneInfo("Europe/Oslo"))[0]
    assert options(await lead.post(f"/rota/{team}/people/part", form={"q": "vik 149"})) == ["Ørjan Vik 149"]
    assert (await shift(lead, team, "ørjan vik 149", today)).status == 303
    assert await bench.value("SELECT account FROM rota_shift") == f"{149:032x}"
    unclear = await shift(lead, team, "vik 14", today)
    assert unclear.status == 422
    assert "12 har «vik 14» i navnet" in text_of(unclear)
    assert f'type="radio" name="account" value="{141:032x}"' in unclear.text
    assert 'value="vik 14"' in unclear.text
    assert "Ingen har «per»" in text_of(await shift(lead, team, "per", today))
    assert await bench.value("SELECT count(*) FROM rota_shift") == 1


async def test_nobody_of_another_tenant_comes_up_or_is_put_on_a_rota(bench: Bench, towns: Towns) -> None:
    lead = await towns.signed_in(Role.LEAD)
    await bench.change(f"DELETE FROM team_member WHERE team = '{towns.own['team_id']}'")  # a team of everybody
    page = f"/rota/{towns.own['team_id']}"
    assert "Aure vakt" in options(await lead.post(f"{page}/people/part", form={"q": "vakt"}))
    assert "Smøla vakt" not in options(await lead.post(f"{page}/people/part", form={"q": "vakt"}))
    assert "Smøla" not in (await lead.get(page)).text
    form = {"day": "0", "from": "01:00", "to": "07:00", "from_day": towns.own["day"]}
    for account in (towns.other["account_id"], "Smøla vakt"):
        assert (await lead.post(f"{page}/shifts", form=form | {"account": account})).status == 422
    body = {"account": towns.other["account_id"], "weekdays": [0], "from_minute": 0, "to_minute": 60}
    answer = await lead.post(
        f"/api/v1/teams/{towns.own['team_id']}/rota/shifts", content=body | {"from_day": towns.own["day"]}
    )
    assert answer.status == 422
    assert towns.other["account_id"] not in answer.json["choices"]
    assert (await lead.post(f"/rota/{towns.other['team_id']}/people/part", form={"q": "vakt"})).status == 404
    assert await towns.refused() == 3, "the form's id, the body's, and the other's team; a name alone names nobody"


# ── Organisation ─────────────────────────────────────────────────────────────────────


async def test_a_team_gets_members_by_name_and_lets_them_go(bench: Bench, console: Console, ada: Browser) -> None:
    await accounts(bench)
    made = await ada.post("/places/teams", form={"name": "Natt", "kind": "patrol"})
    page = made.header("location") or ""
    assert "Betjener ingen kommune ennå." in text_of(await ada.get("/places"))
    assert "Teamet er alle" not in text_of(await ada.get(page))
    for name in ("Ørjan Vik 149", f"{7:032x}"):
        assert (await ada.post(f"{page}/members", form={"account": name})).status == 303
    said = text_of(await ada.get(page))
    assert "Ørjan Vik 149" in said
    assert "Ørjan Vik 007" in said
    assert "2 medlemmer." in text_of(await ada.get("/places"))
    # What else is changed about a team leaves its members alone, and whoever has an older page is told so.
    form = {"name": "Natt 2", "kind": "patrol", "phone": "", "email": ""}
    assert (await ada.post(page, form=form | {"version": "1"})).status == 409
    tenant = await bench.value("SELECT id FROM tenant")
    assert (await ada.post(page, form=form | {"version": "3", "serves": tenant})).status == 303
    assert await bench.value("SELECT count(*) FROM team_member") == 2
    assert (await ada.post(f"{page}/members/{149:032x}/end")).status == 303
    assert "Ørjan Vik 149" not in text_of(await ada.get(page))
    unclear = await ada.post(f"{page}/members", form={"account": "vik"})
    assert (unclear.status, unclear.text.count('type="radio"')) == (422, 12)
    assert (await ada.post(f"{page}/members", form={"account": " "})).status == 422
    assert await bench.value("SELECT count(*) FROM team_member") == 1


async def test_an_administrator_of_one_tenant_finds_and_takes_in_nobody_of_another(towns: Towns) -> None:
    ada = await towns.signed_in(Role.ADMINISTRATOR)
    assert options(await ada.post("/places/accounts/part", form={"q": "vakt"})) == ["Aure vakt"]
    assert options(await ada.post("/places/sites/part", form={"q": "nord"})) == ["Aure, Aure nord"]
    page = f"/places/teams/{towns.own['team_id']}"
    before = await towns.console.bench.value("SELECT count(*) FROM team_member")
    assert (await ada.post(f"{page}/members", form={"account": towns.other["account_id"]})).status == 404
    assert (await ada.post(f"{page}/members", form={"account": "Smøla vakt"})).status == 422
    assert await towns.console.bench.value("SELECT count(*) FROM team_member") == before
    assert await towns.refused() == 0
    foreign = towns.other["account_id"]
    body = {"name": "Natt", "kind": "patrol", "tenant": towns.own["tenant_id"], "members": [foreign]}
    assert (await ada.post("/api/v1/teams", content=body)).status == 404
    assert await towns.console.bench.value("SELECT count(*) FROM team WHERE name = 'Natt'") == 0
    assert await towns.refused() == 1
    assert (await ada.get(f"/places/teams/{towns.other['team_id']}")).status == 404
    assert (await ada.post(f"/places/teams/{towns.other['team_id']}/members", form={"account": "x"})).status == 404
    assert await towns.refused() == 3


async def test_whoever_sees_one_unit_of_a_tenant_finds_no_other_unit_of_it(bench: Bench) -> None:
    tenant = await bench.value("SELECT id FROM tenant")
    shown = ", ".join(f"('{n:016x}', '{tenant}', 'zone', 'Sone {n}')" for n in range(3))
    await bench.change(f"INSERT INTO unit (id, tenant, kind, name) VALUES {shown}")
    scope = Scope(tenants=frozenset(), units=frozenset({f"{1:016x}"}))
    found = await bench.store.fetch(lambda connection: units_in(connection, scope))
    assert [(whose, one.text) for whose, one in found] == [(tenant, "Sone 1")]
    assert len(await bench.store.fetch(lambda connection: units_in(connection, EVERYTHING, "0" * 16))) == 0


async def test_a_role_and_a_place_are_given_by_name_where_there_are_too_many_for_a_list(
    bench: Bench, console: Console, ada: Browser
) -> None:
    await accounts(bench)
    tenant = await bench.value("SELECT id FROM tenant")
    name = await bench.value("SELECT name FROM tenant")
    shown = ", ".join(f"('{n:016x}', '{tenant}', 'zone', 'Sone {n:03}')" for n in range(MANY))
    await bench.change(f"INSERT INTO unit (id, tenant, kind, name) VALUES {shown}")
    form = {"account": "vik 149", "role": "lead", "where": f"{name}, sone 140"}
    assert (await ada.post("/places/assignments", form=form)).status == 303
    assert await bench.value("SELECT account FROM assignment") == f"{149:032x}"
    assert await bench.value("SELECT unit FROM assignment") == f"{140:016x}"
    unclear = await ada.post("/places/assignments", form=form | {"where": "sone 14", "back": "roles"})
    assert unclear.status == 422
    assert 'value="Ørjan Vik 149"' in unclear.text or 'value="vik 149"' in unclear.text  # what was right stays
    assert f'name="where" value="{tenant}:{140:016x}"' in unclear.text
    hub = await bench.enrolled("Solbakken 1")
    assert (await ada.post(f"/places/hubs/{hub.id.hex()}", form={"where": "sone 149", "version": "1"})).status == 303
    assert await bench.value("SELECT unit FROM hub") == f"{149:016x}"
    inside = await ada.post("/places/units", form={"name": "Hus 1", "kind": "house", "inside": "sone 149"})
    assert inside.status == 303
    assert await bench.value("SELECT parent FROM unit WHERE name = 'Hus 1'") == f"{149:016x}"


async def test_each_part_of_the_organisation_comes_in_hundreds_with_a_search(
    bench: Bench, console: Console, ada: Browser
) -> None:
    tenant = await bench.value("SELECT id FROM tenant")
    shown = ", ".join(f"('{n:016x}', '{tenant}', 'zone', 'Sone {n:03}')" for n in range(MANY))
    await bench.change(f"INSERT INTO unit (id, tenant, kind, name) VALUES {shown}")
    overview = await ada.get("/places")
    assert overview.text.count('action="/places/units/') == 12
    assert f"Alle {MANY} enheter" in text_of(overview)
    assert (await ada.get("/places/units")).text.count('action="/places/units/') == 100
    assert (await ada.get("/places/units?page=2")).text.count('action="/places/units/') == MANY - 100
    assert 'value="Sone 149"' in (await ada.get("/places/units?q=149")).text
    assert "Fant ingenting for «borte»" in text_of(await ada.get("/places/units?q=borte"))
    for part in ("tenants", "teams", "roles", "hubs"):
        assert (await ada.get(f"/places/{part}")).status == 200
    assert (await ada.get("/places/castles")).status == 404
    back = await ada.post(
        "/places/units/" + "0" * 16, form={"version": "1", "name": "x", "kind": "zone", "back": "units"}
    )
    assert back.header("location") == "/places/units"


# ── Residents ────────────────────────────────────────────────────────────────────────


async def test_a_resident_is_registered_at_a_hub_and_in_a_unit_found_by_words(bench: Bench, console: Console) -> None:
    tenant = await bench.value("SELECT id FROM tenant")
    shown = ", ".join(f"('{n:016x}', '{tenant}', 'zone', 'Sone {n:03}')" for n in range(MANY))
    await bench.change(f"INSERT INTO unit (id, tenant, kind, name) VALUES {shown}")
    empty = "x'00'" if bench.store.dialect.is_sqlite else "'\\x00'"
    hubs = ", ".join(f"('{n:016x}', 'Elvebakken {n:03}', {empty}, 1, 0)" for n in range(MANY))
    await bench.change(f"INSERT INTO hub (id, label, public_key, suite, enrolled_ms) VALUES {hubs}")
    lead = await console.signed_in("Nina Berg", Role.LEAD)
    page = await lead.get("/residents/new")
    assert "<option" not in page.text
    assert options(await lead.post("/residents/hubs/part", form={"q": "149"})) == ["Elvebakken 149"]
    assert len(options(await lead.post("/residents/sites/part", form={"q": "sone"}))) == 12
    form = {"first_name": "Eva", "place": "sone 149", "hub": "elvebakken 148", "pseudonym": "r-eva"}
    unclear = await lead.post("/residents", form=form | {"hub": "elvebakken"})
    assert unclear.status == 422
    assert 'value="Eva"' in unclear.text
    assert (await lead.post("/residents", form=form)).status == 303
    assert await bench.value("SELECT hub FROM resident") == f"{148:016x}"
    assert await bench.value("SELECT unit FROM resident") == f"{149:016x}"
    assert options(await lead.post("/residents/r-eva/units/part", form={"q": "147"})) == ["Sone 147"]
    version = await bench.value("SELECT version FROM resident")
    moved = await lead.post("/residents/r-eva/place", form={"version": version, "unit": "sone 147", "hub": ""})
    assert moved.status == 303
    assert await bench.value("SELECT unit FROM resident") == f"{147:016x}"
    assert await bench.value("SELECT hub FROM resident") is None
