"""The works of central beside one another: a fault ends none of them, and being asked to end ends each."""

from __future__ import annotations

import asyncio

import pytest

from central import daemon
from central.daemon import keep_running


async def test_a_work_that_fails_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "RESTART_S", 0.0)
    again = asyncio.Event()
    tries: list[int] = []

    async def work() -> None:
        tries.append(len(tries))
        if len(tries) > 2:
            again.set()
            await asyncio.Event().wait()
        raise RuntimeError("a fault of ours")

    running = asyncio.create_task(keep_running("work", work))
    async with asyncio.timeout(5):
        await again.wait()
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()


async def test_a_work_that_fails_in_the_moment_of_the_end_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "RESTART_S", 0.0)
    started = asyncio.Event()
    tries: list[int] = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("a connection that was closed under its feet") from None

    async def work() -> None:
        tries.append(len(tries))
        async with asyncio.TaskGroup() as group:
            group.create_task(part())
            await asyncio.sleep(0)
            started.set()

    running = asyncio.create_task(keep_running("work", work))
    async with asyncio.timeout(5):
        await started.wait()
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
    assert running.cancelled()
    assert tries == [0]
