"""Fifty consoles that grab the same alarm at the same moment: one has it, and how long everybody waits to know."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.centre import DATABASES, centre, enrolled
from bench.errors import BenchError
from bench.presses import Latencies
from bench.rows import Row
from central.errors import Conflict
from central.views import Actor

TITLE = "central: fifty claims of one alarm at once"
ORDER = 130
RACERS = 50
ROUNDS = 20


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """Until the winner knows, and until all do. Raises BenchError when there are two winners."""
    actors = [Actor(id=f"racer-{number}", name=f"Racer {number}", role="responder") for number in range(RACERS)]
    for name in DATABASES:
        async with centre(name) as central:
            (hub,) = await enrolled(central, 1)
            alarms = central.services.alarms
            bench.say(f"{name}: {ROUNDS} races")
            first, every = [], []
            for number in range(ROUNDS):
                await central.reception.receive(hub.envelope(hub.seal("pendant_pressed", device=f"b{number}")), "https")
                (alarm,) = [one for one in await alarms.queue() if one.device == f"b{number}"]
                won: list[float] = []
                start_s = time.perf_counter()

                async def race(actor: Actor, alarm_id: str = alarm.id, won: list[float] = won) -> None:
                    try:
                        await alarms.claim(alarm_id, actor)  # noqa: B023  # this round's own
                    except Conflict:
                        return
                    won.append(time.perf_counter())

                await asyncio.gather(*(race(actor) for actor in actors))
                if len(won) != 1:
                    raise BenchError(f"{name}: {len(won)} consoles have one alarm")
                first.append((won[0] - start_s) * 1000)
                every.append((time.perf_counter() - start_s) * 1000)
            yield Row(what=f"{name}: the winner knows, p50", value=Latencies(first).p(0.5), unit="ms")
            yield Row(what=f"{name}: all fifty know, p50", value=Latencies(every).p(0.5), unit="ms", must=1000, aim=250)
