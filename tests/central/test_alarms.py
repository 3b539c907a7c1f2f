"""What people do with alarms: one takes it, everybody is told who, and nothing is forgotten or overwritten."""

from __future__ import annotations

import asyncio

import pytest

from central.access import EVERYTHING
from central.errors import Conflict, IncompleteError, NotFoundError
from central.lifecycle import Disposition, Queue
from central.routines.outcomes import shipped
from central.views import Actor
from cloud_sync.hub_messages import Trace
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, SECOND, Bench, OpenBench


async def words(bench: Bench, alarm_id: str) -> list[str]:
    plan = {"nobody_with_sound", "escalated"}  # what its plan did meanwhile is told elsewhere
    return [entry.what for entry in (await bench.alarms.alarm(alarm_id)).timeline if entry.what not in plan]


async def test_of_many_who_reach_for_one_alarm_exactly_one_gets_it(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    people = [Actor(id=f"p{n}", name=f"Person {n}") for n in range(40)]
    outcomes = await asyncio.gather(
        *(bench.alarms.claim(alarm.id, person) for person in people), return_exceptions=True
    )
    winners = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert len(winners) == 1
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, Conflict)
            assert outcome.holder is not None
            assert outcome.holder.name == winners[0].owner_name
    assert (await words(bench, alarm.id)).count("claimed") == 1


async def test_of_many_who_take_the_next_alarm_nobody_gets_anothers(bench: Bench, hub: FrameHub) -> None:
    for n in range(12):
        await bench.press(hub, device=f"pendant-{n}", resident=f"r-0000{n:02}")
    people = [Actor(id=f"p{n}", name=f"Person {n}") for n in range(15)]
    taken = [alarm for alarm in await asyncio.gather(*map(bench.alarms.take_next, people)) if alarm]
    assert len(taken) == 12
    assert len({alarm.id for alarm in taken}) == 12
    assert len({alarm.owner for alarm in taken}) == 12


async def test_the_next_alarm_is_the_most_urgent_then_the_oldest(bench: Bench, hub: FrameHub) -> None:
    await bench.tell(hub, hub.seal("bed_absent", device="mat-1"))
    bench.clock.advance(1)
    old = await bench.press(hub, device="pendant-1")
    bench.clock.advance(1)
    await bench.press(hub, device="pendant-2", resident="r-111111")
    smoke = hub.seal("smoke", device="smoke-1")
    bench.clock.advance(1)
    await bench.tell(hub, smoke)
    order = [await bench.alarms.take_next(FIRST) for _ in range(5)]
    kinds = [alarm.kind.word for alarm in order if alarm]
    assert kinds == ["smoke", "pendant_pressed", "pendant_pressed", "bed_absent"]
    assert order[1] is not None
    assert order[1].id == old.id
    assert order[4] is None


