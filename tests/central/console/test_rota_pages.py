"""The pages of duty rotas, through the application."""

from __future__ import annotations

import html
import re
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from central.access import EVERYTHING
from central.console.roles import Role
from central.routing.calendar import instant, local
from central.routing.duty import Rotas
from central.routing.rota import Shift
from central.sql import Sql
from central.views import Actor
from tests.central.console.conftest import ADMIN

OSLO = ZoneInfo("Europe/Oslo")
TEAM = "c3" * 8
SCRIPT = "<script>alert(1)</script>"


def text_of(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


class Rota:
    """A lead at the pages of one team with two people, at noon."""

    def __init__(self, nina: Any, clock: Any, people: list[str]) -> None:
        self.nina = nina
        self.clock = clock
        self.people = people

    @property
    def today(self) -> date:
        return local(self.clock.now_ms(), OSLO)[0]

    async def post(self, path: str, **fields: Any) -> Any:
        pairs = [("csrf", self.nina.csrf)]
        for key, value in fields.items():
            pairs += [(key, one) for one in (value if isinstance(value, list) else [value])]
        return await self.nina.request(
            "POST",
            f"/rota/{TEAM}/{path}",
            body=urlencode(pairs).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )

    async def shift(self, account: str, /, **fields: Any) -> Any:
        known = {"account": account, "day": list("0123456"), "from": "22:00", "to": "07:00"}
        known["from_day"] = (self.today - timedelta(days=2)).isoformat()
        return await self.post("shifts", **(known | fields))

    async def override(self, who: str, /, **fields: Any) -> Any:
        day = (self.today + timedelta(days=2)).isoformat()
        known = {"who": who, "instead_of": "", "begin_day": day, "begin_time": "08:00", "end_day": day}
        return await self.post("overrides", **(known | {"end_time": "10:00", "why": "kurs"} | fields))

    async def look(self, query: str = "") -> str:
        return text_of(await self.nina.get(f"/rota/{TEAM}{query}"))


@pytest.fixture
async def rota(console: Any, bench: Any) -> Rota:
    bench.clock.wall_ms = instant(OSLO, date(2026, 11, 18), 12 * 60)
    tenant = await bench.value("SELECT id FROM tenant")
    async with bench.store.write() as connection:
        await Sql("INSERT INTO team (id, kind, name, tenant) VALUES (:id, 'patrol', 'Utrykning', :tenant)").rows(
            connection, id=TEAM, tenant=tenant
        )
    people = [(await console.account(name)).id for name in ("Anna Lie", "Bent Moe")]
    for account in people:
        await bench.change(f"INSERT INTO team_member (team, account) VALUES ('{TEAM}', '{account}')")
    return Rota(await console.signed_in("Nina Berg", Role.LEAD), bench.clock, people)


async def test_shifts_make_a_week_and_what_is_missing_is_said(rota: Rota) -> None:
    assert "Har ingen vaktliste" in await rota.look()
    assert (await rota.shift(rota.people[0])).status == 303
    said = await rota.look("?said=shift")
    assert "Vakten står på vaktlisten." in said
    assert "Anna Lie Hver dag 22:00\u201307:00" in said
    assert "Ingen er på vakt nå. Neste: Anna Lie, onsdag 18.11. 22:00." in said
    assert "Ingen fra torsdag 19.11. 07:00 til 22:00" in said
    assert (await rota.shift("phone", **{"from": "07:00", "to": "22:00"})).status == 303
    said = await rota.look()
    assert "På vakt nå: vakttelefonen." in said
    assert "Ingen fra" not in said
    listed = text_of(await rota.nina.get("/rota"))
    assert "Utrykning" in listed
    assert "Ingen på 14 dager" in listed


async def test_an_exception_is_held_shown_and_ended(rota: Rota) -> None:
    anna, bent = rota.people
    await rota.shift(anna, **{"from": "00:00", "to": "00:00"})
    assert (await rota.override(bent, instead_of=anna)).status == 303
    said = await rota.look()
    assert "Bent Moe i stedet for Anna Lie kurs fredag 20.11. 08:00 til 10:00" in said
    assert (await rota.override("nobody", instead_of=bent)).status == 303
    assert "Ingen fra fredag 20.11. 08:00 til 10:00" in await rota.look()
    page = await rota.nina.get(f"/rota/{TEAM}")
    for path in sorted(set(re.findall(rf"/rota/{TEAM}/((?:shifts|overrides)/\w+/end)", page.text))):
        assert (await rota.post(path)).status == 303
        assert (await rota.post(path)).status in {404, 409}
    assert "Ingen unntak framover" in await rota.look()


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"account": ""}, "account", "Velg noen"),
        ({"account": "nobody-known"}, "account", "Velg noen"),
        ({"day": []}, "days", "minst én dag"),
        ({"from": "24:00"}, "from", "klokkeslett som 22:00"),
        ({"to": SCRIPT}, "to", "klokkeslett som 22:00"),
        ({"from_day": "i går"}, "from_day", "Velg en dag"),
        ({"to_day": "1066-01-01"}, "to_day", "Velg en dag"),
        ({"to_day": "2026-01-01"}, "to_day", "etter begynnelsen"),
    ],
)
async def test_a_shift_that_cannot_be_held_is_refused_at_its_field(
    rota: Rota, fields: dict[str, Any], field: str, said: str
) -> None:
    answer = await rota.shift(rota.people[1], **fields)
    assert answer.status == 422
    assert f'id="fault-{field}"' in answer.text
    assert said in text_of(answer)
    assert SCRIPT not in answer.text
    assert "Ingen vakter ennå" in text_of(answer)


