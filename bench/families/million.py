"""A hub that was cut off for long: a million events in the journal."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.families.memory import highest_until_drained
from bench.rows import Row, median
from bench.starting import start_s

TITLE = "a million events in the journal"
ORDER = 70
STARTS = 5


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """Start of the whole daemon with them there, and its memory until they have left."""
    async with bench.rig() as rig:
        bench.say(f"filling the journal with {bench.scale.million:,} readings")
        await rig.backlog(bench.scale.million)
        bench.say(f"{STARTS} starts")
        took_s = [await start_s(rig) for _ in range(STARTS)]
        waiting = await rig.waiting()
        what = f"start to ready, {waiting:,} events waiting, median"
        yield Row(what=what, value=median(took_s), unit="s", must=1.3, aim=0.6)
        bench.say(f"draining {waiting:,}")
        highest, per_s = await highest_until_drained(rig, waiting)
        yield Row(what=f"memory draining {waiting:,}, highest", value=highest, unit="MB", must=70, aim=58)
        yield Row(what="drained", value=per_s, unit="/s")
