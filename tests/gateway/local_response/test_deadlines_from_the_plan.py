"""What the plan at central says of local response goes before the hub's own settings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.central_messages import AlarmReply, LocalDeadlines, Reply, ReplyState
from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import AlarmClass
from gateway.local_response.policy import Deadlines
from gateway.local_response.watched import Watched, dump, dump_deadlines, load, load_deadlines


def waits_s(hub: Any) -> float:
    """How long from now until the hub acts for an alarm."""
    now_s = hub.clock.stamp().boot_ms / 1000
    return float((hub.local_response.decision.next_s or now_s) - now_s)


def own_deadlines(home: Any) -> None:
    home.settings_text = home.settings_text.replace(
        "after_no_receipt_s = 1\n", "after_no_receipt_s = 5\nafter_no_claim_s = 30\n"
    )


def told(
    central: Any, local: LocalDeadlines | None, home: LocalDeadlines | None, *, is_snapshot: bool = False
) -> bytes:
    alarm = AlarmReply(
        alarm=b"A" * 8,
        version=1,
        state=ReplyState.WAITING,
        events=(central.id_of("pendant_pressed"),),
        valid_until_ms=central.now_ms() + 90_000,
        local=local,
    )
    reply = Reply(to=central.to(), alarms=(alarm,), is_snapshot=is_snapshot, home=home)
    return bytes(reply.pack(central.key_id, central.signing_key))


async def test_a_hub_waits_as_long_as_the_plan_of_its_alarm_says(home: Any, central: Any) -> None:
    own_deadlines(home)
    async with home.running() as hub, asyncio.timeout(20):
        home.button.press()
        await central.event("pendant_pressed")
        while not 6 < waits_s(hub) <= 30:
            await asyncio.sleep(0.02)
        central.say(told(central, LocalDeadlines(no_receipt_s=60, no_claim_s=600), None))
        while not 500 < waits_s(hub) <= 600:
            await asyncio.sleep(0.02)


async def test_what_central_told_of_an_alarm_and_of_the_home_holds_over_a_restart_without_a_network(
    home: Any, central: Any
) -> None:
    own_deadlines(home)
    async with home.running() as hub, asyncio.timeout(20):
        home.button.press()
        await central.event("pendant_pressed")
        local, of_home = (LocalDeadlines(no_receipt_s=60, no_claim_s=n) for n in (600, 900))
        central.say(told(central, local, of_home))
        while not 500 < waits_s(hub) <= 600:
            await asyncio.sleep(0.02)
        while hub.urgent.is_waiting:
            await asyncio.sleep(0.02)
    home.lines[0].is_reachable = False
    async with home.running() as hub, asyncio.timeout(20):
        while not 500 < waits_s(hub) <= 600:
            await asyncio.sleep(0.02)
        assert hub.home.home_deadlines() == of_home
        home.button.press()
        while not 50 < waits_s(hub) <= 60:  # of one that central has not spoken of: without a receipt
            await asyncio.sleep(0.02)


async def test_a_plan_that_is_no_more_is_forgotten_when_central_says_what_holds_now(home: Any, central: Any) -> None:
    own_deadlines(home)
    async with home.running() as hub, asyncio.timeout(20):
        home.button.press()
        await central.event("pendant_pressed")
        central.say(told(central, *(LocalDeadlines(no_receipt_s=60, no_claim_s=n) for n in (600, 900))))
        while not 500 < waits_s(hub) <= 600:
            await asyncio.sleep(0.02)
    async with home.running() as hub, asyncio.timeout(20):
        while not 500 < waits_s(hub) <= 600:
            await asyncio.sleep(0.02)
        central.say(told(central, None, None, is_snapshot=True))
        while hub.home.home_deadlines() is not None or waits_s(hub) > 30:
            await asyncio.sleep(0.02)
    async with home.running() as hub:
        assert hub.home.home_deadlines() is None


@given(st.one_of(st.none(), st.integers(), st.text(max_size=30), st.just("[15,120]"), st.just("[4,120]")))
def test_what_cannot_be_read_of_the_memory_is_as_if_nothing_was_told(text: Any) -> None:
    found = load_deadlines(text)
    assert found is None or (5 <= found.no_receipt_s <= 600 and 15 <= found.no_claim_s <= 3600)
    assert load_deadlines(dump_deadlines(found)) == found


def test_an_older_hubs_memory_of_an_alarm_is_read_and_a_newer_ones_has_its_deadlines() -> None:
    settings, plan = Deadlines(no_receipt_s=15, no_claim_s=120), Deadlines(no_receipt_s=60, no_claim_s=600)
    hub = b"h" * 8
    one = Watched(
        event=EventId(hub, b"e" * 8, Lane.ALARM, 7),
        device="pendant-1",
        alarm_class=AlarmClass.PERSONAL,
        action=LocalAction.LAMP_AND_BUZZER,
        moment="boot:1:2:1",
        raised_s=1.0,
        since_s=1.0,
    )
    older = dump([one], settings)
    assert len(json.loads(older)[0]) == 11
    assert [(found.event, found.told) for found in load(older, hub)] == [(one.event, None)]
    one.told = plan
    assert load(dump([one], settings), hub)[0].told == plan
    assert load(dump([one], settings, plan), hub)[0].told is None, "the home's are remembered once"
    damaged = json.loads(dump([one], settings))
    damaged[0][11] = [1, "x"]
    assert load(json.dumps(damaged), hub)[0].told is None
