"""Technical conditions of a batch: each is one alarm while it holds, with all its events, and is told of briefly."""

from __future__ import annotations

from typing import Any

from central import feed
from central.lifecycle import Queue
from central.technical.conditions import MOST_TOLD
from simulators.frame_hub import FrameHub


async def told(bench: Any, after: int) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in await bench.rows(f"SELECT topic, ref, what FROM feed WHERE no > {after} ORDER BY no")]


async def test_the_same_condition_often_in_one_envelope_is_one_alarm_with_all_its_events(
    bench: Any, hub: FrameHub
) -> None:
    await bench.reception.receive(hub.heartbeat(has_header=True), "https")
    start = await bench.services.feed.now()
    records = [hub.seal("battery_low", device="d", value=30 - number) for number in range(5)]
    await bench.tell(hub, *records)
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (alarm.repeats, alarm.version, alarm.value, alarm.rank, alarm.lifted) == (4, 5, 26, 5, 0)
    roles = await bench.rows("SELECT role FROM alarm_event ORDER BY seq")
    assert [row[0] for row in roles] == ["raised", *["repeat"] * 4]
    assert await told(bench, start) == [("alarm", alarm.id, "raised")]
    await bench.tell(hub, hub.seal("battery_low", device="d", value=3), hub.seal("battery_low", device="d", value=2))
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (alarm.repeats, alarm.version, alarm.value) == (6, 7, 2)
    assert await told(bench, start + 1) == [("alarm", alarm.id, "repeated")]
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'raised'") == 1


async def test_what_ends_and_begins_again_within_an_envelope_is_two_alarms(bench: Any, hub: FrameHub) -> None:
    words = ["device_missing", "device_missing", "device_back", "device_missing"]
    await bench.tell(hub, *(hub.seal(word, device="d") for word in words), has_header=True)
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    ((before, repeats),) = await bench.rows("SELECT id, repeats FROM alarm WHERE outcome = 'condition_cleared'")
    assert (alarm.before_alarm, alarm.repeats, repeats) == (before, 0, 1)


async def test_a_condition_that_comes_after_its_own_end_is_no_alarm(bench: Any, hub: FrameHub) -> None:
    missing, back = hub.seal("device_missing", device="d"), hub.seal("device_back", device="d")
    await bench.tell(hub, back, has_header=True)
    await bench.tell(hub, missing)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_a_great_many_changes_are_one_in_the_feed(bench: Any, hub: FrameHub) -> None:
    await bench.reception.receive(hub.heartbeat(has_header=True), "https")
    start = await bench.services.feed.now()
    await bench.tell(hub, *(hub.seal("device_missing", device=f"d{n}") for n in range(MOST_TOLD)))
    assert [change[2] for change in await told(bench, start)] == ["raised"] * MOST_TOLD
    start = await bench.services.feed.now()
    await bench.tell(hub, *(hub.seal("device_missing", device=f"e{n}") for n in range(MOST_TOLD + 1)))
    assert await told(bench, start) == [feed.MANY]
    start = await bench.services.feed.now()
    await bench.tell(hub, *(hub.seal("device_back", device=f"e{n}") for n in range(MOST_TOLD + 1)))
    assert await told(bench, start) == [feed.MANY]
    assert await bench.value("SELECT count(*) FROM log_entry WHERE what = 'condition_cleared'") == MOST_TOLD + 1


async def test_records_that_cannot_be_read_are_one_alarm_of_their_hub(bench: Any, hub: FrameHub) -> None:
    receipt = await bench.tell(hub, *(hub.seal("temperature", device="t", value=n) for n in range(60)))
    assert receipt.unopened == ((1, 60),)
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (alarm.kind.word, alarm.repeats, alarm.details) == ("unreadable_records", 59, {"reason": "no_header"})
    assert await bench.value(f"SELECT count(*) FROM alarm_event WHERE alarm = '{alarm.id}'") == 60
