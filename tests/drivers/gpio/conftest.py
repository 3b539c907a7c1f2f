"""A simulated header, a driver on it, and what it tells."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from drivers.contract import DriverContext, Fact, Observation
from drivers.gpio import PLUGIN, GpioDriver
from simulators.boot_clock import boot_s
from simulators.gpio_pins import ADDRESS_VARIABLE, PinBoard

PATIENCE_S = 10.0


@pytest.fixture
def socket_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vp-") as folder:  # short: a Unix socket's path has 108 bytes
        path = Path(folder) / "gpio.sock"
        monkeypatch.setenv(ADDRESS_VARIABLE, str(path))
        yield path


@pytest.fixture
async def board(socket_path: Path) -> AsyncIterator[PinBoard]:
    async with PinBoard(socket_path) as board:
        yield board


@pytest.fixture
def make_driver() -> Callable[..., GpioDriver]:
    def make(*inputs: dict[str, Any], name: str = "pins", **settings: Any) -> GpioDriver:
        wanted = PLUGIN.settings.model_validate(
            {"type": "gpio", "pin_factory": "vaktpost-sim", "inputs": inputs, **settings}
        )
        driver = PLUGIN.build(name, wanted, Path())
        assert isinstance(driver, GpioDriver)
        return driver

    return make


@pytest.fixture
def make_context() -> Callable[[], DriverContext]:
    def make() -> DriverContext:
        return DriverContext(boot_s=boot_s, remembered=lambda _key: None, log=structlog.get_logger())

    return make


class Told:
    """What an open driver tells, looked through for what a test waits for."""

    def __init__(self, facts: AsyncIterator[Observation]) -> None:
        self._facts = facts
        self.seen: list[Observation] = []

    async def until(self, fact: Fact, value: object, *, device: str | None = None) -> Observation:
        """The next Observation of this fact and value; everything on the way is kept in `seen`."""
        async with asyncio.timeout(PATIENCE_S):
            async for found in self._facts:
                self.seen.append(found)
                if found.fact is fact and found.value == value and device in {None, found.device}:
                    return found
        raise AssertionError("the driver ended without an exception")


@pytest.fixture
def opened(
    make_context: Callable[[], DriverContext],
) -> Callable[..., Any]:
    """`async with opened(driver) as told`; `told.context` is what the driver got."""

    @asynccontextmanager
    async def opened(driver: GpioDriver, context: DriverContext | None = None) -> AsyncIterator[Told]:
        async with driver.open(context or make_context()) as facts:
            yield Told(facts)

    return opened
