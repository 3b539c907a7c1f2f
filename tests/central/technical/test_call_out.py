"""Technicians are called out by telephone for what cannot wait, and left in peace for all the rest."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central.lifecycle import Queue
from central.technical.call_out import AGAIN_MS, FIRST_MS, CallOut
from central.wakeup import Wakeup
from tests.central.conftest import FIRST

MINUTES = 60_000
URGENT = "unknown_hub"
"""A kind of rank 4."""


class Night:
    """Teams of technicians, and what they are told."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.call_out = CallOut(bench.store, bench.clock, Wakeup())

    async def team(self, name: str, *, unit: str | None = None, phone: str = "75000011", email: str = "") -> None:
        where = "NULL" if unit is None else f"'{unit}'"
        await self.bench.change(
            "INSERT INTO team (id, kind, name, unit, phone, email) VALUES"
            f" ('{name}', 'technical', 'Teknisk {name}', {where}, '{phone}', '{email}')"
        )

    async def after(self, ms: int) -> int:
        """How many teams are told when so much time has passed."""
        self.bench.clock.advance(ms / 1000)
        return await self.call_out.look()

    async def told(self) -> list[tuple[Any, ...]]:
        rows = await self.bench.rows(
            "SELECT team, channel, alarm FROM notification WHERE what = 'fault_waits' ORDER BY made_ms, team, channel"
        )
        return [tuple(row) for row in rows]


@pytest.fixture
async def night(bench: Any, area: Any) -> Night:
    await area.unit()
    return Night(bench)


async def test_a_fault_that_cannot_wait_reaches_the_nearest_duty_telephone_until_somebody_has_it(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("everywhere")
    await night.team("north", unit="u1", email="nord@kommune.example")
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    assert await night.after(FIRST_MS - 1000) == 0
    assert await night.after(1000) == 1
    assert await night.told() == [("north", "email", alarm), ("north", "sms", alarm)]
    assert await night.after(AGAIN_MS - 1000) == 0
    assert await night.after(1000) == 1
    await bench.alarms.claim(alarm, FIRST)
    assert await night.after(10 * AGAIN_MS) == 0


async def test_what_can_wait_for_the_day_calls_nobody_out(area: Any, night: Night) -> None:
    await night.team("everywhere")
    await area.fail(await area.hubs(1), "battery_low")
    assert await night.after(AGAIN_MS) == 0


async def test_many_faults_are_one_message_and_another_that_comes_later_is_told_sooner_than_the_same_again(
    area: Any, night: Night
) -> None:
    await night.team("everywhere")
    first, second, third = await area.hubs(3)
    await area.fail([first, second], URGENT)
    assert await night.after(FIRST_MS) == 1
    assert len(await night.told()) == 1
    await area.fail([third], URGENT)
    assert await night.after(FIRST_MS - 1000) == 0
    assert await night.after(1000) == 1
    assert len(await night.told()) == 2
    assert await night.after(FIRST_MS) == 0


async def test_an_area_with_critical_residents_calls_out_and_one_that_somebody_has_does_not(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("everywhere")
    hubs = await area.hubs(30, critical=2)
    await area.fail(hubs)
    await area.sweep()
    (incident,) = await bench.rows("SELECT id, critical FROM incident")
    assert incident[1] == 2
    assert await night.after(FIRST_MS) == 1
    ((team, _, alarm),) = await night.told()
    assert team == "everywhere"
    ((of, hub),) = await bench.rows(f"SELECT incident, hub FROM alarm WHERE id = '{alarm}'")
    assert (of, hub in hubs[:2]) == (incident[0], True)
    await bench.change(f"UPDATE incident SET owner = '{FIRST.id}' WHERE id = '{incident[0]}'")
    assert await night.after(AGAIN_MS) == 0


async def test_quiet_faults_and_teams_without_an_address_call_nobody(bench: Any, area: Any, night: Night) -> None:
    await night.team("nobody", phone="")
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    assert await night.after(AGAIN_MS) == 0
    await bench.change(f"UPDATE alarm SET quiet = 'm1' WHERE id = '{alarm}'")
    await night.team("everywhere")
    assert await night.after(AGAIN_MS) == 0
    assert (await bench.alarms.alarm(alarm)).alarm.queue is Queue.TECHNICAL


async def test_of_two_processes_that_look_at_once_one_tells(bench: Any, area: Any, night: Night) -> None:
    await night.team("everywhere")
    await area.fail(await area.hubs(1), URGENT)
    bench.clock.advance(FIRST_MS / 1000)
    other = CallOut(bench.store, bench.clock, Wakeup())
    assert sum(await asyncio.gather(night.call_out.look(), other.look())) == 1
    assert len(await night.told()) == 1


async def test_a_clock_that_was_set_back_holds_no_call_out_up(bench: Any, area: Any, night: Night) -> None:
    await night.team("everywhere")
    await area.fail(await area.hubs(1), URGENT)
    assert await night.after(FIRST_MS) == 1
    ahead = bench.clock.now_ms() + 24 * 60 * MINUTES
    await bench.change(f"UPDATE audit_mark SET at_ms = {ahead} WHERE name = 'faults:everywhere'")
    assert await night.after(1000) == 1
