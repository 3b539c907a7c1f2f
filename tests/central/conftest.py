"""A founded central with a clock of ours, and hubs that speak to it with real keys."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from central.clock import SystemClock
from central.daemon import Central, open_central
from central.founding import Plan, found
from central.lifecycle import Queue
from central.settings import CentralSettings, DatabaseSettings, load
from central.sql import Sql
from central.store import open_store
from central.views import Actor, AlarmView
from cloud_sync.central_messages import Receipt
from simulators.frame_hub import FrameHub, Sealed

FIRST = Actor(id="first", name="Operator One", role="responder")
SECOND = Actor(id="second", name="Operator Two", role="responder")


class ManualClock:
    """Wall time and monotonic time that move when told to."""

    def __init__(self) -> None:
        self.wall_ms = time.time_ns() // 1_000_000
        self.mono = 1000.0

    def now_ms(self) -> int:
        return self.wall_ms

    def mono_s(self) -> float:
        return self.mono

    def advance(self, seconds: float) -> None:
        self.wall_ms += int(seconds * 1000)
        self.mono += seconds


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a founded central; copied for each test."""
    folder = tmp_path_factory.mktemp("founded") / "central"
    found(Plan(data_dir=folder, names=["localhost", "127.0.0.1"], hub_port=0, console_port=0), 1_790_000_000_000)
    asyncio.run(_with_schema(load(folder / "central.toml")))
    return folder


async def _with_schema(settings: CentralSettings) -> None:
    async with open_store(settings.database_url, SystemClock()):
        pass


@pytest.fixture
def settings(founded: Path, tmp_path: Path) -> CentralSettings:
    """Settings of a central of this test's own.

    With VAKTPOST_TEST_POSTGRESQL=postgresql+asyncpg://USER@HOST:PORT its database is a new one there.
    """
    shutil.copytree(founded, tmp_path / "central")
    settings = load(tmp_path / "central" / "central.toml")
    server = os.environ.get("VAKTPOST_TEST_POSTGRESQL")
    if server is None:
        return settings
    name = f"test_{secrets.token_hex(8)}"
    asyncio.run(_create_database(server, name))
    return settings.model_copy(update={"database": DatabaseSettings(url=f"{server}/{name}")})


async def _create_database(server: str, name: str) -> None:
    engine = create_async_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    await engine.dispose()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


class Bench:
    """A central without listeners, and what tests ask of it."""

    def __init__(self, central: Central, clock: ManualClock) -> None:
        self.central = central
        self.clock = clock
        self.services = central.services
        self.alarms = central.services.alarms
        self.store = central.services.store
        self.reception = central.reception

    async def enrolled(self, label: str = "Flat 1", **claim: Any) -> FrameHub:
        """A hub that central knows."""
        hub = FrameHub(self.services.keys.trust)
        code = await self.services.hubs.new_code(label, "test")
        hub.take_grant(await self.services.hubs.enrol(hub.claim(code, **claim)))
        hub.start()
        return hub

    async def send(self, hub: FrameHub, frame: bytes, path: str = "https", **more: Any) -> Receipt:
        """A frame in, its receipt out."""
        return hub.receipt(await self.reception.receive(frame, path, **more))

    async def tell(self, hub: FrameHub, *records: Sealed, **more: Any) -> Receipt:
        """Records in an envelope."""
        return await self.send(hub, hub.envelope(*records, **more))

    async def press(self, hub: FrameHub, **more: Any) -> AlarmView:
        """A pendant is pressed; the alarm of it."""
        sealed = hub.seal("pendant_pressed", **more)
        await self.tell(hub, sealed)
        return await self.alarm_of(sealed)

    async def alarm_of(self, sealed: Sealed) -> AlarmView:
        """The alarm that an event belongs to."""
        event = sealed.id
        alarm = await self.value(
            f"SELECT alarm FROM alarm_event WHERE hub = '{event.hub.hex()}' AND epoch = '{event.epoch.hex()}'"
            f" AND lane = {int(event.lane)} AND seq = {event.seq}"
        )
        return (await self.alarms.alarm(alarm)).alarm

    async def rows(self, statement: str) -> list[Any]:
        async with self.store.read() as connection:
            return await Sql(statement).rows(connection)

    async def value(self, statement: str) -> Any:
        rows = await self.rows(statement)
        return rows[0][0] if rows else None

    async def change(self, statement: str) -> None:
        async with self.store.write() as connection:
            await Sql(statement).rows(connection)

    async def kinds(self, queue: Queue = Queue.PERSONAL) -> list[str]:
        """The kinds of the open alarms, most urgent first."""
        return [alarm.kind.word for alarm in await self.alarms.queue(queue)]


OpenBench = Callable[[], AbstractAsyncContextManager[Bench]]


@pytest.fixture
def open_bench(settings: CentralSettings, clock: ManualClock) -> OpenBench:
    """Opens the central of this test; again after it was closed."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Bench]:
        async with open_central(settings, clock) as central:
            yield Bench(central, clock)

    return opened


@pytest.fixture
async def bench(open_bench: OpenBench) -> AsyncIterator[Bench]:
    async with open_bench() as bench:
        yield bench


@pytest.fixture
async def hub(bench: Bench) -> FrameHub:
    return await bench.enrolled()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack
