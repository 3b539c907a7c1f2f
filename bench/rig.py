"""Hub, central and home as real processes over TLS on loopback, with a driver that makes load on request.

The hub is started from an environment of its own, where only the hub is installed.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.machine import usage
from simulators import control, plans
from simulators.boot_clock import boot_s
from simulators.demo.operator import Operator
from simulators.demo.stage import Ports, Stage, free_port
from simulators.load_driver import LOAD_SETTINGS, LOAD_SOCKET


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """One run of so many readings, from the first Observation at the intake to the last receipt."""

    per_s: float
    dropped: int
    hub_cpu_s: float
    central_cpu_s: float
    written_bytes: int


@dataclass(slots=True)
class Rig:
    """What a measurement works with."""

    stage: Stage
    operator: Operator
    folder: Path

    @property
    def hub_pid(self) -> int:
        """The hub's process id."""
        return self.stage.hub.pid or 0

    async def load(self, **request: Any) -> dict[str, Any]:
        """Order from the load driver."""
        return await control.ask(self.stage.folder / "home" / LOAD_SOCKET, request)

    async def lane(self, name: str) -> dict[str, Any]:
        """One lane of the hub's status."""
        status = await self.stage.hub_status()
        found: dict[str, Any] = status["lanes"][name]
        return found

    async def until(self, is_so: Callable[[], Awaitable[bool]], *, patience_s: float, every_s: float = 0.02) -> float:
        """Wait until so; returns the boot clock when it was. Raises TimeoutError."""
        async with asyncio.timeout(patience_s):
            while not await is_so():
                await asyncio.sleep(every_s)
        return boot_s()

    async def drained(self, taken: int, *, patience_s: float) -> float:
        """Wait until so many telemetry events were taken and central has a receipt out for each."""

        async def is_so() -> bool:
            lane = await self.lane("telemetry")
            return lane["taken"] >= taken and not lane["waiting"] and not lane["in_memory"]

        return await self.until(is_so, patience_s=patience_s, every_s=0.1)

    async def waiting(self) -> int:
        """How many telemetry events have no receipt."""
        return int((await self.lane("telemetry"))["waiting"] or 0)

    async def backlog(self, events: int) -> None:
        """Cut the network and let so many telemetry events wait."""
        self.stage.cable.cut()
        goal = int((await self.lane("telemetry"))["taken"]) + events
        await self.load(readings=events)

        async def is_taken() -> bool:
            return int((await self.lane("telemetry"))["taken"]) >= goal

        await self.until(is_taken, patience_s=60 + events / 500, every_s=0.1)

    async def drain(self, *, patience_s: float) -> float:
        """Mend the network and wait until nothing waits any more; how many seconds it took."""
        start_s = boot_s()
        self.stage.cable.mend()
        return await self.drained(0, patience_s=patience_s) - start_s

    async def throughput(self, events: int) -> Throughput:
        """So many readings as fast as the hub makes them durable."""
        central_pid = self.stage.central.pid or 0
        hub, central = usage(self.hub_pid), usage(central_pid)
        taken, dropped = int((await self.lane("telemetry"))["taken"]), await self._dropped()
        start_s = boot_s()
        await self.load(readings=events)
        done_s = await self.drained(taken + events, patience_s=60 + events / 500)
        hub_after, central_after = usage(self.hub_pid), usage(central_pid)
        return Throughput(
            per_s=events / (done_s - start_s),
            dropped=await self._dropped() - dropped,
            hub_cpu_s=hub_after.cpu_s - hub.cpu_s,
            central_cpu_s=central_after.cpu_s - central.cpu_s,
            written_bytes=hub_after.written_bytes - hub.written_bytes,
        )

    async def _dropped(self) -> int:
        return int((await self.stage.hub_status())["intake"]["dropped"])


@asynccontextmanager
async def rig(hub_program: Path, environment: Mapping[str, str]) -> AsyncIterator[Rig]:
    """A fresh one, in a folder on the same disk as the working directory; logs go to memory, as to a journal daemon."""
    here = Path(".run")
    here.mkdir(exist_ok=True)
    memory = Path("/dev/shm")  # a folder of our own is made there
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=here) as name,
        tempfile.TemporaryDirectory(prefix="bench-logs-", dir=memory if memory.is_dir() else here) as logs,
    ):
        folder = Path(name).resolve()
        ports = Ports(page=0, console=free_port(), hubs=free_port())
        opened = Stage.open(
            folder,
            plans.FLAT,
            ports,
            more_settings=LOAD_SETTINGS,
            logs=Path(logs),
            hub_python=[str(hub_program)],
            hub_environment=environment,
        )
        async with (
            opened as stage,
            aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        ):
            operator = Operator(stage, http)
            await operator.add_accounts()
            await operator.sign_in()
            yield Rig(stage, operator, folder)
