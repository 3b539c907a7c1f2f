"""A storm of technical alarms does not delay a personal one: counted in transactions that go first, not in seconds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central.access import EVERYTHING
from central.reception import BULKY_WAITING, BusyError
from simulators.frame_hub import FrameHub

STORM = 3000
HUBS = 30
AHEAD = 40
"""Of a press: those at work when it came (four at once on PostgreSQL), its own two or three, and a few that fit in
between its parts."""


async def test_presses_in_a_storm_are_committed_before_what_came_first(bench: Any, hub: FrameHub) -> None:
    stormy = [await bench.enrolled(f"Flat {number}") for number in range(HUBS)]
    for one in stormy:
        assert await bench.services.hubs.enrolled(one.id)  # heard of before, as every hub is that runs
    frames = []
    for number in range(STORM // HUBS // 10):
        for one in stormy:
            records = [one.seal("device_missing", device=f"d{number}-{place}") for place in range(10)]
            frames.append(
                one.envelope(*records, has_header=True)
            )  # no hub sends its second before the first is answered
    storm = [asyncio.create_task(bench.reception.receive(frame, "https")) for frame in frames]
    await asyncio.sleep(0)
    ahead = []
    for number in range(5):
        before = bench.store.commits
        press = await bench.press(hub, device=f"pendant-{number}")
        ahead.append(bench.store.commits - before)
        assert press.is_open
    assert not all(task.done() for task in storm), "the storm was over before the presses: nothing was tried"
    async with asyncio.timeout(80):
        await asyncio.gather(*storm)
    assert max(ahead) <= AHEAD, ahead
    assert await bench.value("SELECT count(*) FROM alarm WHERE queue = 'technical'") == STORM


async def test_a_storm_is_folded_in_rounds_and_its_hubs_are_named(bench: Any, area: Any) -> None:
    await area.unit()
    hubs = await area.hubs(600)
    for at in range(0, 600, 50):
        await area.fail(hubs[at : at + 50])
    assert await area.sweep() == 600
    (found,) = await bench.services.incidents.open(EVERYTHING)
    assert (found.count, found.still_open) == (600, 600)


async def test_more_than_can_wait_is_asked_to_come_later_and_presses_are_not(bench: Any, hub: FrameHub) -> None:
    other = await bench.enrolled("Flat 2")
    assert await bench.services.hubs.enrolled(other.id)
    bench.reception._bulky_waiting = BULKY_WAITING
    with pytest.raises(BusyError):
        await bench.tell(other, other.seal("battery_low"))
    assert (await bench.press(hub)).is_open
