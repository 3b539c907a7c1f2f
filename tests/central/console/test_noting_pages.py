"""Notes through the application: written by who has the alarm, read in its history and its summary."""

from __future__ import annotations

import re
from typing import Any

from central.console.catalogue import words
from central.console.roles import Role
from central.views import Actor
from tests.central.test_alarm_acts import RESIDENT, visit

T = words("nb")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")


async def note(browser: Any, alarm: str, text: Any, **more: Any) -> Any:
    return await browser.post(f"/api/v1/alarms/{alarm}/notes", content={"note": text} | more)


async def test_a_note_is_written_on_the_alarm_and_stands_in_its_history_and_summary(
    console: Any, first: Any, hub: Any
) -> None:
    alarm = await console.bench.press(hub)
    assert '<section class="card" id="alarm-note" hidden>' in (await first.get(f"/alarms/{alarm.id}")).text
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert '<section class="card" id="alarm-note">' in page
    assert 'data-notes="yes"' in page
    answer = await note(first, alarm.id, "Datteren er på vei.\n<b>Ring</b> henne")
    assert (answer.status, answer.json["is_mine"]) == (200, True)
    part = (await first.get(f"/alarms/{alarm.id}/part", headers={"hx-request": "true"})).text
    assert T("what_you.noted") in part
    assert "<small>Datteren er på vei.\n&lt;b&gt;Ring&lt;/b&gt; henne</small>" in part
    assert f"{T('note.title')}: Datteren er på vei. &lt;b&gt;Ring&lt;/b&gt; henne" in part
    assert "<b>Ring" not in part
    told = (await first.get(f"/api/v1/alarms/{alarm.id}")).json["timeline"][-1]
    assert (told["what"], told["actor_name"]) == ("noted", "Operator One")
    assert told["content"]["note"] == "Datteren er på vei.\n<b>Ring</b> henne"


async def test_the_summary_keeps_what_was_noted_when_the_alarm_was_put_off(console: Any, first: Any, hub: Any) -> None:
    bench = console.bench
    alarm = (await bench.press(hub, resident=RESIDENT)).id
    await first.post(f"/api/v1/alarms/{alarm}/claim")
    put_off = {"disposition": "next_visit", "outcome": "practical_help", "visit": await visit(bench, "near", 3600)}
    answer = await first.post(f"/api/v1/alarms/{alarm}/close", content=put_off | {"note": "Støvlene"})
    assert answer.status == 200, answer.text
    bench.clock.advance(2 * 3600)
    assert await bench.alarms.sweep() == 1
    later = await console.signed_in("Late", Role.RESPONDER)
    await later.post(f"/api/v1/alarms/{alarm}/claim")
    ended = {"disposition": "cleared_by_phone", "outcome": "practical_help", "note": "Feil alarm"}
    assert (await later.post(f"/api/v1/alarms/{alarm}/close", content=ended)).status == 200
    assert (await later.post(f"/api/v1/alarms/{alarm}/undo")).status == 200
    summary = re.search(r'id="summary-text"[^>]*>([^<]*)<', (await later.get(f"/alarms/{alarm}")).text)
    assert summary is not None
    assert f"{T('note.title')}: Støvlene" in summary[1]
    assert "Feil alarm" not in summary[1]


async def test_a_lead_notes_too_and_nobody_else_does(console: Any, first: Any, other: Any, hub: Any) -> None:
    alarm = await console.bench.press(hub)
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    assert 'id="alarm-note">' in (await other.get(f"/alarms/{alarm.id}")).text
    assert (await note(other, alarm.id, "Legevakten er varslet")).status == 200
    colleague = await console.signed_in("Olav", Role.RESPONDER)
    refused = await note(colleague, alarm.id, "Jeg også")
    assert (refused.status, refused.json["holder"]["name"]) == (409, "Operator One")
    assert 'id="alarm-note" hidden' in (await colleague.get(f"/alarms/{alarm.id}")).text


async def test_bad_notes_are_answered_clearly_and_nothing_is_kept(console: Any, first: Any, hub: Any) -> None:
    alarm = await console.bench.press(hub)
    version = (await first.post(f"/api/v1/alarms/{alarm.id}/claim")).json["version"]
    for text, more, status, reason in (
        (" ", {}, 422, "note_missing"),
        ("x" * 1001, {}, 422, "string_too_long"),
        (7, {}, 422, "string_type"),
        ("a\x00b", {}, 400, None),
        ("Ringt", {"version": version - 1}, 409, "stale"),
        ("Ringt", {"wrong": "x"}, 422, "extra_forbidden"),
    ):
        answer = await note(first, alarm.id, text, **more)
        assert answer.status == status, answer.text
        assert answer.header("content-type") == "application/problem+json"
        assert reason is None or answer.json["reason"] == reason
    assert (await note(first, "0" * 16, "Ringt")).status == 404
    assert await console.bench.value("SELECT count(*) FROM log_entry WHERE what = 'noted'") == 0


async def test_an_alarm_of_another_municipality_takes_no_note(console: Any, hub: Any) -> None:
    alarm = await console.bench.press(hub)
    places = console.services.people.places
    elsewhere = await places.add_tenant(ADMIN, "Smøla")
    lead = await console.signed_in("Smøla Lead", Role.LEAD)
    await places.assign(ADMIN, await console.accounts.id_of("Smøla Lead"), Role.LEAD, tenant=elsewhere)
    assert (await note(lead, alarm.id, "Ringt")).status == 404
    assert await console.bench.value("SELECT count(*) FROM log_entry WHERE what = 'noted'") == 0
