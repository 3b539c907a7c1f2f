"""How long an alarm takes, idle and under load: device heard → durable, receipt, on a screen."""

from __future__ import annotations

from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.machine import raw_fsync_ms
from bench.presses import Latencies, Presser, Round
from bench.rig import Rig
from bench.rows import Row

TITLE = "alarm: device heard → durable / receipt / screen, loopback with TLS"
ORDER = 10
STEPS = (("durable", 10, 5), ("receipt", 25, 10), ("screen", 100, 50))
WARM_UP = 5
PER_S = 1000
DRY = 3_000
"""With fewer waiting, a backlog is as good as drained."""


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """Idle, then with 1,000 readings a second and a backlog draining."""
    peer = {0.5: await bench.peer(lambda found: found.p(0.5)), 0.99: await bench.peer(lambda found: found.p(0.99))}
    async with bench.rig() as rig:
        fsync = Latencies(raw_fsync_ms(rig.folder))
        yield Row(what="raw fdatasync of 4 KiB, p50", value=fsync.p(0.5), unit="ms")
        yield Row(what="raw fdatasync of 4 KiB, p99", value=fsync.p(0.99), unit="ms")
        bench.say(f"{bench.scale.rounds} alarms, nothing else going on")
        idle = await _idle(rig, bench.scale.rounds)
        for step, must, aim in STEPS:
            is_peers = step == "receipt"
            yield Row(
                what=f"idle: {step}, p50", value=idle[step].p(0.5), unit="ms", peer=peer[0.5] if is_peers else None
            )
            value = idle[step].p(0.99)
            yield Row(
                what=f"idle: {step}, p99",
                value=value,
                unit="ms",
                must=must,
                aim=aim,
                peer=peer[0.99] if is_peers else None,
            )
        loaded, made = await _loaded(bench, rig)
        yield Row(what=f"backlogs of {bench.scale.backlog:,} used up", value=made, unit="")
        for step, _, _ in STEPS:
            yield Row(what=f"loaded: {step}, p50", value=loaded[step].p(0.5), unit="ms")
            yield Row(what=f"loaded: {step}, p99", value=loaded[step].p(0.99), unit="ms")
            ratio = loaded[step].p(0.99) / max(idle[step].p(0.99), 0.01)
            yield Row(what=f"loaded: {step}, p99 against idle", value=ratio, unit="x", must=3, aim=1.5)


async def _idle(rig: Rig, rounds: int) -> dict[str, Latencies]:
    async with Presser(rig) as presser:
        for _ in range(WARM_UP):
            await presser.round()
        return Presser.gathered([await presser.round() for _ in range(rounds)])


async def _loaded(bench: Bench, rig: Rig) -> tuple[dict[str, Latencies], int]:
    """A backlog that has drained is made anew until there are rounds enough; how often."""
    found: list[Round] = []
    made = 0
    async with Presser(rig) as presser:
        while len(found) < bench.scale.rounds:
            bench.say(f"{len(found)} alarms under load so far; making a backlog of {bench.scale.backlog:,}")
            await rig.backlog(bench.scale.backlog)
            made += 1
            await rig.load(readings=10_000_000, per_s=PER_S)
            rig.stage.cable.mend()
            await presser.round()  # the path is back
            while len(found) < bench.scale.rounds and await rig.waiting() > DRY:
                found.append(await presser.round())
            await rig.load(stop=True)
    return Presser.gathered(found), made
