"""Technicians are called out one after another for what cannot wait, and left in peace for all the rest."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from central.errors import NotStoredError
from central.lifecycle import Queue
from central.settings import CallOutSettings
from central.technical.call_out import CallOut
from central.wakeup import Wakeup
from tests.central.conftest import FIRST, SECOND

URGENT = "unknown_hub"
"""A kind of rank 4."""
FIRST_S, ANSWER_S, AGAIN_S, HOLDS_S = 300, 300, 1800, 3600


class Night:
    """Teams of technicians, and what they are told."""

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.call_out = self.another()

    def another(self, **settings: float) -> CallOut:
        """As another process has it, or this one after a restart."""
        return CallOut(self.bench.store, self.bench.clock, Wakeup(), CallOutSettings(**settings))

    async def team(self, name: str, *, unit: str | None = None, phone: str = "75000011", email: str = "") -> None:
        where = "NULL" if unit is None else f"'{unit}'"
        await self.bench.change(
            "INSERT INTO team (id, kind, name, unit, phone, email) VALUES"
            f" ('{name}', 'technical', 'Teknisk {name}', {where}, '{phone}', '{email}')"
        )

    async def person(self, account: str, *, phone: str = "", email: str = "") -> None:
        await self.bench.change(
            "INSERT INTO user_account (id, name, role, created_ms) VALUES"
            f" ('{account}', '{account.title()} Vik', 'technician', 0)"
        )
        if phone or email:
            await self.bench.change(
                "INSERT INTO duty_address (account, phone, email, changed_ms) VALUES"
                f" ('{account}', '{phone}', '{email}', 0)"
            )

    async def on_duty(self, team: str, account: str | None, *, since_s: int = -3600, until_s: int = 86_400) -> None:
        """By an exception to the rota, which needs no weekday."""
        now = self.bench.clock.now_ms()
        who = "NULL" if account is None else f"'{account}'"
        await self.bench.change(
            "INSERT INTO rota_override (id, team, account, from_ms, to_ms, written_by) VALUES"
            f" ('{team[:4]}{account}{since_s}', '{team}', {who}, {now + since_s * 1000}, {now + until_s * 1000}, 'x')"
        )

    async def shift(self, team: str, account: str | None) -> None:
        """Round the clock, every day."""
        who = "NULL" if account is None else f"'{account}'"
        await self.bench.change(
            "INSERT INTO rota_shift (id, team, account, weekdays, from_minute, to_minute, from_day, written_by) VALUES"
            f" ('{team[:6]}{account}', '{team}', {who}, 127, 0, 0, '2020-01-01', 'x')"
        )

    async def after(self, seconds: float) -> int:
        """How many call-outs move when so much time has passed."""
        self.bench.clock.advance(seconds)
        return await self.call_out.look()

    async def called(self) -> list[tuple[Any, ...]]:
        """Who was called, in order."""
        rows = await self.bench.rows(
            "SELECT coalesce(account, team), channel FROM notification WHERE what = 'fault_waits'"
            " ORDER BY made_ms, step, channel, account"
        )
        return [tuple(row) for row in rows]

    async def sent(self) -> None:
        """Everything that is to be said has been said."""
        await self.bench.change("UPDATE notification SET state = 'sent', sent_ms = made_ms WHERE state = 'pending'")

    async def told(self, what: str) -> list[str]:
        rows = await self.bench.rows(
            f"SELECT coalesce(account, team) FROM notification WHERE what = '{what}' ORDER BY made_ms, account, channel"
        )
        return [row[0] for row in rows]

    async def state(self) -> tuple[Any, ...]:
        ((state, number, no),) = await self.bench.rows("SELECT state, round, no FROM call_out WHERE ended_ms IS NULL")
        return state, number, no

    async def open(self) -> int:
        return int(await self.bench.value("SELECT count(*) FROM call_out WHERE ended_ms IS NULL"))

    async def logged(self, alarm: str) -> list[str]:
        rows = await self.bench.rows(f"SELECT what FROM log_entry WHERE alarm = '{alarm}' ORDER BY no")
        return [row[0] for row in rows]


@pytest.fixture
async def night(bench: Any, area: Any) -> Night:
    await area.unit()
    return Night(bench)


@pytest.fixture
async def rota(night: Night) -> Night:
    """Kari is on duty, Ola follows; the team has a telephone."""
    await night.team("team")
    await night.person("kari", phone="90 00 00 01", email="kari@kommune.example")
    await night.person("ola", phone="90000002")
    await night.on_duty("team", "kari")
    await night.on_duty("team", "ola", since_s=86_400, until_s=172_800)
    return night


# ── Whom ─────────────────────────────────────────────────────────────────────────────


async def test_a_fault_that_cannot_wait_reaches_the_nearest_duty_telephone_until_somebody_has_it(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("everywhere")
    await night.team("north", unit="u1", email="nord@kommune.example")
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    assert await night.after(FIRST_S - 1) == 0
    assert await night.called() == []
    assert await night.after(1) == 1
    assert await night.called() == [("north", "email"), ("north", "sms")]
    assert await bench.value("SELECT alarm FROM notification WHERE what = 'fault_waits'") == alarm
    assert await night.after(ANSWER_S) == 1  # nobody answered: everybody sees it
    assert await night.state() == ("unanswered", 1, 2)
    assert await night.after(AGAIN_S - ANSWER_S - 1) == 0
    assert await night.after(1) == 1
    assert len(await night.called()) == 4
    await bench.alarms.claim(alarm, FIRST)
    assert await night.after(5) == 1
    assert await night.state() == ("answered", 2, 2)
    assert await night.after(AGAIN_S) == 0
    assert len(await night.called()) == 4


async def test_whoever_is_on_duty_is_called_then_the_next_on_the_rota_then_the_team_and_then_all_see_it(
    bench: Any, area: Any, rota: Night
) -> None:
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    await rota.after(FIRST_S)
    assert await rota.called() == [("kari", "email"), ("kari", "sms")]
    assert await rota.after(ANSWER_S - 1) == 0
    assert await rota.after(1) == 1
    assert (await rota.called())[2:] == [("ola", "sms")]
    await rota.after(ANSWER_S)
    assert (await rota.called())[3:] == [("team", "sms")]
    await rota.after(ANSWER_S)
    assert await rota.state() == ("unanswered", 1, 2)
    assert await bench.value("SELECT unanswered_ms FROM call_out") == bench.clock.now_ms()
    assert [what for what in await rota.logged(alarm) if "call" in what] == [
        "technician_called", "technician_called", "technician_called", "call_out_unanswered",
    ]  # fmt: skip
    await rota.after(AGAIN_S - 3 * ANSWER_S)
    assert await rota.state() == ("running", 2, 0)
    assert await bench.value("SELECT unanswered_ms FROM call_out") is not None  # until somebody answers
    assert (await rota.called())[4:] == [("kari", "email"), ("kari", "sms")]


async def test_nobody_on_technical_duty_is_said_and_the_teams_own_telephone_called_at_once(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("team")
    await night.person("kari", phone="90000001")
    await night.shift("team", "kari")
    await night.on_duty("team", None)  # the rota is emptied
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    await night.after(FIRST_S)
    ((content,),) = await bench.rows("SELECT content FROM log_entry WHERE what = 'call_out_passed'")
    assert '"why":"nobody_on_duty"' in content
    assert await night.called() == [("kari", "sms")]  # who is on next, when the exception is over
    await night.after(ANSWER_S)
    assert (await night.called())[1:] == [("team", "sms")]
    assert "call_out_passed" in await night.logged(alarm)


async def test_somebody_without_a_telephone_is_passed_over_and_that_is_said(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("team")
    await night.person("kari")
    await night.on_duty("team", "kari")
    await area.fail(await area.hubs(1), URGENT)
    await night.after(FIRST_S)
    assert await night.called() == [("team", "sms")]
    ((content,),) = await bench.rows("SELECT content FROM log_entry WHERE what = 'call_out_passed'")
    assert '"why":"no_address"' in content


async def test_a_shift_of_the_duty_telephone_is_the_teams_telephone_and_it_rings_once(area: Any, night: Night) -> None:
    await night.team("team")
    await night.shift("team", None)
    await area.fail(await area.hubs(1), URGENT)
    await night.after(FIRST_S)
    assert await night.called() == [("team", "sms")]
    await night.after(ANSWER_S)
    assert await night.state() == ("unanswered", 1, 0)
    assert await night.called() == [("team", "sms")]


async def test_an_account_that_is_shut_out_is_not_on_duty(bench: Any, area: Any, rota: Night) -> None:
    await bench.change("UPDATE user_account SET state = 'disabled' WHERE id = 'kari'")
    await area.fail(await area.hubs(1), URGENT)
    await rota.after(FIRST_S)
    assert await rota.called() == [("ola", "sms")]


async def test_a_team_that_can_be_reached_by_nothing_is_unanswered_at_once(bench: Any, area: Any, night: Night) -> None:
    await night.team("nobody", phone="")
    await area.fail(await area.hubs(1), URGENT)
    await night.after(FIRST_S)
    assert (await night.called(), (await night.state())[0]) == ([], "unanswered")


# ── What ─────────────────────────────────────────────────────────────────────────────


async def test_what_can_wait_for_the_day_calls_nobody_out(area: Any, night: Night) -> None:
    await night.team("everywhere")
    await area.fail(await area.hubs(1), "battery_low")
    assert await night.after(AGAIN_S) == 0
    assert await night.open() == 0


async def test_a_storm_of_faults_is_one_call_out_and_what_comes_meanwhile_joins_it(area: Any, rota: Night) -> None:
    rota.call_out = rota.another(answer_within_s=3 * ANSWER_S)
    hubs = await area.hubs(60)
    await area.fail(hubs[:40], URGENT)
    await rota.after(FIRST_S)
    assert await rota.called() == [("kari", "email"), ("kari", "sms")]
    await area.fail(hubs[40:], URGENT)
    assert await rota.after(FIRST_S) == 0
    assert await rota.after(3 * ANSWER_S - FIRST_S - 1) == 0
    assert await rota.after(1) == 1
    assert (await rota.called())[2:] == [("ola", "sms")]
    assert await rota.open() == 1


async def test_what_is_new_after_all_were_called_in_vain_is_told_sooner_than_the_same_again(
    area: Any, night: Night
) -> None:
    await night.team("everywhere")
    first, second = await area.hubs(2)
    await area.fail([first], URGENT)
    await night.after(FIRST_S)
    await night.after(ANSWER_S)
    assert (await night.state())[0] == "unanswered"
    await area.fail([second], URGENT)
    assert await night.after(FIRST_S - 1) == 0
    assert await night.after(1) == 1
    assert await night.state() == ("running", 2, 2)


async def test_an_area_with_critical_residents_calls_out_and_one_that_somebody_has_does_not(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("everywhere")
    hubs = await area.hubs(30, critical=2)
    await area.fail(hubs)
    await area.sweep()
    (incident,) = await bench.rows("SELECT id, critical FROM incident")
    assert incident[1] == 2
    assert await night.after(FIRST_S) == 1
    assert await night.called() == [("everywhere", "sms")]
    alarm = await bench.value("SELECT alarm FROM call_out")
    ((of, hub),) = await bench.rows(f"SELECT incident, hub FROM alarm WHERE id = '{alarm}'")
    assert (of, hub in hubs[:2]) == (incident[0], True)
    await bench.change(f"UPDATE incident SET owner = '{FIRST.id}', owner_name = 'One' WHERE id = '{incident[0]}'")
    assert await night.after(5) == 1
    assert (await night.state())[0] == "answered"
    assert await night.after(AGAIN_S) == 0
    assert len(await night.called()) == 1


async def test_quiet_faults_call_nobody_and_work_that_is_announced_meanwhile_ends_the_call_out(
    bench: Any, area: Any, rota: Night
) -> None:
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    await bench.change(f"UPDATE alarm SET quiet = 'm1' WHERE id = '{alarm}'")
    assert await rota.after(AGAIN_S) == 0
    assert (await bench.alarms.alarm(alarm)).alarm.queue is Queue.TECHNICAL
    await bench.change(f"UPDATE alarm SET quiet = NULL WHERE id = '{alarm}'")
    await rota.after(1)
    await rota.sent()
    assert await rota.state() == ("running", 1, 0)
    await bench.change(f"UPDATE alarm SET quiet = 'm1' WHERE id = '{alarm}'")
    await rota.after(5)
    assert await rota.open() == 0
    assert await rota.told("fault_over") == ["kari", "kari"]


# ── Over, taken, given back ──────────────────────────────────────────────────────────


async def test_recovery_ends_the_steps_and_whoever_was_called_is_told_once(area: Any, rota: Night) -> None:
    hubs = await area.hubs(1)
    await area.fail(hubs, URGENT)
    await rota.after(FIRST_S)
    await rota.sent()
    await rota.after(ANSWER_S)
    await area.mend(hubs, URGENT)
    assert await rota.after(5) == 1
    assert await rota.told("fault_over") == ["kari", "kari"]  # by letter and by text; Ola's was not sent
    assert await rota.told("fault_taken") == []
    assert await rota.after(ANSWER_S) == 0
    assert await rota.open() == 0
    assert await rota.told("fault_over") == ["kari", "kari"]


async def test_a_fault_that_is_over_before_anybody_was_called_tells_nobody(area: Any, rota: Night) -> None:
    hubs = await area.hubs(1)
    await area.fail(hubs, URGENT)
    await rota.after(10)
    await area.mend(hubs, URGENT)
    await rota.after(FIRST_S)
    assert await rota.open() == 0
    assert await rota.told("fault_over") == await rota.called() == []


async def test_whoever_takes_it_at_a_console_is_not_told_and_the_others_are(bench: Any, area: Any, rota: Night) -> None:
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    await rota.after(FIRST_S)
    await rota.after(ANSWER_S)
    await rota.sent()
    await bench.change(
        "UPDATE alarm SET handling = 'claimed', owner = 'ola', owner_name = 'Ola Vik', claimed_ms = 1"
        f" WHERE id = '{alarm}'"
    )
    await rota.after(5)
    assert await rota.told("fault_taken") == ["kari", "kari"]
    assert await bench.rows("SELECT answered_by, answered_name, answered_via FROM call_out") == [
        ("ola", "Ola Vik", "console")
    ]
    await bench.change(f"UPDATE alarm SET handling = 'closed', closed_ms = 1 WHERE id = '{alarm}'")
    await rota.after(5)
    assert await rota.told("fault_over") == []
    assert await rota.open() == 0


async def test_a_claim_that_ran_out_holds_for_an_hour_and_one_that_was_given_back_for_nothing(
    bench: Any, area: Any, rota: Night
) -> None:
    (alarm,) = await area.fail(await area.hubs(1), URGENT)
    await rota.after(FIRST_S)
    await bench.alarms.claim(alarm, FIRST)
    await rota.after(5)
    bench.clock.advance(120)
    assert await bench.alarms.sweep() == 1  # on the road, nobody shows presence
    assert await rota.after(0) == 0
    assert (await rota.state())[0] == "answered"
    assert await rota.after(HOLDS_S) == 1
    assert await rota.state() == ("running", 2, 0)
    await bench.alarms.claim(alarm, SECOND)
    await rota.after(5)
    assert (await rota.state())[0] == "answered"
    bench.clock.advance(60)
    await bench.alarms.release(alarm, SECOND)
    assert await rota.after(1) == 1
    assert await rota.state() == ("running", 3, 0)


async def test_a_fault_that_comes_after_an_answer_is_a_new_round(bench: Any, area: Any, rota: Night) -> None:
    first, second = await area.hubs(2)
    (alarm,) = await area.fail([first], URGENT)
    await rota.after(FIRST_S)
    await bench.alarms.claim(alarm, FIRST)
    await rota.after(5)
    await area.fail([second], URGENT)
    assert await rota.after(FIRST_S - 1) == 0
    assert await rota.after(1) == 1
    assert await rota.state() == ("running", 2, 0)


# ── Once, whatever happens ───────────────────────────────────────────────────────────


async def test_of_two_processes_that_look_at_once_one_calls(bench: Any, area: Any, rota: Night) -> None:
    await area.fail(await area.hubs(1), URGENT)
    bench.clock.advance(FIRST_S)
    assert sum(await asyncio.gather(rota.call_out.look(), rota.another().look())) == 1
    assert await rota.called() == [("kari", "email"), ("kari", "sms")]
    bench.clock.advance(ANSWER_S)
    assert sum(await asyncio.gather(rota.call_out.look(), rota.another().look())) == 1
    assert (await rota.called())[2:] == [("ola", "sms")]


async def test_a_restart_in_the_middle_goes_on_where_it_stood(area: Any, rota: Night) -> None:
    await area.fail(await area.hubs(1), URGENT)
    await rota.after(FIRST_S)
    rota.call_out = rota.another()
    assert await rota.after(1) == 0
    assert await rota.after(ANSWER_S - 1) == 1
    assert (await rota.called())[2:] == [("ola", "sms")]


async def test_a_step_that_fails_half_way_has_done_nothing_and_is_taken_by_the_next_look(
    bench: Any, area: Any, rota: Night
) -> None:
    await area.fail(await area.hubs(1), URGENT)
    await rota.after(10)
    await bench.refuse_inserts("notification", when="NEW.channel = 'email'")
    with contextlib.suppress(NotStoredError):
        await rota.after(FIRST_S)
    assert (await rota.called(), await rota.state()) == ([], ("due", 0, 0))
    await bench.take_inserts_again("notification")
    assert await rota.after(1) == 1
    assert await rota.called() == [("kari", "email"), ("kari", "sms")]


async def test_a_team_that_cannot_be_called_for_a_fault_of_ours_holds_up_no_other(
    bench: Any, area: Any, night: Night
) -> None:
    await night.team("aaa", unit="u1")
    await night.team("everywhere")
    await area.fail(await area.hubs(1), URGENT)
    await area.fail(await area.hubs(1, first=500, unit=None, tenant=None), URGENT)
    await night.after(10)
    await bench.change("UPDATE call_out SET state = 'unknown', due_ms = 9999999999999 WHERE team = 'aaa'")
    assert await night.after(FIRST_S) == 1
    assert await night.called() == [("everywhere", "sms")]


async def test_a_clock_that_was_set_back_holds_no_call_out_up(bench: Any, area: Any, night: Night) -> None:
    await night.team("everywhere")
    await area.fail(await area.hubs(1), URGENT)
    await night.after(FIRST_S)
    ahead = bench.clock.now_ms() + 24 * 3_600_000
    await bench.change(f"UPDATE call_out SET due_ms = {ahead}")
    assert await night.after(1) == 1
    assert (await night.state())[0] == "unanswered"
