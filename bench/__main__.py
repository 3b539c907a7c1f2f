"""Run the measurements and print them beside the budgets: `make bench`."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

from bench.alarms import Latencies, backlog, latencies, past_backlog
from bench.machine import percentile, raw_fsync_ms, raw_sqlite_per_s, usage
from bench.rig import Rig, rig
from bench.start import start_s

RESULTS = Path("bench/results.json")


class Table:
    """Rows as they come in; one that misses its *must* is marked."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        what: str,
        value: float,
        unit: str,
        must: float | None = None,
        aim: float | None = None,
        *,
        more_is_better: bool = False,
    ) -> None:
        """One figure."""
        is_met = None if must is None else (value >= must if more_is_better else value <= must)
        row = {"what": what, "value": round(value, 3), "unit": unit, "must": must, "aim": aim, "is_met": is_met}
        self.rows.append(row)
        mark = {True: "ok  ", False: "MISS", None: "    "}[is_met]
        limits = "" if must is None else f"  must {must:g}  aim {aim:g}"
        print(f"  {mark} {what:<62} {value:>10.2f} {unit:<8}{limits}", flush=True)


async def _alarm_figures(rig: Rig, table: Table, rounds: int) -> Latencies:
    fsync = raw_fsync_ms(rig.folder)
    table.add("raw fdatasync of 4 KiB, p50", percentile(fsync, 0.5), "ms")
    table.add("raw fdatasync of 4 KiB, p99", percentile(fsync, 0.99), "ms")
    idle = await latencies(rig, rounds)
    for step, must, aim in (("durable", 10, 5), ("receipt", 25, 10), ("screen", 100, 50)):
        table.add(f"alarm, idle: heard → {step}, p50", idle.p(step, 0.5), "ms")
        table.add(f"alarm, idle: heard → {step}, p99", idle.p(step, 0.99), "ms", must, aim)
    table.add(
        "alarm: bytes written to the card, median",
        percentile([float(n) for n in idle.written_bytes], 0.5) / 1000,
        "KB",
        12,
        6,
    )
    return idle


async def _loaded_figures(rig: Rig, table: Table, idle: Latencies, rounds: int, waiting: int) -> None:
    await backlog(rig, waiting)
    rig.stage.cable.mend()
    await rig.load(readings=1_000_000, per_s=1000)
    loaded = await latencies(rig, rounds)
    memory = usage(rig.hub_pid).rss_mb
    lane = await rig.lane("telemetry")
    table.add("… backlog still waiting when the rounds ended", float(lane["waiting"] or 0), "events")
    for step in ("durable", "receipt", "screen"):
        table.add(f"alarm, loaded: heard → {step}, p99", loaded.p(step, 0.99), "ms")
        table.add(
            f"alarm, loaded / idle, p99: {step}", loaded.p(step, 0.99) / max(idle.p(step, 0.99), 0.01), "x", 3, 1.5
        )
    table.add("memory of the hub while draining", memory, "MB", 70, 58)


async def _telemetry_figures(rig: Rig, table: Table, events: int) -> None:
    before = usage(rig.hub_pid)
    central = usage(rig.stage.central.pid or 0)
    taken = int((await rig.lane("telemetry"))["taken"])
    start = time.clock_gettime(time.CLOCK_BOOTTIME)
    await rig.load(readings=events)
    done = await rig.drained(taken + events, patience_s=180)
    after = usage(rig.hub_pid)
    lane = await rig.lane("telemetry")
    table.add(
        "telemetry: Observation → durable, sealed, receipted",
        events / (done - start),
        "/s",
        8000,
        20000,
        more_is_better=True,
    )
    table.add("… dropped at intake", float(lane["taken"] - taken - events), "events")
    table.add("CPU of the hub per 10,000", (after.cpu_s - before.cpu_s) * 10_000 / events, "s", 1.0, 0.5)
    table.add(
        "CPU of central per 10,000", (usage(rig.stage.central.pid or 0).cpu_s - central.cpu_s) * 10_000 / events, "s"
    )
    table.add(
        "bytes written to the card per telemetry event",
        (after.written_bytes - before.written_bytes) / events / 1000,
        "KB",
        1,
        0.55,
    )


async def _start_figures(rig: Rig, table: Table, million: int) -> None:
    table.add("start to ready", min([await start_s(rig) for _ in range(3)]), "s", 1.2, 0.5)
    if not million:
        return
    await backlog(rig, million)
    waiting = int((await rig.lane("telemetry"))["waiting"] or 0)
    table.add(f"start to ready, {waiting:,} events in the journal", await start_s(rig), "s", 1.3, 0.6)
    rig.stage.cable.mend()
    await asyncio.sleep(15)
    table.add("memory of the hub, draining them", usage(rig.hub_pid).rss_mb, "MB", 70, 58)


async def _run(words: argparse.Namespace) -> int:
    table = Table()
    print(f"Vaktpost on {platform.machine()}, Python {platform.python_version()}", flush=True)
    async with rig() as one:
        print("\nalarms, idle", flush=True)
        await asyncio.sleep(3)  # what it is at rest is measured, not what it is while starting
        table.add("memory of the hub, idle", usage(one.hub_pid).rss_mb, "MB", 60, 48)
        idle = await _alarm_figures(one, table, words.rounds)
        print("\ntelemetry", flush=True)
        await _telemetry_figures(one, table, words.telemetry)
        peer = raw_sqlite_per_s(one.folder)
        table.add("… peer: bare sqlite3, WAL/FULL, 100 rows a commit", peer, "/s")
        print("\nalarms under load", flush=True)
        past = await past_backlog(one, 20_000)
        table.add("alarm past 20,000 waiting: path back → receipt", past / 1000, "s", 0.25, 0.05)
        await one.drained(0, patience_s=120)
        await _loaded_figures(one, table, idle, words.rounds, words.backlog)
        print("\nstart", flush=True)
        await _start_figures(one, table, words.million)
    found = {"machine": platform.platform(), "python": platform.python_version(), "rows": table.rows}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    missed = [row for row in table.rows if row["is_met"] is False]
    judged = sum(row["is_met"] is not None for row in table.rows)
    print(f"\n{len(missed)} of {judged} budgets missed; {RESULTS} written")
    return 0


def main() -> int:
    """`python -m bench`. The exit status does not judge: a slow machine is no fault of the code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=150, help="alarms a latency figure rests on")
    parser.add_argument("--telemetry", type=int, default=100_000)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument(
        "--million", type=int, default=1_000_000, help="events in the journal at start; 0 leaves it out"
    )
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
