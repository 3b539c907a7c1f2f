"""Many faults of one area are one row for people, with an owner and an end; nothing personal is ever in it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central import event_log
from central.access import EVERYTHING, Scope
from central.errors import Conflict, IncompleteError, NotFoundError
from central.lifecycle import Queue
from central.technical.cells import Cell, Dimension
from central.technical.incidents import Incident, Incidents
from tests.central.conftest import FIRST, SECOND


@pytest.fixture
def incidents(bench: Any) -> Incidents:
    return bench.services.incidents


async def the_incident(incidents: Incidents) -> Incident:
    (found,) = await incidents.open(EVERYTHING)
    return found


async def test_a_zone_without_power_is_one_incident_with_the_critical_ones_counted(bench, area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(30, critical=2)
    alarms = await area.fail(hubs[:25])
    assert await area.sweep() == 25
    found = await the_incident(incidents)
    assert (found.cell, found.kind, found.place) == (Cell(Dimension.UNIT, "u1"), "no_contact", "Sone u1")
    assert (found.count, found.critical, found.size, found.still_open) == (25, 2, 30, 25)
    assert (found.tenant, found.unit, found.rank) == ("t1", "u1", 4)
    rows = await bench.rows("SELECT id, incident FROM alarm WHERE queue = 'technical'")
    assert {row[0]: row[1] for row in rows} == dict.fromkeys(alarms, found.id)
    assert await area.sweep() == 0


async def test_twenty_are_no_incident(bench, area, incidents) -> None:
    await area.unit()
    await area.fail(await area.hubs(20))
    assert await area.sweep() == 0
    assert await incidents.open(EVERYTHING) == []
    assert len(await bench.kinds(Queue.TECHNICAL)) == 20


async def test_more_of_the_same_join_it_and_later_ones_do_not(bench, area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(40)
    await area.fail(hubs[:25])
    await area.sweep()
    await area.fail(hubs[25:28], "hub_silent")
    assert await area.sweep() == 3
    assert (await the_incident(incidents)).count == 28
    bench.clock.advance(130)
    await area.fail(hubs[28:30])
    assert await area.sweep() == 0


async def test_usual_faults_raise_the_bar(bench, area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(60)
    start = bench.clock.now_ms() - 20 * 3_600_000
    # 8,000 in a day are 11 in two minutes: five times that is the bar.
    await bench.change(
        "INSERT INTO alarm (id, queue, kind, alarm_class, rank, first_rank, hub, fold_key, happened_ms, raised_ms,"
        " last_event_ms, closed_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000)"
        f" SELECT 'x' || i, 'technical', 'mains_lost', 4, 5, 5, '{hubs[0]}', 'x' || i, {start}, {start}, {start},"
        f" {start} FROM n"
    )
    await area.fail(hubs[:54])
    assert await area.sweep() == 0
    await area.fail(hubs[54:57])
    assert await area.sweep() == 57


async def test_it_ends_with_its_members_and_nobody_needs_to_touch_it(bench, area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(25)
    await area.fail(hubs)
    await area.sweep()
    await area.mend(hubs[:20])
    await area.sweep()
    assert (await the_incident(incidents)).still_open == 5
    await area.mend(hubs[20:])
    await area.sweep()
    assert await incidents.open(EVERYTHING) == []
    (closed,) = await incidents.closed(EVERYTHING)
    assert (closed.outcome, closed.closed_by) == ("condition_cleared", "Vaktpost")
    words = await bench.rows("SELECT what FROM log_entry WHERE what LIKE 'incident%' ORDER BY no")
    assert [row[0] for row in words] == ["incident_opened", "incident_over"]
    assert (await event_log.verify(bench.store)).is_whole


async def test_one_that_somebody_has_is_over_but_waits_for_their_outcome_and_lives_again(area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(60)
    await area.fail(hubs[:25])
    await area.sweep()
    taken = await incidents.claim((await the_incident(incidents)).id, FIRST, EVERYTHING)
    await area.mend(hubs[:25])
    await area.sweep()
    over = await incidents.one(taken.id, EVERYTHING)
    assert (over.state, over.owner_name, over.still_open) == ("over", "Operator One", 0)
    await area.fail(hubs[25:50])
    await area.sweep()
    again = await incidents.one(taken.id, EVERYTHING)
    assert (again.state, again.count, again.still_open) == ("open", 50, 25)


async def test_of_many_who_take_it_one_has_it(area, incidents) -> None:
    await area.unit()
    await area.fail(await area.hubs(25))
    await area.sweep()
    found = await the_incident(incidents)
    answers = await asyncio.gather(
        *(incidents.claim(found.id, actor, EVERYTHING) for actor in (FIRST, SECOND) * 5), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, Conflict)]
    assert len(refused) == 5
    owner = (await incidents.one(found.id, EVERYTHING)).owner_name
    assert {error.holder.name for error in refused if error.holder} == {owner}


async def test_closing_needs_the_claim_and_an_outcome_and_closes_what_is_left(bench, area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(26)
    alarms = await area.fail(hubs)
    await area.sweep()
    found = await the_incident(incidents)
    with pytest.raises(Conflict, match="not_claimed"):
        await incidents.close(found.id, FIRST, EVERYTHING, "power_restored", version=found.version)
    version = (await incidents.claim(found.id, FIRST, EVERYTHING)).version
    with pytest.raises(IncompleteError):
        await incidents.close(found.id, FIRST, EVERYTHING, "", version=version)
    await bench.alarms.claim(alarms[0], SECOND)  # one by name: it stays with who has it
    await incidents.close(found.id, FIRST, EVERYTHING, "power_restored", "Transformatoren er byttet.", version=version)
    await area.sweep()
    rows = await bench.rows("SELECT id, closed_by, outcome, incident FROM alarm WHERE closed_ms IS NOT NULL")
    assert {row[0] for row in rows} == set(alarms[1:])
    assert {tuple(row[1:]) for row in rows} == {("Operator One", "power_restored", found.id)}
    left = (await bench.alarms.alarm(alarms[0])).alarm
    assert (left.owner_name, left.incident) == ("Operator Two", None)
    assert len(await bench.rows("SELECT 1 FROM log_entry WHERE what = 'closed_with_incident'")) == 25
    assert (await event_log.verify(bench.store)).is_whole


async def test_faults_that_come_while_a_note_is_written_do_not_refuse_it(area, incidents) -> None:
    await area.unit()
    hubs = await area.hubs(60)
    await area.fail(hubs[:25])
    await area.sweep()
    found = await the_incident(incidents)
    await area.fail(hubs[25:50])
    await area.sweep()
    grown = await the_incident(incidents)
    assert (grown.id, grown.count) == (found.id, 50)
    assert grown.version > found.version
    noted = await incidents.note(found.id, FIRST, EVERYTHING, "Ringt netteier.", version=found.version)
    assert noted.note == "Ringt netteier."
    with pytest.raises(Conflict, match="written_meanwhile"):
        await incidents.note(found.id, SECOND, EVERYTHING, "Ingen svar.", version=noted.version + 1)


async def test_two_notes_at_once_and_neither_is_lost_in_silence(area, incidents) -> None:
    await area.unit()
    await area.fail(await area.hubs(25))
    await area.sweep()
    found = await the_incident(incidents)
    await incidents.note(found.id, FIRST, EVERYTHING, "Ringt netteier.", version=found.version)
    with pytest.raises(Conflict) as refused:
        await incidents.note(found.id, SECOND, EVERYTHING, "Ingen svar.", version=found.version)
    assert (refused.value.current or {})["note"] == "Ringt netteier."
    assert refused.value.yours == {"note": "Ingen svar."}


async def test_another_tenants_incident_does_not_exist(area, incidents) -> None:
    await area.unit()
    await area.fail(await area.hubs(25))
    await area.sweep()
    found = await the_incident(incidents)
    elsewhere = Scope(tenants=frozenset({"t2"}))
    assert await incidents.open(elsewhere) == []
    with pytest.raises(NotFoundError):
        await incidents.claim(found.id, SECOND, elsewhere)
    assert [one.id for one in await incidents.open(Scope(units=frozenset({"u1"}), tenants=frozenset()))] == [found.id]


async def test_nothing_personal_is_ever_in_one(bench, area, incidents, hub) -> None:
    await area.unit()
    await bench.change("UPDATE hub SET unit = 'u1', tenant = 't1'")
    presses = [await bench.press(hub, device=f"pendant-{number}") for number in range(30)]
    await area.fail(await area.hubs(25, first=1000))
    await area.sweep()
    assert (await the_incident(incidents)).count == 25
    rows = await bench.rows("SELECT id FROM alarm WHERE queue = 'personal' AND incident IS NULL AND closed_ms IS NULL")
    assert {row[0] for row in rows} == {alarm.id for alarm in presses}


async def test_a_device_that_comes_and_goes_three_times_a_minute_is_marked(bench, area) -> None:
    (one,) = await area.hubs(1)
    await area.fail([one], "device_missing", device="d1")
    bench.clock.advance(10)
    await area.mend([one], "device_missing", device="d1")
    bench.clock.advance(10)
    (again,) = await area.fail([one], "device_missing", device="d1")
    assert await bench.value(f"SELECT chatters FROM alarm WHERE id = '{again}'")
    await area.mend([one], "device_missing", device="d1")
    bench.clock.advance(90)
    (later,) = await area.fail([one], "device_missing", device="d1")
    assert not await bench.value(f"SELECT chatters FROM alarm WHERE id = '{later}'")
