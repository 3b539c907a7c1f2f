"""`vaktpost hub …`: run the daemon, enrol it, check its settings, and ask how it is."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from gateway.errors import HubError, JournalRefusedError
from ground.command_line import Parser

DEFAULT_CONFIG = Path("/etc/vaktpost/hub.toml")
END_LIMIT_S = 5.0
"""A hub that has not ended so long after it was asked to is ended."""

TURN_S = 0.0005
"""How long the loop's thread may keep the journal's waiting for the interpreter (and the other way round). With
Python's own 5 ms, an fsync of half a millisecond came back to a busy loop ten times later."""

OK, FAILED, MISUSED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: done, 1: it failed, 2: the words or the settings are off."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except HubError as error:
        _say_error(str(error), as_json=getattr(options, "json", False))
        return FAILED
    return status


def _parser() -> Parser:
    parser = Parser(prog="vaktpost hub", description="The gateway in a home or a ward.")
    shared = Parser(add_help=False)
    shared.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="settings of this hub (default: %(default)s)",
    )
    reporting = Parser(add_help=False)
    reporting.add_argument("--json", action="store_true", help="answer in JSON")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    run = commands.add_parser("run", parents=[shared], help="keep watch until told to stop")
    run.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    run.add_argument("--log-json", action="store_true", default=None, help="log JSON also at a terminal")
    run.set_defaults(run=_run)

    enrol = commands.add_parser("enrol", parents=[shared, reporting], help="make this hub known to central")
    enrol.add_argument("--central", required=True, metavar="URL", help="address of central's hub listener")
    enrol.add_argument("--replace", action="store_true", help="give up an identity that is there already")
    enrol.add_argument("code", metavar="CODE", nargs="+", help="the one-time code that central shows")
    enrol.set_defaults(run=_enrol)

    check = commands.add_parser("check-config", parents=[shared, reporting], help="read the settings and all they name")
    check.set_defaults(run=_check_config)

    status = commands.add_parser("status", parents=[shared, reporting], help="how the hub is")
    status.set_defaults(run=_status)

    journal = commands.add_parser("journal", parents=[shared, reporting], help="what lies in the journal")
    journal.add_argument("--records", action="store_true", help="list every record (sealed: no contents)")
    journal.set_defaults(run=_journal)

    retry = commands.add_parser(
        "retry-driver", parents=[shared, reporting], help="try a driver that waits after a failure again, now"
    )
    retry.add_argument("driver", metavar="NAME", help="its name under [drivers]; `vaktpost hub status` lists them")
    retry.set_defaults(run=_retry_driver)

    test = commands.add_parser("self-test", parents=[shared, reporting], help="run the health check, as central does")
    test.add_argument(
        "--local",
        action="store_true",
        help="try pager, loudspeaker and the rest that the hub calls for help with by itself, marked as a test",
    )
    test.set_defaults(run=_self_test)
    return parser


def _settings(options: argparse.Namespace) -> Any:
    from config import SettingsError, load

    try:
        return load(options.config)
    except SettingsError as error:
        if getattr(options, "json", False):
            from config import render_json

            print(render_json(options.config, error.problems))
        else:
            print(error, file=sys.stderr)
        raise SystemExit(MISUSED) from None


def _settings_in_use(options: argparse.Namespace) -> Any:
    """Also when the file cannot be used: the daemon may run all the same, and has to be asked how it is."""
    from gateway import log, start

    log.configure(level="error")  # on standard output is the answer, and nothing else
    settings = start.in_use(options.config)
    return _settings(options) if settings is None else settings


# run


def _run(options: argparse.Namespace) -> int:
    from gateway import log, reading

    # A hub believes central's own authority and nothing else; the system's list would cost 2 MB and 80 ms at the start.
    os.environ["SSL_CERT_FILE"] = os.devnull
    os.environ["SSL_CERT_DIR"] = os.devnull

    log.configure(level=options.log_level, as_json=options.log_json)
    start = reading.start_of(options.config, meanwhile=lambda: import_module("gateway.launch"))
    from gateway import identity_store
    from gateway.launch import run_hub

    settings = start.settings
    for problem in settings.warnings:
        print(problem, file=sys.stderr)
    try:
        identity = identity_store.load(settings.state_dir)
    except HubError:
        start.ended()  # said in words what is missing: that is no crash
        raise
    faulthandler.enable()  # the watchdog ends a program that hangs with SIGABRT: then every thread says where it stood
    gc.set_threshold(20_000, 20, 50)  # nearly everything here is freed by counting; fewer pauses, no leak
    sys.setswitchinterval(TURN_S)

    async def keep_watch() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _ask_to_stop, stop)
        await run_hub(
            settings,
            identity,
            stop,
            on_ready=lambda _hub: gc.freeze(),  # what is there stays: look past it
            start=start,
        )

    try:
        asyncio.run(keep_watch())
    except JournalRefusedError as error:
        start.ended()
        _say_error(str(error), as_json=False)
        return FAILED
    return OK


