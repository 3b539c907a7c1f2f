"""Notes on an open alarm: by who has it or leads there, sealed, with author and time, and never lost or changed."""

from __future__ import annotations

from typing import Any

import pytest

from central.access import EVERYTHING
from central.errors import Conflict, IncompleteError
from central.people.words import is_sealed
from central.views import Actor, Legible
from tests.central.test_alarm_acts import PATROL, taken, team

FIRST = Actor(id="first", name="Operator One", role="responder")
SECOND = Actor(id="second", name="Operator Two", role="responder")
LEAD = Actor(id="lead", name="Lead One", role="lead")


async def noted(bench: Any, alarm: str) -> list[tuple[str, str]]:
    detail = await bench.alarms.read(await bench.alarms.alarm(alarm), FIRST, EVERYTHING)
    return [(one.actor_name, one.content["note"]) for one in detail.timeline if one.what == "noted"]


async def test_notes_stand_in_the_history_with_their_author_and_time(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    claimed = await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(30)
    after = await bench.alarms.note(alarm.id, FIRST, "  Datteren er på vei. \n Ring henne  ", version=claimed.version)
    assert after.version == claimed.version + 1
    assert after.owner == FIRST.id
    await bench.alarms.note(alarm.id, LEAD, "Legevakten er varslet", is_lead=True)
    assert await noted(bench, alarm.id) == [
        ("Operator One", "Datteren er på vei.\n Ring henne"),
        ("Lead One", "Legevakten er varslet"),
    ]
    entry = next(one for one in (await bench.alarms.alarm(alarm.id)).timeline if one.what == "noted")
    assert entry.at_ms == bench.clock.now_ms()


async def test_what_was_noted_is_sealed_and_opened_only_for_who_may_read_it(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.note(alarm.id, FIRST, "Hemmelig kanarifugl")
    entry = next(one for one in (await bench.alarms.alarm(alarm.id)).timeline if one.what == "noted")
    assert is_sealed(entry.content["note"])
    assert "kanarifugl" not in str(await bench.rows("SELECT content FROM log_entry"))
    read = await bench.alarms.read(await bench.alarms.alarm(alarm.id), FIRST, EVERYTHING)
    assert read.alarm.words is Legible.OPENED


@pytest.mark.parametrize(
    ("text", "reason"), [("", "note_missing"), (" \n ", "note_missing"), ("x" * 1001, "note_too_long")]
)
async def test_a_note_that_says_nothing_or_too_much_is_refused(bench: Any, hub: Any, text: str, reason: str) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.note(alarm.id, FIRST, text)
    assert (told.value.reason, told.value.field) == (reason, "note")
    assert await noted(bench, alarm.id) == []


async def test_who_goes_there_notes_what_they_see_once_they_have_said_yes(bench: Any, hub: Any) -> None:
    driver = PATROL[0]
    patrol = await team(bench, "patrol", *PATROL)
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.note(alarm, driver, "Ligger i gangen")
    await bench.alarms.dispatch_step(sent.id, driver, "accepted")
    await bench.alarms.note(alarm, driver, "Ligger i gangen")
    assert await noted(bench, alarm) == [(driver.name, "Ligger i gangen")]


async def test_nobody_else_notes_anything_and_a_closed_alarm_takes_no_more(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    with pytest.raises(Conflict, match="not_claimed"):
        await bench.alarms.note(alarm.id, FIRST, "Ringt")
    claimed = await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.note(alarm.id, SECOND, "Ringt")
    await bench.alarms.note(alarm.id, FIRST, "Ringt")
    with pytest.raises(Conflict, match="stale"):
        await bench.alarms.note(alarm.id, FIRST, "Ringt igjen", version=claimed.version)
    await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "anxiety")
    for actor, leads in ((FIRST, False), (LEAD, True)):
        with pytest.raises(Conflict, match="closed"):
            await bench.alarms.note(alarm.id, actor, "For sent", is_lead=leads)
    assert await noted(bench, alarm.id) == [("Operator One", "Ringt")]
