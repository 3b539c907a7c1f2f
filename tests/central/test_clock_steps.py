"""Central's wall clock is set while people hold alarms and hubs speak."""

from __future__ import annotations

import pytest

from central.clock_steps import ClockSteps
from central.console.sessions import Sessions
from central.lifecycle import LEASE_MS, ON_SITE_MS
from central.offsets import Offsets
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench

DAY_MS = 86_400_000


def steps_of(bench: Bench) -> ClockSteps:
    return ClockSteps(bench.store, bench.clock, bench.reception._ingest.offsets)


async def lease_left_ms(bench: Bench) -> int:
    until = await bench.value("SELECT lease_until_ms FROM alarm WHERE lease_until_ms IS NOT NULL")
    return int(until) - bench.clock.now_ms()


@pytest.mark.sqlite
@pytest.mark.parametrize("by_ms", [DAY_MS, -DAY_MS], ids=["forward", "back"])
async def test_who_holds_an_alarm_holds_it_for_as_long_as_without_the_step(
    bench: Bench, hub: FrameHub, by_ms: int
) -> None:
    steps = steps_of(bench)
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(10)
    bench.clock.wall_ms += by_ms
    assert await steps.look() == by_ms
    assert await bench.alarms.sweep() == 0
    assert await lease_left_ms(bench) == LEASE_MS - 10_000
    assert await steps.look() == 0
    bench.clock.advance(LEASE_MS / 1000 - 9)
    assert await bench.alarms.sweep() == 1


async def test_no_lease_outlasts_the_longest_there_is_whichever_database_it_is(bench: Bench, hub: FrameHub) -> None:
    steps = steps_of(bench)
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.wall_ms -= DAY_MS
    await steps.look()
    assert 0 < await lease_left_ms(bench) <= max(LEASE_MS, ON_SITE_MS)


async def test_a_clock_that_is_slewed_is_not_set(bench: Bench) -> None:
    steps = steps_of(bench)
    for _ in range(100):
        bench.clock.advance(1.0)
        bench.clock.wall_ms += 500  # NTP never slews as fast
        assert await steps.look() == 0


@pytest.mark.sqlite
@pytest.mark.parametrize("by_ms", [DAY_MS, -DAY_MS], ids=["forward", "back"])
async def test_nobody_is_signed_out_or_stays_signed_in_for_a_day_longer(bench: Bench, by_ms: int) -> None:
    from central.console.accounts import Accounts
    from central.console.roles import Role

    steps, accounts = steps_of(bench), Accounts(bench.store, bench.clock)
    sessions = Sessions(bench.store, bench.clock, 12)
    token = await sessions.start(await accounts.add("Kari", Role.RESPONDER))
    bench.clock.wall_ms += by_ms
    await steps.look()
    found = await sessions.find(token)
    assert found is not None
    assert found.expires_ms - bench.clock.now_ms() == 12 * 3_600_000


@pytest.mark.sqlite
async def test_after_a_step_alarms_are_not_a_day_old(bench: Bench, hub: FrameHub) -> None:
    steps = steps_of(bench)
    await bench.press(hub)
    bench.clock.wall_ms += DAY_MS
    await steps.look()
    alarm = await bench.press(hub, device="pendant-2", resident="r-111111")
    assert alarm.raised_ms == bench.clock.now_ms()
    assert abs(alarm.happened_ms - bench.clock.now_ms()) < 60_000


async def test_what_a_clock_that_ran_ahead_has_written_begins_anew_when_central_starts_with_the_right_one(
    bench: Bench, hub: FrameHub
) -> None:
    """Nobody waits a day for a step, a returned claim or the notice that nobody is on duty."""
    bench.clock.wall_ms += DAY_MS
    waiting = await bench.press(hub)
    held = await bench.press(hub, device="pendant-2")
    await bench.alarms.claim(held.id, FIRST)
    await bench.change(
        "INSERT INTO duty (account, console, team, account_name, has_sound, since_ms, seen_ms)"
        f" VALUES ('first', 'abcdef12', '', 'Operator One', true, 0, {bench.clock.now_ms()})"
    )
    bench.clock.wall_ms -= DAY_MS  # while central is away
    steps = steps_of(bench)
    assert await steps.look() == 0
    now = bench.clock.now_ms()
    due = await bench.value(f"SELECT due_ms FROM escalation WHERE alarm = '{waiting.id}' AND state = 'running'")
    assert now < due <= now + 60_000
    assert 0 < await lease_left_ms(bench) <= LEASE_MS
    assert await bench.value("SELECT max(seen_ms) FROM duty WHERE account = 'first'") <= now
    await bench.change("DELETE FROM duty WHERE account <> 'first'")
    bench.clock.advance(16)
    assert not any(one.is_covered for one in await bench.services.duty.cover())


async def test_a_start_with_a_sound_clock_changes_nothing(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim((await bench.press(hub, device="pendant-2")).id, FIRST)
    bench.clock.advance(5)
    kept = "SELECT alarm, due_ms, started_ms FROM escalation ORDER BY alarm, no"
    before, lease = await bench.rows(kept), await lease_left_ms(bench)
    assert await steps_of(bench).look() == 0
    assert await bench.rows(kept) == before
    assert await lease_left_ms(bench) == lease
    assert alarm.stage.word == "waiting"


async def test_where_several_share_a_database_no_step_of_a_plan_waits_for_the_clock_to_catch_up(
    bench: Bench, hub: FrameHub
) -> None:
    steps = steps_of(bench)
    await steps.look()
    await bench.press(hub)
    bench.clock.advance(10)
    bench.clock.wall_ms -= DAY_MS
    assert await steps.look() == -DAY_MS
    left = await bench.value("SELECT due_ms FROM escalation WHERE state = 'running'") - bench.clock.now_ms()
    assert 0 < left <= 60_000


def test_offsets_are_learnt_again_when_they_were_forgotten() -> None:
    offsets = Offsets()
    offsets._runs[b"h", b"e"] = (0, None, None)  # type: ignore[assignment]
    offsets.forget()
    assert not offsets._runs
