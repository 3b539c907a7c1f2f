"""After a restart of central the consoles that were there before it are waited for: briefly, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from central.escalation.seen import COMEBACK_MS
from central.escalation.tick import Escalation
from central.routing.plan import Channel, Plan, ReceiverKind, Step, Variant
from central.sql import Sql
from central.views import AlarmView
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from tests.central.conftest import Bench, ManualClock, OpenBench

CENTRE, CONSOLE = "c" * 16, "0011223344556677"
AWAY_S = 90


class After:
    """A central that was away for a while, with a plan of one team at its consoles, then its telephone."""

    def __init__(self, open_bench: OpenBench, clock: ManualClock) -> None:
        self._open = open_bench
        self.clock = clock

    @asynccontextmanager
    async def restart(self, *steps: Step, away_s: float = AWAY_S) -> AsyncIterator[tuple[Bench, FrameHub]]:
        async with self._open() as bench:
            await self._set_up(bench, steps)
            hub = await bench.enrolled()
            await bench.services.duty.set("anna", CONSOLE, has_sound=True)
        self.clock.advance(away_s)
        async with self._open() as bench:
            await bench.change("DELETE FROM duty WHERE account = 'nightwatch'")
            yield bench, hub

    @staticmethod
    async def _set_up(bench: Bench, steps: tuple[Step, ...]) -> None:
        content = Plan(name="Test", variants=(Variant(name="always", steps=steps),)).model_dump_json()
        async with bench.store.write() as connection:
            await Sql("DELETE FROM duty").rows(connection)
            await Sql("UPDATE team SET state = 'ended'").rows(connection)
            await Sql("INSERT INTO team (id, kind, name, phone) VALUES (:id, 'centre', 'Desk', '+4790000001')").rows(
                connection, id=CENTRE
            )
            await Sql(
                "INSERT INTO user_account (id, name, role, created_ms) VALUES ('anna', 'Anna', 'responder', 0)"
            ).rows(connection)
            await Sql(
                "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
                " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')"
            ).rows(connection, content=content)


@pytest.fixture
def after(open_bench: OpenBench, clock: ManualClock) -> After:
    return After(open_bench, clock)


def at_consoles(patience_s: int = 60, *more: Channel) -> Step:
    return Step(receiver=ReceiverKind.TEAM, team=CENTRE, channels=(Channel.CONSOLE, *more), patience_s=patience_s)


BY_PHONE = Step(receiver=ReceiverKind.TEAM, team=CENTRE, channels=(Channel.SMS,), patience_s=120)


async def steps(bench: Bench, alarm: AlarmView) -> list[tuple[Any, ...]]:
    rows = await bench.rows(f"SELECT no, state, why, due_ms FROM escalation WHERE alarm = '{alarm.id}' ORDER BY no")
    return [tuple(row) for row in rows]


async def told(bench: Bench) -> list[str]:
    return [row[0] for row in await bench.rows("SELECT what FROM feed WHERE topic = 'duty' ORDER BY no")]


async def texts(bench: Bench) -> list[str]:
    return [row[0] for row in await bench.rows("SELECT what FROM notification WHERE channel = 'sms' ORDER BY what")]


def tick(bench: Bench) -> Any:
    return Escalation(bench.store, bench.clock, Wakeup()).tick()


async def test_nobody_is_missed_while_the_consoles_may_still_come_back(after: After) -> None:
    async with after.restart(at_consoles(), BY_PHONE) as (bench, hub):
        await bench.services.duty.renew()
        assert await told(bench) == []
        hub.start()
        alarm = await bench.press(hub)
        now = bench.clock.now_ms()
        assert await steps(bench, alarm) == [(0, "running", "coming_back", now + COMEBACK_MS)]
        assert await texts(bench) == []


async def test_a_console_that_comes_back_has_the_rest_of_the_time(after: After) -> None:
    async with after.restart(at_consoles(), BY_PHONE) as (bench, hub):
        hub.start()
        alarm = await bench.press(hub)
        now = bench.clock.now_ms()
        bench.clock.advance(10)
        await bench.services.duty.set("anna", CONSOLE, has_sound=True)
        bench.clock.advance(6)
        assert await tick(bench) == 0
        assert await steps(bench, alarm) == [(0, "running", "", now + 60_000)]
        await bench.services.duty.renew()
        assert await told(bench) == []
        bench.clock.advance(45)
        assert await tick(bench) == 1


async def test_when_none_comes_back_that_is_said_at_once_and_the_next_step_begins(after: After) -> None:
    async with after.restart(at_consoles(), BY_PHONE) as (bench, hub):
        hub.start()
        alarm = await bench.press(hub)
        bench.clock.advance(COMEBACK_MS / 1000)
        assert await tick(bench) == 1
        await bench.services.duty.renew()
        assert await told(bench) == ["nobody_with_sound"]
        found = await steps(bench, alarm)
        assert [row[:3] for row in found] == [(0, "failed", "nobody_with_sound"), (1, "running", "")]
        assert await texts(bench) == ["alarm_waits", "nobody_on_duty"]
        second = await bench.press(hub, device="pendant-2")
        assert (await steps(bench, second))[0][:3] == (0, "failed", "nobody_with_sound")


async def test_the_wait_is_never_longer_than_the_step_allows(after: After) -> None:
    async with after.restart(at_consoles(5), BY_PHONE) as (bench, hub):
        hub.start()
        alarm = await bench.press(hub)
        assert (await steps(bench, alarm))[0][3] == bench.clock.now_ms() + 5000
        bench.clock.advance(5)
        assert await tick(bench) == 1
        assert (await steps(bench, alarm))[0][1:3] == ("failed", "nobody_with_sound")


async def test_a_step_that_tells_by_telephone_too_does_so_at_once_and_has_its_time(after: After) -> None:
    async with after.restart(at_consoles(60, Channel.SMS), BY_PHONE) as (bench, hub):
        hub.start()
        alarm = await bench.press(hub)
        assert await texts(bench) == ["alarm_waits"]
        assert await steps(bench, alarm) == [(0, "running", "", bench.clock.now_ms() + 60_000)]


async def test_who_was_gone_before_central_went_is_not_waited_for(after: After) -> None:
    async with after.restart(at_consoles(), BY_PHONE) as (bench, hub):
        await bench.change("UPDATE duty SET seen_ms = seen_ms - 20000")
        await bench.services.duty.renew()
        assert await told(bench) == ["nobody_with_sound"]
        hub.start()
        alarm = await bench.press(hub)
        assert (await steps(bench, alarm))[0][1:3] == ("failed", "nobody_with_sound")


async def test_after_a_short_restart_nothing_is_waited_for(after: After) -> None:
    async with after.restart(at_consoles(), BY_PHONE, away_s=10) as (bench, hub):
        hub.start()
        alarm = await bench.press(hub)
        assert await steps(bench, alarm) == [(0, "running", "", bench.clock.now_ms() + 60_000)]
        bench.clock.advance(6)
        second = await bench.press(hub, device="pendant-2")
        assert (await steps(bench, second))[0][1:3] == ("failed", "nobody_with_sound")
