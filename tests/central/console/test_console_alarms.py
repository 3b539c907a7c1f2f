"""What people do with alarms through the console: pages, JSON, the live stream."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from central import event_log
from central.console.roles import Role
from central.escalation.tick import Escalation
from central.lifecycle import Queue
from central.people.tenants import teams
from central.store import Priority
from central.views import SYSTEM, Actor
from central.wakeup import Wakeup
from simulators.live_hub import LiveHub

CONSOLE_ID = "00112233aabbccdd"
SECRET = "r-7f3a90"


@pytest.fixture
async def home(console: Any) -> AsyncIterator[LiveHub]:
    async with LiveHub(console.bench.central, "Solbakken 214") as hub:
        yield hub


async def the_alarm(console: Any, queue: Queue = Queue.PERSONAL) -> Any:
    return (await console.services.alarms.queue(queue))[0]


async def test_the_queue_shows_kind_word_place_and_not_who(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed", resident=SECRET)
    page = (await first.get("/")).text
    for text in (
        "Trygghetsalarm",
        "Akutt",
        "Solbakken 214",
        'aria-label="Prioritet 1, akutt"'.replace("akutt", "Akutt"),
    ):
        assert text in page
    assert SECRET not in page
    assert 'data-counts="1 0 0"' in page


async def test_who_takes_it_sees_more_and_the_other_sees_who(
    console: Any, first: Any, other: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed", resident=SECRET)
    alarm = await the_alarm(console)
    before = await first.get(f"/api/v1/alarms/{alarm.id}")
    assert before.json["alarm"]["resident"] is None
    assert SECRET not in (await first.get(f"/alarms/{alarm.id}")).text
    taken = await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    assert (taken.status, taken.json["stage"], taken.json["resident"]) == (200, "claimed", SECRET)
    assert SECRET in (await first.get(f"/alarms/{alarm.id}")).text
    second = await other.post(f"/api/v1/alarms/{alarm.id}/claim")
    assert second.status == 409
    assert second.header("content-type") == "application/problem+json"
    assert second.json["reason"] == "taken"
    assert second.json["holder"]["name"] == "Operator One"
    page = (await other.get(f"/alarms/{alarm.id}")).text
    assert "Operator One har alarmen" in page
    assert SECRET not in page
    assert "Tatt av Operator One" in (await other.get("/")).text


async def test_an_alarm_is_closed_with_what_was_done_and_what_it_was(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    alarm = await the_alarm(console)
    path = f"/api/v1/alarms/{alarm.id}"
    unclaimed = await first.post(f"{path}/close", content={"disposition": "false_alarm", "outcome": "mis_press"})
    assert (unclaimed.status, unclaimed.json["reason"]) == (409, "not_claimed")
    await first.post(f"{path}/claim")
    assert (await first.post(f"{path}/on-the-way")).json["stage"] == "on_the_way"
    for content, field in (
        ({"outcome": "fall"}, "disposition"),
        ({"disposition": "visit_now"}, "outcome"),
        ({"disposition": "visit_now", "outcome": "bored"}, "outcome"),
        ({"disposition": "shrug", "outcome": "fall"}, "disposition"),
    ):
        answer = await first.post(f"{path}/close", content=content)
        assert (answer.status, answer.json["field"]) == (422, field)
    assert (await first.get(path)).json["alarm"]["closed_ms"] is None
    closed = await first.post(
        f"{path}/close", content={"disposition": "visit_now", "outcome": "fall", "note": "Bra nå"}
    )
    assert (closed.status, closed.json["stage"]) == (200, "closed")
    page = (await first.get(f"/alarms/{alarm.id}")).text
    for text in ("Utrykning nå", "Fall", "Bra nå", "Du avsluttet alarmen", "Avsluttet"):
        assert text in page
    assert 'id="close-form"' not in page


async def test_one_may_undo_for_ten_seconds_and_no_longer(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    path = f"/api/v1/alarms/{(await the_alarm(console)).id}"
    await first.post(f"{path}/claim")
    assert (await first.post(f"{path}/undo")).json["stage"] == "waiting"
    await first.post(f"{path}/claim")
    await first.post(f"{path}/close", content={"disposition": "false_alarm", "outcome": "mis_press"})
    console.bench.clock.advance(10.1)
    late = await first.post(f"{path}/undo")
    assert (late.status, late.json["reason"]) == (409, "too_late_to_undo")


async def test_take_next_picks_the_most_urgent_and_says_when_nothing_waits(
    console: Any, first: Any, other: Any, home: LiveHub
) -> None:
    await home.raise_event("bed_absent", device="bed-1")
    await home.raise_event("smoke", device="smoke-1")
    found = await asyncio.gather(first.post("/api/v1/alarms/next"), other.post("/api/v1/alarms/next"))
    assert sorted(one.json["alarm"]["kind"] for one in found) == ["bed_absent", "smoke"]
    assert (await first.post("/api/v1/alarms/next", content={"queue": "personal"})).json == {"alarm": None}


async def test_a_lead_closes_what_another_has_only_with_a_reason(
    console: Any, first: Any, other: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed")
    path = f"/api/v1/alarms/{(await the_alarm(console)).id}"
    outcome = {"disposition": "cleared_by_phone", "outcome": "anxiety"}
    await other.post(f"{path}/claim")
    stolen = await first.post(f"{path}/close", content={**outcome, "override": "fordi"})
    assert stolen.status == 403
    await other.post(f"{path}/release")
    await first.post(f"{path}/claim")
    assert (await other.post(f"{path}/close", content=outcome)).status == 409
    assert (await other.post(f"{path}/close", content={**outcome, "override": "Operator One er syk"})).status == 200


async def test_a_technician_sees_technical_alarms_and_nothing_of_residents(
    console: Any, tore: Any, first: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed", resident=SECRET)
    await home.raise_event("battery_low", device="pendant-1", value=12)
    personal, technical = await the_alarm(console), await the_alarm(console, Queue.TECHNICAL)
    page = (await tore.get("/")).text
    assert "Lavt batteri" in page
    assert "Trygghetsalarm" not in page
    assert (await tore.get("/api/v1/alarms?queue=personal")).status == 403
    assert (await tore.get(f"/api/v1/alarms/{personal.id}")).status == 403
    assert (await tore.get(f"/alarms/{personal.id}")).status == 403
    for act in ("claim", "renew", "release", "on-the-way", "undo"):
        assert (await tore.post(f"/api/v1/alarms/{personal.id}/{act}")).status == 403
    assert (await tore.post(f"/api/v1/alarms/{personal.id}/shown", content={"console": CONSOLE_ID})).status == 403
    taken = (await tore.post("/api/v1/alarms/next", content={"queue": "personal"})).json["alarm"]
    assert (taken["id"], taken["kind"]) == (technical.id, "battery_low")
    done = await tore.post(
        f"/api/v1/alarms/{technical.id}/close", content={"disposition": "resolved", "outcome": "battery_changed"}
    )
    assert done.status == 200
    assert (await first.get(f"/api/v1/alarms/{personal.id}")).status == 200


async def test_the_first_console_that_shows_an_alarm_counts(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    path = f"/api/v1/alarms/{(await the_alarm(console)).id}"
    assert (await first.post(f"{path}/shown", content={"console": "<script>"})).status == 422
    assert (await first.post(f"{path}/shown", content={"console": CONSOLE_ID})).status == 204
    answer = (await first.get(path)).json
    assert answer["alarm"]["shown_ms"] is not None
    assert answer["journey"]["steps"]["shown"] is not None
    assert [entry["what"] for entry in answer["timeline"]] == ["raised", "shown"]


async def test_the_lamp_is_what_the_hub_says_and_a_dashed_ring_when_nobody_knows(
    console: Any, first: Any, home: LiveHub
) -> None:
    async with asyncio.TaskGroup() as group:
        works = group.create_task(console.bench.central.run_works())
        await home.raise_event("pendant_pressed")
        alarm = await the_alarm(console)
        page = (await first.get(f"/alarms/{alarm.id}")).text
        assert 'data-lamp="unsure"' in page or 'data-lamp="waiting"' in page
        await first.post(f"/api/v1/alarms/{alarm.id}/claim")
        async with asyncio.timeout(10):
            while 'data-lamp="taken"' not in (await first.get(f"/alarms/{alarm.id}")).text:
                await asyncio.sleep(0.02)
        works.cancel()
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert "Lampen hjemme: tatt" in page
    assert "Bekreftet" in page
    await console.bench.change(f"UPDATE alarm SET lamp_state = NULL, lamp_ms = NULL WHERE id = '{alarm.id}'")
    page = (await first.get(f"/alarms/{alarm.id}")).text
    assert "Lampen hjemme: ukjent" in page
    assert "lamp-taken" not in page


async def test_what_a_hub_calls_itself_cannot_become_markup(console: Any, first: Any, tore: Any) -> None:
    evil = '<img src=x onerror="alert(1)">'
    async with LiveHub(console.bench.central, evil) as hub:
        await hub.raise_event("pendant_pressed", device='"><script>')
        alarm = await the_alarm(console)
        for browser, path in ((first, "/"), (first, f"/alarms/{alarm.id}"), (tore, "/hubs"), (tore, f"/hubs/{hub.id}")):
            page = (await browser.get(path)).text
            assert "<img src=x" not in page, path
            assert "&lt;img src=x" in page, path
            assert "><script>" not in page, path


async def test_a_browser_follows_changes_and_beats_with_their_numbers(console: Any, first: Any, home: LiveHub) -> None:
    works = asyncio.create_task(console.bench.central.run_works())
    try:
        start = (await first.get("/api/v1/alarms")).json["feed_no"]
        async with first.stream(f"/api/v1/feed?console={CONSOLE_ID}&after={start}&sound=true") as event:
            assert (await event())["name"] == "beat"
            assert console.desk.onlookers.with_sound() == 1
            await home.raise_event("pendant_pressed")
            change = await event()
            while change["name"] == "beat":
                change = await event()
            assert (change["name"], change["topic"], change["what"]) == ("change", "alarm", "raised")
            assert change["no"] == change["id"] > start
            assert change["ref"] == (await the_alarm(console)).id
        assert console.desk.onlookers.connected() == 0
        async with first.stream(
            f"/api/v1/feed?console={CONSOLE_ID}", **{"last-event-id": str(change["no"] - 1)}
        ) as event:
            missed = await event()
            while missed["name"] == "beat":
                missed = await event()
            assert missed["no"] == change["no"]
    finally:
        works.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await works


async def test_a_beat_counts_the_open_alarms_as_the_list_does(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    works = asyncio.create_task(console.bench.central.run_works())
    try:
        async with first.stream(f"/api/v1/feed?console={CONSOLE_ID}") as event:
            beat = await event()
            while beat["name"] != "beat":
                beat = await event()
            assert beat["count"] == 1
            assert f'data-digest="{beat["hash"]}"' in (await first.get("/parts/queue")).text
    finally:
        works.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await works


async def test_a_stream_ends_with_its_session_and_says_so(console: Any, first: Any) -> None:
    works = asyncio.create_task(console.bench.central.run_works())
    try:
        async with first.stream(f"/api/v1/feed?console={CONSOLE_ID}") as event:
            while (await event())["name"] != "beat":
                pass
            await first.post("/sign-out")
            console.bench.clock.advance(6)
            name = (await event())["name"]
            while name == "beat":
                name = (await event())["name"]
            assert name == "ended"
    finally:
        works.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await works


async def test_one_account_cannot_hold_any_number_of_streams(console: Any, first: Any) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(12):
            await stack.enter_async_context(first.stream(f"/api/v1/feed?console={number:016x}"))
        async with asyncio.timeout(5):
            while console.desk.onlookers.connected() < 12:
                await asyncio.sleep(0.01)
        answer = await first.get(f"/api/v1/feed?console={CONSOLE_ID}")
        assert (answer.status, answer.json["reason"]) == (429, "too_many_streams")


async def test_a_claim_whose_page_is_gone_returns_and_says_so(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    alarm = await the_alarm(console)
    await first.post(f"/api/v1/alarms/{alarm.id}/claim")
    console.bench.clock.advance(80)
    assert (await first.post(f"/api/v1/alarms/{alarm.id}/renew")).status == 200
    console.bench.clock.advance(80)
    await console.services.alarms.sweep()
    assert (await the_alarm(console)).stage.word == "claimed"
    console.bench.clock.advance(11)
    await console.services.alarms.sweep()
    page = (await first.get("/")).text
    assert "Tilbake i køen" in page
    gone = await first.post(f"/api/v1/alarms/{alarm.id}/renew")
    assert gone.status == 409


async def test_an_alarm_that_is_not_there_is_answered_as_a_page_a_part_and_a_problem(first: Any) -> None:
    page = await first.get("/alarms/0123456789abcdef")
    assert (page.status, "Her er det ingenting" in page.text, "<html" in page.text) == (404, True, True)
    part = await first.get("/alarms/0123456789abcdef", headers={"hx-request": "true"})
    assert (part.status, "<html" in part.text) == (404, False)
    problem = await first.get("/api/v1/alarms/0123456789abcdef")
    assert (problem.status, problem.json["reason"]) == (404, "alarm")
    assert (await first.get("/api/v1/alarms/not-an-id")).status == 404


async def test_the_calm_page_counts_the_day_and_who_listens(console: Any, first: Any, home: LiveHub) -> None:
    assert "Ingen alarmer venter" in (await first.get("/")).text
    assert "1 av 1 huber" in (await first.get("/")).text
    await home.raise_event("pendant_pressed", ago_ms=30_000)
    await first.post("/api/v1/alarms/next")
    page = (await first.get("/")).text
    assert "1 av 1" in page
    assert "Ingen alarmer venter" in page


async def test_a_machine_that_answers_tests_never_disturbs_the_queue(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("test_alarm")
    assert (await first.get("/api/v1/alarms")).json["alarms"] == []
    assert "Køen er tom" in (await first.get("/")).text
    recent = (await console.services.alarms.recent())[0]
    actor = Actor(id="x", name="X", role=Role.RESPONDER)
    with pytest.raises(Exception, match="closed"):
        await console.services.alarms.claim(recent.id, actor)


async def test_everybody_sees_when_nobody_is_on_duty_with_sound(console: Any, first: Any) -> None:
    assert "Ingen på vakt med lyd" not in (await first.get("/parts/queue")).text
    await console.bench.change("DELETE FROM duty")
    assert "Ingen på vakt med lyd" in (await first.get("/parts/queue")).text
    assert (await first.get("/api/v1/duty")).json["is_covered"] is False
    answer = await first.post("/api/v1/duty", content={"console": CONSOLE_ID, "has_sound": True})
    assert answer.status == 204
    assert (await first.get("/api/v1/duty")).json["is_covered"] is True
    assert "Ingen på vakt med lyd" not in (await first.get("/parts/queue")).text


async def test_many_teams_without_sound_take_one_line_and_leave_the_alarms_in_sight(console: Any, first: Any) -> None:
    await console.bench.change("DELETE FROM duty")
    before = (await first.get("/parts/queue")).text.count("Ingen på vakt med lyd")
    assert 1 <= before <= 3
    for number in range(4):
        await console.services.people.places.add_team(
            Actor(id="x", name="X", role=Role.ADMINISTRATOR), f"Avdeling {number}", "ward"
        )
    said = re.findall(r"Ingen på vakt med lyd[^<]*", (await first.get("/parts/queue")).text)
    assert said == [f"Ingen på vakt med lyd: Avdeling 0, Avdeling 1 og {before + 2} til"]


async def test_an_alarm_that_has_gone_on_says_so(console: Any, first: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    console.bench.clock.advance(61)
    await Escalation(console.bench.store, console.bench.clock, Wakeup()).tick()
    assert "Gått videre til neste mottaker" in (await first.get("/parts/queue")).text
    assert (await first.get("/api/v1/alarms")).json["alarms"][0]["escalated"] == 1


async def test_who_was_told_over_which_way_is_said_on_the_alarm_and_in_the_event_log(
    console: Any, first: Any, other: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed")
    alarm = await the_alarm(console)
    team = (await console.services.store.fetch(teams))[0]

    async def work(connection: Any) -> None:
        now = console.services.clock.now_ms()
        content = {"channel": "sms", "team": team.id}
        await event_log.append(connection, now, "notified", SYSTEM, alarm=alarm.id, content=content)

    await console.services.store.transact(Priority.PEOPLE, work)
    page = await first.get(f"/alarms/{alarm.id}")
    assert (page.status, "Varslet på SMS" in page.text) == (200, True)
    log = await other.get("/log")
    assert (log.status, "Varslet på SMS" in log.text, f"team {team.name}" in log.text) == (200, True, True)
