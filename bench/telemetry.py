"""Telemetry in bulk: how fast it gets through, and how a backlog is made."""

from __future__ import annotations

from dataclasses import dataclass

from bench.machine import usage
from bench.rig import Rig, boot_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """One run of so many readings, from the first Observation at the intake to the last receipt."""

    per_s: float
    dropped: int
    hub_cpu_s: float
    central_cpu_s: float
    written_bytes: int


async def throughput(rig: Rig, events: int) -> Throughput:
    """As fast as the hub makes them durable; nothing may be dropped on the way."""
    central_pid = rig.stage.central.pid or 0
    hub, central = usage(rig.hub_pid), usage(central_pid)
    taken, dropped = int((await rig.lane("telemetry"))["taken"]), await _dropped(rig)
    start = boot_s()
    await rig.load(readings=events)
    done = await rig.drained(taken + events, patience_s=60 + events / 500)
    hub_after, central_after = usage(rig.hub_pid), usage(central_pid)
    return Throughput(
        per_s=events / (done - start),
        dropped=await _dropped(rig) - dropped,
        hub_cpu_s=hub_after.cpu_s - hub.cpu_s,
        central_cpu_s=central_after.cpu_s - central.cpu_s,
        written_bytes=hub_after.written_bytes - hub.written_bytes,
    )


async def _dropped(rig: Rig) -> int:
    return int((await rig.stage.hub_status())["intake"]["dropped"])


async def waiting(rig: Rig) -> int:
    """How many telemetry events have no receipt."""
    return int((await rig.lane("telemetry"))["waiting"] or 0)


async def backlog(rig: Rig, events: int) -> None:
    """Cut the network and let so many telemetry events wait."""
    rig.stage.cable.cut()
    goal = int((await rig.lane("telemetry"))["taken"]) + events
    await rig.load(readings=events)

    async def is_taken() -> bool:
        return int((await rig.lane("telemetry"))["taken"]) >= goal

    await rig.until(is_taken, patience_s=60 + events / 500, every_s=0.1)
