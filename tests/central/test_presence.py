"""A hub that falls silent is noticed, and central looks at itself before it blames many."""

from __future__ import annotations

from typing import Any

import pytest

from central.errors import NotStoredError
from central.lifecycle import Queue
from central.presence import Presence
from cloud_sync.identity import Lane
from simulators.frame_hub import FrameHub
from tests.central.conftest import Bench, OpenBench


def presence_of(bench: Bench) -> Presence:
    ear = bench.services.hubs.ear
    assert isinstance(ear, Presence)
    return ear


async def beat(bench: Bench, hub: FrameHub) -> None:
    bench.store._proven_s = bench.clock.mono_s()  # what the probe does every few seconds
    await bench.reception.receive(hub.heartbeat(waiting={Lane.ALARM: 2}), "https")


async def pass_time(bench: Bench, seconds: int, *alive: FrameHub) -> None:
    for second in range(seconds):
        bench.clock.advance(1)
        if second % 30 == 0:
            for hub in alive:
                await beat(bench, hub)
        await presence_of(bench).sweep()


async def state(bench: Bench, hub: FrameHub) -> str:
    return (await bench.services.hubs.hub(hub.id.hex())).presence


async def test_a_hub_is_new_then_present_and_says_what_it_is(bench: Bench, hub: FrameHub) -> None:
    assert await state(bench, hub) == "new"
    await beat(bench, hub)
    await pass_time(bench, 1)
    view = await bench.services.hubs.hub(hub.id.hex())
    assert (view.presence, view.software, view.config_hash) == ("present", "wire 1", "c0ffee")
    assert view.waiting == {"alarm": 2}
    assert list(view.paths) == ["main"]
    assert await bench.value("SELECT presence FROM hub") == "present"


