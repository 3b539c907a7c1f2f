"""The driver for loops and lamps on the header of the Pi."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from drivers.contract import DriverContext, Indicators, Observation
from drivers.gpio.indicators import GpioIndicators
from drivers.gpio.link import PinHouse, do_outputs_persist
from drivers.gpio.settings import GpioSettings
from drivers.gpio.watch import InputWatch


class GpioDriver:
    """Reads the wired inputs, and lends its outputs to whoever shows the state of an alarm."""

    def __init__(self, name: str, settings: GpioSettings) -> None:
        self.name = name
        self._settings = settings
        self._house = PinHouse(settings.pin_factory)

    @asynccontextmanager
    async def open(self, context: DriverContext, /) -> AsyncIterator[AsyncIterator[Observation]]:
        """Claim the inputs. The first states are told as soon as they are stable, active or not."""
        if "healthy" in self._settings.outputs.pins():
            persist = do_outputs_persist()
            context.diagnostics["relay_drops_on_crash"] = None if persist is None else not persist
        async with self._house.use() as pins:
            watch = InputWatch(self.name, self._settings, context, pins)
            try:
                await watch.start()
                yield watch
            finally:
                await watch.stop()

    def indicators(self) -> AbstractAsyncContextManager[Indicators]:
        """Lamp, buzzer and relay. See drivers.contract.ProvidesIndicators."""
        return GpioIndicators(self.name, self._house, self._settings.outputs).playing()


def build(name: str, settings: GpioSettings, _base: Path) -> GpioDriver:
    return GpioDriver(name, settings)
