"""The home is told what became of its alarm: at once, again before it expires, and all of it on connect."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from central.links import Link
from central.replies import LEFT_FOR_OTHERS_S, VALID_MS, Replies
from central.routing.plan import LocalDeadlines as PlannedDeadlines
from central.routing.plan import Plan, ReceiverKind, Step, Variant
from central.sql import Sql
from cloud_sync.central_messages import LocalDeadlines, Reply, ReplyState
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench, OpenBench


@pytest.fixture
def replies(bench: Bench) -> Replies:
    return bench.central.works["replies"].__self__  # type: ignore[attr-defined, no-any-return]


@pytest.fixture
def link(bench: Bench, hub: FrameHub) -> Iterator[Link]:
    with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
        yield link


async def told(hub: FrameHub, link: Link) -> list[Reply]:
    """What came down the link."""
    found = []
    while (frame := await link.next(0.01)) is not None:
        message = hub.read(frame)
        assert isinstance(message, Reply)
        found.append(message)
    return found


async def test_every_step_of_an_alarm_is_told_with_a_higher_version(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    sealed = hub.seal("pendant_pressed")
    await bench.tell(hub, sealed)
    await replies.send_due()
    alarm = await bench.alarm_of(sealed)
    for step in (
        bench.alarms.claim(alarm.id, FIRST),
        bench.alarms.on_the_way(alarm.id, FIRST),
        bench.alarms.close(alarm.id, FIRST, "visit_now", "fall"),
        bench.alarms.undo(alarm.id, FIRST),
        bench.alarms.release(alarm.id, FIRST),
    ):
        await step
        await replies.send_due()
    heard = [reply.alarms[0] for reply in await told(hub, link)]
    assert [state.state for state in heard] == [
        ReplyState.WAITING,
        ReplyState.TAKEN,
        ReplyState.ON_THE_WAY,
        ReplyState.CLOSED,
        ReplyState.ON_THE_WAY,
        ReplyState.WAITING,
    ]
    versions = [state.version for state in heard]
    assert versions == sorted(set(versions))
    assert {state.events for state in heard} == {(sealed.id,)}
    assert {state.valid_until_ms for state in heard} == {bench.clock.now_ms() + VALID_MS}
    assert await replies.send_due() == 0


async def test_what_was_sent_leaves_the_outbox_and_what_was_not_is_sent_after_a_crash(
    open_bench: OpenBench,
) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        alarm = await bench.press(hub)
        replies = bench.central.works["replies"].__self__  # type: ignore[attr-defined]
        await replies.send_due()
        bench.clock.advance(LEFT_FOR_OTHERS_S)
        await replies.settle()
        assert await bench.value("SELECT count(*) FROM outbox") == 0
        await bench.alarms.claim(alarm.id, FIRST)
    async with open_bench() as bench:
        with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
            await bench.central.works["replies"].__self__.send_due()  # type: ignore[attr-defined]
            (reply,) = await told(hub, link)
            assert reply.alarms[0].state is ReplyState.TAKEN


async def test_a_claim_that_runs_out_is_told_to_the_home(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await replies.send_due()
    await told(hub, link)
    bench.clock.advance(91)
    await bench.alarms.sweep()
    await replies.send_due()
    (reply,) = await told(hub, link)
    assert reply.alarms[0].state is ReplyState.WAITING


async def test_a_test_alarm_is_answered_closed(bench: Bench, hub: FrameHub, link: Link, replies: Replies) -> None:
    sealed = hub.seal("test_alarm", resident=None)
    await bench.tell(hub, sealed)
    await replies.send_due()
    (reply,) = await told(hub, link)
    (state,) = reply.alarms
    assert (state.state, state.events) == (ReplyState.CLOSED, (sealed.id,))


async def test_on_connect_all_that_is_open_is_told_as_a_snapshot(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    await replies.snapshot(link)
    (empty,) = await told(hub, link)
    assert (empty.is_snapshot, empty.alarms) == (True, ())
    for n in range(3):
        await bench.press(hub, device=f"p{n}", resident=f"r-00000{n}")
    other = await bench.enrolled("Flat 2")
    await bench.press(other)
    await bench.tell(hub, hub.seal("battery_low", device="d", resident=None), has_header=True)
    await replies.snapshot(link)
    (full,) = await told(hub, link)
    assert full.is_snapshot
    assert len(full.alarms) == 3


async def test_more_alarms_than_a_message_holds_are_never_called_a_snapshot(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    await bench.tell(hub, *(hub.seal("nurse_call", device=f"room-{n}", resident=None) for n in range(70)))
    await replies.snapshot(link)
    heard = await told(hub, link)
    assert [reply.is_snapshot for reply in heard] == [False, False]
    assert len({state.alarm for reply in heard for state in reply.alarms}) == 70


async def test_many_presses_of_one_alarm_are_named_in_several_entries(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    presses = [hub.seal("pendant_pressed") for _ in range(40)]
    await bench.tell(hub, *presses)
    await replies.send_due()
    reply = (await told(hub, link))[-1]
    assert [len(state.events) for state in reply.alarms] == [32, 8]
    assert len({(state.alarm, state.version, state.state) for state in reply.alarms}) == 1
    assert {event for state in reply.alarms for event in state.events} == {press.id for press in presses}


async def test_an_event_that_is_offered_again_is_answered_with_what_became_of_its_alarm(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    sealed = hub.seal("pendant_pressed")
    await bench.tell(hub, sealed)
    alarm = await bench.alarm_of(sealed)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "other")
    await replies.send_due()
    await told(hub, link)
    await bench.tell(hub, sealed)
    await replies.send_due()
    (reply,) = await told(hub, link)
    assert [(state.state, state.events) for state in reply.alarms] == [(ReplyState.CLOSED, (sealed.id,))]
    assert (await bench.alarm_of(sealed)).repeats == 0


async def test_open_alarms_are_told_again_before_they_expire(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    await bench.press(hub)
    await replies.send_due()
    await told(hub, link)
    bench.clock.advance(30)
    await replies.refresh()
    (reply,) = await told(hub, link)
    assert reply.is_snapshot
    assert reply.alarms[0].valid_until_ms == bench.clock.now_ms() + VALID_MS


async def test_a_home_with_nothing_open_is_told_so_again_and_again(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    await replies.refresh()
    (reply,) = await told(hub, link)
    assert (reply.is_snapshot, reply.alarms) == (True, ())


async def test_a_snapshot_says_of_when_it_is_so_that_what_is_told_meanwhile_is_newer(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    await bench.press(hub)
    await replies.send_due()
    await replies.snapshot(link)
    change, snapshot = await told(hub, link)
    assert snapshot.to.central_ms < change.to.central_ms


async def test_every_open_way_is_told_and_the_run_it_leads_to_is_named(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    first = hub.now.epoch
    alarm = await bench.press(hub)
    hub.start(before=hub.now)
    with bench.services.links.open(hub.id, hub.now.epoch, "mqtt") as second:
        await bench.alarms.claim(alarm.id, FIRST)
        await replies.send_due()
        assert [reply.to.hub_epoch for reply in await told(hub, link)][-1] == first
        assert [reply.to.hub_epoch for reply in await told(hub, second)][-1] == hub.now.epoch


async def test_a_link_that_does_not_take_its_frames_is_broken_off(bench: Bench, hub: FrameHub, link: Link) -> None:
    for _ in range(300):
        link.put(b"frame")
    assert link.is_broken
    assert not bench.services.links.has_link(hub.id.hex())


async def test_a_hub_hears_when_it_is_to_act_by_itself_from_the_plan(
    bench: Bench, hub: FrameHub, link: Link, replies: Replies
) -> None:
    step = Step(receiver=ReceiverKind.CENTRES)
    variant = Variant(name="always", steps=(step,))
    plan = Plan(name="Test", variants=(variant,), local=PlannedDeadlines(no_receipt_s=20, no_claim_s=45))
    await bench.press(hub)
    await replies.snapshot(link)
    (before,) = await told(hub, link)
    assert (before.home, before.alarms[0].local) == (None, None)  # nobody has written a plan
    async with bench.store.write() as connection:
        await Sql(
            "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
            " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')"
        ).rows(connection, content=plan.model_dump_json())
    deadlines = LocalDeadlines(no_receipt_s=20, no_claim_s=45)
    await bench.press(hub, device="pendant-2")
    await replies.snapshot(link)
    (after,) = await told(hub, link)
    assert after.home == deadlines
    by_age = sorted(after.alarms, key=lambda one: one.events[0].seq)
    assert [one.local for one in by_age] == [None, deadlines]  # a running alarm keeps the plan it began with
