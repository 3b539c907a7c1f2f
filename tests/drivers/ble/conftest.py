from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import structlog

from drivers.ble import PLUGIN
from drivers.ble.driver import BleDriver
from drivers.ble.link import LinkTimes
from drivers.contract import DriverContext, Fact, Observation
from simulators.bluez import FakeBlueZ
from simulators.dbus import PrivateBus

PATIENCE_S = 10.0
"""How long a test waits for what must come; what must not come is shown by something later that does."""


def boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Listening:
    """A driver that runs, and a hub that takes and commits all it says."""

    def __init__(self, driver: BleDriver, memory: dict[str, int | str]) -> None:
        self.driver = driver
        self.memory = memory
        self.told: list[Observation] = []
        self.context = DriverContext(boot_s=boot_s, remembered=memory.get, log=structlog.get_logger())
        self._read = 0
        self._news = asyncio.Event()
        self._stack = AsyncExitStack()
        self._taking: asyncio.Task[None] | None = None

    @property
    def diagnostics(self) -> Any:
        return self.context.diagnostics

    async def open(self) -> None:
        observations = await self._stack.enter_async_context(self.driver.open(self.context))
        self._taking = asyncio.create_task(self._take(observations))

    async def close(self) -> None:
        await self._stack.aclose()
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.wait({self._taking})

    async def until(self, wanted: Callable[[Observation], bool]) -> Observation:
        """The next Observation not yet looked at that fits; those before it count as looked at."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self._read < len(self.told):
                    self._read += 1
                    if wanted(self.told[self._read - 1]):
                        return self.told[self._read - 1]
                self._news.clear()
                await self._news.wait()

    async def until_fact(self, fact: Fact, value: Any = None) -> Observation:
        return await self.until(lambda each: each.fact is fact and (value is None or each.value == value))

    def count(self, fact: Fact) -> int:
        return sum(each.fact is fact for each in self.told)

    async def failure(self) -> BaseException:
        assert self._taking is not None
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({self._taking})
        error = self._taking.exception()
        assert error is not None
        return error

    async def _take(self, observations: AsyncIterator[Observation]) -> None:
        async for observation in observations:
            self.memory.update(observation.remember)
            self.told.append(observation)
            self._news.set()


Listen = Callable[..., Awaitable[Listening]]

IMPATIENT = LinkTimes(call_s=5.0, idle_s=0.3, retry_s=(0.02, 0.05))


@pytest.fixture
async def bus(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PrivateBus]:
    async with PrivateBus() as private:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", private.address)
        yield private


@pytest.fixture
async def bluez(bus: PrivateBus) -> AsyncIterator[FakeBlueZ]:
    async with FakeBlueZ(bus.address) as fake:
        yield fake


@pytest.fixture
async def listen(bus: PrivateBus, tmp_path: Path) -> AsyncIterator[Listen]:
    """Start a driver with these devices (alias, address, key or None) and settings."""
    async with AsyncExitStack() as stack:

        async def start(
            *devices: tuple[str, str, bytes | None],
            memory: dict[str, int | str] | None = None,
            driver: BleDriver | None = None,
            times: LinkTimes = IMPATIENT,
            **settings: Any,
        ) -> Listening:
            if driver is None:
                rows = []
                for alias, address, key in devices:
                    row = {"alias": alias, "address": address}
                    if key is not None:
                        (tmp_path / f"{alias}.key").write_text(key.hex() + "\n")
                        row["key_file"] = f"{alias}.key"
                    rows.append(row)
                checked = PLUGIN.settings.model_validate({"type": "ble", "devices": rows, **settings})
                driver = BleDriver("bluetooth", checked, tmp_path, times=times)
            listening = Listening(driver, {} if memory is None else memory)
            stack.push_async_callback(listening.close)
            await listening.open()
            return listening

        yield start
