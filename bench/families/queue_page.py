"""The pages of the queues with very many open technical alarms behind them: time of the server to make them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.bench import Bench
from bench.centre import DATABASES, centre
from bench.presses import Latencies
from bench.rows import Row
from central.access import EVERYTHING
from central.sql import Sql
from central.technical.looking import fault_page

TITLE = "central: reading the queues with very many open alarms"
ORDER = 140
ROUNDS = 15


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """What the technical page and the personal queue read, with none and with many."""
    for name in DATABASES:
        async with centre(name) as central:
            store, alarms = central.services.store, central.services.alarms
            many = bench.scale.storm
            bench.say(f"{name}: {many:,} open technical alarms")
            fill = Sql(
                "INSERT INTO alarm (id, queue, kind, alarm_class, rank, first_rank, hub, fold_key, happened_ms,"
                " raised_ms, last_event_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                f" WHERE i < {many}) SELECT 'x' || i, 'technical', 'battery_low', 4, 5, 5, 'h' || (i % 5000),"
                " 'x' || i, i, i, i FROM n"
            )
            async with store.write() as connection:
                await fill.rows(connection)

            async def technical() -> object:
                return await fault_page(store, EVERYTHING, kind="", unit="", offset=0)  # noqa: B023

            for what, read in (("technical page", technical), ("personal queue", alarms.queue)):
                took = Latencies([await _ms(read) for _ in range(ROUNDS)])
                row = f"{name}: {what}, {many:,} technical ones open, p50"
                yield Row(what=row, value=took.p(0.5), unit="ms", must=500, aim=100)


async def _ms(read: Callable[[], Awaitable[object]]) -> float:
    start_s = time.perf_counter()
    await read()
    return (time.perf_counter() - start_s) * 1000
