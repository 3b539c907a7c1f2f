"""What the plan at central says of local response goes before the hub's own settings."""

from __future__ import annotations

import asyncio
from typing import Any

from cloud_sync.central_messages import AlarmReply, LocalDeadlines, Reply, ReplyState


def waits_s(hub: Any) -> float:
    """How long from now until the hub acts for an alarm."""
    now_s = hub.clock.stamp().boot_ms / 1000
    return float((hub.local_response.decision.next_s or now_s) - now_s)


async def test_a_hub_waits_as_long_as_the_plan_of_its_alarm_says(home: Any, central: Any) -> None:
    home.settings_text = home.settings_text.replace(
        "after_no_receipt_s = 1\n", "after_no_receipt_s = 5\nafter_no_claim_s = 30\n"
    )
    async with home.running() as hub, asyncio.timeout(20):
        home.button.press()
        await central.event("pendant_pressed")
        while not 6 < waits_s(hub) <= 30:
            await asyncio.sleep(0.02)
        alarm = AlarmReply(
            alarm=b"A" * 8,
            version=1,
            state=ReplyState.WAITING,
            events=(central.id_of("pendant_pressed"),),
            valid_until_ms=central.now_ms() + 90_000,
            local=LocalDeadlines(no_receipt_s=60, no_claim_s=600),
        )
        central.say(Reply(to=central.to(), alarms=(alarm,)).pack(central.key_id, central.signing_key))
        while not 500 < waits_s(hub) <= 600:
            await asyncio.sleep(0.02)
