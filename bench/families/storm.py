"""A storm of technical alarms with people who press in the middle of it: how long until that is on a screen."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from bench.bench import Bench
from bench.centre import DATABASES, centre, enrolled
from bench.machine import forget_peak, usage
from bench.presses import Latencies
from bench.rows import Row
from central.daemon import Central
from central.feed import Change
from central.reception import BusyError
from central.views import Actor
from simulators.frame_hub import FrameHub

TITLE = "central: a storm of technical alarms with personal ones in the middle"
ORDER = 120
HUBS = 100
RECORDS = 10
"""In one envelope: what a hub has to say when its network or its power goes."""
AT_ONCE = 500
PAUSE_S = 0.25
BENCH = Actor(id="bench", name="Bench", role="responder")


class Screen:
    """A console that follows the feed and reads the queue when it is told of a change."""

    def __init__(self, central: Central) -> None:
        self._central = central
        self._seen: dict[str, asyncio.Event] = {}

    async def follow(self) -> None:
        """Until cancelled."""
        services = self._central.services
        async with aclosing(services.feed.follow(await services.feed.now())) as items:
            async for item in items:
                if isinstance(item, Change) and item.what != "raised":
                    continue
                if not self._seen:
                    continue
                for alarm in await services.alarms.queue():
                    if (event := self._seen.get(alarm.device)) is not None:
                        event.set()

    async def press_ms(self, hub: FrameHub, device: str) -> float:
        """Heard by central → on the screen; then taken and closed."""
        self._seen[device] = event = asyncio.Event()
        frame = hub.envelope(hub.seal("pendant_pressed", device=device))
        start_s = time.perf_counter()
        await self._central.reception.receive(frame, "https")
        async with asyncio.timeout(60):
            await event.wait()
        took_ms = (time.perf_counter() - start_s) * 1000
        del self._seen[device]
        alarms = self._central.services.alarms
        for alarm in await alarms.queue():
            await alarms.claim(alarm.id, BENCH)
            await alarms.close(alarm.id, BENCH, "test", "other")
        return took_ms


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """Idle first, then in the storm; on each database."""
    for name in DATABASES:
        async with centre(name) as central, asyncio.TaskGroup() as group:
            works = group.create_task(central.run_works())
            screen = Screen(central)
            following = group.create_task(screen.follow())
            hubs = await enrolled(central, HUBS)
            (presser,) = await enrolled(central, 1)
            bench.say(f"{name}: presses, nothing else going on")
            rounds = max(20, bench.scale.rounds)  # a worst hundredth of few would be chance
            idle = await _presses(screen, presser, rounds, "idle")
            bench.say(f"{name}: sealing {bench.scale.storm:,} technical alarms")
            frames = _storm(hubs, bench.scale.storm)
            bench.say(f"{name}: the storm")
            before = usage(os.getpid()).rss_mb
            forget_peak(os.getpid())
            loaded, took_s = await _stormy(central, screen, presser, frames)
            highest = usage(os.getpid()).peak_mb
            yield Row(what=f"{name}: idle, to the screen, p50", value=idle.p(0.5), unit="ms")
            yield Row(what=f"{name}: idle, to the screen, p99", value=idle.p(0.99), unit="ms")
            yield Row(what=f"{name}: {len(loaded.values)} presses in the storm, p50", value=loaded.p(0.5), unit="ms")
            yield Row(what=f"{name}: in the storm, p99", value=loaded.p(0.99), unit="ms")
            ratio = loaded.p(0.5) / idle.p(0.5)
            yield Row(what=f"{name}: storm against idle, p50", value=ratio, unit="x", must=2, aim=1.5)
            ratio = loaded.p(0.99) / idle.p(0.99)
            yield Row(what=f"{name}: storm against idle, p99", value=ratio, unit="x", must=2, aim=1.5)
            what = f"{name}: technical alarms of the storm stored"
            rate = len(frames) * RECORDS / took_s
            yield Row(what=what, value=rate, unit="/s", must=500, aim=1667, is_more_better=True)
            yield Row(what=f"{name}: {bench.scale.storm:,} of them stored in", value=took_s, unit="s")
            yield Row(what=f"{name}: memory before the storm, the frames to come included", value=before, unit="MB")
            yield Row(what=f"{name}: memory in the storm, highest", value=highest, unit="MB")
            following.cancel()
            works.cancel()


async def _presses(screen: Screen, hub: FrameHub, rounds: int, name: str) -> Latencies:
    found = []
    for number in range(rounds):
        await asyncio.sleep(PAUSE_S / 5)
        found.append(await screen.press_ms(hub, f"{name}-{number}"))
    return Latencies(found)


def _storm(hubs: Sequence[FrameHub], alarms: int) -> list[bytes]:
    frames = []
    for number in range(alarms // RECORDS):
        hub = hubs[number % len(hubs)]
        records = [hub.seal("device_missing", device=f"d{number}-{place}", resident=None) for place in range(RECORDS)]
        frames.append(hub.envelope(*records))
    return frames


async def _stormy(
    central: Central, screen: Screen, presser: FrameHub, frames: Sequence[bytes]
) -> tuple[Latencies, float]:
    waiting: Iterator[bytes] = iter(frames)
    found: list[float] = []
    start_s = time.perf_counter()

    async def send() -> None:
        for frame in waiting:
            while True:
                try:
                    await central.reception.receive(frame, "https", may_be_doubled=True)
                except BusyError:
                    await asyncio.sleep(0.05)  # as a hub does, only sooner
                    continue
                break

    async with asyncio.TaskGroup() as group:
        senders = [group.create_task(send()) for _ in range(AT_ONCE)]
        number = 0
        while not all(sender.done() for sender in senders):
            await asyncio.sleep(PAUSE_S)
            found.append(await screen.press_ms(presser, f"storm-{number}"))
            number += 1
    return Latencies(found), time.perf_counter() - start_s
