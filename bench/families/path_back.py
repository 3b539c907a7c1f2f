"""An alarm raised with many readings waiting: from the path's return to the receipt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.rig import Rig
from bench.rows import Row, median
from simulators.boot_clock import boot_s

TITLE = "alarm raised with 20,000 readings waiting: path back → receipt"
ORDER = 20
WAITING = 20_000


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """With connections that lived through the outage, and with connections that did not."""
    async with bench.rig() as rig:
        for is_broken, what in ((False, "connections held"), (True, "connections lost")):
            took_s = []
            for turn in range(bench.scale.repeats):
                bench.say(f"{what}: round {turn + 1} of {bench.scale.repeats}")
                took_s.append(await _past(rig, is_broken=is_broken))
            yield Row(what=f"{what}, median", value=median(took_s), unit="s")
            yield Row(what=f"{what}, worst", value=max(took_s), unit="s", must=0.25, aim=0.05)
            await rig.drained(0, patience_s=120)


async def _past(rig: Rig, *, is_broken: bool) -> float:
    """`is_broken`: every connection was lost meanwhile, as after a router's restart, and has to be made anew."""
    await rig.backlog(WAITING)
    if is_broken:
        rig.stage.cable.reset()
    await rig.load(press=True)
    await asyncio.sleep(1.0)  # the press is on the card and waits; nothing is timed here
    mended_s = boot_s()
    rig.stage.cable.mend()

    async def is_receipted() -> bool:
        return not (await rig.lane("alarm"))["in_memory"]

    return await rig.until(is_receipted, patience_s=30, every_s=0.002) - mended_s
