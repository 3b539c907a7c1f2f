"""Routine cards and criteria, through the application: written, previewed, shown on the alarm, kept from others."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from central.console.catalogue import words
from central.console.roles import Role
from central.routines.cards import lines_of, shipped
from central.views import Actor

T = words("nb")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
SCRIPT = "<script>alert(1)</script>"
OWN = "Ring Ragnhild på rom 3 først\nIkke svar: send nattpatruljen\n"


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


async def sent(browser: Any, path: str, *, part: bool = False, **fields: Any) -> Any:
    body = urlencode([("csrf", browser.csrf), *((key.replace("__", "."), value) for key, value in fields.items())])
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"hx-request": "true"} if part else {})
    return await browser.request("POST", path, body=body.encode(), headers=headers)


async def written(ada: Any, tenant: str, **fields: Any) -> str:
    """A card, saved; its path."""
    known = {"tenant": tenant, "kind": "pendant_pressed", "nb": OWN, "en": ""} | fields
    answer = await sent(ada, "/card-editor", **known)
    assert answer.status == 303, answer.text
    return str(answer.header("location")).partition("?")[0]


async def card_on(browser: Any, alarm: str) -> dict[str, Any]:
    found: dict[str, Any] = (await browser.get(f"/api/v1/alarms/{alarm}/routine")).json
    return found


# ── Cards ────────────────────────────────────────────────────────────────────────────


async def test_without_cards_of_their_own_the_shipped_ones_are_listed_and_stand_on_alarms(
    console: Any, ada: Any, first: Any, hub: Any
) -> None:
    listed = await ada.get("/cards")
    assert listed.status == 200
    assert T("routine.own_none") in listed.text
    assert T.lines("card.pendant_pressed")[0] in listed.text
    alarm = await console.bench.press(hub)
    found = await card_on(first, alarm.id)
    assert found["card"] == list(T.lines("card.pendant_pressed"))
    assert found["source"] == T("routine.source_shipped")


async def test_the_form_begins_with_the_shipped_card_and_a_saved_one_stands_on_the_open_alarm(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    alarm = await console.bench.press(hub)
    form = await ada.get(f"/card-editor?tenant={tenant}&kind=pendant_pressed")
    assert T.lines("card.pendant_pressed")[1] in form.text
    path = await written(ada, tenant, why="ny rutine på rom 3")
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert "Ring Ragnhild på rom 3 først" in page
    assert T.lines("card.pendant_pressed")[0] not in page
    assert "versjon 1" in page
    shown = await ada.get(path)
    assert "ny rutine på rom 3" in shown.text
    assert "Ada Nes" in shown.text
    english = await console.signed_in("Olive", Role.RESPONDER, language="en")
    assert (await card_on(english, alarm.id))["card"][0] == "Ring Ragnhild på rom 3 først"  # rather than nobody's


async def test_the_nearest_card_stands_on_the_alarm(console: Any, ada: Any, first: Any, hub: Any, tenant: str) -> None:
    alarm = await console.bench.press(hub)
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    await written(ada, tenant, kind="", service="TA", nb="Alt fra trygghetsalarm")
    assert (await card_on(first, alarm.id))["card"] == ["Alt fra trygghetsalarm"]
    await written(ada, tenant, nb="Bare for knappen")
    assert (await card_on(first, alarm.id))["card"] == ["Bare for knappen"]
    await written(ada, tenant, kind="", criterion="fallen", nb="Den som har falt")
    assert (await card_on(first, alarm.id))["card"] == ["Bare for knappen"]
    await first.post(f"/api/v1/alarms/{alarm.id}/criterion", content={"criterion": "fallen"})
    found = await card_on(first, alarm.id)
    assert found["card"] == ["Den som har falt"]
    assert found["criterion"]["text"] == T("criterion.fallen")
    part = await first.get(f"/alarms/{alarm.id}/part", headers={"hx-request": "true"})
    assert "Den som har falt" in part.text


async def test_taken_out_of_use_the_card_under_it_stands_again_and_can_be_written_anew(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    alarm = await console.bench.press(hub)
    path = await written(ada, tenant)
    ended = await sent(ada, f"{path}/end", version="1")
    assert ended.header("location") == f"/cards?tenant={tenant}&said=ended"
    assert (await card_on(first, alarm.id))["card"] == list(T.lines("card.pendant_pressed"))
    assert T("routine.ended") in (await ada.get(path)).text
    assert await written(ada, tenant) != path


async def test_faults_stand_at_their_fields_and_what_was_typed_stays(ada: Any, tenant: str) -> None:
    empty = await sent(ada, "/card-editor", tenant=tenant, kind="fall", nb="  \n", en="", why=SCRIPT)
    assert empty.status == 422
    assert T("cardfault.no_lines") in empty.text
    assert 'id="fault-nb"' in empty.text
    assert SCRIPT not in empty.text
    assert "&lt;script&gt;" in empty.text
    many = await sent(ada, "/card-editor", tenant=tenant, kind="fall", nb="a\n" * 9, en="x" * 300)
    assert T("cardfault.too_many_lines") in many.text
    assert T("cardfault.line_too_long") in many.text
    nothing = await sent(ada, "/card-editor", tenant=tenant, nb="Ring")
    assert T("cardfault.no_subject") in nothing.text
    both = await sent(ada, "/card-editor", tenant=tenant, kind="fall", service="TA", nb="Ring")
    assert T("cardfault.kind_and_service") in both.text
    unknown = await sent(ada, "/card-editor", tenant=tenant, kind="flood", criterion="old", nb="Ring")
    assert T("cardfault.unknown_kind") in unknown.text
    assert T("cardfault.unknown_criterion") in unknown.text
    await written(ada, tenant)
    twice = await sent(ada, "/card-editor", tenant=tenant, kind="pendant_pressed", nb="Ring naboen")
    assert T("cardfault.card_exists") in twice.text
    assert "Ring naboen" in twice.text


async def test_who_saves_second_sees_both_versions_and_may_save_over(
    console: Any, ada: Any, other: Any, tenant: str
) -> None:
    path = await written(ada, tenant)
    assert (await sent(other, f"{path}/edit", version="1", nb="Fra vaktleder")).status == 303
    late = await sent(ada, f"{path}/edit", version="1", nb="Fra Ada")
    assert late.status == 409
    assert "Fra vaktleder" in late.text
    assert "Fra Ada" in late.text
    assert 'name="version" value="2"' in late.text
    assert (await sent(ada, f"{path}/edit", version="2", nb="Fra Ada")).status == 303
    states = await console.bench.rows("SELECT version, state FROM routine_card ORDER BY version")
    assert [tuple(row) for row in states] == [(1, "replaced"), (2, "replaced"), (3, "active")]


async def test_the_preview_is_what_responders_will_see(ada: Any, tenant: str) -> None:
    part = await sent(ada, "/card-editor/preview", part=True, tenant=tenant, kind="fall", nb="1. Ring\n- Send", en="")
    assert "<li><span>Ring</span></li>" in part.text
    assert "<li><span>Send</span></li>" in part.text
    assert T("routine.preview_lacks") in part.text
    bare = await sent(ada, "/card-editor/preview", part=True, tenant=tenant, nb="")
    assert T("routine.preview_empty") in bare.text


async def test_cards_of_another_municipality_are_not_found_and_nothing_is_written(
    console: Any, ada: Any, tenant: str
) -> None:
    places = console.services.people.places
    other = await places.add_tenant(ADMIN, "Smøla")
    path = await written(ada, tenant)
    lead = await console.signed_in("Smøla Lead", Role.LEAD)
    await places.assign(ADMIN, await console.accounts.id_of("Smøla Lead"), Role.LEAD, tenant=other)
    for answer in (
        await lead.get(path),
        await lead.get(f"{path}/edit"),
        await lead.get(f"/cards?tenant={tenant}"),
        await lead.get(f"/criteria?tenant={tenant}"),
        await lead.get(f"/criteria/{tenant}/edit"),
        await sent(lead, f"{path}/edit", version="1", nb="x"),
        await sent(lead, f"{path}/end", version="1"),
        await sent(lead, "/card-editor", tenant=tenant, kind="fall", nb="x"),
        await sent(lead, f"/criteria/{tenant}/edit", do="save"),
        await lead.request("DELETE", f"/api/v1{path}?version=1", headers={"x-csrf-token": lead.csrf}),
        await lead.get(f"/api/v1{path}"),
        await lead.get(f"/api/v1/tenants/{tenant}/criteria"),
    ):
        assert answer.status == 404
    assert OWN.splitlines()[0] not in (await lead.get("/cards")).text
    assert (await lead.get("/api/v1/cards")).json == {"cards": [], "next": None}
    await console.services.security.flush()
    assert any(event.reason == "elsewhere" for event in await console.services.security.recent())


async def test_responders_read_cards_and_do_not_write_them(first: Any, ada: Any, tenant: str) -> None:
    path = await written(ada, tenant)
    assert T("routine.edit") not in (await first.get(path)).text
    assert (await first.get(f"{path}/edit")).status == 403
    assert (await sent(first, f"{path}/end", version="1")).status == 403


async def test_the_api_writes_changes_and_ends_cards_with_problems_that_name_the_field(ada: Any, tenant: str) -> None:
    made = await ada.post("/api/v1/cards", content={"tenant": tenant, "kind": "fall", "nb": ["Ring"]})
    assert made.status == 201
    card = made.json["id"]
    again = await ada.post("/api/v1/cards", content={"tenant": tenant, "kind": "fall", "nb": ["Ring"]})
    assert (again.status, again.json["reason"], again.json["field"]) == (422, "card_exists", "kind")
    assert again.header("content-type") == "application/problem+json"
    headers = {"x-csrf-token": ada.csrf}
    body = {"nb": ["Ring to ganger"], "version": 1}
    changed = await ada.request("PUT", f"/api/v1/cards/{card}", content=body, headers=headers)
    assert (changed.json["version"], changed.json["kind"]) == (2, "fall")
    stale = await ada.request("PUT", f"/api/v1/cards/{card}", content=body, headers=headers)
    assert (stale.status, stale.json["current"]["version"]) == (409, 2)
    assert [one["state"] for one in (await ada.get(f"/api/v1/cards/{card}")).json] == ["active", "replaced"]
    assert (await ada.request("DELETE", f"/api/v1/cards/{card}?version=2", headers=headers)).status == 204
    assert (await ada.get("/api/v1/cards")).json == {"cards": [], "next": None}


def test_numbers_and_dashes_before_a_step_are_not_part_of_it() -> None:
    assert lines_of("1. Ring\n2) Send\n- Vent\n\n  113 \n• Skriv \n") == ("Ring", "Send", "Vent", "113", "Skriv")
    assert lines_of("113 ringes først") == ("113 ringes først",)
    assert shipped("from_the_future", "nb") == T.lines("card.unreadable_alarm")


# ── Criteria ─────────────────────────────────────────────────────────────────────────

ROW = {"c0__code": "screams", "c0__nb": "Roper", "c0__en": "Cries", "c0__level": "urgent", "c0__service": ""}


async def test_the_alarm_offers_the_criteria_shows_the_chosen_one_and_says_so_in_the_summary(
    console: Any, first: Any, hub: Any
) -> None:
    alarm = await console.bench.press(hub)
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert T("criterion.fallen") in page
    assert 'id="alarm-criterion"' not in page
    chosen = await first.post(f"/api/v1/alarms/{alarm.id}/criterion", content={"criterion": "fallen"})
    assert chosen.json["criterion"] == "0/fallen"
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert 'id="alarm-criterion"' in page
    assert T("what.criterion_chosen", name="Operator One") in page
    assert f"{T('criterion.title')}: {T('criterion.fallen')} ({T('level.urgent')})" in page
    unknown = await first.post(f"/api/v1/alarms/{alarm.id}/criterion", content={"criterion": "none_such"})
    assert (unknown.status, unknown.json["field"]) == (422, "criterion")
    assert "fallen" in unknown.json["choices"]
    closed = await first.post(
        f"/api/v1/alarms/{alarm.id}/close",
        content={"disposition": "cleared_by_phone", "outcome": "anxiety", "criterion": "worried"},
    )
    assert closed.json["criterion"] == "0/worried"
    assert T("criterion.worried") in (await first.get(f"/alarms/{alarm.id}")).text


async def test_technical_alarms_are_not_judged(console: Any, tore: Any, hub: Any) -> None:
    await console.bench.tell(hub, hub.seal("battery_low", value=9))
    alarm = (await tore.get("/api/v1/alarms?queue=technical")).json["alarms"][0]["id"]
    await tore.post(f"/api/v1/alarms/{alarm}/claim")
    assert (await card_on(tore, alarm))["criteria"] == []
    assert 'data-open="criterion-dialog"' not in (await tore.get(f"/alarms/{alarm}")).text


async def test_buttons_of_the_form_change_the_draft_and_save_nothing(console: Any, ada: Any, tenant: str) -> None:
    path = f"/criteria/{tenant}/edit"
    assert T("criterion.fallen") in (await ada.get(path)).text
    two = ROW | {"c1__code": "waits", "c1__nb": "Venter", "c1__en": "Waits", "c1__level": "soon", "c1__service": "RT"}
    up = await sent(ada, path, part=True, version="0", do="up:1", **two)
    assert up.text.index('value="Venter"') < up.text.index('value="Roper"')
    dropped = await sent(ada, path, part=True, version="0", do="drop:0", **two)
    assert 'value="Roper"' not in dropped.text
    more = await sent(ada, path, part=True, version="0", do="add", **two)
    assert 'name="c2.nb"' in more.text
    for order in ("drop:9", "up:-1", "sing", "down:x", "up:\u00b2"):
        assert (await sent(ada, path, part=True, version="0", do=order, **two)).status == 200
    assert await console.bench.value("SELECT count(*) FROM criteria_list") == 0


async def test_a_saved_list_is_what_responders_choose_from_and_can_be_taken_back(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    path = f"/criteria/{tenant}/edit"
    saved = await sent(ada, path, version="0", do="save", why="kortere", **ROW)
    assert saved.header("location") == f"/criteria?tenant={tenant}&said=saved"
    alarm = await console.bench.press(hub)
    assert [one["code"] for one in (await card_on(first, alarm.id))["criteria"]] == ["screams"]
    listed = (await ada.get(f"/criteria?tenant={tenant}")).text
    assert "kortere" in listed
    late = await sent(ada, path, version="0", do="save", **(ROW | {"c0__nb": "Skriker"}))
    assert late.status == 409
    assert "Skriker" in late.text
    assert (await sent(ada, f"/criteria/{tenant}/reset", version="1")).status == 303
    assert len((await card_on(first, alarm.id))["criteria"]) > 5


async def test_faults_of_a_list_stand_at_their_fields(ada: Any, tenant: str) -> None:
    path = f"/criteria/{tenant}/edit"
    wrong = ROW | {"c0__en": "", "c0__nb": "x" * 200, "c0__level": "boo", "c0__service": "XX"}
    answer = await sent(ada, path, version="0", do="save", why=SCRIPT, **wrong)
    assert answer.status == 422
    for where in ("nb", "en", "level", "service"):
        assert f'id="fault-criteria-0-{where}"' in answer.text
    assert SCRIPT not in answer.text
    none = await sent(ada, path, version="0", do="save")
    assert T("criteriafault.none") in none.text
    twice = ROW | {"c1__code": "other", "c1__nb": "roper", "c1__en": "Else", "c1__level": "soon", "c1__service": ""}
    assert T("criteriafault.twice") in (await sent(ada, path, version="0", do="save", **twice)).text


async def test_the_api_reads_and_writes_the_list(ada: Any, tenant: str) -> None:
    path = f"/api/v1/tenants/{tenant}/criteria"
    now = (await ada.get(path)).json
    assert (now["version"], now["is_shipped"]) == (0, True)
    headers = {"x-csrf-token": ada.csrf}
    body = {"version": 0, "criteria": now["criteria"][:2]}
    changed = await ada.request("PUT", path, content=body, headers=headers)
    assert (changed.json["version"], len(changed.json["criteria"])) == (1, 2)
    stale = await ada.request("PUT", path, content=body, headers=headers)
    assert (stale.status, stale.json["current"]["version"]) == (409, 1)
    empty = await ada.request("PUT", path, content={"version": 1, "criteria": []}, headers=headers)
    assert (empty.status, empty.header("content-type")) == (422, "application/problem+json")
    assert (await ada.request("PUT", path, content={"version": 1}, headers=headers)).json["is_shipped"]
    assert [one["version"] for one in (await ada.get(f"{path}/versions")).json] == [2, 1]
