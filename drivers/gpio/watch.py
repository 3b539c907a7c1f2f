"""The inputs of an open driver: edges in, Observations out.

Edges arrive in a thread of the pin factory and go straight into the loop's Zone, under a lock, so that a chattering
contact fills no queue: the event loop is woken only when something is found or falls due earlier than it planned to
look. Every `reread_s` the levels are read again, in case an edge was missed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Self

from drivers.contract import DriverContext, Fact, Observation
from drivers.gpio.codec import Change, Settled, Zone
from drivers.gpio.facts import Interpreter, Outbox
from drivers.gpio.link import Line, OpenPins, PinsLostError
from drivers.gpio.settings import GpioInput, GpioSettings

NEVER = float("inf")
AWAKE = float("-inf")


class _Loop:
    """One wired input, its debounce and what the health check wants to know of it."""

    __slots__ = ("last_edge_s", "line", "missed_edges", "suspect_s", "wired", "zone")

    def __init__(self, wired: GpioInput, restless_s: float) -> None:
        self.wired = wired
        self.zone = Zone(
            stable_s=wired.stable_s,
            restless_s=restless_s,
            is_raised_by_unrest=wired.meaning.is_raised_by_unrest,
        )
        self.line: Line | None = None
        self.last_edge_s: float | None = None
        self.suspect_s: float | None = None
        """When a re-read found a level that no edge had told of, until an edge explains it."""
        self.missed_edges = 0

    @property
    def key(self) -> str:
        return f"{self.wired.alias}.{self.wired.kind.value}"


class InputWatch(AsyncIterator[Observation]):
    """Iterates over what the inputs tell. `start` before, `stop` after."""

    def __init__(self, name: str, settings: GpioSettings, context: DriverContext, pins: OpenPins) -> None:
        self._link_alias = settings.alias or name
        self._context = context
        self._pins = pins
        self._reread_s = settings.reread_s
        self._loops = [_Loop(wired, settings.unrest_s(wired)) for wired in settings.inputs]
        self._interpreter = Interpreter(settings.inputs)
        self._outbox = Outbox()
        self._lock = threading.Lock()
        self._event_loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._planned_s = AWAKE
        """When the event loop will look next by itself; AWAKE while it is not waiting."""
        self._reread_due_s = 0.0
        self._life_sign_s = settings.life_sign_s
        self._life_sign_due_s = context.boot_s() + settings.life_sign_s
        self._lost: PinsLostError | None = None

    async def start(self) -> None:
        """Claim all inputs and read them for the first time."""
        self._pins.when_gone(self._wake.set)
        for loop in self._loops:
            self._context.diagnostics[f"{loop.key}.state"] = "unknown"
        self._report()
        for loop in self._loops:
            wired = loop.wired
            loop.line = await self._pins.claim_input(wired.pin, wired.pull, partial(self._take_edge, loop))
        await self._reread()
        self._tell_link(is_up=True)

    async def stop(self) -> None:
        """Give the inputs back."""
        await self._pins.release([loop.line for loop in self._loops if loop.line is not None])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Observation:
        while True:
            with self._lock:
                self._let_time_pass()
                found = self._outbox.pop()
            if found is not None:
                self._report()
                return found
            if self._lost is not None:
                raise self._lost
            try:
                self._pins.check()
                if self._context.boot_s() >= self._reread_due_s:
                    await self._reread()
                else:
                    await self._rest()
            except PinsLostError as lost:
                self._lost = lost
                self._tell_link(is_up=False)

    def _take_edge(self, loop: _Loop, is_high: bool) -> None:
        """In the pin factory's thread."""
        at_s = self._context.boot_s()
        with self._lock:
            loop.last_edge_s = at_s
            loop.suspect_s = None
            self._keep(loop, loop.zone.sample(loop.wired.is_active(is_high), at_s))
            due_s = loop.zone.due_s()
            must_wake = self._planned_s != AWAKE and (
                len(self._outbox) > 0 or (due_s is not None and due_s < self._planned_s)
            )
            if must_wake:
                self._planned_s = AWAKE
        if must_wake:
            with suppress(RuntimeError):  # the event loop is closed: nobody is there to be told
                self._event_loop.call_soon_threadsafe(self._wake.set)

    def _let_time_pass(self) -> None:
        now_s = self._context.boot_s()
        for loop in self._loops:
            self._keep(loop, loop.zone.advance(now_s))

    def _keep(self, loop: _Loop, changes: tuple[Change, ...]) -> None:
        for change in changes:
            for observation in self._interpreter.observe(loop.wired, change):
                self._outbox.put(observation)
            if isinstance(change, Settled):
                self._context.diagnostics[f"{loop.key}.state"] = "active" if change.is_active else "at_rest"

    async def _reread(self) -> None:
        """Compare the levels with what the edges told."""
        asked_s = self._context.boot_s()
        levels = await self._pins.read([loop.line for loop in self._loops if loop.line is not None])
        self._context.alive()
        now_s = self._context.boot_s()
        self._reread_due_s = now_s + self._reread_s
        with self._lock:
            if now_s >= self._life_sign_due_s:  # with a reading: it is the reading that shows life
                self._life_sign_due_s = now_s + self._life_sign_s
                for life_sign in self._interpreter.life_signs(now_s):
                    self._outbox.put(life_sign)
            for loop, is_high in zip(self._loops, levels, strict=True):
                if loop.suspect_s is not None:  # a full interval, and still no edge
                    loop.suspect_s = None
                    loop.missed_edges += 1
                    self._context.log.warning("gpio_edge_missed", device=loop.wired.alias, pin=loop.wired.pin)
                if loop.last_edge_s is not None and loop.last_edge_s >= asked_s:
                    continue  # an edge came meanwhile and knows better
                is_active = loop.wired.is_active(is_high)
                if loop.zone.level is not None and loop.zone.level is not is_active:
                    loop.suspect_s = now_s
                self._keep(loop, loop.zone.sample(is_active, now_s))
        self._report()

    async def _rest(self) -> None:
        """Sleep until something falls due or an edge wakes us."""
        with self._lock:
            if len(self._outbox):
                return
            dues_s = (due_s for loop in self._loops if (due_s := loop.zone.due_s()) is not None)
            until_s = min(self._reread_due_s, min(dues_s, default=NEVER))
            self._wake.clear()
            self._planned_s = until_s
        try:
            async with asyncio.timeout(max(0.0, until_s - self._context.boot_s())):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            with self._lock:
                self._planned_s = AWAKE

    def _tell_link(self, *, is_up: bool) -> None:
        with self._lock:
            self._outbox.put(
                Observation(
                    device=self._link_alias, fact=Fact.LINK, value=is_up, observed_boot_s=self._context.boot_s()
                )
            )

    def _report(self) -> None:
        """Write the figures of the health check."""
        diagnostics = self._context.diagnostics
        for loop in self._loops:
            diagnostics[f"{loop.key}.last_edge_boot_s"] = loop.last_edge_s
            diagnostics[f"{loop.key}.missed_edges"] = loop.missed_edges
            diagnostics[f"{loop.key}.bounces"] = loop.zone.bounces
        diagnostics["observations_dropped"] = self._outbox.dropped