def _ask_to_stop(stop: asyncio.Event) -> None:
    if not stop.is_set():
        stop.set()
        last_resort = threading.Timer(END_LIMIT_S, _end_now)
        last_resort.daemon = True
        last_resort.start()


def _end_now() -> NoReturn:
    print("vaktpost hub: did not end in time; the journal has what was committed", file=sys.stderr, flush=True)
    os._exit(FAILED)


# enrol


def _enrol(options: argparse.Namespace) -> int:
    from gateway import enrol

    settings = _settings(options)
    identity = enrol.enrol(
        settings.state_dir,
        options.central,
        "".join(options.code),
        software=f"vaktpost {version('vaktpost')}",
        is_replaced=options.replace,
    )
    if options.json:
        _say_json({"hub": identity.hub.hex(), "central": identity.central, "suite": identity.suite})
    else:
        print(f"enrolled as {identity.hub.hex()} at {identity.central}")
        print("start it: vaktpost hub run, or systemctl start vaktpost-hub")
    return OK


# check-config


def _check_config(options: argparse.Namespace) -> int:
    from config import check, render_json, render_text

    checked = check(options.config)
    settings = checked.settings
    config_hash = None if settings is None else settings.config_hash
    if options.json:
        print(render_json(options.config, checked.problems, config_hash=config_hash))
    else:
        summary = "" if settings is None else _summary(settings)
        print(render_text(options.config, checked.problems, summary=summary))
    return MISUSED if settings is None else OK


def _summary(settings: Any) -> str:
    counts = (
        (len(settings.uplinks), "path", "paths"),
        (len(settings.drivers), "driver", "drivers"),
        (len(settings.devices), "device", "devices"),
    )
    parts = [f"{count} {one if count == 1 else many}" for count, one, many in counts]
    return f"{', '.join(parts)}; settings {settings.config_hash}"


# status, journal, retry-driver, self-test


def _status(options: argparse.Namespace) -> int:
    from gateway import control, status

    settings = _settings_in_use(options)
    try:
        answer = control.ask(settings.state_dir, {"ask": "status"})
    except control.NotRunningError:
        return _status_of_what_lies_there(settings, as_json=options.json)
    if options.json:
        _say_json({"is_running": True, **answer})
    else:
        print(status.render(answer))
    return OK


def _status_of_what_lies_there(settings: Any, *, as_json: bool) -> int:
    from gateway import identity_store
    from gateway.journal.inspection import inspect

    facts: dict[str, Any] = {"is_running": False, "is_enrolled": identity_store.is_enrolled(settings.state_dir)}
    try:
        facts["journal"] = inspect(settings.state_dir / "journal")
    except HubError as error:
        facts["journal"] = None
        facts["journal_error"] = str(error)
    if as_json:
        _say_json(facts)
        return FAILED
    print("the hub does NOT run: nobody keeps watch here")
    if not facts["is_enrolled"]:
        print("it is not enrolled: vaktpost hub enrol --central URL CODE")
    if facts["journal"] is None:
        print(f"journal: {facts['journal_error']}")
    else:
        print("journal as it lies there:")
        print(_indented(facts["journal"]))
    return FAILED


def _journal(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from gateway.journal.inspection import dump, inspect

    settings = _settings_in_use(options)
    directory = settings.state_dir / "journal"
    if options.records:
        for row in dump(directory):
            facts = {**asdict(row), "lane": row.lane.word}
            if options.json:
                print(json.dumps(facts))
            else:
                state = "settled" if row.is_settled else "waiting"
                print(f"{facts['lane']:<10} {row.epoch} {row.seq:>8} {state:<8} {row.size_bytes:>6} B")
        return OK
    found = inspect(directory)
    if options.json:
        _say_json(found)
    else:
        print(_indented(found))
    return OK


def _retry_driver(options: argparse.Namespace) -> int:
    from gateway import control

    settings = _settings_in_use(options)
    answer = control.ask(settings.state_dir, {"ask": "retry_driver", "driver": options.driver})
    if options.json:
        _say_json(answer)
    elif answer["is_tried_again"]:
        print(f"{answer['driver']} is tried again now; `vaktpost hub status` tells how it fares")
    elif answer["state"] == "hung":
        print(f"{answer['driver']} hangs and cannot be ended: only a restart of the hub helps it")
        print("restart it: systemctl restart vaktpost-hub")
    else:
        print(f"{answer['driver']} does not wait to be tried again: it is {answer['state']}")
    return FAILED if answer["state"] == "hung" else OK


def _self_test(options: argparse.Namespace) -> int:
    from gateway.health import self_test

    if options.local:
        return self_test.run_local(_settings_in_use(options), as_json=options.json)
    return self_test.run(_settings_in_use(options), as_json=options.json)


def _indented(value: Mapping[str, Any]) -> str:
    return "\n".join("  " + line for line in json.dumps(value, indent=2, ensure_ascii=False).splitlines()[1:-1])


def _say_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


def _say_error(text: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": text}, ensure_ascii=False))
    else:
        print(f"vaktpost hub: {text}", file=sys.stderr)
