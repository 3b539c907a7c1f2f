"""Drivers in trouble, and the others beside them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Fact, Observation
from gateway.clock import HubClock
from gateway.comeback import Times
from gateway.drivers_host import DriversHost, DriverState, HostedDriver, Patience
from gateway.loop_watch import LoopWatch
from simulators import control
from simulators.load_driver import LoadDriver, LoadSettings
from simulators.troubled_driver import TROUBLES, TroubledDriver, TroubledSettings

TIMES = Times(base_s=0.01, max_s=0.05, parked_base_s=0.1, crashing_max_s=0.3, parked_max_s=0.4, steady_s=0.5)
PATIENCE = Patience(open_s=0.3, life_s=0.3, leave_s=0.2)

pytestmark = pytest.mark.timeout(60)


class House:
    """Two drivers in one host: one that is well, one that is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.seen: list[Observation] = []
        self.well = LoadDriver("well", LoadSettings(socket="well.sock"), folder)
        self.bad = TroubledDriver("bad", TroubledSettings(mode_file="mode", socket="bad.sock", blocks_s=0.4), folder)
        self.host = DriversHost(
            [(self.well, "load"), (self.bad, "troubled")],
            clock=HubClock(),
            remembered=lambda _key: None,
            put=lambda _driver, observation: self.seen.append(observation),
            report=lambda word, *, details: self.reports.append((word, details)),
            times=TIMES,
            patience=PATIENCE,
            watch_loop=lambda drivers, blocked: LoopWatch(drivers, blocked, blocked_s=0.2, turn_s=0.03),
        )

    @asynccontextmanager
    async def running(self, mode: str) -> AsyncIterator[House]:
        self.mode(mode)
        task = asyncio.create_task(self.host.run())
        try:
            yield self
        finally:
            TroubledDriver.released.set()
            task.cancel()
            await asyncio.wait({task})
            TroubledDriver.released.clear()

    def mode(self, mode: str) -> None:
        (self.folder / "mode").write_text(mode)

    @property
    def hosted(self) -> HostedDriver:
        found = self.host.named("bad")
        assert found is not None
        return found

    def told(self) -> list[str]:
        return [word for word, details in self.reports if details["driver"] == "bad"]

    async def press(self, name: str) -> None:
        """Press the button of a driver and see it come through."""
        await until((self.folder / f"{name}.sock").exists)
        before = len(self.buttons())
        await control.ask(self.folder / f"{name}.sock", {"press": True})
        await until(lambda: len(self.buttons()) > before)

    def buttons(self) -> list[Observation]:
        return [each for each in self.seen if each.fact is Fact.BUTTON]


async def until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize("mode", [mode for mode in TROUBLES if mode != "fine"])
async def test_a_driver_in_trouble_is_told_once_takes_nobody_along_and_is_told_back_once_when_mended(
    house: House, mode: str
) -> None:
    async with house.running(mode):
        await until(lambda: "driver_parked" in house.told(), timeout_s=20)
        await house.press("well")
        opened = house.bad.opened
        if mode == "cannot_be_ended":
            assert house.host.hung() == ("bad",)
            TroubledDriver.released.set()
        await until(lambda: house.bad.opened > opened)  # tried again by itself
        house.mode("fine")
        await until(lambda: house.hosted.state is DriverState.RUNNING and house.told()[-1] == "driver_back")
        await house.press("bad")
        await house.press("well")
        well = house.host.named("well")
        assert well is not None
        assert well.restarts == 0
    assert house.told() == ["driver_parked", "driver_back"]


async def test_a_crash_loop_is_tried_ever_more_rarely(house: House) -> None:
    async with house.running("crash"):
        await until(lambda: house.hosted.state is DriverState.PARKED)
        assert house.hosted.failures_in_a_row == TIMES.fruitless
        assert house.hosted.last_error == "ZeroDivisionError: a fault in the decoder"
        assert house.hosted.retry_boot_s is not None
        await until(lambda: house.hosted.failures_in_a_row >= TIMES.fruitless + 3)
        opened, began_s = house.bad.opened, asyncio.get_running_loop().time()
        await until(lambda: house.bad.opened >= opened + 3)
        assert asyncio.get_running_loop().time() - began_s >= 2 * 0.9 * TIMES.crashing_max_s


async def test_a_driver_that_is_hung_is_not_started_beside_itself(house: House) -> None:
    async with house.running("cannot_be_ended"):
        await until(lambda: house.hosted.state is DriverState.HUNG)
        house.mode("fine")
        opened = house.bad.opened
        for _ in range(5):
            await house.press("well")
        assert house.bad.opened == opened
        assert house.hosted.state is DriverState.HUNG


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("open_hangs", "did not open within 0.3 s"),
        ("falls_silent", "gave no sign of life for 0.3 s"),
        ("blocks", "blocked the whole hub for 0."),
        ("ends", "stopped telling anything"),
        ("cancels_itself", "cancelled the task that it runs in"),
    ],
)
async def test_what_is_told_says_what_the_driver_did(house: House, mode: str, words: str) -> None:
    async with house.running(mode):
        await until(lambda: house.hosted.restarts > 0)
        assert words in house.hosted.last_error


async def test_what_a_driver_said_of_its_line_holds_while_it_is_started_again(house: House) -> None:
    async with house.running("fine"):
        await until(lambda: house.hosted.state is DriverState.RUNNING)
        house.hosted.is_link_up = True  # as a driver says once, and after a crash not again
        house.mode("crash")
        assert not house.hosted.retry.is_set()
        run = next(task for task in asyncio.all_tasks() if task.get_name() == "run-bad")
        run.cancel()
        await until(lambda: house.hosted.restarts > 1)
        assert house.hosted.is_link_up is True


async def test_leaving_the_host_leaves_every_driver(house: House) -> None:
    async with house.running("fine"):
        await house.press("bad")
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("run-", "driver-", "loop-"))]
