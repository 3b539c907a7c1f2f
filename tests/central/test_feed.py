"""Consoles follow every change, in order and without holes, and hear a beat while central lives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from central import feed as feeding
from central.access import EVERYTHING
from central.feed import Beat, Change, Reset
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench, OpenBench


@asynccontextmanager
async def following_feed(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.services.feed.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def following(bench: Bench) -> AsyncIterator[Bench]:
    """A central whose feed runs."""
    async with following_feed(bench):
        yield bench


async def changes(bench: Bench, after: int, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(5), aclosing(bench.services.feed.follow(after)) as items:
        async for item in items:
            if isinstance(item, Change):
                found.append(item)
            if len(found) == count:
                break
    return found


async def test_every_change_comes_once_and_in_order(following: Bench) -> None:
    hub = await following.enrolled()
    start = await following.services.feed.now()
    watching = asyncio.create_task(changes(following, start, 3))
    alarm = await following.press(hub)
    await following.alarms.claim(alarm.id, FIRST)
    await following.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    found = await watching
    assert [(change.topic, change.ref, change.what) for change in found] == [
        ("alarm", alarm.id, "raised"),
        ("alarm", alarm.id, "claimed"),
        ("alarm", alarm.id, "closed"),
    ]
    assert [change.no for change in found] == [start + 1, start + 2, start + 3]


async def test_who_comes_back_gets_what_was_missed(following: Bench, hub: FrameHub) -> None:
    start = await following.services.feed.now()
    for n in range(5):
        await following.press(hub, device=f"p{n}", resident=f"r-00000{n}")
    assert len(await changes(following, start + 2, 3)) == 3


async def test_who_was_away_too_long_is_told_to_load_again(open_bench: OpenBench) -> None:
    async with open_bench() as bench:
        hub = await bench.enrolled()
        for n in range(3):
            await bench.press(hub, device=f"p{n}", resident=f"r-00000{n}")
        await bench.change("DELETE FROM feed WHERE no <= 2")
    async with open_bench() as bench, following_feed(bench), asyncio.timeout(5):
        items = bench.services.feed.follow(0)
        first = await anext(items)
        while isinstance(first, Beat):
            first = await anext(items)
        assert first == Reset(await bench.services.feed.now())
        await items.aclose()


async def test_a_beat_carries_count_and_hash_of_the_open_alarms(following: Bench, hub: FrameHub) -> None:
    await following.press(hub)
    following.clock.advance(6)
    digest = (await following.alarms.opened()).digest(EVERYTHING)
    async with asyncio.timeout(5), aclosing(following.services.feed.follow(0)) as items:
        async for item in items:
            if isinstance(item, Beat) and item.opened.digest(EVERYTHING)[0] == 1:
                assert item.opened.digest(EVERYTHING) == digest
                break


async def test_there_is_no_beat_while_the_database_is_silent(following: Bench) -> None:
    await following.change("ALTER TABLE feed RENAME TO gone")
    following.clock.advance(6)
    await asyncio.sleep(0.5)  # a beat that was being read when the table went may still come
    following.clock.advance(6)
    seen = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5), aclosing(following.services.feed.follow(99)) as items:
            async for item in items:
                seen.append(item)  # noqa: PERF401  # until the timeout
    assert [item for item in seen if isinstance(item, Beat) and item.at_ms >= following.clock.now_ms()] == []


async def test_old_changes_are_forgotten_in_pieces(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "KEPT_IN_TABLE", 5)
    monkeypatch.setattr(feeding, "_TRIMMED_AT_ONCE", 3)
    own = bench.services.feed
    async with bench.store.write() as connection:
        for number in range(25):
            await feeding.publish(connection, number, "alarm", "x", "raised")
    await own._read()
    pieces = []
    transact = bench.store.transact

    async def counted(*given: Any, **more: Any) -> Any:
        before = await bench.value("SELECT count(*) FROM feed")
        found = await transact(*given, **more)
        pieces.append(before - await bench.value("SELECT count(*) FROM feed"))
        return found

    monkeypatch.setattr(bench.store, "transact", counted)
    await own.trim()
    assert await bench.value("SELECT count(*) FROM feed") == 5
    assert max(pieces) <= 3
    assert await bench.value("SELECT min(no) FROM feed") == await own.now() - 4
