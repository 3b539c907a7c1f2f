"""Replay windows that several processes share: what is bulky takes its places together, and to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from central.clock import SystemClock
from central.ingest import Ingest
from central.sql import Sql
from central.store import Priority, Store, open_store
from central.windows import Windows
from simulators.postgresql import Postgres
from tests.central.conftest import DATABASE

RUN = ("a" * 16, "b" * 16)


@pytest.fixture
async def store(postgres: Postgres) -> AsyncIterator[Store]:
    async with open_store(postgres.url(DATABASE), SystemClock()) as store:
        async with store.write() as connection:
            await Sql("DELETE FROM sender_window WHERE hub = :hub").rows(connection, hub=RUN[0])
        yield store


async def test_a_place_is_taken_although_its_caller_leaves_and_nothing_runs_on_after_the_end(store: Store) -> None:
    windows = Windows(store, SystemClock())
    leaving = asyncio.create_task(windows.accept(*RUN, 7, Priority.BULK))
    async with asyncio.timeout(20):
        while windows._task is None:
            await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    ending = object.__new__(Ingest)
    ending._windows, ending._gatherings = windows, {}
    async with asyncio.timeout(20):
        await ending.drain()
    assert windows._task is None
    assert not await Windows(store, SystemClock()).accept(*RUN, 7)
