"""What is asked of somebody stands first, with four buttons that say what they do, until it is over and says so."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import pytest

from central.lifecycle import Queue
from simulators.live_hub import LiveHub

PATROL = "0" * 15 + "a"
EMPTY = "0" * 15 + "b"
LATE_S = 16 * 60


@pytest.fixture
async def home(console: Any) -> AsyncIterator[LiveHub]:
    async with LiveHub(console.bench.central, "Solbakken 214") as hub:
        yield hub


@pytest.fixture
async def patrol(console: Any) -> Any:
    """Pia is in the patrol; Eva, who is not, stands by for the team that nobody was put into."""
    pia = await console.signed_in("Pia Patrulje")
    account = (await pia.get("/api/v1/session")).json["account"]
    change = console.bench.change
    await change(f"INSERT INTO team (id, kind, name) VALUES ('{PATROL}', 'patrol', 'Utrykning nord')")
    await change(f"INSERT INTO team (id, kind, name) VALUES ('{EMPTY}', 'patrol', 'Utrykning sør')")
    await change(f"INSERT INTO team_member (team, account) VALUES ('{PATROL}', '{account}')")
    return pia


async def taken(console: Any, first: Any, home: LiveHub) -> str:
    await home.raise_event("pendant_pressed", resident="r-7f3a90")
    alarm = (await console.services.alarms.queue())[0]
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    return str(alarm.id)


async def send(first: Any, alarm: str, team: str = PATROL) -> str:
    return str((await first.post(f"/api/v1/alarms/{alarm}/dispatches", content={"team": team})).json["id"])


async def heads(browser: Any, view: str = "alarms") -> list[str]:
    """The headings of the list, in their order."""
    text = (await browser.get(f"/parts/queue?view={view}")).text
    return re.findall(r'data-key="head-(\w+)"', text)


async def bells(browser: Any, view: str = "alarms") -> list[tuple[str, str]]:
    text = (await browser.get(f"/parts/queue?view={view}")).text
    found = json.loads(unescape(re.search(r'data-bells="([^"]*)"', text)[1]))  # type: ignore[index]
    return sorted((bell["why"], bell["alarm"]) for bell in found)


async def four(browser: Any, alarm: str) -> dict[str, str]:
    """The four buttons: what each posts, opens or does; empty where it cannot be pressed."""
    page = (await browser.get(f"/alarms/{alarm}")).text
    found = {}
    for tag, key in re.findall(r'(<button[^>]*data-four="(\w+)"[^>]*>)', page):
        targets = dict(re.findall(r'data-(to|post|act|open)="([^"]+)"', tag))
        is_off = 'aria-disabled="true"' in tag
        assert is_off == (not targets)
        found[key] = "" if is_off else targets.get("to") or targets.get("post") or targets.get("act") or targets["open"]
    return found


async def test_a_patrol_sees_first_where_it_is_asked_to_go_and_goes(
    console: Any, first: Any, other: Any, patrol: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    assert await heads(patrol) == ["others"]
    trip = f"/api/v1/dispatches/{await send(first, alarm)}"
    assert await heads(patrol) == ["asks"]
    assert await bells(patrol) == [("asks", alarm)]
    assert await bells(patrol, "technical") == [("asks", alarm)]  # another tab does not silence it
    assert await heads(other) == ["others"]  # who is not in the patrol is not asked
    assert (await four(patrol, alarm)) == {
        "take": f"{trip}/accepted",
        "pass_on": f"{trip}/declined",
        "on_site": f"{trip}/on-site",
        "done": "",
    }
    page = (await patrol.get(f"/alarms/{alarm}")).text
    assert "Utrykning nord er bedt om å dra." in page
    assert "har alarmen og ser mer" in page
    await patrol.post(f"{trip}/accepted")
    assert await heads(patrol) == ["trips"]
    assert await bells(patrol) == []
    page = (await patrol.get(f"/alarms/{alarm}")).text
    assert "Du har sagt ja til å dra" in page
    assert f'data-post="{trip}/on-the-way"' in page
    assert "r-7f3a90" in page  # who goes sees whom it is about
    assert (await four(patrol, alarm))["take"] == ""
    await patrol.post(f"{trip}/on-the-way")
    assert "Du er på vei siden" in (await patrol.get(f"/alarms/{alarm}")).text
    await patrol.post(f"{trip}/on-site")
    buttons = await four(patrol, alarm)
    assert (buttons["pass_on"], buttons["on_site"], buttons["done"]) == ("", "", f"{trip}/done")
    await patrol.post(f"{trip}/done")
    assert "Operator One avslutter alarmen" in (await patrol.get(f"/alarms/{alarm}")).text
    assert await heads(patrol, "mine") == ["done"]


async def test_who_was_called_off_is_told_by_whom_and_hears_it(
    console: Any, first: Any, patrol: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    trip = f"/api/v1/dispatches/{await send(first, alarm)}"
    await patrol.post(f"{trip}/accepted")
    await first.post(f"{trip}/cancelled", content={"reason": "naboen er der"})
    assert await heads(patrol) == ["off", "others"]
    assert await bells(patrol) == [("off", alarm)]
    page = (await patrol.get(f"/alarms/{alarm}")).text
    assert "Du trenger ikke dra. Operator One avlyste oppdraget" in page
    assert "naboen er der" in page
    assert "/on-the-way" not in page
    console.bench.clock.advance(LATE_S)
    assert "off" not in await heads(patrol)


async def test_a_closed_alarm_calls_off_and_says_so_and_an_undo_brings_it_back(
    console: Any, first: Any, patrol: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    trip = f"/api/v1/dispatches/{await send(first, alarm)}"
    await patrol.post(f"{trip}/accepted")
    closing = {"disposition": "cleared_by_phone", "outcome": "anxiety"}
    assert (await first.post(f"/api/v1/alarms/{alarm}/close", content=closing)).status == 200
    assert (await heads(patrol))[0] == "off"
    assert "Alarmen er avsluttet." in (await patrol.get(f"/alarms/{alarm}")).text
    assert (await first.post(f"/api/v1/alarms/{alarm}/undo")).status == 200
    assert await heads(patrol) == ["trips"]


async def test_a_patrol_says_no_and_why_and_both_read_it(console: Any, first: Any, patrol: Any, home: LiveHub) -> None:
    alarm = await taken(console, first, home)
    trip = f"/api/v1/dispatches/{await send(first, alarm)}"
    assert (await patrol.post(f"{trip}/declined", content={"reason": "far"})).status == 200
    assert "For langt unna" in (await first.get(f"/alarms/{alarm}")).text
    assert await heads(patrol) == ["others"]
    page = (await patrol.get(f"/alarms/{alarm}")).text
    assert "Du avslo" in page
    assert "For langt unna" in page


async def test_a_team_without_names_is_asked_through_who_took_it_on_duty(
    console: Any, first: Any, patrol: Any, other: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    await send(first, alarm, EMPTY)
    assert await heads(other) == ["others"]
    await other.post("/api/v1/duty", content={"console": "aabbccdd00112233", "has_sound": True})
    assert await heads(other) == ["asks"]


async def test_an_offer_is_asked_of_who_it_is_for_and_both_ends_see_what_came_of_it(
    console: Any, first: Any, other: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    to = (await other.get("/api/v1/session")).json["account"]
    offer = (await first.post(f"/api/v1/alarms/{alarm}/offer", content={"to_account": to, "note": "samme gate"})).json
    assert await heads(other) == ["asks"]
    assert "samme gate" in (await other.get(f"/alarms/{alarm}")).text
    path = f"/api/v1/offers/{offer['id']}"
    assert (await four(other, alarm))["take"] == f"{path}/accept"
    assert (await four(other, alarm))["pass_on"] == f"{path}/decline"
    mine = (await first.get(f"/alarms/{alarm}")).text
    assert "Tilbudt Operator Two til" in mine
    assert f'data-post="{path}/withdraw"' in mine
    await other.post(f"{path}/decline")
    assert "Operator Two avslo" in (await first.get(f"/alarms/{alarm}")).text
    assert "Du avslo" in (await other.get(f"/alarms/{alarm}")).text
    again = (await first.post(f"/api/v1/alarms/{alarm}/offer", content={"to_account": to})).json
    await first.post(f"/api/v1/offers/{again['id']}/withdraw")
    assert await heads(other) == ["others"]
    assert "Operator One trakk tilbudet tilbake" in (await other.get(f"/alarms/{alarm}")).text
    last = (await first.post(f"/api/v1/alarms/{alarm}/offer", content={"to_account": to})).json
    assert (await other.post(f"/api/v1/offers/{last['id']}/accept")).json["is_mine"]
    assert "har alarmen" in (await first.get(f"/alarms/{alarm}")).text
    assert "Du trakk tilbudet tilbake" not in (await first.get(f"/alarms/{alarm}")).text


async def test_alarms_that_wait_sound_whichever_tab_is_open(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    alarm = (await console.services.alarms.queue())[0].id
    for view in ("alarms", "mine", "technical"):
        assert await bells(first, view) == [("waiting", alarm)]


async def test_a_technical_alarm_says_whom_to_call(console: Any, tore: Any, home: LiveHub) -> None:
    await home.raise_event("battery_low", device="pendant-1", value=12)
    alarm = (await console.services.alarms.queue(Queue.TECHNICAL))[0].id
    assert "Ingen teknisk vakt er oppgitt" in (await tore.get(f"/alarms/{alarm}")).text
    await console.bench.change(
        "INSERT INTO team (id, kind, name, phone) VALUES ('00000000000000ff', 'technical', 'Natt', '22 33 44 55')"
    )
    page = (await tore.get(f"/alarms/{alarm}")).text
    assert '<span class="muted">Natt</span>' in page
    assert 'href="tel:22334455"' in page


async def test_the_technical_queue_shows_no_one_what_is_asked_of_responders(
    console: Any, first: Any, patrol: Any, tore: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    await send(first, alarm)
    assert await heads(patrol, "technical") == []
    assert await bells(tore) == []


async def test_one_goes_on_duty_for_some_of_ones_teams(console: Any, patrol: Any, other: Any) -> None:
    gate = (await patrol.get("/parts/gate")).text
    assert re.findall(r'data-name="([^"]+)"( checked)?', gate) == [
        ("Responssenteret", ""),
        ("Utrykning nord", " checked"),
        ("Utrykning sør", ""),
    ]
    assert PATROL not in (await other.get("/parts/gate")).text
    body = {"console": "aabbccdd00112233", "has_sound": True}
    nobody = await patrol.post("/api/v1/duty", content={**body, "teams": []})
    assert (nobody.status, nobody.json["reason"], nobody.json["field"]) == (422, "no_team", "teams")
    foreign = await other.post("/api/v1/duty", content={**body, "teams": [PATROL]})
    assert (foreign.status, foreign.json["reason"]) == (422, "team_unknown")
    assert PATROL not in foreign.json["choices"]
    assert (await patrol.post("/api/v1/duty", content={**body, "teams": [PATROL]})).status == 204
    taken = await console.bench.rows("SELECT team FROM duty WHERE console = 'aabbccdd00112233'")
    assert [row[0] for row in taken] == [PATROL]


async def test_who_goes_to_an_alarm_that_nobody_has_any_more_is_not_told_to_stay_away(
    console: Any, first: Any, patrol: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    await patrol.post(f"/api/v1/dispatches/{await send(first, alarm)}/accepted")
    await first.post(f"/api/v1/alarms/{alarm}/release")
    page = (await patrol.get(f"/alarms/{alarm}")).text
    assert "<b>Du trenger ikke dra" not in page
    assert "ingen har alarmen nå. Ta den hvis du kan dra." in page
    assert await bells(patrol) == [("alone", alarm), ("waiting", alarm)]
    assert await heads(patrol) == ["off", "waiting"]
    assert "Ingen har den nå" in (await patrol.get("/parts/queue")).text
    assert (await four(patrol, alarm))["take"] == "claim"


async def test_an_alarm_stands_once_however_much_of_it_is_asked(
    console: Any, first: Any, patrol: Any, home: LiveHub
) -> None:
    alarm = await taken(console, first, home)
    await patrol.post(f"/api/v1/dispatches/{await send(first, alarm)}/accepted")
    to = (await patrol.get("/api/v1/session")).json["account"]
    offer = (await first.post(f"/api/v1/alarms/{alarm}/offer", content={"to_account": to})).json
    assert await heads(patrol) == ["trips"]
    assert await bells(patrol) == [("asks", alarm)]  # and yet it sounds
    page = (await patrol.get(f"/alarms/{alarm}")).text
    button = re.search(rf'<button[^>]*data-post="/api/v1/offers/{offer["id"]}/accept"[^>]*>', page)
    assert button is not None
    assert "not-phone" not in button[0]  # the four buttons are about the trip
