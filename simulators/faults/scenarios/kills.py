"""SIGKILL at any moment, under load: the hub, central, the broker."""

from __future__ import annotations

import asyncio

from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict


@scenario("kill-hub", "kill -9 of the hub under load", short=3, long=100)
async def kill_hub(run: Run) -> Verdict:
    """Also while it starts."""
    chance = run.chance
    async with Trial.open(run) as trial:
        async with trial.load():
            async for _ in run.each_round():
                await asyncio.sleep(chance.uniform(0.1, 1.5))
                await trial.kill_hub()
                if chance.random() < 0.3:  # dead again before it is up
                    await trial.start_hub(is_awaited=False)
                    await asyncio.sleep(chance.uniform(0.05, 0.8))
                    await trial.kill_hub()
                await trial.start_hub()
            await trial.confirmed(3)
        return await trial.judged()
