"""A driver that gets into every kind of trouble, on request: a plug-in like any other (`type = "troubled"`).

What it does when it is opened stands in a file, read at each start: "fine" (the default) is a `load` driver, the rest
are the ways in which drivers fail. So the same hub sees it fail, be parked, and mended.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from drivers.contract import Alias, Driver, DriverContext, DriverPlugin, DriverSettings, Fact, Observation
from drivers.errors import PermanentDriverError, TransientDriverError
from simulators.load_driver import LoadDriver, LoadSettings

Trouble = Literal[
    "fine",
    "crash",
    "crash_after_telling",
    "missing",
    "needs_person",
    "ends",
    "cancels_itself",
    "open_hangs",
    "falls_silent",
    "blocks",
    "cannot_be_ended",
]
TROUBLES: tuple[Trouble, ...] = Trouble.__args__  # type: ignore[attr-defined]  # what Literal was given


class TroubledSettings(DriverSettings):
    """`[drivers.NAME]` with type = "troubled". Paths are relative to the settings file."""

    type: Literal["troubled"] = "troubled"
    mode_file: str
    socket: str
    sensor: Alias = "sensor-2"
    button: Alias = "button-2"
    blocks_s: float = 4.0


class TroubledDriver:
    """See `drivers.contract.Driver`."""

    released = threading.Event()
    """Set it to let go of what "cannot_be_ended" holds."""

    def __init__(self, name: str, settings: TroubledSettings, base: Path) -> None:
        self.name = name
        self.opened = 0
        self._settings = settings
        self._mode = base / settings.mode_file
        self._fine = LoadDriver(
            name, LoadSettings(socket=settings.socket, sensor=settings.sensor, button=settings.button), base
        )

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        self.opened += 1
        mode = await asyncio.to_thread(self._read_mode)
        if mode == "fine":
            async with self._fine.open(context) as stream:
                yield stream
            return
        if mode == "open_hangs":
            await asyncio.Event().wait()
        if mode == "missing":
            raise TransientDriverError("the line is not plugged in")
        if mode == "needs_person":
            raise PermanentDriverError("the key file is missing")
        stream = self._troubled(mode, context)
        try:
            yield stream
        finally:
            await stream.aclose()

    def _read_mode(self) -> str:
        try:
            return self._mode.read_text(encoding="ascii").strip() or "fine"
        except FileNotFoundError:
            return "fine"

    async def _troubled(self, mode: str, context: DriverContext) -> AsyncGenerator[Observation, None]:
        if mode == "crash_after_telling":
            yield self._reading(context)
        if mode.startswith("crash"):
            raise ZeroDivisionError("a fault in the decoder")
        if mode == "falls_silent":
            context.alive()
            await asyncio.Event().wait()
        if mode == "cancels_itself":
            raise asyncio.CancelledError
        if mode == "blocks":
            time.sleep(self._settings.blocks_s)  # what no driver may do, which is the point
            await asyncio.Event().wait()
        if mode == "cannot_be_ended":
            context.alive()
            stuck = asyncio.get_running_loop().run_in_executor(None, self.released.wait)
            while not stuck.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({stuck})

    def _reading(self, context: DriverContext) -> Observation:
        return Observation(
            device=self._settings.sensor, fact=Fact.TEMPERATURE, value=20.0, observed_boot_s=context.boot_s()
        )


def _build(name: str, settings: TroubledSettings, base: Path) -> Driver:
    return TroubledDriver(name, settings, base)


PLUGIN = DriverPlugin(
    type_name="troubled",
    settings=TroubledSettings,
    build=_build,
    aliases=lambda settings: (settings.sensor, settings.button),
)
