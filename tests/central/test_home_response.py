"""What a hub did by itself for an alarm stands in that alarm's timeline, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from simulators.frame_hub import FrameHub
from tests.central.conftest import Bench


def details(alarm_event: Any, **more: Any) -> dict[str, Any]:
    return {"epoch": alarm_event.epoch.hex(), "lane": alarm_event.lane.word, "seq": alarm_event.seq, **more}


async def test_what_the_hub_did_by_itself_stands_in_the_alarms_timeline(bench: Bench, hub: FrameHub) -> None:
    press = hub.seal("pendant_pressed")
    await bench.tell(hub, press)
    alarm = await bench.alarm_of(press)
    began = details(press.id, cause="no_receipt", measures="lamp_and_buzzer pager")
    await bench.tell(hub, hub.seal("local_response", device="hub", details=began))
    ended = details(press.id, cause="no_receipt", why="taken")
    await bench.tell(hub, hub.seal("local_response_ended", device="hub", details=ended))
    timeline = (await bench.alarms.alarm(alarm.id)).timeline
    told = {entry.what: entry.content for entry in timeline if entry.actor == "hub"}
    assert told["local_response"] == {"cause": "no_receipt", "measures": ["lamp_and_buzzer", "pager"]}
    assert told["local_response_ended"] == {"cause": "no_receipt", "why": "taken"}
    assert (await bench.alarms.alarm(alarm.id)).alarm.is_open


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"epoch": "zz", "seq": 1},
        {"epoch": "00" * 8, "seq": 1, "lane": "alarm"},
        {"epoch": "00" * 8, "seq": "1"},
        {"epoch": "00" * 8, "seq": 1, "lane": "attic"},
        {"cause": "cut_off"},
    ],
)
async def test_what_names_no_alarm_that_is_known_is_stored_and_changes_nothing(
    bench: Bench, hub: FrameHub, wrong: dict[str, Any]
) -> None:
    await bench.press(hub)
    receipt = await bench.tell(hub, hub.seal("local_response_ended", device="hub", details=wrong))
    assert not receipt.unopened
    assert not await bench.rows("SELECT no FROM log_entry WHERE what = 'local_response_ended'")
