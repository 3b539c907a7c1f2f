"""Lamp, buzzer and relays on output pins.

The wish is kept apart from the hardware: callers say what is to be shown, one task shows it, and shows it again when
the pins come back after a failure. Pins that are not wired are silently not driven. A colour that is not wired lights
nothing: another colour would say something that is not so.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from drivers.contract import Pattern
from drivers.errors import DriverError
from drivers.gpio.link import Line, OpenPins, PinHouse, do_outputs_persist
from drivers.gpio.patterns import step_at
from drivers.gpio.settings import GpioOutputs, Output

OFF = Pattern(colour=None)
ON = Pattern(colour=None, steps=((True, math.inf),))
LAMPS: tuple[Output, ...] = ("red", "yellow", "green")
LONGEST_BACK_OFF_S = 30.0
HANGING_S = 2.0
"""Switching a pin takes microseconds. One that is not done by then hangs in the kernel, and nothing can be shown."""
CLAIM_S = 2.0
"""Claiming all of them takes milliseconds. A start waits no longer for it."""
_HANGING = "the pins have not answered for {:g} s"


@dataclass(slots=True)
class _Voice:
    """One thing that plays a pattern, and since when."""

    pattern: Pattern = OFF
    since_s: float = field(default_factory=time.monotonic)

    def play(self, pattern: Pattern) -> bool:
        """Replace the pattern. The same one goes on undisturbed."""
        if pattern == self.pattern:
            return False
        self.pattern, self.since_s = pattern, time.monotonic()
        return True


class GpioIndicators:
    """What the contract calls Indicators, on pins."""

    def __init__(self, name: str, house: PinHouse, outputs: GpioOutputs, *, retry_s: float = 1.0) -> None:
        self._house = house
        self._outputs = outputs
        self._retry_s = retry_s
        self._log = structlog.get_logger().bind(driver=name)
        self._lamp, self._buzzer, self._relay, self._call = _Voice(), _Voice(), _Voice(), _Voice()
        self._changed = asyncio.Event()
        self._tried = asyncio.Event()
        self._is_down = False
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why nothing can be shown at present; empty when all is well."""
        return self._trouble

    def lamp(self, pattern: Pattern, /) -> None:
        self._replace(self._lamp, pattern)

    def buzzer(self, pattern: Pattern, /) -> None:
        self._replace(self._buzzer, pattern)

    def healthy(self, is_healthy: bool, /) -> None:
        self._replace(self._relay, self._beat() if is_healthy else OFF)

    def call(self, is_on: bool, /) -> None:
        self._replace(self._call, ON if is_on else OFF)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[GpioIndicators]:
        """Play until left; leaving switches all off and lets the relay drop.

        Returns when the pins have been claimed, could not be, or have not answered: no start waits longer for a lamp.
        They are tried again in the background.
        """
        if not self._outputs.pins():
            yield self
            return
        if self._outputs.healthy is not None and do_outputs_persist():
            self._log.warning(
                "outputs_survive_a_crash", next_step="add dtparam=strict_gpiod to /boot/firmware/config.txt and reboot"
            )
        player = asyncio.create_task(self._keep_playing(), name="gpio-indicators")
        player.add_done_callback(lambda _player: self._tried.set())
        try:
            await self._await_pins()
            yield self
        finally:
            player.cancel()
            await asyncio.wait([player])
            if not player.cancelled() and (crash := player.exception()) is not None:
                raise crash

    async def _await_pins(self) -> None:
        try:
            async with asyncio.timeout(CLAIM_S):
                await self._tried.wait()
        except TimeoutError:
            self._is_down = True
            self._trouble = _HANGING.format(CLAIM_S)
            self._log.warning("indicators_hang")

    def _beat(self) -> Pattern:
        if self._outputs.healthy_pulse_ms is None:
            return ON
        half_s = self._outputs.healthy_pulse_ms / 1000
        return Pattern(colour=None, steps=((True, half_s), (False, half_s)))

    def _replace(self, voice: _Voice, pattern: Pattern) -> None:
        if voice.play(pattern):
            self._changed.set()

    async def _keep_playing(self) -> None:
        back_off_s = self._retry_s
        while True:
            try:
                async with self._house.use() as pins:
                    lines: dict[Output, Line] = {}
                    try:
                        for name, number in self._outputs.pins().items():
                            is_active_low = name in self._outputs.active_low
                            lines[name] = await pins.claim_output(number, is_active_low=is_active_low)
                        back_off_s = self._retry_s
                        self._trouble = ""
                        if self._is_down:
                            self._is_down = False
                            self._log.info("indicators_recovered")
                        await self._play(pins, lines)
                    finally:
                        await pins.release(lines.values())
            except DriverError as failure:
                self._trouble = str(failure)
                if not self._is_down:
                    self._is_down = True
                    self._log.warning("indicators_lost", reason=str(failure))
            self._tried.set()
            await asyncio.sleep(back_off_s)
            back_off_s = min(LONGEST_BACK_OFF_S, 2 * back_off_s)

    async def _play(self, pins: OpenPins, lines: dict[Output, Line]) -> None:
        """Show what is wished, until the pins fail."""
        shown: dict[Output, bool] = dict.fromkeys(lines, False)
        pins.when_gone(self._changed.set)
        while True:
            self._changed.clear()
            pins.check()
            wanted, left_s = self._wanted(time.monotonic())
            for name in sorted(lines, key=lambda name: wanted.get(name, False)):  # off before on: never two colours
                is_on = wanted.get(name, False)
                if shown[name] is not is_on:
                    await self._switch(pins, lines[name], is_on)
                    shown[name] = is_on
            self._tried.set()
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _switch(self, pins: OpenPins, line: Line, is_on: bool) -> None:
        """Switch one. While that hangs it is said so: whoever relies on a siren has to know that it is silent."""
        switching = asyncio.ensure_future(pins.write(line, is_on))
        try:
            await asyncio.wait([switching], timeout=HANGING_S)
            if not switching.done():
                self._trouble = _HANGING.format(HANGING_S)
                self._log.warning("indicators_hang", pin=line.number)
            await switching
        finally:
            switching.cancel()  # of no use when it is done
        if self._trouble:
            self._trouble = ""
            self._log.info("indicators_recovered")

    def _wanted(self, now_s: float) -> tuple[dict[Output, bool], float | None]:
        """Which outputs are to be on, and for how long this holds."""
        wanted: dict[Output, bool] = {}
        lasts: list[float] = []
        for voice, name in (
            (self._lamp, next((colour for colour in LAMPS if colour == self._lamp.pattern.colour), None)),
            (self._buzzer, "buzzer"),
            (self._relay, "healthy"),
            (self._call, "call"),
        ):
            is_on, left_s = step_at(voice.pattern, now_s - voice.since_s)
            if left_s is not None:
                lasts.append(left_s)
            if name is not None:
                wanted[name] = is_on
        return wanted, min(lasts, default=None)
