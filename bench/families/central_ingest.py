"""Events that central takes a second, on each database: signed envelopes in, receipts out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.centre import DATABASES, centre, enrolled
from bench.rows import Row

TITLE = "central: events ingested, envelopes of 100 readings"
ORDER = 110
HUBS = 20
RECORDS = 100
AT_ONCE = 8


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """SQLite first; PostgreSQL where it is installed."""
    for name in DATABASES:
        async with centre(name) as central:
            hubs = await enrolled(central, HUBS)
            events = max(RECORDS * HUBS, bench.scale.telemetry // 4)
            bench.say(f"{events:,} events into {name}")
            frames = []
            for number in range(events // RECORDS):
                hub = hubs[number % HUBS]
                frames.append(hub.envelope(*(hub.seal("temperature", device="t", value=21.5) for _ in range(RECORDS))))
            waiting = iter(frames)

            async def send() -> None:
                for frame in waiting:  # noqa: B023  # this round's own
                    await central.reception.receive(frame, "https")

            start_s, cpu_s = time.perf_counter(), time.process_time()
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(send())
            took_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
            count = len(frames) * RECORDS
            what = f"{name}: events a second"
            yield Row(what=what, value=count / took_s, unit="/s", must=2000, aim=8000, is_more_better=True)
            yield Row(what=f"{name}: processor time per 10,000", value=cpu_s * 10_000 / count, unit="s")
