"""The hub's memory, as installed: resident, in MB of 1024 KB, code of shared libraries included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.machine import forget_peak, usage
from bench.rig import Rig
from bench.rows import Row

TITLE = "memory of the hub, as installed"
ORDER = 50
REST_S = 10.0


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """At rest, and at its highest while a backlog drains."""
    async with bench.rig() as rig:
        await asyncio.sleep(REST_S)
        found = usage(rig.hub_pid)
        peer = await bench.peer(lambda figures: figures.edge_memory_mb)
        yield Row(what="idle", value=found.rss_mb, unit="MB", must=60, aim=48, peer=peer)
        yield Row(what="idle, of that its own (anonymous)", value=found.anonymous_mb, unit="MB")
        bench.say(f"a backlog of {bench.scale.backlog:,}")
        highest, _ = await draining(rig, bench.scale.backlog)
        what = f"draining {bench.scale.backlog:,}, highest"
        yield Row(what=what, value=highest, unit="MB", must=70, aim=58)
        await asyncio.sleep(REST_S)
        yield Row(what="at rest again", value=usage(rig.hub_pid).rss_mb, unit="MB")


async def draining(rig: Rig, events: int) -> tuple[float, float]:
    """The highest while so many leave, and how many a second did."""
    await rig.backlog(events)
    return await highest_until_drained(rig, events)


async def highest_until_drained(rig: Rig, events: int) -> tuple[float, float]:
    """The path comes back: the highest until nothing waits, and how many a second left."""
    forget_peak(rig.hub_pid)
    took_s = await rig.drain(patience_s=60 + events / 500)
    return usage(rig.hub_pid).peak_mb, events / took_s
