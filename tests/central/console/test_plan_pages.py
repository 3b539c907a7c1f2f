"""The pages of response plans, through the application."""

from __future__ import annotations

import asyncio
import html
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from central.access import EVERYTHING
from central.console.catalogue import words
from central.console.roles import Role
from central.routing.plan import DEFAULT_PLAN
from central.routing.plans import Plans
from central.sql import Sql
from tests.central.console.conftest import ADMIN

T = words("nb")
WARD, PATROL, OTHER = "c2" * 8, "c3" * 8, "c4" * 8
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def tenant(bench: Any) -> str:
    """The municipality that every installation has, with a ward without telephone and a patrol."""
    found: str = await bench.value("SELECT id FROM tenant")
    for team, kind, name, phone, owner in (
        (WARD, "ward", "Avdeling 2", "", found),
        (PATROL, "patrol", "Utrykning natt", "+4799900002", found),
        (OTHER, "patrol", "Utrykning Utfjord", "+4799900003", "ee" * 8),
    ):
        async with bench.store.write() as connection:
            await Sql(
                "INSERT INTO team (id, kind, name, tenant, phone) VALUES (:team, :kind, :name, :owner, :phone)"
            ).rows(connection, team=team, kind=kind, name=name, owner=owner, phone=phone)
    return found


@pytest.fixture
async def nina(console: Any) -> Any:
    return await console.signed_in("Nina Berg", Role.LEAD)


def form(browser: Any, **fields: Any) -> str:
    """A plan for nights and for the rest, as the editor sends it, with changes."""
    known: dict[str, Any] = {
        "csrf": browser.csrf,
        "do": "save",
        "name": "Natt og dag",
        "tenant": "",
        "service": "",
        "version": "",
        "no_receipt": "15",
        "no_claim": "120",
        "defer_within": "24",
        "v0.name": "Natt",
        "v0.h0.day": ["0", "1", "2", "3", "4", "5", "6"],
        "v0.h0.begin": "22:00",
        "v0.h0.to": "07:00",
        "v0.s0.to": WARD,
        "v0.s0.by": ["console"],
        "v0.s0.patience": "60",
        "v0.s1.to": PATROL,
        "v0.s1.by": ["console", "sms"],
        "v0.s1.patience": "120",
        "v0.s1.accepted": "1",
        "v1.name": "Ellers",
        "v1.s0.to": "centres",
        "v1.s0.by": ["console"],
        "v1.s0.patience": "60",
    }
    known |= {key.replace("__", "."): value for key, value in fields.items()}
    pairs = [(key, one) for key, value in known.items() for one in (value if isinstance(value, list) else [value])]

    return urlencode([(key, value) for key, value in pairs if value is not None])


async def sent(browser: Any, path: str, *, part: bool = False, **fields: Any) -> Any:
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"hx-request": "true"} if part else {})
    return await browser.request("POST", path, body=form(browser, **fields).encode(), headers=headers)