async def test_exceptions_on_the_nights_when_the_clock_is_changed(rota: Rota) -> None:
    rota.clock.wall_ms = instant(OSLO, date(2026, 3, 20), 600)
    spring = {"begin_day": "2026-03-29", "begin_time": "02:30", "end_day": "2026-03-29", "end_time": "06:00"}
    answer = await rota.override(rota.people[0], **spring)
    assert answer.status == 422
    assert "02:30 finnes ikke den natten: klokken går fra 01:59 rett til 03:00" in text_of(answer)
    autumn = spring | {"begin_day": "2026-10-25", "end_day": "2026-10-25"}
    answer = await rota.override(rota.people[0], **autumn)
    assert answer.status == 422
    assert "02:30 kommer to ganger" in text_of(answer)
    assert 'name="begin_second"' in answer.text
    assert (await rota.override(rota.people[0], **autumn, begin_second="2")).status == 303
    rota.clock.wall_ms = instant(OSLO, date(2026, 10, 20), 600)
    said = await rota.look("?week=2026-10-25")
    assert "Klokken stilles tilbake søndag" in said
    assert "Anna Lie i tillegg kurs søndag 25.10. 02:30 (vintertid) til 06:00" in said


async def test_an_exception_that_ends_where_the_clock_is_changed_is_refused_or_asked_about_at_its_end(
    rota: Rota, bench: Any
) -> None:
    rota.clock.wall_ms = instant(OSLO, date(2026, 3, 20), 600)
    spring = {"begin_day": "2026-03-28", "begin_time": "22:00", "end_day": "2026-03-29", "end_time": "02:30"}
    answer = await rota.override(rota.people[0], **spring)
    assert answer.status == 422
    assert "02:30 finnes ikke den natten: klokken går fra 01:59 rett til 03:00" in text_of(answer)
    assert 'id="fault-end"' in answer.text
    assert 'id="fault-begin"' not in answer.text
    assert 'value="02:30"' in answer.text  # what was typed is there to be mended
    autumn = {"begin_day": "2026-10-24", "begin_time": "22:00", "end_day": "2026-10-25", "end_time": "02:30"}
    answer = await rota.override(rota.people[0], **autumn)
    assert answer.status == 422
    assert "02:30 kommer to ganger" in text_of(answer)
    assert 'name="end_second"' in answer.text
    assert 'name="begin_second"' not in answer.text
    assert await bench.value("SELECT count(*) FROM rota_override") == 0
    for which, word in (("1", "sommertid"), ("2", "vintertid")):
        assert (await rota.override(rota.people[0], **autumn, end_second=which)).status == 303
        rota.clock.wall_ms = instant(OSLO, date(2026, 10, 20), 600)
        assert f"lørdag 24.10. 22:00 til søndag 25.10. 02:30 ({word})" in await rota.look("?week=2026-10-25")
    early, late = [row[0] for row in await bench.rows("SELECT to_ms FROM rota_override ORDER BY to_ms")]
    assert late - early == 3_600_000
    hour = autumn | {"begin_day": "2026-10-25", "begin_time": "02:30"}
    whole = await rota.override(rota.people[1], **hour, begin_second="1", end_second="2")  # an hour, by the same clock
    assert whole.status == 303
    backwards = await rota.override(rota.people[1], **hour, begin_second="2", end_second="1")
    assert (backwards.status, 'id="fault-end"' in backwards.text) == (422, True)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"who": ""}, "who"),
        ({"who": "x"}, "who"),
        ({"begin_time": "8"}, "begin"),
        ({"end_day": ""}, "end"),
        ({"end_time": "07:00"}, "end"),
        ({"instead_of": "x"}, "instead_of"),
        ({"begin_day": "2026-01-01", "end_day": "2026-01-02"}, "end"),
    ],
)
async def test_an_exception_that_cannot_hold_is_refused_at_its_field(
    rota: Rota, fields: dict[str, Any], field: str
) -> None:
    answer = await rota.override(rota.people[0], **fields)
    assert answer.status == 422
    assert f'id="fault-{field}"' in answer.text
    assert 'value="kurs"' in answer.text


