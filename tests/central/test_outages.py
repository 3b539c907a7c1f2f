"""Down time is kept: when central comes back, its event log says since when it was away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from central.settings import CentralSettings
from central.store import open_store
from tests.central.conftest import ManualClock, OpenBench


async def outages(bench: Any) -> list[dict[str, Any]]:
    rows = await bench.rows("SELECT content FROM log_entry WHERE what = 'central_away' ORDER BY no")
    return [json.loads(row[0]) for row in rows]


async def test_the_first_start_of_all_ends_no_outage_although_its_database_was_made_long_before(
    open_bench: OpenBench, clock: ManualClock, settings: CentralSettings
) -> None:
    async with open_store(settings.database_url, clock) as store:
        await store.probe()  # as whoever gives somebody an account leaves it
    clock.advance(600)
    async with open_bench() as bench:
        assert bench.store.last_alive_ms == clock.now_ms() - 600_000
        assert await outages(bench) == []


@pytest.mark.parametrize(("away_s", "said"), [(600, [600]), (5, [])])
async def test_a_central_that_was_away_says_for_how_long_and_a_short_restart_says_nothing(
    open_bench: OpenBench, clock: ManualClock, away_s: int, said: list[int]
) -> None:
    async with open_bench() as bench:
        assert await outages(bench) == []  # it was never there before
        gone_ms = clock.now_ms()
    clock.advance(away_s)
    async with open_bench() as bench:
        told = await outages(bench)
        assert [one["away_s"] for one in told] == said
        assert all(one["gone_ms"] == gone_ms for one in told)
        clock.advance(3)
    async with open_bench() as bench:
        assert len(await outages(bench)) == len(said)


async def test_a_command_that_opens_the_database_meanwhile_does_not_shorten_the_time_that_central_was_away(
    open_bench: OpenBench, clock: ManualClock, settings: CentralSettings
) -> None:
    async with open_bench():
        gone_ms = clock.now_ms()
    clock.advance(590)
    async with open_store(settings.database_url, clock) as store:  # somebody gets an account
        assert store.last_alive_ms == gone_ms
    clock.advance(10)
    async with open_bench() as bench:
        assert [(one["gone_ms"], one["away_s"]) for one in await outages(bench)] == [(gone_ms, 600)]
        assert bench.store.last_alive_ms == gone_ms  # by which it is known who was on duty then
