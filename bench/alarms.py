"""How long an alarm takes: device heard → durable, receipt, on screen; idle, under load, and past a backlog."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from bench.machine import percentile, usage
from bench.rig import Rig, boot_s
from bench.telemetry import backlog, waiting
from simulators.demo.operator import CONSOLE

PAUSE_S = (0.2, 0.4)
"""Between two rounds, at random: what the last one left to do is over, and nothing is in step with anybody's clock."""
WARM_UP = 5
DRY = 3_000
"""With fewer waiting, a backlog is as good as drained."""


@dataclass(slots=True)
class Latencies:
    """Milliseconds since the device was heard, one entry a round."""

    durable: list[float] = field(default_factory=list)
    receipt: list[float] = field(default_factory=list)
    screen: list[float] = field(default_factory=list)
    written_bytes: list[float] = field(default_factory=list)

    def p(self, step: str, share: float) -> float:
        """A percentile of one step."""
        return round(percentile(getattr(self, step), share), 2)


class Presser:
    """Presses one button after the other and answers each alarm, so that every press is an alarm of its own.

    On screen means: a console that follows the feed was told of the alarm and has read it, as the console's page does.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._follow())
        await self._changed.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _follow(self) -> None:
        async for event, _data, _at in self._rig.operator.feed():
            if event in {"change", "beat"}:
                self._changed.set()

    async def round(self, found: Latencies) -> None:
        """One press, seen, taken, closed."""
        operator = self._rig.operator
        await asyncio.sleep(random.uniform(*PAUSE_S))  # no secret
        self._changed.clear()
        before = usage(self._rig.hub_pid).written_bytes
        pressed = float((await self._rig.load(press=True))["at_boot_s"])
        async with asyncio.timeout(30):
            alarm_id = await self._seen()
        found.screen.append((boot_s() - pressed) * 1000)
        async with asyncio.timeout(10):
            steps: dict[str, Any] = {}
            while steps.get("receipt") is None or steps.get("durable") is None:
                await asyncio.sleep(0.05)
                steps = (await operator.call("GET", f"/api/v1/alarms/{alarm_id}"))["journey"]["steps"]
        found.durable.append(float(steps["durable"]))
        found.receipt.append(float(steps["receipt"]))
        found.written_bytes.append(usage(self._rig.hub_pid).written_bytes - before)
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/shown", {"console": CONSOLE})
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/claim", {})
        closing = {"disposition": "test", "outcome": "other", "note": ""}
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/close", closing)

    async def _seen(self) -> str:
        while True:
            await self._changed.wait()
            self._changed.clear()
            listed = await self._rig.operator.call("GET", "/api/v1/alarms")
            for alarm in listed["alarms"]:
                if alarm["device"] == "button-1":
                    return str(alarm["id"])


async def latencies(rig: Rig, rounds: int) -> Latencies:
    """So many rounds, one after the other."""
    found = Latencies()
    async with Presser(rig) as presser:
        for _ in range(WARM_UP):
            await presser.round(Latencies())
        for _ in range(rounds):
            await presser.round(found)
    return found


async def loaded_latencies(rig: Rig, rounds: int, events: int) -> tuple[Latencies, int, float]:
    """The same with 1,000 readings a second coming in and a backlog of so many draining, which is made anew when dry.

    Also how often it was made, and the hub's memory at its highest, in MB.
    """
    found, made, memory_mb = Latencies(), 0, 0.0
    async with Presser(rig) as presser:
        while len(found.screen) < rounds:
            await backlog(rig, events)
            made += 1
            await rig.load(readings=10_000_000, per_s=1000)
            rig.stage.cable.mend()
            await presser.round(Latencies())  # the path is back
            while len(found.screen) < rounds and await waiting(rig) > DRY:
                await presser.round(found)
                memory_mb = max(memory_mb, usage(rig.hub_pid).rss_mb)
            await rig.load(stop=True)
    return found, made, memory_mb


async def past_backlog(rig: Rig, events: int, *, is_broken: bool) -> float:
    """An alarm raised with so many telemetry events waiting: from the path's return until receipt, in milliseconds.

    `is_broken`: every connection was lost meanwhile, as after a router's restart, and has to be made anew.
    """
    await backlog(rig, events)
    if is_broken:
        rig.stage.cable.reset()
    await rig.load(press=True)
    await asyncio.sleep(1.0)  # the press is on the card and waits; nothing is timed here
    mended = boot_s()
    rig.stage.cable.mend()

    async def is_receipted() -> bool:
        lane = await rig.lane("alarm")
        return not lane["in_memory"]

    done = await rig.until(is_receipted, patience_s=30, every_s=0.002)
    return (done - mended) * 1000
