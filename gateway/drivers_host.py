"""Keeps drivers running: each in a task of its own, restarted when it fails, parked when it fails again and again.

A driver fails alone. Whatever it raises stays here: the others, and every alarm, go on. One that hangs is noticed as
well: `open` that does not return, a run that gives no more signs of life, a call that blocks the whole loop. It is
ended and counts as crashed. One that cannot even be ended (a thread stuck in the kernel) is *hung*: it is told, and not
started a second time beside itself. `comeback` has the rules for when to try again and when to tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

import structlog

from drivers.contract import Driver, DriverContext, Fact, Observation, Scalar
from drivers.errors import DriverError, PermanentDriverError
from gateway.clock import HubClock
from gateway.comeback import Comeback, End, Pause, Times
from gateway.loop_watch import LoopWatch

OPEN_S = 30.0
"""A driver that takes longer to open hangs."""
LIFE_S = 45.0
"""One that has promised signs of life and gives none for so long hangs."""
LEAVE_S = 10.0
"""So long a driver may take to end when it is told to."""
LOOK_AGAIN_S = 0.5
LINK_GRACE_S = 15.0

_log = structlog.get_logger()

Put = Callable[[str, Observation], object]
Report = Callable[..., object]


class DriverState(StrEnum):
    """How a driver is."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    PARKED = "parked"
    HUNG = "hung"


class DriverFaultError(Exception):
    """A driver did what none may. The message is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long drivers may take; other than these only in tests."""

    open_s: float = OPEN_S
    life_s: float = LIFE_S
    leave_s: float = LEAVE_S


