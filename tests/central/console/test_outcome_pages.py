"""Outcomes through the application: written, chosen on the alarm, and still called what they were called."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest

from central.console.catalogue import words
from central.console.roles import Role
from central.views import Actor

T = words("nb")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


def form(*rows: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """The fields of the form with these outcomes and those that are always there."""
    needed = (("mis_press", "Feiltrykk", "Mistake"), ("no_contact", "Ikke kontakt", "No contact"),
              ("other", "Annet", "Other"))  # fmt: skip
    fields: dict[str, Any] = {}
    for n, (code, nb, en) in enumerate((*needed, *rows)):
        fields |= {f"o{n}.code": code, f"o{n}.nb": nb, f"o{n}.en": en, f"o{n}.help": "health"}
    return fields | more


async def sent(browser: Any, path: str, fields: dict[str, Any], *, part: bool = False) -> Any:
    body = urlencode([("csrf", browser.csrf), *fields.items()], doseq=True)
    headers = {"content-type": "application/x-www-form-urlencoded"} | ({"hx-request": "true"} if part else {})
    return await browser.request("POST", path, body=body.encode(), headers=headers)


async def save(browser: Any, tenant: str, fields: dict[str, Any], version: int = 0) -> Any:
    return await sent(browser, f"/outcomes/{tenant}/edit", fields | {"version": version, "do": "save"})


async def close(browser: Any, alarm: str, **body: str) -> Any:
    await browser.post(f"/api/v1/alarms/{alarm}/claim")
    return await browser.post(f"/api/v1/alarms/{alarm}/close", content={"disposition": "visit_now"} | body)


KEYS = ("", "Mistet nøkkel", "Lost keys")


async def test_a_saved_list_is_what_responders_choose_from_and_can_be_taken_back(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    assert T("outcomes.shipped") in (await ada.get("/outcomes")).text
    saved = await save(ada, tenant, form(KEYS, why="låste dører"))
    assert saved.header("location") == f"/outcomes?tenant={tenant}&said=saved"
    alarm = await console.bench.press(hub)
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert '<option value="lost_keys"' in page  # the code says what it is
    assert '<option value="fall"' not in page
    choices = (await first.get(f"/api/v1/alarms/{alarm.id}/routine")).json["outcomes"]
    assert [one["code"] for one in choices] == ["mis_press", "no_contact", "other", "lost_keys"]
    listed = (await ada.get(f"/outcomes?tenant={tenant}")).text
    assert "låste dører" in listed
    assert "Mistet nøkkel" in listed
    assert (await sent(ada, f"/outcomes/{tenant}/reset", {"version": "1"})).status == 303
    assert '<option value="fall"' in (await first.get(f"/alarms/{alarm.id}")).text


async def test_a_closed_alarm_says_everywhere_what_it_was_called_then(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    await save(ada, tenant, form(KEYS))
    alarm = await console.bench.press(hub)
    assert (await close(first, alarm.id, outcome="lost_keys")).status == 200
    renamed = await save(ada, tenant, form(("lost_keys", "Utestengt", "Locked out")), version=1)
    assert renamed.status == 303
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert "<b>Mistet nøkkel</b>" in page  # the facts
    assert f"{T('disposition.visit_now')}. Mistet nøkkel" in page  # the history
    assert f"{T('alarm.outcome')}: Mistet nøkkel" in page  # the summary
    assert "Utestengt" not in page
    assert "Mistet nøkkel" in (await ada.get("/log")).text
    api = (await first.get(f"/api/v1/alarms/{alarm.id}")).json["alarm"]
    assert (api["outcome"], api["outcome_list"]) == ("lost_keys", f"{tenant}/1")
    assert (await first.get(f"/api/v1/alarms/{alarm.id}/routine")).json["outcome"] == "Mistet nøkkel"
    english = await console.signed_in("Olive", Role.RESPONDER, language="en")
    assert "Lost keys" in (await english.get(f"/alarms/{alarm.id}")).text


async def test_the_api_of_an_alarm_refuses_what_is_no_outcome_with_the_nearest_that_is(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    only_visit = {"o3.disposition": "visit_now", "o3.only": "yes", "o3.help": "practical"}
    await save(ada, tenant, form(KEYS, **only_visit))
    alarm = await console.bench.press(hub)
    for body, reason, choices in (
        ({"outcome": "lost_key"}, "outcome_unknown", ["lost_keys"]),
        ({"outcome": "lost_keys", "disposition": "test"}, "disposition_misfit", ["visit_now"]),
        ({"outcome": "lost_keys", "kind_of_help": "health"}, "help_misfit", ["practical"]),
    ):
        refused = await close(first, alarm.id, **body)
        assert (refused.status, refused.json["reason"], refused.json["choices"]) == (422, reason, choices)
        assert refused.header("content-type") == "application/problem+json"
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert '<option value="lost_keys" data-dispositions="visit_now" data-help="practical">' in page
    assert (await close(first, alarm.id, outcome="lost_keys")).json["help"] == "practical"


async def test_buttons_of_the_form_change_the_draft_and_save_nothing(console: Any, ada: Any, tenant: str) -> None:
    path = f"/outcomes/{tenant}/edit"
    assert T("outcome.fall") in (await ada.get(path)).text
    two = form(KEYS, ("cold", "Kaldt", "Cold")) | {"version": "0"}
    up = await sent(ada, path, two | {"do": "up:4"}, part=True)
    assert up.text.index('value="Kaldt"') < up.text.index('value="Mistet nøkkel"')
    dropped = await sent(ada, path, two | {"do": "drop:3"}, part=True)
    assert 'value="Mistet nøkkel"' not in dropped.text
    kept = await sent(ada, path, two | {"do": "drop:2"}, part=True)  # by "other" every alarm can be closed
    assert 'value="Annet"' in kept.text
    more = await sent(ada, path, two | {"do": "add"}, part=True)
    assert 'name="o5.nb"' in more.text
    out = await sent(ada, path, two | {"do": "retire:3"}, part=True)
    assert 'name="o4.retired" value="yes"' in out.text
    assert 'value="use:4"' in out.text
    back = await sent(ada, path, two | {"o4.retired": "yes", "do": "use:4"}, part=True)
    assert 'value="yes"' not in back.text.partition('name="why"')[0].replace('.only" value="yes"', "")
    for order in ("drop:9", "up:-1", "sing", "down:x", "up:\u00b2", "use:0"):
        assert (await sent(ada, path, two | {"do": order}, part=True)).status == 200
    assert await console.bench.value("SELECT count(*) FROM outcome_list") == 0


async def test_what_alarms_were_closed_with_can_only_be_taken_out_of_use(
    console: Any, ada: Any, first: Any, hub: Any, tenant: str
) -> None:
    await save(ada, tenant, form(KEYS))
    alarm = await console.bench.press(hub)
    await close(first, alarm.id, outcome="lost_keys")
    path = f"/outcomes/{tenant}/edit"
    editor = (await ada.get(path)).text
    assert 'value="retire:3"' in editor
    assert 'value="drop:3"' not in editor
    gone = await save(ada, tenant, form(), version=1)
    assert gone.status == 422
    assert T("outcomefault.used") in gone.text
    retired = await save(ada, tenant, form(("lost_keys", "Mistet nøkkel", "Lost keys"), **{"o3.retired": "yes"}), 1)
    assert retired.status == 303
    shown = (await ada.get(f"/outcomes?tenant={tenant}")).text
    assert T("outcomes.retired") in shown
    refused = await close(first, (await console.bench.press(hub)).id, outcome="lost_keys")
    assert (refused.status, refused.json["reason"]) == (422, "outcome_retired")


async def test_faults_stand_at_their_fields_and_what_was_typed_stays(ada: Any, tenant: str) -> None:
    wrong = form(("", "x" * 90, ""), **{"o3.help": "magic", "o3.disposition": "resolved", "why": SCRIPT})
    answer = await save(ada, tenant, wrong)
    assert answer.status == 422
    for where in ("nb", "en", "help", "dispositions"):
        assert f'id="fault-outcomes-3-{where}"' in answer.text
    assert SCRIPT not in answer.text
    assert T("outcomefault.none") in (await save(ada, tenant, {})).text
    assert T("outcomefault.same") in (await save(ada, tenant, form(("", "annet", "Else")))).text
    without = {key: value for key, value in form().items() if not key.startswith("o2")}
    assert T("outcomefault.needed") in (await save(ada, tenant, without)).text
    hidden = await save(ada, tenant, form(("other", "Resten", "The rest"), **{"o1.retired": "yes"}))
    for reason in ("needed", "twice"):
        assert T(f"outcomefault.{reason}") in hidden.text.partition('id="faults"')[2]
    narrow = await save(ada, tenant, form(**{"o2.disposition": "visit_now"}))
    assert T("outcomefault.needed_other") in narrow.text
    assert (await save(ada, tenant, form(KEYS, **{"o3.code": "Nøkler!"}))).status == 303


async def test_who_saves_second_sees_both_lists_and_may_save_over(console: Any, ada: Any, tenant: str) -> None:
    await save(ada, tenant, form(KEYS))
    late = await save(ada, tenant, form(("", "Utestengt", "Locked out")))
    assert late.status == 409
    assert "Mistet nøkkel" in late.text
    assert "Utestengt" in late.text
    assert 'name="version" value="1"' in late.text
    over = await save(ada, tenant, form(("", "Utestengt", "Locked out")), version=1)
    assert over.status == 303
    stale = await sent(ada, f"/outcomes/{tenant}/reset", {"version": "1"})
    assert stale.status == 409


async def test_the_api_reads_in_pieces_and_writes_the_list(ada: Any, tenant: str) -> None:
    path = f"/api/v1/tenants/{tenant}/outcomes"
    now = (await ada.get(path)).json
    assert (now["version"], now["is_shipped"], now["next"]) == (0, True, None)
    some = (await ada.get(f"{path}?limit=2")).json
    rest = (await ada.get(f"{path}?after={some['next']}")).json
    assert some["outcomes"] + rest["outcomes"] == now["outcomes"]
    lost = await ada.get(f"{path}?after=nothing")
    assert (lost.status, lost.json["reason"]) == (422, "unknown_cursor")
    headers = {"x-csrf-token": ada.csrf}
    mine = [one for one in now["outcomes"] if one["code"] in {"fall", "mis_press", "no_contact", "other"}]
    body = {"version": 0, "outcomes": mine}
    changed = await ada.request("PUT", path, content=body, headers=headers)
    assert (changed.json["version"], changed.json["outcomes"]) == (1, mine)
    stale = await ada.request("PUT", path, content=body, headers=headers)
    assert (stale.status, stale.json["current"]["version"]) == (409, 1)
    short = await ada.request("PUT", path, content={"version": 1, "outcomes": mine[:1]}, headers=headers)
    assert (short.status, short.json["reason"], short.json["field"]) == (422, "outcomes_needed", "outcomes.mis_press")
    empty = await ada.request("PUT", path, content={"version": 1, "outcomes": []}, headers=headers)
    assert (empty.status, empty.header("content-type")) == (422, "application/problem+json")
    assert (await ada.request("PUT", path, content={"version": 1}, headers=headers)).json["is_shipped"]
    newest = (await ada.get(f"{path}/versions?limit=1")).json
    assert ([one["version"] for one in newest["versions"]], newest["next"]) == ([2], "2")
    older = (await ada.get(f"{path}/versions?after=2")).json
    assert ([one["version"] for one in older["versions"]], older["next"]) == ([1], None)
    for cursor in ("x", "0", "2147483648", "1234567890123456", "9" * 60):
        assert (await ada.get(f"{path}/versions?after={cursor}")).status == 422, cursor


async def test_a_nul_in_an_outcome_is_no_word(ada: Any, tenant: str) -> None:
    path = f"/api/v1/tenants/{tenant}/outcomes"
    mine = (await ada.get(path)).json["outcomes"]
    mine[0]["nb"] = "Fa\x00ll"
    answer = await ada.request(
        "PUT", path, content={"version": 0, "outcomes": mine}, headers={"x-csrf-token": ada.csrf}
    )
    assert answer.status == 400, answer.text


async def test_another_municipalitys_list_is_not_found_and_responders_only_read(
    console: Any, ada: Any, first: Any, tenant: str
) -> None:
    places = console.services.people.places
    other = await places.add_tenant(ADMIN, "Smøla")
    lead = await console.signed_in("Smøla Lead", Role.LEAD)
    await places.assign(ADMIN, await console.accounts.id_of("Smøla Lead"), Role.LEAD, tenant=other)
    for answer in (
        await lead.get(f"/outcomes?tenant={tenant}"),
        await lead.get(f"/outcomes/{tenant}/edit"),
        await save(lead, tenant, form()),
        await sent(lead, f"/outcomes/{tenant}/reset", {"version": "0"}),
        await lead.get(f"/api/v1/tenants/{tenant}/outcomes"),
        await lead.get(f"/api/v1/tenants/{tenant}/outcomes/versions"),
    ):
        assert answer.status == 404
    assert T("outcomes.edit") not in (await first.get("/outcomes")).text
    assert (await first.get(f"/outcomes/{tenant}/edit")).status == 403
    assert (await save(first, tenant, form())).status == 403
