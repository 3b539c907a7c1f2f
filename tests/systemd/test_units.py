"""The service units: systemd understands them, and they stay locked down."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))
WORST = 2.0


def analyze(*words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def test_both_programs_have_one():
    assert [unit.name for unit in UNITS] == ["vaktpost-central.service", "vaktpost-hub.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_wrong_but_that_it_is_not_installed_here(unit):
    said = analyze("verify", "--man=no", str(unit)).stderr.splitlines()
    assert [line for line in said if unit.name in line and "is not executable" not in line] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_the_exposure_stays_below_two(unit):
    said = analyze("security", "--offline=yes", "--no-pager", str(unit)).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said[-500:]
    assert float(found[1]) < WORST
