"""Dozens write at once, over several connections and processes, and some fail: who follows the feed notices nothing.

Whatever is committed comes to each follower once, in the order of its numbers, with no gap and no late comer. What was
rolled back, or left in the middle, comes to nobody.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import SystemClock
from central.feed import Change, Feed, publish, publish_all
from central.opened import OpenAlarms
from central.settings import CentralSettings
from central.sql import Sql
from central.store import Priority, Store, open_store
from central.wakeup import Wakeup

WRITERS = 36
TURNS = 6
LONGEST_S = 60
_AFTER = Sql("SELECT no, ref FROM feed WHERE no > :after ORDER BY no")


class Fell(Exception):  # noqa: N818  # no error of anybody's: the transaction is not to be
    """It ends here, after it had its numbers."""


@dataclass(slots=True)
class Process:
    """What one central process has: its connections, its feed, and its hint that something was committed."""

    store: Store
    wakeup: Wakeup
    feed: Feed


@dataclass(slots=True)
class Crowd:
    """Everybody who writes, and what of it was committed."""

    processes: list[Process]
    seed: int
    committed: dict[int, str] = field(default_factory=dict)
    fallen: set[str] = field(default_factory=set)

    async def write(self, who: int) -> None:
        """One writer's turns."""
        chance = random.Random(f"{self.seed}:{who}")
        process = self.processes[who % len(self.processes)]
        for turn in range(TURNS):
            refs = [f"{who}.{turn}.{number}" for number in range(chance.randint(1, 3))]
            how = chance.choice(("in one go", "slowly", "in parts", "falls", "falls", "is left"))
            await getattr(self, f"_{how.replace(' ', '_')}")(process, refs, chance.random() * 0.003)
            process.wakeup.wake()
            await asyncio.sleep(chance.random() * 0.002)

    async def _in_one_go(self, process: Process, refs: list[str], _pause_s: float) -> None:
        async def work(connection: AsyncConnection) -> int:
            return await publish_all(connection, 1, [("x", ref, "raised") for ref in refs])

        self._keep(await process.store.transact(Priority.PEOPLE, work), refs)

    async def _slowly(self, process: Process, refs: list[str], pause_s: float) -> None:
        """It has its numbers for a while before it commits: others come meanwhile."""
        async with process.store.write() as connection:
            last = await publish_all(connection, 1, [("x", ref, "raised") for ref in refs])
            await asyncio.sleep(pause_s)
        self._keep(last, refs)

    async def _in_parts(self, process: Process, refs: list[str], pause_s: float) -> None:
        async with process.store.write() as connection:
            for ref in refs:
                last = await publish(connection, 1, "x", ref, "raised")
                await asyncio.sleep(pause_s / 3)
        self._keep(last, refs)

    async def _falls(self, process: Process, refs: list[str], pause_s: float) -> None:
        self.fallen |= set(refs)
        with suppress(Fell):
            async with process.store.write() as connection:
                await publish_all(connection, 1, [("x", ref, "raised") for ref in refs])
                await asyncio.sleep(pause_s)
                raise Fell

    async def _is_left(self, process: Process, refs: list[str], pause_s: float) -> None:
        """Whoever wrote is cancelled in the middle of the transaction."""
        self.fallen |= set(refs)
        has_numbers = asyncio.Event()

        async def hang() -> None:
            async with process.store.write() as connection:
                await publish_all(connection, 1, [("x", ref, "raised") for ref in refs])
                has_numbers.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hang())
        await has_numbers.wait()
        await asyncio.sleep(pause_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def _keep(self, last: int, refs: list[str]) -> None:
        self.committed |= dict(enumerate(refs, last - len(refs) + 1))


async def followed(feed: Feed, after: int, until: asyncio.Future[int]) -> list[tuple[int, str]]:
    """What a console sees from there on, until it has seen the last that was committed."""
    found: list[tuple[int, str]] = []
    async with aclosing(feed.follow(after)) as items:
        async for item in items:
            if isinstance(item, Change):
                found.append((item.no, item.ref))
            if until.done() and (found[-1][0] if found else after) >= until.result():
                return found
    return found


async def looked_up(store: Store, until: asyncio.Future[int]) -> list[tuple[int, str]]:
    """What somebody sees who reads the table again and again, much more often than a feed does."""
    found: list[tuple[int, str]] = []
    while not (until.done() and found and found[-1][0] >= until.result()):
        rows = await store.ask(_AFTER, after=found[-1][0] if found else 0)
        found += [(row[0], row[1]) for row in rows]
        await asyncio.sleep(0.002)
    return found


async def _nothing_open() -> OpenAlarms:
    return OpenAlarms(())


@pytest.fixture
async def processes(settings: CentralSettings) -> AsyncIterator[list[Process]]:
    """Two on PostgreSQL; SQLite has one, which writes over two connections."""
    url, clock = settings.database_url, SystemClock()
    async with AsyncExitStack() as stack:
        found: list[Process] = []
        tasks = []
        for _ in range(1 if url.startswith("sqlite") else 2):
            store, wakeup = await stack.enter_async_context(open_store(url, clock)), Wakeup()
            found.append(Process(store, wakeup, Feed(store, clock, wakeup, _nothing_open)))
            tasks.append(asyncio.create_task(found[-1].feed.run()))
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_follows_a_crowd_sees_all_that_was_committed_once_and_in_order(processes: list[Process]) -> None:
    crowd = Crowd(processes, seed=random.randrange(10**6))
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(LONGEST_S), asyncio.TaskGroup() as group:
        seen = {
            f"{who} {number}": (0, group.create_task(followed(process.feed, 0, last)))
            for number, process in enumerate(processes)
            for who in ("first", "second", "third")
        }
        looking = [group.create_task(looked_up(process.store, last)) for process in processes]
        writing = [group.create_task(crowd.write(who)) for who in range(WRITERS)]
        for number, task in enumerate(writing):  # and some come while others are at it, from where the feed stands
            await task
            if number % 12 == 5:
                process = processes[number % len(processes)]
                after = await process.feed.now()
                seen[f"late {number}"] = (after, group.create_task(followed(process.feed, after, last)))
        last.set_result(await processes[0].feed.now())
        for process in processes:
            process.wakeup.wake()
    told = sorted(crowd.committed.items())
    assert [no for no, _ in told] == list(range(1, last.result() + 1)), crowd.seed
    assert len(told) > WRITERS
    assert len(crowd.fallen) > WRITERS / 2
    for name, (after, task) in seen.items():
        assert task.result() == told[after:], f"{name}, seed {crowd.seed}"
    for task in looking:
        assert task.result() == told, crowd.seed
