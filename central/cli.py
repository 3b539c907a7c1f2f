"""`vaktpost central …`: found a central, run it, let people and hubs in, look after hubs and the event log."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import gc
import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from central.errors import ActionError, CentralError, IncompleteError, SettingsError
from central.settings import CentralSettings, load
from cloud_sync.ownership import hand_over
from ground.command_line import Parser

DEFAULT_DATA = Path("/var/lib/vaktpost-central")
DEFAULT_CONFIG = DEFAULT_DATA / "central.toml"
"""Where `init` puts it, and where the service unit looks for it."""
TURN_S = 0.0005
"""How long one thread may keep another waiting for the interpreter: a commit is not to wait for the loop longer than
its fsync takes. Python's own value is 5 ms."""
GARBAGE = (20_000, 20, 50)
"""Nearly everything is freed by counting; an alarm is not to wait while the interpreter looks through all there is."""
OK, FAILED, MISUSED = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: done, 1: it failed, 2: the words or the settings are off."""
    options = _parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        return _fail(options, MISUSED, "settings", str(error), problems=error.problems)
    except CentralError as error:
        return _fail(options, FAILED, "central", str(error))
    except IncompleteError as error:
        choices = f" Known are: {', '.join(error.choices)}." if error.choices else ""
        return _fail(options, MISUSED, error.reason, f"{error.field}: {error.reason.replace('_', ' ')}.{choices}")
    except ActionError as error:
        return _fail(options, FAILED, error.reason, f"{error.reason.replace('_', ' ')}: {error.detail}")
    return status


def _fail(options: argparse.Namespace, status: int, reason: str, detail: str, **more: Any) -> int:
    if getattr(options, "json", False):
        print(json.dumps({"ok": False, "reason": reason, "detail": detail, **more}, ensure_ascii=False))
    else:
        print(f"vaktpost central: {detail}", file=sys.stderr)
    return status


def _parser() -> Parser:
    parser = Parser(prog="vaktpost central", description="Where alarms come in and people answer them.")
    shared = Parser(add_help=False)
    shared.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="settings (default: %(default)s)"
    )
    reporting = Parser(add_help=False)
    reporting.add_argument("--json", action="store_true", help="answer in JSON")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    init = commands.add_parser("init", parents=[reporting], help="found a new central: keys, certificate, database")
    init.add_argument(
        "--data",
        type=Path,
        default=DEFAULT_DATA,
        metavar="DIR",
        help="an empty or new directory for all of it (default: %(default)s)",
    )
    init.add_argument(
        "--name", action="append", default=[], metavar="NAME", help="host name or address by which hubs reach it"
    )
    init.add_argument("--hub-host", default="127.0.0.1", metavar="ADDRESS", help="where hubs come in")
    init.add_argument("--hub-port", type=int, default=8443, metavar="PORT")
    init.add_argument("--console-host", default="127.0.0.1", metavar="ADDRESS", help="where people come in")
    init.add_argument("--console-port", type=int, default=8080, metavar="PORT")
    init.add_argument("--public-url", default="", metavar="URL", help="the console's address as people type it")
    init.add_argument("--language", choices=("nb", "en"), default="nb")
    init.set_defaults(run=_init)

    run = commands.add_parser("run", parents=[shared], help="run until told to stop")
    run.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    run.add_argument("--log-json", action="store_true", default=None, help="log JSON also at a terminal")
    run.set_defaults(run=_run)

    code = commands.add_parser("code", parents=[shared, reporting], help="a one-time enrolment code for a hub")
    code.add_argument("--label", default="", help="what people will call the hub")
    code.add_argument("--hours", type=float, default=72, help="how long it can be used (default: %(default)s)")
    code.set_defaults(run=_code)

    user = commands.add_parser("user", help="who may sign in")
    users = user.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = users.add_parser("add", parents=[shared, reporting], help="let somebody in; prints a one-time sign-in link")
    add.add_argument("name")
    add.add_argument("--role", default="responder", metavar="ROLE", help="responder, lead, technician, installer, ...")
    add.add_argument("--language", choices=("nb", "en"))
    add.add_argument("--link", action="store_true", help="(a link is printed in any case)")
    add.set_defaults(run=_user_add)
    link = users.add_parser("link", parents=[shared, reporting], help="another one-time sign-in link")
    link.add_argument("name")
    link.set_defaults(run=_user_link)
    listing = users.add_parser("list", parents=[shared, reporting], help="everybody who has an account")
    listing.set_defaults(run=_user_list)

    check = commands.add_parser("check", parents=[shared, reporting], help="ask a hub how it is")
    check.add_argument("hub", metavar="HUB", help="its name or id")
    check.add_argument("--timeout", type=float, default=12, metavar="SECONDS")
    check.set_defaults(run=_check)

    hubs = commands.add_parser("hubs", parents=[shared, reporting], help="all hubs, worst first")
    hubs.set_defaults(run=_hubs)

    backup = commands.add_parser("backup", parents=[shared, reporting], help="copy the database while central runs")
    backup.add_argument("file", type=Path, metavar="FILE", help="a file that is not there yet")
    backup.set_defaults(run=_backup)

    restored = commands.add_parser(
        "restored", parents=[shared, reporting], help="the database was put back from a backup: make it ready to run"
    )
    restored.set_defaults(run=_restored)

    audit = commands.add_parser(
        "audit", parents=[shared, reporting], help="look beside central whether alarms go on; shout if they do not"
    )
    audit.add_argument("--once", action="store_true", help="look once and tell; the status is 1 if anything is wrong")
    audit.add_argument("--forget", action="store_true", help="there will be no auditor: central is not to miss it")
    audit.set_defaults(run=_audit)

    people = commands.add_parser("people", help="residents")
    of_people = people.add_subparsers(title="commands", metavar="COMMAND", required=True)
    taking = of_people.add_parser(
        "import", parents=[shared, reporting], help="take in residents from a CSV or JSON file, all of it or nothing"
    )
    taking.add_argument("file", type=Path, metavar="FILE", help="UTF-8; what it holds: docs/administrators/people.md")
    taking.set_defaults(run=_people_import)
    forgetting = of_people.add_parser(
        "forget",
        parents=[shared, reporting],
        help="erase what is known of nobody in particular in a home, or was written about an incident",
    )
    forgetting.add_argument("id", metavar="ID", help="of the hub, or of the incident")
    forgetting.set_defaults(run=_people_forget)
    rotate = commands.add_parser(
        "rotate-master", parents=[shared, reporting], help="a new master key for residents' records"
    )
    rotate.set_defaults(run=_rotate_master)

    verify = commands.add_parser("verify-log", parents=[shared, reporting], help="has anybody edited the event log?")
    verify.set_defaults(run=_verify_log)
    return parser


# init


def _init(options: argparse.Namespace) -> int:
    from central.clock import SystemClock
    from central.founding import Plan, found

    names = options.name or list(dict.fromkeys(("localhost", "127.0.0.1", socket.gethostname())))
    plan = Plan(
        data_dir=options.data,
        names=names,
        hub_host=options.hub_host,
        hub_port=options.hub_port,
        console_host=options.console_host,
        console_port=options.console_port,
        public_url=options.public_url,
        language=options.language,
    )
    founded = found(plan, SystemClock().now_ms())
    asyncio.run(_open_once(load(founded.settings)))
    hand_over(options.data, options.data)
    told = {
        "ok": True,
        "settings": str(founded.settings),
        "offline": str(founded.offline),
        "root_fingerprint": founded.root_fingerprint,
        "names": names,
    }
    if options.json:
        print(json.dumps(told))
        return OK
    print(f"""A central was founded in {options.data}.

  settings      {founded.settings}
  hubs reach it as {", ".join(names)}
  root          {founded.root_fingerprint}

