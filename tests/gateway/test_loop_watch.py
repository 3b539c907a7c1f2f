"""Who blocks the event loop is found out, and nobody else is blamed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.loop_watch import LoopWatch

HERE = __name__


@asynccontextmanager
async def watching(*drivers: tuple[str, str]) -> AsyncIterator[tuple[LoopWatch, list[str]]]:
    blamed: list[str] = []
    watch = LoopWatch(drivers, lambda name, _seconds: blamed.append(name), blocked_s=0.2, turn_s=0.02)
    task = asyncio.create_task(watch.run())
    await asyncio.sleep(0.05)
    try:
        yield watch, blamed
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def block(seconds: float = 0.5) -> None:
    time.sleep(seconds)  # what nobody may do here
    await asyncio.sleep(0.1)


async def test_the_driver_whose_code_blocks_is_named() -> None:
    async with watching(("other", "drivers.espa"), ("mine", HERE)) as (_, blamed):
        await asyncio.create_task(block())
    assert blamed == ["mine"]


async def test_of_two_drivers_of_one_kind_it_is_the_one_whose_task_it_is() -> None:
    async with watching(("north", HERE), ("south", HERE)) as (_, blamed):
        await asyncio.create_task(block(), name="espa-south")
        await asyncio.create_task(block(), name="somebody")
    assert blamed == ["south"]


async def test_a_loop_that_is_late_without_a_driver_on_its_stack_is_counted_and_nobody_blamed() -> None:
    async with watching(("other", "drivers.espa")) as (watch, blamed):
        await asyncio.create_task(block())
        assert watch.late_turns == 1
    assert blamed == []


async def test_a_moment_is_no_block() -> None:
    async with watching(("mine", HERE)) as (watch, blamed):
        await asyncio.create_task(block(0.05))
        assert watch.late_turns == 0
    assert blamed == []


async def test_a_block_that_just_counts_is_found_whenever_it_begins() -> None:
    blamed: list[str] = []
    watch = LoopWatch([("mine", HERE)], lambda name, _seconds: blamed.append(name), blocked_s=0.6, turn_s=0.4)
    task = asyncio.create_task(watch.run())

    async def turned() -> None:
        before = watch._turned_s
        while watch._turned_s == before:
            await asyncio.sleep(0.001)

    try:
        for late_s in (0.0, 0.45, 0.5, 0.55):  # so the loop's turns come ever later after those of whoever looks
            await turned()
            time.sleep(late_s)
            await turned()
            time.sleep(1.02)
            await turned()
        assert blamed == ["mine"] * 4
    finally:
        task.cancel()
        await asyncio.wait({task})
