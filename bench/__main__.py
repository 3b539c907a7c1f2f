"""Run the measurements and print them beside the budgets: `make bench`, or `python -m bench FAMILY …`."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench.bench import Bench, Scale
from bench.errors import BenchError
from bench.families import Family, chosen, families
from bench.machine import Others
from bench.rows import Row
from bench.table import line, markdown, table
from simulators.demo.operator import OperatorError
from simulators.demo.program import ProgramError

RESULTS = Path("bench/results.json")
HELP = {
    "rounds": "alarms that a latency rests on",
    "repeats": "how often an alarm is sent past a backlog",
    "telemetry": "readings that a rate rests on",
    "backlog": "readings that wait when a backlog is drained",
    "storm": "technical alarms in a storm, and open behind a queue",
    "million": "readings in the journal of a hub that was cut off for long",
}


class Progress:
    """What goes on, with the time since the start."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()

    def say(self, text: str) -> None:
        print(f"  {time.monotonic() - self._start_s:6.0f} s  {text}", flush=True)


async def _measure(family: Family, bench: Bench) -> tuple[dict[str, Any], list[Row]]:
    """One family, with the noise around it."""
    print(f"\n{family.title}", flush=True)
    others, start_s, rows = Others(), time.monotonic(), []
    async for row in family.measure(bench):
        rows.append(row)
        print(line(row), flush=True)
    share = others.share()
    bench.say(f"meanwhile other programs took {share:.0%} of the processors")
    facts = {
        "title": family.title,
        "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "took_s": round(time.monotonic() - start_s, 1),
        "others_share": round(share, 3),
        "rows": [row.as_json() for row in rows],
    }
    return facts, rows


async def _run(wanted: Sequence[Family], scale: Scale) -> None:
    if (task := asyncio.current_task()) is not None:  # what was started is ended, also then
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    machine = f"{platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}"
    print(f"Vaktpost on {machine}", flush=True)
    bench = await Bench.prepare(scale, Progress().say)
    results = _before(machine)
    sections: list[tuple[str, list[Row]]] = []
    for family in wanted:
        facts, rows = await _measure(family, bench)
        results["families"][family.name] = facts
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        sections.append((f"{family.title}  [others took {facts['others_share']:.0%}]", rows))
    print(table(sections))
    print(f"{RESULTS} written")


def _before(machine: str) -> dict[str, Any]:
    """What an earlier run on this machine found stays, where it is not measured again."""
    try:
        before = json.loads(RESULTS.read_text())
    except (OSError, ValueError):
        before = {}
    kept = before.get("families", {}) if before.get("machine") == machine else {}
    return {"machine": machine, "families": kept}


def _found_last() -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(RESULTS.read_text())
    except FileNotFoundError:
        raise BenchError("nothing was measured here yet: make bench") from None
    order = [family.name for family in families()]
    known = found["families"].items()
    return found | {"families": dict(sorted(known, key=lambda one: order.index(one[0]) if one[0] in order else 999))}


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status does not judge: a slow machine is no fault of the code. 1: could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="which to measure (default: all)")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--markdown", action="store_true", help="print what was found last as a table for a page")
    for each in fields(Scale):
        parser.add_argument(f"--{each.name}", type=int, default=each.default, help=f"{HELP[each.name]} (%(default)s)")
    words = parser.parse_args(argv)
    try:
        wanted = chosen(words.families)
        if words.list:
            print("\n".join(f"{family.name:<12} {family.title}" for family in families()))
            return 0
        if words.markdown:
            print(markdown(_found_last()))
            return 0
        asyncio.run(_run(wanted, Scale(**{each.name: getattr(words, each.name) for each in fields(Scale)})))
    except (BenchError, ProgramError, OperatorError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("bench: something did not come about in time; the families before it are in the results", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: broken off; the families before are in the results", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