Take the folder {founded.offline} off this machine now: copy it to two media that are locked away
in two places, then delete it here. Its README.txt says what each file is for.

Next:
  vaktpost central run --config {founded.settings}
  vaktpost central user add NAME --role administrator --config {founded.settings}
  vaktpost central code --label "Flat 1" --config {founded.settings}""")
    return OK


async def _open_once(settings: CentralSettings) -> None:
    from central.clock import SystemClock
    from central.store import open_store

    async with open_store(settings.database_url, SystemClock()):
        pass


# run


def _run(options: argparse.Namespace) -> int:
    from central import log
    from central.daemon import Running, run

    settings = load(options.config)
    log.configure(options.log_level, as_json=options.log_json)
    faulthandler.enable()  # the watchdog ends a program that hangs with SIGABRT: then every thread says where it stood
    sys.setswitchinterval(TURN_S)
    gc.set_threshold(*GARBAGE)

    def announce(where: Running) -> None:
        gc.freeze()  # what is there stays: look past it
        print(f"hubs      {where.hub_url}\nconsole   {settings.console.public_url or where.console_url}", flush=True)

    asyncio.run(run(settings, announce))
    return OK


# hubs


def _code(options: argparse.Namespace) -> int:
    settings = load(options.config)

    async def make() -> str:
        from central.clock import SystemClock
        from central.hubs import Hubs
        from central.keys import load_keys
        from central.store import open_store
        from central.wakeup import Wakeup

        clock = SystemClock()
        async with open_store(settings.database_url, clock) as store:
            hubs = Hubs(store, load_keys(settings.data_dir), clock, Wakeup())
            return await hubs.new_code(options.label, "command-line", valid_hours=options.hours)

    code = asyncio.run(make())
    if options.json:
        print(json.dumps({"ok": True, "code": code, "label": options.label, "hours": options.hours}))
    else:
        print(f"{code}\n\nOn the hub, within {options.hours:g} hours:  vaktpost hub enrol --central URL {code}")
    return OK


def _check(options: argparse.Namespace) -> int:
    from central.admin import ask
    from central.health_report import report

    settings = load(options.config)
    request = {"do": "check", "hub": options.hub, "timeout_s": options.timeout}
    found = ask(settings.admin_socket, request, timeout_s=options.timeout + 15)
    text, status = report(found, language=settings.language, zone=ZoneInfo(settings.time_zone), as_json=options.json)
    print(text)
    return status


def _hubs(options: argparse.Namespace) -> int:
    from central.admin import ask

    hubs = ask(load(options.config).admin_socket, {"do": "hubs"})
    if options.json:
        print(json.dumps({"ok": True, "hubs": hubs}, ensure_ascii=False))
        return OK
    for hub in hubs:
        at = hub["heard_ms"] and datetime.fromtimestamp(hub["heard_ms"] / 1000, UTC).astimezone()
        heard = f"heard {at:%H:%M:%S}" if at else ""
        print(f"{hub['id']}  {hub['presence']:8} {hub['label']:30} {heard}")
    return OK


# the auditor


def _audit(options: argparse.Namespace) -> int:
    from central.audit.serving import forget_auditor, look_once, serve_auditor

    settings = load(options.config)
    if options.forget:
        asyncio.run(forget_auditor(settings))
        print(json.dumps({"ok": True}) if options.json else "Central will not miss the auditor.")
        return OK
    if not options.once:
        return asyncio.run(serve_auditor(settings))
    found = asyncio.run(look_once(settings))
    if options.json:
        print(json.dumps({"ok": not found, "findings": [asdict(one) for one in found]}))
    else:
        from central.console.catalogue import words

        t = words(settings.language)
        print("\n".join(t(f"audit.{one.what}", n=one.count) for one in found) or "Nothing is overdue.")
    return FAILED if found else OK


# copies of the database


def _backup(options: argparse.Namespace) -> int:
    from central.restoring import back_up

    settings = load(options.config)
    made = back_up(settings, options.file)
    if options.json:
        print(json.dumps({"ok": True, **asdict(made)}))
        return OK
    print(f"""{made.file}: {made.size_bytes} bytes, whole and checked.

