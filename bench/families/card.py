"""Bytes that reach the card."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bench.bench import Bench
from bench.machine import usage
from bench.presses import Presser
from bench.rows import Row

TITLE = "bytes written to the card"
ORDER = 40
SETTLE_S = 12.0
"""The journal writes what was receipted at the latest after ten seconds: it belongs to the alarms before it."""
ALARMS = 60
REST_S = 30.0


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """Per reading in commits of a hundred and more, and per alarm with all that follows."""
    async with bench.rig() as rig:
        async with Presser(rig) as presser:
            await presser.round()
            await asyncio.sleep(SETTLE_S)
            bench.say("nothing, for a while")
            before = usage(rig.hub_pid).written_bytes
            await asyncio.sleep(REST_S)
            at_rest = usage(rig.hub_pid).written_bytes - before
            bench.say(f"{ALARMS} alarms")
            before = usage(rig.hub_pid).written_bytes
            for _ in range(ALARMS):
                await presser.round()
            await asyncio.sleep(SETTLE_S)
            per_alarm = (usage(rig.hub_pid).written_bytes - before) / ALARMS
        bench.say(f"{bench.scale.telemetry:,} readings")
        found = await rig.throughput(bench.scale.telemetry)
    peer = await bench.peer(lambda figures: figures.edge_written_bytes / figures.messages / 1000)
    per_event = found.written_bytes / bench.scale.telemetry / 1000
    yield Row(what="per reading", value=per_event, unit="KB", must=1, aim=0.55, peer=peer)
    yield Row(what="at rest, per minute (in the figure for alarms, too)", value=at_rest / REST_S * 60 / 1000, unit="KB")
    yield Row(what="per alarm, all that follows included", value=per_alarm / 1000, unit="KB", must=12, aim=6)
