"""A founded central with a clock of ours, and hubs that speak to it with real keys."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from central.access import EVERYTHING
from central.clock import SystemClock
from central.daemon import Central, open_central
from central.founding import Plan, found
from central.lifecycle import Queue
from central.settings import CentralSettings, DatabaseSettings, load
from central.sql import Sql
from central.store import open_store
from central.views import Actor, AlarmDetail, AlarmView
from cloud_sync.central_messages import Receipt
from simulators import postgresql
from simulators.frame_hub import FrameHub, Sealed
from simulators.postgresql import Postgres

DATABASE, TEMPLATE = "vaktpost", "with_schema"
SHAPE = "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'"
EMPTY = """DO $$ DECLARE named record; BEGIN
    FOR named IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
        EXECUTE format('DELETE FROM %I', named.tablename);
    END LOOP;
    FOR named IN SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' LOOP
        EXECUTE format('ALTER SEQUENCE %I RESTART', named.sequencename);
    END LOOP;
    DROP FUNCTION IF EXISTS refuse CASCADE;
    INSERT INTO counter (name, value) VALUES ('feed', 0), ('log', 0);
    INSERT INTO central_state (name, value) VALUES ('lineage', '{lineage}'), ('probe', '0');
END $$"""
"""As after the migrations. Much quicker than a database per test, whose files all have to reach the disk."""
ALWAYS_ON_DUTY = f"""INSERT INTO duty (account, console, team, account_name, has_sound, since_ms, seen_ms)
    VALUES ('nightwatch', '0000000000000000', '', 'Nightwatch', true, 0, {2**52}) ON CONFLICT DO NOTHING"""
"""Somebody hears every alarm; a test about nobody being there takes this row away."""
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


@pytest.fixture(scope="session")
def postgres(founded: Path) -> Iterator[Postgres]:
    """A PostgreSQL of this test run's own, with a database that has the schema."""
    with postgresql.running() as server:
        server.create(TEMPLATE)
        asyncio.run(_with_schema(_at(load(founded / "central.toml"), server.url(TEMPLATE))))
        server.create(DATABASE, TEMPLATE)
        yield server


def _at(settings: CentralSettings, url: str) -> CentralSettings:
    return settings.model_copy(update={"database": DatabaseSettings(url=url)})


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Which database a test runs on: both, unless it is marked `sqlite`. The URL, or nothing for SQLite."""
    if request.param == "sqlite":
        yield ""
        return
    server: Postgres = request.getfixturevalue("postgres")
    if server.run(SHAPE, DATABASE) != server.run(SHAPE, TEMPLATE):  # a test before this one took tables away
        server.drop(DATABASE)
        server.create(DATABASE, TEMPLATE)
    server.run(EMPTY.format(lineage=secrets.token_hex(8)), DATABASE)
    yield server.url(DATABASE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        is_marked = metafunc.definition.get_closest_marker
        shared = pytest.param("postgresql", marks=pytest.mark.soak if is_marked("long_on_postgresql") else ())
        databases: list[Any] = ["sqlite"] if is_marked("sqlite") else ["sqlite", shared]
        metafunc.parametrize("database", databases, indirect=True)


@pytest.fixture
def settings(founded: Path, tmp_path: Path, database: str) -> CentralSettings:
    """Settings of a central of this test's own, on SQLite and on PostgreSQL."""
    shutil.copytree(founded, tmp_path / "central")
    settings = load(tmp_path / "central" / "central.toml")
    return _at(settings, database) if database else settings


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

    async def read(self, alarm: str, actor: Actor = FIRST, *, keeps: bool = False) -> AlarmDetail:
        """An alarm with its words, as somebody may read them."""
        return await self.alarms.read(await self.alarms.alarm(alarm), actor, EVERYTHING, keeps=keeps)

    async def alarm_of(self, sealed: Sealed) -> AlarmView:
        """The alarm that an event belongs to."""
        event = sealed.id
        alarm = await self.value(
            f"SELECT alarm FROM alarm_event WHERE hub = '{event.hub.hex()}' AND epoch = '{event.epoch.hex()}'"
            f" AND lane = {int(event.lane)} AND seq = {event.seq}"
        )
        return (await self.alarms.alarm(alarm)).alarm

    async def refuse_inserts(self, table: str, *, when: str = "") -> None:
        """From here on the database refuses rows of this table (for which `when` holds)."""
        condition = f"WHEN ({when})" if when else ""
        if self.store.dialect.is_sqlite:
            await self.change(
                f"CREATE TRIGGER refusing BEFORE INSERT ON {table} {condition} BEGIN SELECT RAISE(FAIL, 'refused'); END"
            )
            return
        await self.change(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        await self.change(
            f"CREATE TRIGGER refusing BEFORE INSERT ON {table} FOR EACH ROW {condition} EXECUTE FUNCTION refuse()"
        )

    async def take_inserts_again(self, table: str) -> None:
        """As before `refuse_inserts`."""
        if self.store.dialect.is_sqlite:
            await self.change("DROP TRIGGER refusing")
            return
        await self.change(f"DROP TRIGGER refusing ON {table}")
        await self.change("DROP FUNCTION refuse")

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
            bench = Bench(central, clock)
            await bench.change(ALWAYS_ON_DUTY)
            yield bench

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
