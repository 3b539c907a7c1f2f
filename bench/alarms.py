"""How long an alarm takes: device heard → durable, receipt, on screen; idle, under load, and past a backlog."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Self

from bench.machine import percentile, usage
from bench.rig import Rig, boot_s
from simulators.demo.operator import CONSOLE

STEPS = ("durable", "receipt", "screen")


@dataclass(slots=True)
class Latencies:
    """Milliseconds since the device was heard, one entry a round."""

    durable: list[float] = field(default_factory=list)
    receipt: list[float] = field(default_factory=list)
    screen: list[float] = field(default_factory=list)
    written_bytes: list[int] = field(default_factory=list)

    def p(self, step: str, share: float) -> float:
        """A percentile of one step."""
        return round(percentile(getattr(self, step), share), 2)


class Presser:
    """Presses one button after the other and answers each alarm, so that every press is an alarm of its own."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._events = rig.operator.feed()

    async def __aenter__(self) -> Self:
        await anext(self._events)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._events.aclose()

    async def round(self, found: Latencies) -> None:
        """One press, seen, taken, closed."""
        operator = self._rig.operator
        before = usage(self._rig.hub_pid).written_bytes
        pressed = float((await self._rig.load(press=True))["at_boot_s"])
        async with asyncio.timeout(30):
            alarm = await self._seen()
        found.screen.append((boot_s() - pressed) * 1000)
        alarm_id = alarm["id"]
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/shown", {"console": CONSOLE})
        async with asyncio.timeout(10):
            steps: dict[str, Any] = {}
            while steps.get("receipt") is None or steps.get("durable") is None:
                steps = (await operator.call("GET", f"/api/v1/alarms/{alarm_id}"))["journey"]["steps"]
                await asyncio.sleep(0.01)
        found.durable.append(float(steps["durable"]))
        found.receipt.append(float(steps["receipt"]))
        found.written_bytes.append(usage(self._rig.hub_pid).written_bytes - before)
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/claim", {})
        closing = {"disposition": "test", "outcome": "other", "note": ""}
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/close", closing)

    async def _seen(self) -> dict[str, Any]:
        async for event, _data, _at in self._events:
            if event == "change":
                listed = await self._rig.operator.call("GET", "/api/v1/alarms")
                fresh = [alarm for alarm in listed["alarms"] if alarm["device"] == "button-1"]
                if fresh:
                    return dict(fresh[0])
        raise TimeoutError


async def latencies(rig: Rig, rounds: int) -> Latencies:
    """So many rounds, one after the other."""
    found = Latencies()
    async with Presser(rig) as presser:
        for _ in range(5):
            await presser.round(Latencies())
        for _ in range(rounds):
            await presser.round(found)
    return found


async def backlog(rig: Rig, events: int) -> int:
    """Cut the network and let so many telemetry events wait. Returns how many were taken in all."""
    rig.stage.cable.cut()
    before = int((await rig.lane("telemetry"))["taken"])
    left = events
    while left > 0:
        step = min(left, 2_000)  # the hub's intake is bounded: what comes faster than it takes would be dropped
        await rig.load(readings=step)
        left -= step
        goal = before + events - left

        async def is_taken(goal: int = goal) -> bool:
            return int((await rig.lane("telemetry"))["taken"]) >= goal

        await rig.until(is_taken, patience_s=60)
    return before + events


async def past_backlog(rig: Rig, events: int) -> float:
    """An alarm raised with so many telemetry events waiting: from the path's return until receipt, in milliseconds."""
    await backlog(rig, events)
    await rig.load(press=True)
    await asyncio.sleep(1.0)  # the press is on the card and waits; nothing is timed here
    mended = boot_s()
    rig.stage.cable.mend()

    async def is_receipted() -> bool:
        lane = await rig.lane("alarm")
        return not lane["in_memory"]

    done = await rig.until(is_receipted, patience_s=30, every_s=0.002)
    return (done - mended) * 1000
