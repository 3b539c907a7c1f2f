"""A hub reduced to what a driver meets: a context, an intake that confirms, a supervisor that opens it again.

async with BareHub(driver) as hub:
call = await hub.next(Fact.NURSE_CALL)
assert hub.memory["last_block"]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog

from drivers.contract import Driver, DriverContext, Fact, Observation, Scalar
from drivers.errors import PermanentDriverError, TransientDriverError
from simulators.boot_clock import boot_s


class BareHub:
    """Runs one driver from enter to exit.

    `verdict` is what the intake answers to an Observation that waits: True (and what it asked to remember is kept),
    False, or None to leave it waiting; it may be changed at any time. `seen` is everything that came, oldest first.
    """

    def __init__(
        self, driver: Driver, *, verdict: bool | None = True, memory: dict[str, int | str] | None = None
    ) -> None:
        self.driver = driver
        self.verdict = verdict
        self.memory: dict[str, int | str] = {} if memory is None else memory
        self.seen: list[Observation] = []
        self.failures: list[TransientDriverError | PermanentDriverError] = []
        self.context = DriverContext(boot_s=boot_s, remembered=self.memory.get, log=structlog.get_logger())
        self._taken = 0
        self._news = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._supervise(), name="bare-hub")
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Leave the driver. What ended it unexpectedly is raised here."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def next(self, fact: Fact | None = None, *, device: str | None = None) -> Observation:
        """The next Observation that was not given yet, of this fact and device. Others before it are passed over."""
        while True:
            async with self._news:
                await self._news.wait_for(lambda: len(self.seen) > self._taken or self._has_ended())
            if len(self.seen) <= self._taken:
                await self.stop()
                raise RuntimeError("the driver has ended")
            observation = self.seen[self._taken]
            self._taken += 1
            if fact in {None, observation.fact} and device in {None, observation.device}:
                return observation

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so()`, looked at after every Observation and failure."""
        async with self._news:
            await self._news.wait_for(is_so)

    def values(self, fact: Fact, *, device: str | None = None) -> list[Scalar]:
        """The values of this fact so far."""
        return [seen.value for seen in self.seen if seen.fact is fact and device in {None, seen.device}]

    def resolve(self, observation: Observation, verdict: bool) -> None:
        """Confirm or refuse an Observation that was left waiting."""
        if observation.confirmation is not None and not observation.confirmation.done():
            if verdict:
                self.memory.update(observation.remember)
            observation.confirmation.set_result(verdict)

    def _has_ended(self) -> bool:
        return self._task is None or self._task.done()

    async def _supervise(self) -> None:
        try:
            while True:
                try:
                    await self._run()
                except TransientDriverError as error:
                    self.failures.append(error)
                    await self._tell()
                    await asyncio.sleep(0.05)
                except PermanentDriverError as error:
                    self.failures.append(error)
                    return
        finally:
            await self._tell()

    async def _run(self) -> None:
        async with self.driver.open(self.context) as observations:
            async for observation in observations:
                self.seen.append(observation)
                if observation.confirmation is None:
                    self.memory.update(observation.remember)
                elif self.verdict is not None:
                    self.resolve(observation, self.verdict)
                await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
