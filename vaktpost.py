"""The `vaktpost` command: finds the program behind the first word and hands it the rest."""

from __future__ import annotations

import difflib
import sys
from importlib.metadata import entry_points, version

USAGE = """usage: vaktpost COMMAND [OPTIONS]

  hub       the gateway in a home: run, enrol, check-config, status, journal, retry-driver, self-test
  central   where alarms are answered: run, init, user, code, check HUB, verify-log
  sim       a simulated home or ward, and the buttons in it
  demo      hub, central and a simulated flat on this machine

`vaktpost COMMAND --help` tells more. `vaktpost --version` prints the version."""


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit status; 2 means the words on the command line are off."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in {"-h", "--help", "help"}:
        print(USAGE)
        return 0 if words else 2
    if words[0] in {"-V", "--version"}:
        print(f"vaktpost {version('vaktpost')}")
        return 0
    commands = {point.name: point for point in entry_points(group="vaktpost.commands")}
    if words[0] not in commands:
        near = difflib.get_close_matches(words[0], commands, n=1)
        hint = f" Did you mean `vaktpost {near[0]}`?" if near else " `vaktpost --help` lists the commands."
        print(f"vaktpost: there is no command {words[0]!r}.{hint}", file=sys.stderr)
        return 2
    try:
        run = commands[words[0]].load()
    except ModuleNotFoundError as missing:
        extra = {"hub": "hub", "central": "central"}.get(words[0], "hub,central,demo")
        print(
            f"vaktpost {words[0]}: the Python package {missing.name!r} is not installed. "
            f"Install the extra: pip install 'vaktpost[{extra}]'",
            file=sys.stderr,
        )
        return 3
    try:
        return int(run(words[1:]))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
