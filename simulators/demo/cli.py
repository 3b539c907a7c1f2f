"""`vaktpost demo`: bring everything up, show it on a page, or follow one press and end."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

from simulators import plans
from simulators.demo.once import press_once
from simulators.demo.operator import Operator, OperatorError
from simulators.demo.page import serve
from simulators.demo.program import ProgramError
from simulators.demo.stage import HOST, Ports, Stage, free_port
from simulators.demo.story import Story

FOLDER = Path(".demo")


def main(argv: list[str]) -> int:
    """Run the demo. 0: it did what it promises; 1: it did not, and says where it stopped; 2: the words are off."""
    parser = argparse.ArgumentParser(
        prog="vaktpost demo", description="hub, central and a simulated flat on this machine, and a page to play with"
    )
    parser.add_argument("--once", action="store_true", help="press one pendant, follow it there and back, and end")
    parser.add_argument("--json", action="store_true", help="with --once: print the timeline as JSON")
    parser.add_argument("--port", type=int, default=8090, help="where the page is (default: %(default)s)")
    parser.add_argument("--home", choices=sorted(plans.PLANS), default="flat", help="a flat, or a nursing-home ward")
    parser.add_argument("--language", choices=["nb", "en"], default="nb", help="of the console and the hub")
    parser.add_argument("--folder", type=Path, help=f"where keys, database and cards lie (default: {FOLDER})")
    parser.add_argument("--fresh", action="store_true", help="forget an earlier demo first")
    words = parser.parse_args(argv)
    if words.json and not words.once:
        parser.error("--json goes with --once")
    if words.once and words.home != "flat":
        parser.error("--once presses a pendant, and only the flat has one")
    try:
        return asyncio.run(_once(words) if words.once else _stay(words))
    except (ProgramError, OperatorError) as error:
        print(f"vaktpost demo: {error}", file=sys.stderr)
        return 1


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def _once(words: argparse.Namespace) -> int:
    ports = Ports(page=free_port(), console=free_port(), hubs=free_port())
    with tempfile.TemporaryDirectory(prefix="vaktpost-demo-") as name:
        folder = words.folder or Path(name)
        async with (
            Stage.open(folder.resolve(), plans.FLAT, ports, language=words.language, say=_say) as stage,
            _browser() as http,
        ):
            operator = Operator(stage, http)
            await operator.add_accounts()
            found = await press_once(stage, operator)
    if words.json:
        print(json.dumps(found))
    else:
        _print_timeline(found)
    return 0 if found["ok"] else 1


def _print_timeline(found: dict[str, Any]) -> None:
    for step, ms in found["timeline"].items():
        print(f"{step:<10} {'-' if ms is None else f'{ms:9.1f} ms'}")
    if not found["ok"]:
        print(f"it stopped at {found['stopped_at']}: {found['problem']}")


async def _stay(words: argparse.Namespace) -> int:
    plan = plans.PLANS[words.home]
    folder = (words.folder or (FOLDER if plan is plans.FLAT else Path(f"{FOLDER}-{plan.name}"))).resolve()
    if words.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    ports = Ports(page=free_port(words.port), console=free_port(8080), hubs=free_port(8443))
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, done.set)
    async with (
        Stage.open(folder, plan, ports, language=words.language, say=_say) as stage,
        _browser() as http,
    ):
        operator = Operator(stage, http)
        await operator.add_accounts()
        story = Story(stage, operator)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(story.run())
            serving = group.create_task(serve(story, ports.page, operator.console, done))
            _greet(stage, operator, await operator.sign_in_link(language=words.language))
            await serving
            _say("stopping ...")
            watching.cancel()
    return 0


def _greet(stage: Stage, operator: Operator, link: str) -> None:
    print(f"\n  The page:     http://{HOST}:{stage.ports.page}/")
    print(f"  The console:  {link}   (once, then {operator.console})")
    print("\n  For engineers")
    print(f"    hub      pid {stage.hub.pid}      kill -9 {stage.hub.pid}")
    print(f"    central  pid {stage.central.pid}      kill -9 {stage.central.pid}")
    print(f"    the card:       vaktpost hub journal --records --config {stage.hub_config}")
    print(f"    the event log:  vaktpost central verify-log --config {stage.central_config}")
    act = "call 7 emergency" if stage.plan.rooms else "press"
    print(f"    the {stage.plan.name}:       vaktpost sim --folder {stage.folder / 'home'} {act}")
    print(f"    logs:           {stage.folder / 'logs'}")
    print("\n  Ctrl-C stops everything.\n", flush=True)


def _browser() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # cookies of an address without a name
        timeout=aiohttp.ClientTimeout(total=30),
    )
