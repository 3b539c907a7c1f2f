"""Every registered fault, in its short rounds: nothing that was confirmed is lost, nothing happens twice."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from simulators.faults.playing import play
from simulators.faults.registry import Scenario, all_scenarios
from simulators.faults.report import Line

SCENARIOS = all_scenarios()


def parameters(*, is_soak: bool) -> list[object]:
    found = []
    for one in SCENARIOS.values():
        limit_s = (one.long_timeout_s if is_soak else one.timeout_s) + 10
        marks = [pytest.mark.timeout(limit_s)]
        if one.is_soak_only:
            marks.append(pytest.mark.soak)
        found.append(pytest.param(one, id=one.name, marks=marks))
    return found


async def played(one: Scenario, folder: Path, *, rounds: int, is_long: bool) -> None:
    seed = int(os.environ.get("VAKTPOST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    print(f"VAKTPOST_SEED={seed} repeats these rounds")  # noqa: T201  # shown when the test fails
    verdict, took_s = await play(one, folder, rounds=rounds, seed=seed, is_long=is_long)
    line = Line(scenario=one, rounds=rounds, verdict=verdict, took_s=took_s)
    assert line.is_good, f"{line.words} with VAKTPOST_SEED={seed}\n{verdict.explain()}"


@pytest.mark.parametrize("one", parameters(is_soak=False))
async def test_nothing_confirmed_is_lost_or_doubled_by(one: Scenario, tmp_path: Path) -> None:
    await played(one, tmp_path, rounds=one.short, is_long=False)


@pytest.mark.soak
@pytest.mark.parametrize("one", parameters(is_soak=True))
async def test_nothing_confirmed_is_lost_or_doubled_for_long_by(one: Scenario, tmp_path: Path) -> None:
    await played(one, tmp_path, rounds=one.long, is_long=True)
