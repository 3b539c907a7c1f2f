"""Little memory, and little of a processor, for the hub alone."""

from __future__ import annotations

import asyncio
import contextlib

from simulators.faults.limits import Group, group
from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict

MIB = 1024 * 1024
ROOM = 128 * MIB
"""Twice what a hub uses: the pages of its own files are in it."""
SLICE = 0.1
STARVED_WITHIN_S = 30.0


@scenario("memory-limit", "the hub in 128 MiB, 100,000 measurements waiting", short=1, long=5, is_soak_only=True)
async def memory_limit(run: Run) -> Verdict:
    """It fits, with a backlog that does not: nothing is ended for want of memory, and nothing is lost."""
    with group("memory") as limits:
        limits.set_memory(ROOM)
        async with Trial.open(run, hub_before=limits.before()) as trial:
            async with trial.load(often=0.5):
                async for _ in run.each_round():
                    trial.no_way()
                    trial.stage.cable.cut()
                    await trial.measure_some(100_000 if run.is_long else 20_000)
                    await asyncio.sleep(4.0)
                    await trial.confirmed(3)
                    trial.stage.cable.mend()
                    trial.way()
                    await trial.confirmed(3)
            verdict = await trial.judged(within_s=120)
            kills, used = limits.kills(), limits.used_bytes()
    complaints = (f"the kernel ended it {kills} times for want of memory",) if kills else ()
    return verdict + Verdict(complaints=complaints, notes={"memory_mib": round(used / MIB)})


@scenario(
    "out-of-memory", "the kernel ends the hub for want of memory, under load", short=1, long=20, is_soak_only=True
)
async def out_of_memory(run: Run) -> Verdict:
    """At no moment that it could choose: what was confirmed before is there."""
    chance, kills = run.chance, 0
    with group("oom") as limits:
        async with Trial.open(run, hub_before=limits.before()) as trial:
            async with trial.load():
                async for _ in run.each_round():
                    await asyncio.sleep(chance.uniform(0.3, 1.5))
                    trial.no_way()
                    before = limits.kills()
                    await _starve(trial, limits, before)
                    kills += limits.kills() - before
                    trial.hub_kills += 1
                    limits.set_memory(-1 if not limits.is_unified else 1 << 40)
                    trial.note_card()
                    await trial.start_hub()
                await trial.confirmed(3)
            verdict = await trial.judged()
    complaints = () if kills else ("the kernel ended nothing: this was no trial",)
    return verdict + Verdict(complaints=complaints, notes={"oom_kills": kills})


@scenario("tenth-of-a-cpu", "the hub with a tenth of a processor", short=1, long=10, is_soak_only=True)
async def tenth_of_a_cpu(run: Run) -> Verdict:
    """Alarms get through within their deadlines while measurements come."""
    with group("cpu", share=SLICE) as limits:
        async with Trial.open(run, hub_before=limits.before()) as trial:
            # A health check measures times that are not those of a whole processor.
            trial.health_may_name |= {"test", "journal.write", "uplink.main"}
            async for _ in run.each_round():
                async with trial.load(often=0.1, calls=False, readings_per_s=20):
                    await asyncio.sleep(10.0 if run.is_long else 6.0)
                    await trial.confirmed(2, within_s=60)
            return await trial.judged(within_s=120)


async def _starve(trial: Trial, limits: Group, before: int) -> None:
    """Leave no more memory than it has, and give it more to do, until the kernel ends it. Raises TimeoutError."""
    await trial.measure_some(50_000)
    async with asyncio.timeout(STARVED_WITHIN_S):
        while trial.stage.hub.is_running and limits.kills() == before:
            with contextlib.suppress(OSError):  # the old hierarchy takes no limit that it cannot reach
                limits.set_memory(max(MIB, limits.used_bytes() - MIB // 4))
            await asyncio.sleep(0.02)
    await trial.stage.hub.kill()  # the rest of it, should it still be ending
