"""`vaktpost sim` and `vaktpost demo`: simulated homes on the command line, and the whole journey on one page."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from simulators import control, plans
from simulators.control import RefusedError

DEFAULT_FOLDER = Path(".demo/home")


def sim(argv: list[str]) -> int:
    """Drive the simulated home of a running demo, or start one. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="vaktpost sim", description="drive the devices of a simulated home")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="the home's folder (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    home = verbs.add_parser("home", help="start a home in the foreground and print what a hub needs to reach it")
    home.add_argument("kind", choices=sorted(plans.PLANS), nargs="?", default="flat")
    home.add_argument("--uplink", default="https://127.0.0.1:8443", help="central's hub address, for hub.toml")
    for verb, text in (
        ("press", "press a pendant"),
        ("pull", "pull a cord (it is reset after a second)"),
        ("open", "open a door"),
        ("close", "close a door"),
        ("leave", "leave the bed"),
        ("return", "go back to bed"),
        ("smoke", "make smoke under the detector"),
        ("clear", "air it out"),
        ("move", "move past the motion sensor"),
        ("cut", "cut the wire of a loop"),
        ("mend", "mend it"),
        ("state", "show the home: lamp, devices, counts"),
    ):
        verbs.add_parser(verb, help=text).add_argument("device", nargs="?", default="")
    battery = verbs.add_parser("battery", help="set the battery level of a device")
    battery.add_argument("device")
    battery.add_argument("percent", type=int)
    call = verbs.add_parser("call", help="a call from a room of the ward")
    call.add_argument("room")
    call.add_argument("kind", nargs="?", default="call")
    readings = verbs.add_parser("readings", help="let the thermometers talk")
    readings.add_argument("per_s", type=float)
    bluetooth = verbs.add_parser("bluetooth", help="what happens to the radio")
    bluetooth.add_argument("what", choices=["on", "off", "gone", "kill"])
    for verb, text in (("mains", "the mains"), ("serial", "the panel's line")):
        verbs.add_parser(verb, help=text).add_argument("position", choices=["on", "off"])
    words = parser.parse_args(argv)
    if words.verb == "home":
        return asyncio.run(_home(plans.PLANS[words.kind], words.folder, words.uplink))
    request = {key: value for key, value in vars(words).items() if key not in {"verb", "folder", "json", "position"}}
    if "position" in words:
        request["on"] = words.position == "on"
    return _ask(words.folder / "home.sock", {"do": words.verb, **request}, as_json=words.json)


def _ask(socket: Path, request: dict[str, Any], *, as_json: bool) -> int:
    try:
        reply = asyncio.run(control.ask(socket, request))
    except RefusedError as error:
        print(f"vaktpost sim: {error}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(reply))
    elif request["do"] == "state":
        lamp = reply["lamp"]
        print(f"lamp      {lamp['word']} ({lamp['colour'] or 'dark'})")
        print(f"hub       {'connected' if reply['hub_connected'] else 'not there'}")
        print(f"pressed   {reply['pressed']}, of which {reply['unheard']} while no hub listened")
        for name, is_active in reply["levels"].items():
            print(f"{name:<20} {'ACTIVE' if is_active else 'at rest'}")
        for name, percent in reply["batteries"].items():
            print(f"{name:<20} battery {percent} %")
    else:
        print("done")
    return 0


async def _home(plan: plans.Plan, folder: Path, uplink: str) -> int:
    from simulators.home import PANEL_LINK, Home, has_dbus

    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    has_bluetooth = has_dbus()
    settings = plans.write_settings(
        folder,
        plan,
        uplinks={"main": f'type = "https"\nurl = "{uplink}"'},
        has_bluetooth=has_bluetooth,
        panel_port=str(folder / PANEL_LINK),
    )
    if plan.ble and not has_bluetooth:
        print("Bluetooth is switched off: dbus-daemon is not installed. The pendant's receiver is wired instead.")
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, done.set)
    async with Home.open(plan, folder, has_bluetooth=has_bluetooth) as home:
        (folder / "home.env").write_text("".join(f"{key}={value}\n" for key, value in home.environment.items()))
        print(f"a simulated {plan.name} is there; a hub lives in it with")
        print("  " + " ".join(f"{key}={value}" for key, value in home.environment.items()) + " \\")
        print(f"  vaktpost hub run --config {settings}", flush=True)
        await done.wait()
    return 0


def demo(argv: list[str]) -> int:
    """Hub, central and a flat on this machine. Returns the exit status."""
    from simulators.demo.cli import main

    return main(argv)
