"""How long the hub takes from its start to ready, by its own word to a service manager (READY=1)."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.rows import Row, median
from bench.starting import start_s

TITLE = "start of the hub to ready"
ORDER = 60
STARTS = 7


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """With next to nothing in the journal."""
    async with bench.rig() as rig:
        bench.say(f"{STARTS} starts")
        took_s = [await start_s(rig) for _ in range(STARTS)]
    peer = await bench.peer(lambda figures: figures.edge_start_s)
    yield Row(what="median", value=median(took_s), unit="s", must=1.2, aim=0.5, peer=peer)
    yield Row(what="slowest", value=max(took_s), unit="s")
