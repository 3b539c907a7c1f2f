"""`make faults`: play every scenario, print a table, write docs/fault-report.md. Not 0 when anything was lost."""

from __future__ import annotations

import argparse
import difflib
import math
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from simulators.faults.kept import Choice, keep, kept
from simulators.faults.playing import play_apart
from simulators.faults.registry import Scenario, all_scenarios
from simulators.faults.report import Line, revision, table, write

REPORT = Path("docs/fault-report.md")
KEPT = Path(".run/faults.json")


def main() -> int:
    """Run from the command line."""
    words = _words(sys.argv[1:])
    known = all_scenarios()
    chosen = _chosen(known, words.only)
    if words.list:
        for one in chosen:
            print(f"{one.name:<24} {one.short:>5} / {one.long:<6} {one.title}")
        return 0
    is_report = not words.only and not words.dry
    lines: dict[str, Line] = {}
    choice = Choice(
        seed=words.seed if words.seed is not None else random.SystemRandom().randrange(1, 1 << 31),
        is_short=words.short,
        share=words.share,
        rounds=words.rounds,
    )
    Path(".run").mkdir(exist_ok=True)
    if words.go_on:
        try:
            choice, lines = kept(KEPT, known)
        except LookupError as error:
            print(f"--go-on: {error}", file=sys.stderr)
            return 2
        print(f"{len(lines)} of {len(chosen)} are known to be good")
    print(f"`make faults` with FAULTS='{choice.words}' repeats it", flush=True)
    for line in _all_played([one for one in chosen if one.name not in lines], choice, words.jobs):
        lines[line.scenario.name] = line
        print(f"[{len(lines)}/{len(chosen)}] {line.scenario.name}: {line.words}, {line.took_s:.0f} s", flush=True)
        for complaint in line.verdict.complaints[:8]:
            print(f"    ! {complaint}", flush=True)
        for name, value in line.verdict.notes.items():
            print(f"    {name}: {value}", flush=True)
        if is_report:  # after each: who has waited for an hour loses nothing by stopping here
            keep(KEPT, choice, lines.values())
            write(REPORT, [lines[name] for name in known if name in lines], of=len(known), words=choice.words)
    found = [lines[one.name] for one in chosen]
    print("\n" + table(found))
    if is_report:
        print(f"\nwritten: {REPORT}")
    return 0 if all(line.is_good for line in found) else 1


def _all_played(chosen: list[Scenario], choice: Choice, jobs: int) -> Iterator[Line]:
    """Each as it ends. Side by side the longest is first, so that it is not left alone at the end."""
    in_turn = sorted(chosen, key=lambda one: -one.long_timeout_s) if jobs > 1 else chosen
    with ThreadPoolExecutor(max_workers=jobs) as threads:
        try:
            for ended in as_completed([threads.submit(_line, one, choice) for one in in_turn]):
                yield ended.result()
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise


def _line(one: Scenario, choice: Choice) -> Line:
    rounds, tried = choice.rounds_of(one), revision()
    verdict, took_s = play_apart(one, Path(".run"), rounds=rounds, seed=choice.seed, is_long=not choice.is_short)
    return Line(scenario=one, rounds=rounds, verdict=verdict, took_s=took_s, revision=tried)


def _words(told: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulators.faults", description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this scenario (may be repeated)")
    parser.add_argument("--seed", type=int, help="repeat a run")
    parser.add_argument("--rounds", type=_rounds, help="instead of each scenario's own number")
    parser.add_argument("--share", type=_share, default=1.0, help="of the long rounds, such as 0.2 on a slow machine")
    parser.add_argument("--short", action="store_true", help="the short rounds of the tests")
    parser.add_argument("--go-on", action="store_true", help="only what the run before did not come to, or found bad")
    parser.add_argument("--jobs", type=_jobs, default=1, help="so many side by side (1)")
    parser.add_argument("--dry", action="store_true", help="do not write the report")
    parser.add_argument("--list", action="store_true", help="name the scenarios and their rounds")
    words = parser.parse_args(told)
    if words.go_on:
        for name in ("only", "seed", "rounds", "share", "short", "dry"):
            if getattr(words, name) != parser.get_default(name):
                parser.error(f"--go-on keeps to what the run before was told: leave --{name} out")
    return words


def _rounds(told: str) -> int:
    if not told.isdecimal() or not int(told):
        raise argparse.ArgumentTypeError(f'"{told}" is not a number of 1 or more')
    return int(told)


def _share(told: str) -> float:
    try:
        share = float(told)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f'"{told}" is not a share above 0 and up to 1')
    return share


def _jobs(told: str) -> int:
    if not told.isdecimal() or not 1 <= int(told) <= 16:
        raise argparse.ArgumentTypeError(f'"{told}" is not a number of 1 to 16')
    return int(told)


def _chosen(known: dict[str, Scenario], names: list[str]) -> list[Scenario]:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(known)}"
            print(f'there is no scenario "{name}"; {hint}', file=sys.stderr)
            raise SystemExit(2)
    return [one for one in known.values() if not names or one.name in names]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped; --go-on plays what is left of a run that writes the report", file=sys.stderr)
        sys.exit(130)
