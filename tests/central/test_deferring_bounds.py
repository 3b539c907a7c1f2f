"""How long an alarm waits for a visit: for one that is near, until a time that is fixed, wherever it is moved."""

from __future__ import annotations

import pytest

from central.alarms.deferring import SLACK_MS
from central.errors import IncompleteError
from central.routing.plan import Plan, ReceiverKind, Step, Variant
from central.sql import Sql
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench
from tests.central.test_alarm_acts import now, taken, visit

HOUR_S = 3600


async def moved(bench: Bench, visit_id: str, by_s: float) -> None:
    by_ms = int(by_s * 1000)
    await bench.change(f"UPDATE visit SET from_ms = from_ms + {by_ms}, to_ms = to_ms + {by_ms} WHERE id = '{visit_id}'")


async def why(bench: Bench, alarm: str) -> list[str]:
    return [
        str(entry.content["why"])
        for entry in (await bench.alarms.alarm(alarm)).timeline
        if entry.what == "returned" and "why" in entry.content
    ]


async def test_an_alarm_waits_for_a_visit_of_the_next_day_and_round_and_for_none_after_that(
    bench: Bench, hub: FrameHub
) -> None:
    alarm = await taken(bench, hub)
    near = await visit(bench, "near", 23 * HOUR_S, HOUR_S)  # over when the day and round is
    far = await visit(bench, "far", 24 * HOUR_S)
    assert [planned.id for planned in await bench.alarms.visits(alarm)] == [near]
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.defer(alarm, FIRST, far)
    assert (told.value.reason, told.value.field, told.value.choices) == ("visit_too_far", "visit", (near,))
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.close(alarm, FIRST, "next_visit", "general_decline", visit=far)
    assert told.value.reason == "visit_too_far"
    assert (await bench.alarms.defer(alarm, FIRST, near)).stage.word == "deferred"


async def test_the_plan_of_the_alarm_says_how_far_off_a_visit_may_be(bench: Bench, hub: FrameHub) -> None:
    steps = (Step(receiver=ReceiverKind.CENTRES),)
    plan = Plan(name="Short", variants=(Variant(name="always", steps=steps),), defer_within_h=2)
    async with bench.store.write() as connection:
        await Sql(
            "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
            " VALUES ('1111111111111111', 1, '*', 'Short', :content, 'active', 0, 'test')"
        ).rows(connection, content=plan.model_dump_json())
    alarm = await taken(bench, hub)
    near, far = await visit(bench, "near", HOUR_S), await visit(bench, "far", 2 * HOUR_S)
    assert [planned.id for planned in await bench.alarms.visits(alarm)] == [near]
    with pytest.raises(IncompleteError):
        await bench.alarms.defer(alarm, FIRST, far)


async def test_until_when_it_waits_is_fixed_when_it_is_deferred(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    to = await visit(bench, "evening", HOUR_S, 1800)
    ends = bench.clock.now_ms() + 5400_000
    deferred = await bench.alarms.defer(alarm, FIRST, to)
    assert deferred.deferred_until_ms == ends + SLACK_MS
    await moved(bench, to, HOUR_S)
    assert await bench.alarms.sweep() == 0  # a little later: it waits on
    assert (await now(bench, alarm)).deferred_until_ms == ends + SLACK_MS


@pytest.mark.parametrize("at_once", [3601.0, 30 * HOUR_S])
async def test_a_visit_that_is_moved_too_far_brings_the_alarm_back_with_the_reason(
    bench: Bench, hub: FrameHub, at_once: float
) -> None:
    alarm = await taken(bench, hub)
    before = await now(bench, alarm)
    to = await visit(bench, "evening", HOUR_S, 1800)
    await bench.alarms.defer(alarm, FIRST, to)
    await moved(bench, to, at_once)
    assert await bench.alarms.sweep() == 1
    back = await now(bench, alarm)
    assert (back.stage.word, back.returned, back.sound_no) == ("waiting", 1, before.sound_no + 1)
    assert (back.deferred_visit, back.deferred_until_ms) == (None, None)
    assert await why(bench, alarm) == ["visit_moved"]
    assert await bench.value(f"SELECT state FROM visit WHERE id = '{to}'") == "planned"  # it is still to be made


async def test_a_visit_that_is_moved_little_by_little_takes_the_alarm_no_further(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    to = await visit(bench, "evening", HOUR_S, 1800)
    await bench.alarms.defer(alarm, FIRST, to)
    for _ in range(2):
        await moved(bench, to, HOUR_S / 2)
        assert await bench.alarms.sweep() == 0
    await moved(bench, to, 60)
    assert await bench.alarms.sweep() == 1
    assert await why(bench, alarm) == ["visit_moved"]


async def test_a_visit_that_is_called_off_brings_the_alarm_back(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    to = await visit(bench, "evening", HOUR_S)
    await bench.alarms.defer(alarm, FIRST, to)
    await bench.change(f"UPDATE visit SET state = 'cancelled' WHERE id = '{to}'")
    assert await bench.alarms.sweep() == 1
    assert await why(bench, alarm) == ["visit_cancelled"]


async def test_taking_back_a_close_takes_back_its_own_note_and_none_that_was_there_before(
    bench: Bench, hub: FrameHub
) -> None:
    alarm = await taken(bench, hub)
    near = await visit(bench, "near", HOUR_S, 1800)
    await bench.alarms.close(alarm, FIRST, "next_visit", "practical_help", "Ber om hjelp med støvlene", visit=near)
    bench.clock.advance(2 * HOUR_S)
    assert await bench.alarms.sweep() == 1
    await bench.alarms.claim(alarm, FIRST)
    await bench.alarms.close(alarm, FIRST, "cleared_by_phone", "practical_help")
    await bench.alarms.undo(alarm, FIRST)
    assert (await bench.read(alarm)).alarm.note == "Ber om hjelp med støvlene"
    await bench.alarms.close(alarm, FIRST, "cleared_by_phone", "practical_help", "Feil alarm")
    await bench.alarms.undo(alarm, FIRST)
    read = await bench.read(alarm)
    assert read.alarm.note is None
    (deferred,) = [entry for entry in read.timeline if entry.what == "deferred"]
    assert deferred.content["note"] == "Ber om hjelp med støvlene", "the history keeps what the outcome wrote over"
    (kept,) = await bench.rows("SELECT content FROM log_entry WHERE what = 'deferred'")
    assert "støvlene" not in kept[0]
