"""Presses a button over and over and follows each alarm to a screen and back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from bench.rig import Rig
from bench.rows import percentile
from simulators.boot_clock import boot_s
from simulators.demo.operator import CONSOLE

PAUSE_S = (0.2, 0.4)
"""Between two rounds, at random: what the last one left to do is over, and nothing is in step with anybody's clock."""
BUTTON = "button-1"
Round = dict[str, float]
"""Step → milliseconds since the device was heard."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds, one a round."""

    values: Sequence[float]

    def p(self, share: float) -> float:
        """A percentile."""
        return percentile(self.values, share)


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
        async for event, _, _ in self._rig.operator.feed():
            if event in {"change", "beat"}:
                self._changed.set()

    async def round(self) -> Round:
        """One press, seen, taken, closed."""
        operator = self._rig.operator
        await asyncio.sleep(random.uniform(*PAUSE_S))  # no secret
        self._changed.clear()
        pressed_s = float((await self._rig.load(press=True))["at_boot_s"])
        async with asyncio.timeout(30):
            alarm_id = await self._seen()
        found = {"screen": (boot_s() - pressed_s) * 1000}
        async with asyncio.timeout(10):
            steps: dict[str, Any] = {}
            while steps.get("receipt") is None or steps.get("durable") is None:
                await asyncio.sleep(0.05)
                steps = (await operator.call("GET", f"/api/v1/alarms/{alarm_id}"))["journey"]["steps"]
        found |= {step: float(steps[step]) for step in ("durable", "receipt")}
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/shown", {"console": CONSOLE})
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/claim", {})
        closing = {"disposition": "test", "outcome": "other", "note": ""}
        await operator.call("POST", f"/api/v1/alarms/{alarm_id}/close", closing)
        return found

    async def _seen(self) -> str:
        while True:
            await self._changed.wait()
            self._changed.clear()
            listed = await self._rig.operator.call("GET", "/api/v1/alarms")
            for alarm in listed["alarms"]:
                if alarm["device"] == BUTTON:
                    return str(alarm["id"])

    @staticmethod
    def gathered(rounds: Sequence[Round]) -> dict[str, Latencies]:
        """By step."""
        return {step: Latencies([one[step] for one in rounds]) for step in rounds[0]}
