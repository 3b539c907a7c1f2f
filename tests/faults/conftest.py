"""Every file here plays the scenarios of one module of `simulators.faults.scenarios`, named by its `FAULTS`.

Files run side by side, so each sort of fault has one of its own. Short rounds always, long ones with the soak.
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
    """`short_fault` and `long_fault` are the scenarios of the module that the test's file names."""
    for name in {"short_fault", "long_fault"} & set(metafunc.fixturenames):
        is_long = name == "long_fault"
        module = f"{scenarios.__name__}.{metafunc.module.FAULTS}"
        found: list[Any] = []
        for one in all_scenarios().values():
            if one.play.__module__ != module:
                continue
            marks = [pytest.mark.timeout((one.long_timeout_s if is_long else one.timeout_s) + 10)]
            if is_long or one.is_soak_only:
                marks.append(pytest.mark.soak)
            found.append(pytest.param(one, id=one.name, marks=marks))
        metafunc.parametrize(name, found)


async def _played(one: Scenario, folder: Path, *, rounds: int, is_long: bool) -> None:
    seed = int(os.environ.get("VAKTPOST_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
    verdict, took_s = await play(one, folder, rounds=rounds, seed=seed, is_long=is_long)
    line = Line(scenario=one, rounds=rounds, verdict=verdict, took_s=took_s)
    assert line.is_good, f"{line.words}; VAKTPOST_SEED={seed} repeats these rounds\n{verdict.explain()}"


@pytest.fixture
def play_short(tmp_path: Path) -> Play:
    return lambda one: _played(one, tmp_path, rounds=one.short, is_long=False)


@pytest.fixture
def play_long(tmp_path: Path) -> Play:
    return lambda one: _played(one, tmp_path, rounds=one.long, is_long=True)
