"""Time calls nobody off: whoever is on the way to a person stays so when the claim at the desk runs out."""

from __future__ import annotations

from typing import Any

import pytest

from central.errors import Conflict
from central.lifecycle import ANSWER_MS, LEASE_MS, VISIT_MS, Dispatch, DispatchState
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, SECOND, Bench
from tests.central.test_alarm_acts import PATROL, now, taken, team, words

DRIVER = PATROL[0]


@pytest.fixture
async def patrol(bench: Bench) -> str:
    return await team(bench, "patrol", *PATROL)


async def late(bench: Bench, hub: FrameHub, patrol: str) -> tuple[str, str]:
    """An alarm that is back in the queue while its patrol is on the way."""
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, DRIVER, "on_the_way")
    bench.clock.advance(VISIT_MS / 1000 + 1)
    assert await bench.alarms.sweep() == 1
    return alarm, sent.id


async def state(bench: Bench, sent: str) -> DispatchState:
    return (await bench.alarms.sent(sent)).state


async def test_a_patrol_on_its_way_goes_on_when_the_claim_runs_out_and_the_queue_says_so(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm, sent = await late(bench, hub, patrol)
    back = await now(bench, alarm)
    assert (back.stage.word, back.owner, back.returned, back.out) == ("waiting", None, 1, Dispatch.ON_THE_WAY)
    assert back.stage.reply.name == "WAITING"
    assert await state(bench, sent) is DispatchState.ON_THE_WAY
    told = await bench.rows(f"SELECT what FROM notification WHERE dispatch = '{sent}' AND what = 'dispatch_over'")
    assert not told


async def test_a_console_that_dies_does_not_call_off_whom_it_has_just_sent(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    bench.clock.advance(LEASE_MS / 1000 + 1)
    assert await bench.alarms.sweep() == 1
    assert (await now(bench, alarm)).out is Dispatch.NONE
    assert await state(bench, sent.id) is DispatchState.SENT
    await bench.alarms.dispatch_step(sent.id, DRIVER, "accepted")
    theirs = await now(bench, alarm)
    assert (theirs.stage.word, theirs.owner) == ("accepted", DRIVER.id)


async def test_a_patrol_that_never_answered_is_noted_so_while_the_alarm_waits(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    bench.clock.advance(ANSWER_MS / 1000 + 1)
    await bench.alarms.sweep()
    assert await state(bench, sent.id) is DispatchState.UNANSWERED
    assert {"returned", "dispatch_unanswered"} <= set(await words(bench, alarm))


async def test_the_patrol_that_arrives_late_has_the_alarm(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm, sent = await late(bench, hub, patrol)
    await bench.alarms.dispatch_step(sent, DRIVER, "on_site")
    theirs = await now(bench, alarm)
    assert (theirs.stage.word, theirs.owner, theirs.stage.reply.name) == ("on_site", DRIVER.id, "ON_THE_WAY")
    assert not await bench.rows(f"SELECT no FROM escalation WHERE alarm = '{alarm}' AND state IN ('due', 'running')")


async def test_whoever_takes_it_has_the_patrol_with_it_and_keeps_both_by_being_there(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm, sent = await late(bench, hub, patrol)
    mine = await bench.alarms.claim(alarm, SECOND)
    assert (mine.stage.word, mine.lease_until_ms) == ("on_the_way", bench.clock.now_ms() + LEASE_MS)
    for _ in range(4):  # the patrol's time was up before: now presence counts
        bench.clock.advance(LEASE_MS / 2000 + 1)
        await bench.alarms.renew(alarm, SECOND)
        assert await bench.alarms.sweep() == 0
    await bench.alarms.dispatch_step(sent, DRIVER, "on_site")
    there = await now(bench, alarm)
    assert (there.stage.word, there.owner) == ("on_site", SECOND.id)
    assert there.lease_until_ms == (await bench.alarms.sent(sent)).due_ms
    await bench.alarms.renew(alarm, SECOND)
    assert (await now(bench, alarm)).lease_until_ms == there.lease_until_ms


async def test_a_claim_that_has_run_out_and_is_taken_before_the_sweep_keeps_the_patrol(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, DRIVER, "on_the_way")
    bench.clock.advance(VISIT_MS / 1000 + 1)
    mine = await bench.alarms.claim(alarm, SECOND)
    assert (mine.stage.word, mine.owner) == ("on_the_way", SECOND.id)
    assert await bench.alarms.sweep() == 0


async def test_a_claim_that_is_taken_back_calls_off_nobody_it_has_not_sent(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm, sent = await late(bench, hub, patrol)
    await bench.alarms.claim(alarm, SECOND)
    again = await bench.alarms.undo(alarm, SECOND)
    assert (again.stage.word, again.out) == ("waiting", Dispatch.ON_THE_WAY)
    assert await state(bench, sent) is DispatchState.ON_THE_WAY


async def test_a_person_calls_it_off(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm, sent = await late(bench, hub, patrol)
    await bench.alarms.claim(alarm, SECOND)
    await bench.alarms.dispatch_step(sent, SECOND, "cancelled")
    assert await state(bench, sent) is DispatchState.CANCELLED
    assert (await now(bench, alarm)).stage.word == "claimed"


async def test_a_patrol_that_turns_back_while_nobody_has_the_alarm_makes_it_sound_again(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm, sent = await late(bench, hub, patrol)
    before = await now(bench, alarm)
    await bench.alarms.dispatch_step(sent, DRIVER, "declined", "far")
    after = await now(bench, alarm)
    assert (after.out, after.sound_no, after.lease_until_ms) == (Dispatch.NONE, before.sound_no + 1, None)


async def gone_in_person(bench: Bench, hub: FrameHub) -> str:
    """An alarm whose owner went there and has been silent since; their claim has run out."""
    alarm: str = await taken(bench, hub)
    await bench.alarms.on_the_way(alarm, FIRST)
    bench.clock.advance(VISIT_MS / 1000 + 1)
    await bench.alarms.sweep()
    return alarm


async def test_who_went_in_person_is_still_on_the_way_and_has_it_again_by_being_there(
    bench: Bench, hub: FrameHub
) -> None:
    alarm = await gone_in_person(bench, hub)
    back: Any = await now(bench, alarm)
    assert (back.stage.word, back.out) == ("waiting", Dispatch.ON_THE_WAY)
    there = await bench.alarms.on_site(alarm, FIRST)
    assert (there.stage.word, there.owner) == ("on_site", FIRST.id)


async def test_who_went_in_person_and_was_overtaken_says_where_they_are_to_who_has_it(
    bench: Bench, hub: FrameHub
) -> None:
    alarm = await gone_in_person(bench, hub)
    assert (await bench.alarms.claim(alarm, SECOND)).stage.word == "on_the_way"
    there = await bench.alarms.on_site(alarm, FIRST)
    assert (there.stage.word, there.owner) == ("on_site", SECOND.id)
    with pytest.raises(Conflict):
        await bench.alarms.release(alarm, FIRST)
