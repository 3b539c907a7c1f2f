"""Nurse calls: staff presence at the room claims, the reset there closes, where the ward says so and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from central.lifecycle import ROOM_MS
from central.views import AlarmView
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench

WARD = "0" * 15 + "b"


async def ward(bench: Bench, hub: FrameHub, rule: str = '{"presence_claims": true}') -> None:
    await bench.change(
        f"INSERT INTO unit (id, tenant, kind, name, settings) VALUES ('{WARD}', '{WARD}', 'ward', 'Ward 2', '{rule}')"
    )
    await bench.change(f"UPDATE hub SET unit = '{WARD}' WHERE id = '{hub.id.hex()}'")


async def call(bench: Bench, hub: FrameHub, kind: str = "nurse_call", **more: Any) -> AlarmView:
    sealed = hub.seal(kind, device="room-4", resident=None, **more)
    await bench.tell(hub, sealed)
    return await bench.alarm_of(sealed)


async def at_room(bench: Bench, hub: FrameHub, kind: str, device: str = "room-4", **more: Any) -> None:
    await bench.tell(hub, hub.seal(kind, device=device, resident=None, **more))


async def now(bench: Bench, alarm: AlarmView) -> AlarmView:
    return (await bench.alarms.alarm(alarm.id)).alarm


async def test_presence_takes_the_call_and_the_reset_closes_it_and_the_lamp_is_told(
    bench: Bench, hub: FrameHub
) -> None:
    await ward(bench, hub)
    alarm = await call(bench, hub)
    bench.clock.advance(5)
    await at_room(bench, hub, "nurse_presence")
    taken = await now(bench, alarm)
    assert (taken.stage.word, taken.owner, taken.stage.reply.name) == ("claimed", "room", "TAKEN")
    assert await bench.value(f"SELECT count(*) FROM outbox WHERE ref = '{alarm.id}'") >= 2
    open_steps = f"SELECT count(*) FROM escalation WHERE alarm = '{alarm.id}' AND state IN ('due', 'running')"
    assert await bench.value(open_steps) == 0
    await at_room(bench, hub, "nurse_reset")
    closed = await now(bench, alarm)
    assert (closed.stage.word, closed.outcome, closed.disposition) == ("closed", "seen_at_room", "visit_now")
    said = [entry.what for entry in (await bench.alarms.alarm(alarm.id)).timeline]
    assert [word for word in said if word in {"raised", "claimed", "closed"}] == ["raised", "claimed", "closed"]


@pytest.mark.parametrize("rule", ["{}", '{"presence_claims": false}', '{"presence_claims": "yes"}', "not json"])
async def test_where_the_ward_does_not_say_so_a_person_answers(bench: Bench, hub: FrameHub, rule: str) -> None:
    await ward(bench, hub, rule)
    alarm = await call(bench, hub)
    await at_room(bench, hub, "nurse_presence")
    await at_room(bench, hub, "nurse_reset")
    assert (await now(bench, alarm)).stage.word == "waiting"


async def test_no_rule_closes_what_is_not_a_nurse_call_or_is_in_another_room(bench: Bench, hub: FrameHub) -> None:
    await ward(bench, hub)
    fall = await call(bench, hub, "fall")
    other = await call(bench, hub)
    await at_room(bench, hub, "nurse_presence", device="room-5")
    assert (await now(bench, other)).stage.word == "waiting"
    await at_room(bench, hub, "nurse_reset")
    assert (await now(bench, other)).stage.word == "closed"
    assert (await now(bench, fall)).stage.word == "waiting"


async def test_what_was_heard_before_the_last_press_does_not_answer_it(bench: Bench, hub: FrameHub) -> None:
    await ward(bench, hub)
    before = hub.seal("nurse_presence", device="room-4", resident=None)
    reset = hub.seal("nurse_reset", device="room-4", resident=None)
    alarm = await call(bench, hub)
    await bench.change("UPDATE event SET boot_ms = boot_ms + 5000")
    await bench.tell(hub, before, reset)  # they come late, and tell of a time before the call
    assert (await now(bench, alarm)).stage.word == "waiting"


async def test_staff_who_do_not_reset_do_not_keep_the_call_for_ever(bench: Bench, hub: FrameHub) -> None:
    await ward(bench, hub)
    alarm = await call(bench, hub)
    await at_room(bench, hub, "nurse_presence")
    bench.clock.advance(ROOM_MS / 1000 + 1)
    assert await bench.alarms.sweep() == 1
    assert (await now(bench, alarm)).stage.word == "waiting"


async def test_presence_does_not_take_the_call_from_a_person_and_the_reset_ends_it_for_both(
    bench: Bench, hub: FrameHub
) -> None:
    await ward(bench, hub)
    alarm = await call(bench, hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await at_room(bench, hub, "nurse_presence")
    assert (await now(bench, alarm)).owner == FIRST.id
    await at_room(bench, hub, "nurse_reset")
    assert (await now(bench, alarm)).stage.word == "closed"
