"""Telemetry: Observation at the intake → durable, sealed, receipted; and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.machine import raw_sqlite_per_s
from bench.rows import Peer, Row

TITLE = "telemetry: Observation → durable, sealed, receipted"
ORDER = 30


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """As fast as the hub makes them durable; nothing may be dropped on the way."""
    count = bench.scale.telemetry
    async with bench.rig() as rig:
        bare = await asyncio.to_thread(raw_sqlite_per_s, rig.folder)
        bench.say(f"{count:,} readings")
        found = await rig.throughput(count)
    peer = Peer(name="bare sqlite3, 100 rows a commit", value=bare)
    yield Row(what="rate", value=found.per_s, unit="/s", must=8000, aim=20_000, is_more_better=True, peer=peer)
    yield Row(what="dropped at the intake", value=found.dropped, unit="")
    edge = await bench.peer(lambda figures: figures.edge_cpu_s)
    hub_s = found.hub_cpu_s * 10_000 / count
    yield Row(what="processor time of the hub per 10,000", value=hub_s, unit="s", must=1.0, aim=0.5, peer=edge)
    yield Row(what="processor time of central per 10,000", value=found.central_cpu_s * 10_000 / count, unit="s")
