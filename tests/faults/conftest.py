"""Every file here plays the scenarios of one module of `simulators.faults.scenarios`, named by its `FAULTS`.

Files run side by side, so each sort of fault has one of its own. These are the short rounds; the long ones are
`make faults`, which is part of the soak.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.faults import scenarios
from simulators.faults.playing import play
from simulators.faults.registry import Scenario, all_scenarios
from simulators.faults.report import Line

Play = Callable[[Scenario], Awaitable[None]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`short_fault` is each scenario of the module that the test's file names."""
    if "short_fault" not in metafunc.fixturenames:
        return
    module = f"{scenarios.__name__}.{metafunc.module.FAULTS}"
    found: list[Any] = []
    for one in all_scenarios().values():
        if one.play.__module__ != module:
            continue
        marks = [pytest.mark.timeout(one.timeout_s + 10)]
        if one.is_soak_only:
            marks.append(pytest.mark.soak)
        found.append(pytest.param(one, id=one.name, marks=marks))
    metafunc.parametrize("short_fault", found)


@pytest.fixture
def play_short(tmp_path: Path) -> Play:
    async def played(one: Scenario) -> None:
        seed = int(os.environ.get("VAKTPOST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
        verdict, took_s = await play(one, tmp_path, rounds=one.short, seed=seed)
        line = Line(scenario=one, rounds=one.short, verdict=verdict, took_s=took_s, revision="")
        assert line.is_good, f"{line.words}; VAKTPOST_SEED={seed} repeats these rounds\n{verdict.explain()}"

    return played
