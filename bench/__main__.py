"""Run the measurements and print them beside the budgets: `make bench`."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from pathlib import Path

from bench.alarms import Latencies, latencies, loaded_latencies, past_backlog
from bench.machine import Others, percentile, raw_fsync_ms, raw_sqlite_per_s, usage
from bench.peers import bridge
from bench.rig import Rig, rig
from bench.start import start_s
from bench.table import Table
from bench.telemetry import backlog, throughput, waiting
from simulators.broker import BrokerUnavailableError

RESULTS = Path("bench/results.json")
STARTS = 5
SETTLE_S = 12.0
"""The journal writes what was receipted at the latest after ten seconds: it belongs to the alarms before it."""
PAST = 20_000


async def _alarm_figures(one: Rig, table: Table, rounds: int) -> Latencies:
    table.section("alarms, idle")
    others = Others()
    fsync = raw_fsync_ms(one.folder)
    table.add("raw fdatasync of 4 KiB, p50", percentile(fsync, 0.5), "ms")
    table.add("raw fdatasync of 4 KiB, p99", percentile(fsync, 0.99), "ms")
    before = usage(one.hub_pid).written_bytes
    idle = await latencies(one, rounds)
    for step, must, aim in (("durable", 10, 5), ("receipt", 25, 10), ("screen", 100, 50)):
        table.add(f"heard → {step}, p50", idle.p(step, 0.5), "ms")
        table.add(f"heard → {step}, p99", idle.p(step, 0.99), "ms", must, aim)
    await asyncio.sleep(SETTLE_S)
    mean = (usage(one.hub_pid).written_bytes - before) / len(idle.screen)
    table.add(
        "bytes written to the card by the time of the receipt, median", percentile(idle.written_bytes, 0.5) / 1000, "KB"
    )
    table.add("bytes written to the card per alarm, all that follows included, mean", mean / 1000, "KB", 12, 6)
    table.add("processor time that other programs took meanwhile", others.share() * 100, "%")
    return idle


async def _telemetry_figures(one: Rig, table: Table, events: int) -> None:
    table.section("telemetry")
    others = Others()
    found = await throughput(one, events)
    table.add("Observation → durable, sealed, receipted", found.per_s, "/s", 8000, 20000, more_is_better=True)
    table.add("… dropped at the intake", found.dropped, "events")
    table.add("peer: bare sqlite3, WAL and FULL, 100 rows a commit", raw_sqlite_per_s(one.folder), "/s")
    table.add("CPU of the hub per 10,000", found.hub_cpu_s * 10_000 / events, "s", 1.0, 0.5)
    table.add("CPU of central per 10,000", found.central_cpu_s * 10_000 / events, "s")
    table.add("bytes written to the card per telemetry event", found.written_bytes / events / 1000, "KB", 1, 0.55)
    table.add("processor time that other programs took meanwhile", others.share() * 100, "%")


async def _loaded_figures(one: Rig, table: Table, idle: Latencies, words: argparse.Namespace) -> None:
    table.section(f"alarms past {PAST:,} waiting")
    for is_broken, what in ((False, "cable back, connections held"), (True, "cable back, connections lost")):
        past = [await past_backlog(one, PAST, is_broken=is_broken) for _ in range(words.repeats)]
        table.add(f"{what} → receipt, median", percentile(past, 0.5) / 1000, "s")
        table.add(f"{what} → receipt, worst", max(past) / 1000, "s", 0.25, 0.05)
    await one.drained(0, patience_s=120)
    table.section(f"alarms, loaded: 1,000 events a second and a backlog of {words.backlog:,} draining")
    others = Others()
    loaded, made, memory_mb = await loaded_latencies(one, words.rounds, words.backlog)
    for step in ("durable", "receipt", "screen"):
        table.add(f"heard → {step}, p50", loaded.p(step, 0.5), "ms")
        table.add(f"heard → {step}, p99", loaded.p(step, 0.99), "ms")
        ratio = loaded.p(step, 0.99) / max(idle.p(step, 0.99), 0.01)
        table.add(f"heard → {step}, p99, loaded against idle", ratio, "x", 3, 1.5)
    table.add("backlogs used up", made, "")
    table.add("memory of the hub while draining, highest", memory_mb, "MB", 70, 58)
    table.add("processor time that other programs took meanwhile", others.share() * 100, "%")


async def _start_figures(one: Rig, table: Table, million: int) -> None:
    table.section("start")
    await one.drained(0, patience_s=120)
    table.add("start to ready, median", percentile([await start_s(one) for _ in range(STARTS)], 0.5), "s", 1.2, 0.5)
    if not million:
        return
    await backlog(one, million)
    found = percentile([await start_s(one) for _ in range(STARTS)], 0.5)
    table.add(f"start to ready, {await waiting(one):,} events in the journal", found, "s", 1.3, 0.6)
    one.stage.cable.mend()
    memory_mb = 0.0
    for _ in range(60):
        await asyncio.sleep(0.25)
        memory_mb = max(memory_mb, usage(one.hub_pid).rss_mb)
    table.add("memory of the hub while draining them, highest", memory_mb, "MB", 70, 58)


async def _peer_figures(one: Rig, table: Table) -> None:
    table.section("peer: a mosquitto bridging to another over TLS, persistence on, nothing waited for on the card")
    try:
        found = await bridge(one.folder / "bridge", rounds=100, messages=10_000)
    except BrokerUnavailableError as error:
        print(f"       {error}")
        return
    table.add("published at the edge → subscriber at central, p50", found.p(0.5), "ms")
    table.add("published at the edge → subscriber at central, p99", found.p(0.99), "ms")
    table.add("CPU of the edge's broker per 10,000", found.edge_cpu_s, "s")


async def _run(words: argparse.Namespace) -> int:
    table = Table()
    print(f"Vaktpost on {platform.machine()}, Python {platform.python_version()}", flush=True)
    async with rig() as one:
        await asyncio.sleep(5)  # what it is at rest is measured, not what it is while starting
        table.section("at rest")
        at_rest = usage(one.hub_pid)
        table.add("memory of the hub, resident", at_rest.rss_mb, "MB", 60, 48)
        table.add("… of that anonymous", at_rest.anonymous_mb, "MB")
        idle = await _alarm_figures(one, table, words.rounds)
        await _telemetry_figures(one, table, words.telemetry)
        await _loaded_figures(one, table, idle, words)
        await _start_figures(one, table, words.million)
        await _peer_figures(one, table)
    found = {"machine": platform.platform(), "python": platform.python_version(), "rows": table.rows}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{len(table.missed)} of {table.judged} budgets missed; {RESULTS} written")
    return 0


def main() -> int:
    """`python -m bench`. The exit status does not judge: a slow machine is no fault of the code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=150, help="alarms that a latency rests on")
    parser.add_argument("--repeats", type=int, default=5, help="how often an alarm is sent past a backlog")
    parser.add_argument("--telemetry", type=int, default=100_000)
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument(
        "--million", type=int, default=1_000_000, help="events in the journal at start; 0 leaves it out"
    )
    return asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
