"""Transactions that PostgreSQL's driver begins and ends: whole or not at all, and a lost connection is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import SystemClock
from central.errors import NotStoredError
from central.sql import Sql
from central.store import Priority, Store, open_store
from central.straight import driver_of
from central.tables import central_state
from simulators.postgresql import Postgres
from tests.central.conftest import DATABASE

PUT = Sql("INSERT INTO central_state (name, value) VALUES (:name, :value)")
GET = Sql("SELECT value FROM central_state WHERE name = :name")
END_ALL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = "


@pytest.fixture
async def store(postgres: Postgres) -> AsyncIterator[Store]:
    async with open_store(postgres.url(DATABASE), SystemClock()) as store:
        async with store.write() as connection:
            await Sql("DELETE FROM central_state WHERE name LIKE 'straight-%'").rows(connection)
        yield store


async def kept(store: Store, name: str) -> str | None:
    found: str | None = await store.fetch(lambda connection: GET.value(connection, name=name))
    return found


async def test_connections_that_the_database_has_ended_are_replaced_before_anything_is_begun(
    store: Store, postgres: Postgres
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(
                store.transact(Priority.PEOPLE, lambda c, n=number: PUT.rows(c, name=f"straight-{n}", value="1"))  # type: ignore[misc]
            )
    await asyncio.to_thread(postgres.run, f"{END_ALL}'{DATABASE}'")
    assert await store.ask(GET, name="straight-3") == [("1",)]
    await store.transact(Priority.PEOPLE, lambda c: PUT.rows(c, name="straight-after", value="1"))
    assert await kept(store, "straight-after") == "1"
    assert await kept(store, "straight-3") == "1"


async def test_what_failed_in_between_is_not_called_committed(store: Store) -> None:
    async def work(connection: AsyncConnection) -> None:
        await PUT.rows(connection, name="straight-lost", value="1")
        with pytest.raises(asyncpg.UniqueViolationError):
            await PUT.rows(connection, name="straight-lost", value="2")

    with pytest.raises(NotStoredError):
        await store.transact(Priority.PEOPLE, work)
    assert await kept(store, "straight-lost") is None


async def test_a_connection_that_is_lost_before_the_commit_says_that_nothing_is_stored(
    store: Store, postgres: Postgres
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await PUT.rows(connection, name="straight-cut", value="1")
        await asyncio.to_thread(postgres.run, f"{END_ALL}'{DATABASE}'")
        async with asyncio.timeout(10):
            while not driver_of(connection).is_closed():
                await asyncio.sleep(0.01)

    with pytest.raises(NotStoredError):
        async with store.write() as connection:
            await work(connection)
    assert await kept(store, "straight-cut") is None


async def test_a_connection_that_is_lost_between_two_statements_says_that_nothing_is_stored(
    store: Store, postgres: Postgres
) -> None:
    async def work(connection: AsyncConnection) -> None:
        await PUT.rows(connection, name="straight-torn", value="1")
        await asyncio.to_thread(postgres.run, f"{END_ALL}'{DATABASE}'")
        async with asyncio.timeout(10):
            while not driver_of(connection).is_closed():
                await asyncio.sleep(0.01)
        await PUT.rows(connection, name="straight-torn-2", value="1")

    with pytest.raises(NotStoredError):
        async with store.write() as connection:
            await work(connection)
    with pytest.raises(NotStoredError):
        async with store.read() as connection:
            await GET.value(connection, name="straight-torn")
            await asyncio.to_thread(postgres.run, f"{END_ALL}'{DATABASE}'")
            async with asyncio.timeout(10):
                while not driver_of(connection).is_closed():
                    await asyncio.sleep(0.01)
            await GET.value(connection, name="straight-torn")
    assert await kept(store, "straight-torn") is None


async def test_a_fault_rolls_back_and_the_connection_serves_the_next_one(store: Store) -> None:
    seen = []

    async def work(connection: AsyncConnection) -> None:
        seen.append(driver_of(connection))
        await PUT.rows(connection, name="straight-fault", value="1")
        if len(seen) == 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.transact(Priority.PEOPLE, work)
    assert await kept(store, "straight-fault") is None
    await store.transact(Priority.PEOPLE, work)
    assert seen[0] is seen[1]
    assert await kept(store, "straight-fault") == "1"


async def test_who_is_cancelled_in_the_middle_leaves_nothing_and_no_half_used_connection(store: Store) -> None:
    begun, drivers = asyncio.Event(), []

    async def half() -> None:
        async with store.write() as connection:
            drivers.append(driver_of(connection))
            await PUT.rows(connection, name="straight-half", value="1")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(half())
    async with asyncio.timeout(10):
        await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert drivers[0].is_closed()
    async with asyncio.timeout(10), store.write() as connection:  # the lock of the first is gone
        await PUT.rows(connection, name="straight-half", value="2")
    assert await kept(store, "straight-half") == "2"


async def test_statements_by_way_of_the_engine_are_in_the_same_transaction(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.write() as connection:
            await connection.execute(sa.insert(central_state).values(name="straight-engine", value="1"))
            raise ZeroDivisionError
    assert await kept(store, "straight-engine") is None
    async with store.write() as connection:
        await connection.execute(sa.insert(central_state).values(name="straight-engine", value="1"))
        await PUT.rows(connection, name="straight-beside", value="1")
    assert [await kept(store, name) for name in ("straight-engine", "straight-beside")] == ["1", "1"]


async def test_who_reads_sees_one_moment_and_cannot_write(store: Store) -> None:
    async with store.read() as connection:
        assert await GET.value(connection, name="straight-moment") is None
        await store.transact(Priority.PEOPLE, lambda c: PUT.rows(c, name="straight-moment", value="1"))
        assert await GET.value(connection, name="straight-moment") is None
        assert await Sql("SHOW transaction_read_only").value(connection) == "on"
    assert await kept(store, "straight-moment") == "1"


async def test_a_question_that_fails_is_told_and_the_next_is_answered(store: Store) -> None:
    with pytest.raises(NotStoredError):
        await store.ask(Sql("SELECT 1 / (:n - 1)"), n=1)
    with pytest.raises(NotStoredError):
        await store.ask(PUT, name="straight-asked", value="1")  # who asks cannot write
    assert await store.ask(GET, name="straight-asked") == []
