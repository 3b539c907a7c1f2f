"""What every test relies on."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A slow machine is no fault of the code: no deadline per example. CI explores the same examples each time.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.register_profile("soak", parent=settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A program that ran in the test's own process decides nothing about what the next test's log says."""
    said, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**said)
    root.handlers[:], root.level = handlers, level


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """A test of real processes that fails shows the ends of their logs."""
    report = yield
    if report.failed:
        speakers = {id(value): value for value in getattr(item, "funcargs", {}).values()}
        for value in speakers.values():
            if callable(last_words := getattr(value, "last_words", None)):
                report.sections.append(("logs", last_words()))
    return report
