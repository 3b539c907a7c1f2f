"""Playing one scenario to its end, bounded in time; what it raises becomes part of the verdict."""

from __future__ import annotations

import asyncio
import time
import traceback
from dataclasses import replace
from pathlib import Path

from simulators.faults.registry import Run, Say, Scenario
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
