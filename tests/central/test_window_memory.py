"""The replay windows that lie in memory: more runs than there is room for, and a disk that takes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central import windows
from central.errors import NotStoredError
from central.windows import Windows
from tests.central.conftest import Bench

pytestmark = pytest.mark.sqlite
"""On PostgreSQL every message takes its place in the database at once."""


async def test_a_window_that_could_not_be_written_is_not_driven_out_of_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_CACHED", 10)
    kept = Windows(bench.store, bench.clock)
    for number in range(10):
        assert await kept.accept(f"{number:016x}", "e" * 16, 1)
    begun, go = asyncio.Event(), asyncio.Event()
    transact = bench.store.transact

    async def fails(*given: Any, **more: Any) -> Any:
        if not go.is_set():
            begun.set()
            await go.wait()
            raise NotStoredError("the disk is full")
        return await transact(*given, **more)

    monkeypatch.setattr(bench.store, "transact", fails)
    flushing = asyncio.create_task(kept.flush())
    await begun.wait()
    monkeypatch.setattr(bench.store, "transact", transact)
    for number in range(10, 14):  # more than fit, while what is not safe yet is on its way
        assert await kept.accept(f"{number:016x}", "e" * 16, 1)
    go.set()
    with pytest.raises(NotStoredError):
        await flushing
    await kept.flush()
    assert await bench.value("SELECT count(*) FROM sender_window") == 14
    fresh = Windows(bench.store, bench.clock)
    for number in range(14):
        assert not await fresh.accept(f"{number:016x}", "e" * 16, 1), number


async def test_a_window_that_is_on_its_way_twice_stays_until_the_later_one_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "MAX_CACHED", 10)
    kept = Windows(bench.store, bench.clock)
    transact, gates, at_gate = bench.store.transact, [asyncio.Event(), asyncio.Event()], asyncio.Semaphore(0)
    left = list(gates)

    async def waits(*given: Any, **more: Any) -> Any:
        if left:
            gate = left.pop(0)
            at_gate.release()
            await gate.wait()
        return await transact(*given, **more)

    monkeypatch.setattr(bench.store, "transact", waits)
    flushing = []
    async with asyncio.timeout(20):
        for number in (1, 2):
            assert await kept.accept("a" * 16, "e" * 16, number)
            flushing.append(asyncio.create_task(kept.flush()))
            await at_gate.acquire()
        gates[0].set()
        await flushing[0]
        for number in range(14):
            assert await kept.accept(f"{number:016x}", "e" * 16, 1)
        assert not await kept.accept("a" * 16, "e" * 16, 2)  # the database knows of 1 only
        gates[1].set()
        await flushing[1]


async def test_many_new_runs_at_once_are_all_remembered(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MAX_CACHED", 10)
    kept = Windows(bench.store, bench.clock)
    runs = [f"{number:016x}" for number in range(100)]
    assert all(await asyncio.gather(*(kept.accept(run, "e" * 16, 1) for run in runs)))
    await kept.flush()
    assert await bench.value("SELECT count(*) FROM sender_window") == 100
    assert not any(await asyncio.gather(*(kept.accept(run, "e" * 16, 1) for run in runs)))