async def test_late_after_ninety_seconds_silent_after_ten_minutes_and_back(bench: Bench, hub: FrameHub) -> None:
    await beat(bench, hub)
    await pass_time(bench, 89)
    assert await state(bench, hub) == "present"
    await pass_time(bench, 2)
    assert await state(bench, hub) == "late"
    assert await bench.kinds(Queue.TECHNICAL) == []
    await pass_time(bench, 515)
    assert await state(bench, hub) == "silent"
    assert await bench.kinds(Queue.TECHNICAL) == ["hub_silent"]
    await beat(bench, hub)
    await pass_time(bench, 1)
    assert await state(bench, hub) == "present"
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_a_hub_of_a_critical_resident_is_missed_sooner(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        await bench.change("UPDATE hub SET is_critical = true, presence = 'present'")
    async with open_bench() as bench:
        await beat(bench, hub)
        await pass_time(bench, 185)
        (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
        assert (alarm.kind.word, alarm.rank) == ("hub_silent", 4)
        (care,) = await bench.alarms.queue()
        assert (care.kind.word, care.rank, care.hub) == ("critical_silent", 4, hub.id.hex())
        assert await bench.value("SELECT count(*) FROM escalation WHERE state IN ('due', 'running')") == 1
        await beat(bench, hub)
        await pass_time(bench, 1)
        assert await bench.kinds(Queue.TECHNICAL) == []
        (care,) = await bench.alarms.queue()  # people close what people were asked to do
        assert care.condition == "cleared"


async def test_each_critical_resident_of_a_silent_hub_is_a_task_for_people(bench: Bench, hub: FrameHub) -> None:
    for name, critical in (("r-1", "true"), ("r-2", "true"), ("r-3", "false")):
        await bench.change(
            f"INSERT INTO resident (pseudonym, hub, is_critical) VALUES ('{name}', '{hub.id.hex()}', {critical})"
        )
    await beat(bench, hub)
    await pass_time(bench, 30)
    await pass_time(bench, 185)
    assert sorted(alarm.resident or "" for alarm in await bench.alarms.queue()) == ["r-1", "r-2"]
    assert await bench.kinds() == ["critical_silent", "critical_silent"]


async def test_many_that_stay_silent_while_others_are_heard_are_named_in_the_end(bench: Bench) -> None:
    hubs = [await bench.enrolled(f"Flat {n}") for n in range(10)]
    await bench.change(f"UPDATE hub SET is_critical = true WHERE id = '{hubs[9].id.hex()}'")
    for hub in hubs:
        await beat(bench, hub)
    await pass_time(bench, 360, *hubs[:5])
    assert (await bench.kinds(Queue.TECHNICAL), await bench.kinds()) == (["hubs_silent"], [])
    await pass_time(bench, 40, *hubs[:5])
    assert await bench.kinds() == ["critical_silent"]
    await pass_time(bench, 580, *hubs[:5])
    assert sorted(await bench.kinds(Queue.TECHNICAL)) == ["hub_silent", "hubs_silent"]
    await pass_time(bench, 30, *hubs[:5])
    assert sorted(await bench.kinds(Queue.TECHNICAL)) == ["hub_silent"] * 5 + ["hubs_silent"]


async def test_a_central_that_hears_nobody_calls_nobody_silent_and_tells_people_once(bench: Bench) -> None:
    hubs = [await bench.enrolled(f"Flat {n}") for n in range(6)]
    await bench.change(f"UPDATE hub SET is_critical = true WHERE id = '{hubs[5].id.hex()}'")
    for hub in hubs:
        await beat(bench, hub)
    await pass_time(bench, 1500)
    assert await bench.kinds(Queue.TECHNICAL) == ["hubs_silent"]
    assert await bench.kinds() == ["critical_unheard"]
    assert {await state(bench, hub) for hub in hubs} == {"late"}
    await beat(bench, hubs[0])
    await pass_time(bench, 80)  # those that have not spoken yet have as long as if central had just begun
    assert "silent" not in {await state(bench, hub) for hub in hubs}
    assert await bench.kinds(Queue.TECHNICAL) == ["hubs_silent"]
    await pass_time(bench, 90, *hubs)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_time_in_which_central_was_down_or_asleep_is_nobodys_silence(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        await beat(bench, hub)
        await pass_time(bench, 2)
    async with open_bench() as bench:
        bench.clock.advance(3600)
        await presence_of(bench).sweep()
        assert await state(bench, hub) == "present"
        await pass_time(bench, 60)
        bench.clock.advance(3600)  # the machine slept
        await presence_of(bench).sweep()
        await pass_time(bench, 60)
        assert await state(bench, hub) == "present"
        await pass_time(bench, 60)
        assert await state(bench, hub) == "late"


async def test_any_authentic_message_is_a_sign_of_life(bench: Bench, hub: FrameHub) -> None:
    await bench.press(hub)
    await pass_time(bench, 1)
    assert await state(bench, hub) == "present"


async def test_when_many_fall_silent_together_it_is_said_once(bench: Bench) -> None:
    hubs = [await bench.enrolled(f"Flat {n}") for n in range(10)]
    for hub in hubs:
        await beat(bench, hub)
    await pass_time(bench, 700, *hubs[:2])
    assert await bench.kinds(Queue.TECHNICAL) == ["hubs_silent"]
    await pass_time(bench, 62, *hubs)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_a_few_that_fall_silent_are_named(bench: Bench) -> None:
    hubs = [await bench.enrolled(f"Flat {n}") for n in range(10)]
    for hub in hubs:
        await beat(bench, hub)
    await pass_time(bench, 700, *hubs[2:])
    assert await bench.kinds(Queue.TECHNICAL) == ["hub_silent", "hub_silent"]


async def test_silence_is_raised_once_also_over_a_restart(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        await beat(bench, hub)
        await pass_time(bench, 605)
    async with open_bench() as bench:
        await pass_time(bench, 700)
        (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
        assert alarm.repeats == 0
        await beat(bench, hub)
        await pass_time(bench, 1)
        assert await bench.kinds(Queue.TECHNICAL) == []


async def test_a_sign_of_life_is_not_answered_while_alarms_cannot_be_committed(bench: Bench, hub: FrameHub) -> None:
    await beat(bench, hub)
    bench.clock.advance(16)  # no proof for longer than that
    with pytest.raises(NotStoredError):
        await bench.reception.receive(hub.heartbeat(), "https")
    await bench.store.probe()
    assert await bench.reception.receive(hub.heartbeat(), "https")


async def test_what_a_hub_said_of_itself_and_could_not_be_stored_is_stored_later(bench: Bench, hub: FrameHub) -> None:
    await beat(bench, hub)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("transact", "write"):
            patch.setattr(bench.store, name, _refused)
        with pytest.raises(NotStoredError):
            await presence_of(bench)._report()
    assert await bench.value("SELECT config_hash FROM hub") == ""
    await pass_time(bench, 1)
    assert await bench.value("SELECT config_hash FROM hub") == "c0ffee"


def _refused(*_: object, **__: object) -> Any:
    raise NotStoredError("the disk is full")
