"""An alarm that nobody answers goes on to the next receiver, once each time, and for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from central.escalation import begin as beginning
from central.escalation.tick import Escalation
from central.routing.plan import Channel, Plan, ReceiverKind, Step, Variant, WeekHours
from central.sql import Sql
from central.store import Priority
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench, OpenBench

CENTRE, PATROL = "c" * 16, "d" * 16


async def run(bench: Bench, statement: str, **parameters: Any) -> list[Any]:
    async with bench.store.write() as connection:
        return await Sql(statement).rows(connection, **parameters)


async def team(bench: Bench, team_id: str, kind: str, phone: str = "", email: str = "") -> None:
    await run(
        bench,
        "INSERT INTO team (id, kind, name, phone, email) VALUES (:id, :kind, :name, :phone, :email)",
        id=team_id, kind=kind, name=f"Team {team_id[0]}", phone=phone, email=email,
    )  # fmt: skip


async def plan(bench: Bench, *steps: Step) -> None:
    await plans(bench, Plan(name="Test", variants=(Variant(name="always", steps=steps),)))


async def plans(bench: Bench, content: Plan) -> None:
    await run(
        bench,
        "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
        " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')",
        content=content.model_dump_json(),
    )


async def on_duty(bench: Bench, account: str = "first", *teams: str, has_sound: bool = True) -> None:
    """A row as a console on duty writes it; it counts for 15 s."""
    for name in teams or ("",):
        await run(
            bench,
            "INSERT INTO duty (account, console, team, account_name, has_sound, since_ms, seen_ms)"
            " VALUES (:account, 'abcdef12', :team, 'Operator', :has_sound, :now, :now)"
            " ON CONFLICT (account, console, team) DO UPDATE SET seen_ms = excluded.seen_ms",
            account=account, team=name, has_sound=has_sound, now=bench.clock.now_ms(),
        )  # fmt: skip


@pytest.fixture(autouse=True)
async def nobody_on_duty(bench: Bench) -> None:
    await bench.change("DELETE FROM duty")


def escalation(bench: Bench) -> Escalation:
    return Escalation(bench.store, bench.clock, Wakeup())


async def steps(bench: Bench, alarm: str) -> list[tuple[Any, ...]]:
    rows = await bench.rows(f"SELECT round, no, state, why FROM escalation WHERE alarm = '{alarm}' ORDER BY round, no")
    return [tuple(row) for row in rows]


async def told(bench: Bench, alarm: str) -> list[tuple[Any, ...]]:
    rows = await bench.rows(
        f"SELECT channel, what, state FROM notification WHERE alarm = '{alarm}' AND channel <> 'console'"
        " ORDER BY made_ms, step, channel, what"
    )
    return [tuple(row) for row in rows]


async def words(bench: Bench, alarm: str) -> list[str]:
    return [entry.what for entry in (await bench.alarms.alarm(alarm)).timeline]


async def answer(bench: Bench, alarm: str, by: Any = "claimed") -> None:
    await bench.alarms.claim(alarm, FIRST)
    await bench.store.transact(
        Priority.PEOPLE,
        lambda connection: beginning.answered(connection, alarm, bench.clock.now_ms(), by=by),
    )


def at_consoles(team_id: str = CENTRE, patience_s: int = 60) -> Step:
    return Step(receiver=ReceiverKind.TEAM, team=team_id, patience_s=patience_s)


def by_phone(team_id: str = PATROL, patience_s: int = 60) -> Step:
    return Step(receiver=ReceiverKind.TEAM, team=team_id, channels=(Channel.SMS,), patience_s=patience_s)


async def test_a_press_begins_the_default_plan_in_the_transaction_that_stores_it(bench: Bench, hub: FrameHub) -> None:
    await on_duty(bench)
    alarm = await bench.press(hub)
    assert await steps(bench, alarm.id) == [(1, 0, "running", "")]
    assert (
        await bench.value(f"SELECT due_ms FROM escalation WHERE alarm = '{alarm.id}'") == bench.clock.now_ms() + 60_000
    )
    snapshot = json.loads(await bench.value(f"SELECT snapshot FROM alarm_plan WHERE alarm = '{alarm.id}'"))
    assert snapshot["plan"]["name"] == "default"
    assert await words(bench, alarm.id) == ["raised"]


async def test_an_alarm_that_nobody_answers_goes_on_sounds_again_and_never_runs_out_of_steps(
    bench: Bench, hub: FrameHub
) -> None:
    await team(bench, CENTRE, "centre")
    await team(bench, PATROL, "patrol", phone="+4799999999")
    await plan(bench, at_consoles(), by_phone(patience_s=120))
    await on_duty(bench, "first", CENTRE)
    alarm = await bench.press(hub)
    ticking = escalation(bench)
    bench.clock.advance(59)
    assert await ticking.tick() == 0
    bench.clock.advance(2)
    assert await ticking.tick() == 1
    assert await ticking.tick() == 0
    later = (await bench.alarms.alarm(alarm.id)).alarm
    assert (later.sound_no, later.version) == (alarm.sound_no + 1, alarm.version + 1)
    assert await steps(bench, alarm.id) == [(1, 0, "failed", "no_answer"), (1, 1, "running", "")]
    assert await told(bench, alarm.id) == [("sms", "alarm_waits", "pending")]
    receivers = await bench.rows(f"SELECT team FROM alarm_receiver WHERE alarm = '{alarm.id}' ORDER BY team")
    assert [row[0] for row in receivers] == [CENTRE, PATROL]
    for _ in range(3):
        bench.clock.advance(121)
        assert await ticking.tick() == 1
    assert [row[2] for row in await steps(bench, alarm.id)] == ["failed"] * 4 + ["running"]
    assert await words(bench, alarm.id) == ["raised"] + ["escalated"] * 4


async def test_a_team_without_a_console_that_sounds_is_passed_over_at_once_and_its_telephone_is_told(
    bench: Bench, hub: FrameHub
) -> None:
    await team(bench, CENTRE, "centre", phone="+4790000001")
    await team(bench, PATROL, "patrol", phone="+4790000002")
    await plan(bench, at_consoles(), by_phone())
    await on_duty(bench, "first", CENTRE, has_sound=False)
    await on_duty(bench, "second", PATROL)
    alarm = await bench.press(hub)
    assert await steps(bench, alarm.id) == [(1, 0, "failed", "nobody_with_sound"), (1, 1, "running", "")]
    assert sorted(await told(bench, alarm.id)) == [
        ("sms", "alarm_waits", "pending"),
        ("sms", "nobody_on_duty", "pending"),
    ]
    assert "nobody_with_sound" in await words(bench, alarm.id)


async def test_technicians_with_sound_are_nobody_who_hears_an_alarm(bench: Bench, hub: FrameHub) -> None:
    await run(bench, "DELETE FROM duty")
    await team(bench, PATROL, "technical")
    await on_duty(bench, "tore", PATROL)
    alarm = await bench.press(hub)  # no centre is set up: everybody at consoles is asked
    assert (1, 0, "failed", "nobody_with_sound") in await steps(bench, alarm.id)


async def test_a_console_that_was_not_seen_for_fifteen_seconds_is_not_on_duty(bench: Bench, hub: FrameHub) -> None:
    await team(bench, CENTRE, "centre")
    await plan(bench, at_consoles(), by_phone(CENTRE))
    await on_duty(bench, "first", CENTRE)
    bench.clock.advance(15)
    alarm = await bench.press(hub)
    assert (1, 0, "failed", "nobody_with_sound") in await steps(bench, alarm.id)


async def test_the_last_step_stands_even_when_it_reaches_nobody(bench: Bench, hub: FrameHub) -> None:
    await team(bench, CENTRE, "centre")
    await plan(bench, at_consoles())
    alarm = await bench.press(hub)
    assert await steps(bench, alarm.id) == [(1, 0, "running", "nobody_with_sound")]
    bench.clock.advance(61)
    assert await escalation(bench).tick() == 1
    assert (await steps(bench, alarm.id))[-1] == (1, 1, "running", "nobody_with_sound")


async def test_taking_it_ends_what_is_due_and_tells_those_who_were_called(bench: Bench, hub: FrameHub) -> None:
    await team(bench, PATROL, "patrol", phone="+4799999999")
    await plan(bench, by_phone())
    alarm = await bench.press(hub)
    await run(bench, "UPDATE notification SET state = 'sent' WHERE channel = 'sms'")
    await answer(bench, alarm.id)
    assert await steps(bench, alarm.id) == [(1, 0, "done", "claimed")]
    assert await told(bench, alarm.id) == [("sms", "alarm_waits", "sent"), ("sms", "taken", "pending")]
    bench.clock.advance(3600)
    assert await escalation(bench).tick() == 0
    await answer(bench, alarm.id, "closed")
    assert len(await told(bench, alarm.id)) == 2


async def test_what_was_not_said_yet_is_not_said_once_somebody_has_it(bench: Bench, hub: FrameHub) -> None:
    await team(bench, PATROL, "patrol", phone="+4799999999")
    await plan(bench, by_phone())
    alarm = await bench.press(hub)
    await answer(bench, alarm.id)
    assert await told(bench, alarm.id) == [("sms", "alarm_waits", "cancelled")]


async def test_an_alarm_that_comes_back_begins_a_new_round_of_the_plan_it_had(bench: Bench, hub: FrameHub) -> None:
    await team(bench, CENTRE, "centre")
    await plan(bench, at_consoles())
    await on_duty(bench, "first", CENTRE)
    alarm = await bench.press(hub)
    await answer(bench, alarm.id)
    await run(bench, "UPDATE plan SET state = 'ended'")
    await bench.alarms.release(alarm.id, FIRST)
    await escalation(bench).heal()
    assert await steps(bench, alarm.id) == [(1, 0, "done", "claimed"), (2, 0, "running", "")]
    assert await bench.value(f"SELECT escalation_round FROM alarm WHERE id = '{alarm.id}'") == 2
    snapshot = json.loads(await bench.value(f"SELECT snapshot FROM alarm_plan WHERE alarm = '{alarm.id}'"))
    assert snapshot["plan"]["name"] == "Test"


async def test_many_processes_that_tick_at_once_take_each_step_once(
    bench: Bench, hub: FrameHub, open_bench: OpenBench
) -> None:
    alarms = [await bench.press(hub, device=f"pendant-{n}") for n in range(6)]
    bench.clock.advance(600)
    before = [len(await steps(bench, alarm.id)) for alarm in alarms]
    await asyncio.gather(*(escalation(bench).tick() for _ in range(4)))
    assert [len(await steps(bench, alarm.id)) for alarm in alarms] == [count + 1 for count in before]
    for alarm in alarms:
        assert (await words(bench, alarm.id)).count("escalated") == 1


async def test_a_waiting_alarm_without_a_plan_is_given_one(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await run(bench, "DELETE FROM escalation")
    assert await escalation(bench).heal() == 1
    assert await escalation(bench).heal() == 0
    assert [row[2] for row in await steps(bench, alarm.id)][-1] == "running"


async def contacts(bench: Bench, *agreements: dict[str, Any]) -> None:
    for position, agreement in enumerate(agreements):
        await run(
            bench,
            "INSERT INTO contact (id, resident, position, sealed, agreement, source, as_of_ms, written_ms, written_by)"
            " VALUES (:id, 'r-000001', :position, :sealed, :agreement, 'test', 0, 0, 'test')",
            id=f"{position:016x}", position=position, sealed=b"", agreement=json.dumps(agreement),
        )  # fmt: skip


async def test_next_of_kin_are_asked_in_order_as_far_as_they_have_agreed(bench: Bench, hub: FrameHub) -> None:
    await team(bench, CENTRE, "centre", phone="+4790000001")
    kin = Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,), patience_s=100)
    await plan(bench, kin, by_phone(CENTRE))
    await contacts(bench, {"services": ["MD"]}, {"services": ["TA"]}, {"services": ["TA"]}, {})
    alarm = await bench.press(hub, resident="r-000001")
    rows = await bench.rows("SELECT contact, next_ms FROM notification ORDER BY next_ms")
    now = bench.clock.now_ms()
    assert [tuple(row) for row in rows] == [(f"{1:016x}", now), (f"{2:016x}", now + 50_000)]
    bench.clock.advance(101)
    await escalation(bench).tick()
    assert (await steps(bench, alarm.id))[0] == (1, 0, "failed", "no_answer")
    assert ("sms", "alarm_waits", "pending") in await told(bench, alarm.id)


async def test_next_of_kin_who_have_agreed_to_other_hours_are_not_called_and_the_next_step_begins(
    bench: Bench, hub: FrameHub
) -> None:
    await team(bench, CENTRE, "centre", phone="+4790000001")
    kin = Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,))
    await plan(bench, kin, by_phone(CENTRE))
    never = {"days": [], "begin": 0, "to": 0}
    await contacts(bench, {"services": ["TA"], "hours": [never]}, {"services": ["GPS"]})
    alarm = await bench.press(hub, resident="r-000001")
    assert await steps(bench, alarm.id) == [(1, 0, "failed", "no_receiver"), (1, 1, "running", "")]


async def test_the_hour_decides_which_steps_hold(bench: Bench, hub: FrameHub) -> None:
    await team(bench, CENTRE, "centre")
    await team(bench, PATROL, "patrol", phone="+4790000002")
    night: Sequence[WeekHours] = (WeekHours(begin=22 * 60, to=7 * 60),)
    await plans(
        bench,
        Plan(
            name="Test",
            variants=(
                Variant(name="night", hours=tuple(night), steps=(by_phone(),)),
                Variant(name="day", steps=(at_consoles(),)),
            ),
        ),
    )
    bench.clock.wall_ms = 1_795_226_400_000  # a day in November, 03:00 in Norway
    alarm = await bench.press(hub)
    assert await bench.value(f"SELECT variant FROM alarm_plan WHERE alarm = '{alarm.id}'") == "night"
