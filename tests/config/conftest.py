"""Settings files written on the spot, and what the loader says about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import config
from config import Checked, Problem


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Checked]:
    def write_and_check(*parts: str, name: str = "hub.toml") -> Checked:
        path = tmp_path / name
        path.write_text("\n".join(parts), encoding="utf-8")
        return config.check(path)

    return write_and_check


@pytest.fixture
def problem(check: Callable[..., Checked]) -> Callable[..., Problem]:
    """The only problem of a file that is good otherwise."""

    def find(*parts: str) -> Problem:
        (found,) = check(*parts).problems
        return found

    return find
