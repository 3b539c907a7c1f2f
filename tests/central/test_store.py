"""The store: urgent writers first, commits that are commits, a schema that refuses the future."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection

from central import tables_people, tables_response, tables_sms  # noqa: F401  # their tables are in the metadata once read
from central.clock import SystemClock
from central.daemon import open_central
from central.dialect import Dialect
from central.errors import CentralError, NotStoredError, SchemaError
from central.settings import CentralSettings
from central.sql import Sql
from central.store import Priority, Store, Turnstile, open_store
from central.tables import metadata
from central.write_ahead import LONGEST_BYTES, RESTART_BYTES, WriteAheadLog
from simulators.postgresql import Postgres
from tests.central.conftest import DATABASE

PUT = Sql("INSERT INTO central_state (name, value) VALUES (:name, :value)")
OVER = Sql(
    "INSERT INTO central_state (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value"
)
GET = Sql("SELECT value FROM central_state WHERE name = :name")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'central.db'}"


async def test_who_waits_is_let_in_by_urgency_and_then_by_arrival() -> None:
    turnstile, order, ready = Turnstile(1), [], asyncio.Event()

    async def pass_through(name: str, priority: int) -> None:
        async with turnstile.turn(priority):
            order.append(name)

    async with asyncio.TaskGroup() as group, turnstile.turn(Priority.BULK):
        for name, priority in (("bulk", 3), ("people", 1), ("alarm 1", 0), ("bulk 2", 3), ("alarm 2", 0)):
            group.create_task(pass_through(name, priority))
        asyncio.get_running_loop().call_soon(ready.set)
        await ready.wait()
        await asyncio.sleep(0)
    assert order == ["alarm 1", "alarm 2", "people", "bulk", "bulk 2"]


async def test_who_gives_up_waiting_does_not_block_the_others() -> None:
    turnstile = Turnstile(1)

    async def wait() -> None:
        async with turnstile.turn(0):
            pass

    async with turnstile.turn(0):
        tasks = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await tasks[1]
        async with turnstile.turn(0):
            pass


async def test_a_caller_that_leaves_does_not_undo_what_was_begun(url: str) -> None:
    begun = asyncio.Event()
    async with open_store(url, SystemClock()) as store:

        async def work(connection: sa.ext.asyncio.AsyncConnection) -> None:  # type: ignore[name-defined]
            begun.set()
            await PUT.rows(connection, name="a", value="1")

        caller = asyncio.create_task(store.transact(Priority.PEOPLE, work))
        await begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await store.drain()
        async with store.read() as connection:
            assert await GET.value(connection, name="a") == "1"


async def test_a_cancelled_block_leaves_nothing_behind_and_the_next_one_works(url: str) -> None:
    async with open_store(url, SystemClock()) as store:

        async def half() -> None:
            async with store.write() as connection:
                await PUT.rows(connection, name="half", value="1")
                await asyncio.Event().wait()

        task = asyncio.create_task(half())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with store.write() as connection:
            await PUT.rows(connection, name="next", value="1")
        async with store.read() as connection:
            assert await GET.value(connection, name="half") is None


async def test_whenever_a_writer_is_cancelled_the_next_one_can_write(url: str) -> None:
    """Also in the middle of BEGIN and of COMMIT: at every step of the loop."""
    async with open_store(url, SystemClock()) as store:

        async def write(name: str) -> None:
            async with store.write() as connection:
                await PUT.rows(connection, name=name, value="1")

        for steps in range(60):
            task = asyncio.create_task(write(f"cancelled-{steps}"))
            for _ in range(steps % 30):
                await asyncio.sleep(0 if steps < 30 else 0.0002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with asyncio.timeout(8):
                await write(f"next-{steps}")
        async with store.read() as connection:
            kept = await Sql("SELECT count(*) FROM central_state WHERE name LIKE 'next-%'").value(connection)
        assert kept == 60


async def test_an_exception_rolls_back(url: str) -> None:
    async with open_store(url, SystemClock()) as store:
        with pytest.raises(ZeroDivisionError):
            async with store.write() as connection:
                await PUT.rows(connection, name="a", value="1")
                raise ZeroDivisionError
        async with store.read() as connection:
            assert await GET.value(connection, name="a") is None


async def test_readers_cannot_write(url: str) -> None:
    async with open_store(url, SystemClock()) as store:
        with pytest.raises(NotStoredError):
            async with store.read() as connection:
                await PUT.rows(connection, name="a", value="1")


async def test_a_lock_held_by_another_process_is_waited_for(url: str, tmp_path: Path) -> None:
    async with open_store(url, SystemClock()) as store:
        with closing(sqlite3.connect(tmp_path / "central.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(store.probe())
            await asyncio.sleep(0.1)
            assert not writing.done()
            other.execute("COMMIT")
            async with asyncio.timeout(8):
                await writing


async def test_commits_are_on_the_disk_before_they_are_answered(url: str) -> None:
    async with open_store(url, SystemClock()) as store, store.write() as connection:
        assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one() == 2
        assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one() == "wal"
        await connection.exec_driver_sql("PRAGMA foreign_keys")


async def test_a_database_that_is_not_durable_is_not_opened(url: str) -> None:
    async with open_store(url, SystemClock()) as store, store._writer.connect() as connection:
        await (await connection.get_raw_connection()).driver_connection.execute_fetchall("PRAGMA synchronous=OFF")
        with pytest.raises(CentralError, match="FULL"):
            await store.dialect.assert_durable(connection)


async def test_the_lineage_stays_and_differs_from_that_of_another_database(url: str, tmp_path: Path) -> None:
    seen = []
    for address in (url, url, f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"):
        async with open_store(address, SystemClock()) as store:
            seen.append(store.lineage)
    assert seen[0] == seen[1]
    assert seen[0] != seen[2]
    assert {len(lineage) for lineage in seen} == {8}


@pytest.mark.sqlite
async def test_a_database_from_a_newer_version_is_refused_and_not_touched(
    settings: CentralSettings, tmp_path: Path
) -> None:
    file = settings.data_dir / "central.db"
    async with open_store(settings.database_url, SystemClock()):
        pass
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = hashlib.sha256(file.read_bytes()).digest()
    with pytest.raises(SchemaError, match="newer version"):
        async with open_central(settings):
            pass
    assert hashlib.sha256(file.read_bytes()).digest() == before


async def test_a_server_with_a_database_from_a_newer_version_is_refused_and_not_touched(postgres: Postgres) -> None:
    postgres.create("newer", DATABASE)
    postgres.run("UPDATE alembic_version SET version_num = '9999'", "newer")
    with pytest.raises(SchemaError, match="newer version"):
        async with open_store(postgres.url("newer"), SystemClock()):
            pass
    assert postgres.run("SELECT version_num FROM alembic_version", "newer") == "9999"


async def test_a_file_that_is_no_database_is_refused_and_not_touched(url: str, tmp_path: Path) -> None:
    file = tmp_path / "central.db"
    file.write_bytes(b"somebody's letters\n" * 400)
    with pytest.raises(SchemaError, match="not a database"):
        async with open_store(url, SystemClock()):
            pass
    assert file.read_bytes() == b"somebody's letters\n" * 400


async def test_the_migrations_make_exactly_the_tables_that_the_program_uses(url: str, tmp_path: Path) -> None:
    async with open_store(url, SystemClock()):
        pass
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'central.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_database_file_is_for_its_owner_only(founded: Path) -> None:
    assert (founded / "central.db").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("address", ["", "nonsense", "mysql://host/name", "sqlite"])
def test_an_address_that_is_none_is_refused_with_the_right_forms(address: str) -> None:
    with pytest.raises(CentralError, match="database"):
        Dialect(address)


async def fill(store: Store, megabytes: int) -> None:
    for number in range(megabytes):
        async with store.write(Priority.BULK) as connection:
            await OVER.rows(connection, name=f"n{number % 8}", value=f"{number:04}" * 250_000)


async def test_the_write_ahead_log_is_copied_and_started_over_in_a_quiet_moment(url: str, tmp_path: Path) -> None:
    async with open_store(url, SystemClock()) as store:
        wal = tmp_path / "central.db-wal"
        log = WriteAheadLog(store, tmp_path / "central.db")
        await fill(store, 40)
        assert wal.stat().st_size > RESTART_BYTES
        await log.tend()
        assert log.pauses == 1
        size = wal.stat().st_size
        await fill(store, 20)
        assert wal.stat().st_size == size
        # Its file is as large as before, and there is next to nothing in it: nobody is held up for that.
        await log.tend()
        await log.tend()
        assert log.pauses == 1


async def test_for_a_log_that_is_long_nobody_is_held_up_until_it_is_too_long(url: str, tmp_path: Path) -> None:
    async with open_store(url, SystemClock()) as store:
        log = WriteAheadLog(store, tmp_path / "central.db")
        await fill(store, 40)
        async with store.write():
            await log.tend()
            assert log.pauses == 0
            assert not store.is_quiet
        await fill(store, LONGEST_BYTES // 1_000_000 + 1)
        async with store.write():
            tending = asyncio.create_task(log.tend())
            async with asyncio.timeout(10):
                while not store.is_wanted(Priority.BULK):
                    await asyncio.sleep(0.01)
        await tending
        assert log.pauses == 1


async def test_a_log_that_a_reader_needs_is_no_reason_to_hold_anybody_up(url: str, tmp_path: Path) -> None:
    async with open_store(url, SystemClock()) as store:
        log = WriteAheadLog(store, tmp_path / "central.db")
        await fill(store, 8)
        async with store.read() as connection:
            await count_of(connection)
            await fill(store, 40)
            await log.tend()
            assert log.pauses == 0
        await fill(store, 1)
        await log.tend()
        assert log.pauses == 1


async def count_of(connection: AsyncConnection) -> int:
    return int(await Sql("SELECT count(*) FROM central_state").value(connection))


async def count_hops(store: Store) -> int:
    async with store.read() as connection:
        return await count_of(connection)


async def test_many_readers_at_once_do_not_wait_for_the_writer(url: str) -> None:
    async with open_store(url, SystemClock()) as store, asyncio.timeout(5):
        async with store.write() as connection:
            await PUT.rows(connection, name="a", value="1")
            counts = await asyncio.gather(*(count_hops(store) for _ in range(20)))
        assert set(counts) == {2}


async def test_a_transaction_in_one_piece_is_committed_whole_or_not_at_all(url: str) -> None:
    async def put(connection: AsyncConnection) -> None:
        await PUT.rows(connection, name="a", value="1")
        await PUT.rows(connection, name="a", value="2")

    async with open_store(url, SystemClock()) as store:
        with pytest.raises(sqlite3.IntegrityError):
            await store.transact(Priority.PEOPLE, put)
        assert await store.fetch(lambda connection: GET.value(connection, name="a")) is None
        await store.transact(Priority.PEOPLE, lambda connection: PUT.rows(connection, name="a", value="3"))
        assert await store.fetch(lambda connection: GET.value(connection, name="a")) == "3"


async def test_a_transaction_that_waits_for_something_else_is_refused_and_the_next_one_goes_through(url: str) -> None:
    async def wait(connection: AsyncConnection) -> None:
        await PUT.rows(connection, name="a", value="1")
        await asyncio.sleep(0)

    async with open_store(url, SystemClock()) as store:
        with pytest.raises(RuntimeError, match="for nothing else"):
            await store.transact(Priority.PEOPLE, wait)
        await store.transact(Priority.PEOPLE, lambda connection: PUT.rows(connection, name="b", value="2"))
        assert await store.fetch(lambda connection: GET.value(connection, name="a")) is None
        assert await store.fetch(lambda connection: GET.value(connection, name="b")) == "2"


async def test_what_reads_in_one_piece_cannot_write(url: str) -> None:
    async with open_store(url, SystemClock()) as store:
        with pytest.raises(NotStoredError):
            await store.fetch(lambda connection: PUT.rows(connection, name="a", value="1"))


async def test_a_transaction_in_one_piece_runs_to_its_end_when_its_caller_leaves(url: str) -> None:
    begun, go = threading.Event(), threading.Event()

    async def slow(connection: AsyncConnection) -> None:
        begun.set()
        go.wait(10)
        await PUT.rows(connection, name="a", value="1")

    async with open_store(url, SystemClock()) as store:
        leaving = asyncio.create_task(store.transact(Priority.PEOPLE, slow))
        await asyncio.to_thread(begun.wait, 10)
        leaving.cancel()
        await asyncio.wait([leaving])
        go.set()
        await store.transact(Priority.PEOPLE, lambda connection: PUT.rows(connection, name="b", value="2"))
        assert await store.fetch(lambda connection: GET.value(connection, name="a")) == "1"