async def test_a_responder_reads_and_nobody_finds_a_team_that_is_not_there(rota: Rota, console: Any) -> None:
    await rota.shift(rota.people[0])
    first = await console.signed_in("Operator One")
    answer = await first.get(f"/rota/{TEAM}")
    assert answer.status == 200
    assert "<form" not in answer.text.split("<main")[1].split("</main>")[0]
    assert (await rota.nina.get(f"/rota/{'0' * 16}")).status == 404
    for week in ("x", "1066-01-01", "2026-13-01"):
        assert (await first.get(f"/rota/{TEAM}?week={week}")).status == 422


TECHNICAL, UTFJORD = "c5" * 8, "c6" * 8


@pytest.fixture
async def technical(console: Any, bench: Any, rota: Rota) -> None:
    """A technical team of the own municipality with a shift for today, and one of another."""
    tenant = await bench.value("SELECT id FROM tenant")
    utfjord = await console.services.people.places.add_tenant(ADMIN, "Utfjord")
    for team, name, owner in ((TECHNICAL, "Teknisk vakt", tenant), (UTFJORD, "Teknisk Utfjord", utfjord)):
        await bench.change(
            f"INSERT INTO team (id, kind, name, tenant) VALUES ('{team}', 'technical', '{name}', '{owner}')"
        )
    await Rotas(bench.store, bench.clock).add_shift(
        Actor(id="a-lead", name="Nina Berg", role="lead"),
        EVERYTHING,
        TECHNICAL,
        Shift(
            id="", account=rota.people[0], weekdays=frozenset(range(7)), from_minute=0, to_minute=24 * 60,
            from_day=rota.today, to_day=None,
        ),
    )  # fmt: skip


async def test_a_technician_reads_the_rotas_of_technical_teams_and_of_no_other(
    technical: None, rota: Rota, tore: Any
) -> None:
    listed = text_of(await tore.get("/rota"))
    assert "Teknisk vakt" in listed
    assert "Anna Lie" in listed
    assert "Utrykning" not in listed
    week = await tore.get(f"/rota/{TECHNICAL}")
    assert week.status == 200
    assert "På vakt nå: Anna Lie" in text_of(week)
    assert "add-shift" not in week.text  # reads, and changes nothing
    for path in (f"/rota/{TEAM}", f"/api/v1/teams/{TEAM}/rota", "/plans"):
        assert (await tore.get(path)).status == (403 if path == "/plans" else 404), path
    over_api = (await tore.get(f"/api/v1/teams/{TECHNICAL}/rota")).json
    assert [one["name"] for one in over_api["on_now"]] == ["Anna Lie"]


async def test_a_team_that_serves_nobody_yet_shows_its_rota_to_no_technician_unless_it_is_technical(
    bench: Any, technical: None, tore: Any
) -> None:
    await bench.change(f"UPDATE team SET tenant = NULL WHERE id IN ('{TEAM}', '{TECHNICAL}')")
    assert (await tore.get(f"/rota/{TEAM}")).status == 404
    assert (await tore.get(f"/rota/{TECHNICAL}")).status == 200


async def test_a_technician_of_one_municipality_reads_its_technical_rota_only(
    console: Any, bench: Any, technical: None
) -> None:
    browser = await console.signed_in("Tuva Dal", Role.TECHNICIAN)
    tenant = await bench.value(f"SELECT tenant FROM team WHERE id = '{TECHNICAL}'")
    account = await console.accounts.id_of("Tuva Dal")
    await console.services.people.places.assign(ADMIN, account, Role.TECHNICIAN, tenant=tenant)
    assert (await browser.get(f"/rota/{TECHNICAL}")).status == 200
    assert (await browser.get(f"/rota/{UTFJORD}")).status == 404
    assert "Teknisk Utfjord" not in (await browser.get("/rota")).text


async def test_the_way_to_the_rotas_stands_in_a_technicians_menu_and_nowhere_leads_to_the_plans(
    technical: None, tore: Any, rota: Rota
) -> None:
    page = (await tore.get(f"/rota/{TECHNICAL}")).text
    assert '<a href="/rota" aria-current="page">' in page
    assert 'href="/plans"' not in page
    assert 'href="/rota"' in (await tore.get("/technical")).text
    for_lead = (await rota.nina.get(f"/rota/{TECHNICAL}")).text
    assert '<a href="/plans" aria-current="page">' in for_lead
    assert '<a href="/rota" aria-current="page">' not in for_lead
