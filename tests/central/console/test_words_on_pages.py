"""What pages and the API say of notes, measurements and typed reasons: opened, sealed or erased, never an error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from central.console.roles import Role
from central.views import Actor
from simulators.live_hub import LiveHub

LEAD = Actor(id="lead", name="Lead One", role="lead")
NOTE, WHERE, WHY = "Hun falt på badet.", "gulvet på badet", "Operator One er syk i natt"


@pytest.fixture
async def home(console: Any) -> AsyncIterator[LiveHub]:
    async with LiveHub(console.bench.central, "Solbakken 214") as hub:
        yield hub


@pytest.fixture
async def closed(console: Any, first: Any, other: Any, home: LiveHub) -> str:
    """An alarm that Operator One took and a lead closed."""
    people = console.services.people
    tenant = await people.places.add_tenant(LEAD, "Aure")
    await people.keeping.register(LEAD, tenant=tenant, pseudonym="r-1")
    await home.raise_event("limit_exceeded", resident="r-1", value=WHERE)
    alarm = (await console.services.alarms.queue())[0].id
    path = f"/api/v1/alarms/{alarm}"
    await first.post(f"{path}/claim")
    outcome = {"disposition": "visit_now", "outcome": "fall", "note": NOTE, "override": WHY}
    assert (await other.post(f"{path}/close", content=outcome)).status == 200
    return str(alarm)


async def test_who_closed_it_reads_it_for_half_an_hour_and_then_with_a_reason(
    console: Any, first: Any, other: Any, closed: str
) -> None:
    for browser in (first, other):
        said = (await browser.get(f"/api/v1/alarms/{closed}")).json
        assert (said["note"], said["words"], said["alarm"]["value"]) == (NOTE, "opened", WHERE)
        page = (await browser.get(f"/alarms/{closed}")).text
        assert all(text in page for text in (NOTE, WHERE, WHY))
    console.bench.clock.advance(31 * 60)
    third = await console.signed_in("Operator Three")
    answer = await third.get(f"/api/v1/alarms/{closed}")
    assert (answer.json["note"], answer.json["words"], answer.json["alarm"]["value"]) == (None, "sealed", None)
    page = (await third.get(f"/alarms/{closed}")).text
    for text in (NOTE, WHERE, WHY, "sealed:1:"):
        assert text not in answer.text + page
    assert "Forseglet. Den som trenger å lese det" in page
    assert 'href="/residents/r-1"' in page
    assert (await third.post("/residents/r-1/open", form={"reason": "worried"})).status in {200, 303}
    assert (await third.get(f"/api/v1/alarms/{closed}")).json["note"] == NOTE


async def test_what_is_erased_is_said_to_be_erased(console: Any, first: Any, closed: str) -> None:
    await console.services.people.keeping.erase(LEAD, "r-1")
    answer = await first.get(f"/api/v1/alarms/{closed}")
    assert (answer.status, answer.json["words"], answer.json["note"]) == (200, "erased", None)
    page = await first.get(f"/alarms/{closed}")
    assert page.status == 200
    assert 'id="alarm-sealed"' in page.text
    assert "Slettet." in page.text
    for text in (NOTE, WHERE, WHY, "sealed:1:"):
        assert text not in answer.text + page.text


async def test_no_list_and_no_log_has_the_words(console: Any, first: Any, other: Any, closed: str) -> None:
    await first.get(f"/alarms/{closed}")
    ada = await console.signed_in("Ada Nes", Role.ADMINISTRATOR)
    log = (await ada.get(f"/log?alarm={closed}")).text
    assert "forseglet, kan leses på alarmen" in log
    access = (await other.get("/residents/r-1/access")).text
    assert "merknad og måling på en alarm" in access
    for text in (NOTE, WHERE, WHY, "sealed:1:"):
        assert text not in log + access + (await first.get("/")).text + (await first.get("/api/v1/alarms")).text


async def test_a_typed_reason_to_say_no_is_read_on_the_alarm_and_in_no_answer(
    console: Any, first: Any, home: LiveHub
) -> None:
    await console.bench.change("INSERT INTO team (id, kind, name) VALUES ('aa00000000000000', 'patrol', 'Patrol')")
    await home.raise_event("pendant_pressed", resident=None)
    alarm = (await console.services.alarms.queue())[0].id
    await first.post(f"/api/v1/alarms/{alarm}/claim")
    sent = (await first.post(f"/api/v1/alarms/{alarm}/dispatches", content={"team": "aa00000000000000"})).json["id"]
    no = await first.post(f"/api/v1/dispatches/{sent}/declined", content={"reason": "sitter fast hos fru Berg"})
    assert (no.status, no.json["reason"]) == (200, "")
    detail = (await first.get(f"/api/v1/alarms/{alarm}")).json
    assert detail["sent"][0]["reason"] == "sitter fast hos fru Berg"
    assert "sitter fast hos fru Berg" in (await first.get(f"/alarms/{alarm}")).text
