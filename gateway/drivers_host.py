"""Keeps drivers running: each in a task of its own, restarted when it fails, parked when only a person can help.

A driver fails alone. Whatever it raises stays here: the others, and every alarm, go on.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

import structlog

from drivers.contract import Driver, DriverContext, Fact, Observation, Scalar
from drivers.errors import DriverError, PermanentDriverError, TransientDriverError
from gateway.clock import HubClock

BACK_OFF_BASE_S = 0.5
BACK_OFF_MAX_S = 60.0
PARKED_S = 600.0
STEADY_S = 60.0
"""A driver that ran for so long before it failed starts again from the shortest back-off."""
FRUITLESS_RESTARTS = 5
"""After so many failures in a row people are told, though the driver is tried again."""

_log = structlog.get_logger()

Put = Callable[[str, Observation], object]
Report = Callable[..., object]


class DriverState(StrEnum):
    """How a driver is."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    PARKED = "parked"


@dataclass(slots=True, eq=False)
class HostedDriver:
    """A driver and how it fares."""

    driver: Driver
    type_name: str
    state: DriverState = DriverState.STARTING
    since_boot_s: float = 0.0
    restarts: int = 0
    failures_in_a_row: int = 0
    last_error: str = ""
    observations: int = 0
    is_link_up: bool | None = None
    """What the driver said last of its own line, bus or radio; None before it said anything in this attempt."""
    link_reason: str = ""
    diagnostics: MutableMapping[str, Scalar] = field(default_factory=dict)
    is_reported: bool = False
    retry: asyncio.Event = field(default_factory=asyncio.Event)


class DriversHost:
    """Supervises the drivers. `put` takes an observation and never blocks; `report` raises a technical event."""

    def __init__(
        self,
        drivers: Iterable[tuple[Driver, str]],
        *,
        clock: HubClock,
        remembered: Callable[[str], int | str | None],
        put: Put,
        report: Report,
        chance: random.Random | None = None,
        parked_s: float = PARKED_S,
        back_off_base_s: float = BACK_OFF_BASE_S,
    ) -> None:
        self.hosted = [HostedDriver(driver, type_name) for driver, type_name in drivers]
        self._clock = clock
        self._remembered = remembered
        self._put = put
        self._report = report
        self._chance = chance or random.Random()  # noqa: S311  # jitter, not a secret
        self._parked_s = parked_s
        self._back_off_base_s = back_off_base_s

    def named(self, name: str) -> HostedDriver | None:
        """The driver with this name in the settings."""
        return next((one for one in self.hosted if one.driver.name == name), None)

    async def run(self) -> None:
        """Keep all of them running until cancelled."""
        async with asyncio.TaskGroup() as group:
            for hosted in self.hosted:
                group.create_task(self._supervise(hosted), name=f"driver-{hosted.driver.name}")

    async def _supervise(self, hosted: HostedDriver) -> NoReturn:
        back_off_s = self._back_off_base_s
        while True:
            self._enter(hosted, DriverState.STARTING)
            started_s = self._clock.boot_s()
            error = await self._hold(hosted)
            if self._clock.boot_s() - started_s >= STEADY_S:
                back_off_s, hosted.failures_in_a_row = self._back_off_base_s, 0
            hosted.failures_in_a_row += 1
            hosted.restarts += 1
            self._tell(hosted, error)
            if isinstance(error, PermanentDriverError):
                self._enter(hosted, DriverState.PARKED)
                await self._wait(hosted, self._parked_s * self._chance.uniform(0.9, 1.1))
                continue
            self._enter(hosted, DriverState.BACKING_OFF)
            back_off_s = min(BACK_OFF_MAX_S, self._chance.uniform(self._back_off_base_s, back_off_s * 3))
            await self._wait(hosted, back_off_s)

    async def _hold(self, hosted: HostedDriver) -> Exception:
        """Run the driver once. Returns why it ended."""
        driver = hosted.driver
        try:
            opened: AbstractAsyncContextManager[AsyncIterator[Observation]] = driver.open(self._context(hosted))
            async with opened as observations:
                self._enter(hosted, DriverState.RUNNING)
                async for observation in observations:
                    hosted.observations += 1
                    if observation.fact is Fact.LINK:
                        hosted.is_link_up = bool(observation.value)
                        hosted.link_reason = str(observation.details.get("reason", ""))
                    if hosted.is_reported:
                        self._recovered(hosted)
                    self._put(driver.name, observation)
        except DriverError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the crash barrier: one driver's fault is never another's
            if hosted.last_error != _text(error):
                _log.debug("driver_fault", driver=driver.name, exc_info=error)
            return error
        return TransientDriverError("the driver stopped telling anything")

    def _context(self, hosted: HostedDriver) -> DriverContext:
        name = hosted.driver.name
        hosted.diagnostics.clear()
        hosted.is_link_up, hosted.link_reason = None, ""
        return DriverContext(
            boot_s=self._clock.boot_s,
            remembered=lambda key: self._remembered(f"driver/{name}/{key}"),
            log=structlog.get_logger().bind(driver=name),
            diagnostics=hosted.diagnostics,
        )

    def _enter(self, hosted: HostedDriver, state: DriverState) -> None:
        hosted.state = state
        hosted.since_boot_s = self._clock.boot_s()

    def _tell(self, hosted: HostedDriver, error: Exception) -> None:
        text, name = _text(error), hosted.driver.name
        is_permanent = isinstance(error, PermanentDriverError)
        if text != hosted.last_error:
            _log.warning("driver_parked" if is_permanent else "driver_failed", driver=name, error=text)
        hosted.last_error = text
        if not hosted.is_reported and (is_permanent or hosted.failures_in_a_row >= FRUITLESS_RESTARTS):
            hosted.is_reported = True
            self._report("driver_parked", details={"driver": name, "error": text, "will_retry": not is_permanent})

    def _recovered(self, hosted: HostedDriver) -> None:
        hosted.is_reported = False
        hosted.last_error = ""
        hosted.failures_in_a_row = 0
        _log.info("driver_recovered", driver=hosted.driver.name)
        self._report("driver_back", details={"driver": hosted.driver.name})

    async def _wait(self, hosted: HostedDriver, seconds: float) -> None:
        hosted.retry.clear()
        try:
            async with asyncio.timeout(seconds):
                await hosted.retry.wait()
        except TimeoutError:
            return


def _text(error: Exception) -> str:
    """An error for people; only a driver's own errors are known to be written for them."""
    if isinstance(error, DriverError):
        return str(error)[:200] or type(error).__name__
    return f"{type(error).__name__}: {error}"[:200]
