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


@scenario("kill-central", "kill -9 of central under load", short=3, long=100)
async def kill_central(run: Run) -> Verdict:
    """What was receipted is there; what was not comes again, and once. Sometimes the hub dies with it."""
    chance = run.chance
    async with Trial.open(run) as trial:
        async with trial.load(often=2):
            async for _ in run.each_round():
                await asyncio.sleep(chance.uniform(0.2, 1.5))
                await trial.kill_central()
                with_hub = chance.random() < 0.4
                if with_hub:
                    await asyncio.sleep(chance.uniform(0.0, 0.3))
                    await trial.kill_hub()
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                if with_hub and chance.random() < 0.5:
                    await trial.start_hub(is_awaited=False)
                    await trial.start_central()
                else:
                    await trial.start_central()
                    await trial.start_hub(is_awaited=False)
            await trial.confirmed(3)
        return await trial.judged()


@scenario("kill-broker", "kill -9 of the broker under load, the only path", short=2, long=100)
async def kill_broker(run: Run) -> Verdict:
    """It forgets everything: what it took and did not hand on comes again."""
    chance = run.chance
    async with Trial.open(run, has_broker=True, only_broker=True) as trial:
        async with trial.load(often=2):
            async for _ in run.each_round():
                await asyncio.sleep(chance.uniform(0.3, 1.5))
                trial.no_way()
                await trial.broker.kill()
                await asyncio.sleep(chance.uniform(0.0, 1.0))
                await trial.broker.start()
                trial.way()
            await trial.confirmed(3)
        return await trial.judged()
