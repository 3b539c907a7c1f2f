"""Down time is kept: when central comes back, its event log says since when it was away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.central.conftest import ManualClock, OpenBench


async def outages(bench: Any) -> list[dict[str, Any]]:
    rows = await bench.rows("SELECT content FROM log_entry WHERE what = 'central_away' ORDER BY no")
    return [json.loads(row[0]) for row in rows]


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
