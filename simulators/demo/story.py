"""What the demo's page tells: the lamp as the pins have it, the last alarm's journey, and the four counts.

The counts are taken at both ends: presses in the home, events in central's database. What is between them is under
way; what is missing when nothing is under way is lost; what central has more of is doubled.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from gateway.errors import HubError
from gateway.local_response.phrases import WORDS
from gateway.local_response.policy import Phrase
from simulators import control
from simulators.control import RefusedError
from simulators.demo.operator import Operator, OperatorError
from simulators.demo.program import ProgramError
from simulators.demo.stage import HOST, Stage
from simulators.home import SOCKET

TICK_S = 0.15
LOST_AFTER_S = 8.0
BACKGROUND_PER_S = 5.0
FLOOD_PER_S = 250.0
"""While the network is cut the thermometers hurry, so that thousands of readings wait when it is mended."""


class Story:
    """Watches the stage and keeps one state for all pages that look on."""

    def __init__(self, stage: Stage, operator: Operator) -> None:
        self.stage = stage
        self._operator = operator
        self._home: dict[str, Any] = {}
        self._hub: dict[str, Any] = {}
        self._sabotage = {"network": False, "hub": False, "central": False, "pc": False, "battery": False}
        self._changed = asyncio.Condition()
        self._missing_since: float | None = None
        self._acts = asyncio.Lock()
        self._sign_in = asyncio.Lock()
        self._consoles = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        await self.stage.home_act(do="readings", per_s=BACKGROUND_PER_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_home())
            group.create_task(self._follow_hub())
            group.create_task(self._operator.follow(self._touch))
            group.create_task(self._tick())

    async def states(self) -> AsyncIterator[dict[str, Any]]:
        """The state now and after each change, at most a few times a second."""
        while True:
            yield self.state()
            async with self._changed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._changed.wait()
            await asyncio.sleep(0.03)

    def state(self) -> dict[str, Any]:
        """Everything the page shows."""
        home = self._home or {"lamp": {"word": "off", "is_lit": False}, "levels": {}, "hub_connected": False}
        return {
            "home": home,
            "journey": self._journey(),
            "programs": {"hub": self.stage.hub.pid, "central": self.stage.central.pid, "console": self._consoles},
            "sabotage": self._sabotage,
            "local": self._local(),
            "counts": self._counts(),
            "notes": self._notes(),
        }

    async def sabotage(self, what: str, *, is_on: bool) -> None:
        """Break something, or mend it. Raises RefusedError."""
        if what not in self._sabotage:
            raise RefusedError(f"{what!r} cannot be broken; there is: {', '.join(self._sabotage)}")
        async with self._acts:
            if self._sabotage[what] == is_on:
                return
            self._sabotage[what] = is_on
            await self._touch()
            stage = self.stage
            if what == "network":
                (stage.cable.cut if is_on else stage.cable.mend)()
                await stage.home_act(do="readings", per_s=FLOOD_PER_S if is_on else BACKGROUND_PER_S)
            elif what == "hub":
                await (stage.hub.kill() if is_on else stage.hub.start())
            elif what == "central":
                await (stage.central.stop() if is_on else stage.central.start())
                if not is_on:
                    await stage.central_is_up()
                    self._consoles += 1
            elif what == "battery":
                await stage.home_act(do="battery", percent=8 if is_on else 100)
            await self._touch()

    async def operator_session(self) -> tuple[str, str]:
        """The cookie that signs a browser in as the demo's responder."""
        async with self._sign_in:  # a new link makes the one before it useless: one page at a time
            return await self._operator.session_cookie()

    # What it is made of

    def _local(self) -> dict[str, Any] | None:
        """What the home does by itself because nobody answers, and what a loudspeaker there would say."""
        local = self._hub.get("local_response") if self.stage.hub.is_running else None
        if not local or not local["acting_for"]:
            return None
        phrase = local["phrase"]
        said = WORDS[Phrase(phrase)] if phrase in set(Phrase) else {}
        return {"cause": local["acting_for"][0]["cause"], "said": dict(said)}

    def _journey(self) -> dict[str, Any] | None:
        local, remote = self._hub.get("last_alarm"), self._operator.last
        if local is not None and local.get("receipt_ms") is None:
            # Central does not know of it yet: what the hub says of it is all there is.
            steps = {name: local.get(f"{name}_ms") for name in ("judged", "durable", "sent")}
            is_stuck = any(self._sabotage[what] for what in ("network", "central"))
            if is_stuck:
                steps["sent"] = None
            return {"kind": local.get("kind"), "steps": {"pressed": 0, **steps}, "stuck": is_stuck}
        if remote is None:
            return None
        is_unseen = remote["steps"].get("shown") is None and self._sabotage["pc"]
        return {"kind": remote["kind"], "steps": remote["steps"], "stuck": is_unseen}

    def _counts(self) -> dict[str, int]:
        pressed = int(self._home.get("pressed", 0)) - int(self._home.get("unheard", 0))
        arrived = self._operator.arrived
        missing = max(0, pressed - arrived)
        waiting = self._waiting()
        now = time.monotonic()
        if not missing:
            self._missing_since = None
        elif self._missing_since is None or waiting or any(self._sabotage.values()):
            self._missing_since = now
        is_lost = self._missing_since is not None and now - self._missing_since > LOST_AFTER_S
        return {
            "pressed": int(self._home.get("pressed", 0)),
            "under_way": 0 if is_lost else missing,
            "lost": missing if is_lost else 0,
            "doubled": max(0, arrived - pressed),
            "unheard": int(self._home.get("unheard", 0)),
            "readings_waiting": int(self._lane("telemetry")),
        }

    def _waiting(self) -> int:
        return self._lane("alarm") + self._lane("care")

    def _lane(self, lane: str) -> int:
        told = self._hub.get("lanes", {}).get(lane, {})
        return int(told.get("waiting") or 0)

    def _notes(self) -> list[str]:
        stage = self.stage
        hub, central = stage.hub.pid, stage.central.pid
        return [
            f"hub      pid {hub or '-':<8} {f'kill -9 {hub}' if hub else ''}",
            f"central  pid {central or '-':<8} {f'kill -9 {central}' if central else ''}",
            f"vaktpost hub journal --records --config {stage.hub_config}",
            f"vaktpost central verify-log --config {stage.central_config}",
            f"vaktpost sim --folder {stage.folder / 'home'} {'call 7 emergency' if stage.plan.rooms else 'press'}",
        ]

    async def _touch(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _follow_home(self) -> None:
        async for state in control.follow(self.stage.folder / "home" / SOCKET):
            self._home = state
            await self._touch()
        raise ProgramError(f"the home went away:\n{self.stage.home.last_words()}")

    async def _follow_hub(self) -> None:
        while True:
            try:
                self._hub = await self.stage.hub_status()
            except HubError:
                self._hub = {}
            await self._touch()
            await asyncio.sleep(TICK_S if self._hub else 0.5)

    async def _tick(self) -> None:
        """A hub or central that somebody killed by hand shows as such, and can be started from the page."""
        while True:
            for what, program in (("hub", self.stage.hub), ("central", self.stage.central)):
                if not program.is_running and not self._sabotage[what] and not self._acts.locked():
                    self._sabotage[what] = True
                    await self._touch()
            await asyncio.sleep(0.5)


__all__ = ["HOST", "OperatorError", "Story"]
