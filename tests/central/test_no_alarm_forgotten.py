"""Whatever comes in which order: an alarm that waits has exactly one step running, and nothing is said twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import ActionError
from central.escalation.tick import Escalation, go_on
from central.metrics import Metrics
from central.notify.channel import ChannelError, Message
from central.notify.outgoing import Outgoing
from central.routing.plan import Channel, Plan, ReceiverKind, Step, Variant
from central.sql import Sql
from central.store import Priority
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from tests.central.conftest import ALWAYS_ON_DUTY, FIRST, SECOND, Bench

TEAM = "f" * 16
ALARMS = 3
STEPS = (
    Step(receiver=ReceiverKind.CENTRES, patience_s=30),
    Step(receiver=ReceiverKind.TEAM, team=TEAM, channels=(Channel.SMS, Channel.EMAIL), patience_s=40),
    Step(receiver=ReceiverKind.CENTRES, channels=(Channel.CONSOLE, Channel.SMS), patience_s=60),
)
ACTS = st.one_of(
    st.tuples(st.just("press"), st.integers(0, ALARMS - 1)),
    st.tuples(st.sampled_from(["claim", "release", "close", "undo", "go"]), st.integers(0, ALARMS - 1)),
    st.tuples(st.just("pass"), st.sampled_from([1, 11, 35, 95, 400])),
    st.tuples(st.just("tick"), st.integers(1, 3)),
    st.tuples(st.just("crash"), st.just(0)),
    st.tuples(st.just("sweep"), st.just(0)),
    st.tuples(st.just("send"), st.sampled_from(["ok", "later", "never"])),
    st.tuples(st.just("duty"), st.booleans()),
)


class Died(Exception):  # noqa: N818  # no error of anybody's: the process is gone
    """The process died here."""


class Carrier:
    """Takes what it is told to take, and counts."""

    def __init__(self) -> None:
        self.mood = "ok"
        self.taken: Counter[str] = Counter()

    async def send(self, _address: str, _message: Message, *, reference: str) -> str:
        if self.mood != "ok":
            raise ChannelError("no", is_final=self.mood == "never")
        self.taken[reference] += 1
        return f"out-{reference}"


class Night:
    """One central and everything that may happen to it."""

    def __init__(self, bench: Bench, hub: FrameHub) -> None:
        self.bench, self.hub = bench, hub
        self.carrier = Carrier()
        self.out = Outgoing(
            store=bench.store,
            clock=bench.clock,
            metrics=Metrics(),
            wakeup=Wakeup(),
            channels={"sms": self.carrier, "email": self.carrier},
            contacts=bench.services.people,
            public_url="https://vakt.example",
            give_up_ms=60_000,
        )
        self.alarms: dict[int, str] = {}

    async def act(self, what: str, value: Any) -> None:
        bench = self.bench
        match what:
            case "press":
                self.alarms[value] = (await bench.press(self.hub, device=f"pendant-{value}")).id
            case "pass":
                bench.clock.advance(value)
            case "tick":
                await asyncio.gather(*(Escalation(bench.store, bench.clock, Wakeup()).tick() for _ in range(value)))
            case "crash":
                await self.crash()
            case "sweep":
                await bench.alarms.sweep()
            case "send":
                self.carrier.mood = value
                await asyncio.gather(*(self.out.send_due(channel) for channel in ("sms", "email", "sms")))
            case "duty":
                await bench.change(ALWAYS_ON_DUTY if value else "DELETE FROM duty")
            case _ if value in self.alarms:
                await self.person(what, self.alarms[value])

    async def person(self, what: str, alarm: str) -> None:
        alarms = self.bench.alarms
        try:
            match what:
                case "claim":
                    await alarms.claim(alarm, FIRST)
                case "release":
                    await alarms.release(alarm, FIRST)
                case "close":
                    await alarms.close(alarm, FIRST, "cleared_by_phone", "anxiety")
                case "undo":
                    await alarms.undo(alarm, FIRST)
                case "go":
                    await alarms.claim(alarm, SECOND)
                    await alarms.on_the_way(alarm, SECOND)
        except ActionError:
            return

    async def crash(self) -> None:
        """A tick takes its steps and dies before the commit."""
        now = self.bench.clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            due = await Sql(
                "SELECT alarm, round, no, fence FROM escalation WHERE state = 'running' AND due_ms <= :now"
            ).rows(connection, now=now)
            for row in due:
                await go_on(connection, row, now)
            raise Died

        try:
            await self.bench.store.transact(Priority.PEOPLE, work)
        except Died:
            return

    async def check(self) -> None:
        rows = await self.bench.rows(
            "SELECT a.handling, (SELECT count(*) FROM escalation e WHERE e.alarm = a.id"
            " AND e.state IN ('due', 'running')), a.closed_ms FROM alarm a WHERE a.queue = 'personal'"
        )
        for handling, due, closed_ms in rows:
            assert due == (1 if handling == "waiting" and closed_ms is None else 0), (handling, due)
        assert not [reference for reference, count in self.carrier.taken.items() if count > 1]
        twice = await self.bench.rows(
            "SELECT alarm, step, channel, team, count(*) FROM notification WHERE what = 'alarm_waits'"
            " GROUP BY alarm, key, step, channel, team HAVING count(*) > 1"
        )
        assert twice == []


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=st.lists(ACTS, min_size=4, max_size=25))
async def test_no_order_of_presses_ticks_crashes_and_people_leaves_an_alarm_without_a_step(
    bench: Bench, hub: FrameHub, acts: list[tuple[str, Any]]
) -> None:
    content = Plan(name="Test", variants=(Variant(name="always", steps=STEPS),)).model_dump_json()
    async with bench.store.write() as connection:
        await Sql(
            "INSERT INTO team (id, kind, name, phone, email) VALUES (:id, 'patrol', 'Patrol', '+4790000001', 'a@b.no')"
            " ON CONFLICT DO NOTHING"
        ).rows(connection, id=TEAM)
        await Sql("UPDATE team SET phone = '+4790000002' WHERE kind = 'centre'").rows(connection)
        await Sql(
            "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
            " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test') ON CONFLICT DO NOTHING"
        ).rows(connection, content=content)
    night = Night(bench, hub)
    for what, value in [("press", 0), *acts]:
        await night.act(what, value)
        await night.check()
    await bench.change("DELETE FROM escalation")  # the next example begins with what this one left
    await bench.change("DELETE FROM notification")
    await bench.change("UPDATE alarm SET closed_ms = 1, handling = 'closed' WHERE closed_ms IS NULL")
