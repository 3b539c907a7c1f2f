"""One press, followed to the screen and back: `vaktpost demo --once`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from simulators import plans
from simulators.demo.operator import CONSOLE, Operator, OperatorError
from simulators.demo.stage import Stage

STEPS = ("pressed", "durable", "sent", "receipt", "shown", "taken", "reassured")
PATIENCE_S = 15.0

T = TypeVar("T")


async def press_once(stage: Stage, operator: Operator) -> dict[str, Any]:
    """Press, see, take, be told. The answer names the step where it stopped (`stopped_at`), None when it did not.

    `timeline` is milliseconds since the hub heard the device; `lamp_ms` is when the home's own pins showed green.
    """
    timeline: dict[str, float | None] = dict.fromkeys(STEPS)
    found: dict[str, Any] = {"ok": False, "device": plans.BLE_PENDANT, "path": "gpio", "timeline": timeline}
    found |= {"stopped_at": "pressed", "problem": None}
    found["path"] = "ble" if stage.has_bluetooth else "gpio"
    try:
        await operator.sign_in()
        events = operator.feed()
        known = {alarm["id"] for alarm in (await operator.call("GET", "/api/v1/alarms"))["alarms"]}
        async with asyncio.timeout(PATIENCE_S):
            await anext(events)  # the stream is open: from here on every change is seen
        pressed = float((await stage.home_act(do="press", device=plans.BLE_PENDANT))["at_boot_s"])
        found["stopped_at"] = "shown"
        alarm_id = await _within(lambda: _new_alarm(operator, events, known), "no alarm reached the screen")
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/shown", {"console": CONSOLE})
        found["stopped_at"] = "taken"
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/claim", {})
        found["stopped_at"] = "reassured"
        await _within(lambda: _lamp_is(stage, {"taken"}), "the lamp at home did not turn green")
        lamp = float((await stage.home_state())["lamp"]["since_boot_s"])
        steps = await _within(lambda: _whole_journey(operator, alarm_id), "central does not know what the lamp shows")
        timeline.update({name: steps.get(name) for name in STEPS})
        found["lamp_ms"] = round((lamp - pressed) * 1000, 1)
        found["stopped_at"] = next((name for name in STEPS if timeline[name] is None), None)
        closing = {"disposition": "test", "outcome": "other", "note": ""}
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/close", closing)
        await _within(lambda: _lamp_is(stage, {"off"}), "the lamp at home did not go out")
    except (OperatorError, TimeoutError) as error:
        found["problem"] = str(error) or "no answer in time"
    found["ok"] = found["stopped_at"] is None and found["problem"] is None
    return found


async def _within(look: Callable[[], Awaitable[T | None]], complaint: str) -> T:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await look()) is None:
                await asyncio.sleep(0.05)
            return found
    except TimeoutError:
        raise OperatorError(f"{complaint} within {PATIENCE_S:.0f} s") from None


async def _new_alarm(operator: Operator, events: Any, known: set[str]) -> str | None:
    async for event, _data, _at in events:
        if event == "change":
            listed = await operator.call("GET", "/api/v1/alarms")
            fresh = [alarm["id"] for alarm in listed["alarms"] if alarm["id"] not in known]
            if fresh:
                return str(fresh[0])
    return None


async def _lamp_is(stage: Stage, words: set[str]) -> bool | None:
    state = await stage.home_state()
    return True if state["lamp"]["word"] in words else None


async def _whole_journey(operator: Operator, alarm_id: str) -> dict[str, Any] | None:
    detail = await operator.call("GET", f"/api/v1/alarms/{alarm_id}")
    steps: dict[str, Any] = detail["journey"]["steps"]
    return steps if steps.get("reassured") is not None else None