def text_of(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


async def saved(browser: Any, tenant: str, **fields: Any) -> str:
    answer = await sent(browser, "/plan-editor", tenant=tenant, **fields)
    assert answer.status == 303, text_of(answer)
    return str(answer.header("location")).removeprefix("/plans/").removesuffix("?said=saved")


async def test_without_a_plan_the_built_in_one_is_shown_in_words(nina: Any, tenant: str) -> None:
    answer = await nina.get("/plans")
    assert answer.status == 200
    assert "Innebygd" in text_of(answer)
    assert "først alle responssentre på konsollene, i 60 sekunder" in text_of(answer)
    answer = await nina.get("/plans/built-in")
    assert answer.status == 200
    assert "Til alle tider: først alle responssentre" in text_of(answer)


async def test_a_plan_is_written_shown_and_listed(nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant, service="TA", why="Ny avtale")
    shown = text_of(await nina.get(f"/plans/{plan}?said=saved"))
    assert "Hver dag mellom 22:00 og 07:00: først Avdeling 2 på konsollene, i 60 sekunder" in shown
    assert "så Utrykning natt på konsollene og på SMS til noen godtar å rykke ut, på nytt etter 2 minutter" in shown
    assert "Ny avtale" in shown
    assert "Lagret." in shown
    listed = text_of(await nina.get("/plans"))
    assert "Natt og dag" in listed
    assert "Standard for trygghetsalarm" in listed


async def test_an_edit_keeps_the_history_and_a_stale_one_shows_both_sides(console: Any, nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant, service="TA")
    ola = await console.signed_in("Ola Vik", Role.LEAD)
    mine = await sent(ola, f"/plans/{plan}/edit", version="1", name="Olas", service="TA", tenant=tenant)
    assert mine.status == 303
    stale = await sent(nina, f"/plans/{plan}/edit", version="1", name="Ninas", service="TA", v0__s0__patience="77")
    assert stale.status == 409
    said = text_of(stale)
    assert "Ola Vik lagret versjon 2 i mellomtiden" in said
    assert "Olas" in said
    assert "i 77 sekunder" in said
    assert 'value="77"' in stale.text
    assert 'name="version" value="2"' in stale.text
    again = await sent(nina, f"/plans/{plan}/edit", version="2", name="Ninas", service="TA")
    assert again.status == 303
    history = text_of(await nina.get(f"/plans/{plan}"))
    assert all(f" {number} " in history for number in (1, 2, 3))
    assert "Ola Vik" in history


@pytest.mark.parametrize(
    ("fields", "where", "said"),
    [
        ({"name": " "}, "name", "Gi planen et navn"),
        ({"v0__name": ""}, "variants-0-name", "Gi disse tidene et navn"),
        ({"v1__name": "Natt"}, "variants-1-name", "To har dette navnet"),
        ({"v0__h0__day": None}, "variants-0-hours-0-days", "Velg minst én dag"),
        ({"v0__h0__begin": "25:00"}, "variants-0-hours-0-begin", "klokkeslett som 22:00"),
        ({"v0__s0__to": ""}, "variants-0-steps-0-receiver", "Velg hvem"),
        ({"v0__s0__by": None}, "variants-0-steps-0-channels", "Velg hvordan"),
        ({"v0__s0__to": "contacts"}, "variants-0-steps-0-channels", "Pårørende har ingen konsoll"),
        ({"v0__s0__patience": "4"}, "variants-0-steps-0-patience_s", "5 til 3600"),
        ({"v0__s0__patience": "\u0664\u0664"}, "variants-0-steps-0-patience_s", "5 til 3600"),
        ({"v0__s0__by": ["sms"]}, "variants-0-steps-0-channels", "Avdeling 2 har ingen vakttelefon"),
        ({"v0__s0__to": OTHER}, "variants-0-steps-0-team", "betjener ikke kommunen"),
        ({"v0__s0__to": "x" * 99}, "variants-0-steps-0-team", "betjener ikke kommunen"),
        ({"v1__s0__to": "contacts", "v1__s0__by": ["sms"]}, "variants-1-steps-0-receiver", "slutter med pårørende"),
        ({"no_claim": "1"}, "local-no_claim_s", "15 til 3600"),
        ({"defer_within": "73"}, "defer_within_h", "1 til 72"),
        ({"service": "XX"}, "service", "ingen slik tjeneste"),
    ],
)
async def test_a_fault_stands_at_its_field_and_what_was_typed_stays(
    nina: Any, tenant: str, fields: dict[str, Any], where: str, said: str
) -> None:
    answer = await sent(nina, "/plan-editor", tenant=tenant, why="Fordi vi må", **fields)
    assert answer.status == 422
    assert said in text_of(answer)
    assert f'id="fault-{where}"' in answer.text
    assert 'value="Fordi vi må"' in html.unescape(answer.text)
    assert 'value="120"' in answer.text
    plans = Plans(nina.app.state.desk.services.store, nina.app.state.desk.services.clock)
    assert await plans.all(EVERYTHING) == []


async def test_the_buttons_of_the_editor_change_the_draft_and_store_nothing(nina: Any, tenant: str) -> None:
    async def draft(order: str, **fields: Any) -> str:
        answer = await sent(nina, "/plan-editor", part=True, tenant=tenant, do=order, **fields)
        assert answer.status == 200
        assert "<html" not in answer.text
        return str(answer.text)

    assert 'name="v0.s2.to"' in await draft("add_step:0")
    assert 'name="v0.s1.to"' not in await draft("drop_step:0.0")
    moved = await draft("up_step:0.1")
    assert moved.index(f'<option value="{PATROL}" selected') < moved.index(f'<option value="{WARD}" selected')
    assert 'name="v2.name"' in await draft("add_variant")
    assert 'name="v1.name"' not in await draft("drop_variant:0")
    assert 'name="v0.h1.begin"' in await draft("add_hours:0")
    for nonsense in (
        "add_step:9",
        "drop_step:0.77",
        "up_step:",
        "x",
        "drop_variant:1",
        "add_hours:1",
        "up_variant:0",
        "drop_step:0." + "9" * 5000,
    ):
        assert 'name="v1.name"' in await draft(nonsense)
    assert "ikke lagret" not in await draft("")
    assert nina.app.state.desk is not None


async def test_words_and_week_follow_what_is_typed(nina: Any, tenant: str) -> None:
    answer = await sent(nina, "/plan-editor/preview", part=True, tenant=tenant, v0__s0__patience="90")
    assert "i 90 sekunder" in text_of(answer)
    assert answer.text.count('<svg class="week') == 2
    answer = await sent(nina, "/plan-editor/preview", part=True, tenant=tenant, v0__s0__patience="x")
    assert answer.status == 200
    assert "når alle felt kan leses" in text_of(answer)


async def test_a_plan_is_tried_on_a_sunday_night(nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant)
    said = text_of(await nina.get(f"/plans/{plan}?day=2026-11-22&time=03:10"))
    assert "søndag 22.11.2026 kl. 03:10" in said
    assert "Følger Natt" in said
    assert "03:10:00 Avdeling 2" in said
    assert "03:11:00 Utrykning natt" in said
    assert "Avdeling 2 har ingen vaktliste" in said
    assert "03:13:00: det siste trinnet på nytt" in said
    assert "Følger Ellers" in text_of(await nina.get(f"/plans/{plan}?day=2026-11-22&time=12:00"))


async def test_the_nights_when_the_clock_is_changed_are_handled_kindly(nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant)
    spring = text_of(await nina.get(f"/plans/{plan}?day=2026-03-29&time=02:30"))
    assert "02:30 finnes ikke den natten: klokken går fra 01:59 rett til 03:00" in spring
    autumn = await nina.get(f"/plans/{plan}?day=2026-10-25&time=02:30")
    assert "02:30 kommer to ganger den natten" in text_of(autumn)
    assert 'value="1"' in autumn.text
    for second in ("1", "2"):
        said = text_of(await nina.get(f"/plans/{plan}?day=2026-10-25&time=02:30&second={second}"))
        assert "02:30:00 Avdeling 2" in said
    for bad in ("day=x&time=03:10", "day=2026-11-22&time=24:10", "day=1066-01-01&time=03:10"):
        assert "klokkeslett som 03:10" in text_of(await nina.get(f"/plans/{plan}?{bad}"))


async def test_nothing_that_is_typed_runs_as_a_script(nina: Any, tenant: str) -> None:
    fields: dict[str, Any] = {
        "name": SCRIPT,
        "v0__name": SCRIPT,
        "why": SCRIPT,
        "v0__h0__begin": SCRIPT,
        "v0__s0__patience": SCRIPT,
    }
    answer = await sent(nina, "/plan-editor", tenant=tenant, **fields)
    assert answer.status == 422
    assert SCRIPT not in answer.text
    plan = await saved(nina, tenant, name=SCRIPT, v0__name=SCRIPT, why=SCRIPT)
    for path in (f"/plans/{plan}", "/plans", f"/plans/{plan}/edit", f"/plan-editor?like={plan}"):
        assert SCRIPT not in (await nina.get(path)).text


async def test_a_plan_is_ended_unless_a_service_names_it(bench: Any, nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant)
    await bench.change(
        "INSERT INTO service (id, resident, kind, plan, from_ms, source, as_of_ms, written_by)"
        f" VALUES ('s', 'r', 'TA', '{plan}', 0, 'home_care', 0, 'x')"
    )
    end = {"csrf": nina.csrf, "version": "1"}
    refused = await nina.request("POST", f"/plans/{plan}/end", form=end)
    assert refused.status == 409
    assert "1 tjenester viser til denne planen" in text_of(refused)
    await bench.change("DELETE FROM service")
    assert (await nina.request("POST", f"/plans/{plan}/end", form=end)).status == 303
    assert "avsluttet" in text_of(await nina.get(f"/plans/{plan}"))


async def test_a_responder_reads_plans_and_is_not_offered_to_change_them(console: Any, nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant)
    first = await console.signed_in("Operator One")
    answer = await first.get(f"/plans/{plan}")
    assert answer.status == 200
    assert f"/plans/{plan}/edit" not in answer.text
    assert f"/plans/{plan}/end" not in answer.text
    assert "/plan-editor" not in (await first.get("/plans")).text


async def test_what_does_not_exist_is_a_page_that_says_so(nina: Any, tenant: str) -> None:
    for path in (f"/plans/{'0' * 16}", f"/plans/{'0' * 16}/edit", f"/plan-editor?like={'0' * 16}"):
        assert (await nina.get(path)).status == 404
    assert (await sent(nina, "/plan-editor", tenant="0" * 16)).status == 404


async def test_two_leads_who_save_at_once_both_learn_what_became_of_it(console: Any, nina: Any, tenant: str) -> None:
    plan = await saved(nina, tenant)
    ola = await console.signed_in("Ola Vik", Role.LEAD)
    answers = await asyncio.gather(
        *(sent(one, f"/plans/{plan}/edit", version="1", tenant=tenant) for one in (nina, ola))
    )
    assert sorted(answer.status for answer in answers) == [303, 409]


async def many(bench: Any, tenant: str) -> None:
    """More plans than fit on a page, one of them of a kind of its own, and municipalities with none."""
    content = DEFAULT_PLAN.model_dump_json()
    async with bench.store.write() as connection:
        for n in range(130):
            await Sql(
                "INSERT INTO plan (id, version, tenant, service, name, content, state, written_ms, written_by, why)"
                " VALUES (:id, 1, :tenant, NULL, :name, :content, 'active', 1, 'x', '')"
            ).rows(
                connection, id=f"{n:016x}", tenant=tenant, name=f"Øvre vei {n:03}",
                content=content.replace(DEFAULT_PLAN.name, f"Øvre vei {n:03}"),
            )  # fmt: skip


async def test_hundreds_of_plans_come_in_pages_and_one_is_found_by_name_or_municipality(
    console: Any, bench: Any, nina: Any, tenant: str
) -> None:
    await many(bench, tenant)
    await console.services.people.places.add_tenant(ADMIN, "Åfjord")

    async def searched(words: str) -> Any:
        where = (await nina.post("/find", form={"page": "/plans", "q": words})).header("location")
        assert "vei" not in where
        return await nina.get(where)

    first, second = await nina.get("/plans"), await nina.get("/plans?page=2")
    assert "Innebygd" in text_of(first)
    assert (first.text.count("<td><a href="), second.text.count("<td><a href=")) == (100, 31)
    assert "Øvre vei 098" in text_of(first)
    assert "Øvre vei 099" in text_of(second)
    assert "1 til 100 av 132" in text_of(first)
    assert 'href="/plans?page=2"' in first.text
    assert "Åfjord Ingen egen plan" in text_of(second)
    one = await searched("VEI 077 øvre")
    assert one.text.count("<td><a href=") == 1
    assert "Øvre vei 077" in text_of(one)
    assert "Åfjord" not in text_of(one)
    assert "Åfjord Ingen egen plan" in text_of(await searched("åfj"))
    assert "Fant ingenting for «vei bort»" in text_of(await searched("vei bort"))


async def test_a_program_reads_hundreds_of_plans_piece_by_piece_in_the_order_of_the_page(
    bench: Any, nina: Any, tenant: str
) -> None:
    await many(bench, tenant)
    names, after = [], ""
    while True:
        piece = (await nina.get(f"/api/v1/plans?limit=60&after={after}")).json
        names += [one["plan"]["name"] for one in piece["plans"]]
        if piece["next"] is None:
            break
        after = piece["next"]
    assert names == [f"Øvre vei {n:03}" for n in range(130)]
