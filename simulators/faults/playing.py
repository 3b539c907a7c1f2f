"""Playing one scenario to its end, bounded in time; what it raises becomes part of the verdict."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import structlog

from simulators.faults.registry import Run, Say, Scenario, all_scenarios
from simulators.faults.verdict import Verdict


async def play(
    scenario: Scenario, folder: Path, *, rounds: int, seed: int, is_long: bool = False, say: Say = lambda _: None
) -> tuple[Verdict, float]:
    """The verdict, and how long it took. For a scenario that must fail, one that is turned round."""
    run = Run(folder=folder, rounds=rounds, seed=scenario.seed(seed), is_long=is_long, say=say)
    limit_s = scenario.long_timeout_s if is_long else scenario.timeout_s
    begun = time.monotonic()
    try:
        async with asyncio.timeout(limit_s):
            verdict = await scenario.play(run)
    except TimeoutError:
        verdict = Verdict(complaints=(f"not over after {limit_s:.0f} s, in round {run.done + 1} of {rounds}",))
    except Exception as error:  # noqa: BLE001  # whatever a scenario meets is told with its verdict; the others go on
        words = "".join(traceback.format_exception(error)).strip()
        verdict = Verdict(complaints=(f"{type(error).__name__}: {error}", words))
    if verdict.events_in == 0 and not verdict.complaints:
        verdict = replace(verdict, complaints=("nothing was confirmed: this run tries nothing",))
    return verdict, time.monotonic() - begun


def play_apart(scenario: Scenario, place: Path, *, rounds: int, seed: int, is_long: bool) -> tuple[Verdict, float]:
    """`play` in a process of its own, with a folder below `place`.

    What a scenario leaves behind in its process, or does to it, is nothing to the next one, or to one beside it.
    """
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_play_here, scenario.name, place, rounds, seed, is_long).result()
        except BrokenProcessPool as error:
            return Verdict(complaints=(f"the scenario's own process ended: {error}",)), 0.0


def _play_here(name: str, place: Path, rounds: int, seed: int, is_long: bool) -> tuple[Verdict, float]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def say(what: str) -> None:
        print(f"    {name}: {what}", flush=True)

    scenario = all_scenarios()[name]
    say(scenario.title)
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as folder:
        return asyncio.run(play(scenario, Path(folder).resolve(), rounds=rounds, seed=seed, is_long=is_long, say=say))