Keep with it, as safe as the original: {settings.source.name}, trust.bundle and keys/ of {settings.data_dir}.""")
    return OK


def _restored(options: argparse.Namespace) -> int:
    from central.clock import SystemClock
    from central.restoring import restored

    done = asyncio.run(restored(load(options.config), SystemClock()))
    if options.json:
        print(json.dumps({"ok": True, **asdict(done)}))
        return OK
    last = "nothing" if done.last_ms is None else f"{datetime.fromtimestamp(done.last_ms / 1000, UTC).astimezone():%c}"
    print(f"""The database has a new lineage, {done.lineage}, and is ready. The newest that it knows is of {last}.

When central is started now:
  - every hub sees the new lineage and sends the alarm and care events of its last days again; what is there already
    has no second effect, what came after the backup is raised (also what was answered then);
  - {done.open_alarms} alarms are open, as they were at the backup; {done.returned} that somebody had then are back in
    the queue;
  - everybody signs in again; one-time links and enrolment codes of that time are void;
  - accounts disabled and hubs revoked since the backup are active again, hubs enrolled since are unknown: see to them;
  - measurements and technical events that came after the backup are gone, apart from what hubs still hold.

A technical alarm in the console says so to everybody.""")
    return OK


# the event log


def _verify_log(options: argparse.Namespace) -> int:
    settings = load(options.config)

    async def look() -> Any:
        from central.clock import SystemClock
        from central.event_log import verify
        from central.store import open_store

        async with open_store(settings.database_url, SystemClock()) as store:
            return await verify(store)

    verdict = asyncio.run(look())
    if options.json:
        print(json.dumps({"ok": verdict.is_whole, **asdict(verdict)}))
    elif verdict.is_whole:
        print(f"The event log is whole: {verdict.entries} entries, none changed, removed or put in.")
    else:
        print(
            f"The event log was tampered with: entry {verdict.broken_at} is {_BROKEN[verdict.problem]}. The "
            f"{verdict.entries} entries before it are whole. Compare with a backup before anything else is written.",
            file=sys.stderr,
        )
    return OK if verdict.is_whole else FAILED


_BROKEN = {
    "missing": "missing",
    "changed": "changed",
    "cut_off": "missing, as is everything after it",
    "end_changed": "not the end that was written",
}


# people


def _people_import(options: argparse.Namespace) -> int:
    from central.people.cli import import_file

    return import_file(options)


def _people_forget(options: argparse.Namespace) -> int:
    from central.people.cli import forget

    return forget(options)


def _rotate_master(options: argparse.Namespace) -> int:
    from central.people.cli import rotate_master

    return rotate_master(options)


def _user_add(options: argparse.Namespace) -> int:
    from central.console.cli import add_user

    return add_user(options)


def _user_link(options: argparse.Namespace) -> int:
    from central.console.cli import new_link

    return new_link(options)


def _user_list(options: argparse.Namespace) -> int:
    from central.console.cli import list_users

    return list_users(options)