@dataclass(slots=True, eq=False)
class HostedDriver:
    """A driver and how it fares."""

    driver: Driver
    type_name: str
    comeback: Comeback
    state: DriverState = DriverState.STARTING
    since_boot_s: float = 0.0
    restarts: int = 0
    last_error: str = ""
    observations: int = 0
    is_link_up: bool | None = None
    """What the driver said last of its own line, bus or radio. Holds over a restart: nothing is said twice."""
    link_reason: str = ""
    has_said_link: bool = False
    """In this run."""
    retry_boot_s: float | None = None
    """When it is tried again; None while it is not waiting for that."""
    diagnostics: MutableMapping[str, Scalar] = field(default_factory=dict)
    retry: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to try again now."""
    life_boot_s: float | None = None
    """The last sign of life of this run; None when it has promised none."""
    blocked_s: float = 0.0
    """For how long it last blocked the event loop."""
    concern: asyncio.Event = field(default_factory=asyncio.Event)

    def link(self, now_s: float) -> bool | None:
        """Whether its line is there; None when that is not known.

        What was said before a restart is believed once the new run has had the time to say otherwise.
        """
        if self.has_said_link or now_s - self.since_boot_s >= LINK_GRACE_S or self.is_link_up is False:
            return self.is_link_up
        return None

    @property
    def failures_in_a_row(self) -> int:
        return self.comeback.failures_in_a_row


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
        times: Times | None = None,
        patience: Patience | None = None,
        watch_loop: Callable[..., LoopWatch] = LoopWatch,
    ) -> None:
        chance = chance or random.Random()  # noqa: S311  # jitter, not a secret
        self._times = times or Times()
        self._patience = patience or Patience()
        self.hosted = [HostedDriver(driver, type_name, Comeback(self._times, chance)) for driver, type_name in drivers]
        self._clock = clock
        self._remembered = remembered
        self._put = put
        self._report = report
        self._loop_watch = watch_loop([(one.driver.name, _package(one.driver)) for one in self.hosted], self._blocked)

    def named(self, name: str) -> HostedDriver | None:
        """The driver with this name in the settings."""
        return next((one for one in self.hosted if one.driver.name == name), None)

    def hung(self) -> tuple[str, ...]:
        """The drivers that can neither run nor be ended: only a new process helps them."""
        return tuple(one.driver.name for one in self.hosted if one.state is DriverState.HUNG)

    async def run(self) -> None:
        """Keep all of them running until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self.hosted:
                group.create_task(self._loop_watch.run(), name="loop-watch")
            for hosted in self.hosted:
                group.create_task(self._supervise(hosted), name=f"driver-{hosted.driver.name}")

    async def _supervise(self, hosted: HostedDriver) -> NoReturn:
        while True:
            self._enter(hosted, DriverState.STARTING)
            hosted.life_boot_s, hosted.blocked_s = None, 0.0
            started_s = self._clock.boot_s()
            error = await self._watch_over(hosted, started_s)
            pause = hosted.comeback.ended(_end_of(error), self._well_s(hosted, error, started_s))
            hosted.restarts += 1
            self._tell(hosted, error, pause)
            self._enter(hosted, DriverState.PARKED if pause.is_parked else DriverState.BACKING_OFF)
            hosted.retry_boot_s = self._clock.boot_s() + pause.seconds
            await self._wait(hosted, pause.seconds)
            hosted.retry_boot_s = None

    async def _watch_over(self, hosted: HostedDriver, started_s: float) -> Exception:
        """Run the driver once, in a task that can be given up. Returns why it ended."""
        run = asyncio.create_task(self._hold(hosted), name=f"run-{hosted.driver.name}")
        run.add_done_callback(lambda _: hosted.concern.set())
        try:
            while not run.done():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_look_s(hosted, started_s)):
                        await hosted.concern.wait()
                hosted.concern.clear()
                if run.done():
                    break
                if (trouble := self._trouble(hosted, started_s, self._clock.boot_s())) is not None:
                    return await self._give_up(hosted, run, trouble)
                if hosted.state is DriverState.RUNNING and hosted.comeback.steadied(
                    self._well_s(hosted, None, hosted.since_boot_s)
                ):
                    self._recovered(hosted)
        finally:
            if not run.done() and hosted.state is not DriverState.HUNG:
                await self._leave(hosted, run)
        if run.cancelled():
            return DriverFaultError("it cancelled the task that it runs in")
        return run.result()

    def _well_s(self, hosted: HostedDriver, error: Exception | None, since_s: float) -> float:
        """For how long it has run well: what it hung or blocked does not count."""
        is_silent = isinstance(error, DriverFaultError) or error is None
        until_s = hosted.life_boot_s if is_silent and hosted.life_boot_s is not None else self._clock.boot_s()
        return max(0.0, until_s - since_s - hosted.blocked_s)

    def _until_look_s(self, hosted: HostedDriver, started_s: float) -> float | None:
        """When something may be due that no event tells."""
        dues = []
        if hosted.state is DriverState.STARTING:
            dues.append(started_s + self._patience.open_s)
        else:
            if hosted.life_boot_s is not None:
                dues.append(hosted.life_boot_s + self._patience.life_s)
            if hosted.comeback.is_told or hosted.comeback.failures_in_a_row:
                # Its last sign of life may be a little older: then look again soon.
                dues.append(max(hosted.since_boot_s + self._times.steady_s, self._clock.boot_s() + LOOK_AGAIN_S))
        return max(0.01, min(dues) - self._clock.boot_s()) if dues else None

    def _trouble(self, hosted: HostedDriver, started_s: float, now_s: float) -> DriverFaultError | None:
        patience = self._patience
        if hosted.blocked_s:
            return DriverFaultError(f"it blocked the whole hub for {hosted.blocked_s:.1f} s")
        if hosted.state is DriverState.STARTING and now_s - started_s >= patience.open_s:
            return DriverFaultError(f"it did not open within {patience.open_s:g} s")
        if hosted.life_boot_s is not None and now_s - hosted.life_boot_s >= patience.life_s:
            return DriverFaultError(f"it gave no sign of life for {patience.life_s:g} s")
        return None

    async def _give_up(self, hosted: HostedDriver, run: asyncio.Task[Exception], trouble: Exception) -> Exception:
        """End a run that hangs. Waits for as long as that takes: two runs of one driver would fight for its device."""
        if not await self._leave(hosted, run):
            self._enter(hosted, DriverState.HUNG)
            text = _text(trouble)
            hosted.last_error = text
            _log.error("driver_hung", driver=hosted.driver.name, error=text)
            if not hosted.comeback.is_told:
                hosted.comeback.is_told = True
                self._report("driver_parked", details=_details(hosted, f"{text} and cannot be ended", retries=False))
            await asyncio.wait({run})
        return trouble

    async def _leave(self, hosted: HostedDriver, run: asyncio.Task[Exception]) -> bool:
        """Tell a run to end. False when it does not within `leave_s`."""
        run.cancel()
        done, _ = await asyncio.wait({run}, timeout=self._patience.leave_s)
        if not done:
            _log.warning("driver_does_not_leave", driver=hosted.driver.name)
        elif not run.cancelled():
            run.exception()  # seen: that it ends is all that is asked of it
        return bool(done)

    async def _hold(self, hosted: HostedDriver) -> Exception:
        """Run the driver once. Returns why it ended."""
        driver = hosted.driver
        try:
            opened: AbstractAsyncContextManager[AsyncIterator[Observation]] = driver.open(self._context(hosted))
            async with opened as observations:
                self._enter(hosted, DriverState.RUNNING)
                hosted.concern.set()
                async for observation in observations:
                    hosted.observations += 1
                    if observation.fact is Fact.LINK:
                        hosted.is_link_up, hosted.has_said_link = bool(observation.value), True
                        hosted.link_reason = str(observation.details.get("reason", ""))
                    self._put(driver.name, observation)
        except DriverError as error:
            return error
        except Exception as error:  # noqa: BLE001  # the crash barrier: one driver's fault is never another's
            if hosted.last_error != _text(error):
                _log.debug("driver_fault", driver=driver.name, exc_info=error)
            return error
        return DriverFaultError("it stopped telling anything")

    def _context(self, hosted: HostedDriver) -> DriverContext:
        name = hosted.driver.name
        hosted.has_said_link = False
        hosted.diagnostics = {}  # a new one: a run that hangs may still write into the old

        def alive() -> None:
            is_first, hosted.life_boot_s = hosted.life_boot_s is None, self._clock.boot_s()
            if is_first:
                hosted.concern.set()

        return DriverContext(
            boot_s=self._clock.boot_s,
            remembered=lambda key: self._remembered(f"driver/{name}/{key}"),
            log=structlog.get_logger().bind(driver=name),
            diagnostics=hosted.diagnostics,
            alive=alive,
        )

    def _blocked(self, name: str, seconds: float) -> None:
        hosted = self.named(name)
        if hosted is not None and hosted.state in {DriverState.STARTING, DriverState.RUNNING}:
            hosted.blocked_s = seconds
            hosted.concern.set()

    def _enter(self, hosted: HostedDriver, state: DriverState) -> None:
        hosted.state = state
        hosted.since_boot_s = self._clock.boot_s()

    def _tell(self, hosted: HostedDriver, error: Exception, pause: Pause) -> None:
        text, name = _text(error), hosted.driver.name
        if text != hosted.last_error or pause.is_news:
            _log.warning("driver_parked" if pause.is_parked else "driver_failed", driver=name, error=text)
        hosted.last_error = text
        if pause.is_news:
            retries = not isinstance(error, PermanentDriverError)
            self._report("driver_parked", details=_details(hosted, text, retries=retries))

    def _recovered(self, hosted: HostedDriver) -> None:
        hosted.last_error = ""
        _log.info("driver_recovered", driver=hosted.driver.name)
        self._report("driver_back", details={"driver": hosted.driver.name})

    async def _wait(self, hosted: HostedDriver, seconds: float) -> None:
        hosted.retry.clear()
        try:
            async with asyncio.timeout(seconds):
                await hosted.retry.wait()
        except TimeoutError:
            return


def _package(driver: Driver) -> str:
    """The package of a driver's code, or its module where that stands among others that are not its own."""
    module = type(driver).__module__
    package, _, _ = module.rpartition(".")
    return package if package.count(".") else module


def _details(hosted: HostedDriver, error: str, *, retries: bool) -> dict[str, Scalar]:
    return {"driver": hosted.driver.name, "error": error, "will_retry": retries}


def _end_of(error: Exception) -> End:
    if isinstance(error, PermanentDriverError):
        return End.NEEDS_PERSON
    return End.PASSING if isinstance(error, DriverError) else End.CRASHED


def _text(error: Exception) -> str:
    """An error for people; only what was written for them is passed on as it is."""
    if isinstance(error, DriverError | DriverFaultError):
        return str(error)[:200] or type(error).__name__
    return f"{type(error).__name__}: {error}"[:200]
