"""Presses, nurse calls and measurements by the hundred, and what the hub confirmed of them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Coroutine
from typing import Any

from simulators import control
from simulators.control import RefusedError
from simulators.demo.stage import Stage
from simulators.faults.ledger import Ledger, Press
from simulators.load_driver import LOAD_SOCKET

BUTTON, CARE_BUTTON = "button-1", "care-1"
LOAD_SETTINGS = f"""
[drivers.load]
type = "load"
socket = "{LOAD_SOCKET}"
more_buttons = ["{CARE_BUTTON}"]

[[devices]]
alias = "sensor-1"
profile = "thermometer"

[[devices]]
alias = "{BUTTON}"
profile = "pendant"
resident = "r-7f3a90"

[[devices]]
alias = "{CARE_BUTTON}"
profile = "pendant"
lane = "care"
resident = "r-7f3a90"
"""
PRESS_WAIT_S = 10.0


class Load:
    """What happens in the homes while something breaks; every confirmation goes into the ledger."""

    def __init__(self, stage: Stage, ledger: Ledger, seed: int) -> None:
        self._stage = stage
        self._socket = stage.folder / "home" / LOAD_SOCKET
        self._ledger = ledger
        self._seed = seed
        # Never the same room twice running, also not before and after a restart: the same block within 15 s is then
        # rightly taken for the panel's repeat, because the hub cannot know whether its ACK was heard.
        self._rooms = itertools.cycle(stage.plan.rooms)

    def works(
        self, *, presses: bool, calls: bool, readings_per_s: float, often: float
    ) -> list[Coroutine[Any, Any, None]]:
        """What goes on side by side, each until it is cancelled."""
        works = []
        if presses:
            works += [self._press_on(BUTTON, random.Random(self._seed + 1), often)]
            works += [self._press_on(CARE_BUTTON, random.Random(self._seed + 2), often)]
        if calls and self._stage.plan.rooms:
            works.append(self._call_on(random.Random(self._seed + 3)))
        if readings_per_s:
            works.append(self._measure_on(readings_per_s))
        return works

    async def press(self, device: str = BUTTON, *, wait_s: float = PRESS_WAIT_S) -> Press | None:
        """Press once; a Press when the hub confirmed it within `wait_s`, None when it did not or is dead."""
        self._ledger.asked[device] += 1
        request = {"press": True, "device": device, "wait_s": wait_s}
        try:
            answer = await control.ask(self._socket, request, timeout_s=wait_s + 5)
        except RefusedError:  # nothing was promised
            return None
        if answer["confirmed_at_boot_s"] is None:
            return None
        press = Press(device=device, pressed_s=answer["at_boot_s"], confirmed_s=answer["confirmed_at_boot_s"])
        self._ledger.presses.append(press)
        return press

    async def measure_some(self, readings: int, per_s: float = 0.0) -> None:
        """So many measurements."""
        await control.ask(self._socket, {"readings": readings, "per_s": per_s})

    async def _press_on(self, device: str, chance: random.Random, often: float) -> None:
        while True:
            await self.press(device)
            await asyncio.sleep(chance.uniform(0.03, 0.2) / often)

    async def _call_on(self, chance: random.Random) -> None:
        for room in self._rooms:
            with contextlib.suppress(RefusedError):  # the panel goes on trying, but we have stopped waiting
                self._ledger.called[room] += 1
                answer = await self._stage.home_act(do="call", room=room, kind="call")
                self._ledger.acked[room] += answer["outcome"] == "acked"
            await asyncio.sleep(chance.uniform(0.05, 0.3))

    async def _measure_on(self, per_s: float) -> None:
        while True:
            with contextlib.suppress(RefusedError):
                await self.measure_some(int(per_s / 2), per_s)
            await asyncio.sleep(0.5)