async def test_taking_what_one_has_is_no_error_and_no_second_entry(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    first = await bench.alarms.claim(alarm.id, FIRST)
    again = await bench.alarms.claim(alarm.id, FIRST)
    assert again.version == first.version
    assert await words(bench, alarm.id) == ["raised", "claimed"]


async def test_a_repeat_press_does_not_take_the_alarm_from_its_owner(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    again = await bench.press(hub)
    assert (again.owner, again.stage.word, again.sound_no) == ("first", "claimed", 2)


async def test_a_claim_without_presence_returns_to_the_queue_first_in_its_rank_and_says_so(
    bench: Bench, hub: FrameHub
) -> None:
    other = await bench.press(hub, device="pendant-2", resident="r-111111")
    bench.clock.advance(1)
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(91)
    assert await bench.alarms.sweep() == 1
    back = (await bench.alarms.alarm(alarm.id)).alarm
    assert (back.stage.word, back.owner, back.returned, back.sound_no) == ("waiting", None, 1, 2)
    assert [queued.id for queued in await bench.alarms.queue()] == [alarm.id, other.id]
    assert await words(bench, alarm.id) == ["raised", "claimed", "returned"]
    assert await bench.alarms.sweep() == 0


async def test_presence_keeps_a_claim_for_as_long_as_a_conversation_takes(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    for _ in range(10):
        bench.clock.advance(60)
        await bench.alarms.renew(alarm.id, FIRST)
        assert await bench.alarms.sweep() == 0
    with pytest.raises(Conflict):
        await bench.alarms.renew(alarm.id, SECOND)


async def test_an_expired_claim_can_be_taken_before_the_sweep_and_the_first_owner_is_told(
    bench: Bench, hub: FrameHub
) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(91)
    assert (await bench.alarms.claim(alarm.id, SECOND)).owner == "second"
    for act in (bench.alarms.renew, bench.alarms.release, bench.alarms.on_the_way):
        with pytest.raises(Conflict) as told:
            await act(alarm.id, FIRST)
        assert told.value.holder is not None
        assert told.value.holder.name == "Operator Two"
    with pytest.raises(Conflict):
        await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "anxiety")


async def test_leases_survive_a_restart_of_central(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        alarm = await bench.press(hub)
        await bench.alarms.claim(alarm.id, FIRST)
    async with open_bench() as bench:
        assert (await bench.alarms.alarm(alarm.id)).alarm.owner == "first"
        bench.clock.advance(91)
        assert await bench.alarms.sweep() == 1


async def test_on_the_way_has_a_deadline_for_being_there_instead_of_the_lease(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    with pytest.raises(Conflict, match="not_claimed"):
        await bench.alarms.on_the_way(alarm.id, FIRST)
    await bench.alarms.claim(alarm.id, FIRST)
    going = await bench.alarms.on_the_way(alarm.id, FIRST)
    assert going.stage.word == "on_the_way"
    assert (await bench.alarms.on_the_way(alarm.id, FIRST)).version == going.version
    bench.clock.advance(29 * 60)
    await bench.alarms.renew(alarm.id, FIRST)
    assert await bench.alarms.sweep() == 0
    bench.clock.advance(2 * 60)
    assert await bench.alarms.sweep() == 1


async def test_closing_needs_the_claim_a_disposition_and_an_outcome(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    with pytest.raises(Conflict, match="not_claimed"):
        await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "anxiety")
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "")
    assert (told.value.field, told.value.choices) == ("outcome", tuple(one.code for one in shipped().outcomes))
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.close(alarm.id, FIRST, "resolved", "anxiety")
    assert told.value.field == "disposition"
    closed = await bench.alarms.close(alarm.id, FIRST, "visit_now", "fall", "Hun falt på badet.")
    assert (closed.disposition, closed.outcome, closed.note) == ("visit_now", "fall", None)
    assert (await bench.read(closed.id)).alarm.note == "Hun falt på badet."
    assert closed.closed_by == "Operator One"
    assert await bench.kinds() == []
    entry = (await bench.alarms.alarm(alarm.id)).timeline[-1]
    assert "badet" not in str(entry.content)  # free text about a resident is not in the log, a digest is


async def test_a_lead_may_close_anothers_alarm_with_a_reason_that_stays(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.close(alarm.id, SECOND, "false_alarm", "mis_press", override="  ")
    await bench.alarms.close(alarm.id, SECOND, "false_alarm", "mis_press", override="Operator One went home")
    entry = (await bench.read(alarm.id, SECOND)).timeline[-1]
    assert (entry.actor_name, entry.content["override"]) == ("Operator Two", "Operator One went home")


async def test_a_closed_alarm_can_be_neither_taken_nor_closed_again(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    for act in (
        bench.alarms.claim(alarm.id, SECOND),
        bench.alarms.close(alarm.id, FIRST, "test", "other"),
        bench.alarms.release(alarm.id, FIRST),
    ):
        with pytest.raises(Conflict, match="closed"):
            await act


async def test_a_claim_can_be_taken_back_for_ten_seconds(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(Conflict):
        await bench.alarms.undo(alarm.id, SECOND)
    assert (await bench.alarms.undo(alarm.id, FIRST)).stage.word == "waiting"
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(11)
    with pytest.raises(Conflict, match="too_late"):
        await bench.alarms.undo(alarm.id, FIRST)


@pytest.mark.parametrize("before", ["claimed", "on_the_way"])
async def test_a_close_can_be_taken_back_to_where_it_was(bench: Bench, hub: FrameHub, before: str) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    if before == "on_the_way":
        await bench.alarms.on_the_way(alarm.id, FIRST)
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    bench.clock.advance(9)
    again = await bench.alarms.undo(alarm.id, FIRST)
    assert (again.stage.word, again.owner, again.outcome, again.closed_ms) == (before, "first", None, None)
    assert (await words(bench, alarm.id))[-1] == "undone"


async def test_a_close_is_not_taken_back_over_a_new_alarm_of_the_same_kind(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    new = await bench.press(hub)
    with pytest.raises(Conflict, match="raised_again"):
        await bench.alarms.undo(alarm.id, FIRST)
    assert [queued.id for queued in await bench.alarms.queue()] == [new.id]


async def test_released_alarms_wait_again(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    assert (await bench.alarms.release(alarm.id, FIRST)).stage.word == "waiting"
    assert (await bench.alarms.claim(alarm.id, SECOND)).owner == "second"


async def test_technical_alarms_are_closed_with_what_mended_them(bench: Bench, hub: FrameHub) -> None:
    await bench.tell(hub, hub.seal("tamper", device="d-1", resident=None), has_header=True)
    alarm = await bench.alarms.take_next(FIRST, Queue.TECHNICAL)
    assert alarm is not None
    with pytest.raises(IncompleteError):
        await bench.alarms.close(alarm.id, FIRST, Disposition.CLEARED_BY_PHONE, "fall")
    closed = await bench.alarms.close(alarm.id, FIRST, "resolved", "device_replaced")
    assert closed.outcome == "device_replaced"
    assert await bench.value("SELECT count(*) FROM outbox") == 0  # no lamp hangs on it


async def test_a_condition_that_ends_while_somebody_works_on_it_is_theirs_to_close(bench: Bench, hub: FrameHub) -> None:
    await bench.tell(hub, hub.seal("battery_low", device="d-1", resident=None), has_header=True)
    alarm = await bench.alarms.take_next(FIRST, Queue.TECHNICAL)
    assert alarm is not None
    await bench.tell(hub, hub.seal("battery_ok", device="d-1", resident=None))
    now = (await bench.alarms.alarm(alarm.id)).alarm
    assert (now.condition, now.stage.word) == ("cleared", "claimed")


async def test_what_is_not_there_is_said_to_be_missing(bench: Bench) -> None:
    for act in (
        bench.alarms.alarm("0" * 16),
        bench.alarms.claim("0" * 16, FIRST),
        bench.alarms.journey("0" * 16),
        bench.alarms.undo("0" * 16, FIRST),
    ):
        with pytest.raises(NotFoundError):
            await act


async def test_the_journey_of_an_alarm_can_be_followed_from_press_to_lamp(bench: Bench, hub: FrameHub) -> None:
    sealed = hub.seal("pendant_pressed")
    await bench.tell(hub, sealed)
    alarm = await bench.alarm_of(sealed)
    bench.clock.advance(0.02)
    replies = bench.central.works["replies"].__self__  # type: ignore[attr-defined]
    await replies.send_due()
    replies._left_s = 0.0  # nobody else is there
    await replies.settle()
    bench.clock.advance(0.03)
    await bench.alarms.mark_shown(alarm.id, "console-1")
    await bench.alarms.mark_shown(alarm.id, "console-2")
    bench.clock.advance(4)
    await bench.alarms.claim(alarm.id, FIRST)
    bench.clock.advance(0.4)
    trace = Trace(event=sealed.id, judged_ms=0.4, durable_ms=2.5, sent_ms=1.1, receipt_ms=9.0)
    lamp = (bytes.fromhex(alarm.id), 2, "taken")
    await bench.reception.receive(hub.lamp_report("taken", [lamp], [trace]), "https")
    steps = (await bench.alarms.journey(alarm.id)).steps
    assert list(steps) == [
        "pressed", "judged", "durable", "sent", "receipt", "committed", "shown", "taken", "reassured"
    ]  # fmt: skip
    assert [steps[name] for name in ("pressed", "judged", "durable", "sent", "receipt")] == [0, 0.4, 2.5, 1.1, 9.0]
    later = [steps[name] for name in ("committed", "shown", "taken", "reassured")]
    assert later == sorted(later, key=lambda step: step or 0)
    assert steps["reassured"] is not None
    assert 4_400 <= steps["reassured"] <= 4_600
    now = (await bench.alarms.alarm(alarm.id)).alarm
    assert (now.lamp_state, now.lamp_version) == ("taken", 2)
    assert (await words(bench, alarm.id)) == ["raised", "shown", "claimed", "home_reassured"]


async def test_a_hub_cannot_speak_for_the_lamp_of_another(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    other = await bench.enrolled("Flat 2")
    await bench.reception.receive(other.lamp_report("taken", [(bytes.fromhex(alarm.id), 9, "taken")]), "https")
    assert (await bench.alarms.alarm(alarm.id)).alarm.lamp_state is None


async def test_count_and_hash_of_the_open_alarms_change_with_every_change(bench: Bench, hub: FrameHub) -> None:
    seen = {(await bench.alarms.opened()).digest(EVERYTHING)}
    alarm = await bench.press(hub)
    seen.add((await bench.alarms.opened()).digest(EVERYTHING))
    await bench.alarms.claim(alarm.id, FIRST)
    seen.add((await bench.alarms.opened()).digest(EVERYTHING))
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    assert (await bench.alarms.opened()).digest(EVERYTHING) in seen
    assert len(seen) == 3
    assert (await bench.alarms.opened()).digest(EVERYTHING)[0] == 0
