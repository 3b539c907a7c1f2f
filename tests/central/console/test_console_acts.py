"""Handing over, sending, deferring and calling through the JSON API, and what the alarm's page offers for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from central.sql import Sql
from simulators.live_hub import LiveHub

SECRET = "r-7f3a90"
PATROL = "0" * 15 + "a"
VISIT = "0" * 15 + "c"


@pytest.fixture
async def home(console: Any) -> AsyncIterator[LiveHub]:
    async with LiveHub(console.bench.central, "Solbakken 214") as hub:
        yield hub


async def taken(console: Any, first: Any, home: LiveHub) -> str:
    await home.raise_event("pendant_pressed", resident=SECRET)
    alarm = (await console.services.alarms.queue())[0]
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    await console.bench.change(f"INSERT INTO team (id, kind, name) VALUES ('{PATROL}', 'patrol', 'Patrol East')")
    start = console.bench.clock.now_ms() + 3_600_000
    await console.bench.change(
        "INSERT INTO visit (id, resident, from_ms, to_ms, source, changed_ms, changed_by)"
        f" VALUES ('{VISIT}', '{SECRET}', {start}, {start + 1_800_000}, 'list', 0, 'test')"
    )
    return str(alarm.id)


async def account_of(console: Any, name: str) -> str:
    async with console.bench.store.read() as connection:
        return str(await Sql("SELECT id FROM user_account WHERE name = :name").value(connection, name=name))


async def test_an_alarm_is_offered_seen_and_accepted(console: Any, first: Any, other: Any, home: LiveHub) -> None:
    alarm = await taken(console, first, home)
    path = f"/api/v1/alarms/{alarm}"
    choices = (await first.get(f"{path}/choices")).json
    assert [one["name"] for one in choices["patrols"]] == ["Patrol East"]
    assert "Operator Two" in [one["name"] for one in choices["people"]]
    assert "Operator One" not in [one["name"] for one in choices["people"]]
    assert [one["id"] for one in choices["visits"]] == [VISIT]
    nobody = await first.post(f"{path}/offer", content={})
    assert (nobody.status, nobody.json["field"]) == (422, "to_account")
    offer = (await first.post(f"{path}/offer", content={"to_account": await account_of(console, "Operator Two")})).json
    assert (offer["state"], offer["to_name"]) == ("offered", "Operator Two")
    page = (await other.get(f"/alarms/{alarm}")).text
    assert "Operator One tilbyr deg alarmen. Svar innen" in page
    assert f"/api/v1/offers/{offer['id']}/accept" in page
    assert "/withdraw" not in page
    assert f"/api/v1/offers/{offer['id']}/withdraw" in (await first.get(f"/alarms/{alarm}")).text
    done = await other.post(f"/api/v1/offers/{offer['id']}/accept")
    assert (done.status, done.json["is_mine"]) == (200, True)
    late = await first.post(f"/api/v1/offers/{offer['id']}/withdraw")
    assert (late.status, late.json["holder"]["name"]) == (409, "Operator Two")


async def test_a_patrol_is_sent_and_its_steps_are_said(console: Any, first: Any, other: Any, home: LiveHub) -> None:
    alarm = await taken(console, first, home)
    sent = (await first.post(f"/api/v1/alarms/{alarm}/dispatches", content={"team": PATROL})).json
    assert (sent["state"], sent["team_name"]) == ("sent", "Patrol East")
    page = (await first.get(f"/alarms/{alarm}")).text
    assert "sendt, ikke besvart ennå" in page
    assert f"/api/v1/dispatches/{sent['id']}/cancelled" in page
    step = f"/api/v1/dispatches/{sent['id']}"
    assert (await other.post(f"{step}/flew")).status == 404
    assert (await other.post(f"{step}/accepted", content={"version": 99})).json["reason"] == "stale"
    assert (await other.post(f"{step}/accepted")).json["account_name"] == "Operator Two"
    assert (await other.post(f"{step}/on-the-way")).json["state"] == "on_the_way"
    detail = (await first.get(f"/api/v1/alarms/{alarm}")).json
    assert (detail["alarm"]["stage"], detail["sent"][0]["state"]) == ("on_the_way", "on_the_way")
    assert (await other.post(f"/api/v1/alarms/{alarm}/on-site")).json["stage"] == "on_site"
    assert "fremme hos bruker" in (await first.get(f"/alarms/{alarm}")).text


async def test_next_visit_asks_which_and_says_when_it_waits(console: Any, first: Any, home: LiveHub) -> None:
    alarm = await taken(console, first, home)
    path = f"/api/v1/alarms/{alarm}"
    body = {"disposition": "next_visit", "outcome": "general_decline"}
    missing = await first.post(f"{path}/close", content=body)
    assert (missing.status, missing.json["field"], missing.json["choices"]) == (422, "visit", [VISIT])
    waits = await first.post(f"{path}/close", content={**body, "visit": VISIT})
    assert (waits.status, waits.json["stage"], waits.json["deferred_visit"]) == (200, "deferred", VISIT)
    assert "Ingen må gjøre noe før besøket" in (await first.get(f"/alarms/{alarm}")).text
    assert (await first.post(f"{path}/undo")).json["stage"] == "claimed"
    assert (await first.post(f"{path}/defer", content={"visit": VISIT})).json["stage"] == "deferred"


async def test_calls_take_over_and_a_stale_version(console: Any, first: Any, other: Any, home: LiveHub) -> None:
    alarm = await taken(console, first, home)
    path = f"/api/v1/alarms/{alarm}"
    assert (await first.post(f"{path}/calls", content={"called": "resident"})).json["field"] == "result"
    assert (await first.post(f"{path}/calls", content={"called": "resident", "result": "no_answer"})).status == 200
    assert "Tjenestemottakeren. Ikke svar" in (await first.get(f"/alarms/{alarm}")).text
    assert (await first.post(f"{path}/take-over", content={"reason": "mine"})).status == 403
    seen = (await first.get(path)).json["alarm"]["version"]
    assert (await other.post(f"{path}/take-over", content={"reason": " "})).json["field"] == "reason"
    assert (await other.post(f"{path}/take-over", content={"reason": "syk"})).json["is_mine"]
    stale = await other.post(f"{path}/release", content={"version": seen})
    assert (stale.status, stale.json["reason"], stale.json["yours"]) == (409, "stale", {"version": seen})
    assert stale.json["current"]["owner_name"] == "Operator Two"
    assert (await other.post(f"{path}/release", content={"version": stale.json["current"]["version"]})).status == 200
