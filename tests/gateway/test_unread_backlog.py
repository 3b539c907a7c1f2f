"""A card that does not give back what it took: new alarms leave, it is told, and the backlog leaves when it can."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from simulators.faults.shim import StorageFaults, build_shim

LIMIT_S = 80


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_shim(tmp_path_factory.mktemp("shim"))


async def tried(name: str, folder: Path, shim: Path) -> list[dict[str, Any]]:
    environment = os.environ | StorageFaults(folder / "rules").environment(shim)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.gateway.unread_backlog",
        name,
        str(folder),
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            said, logged = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, logged.decode()
    assert "Traceback" not in logged.decode()
    return [json.loads(line) for line in said.decode().splitlines()]


async def test_at_a_start_on_a_card_that_cannot_be_read_alarms_leave_and_the_backlog_does_when_it_can(
    tmp_path: Path, shim: Path
) -> None:
    failing, well = await tried("at a start", tmp_path, shim)
    assert failing["missing"] == 60  # the backlog; the new one is there
    assert failing["troubles"] == ["alarm.db unwritable", "bulk.db unwritable"]
    assert failing["recovered"] == []
    assert well["missing"] == 0
    assert "alarm.db" in well["recovered"]
    assert well["set aside"] == []


async def test_a_card_that_cannot_be_read_while_the_hub_runs_is_told_and_keeps_only_what_lies_on_it(
    tmp_path: Path, shim: Path
) -> None:
    failing, well = await tried("while it runs", tmp_path, shim)
    assert 50 <= failing["missing"] <= 60
    assert "alarm.db unreadable" in failing["troubles"]
    assert failing["recovered"] == []
    assert well["missing"] == 0
    assert "alarm.db" in well["recovered"]
    assert well["set aside"] == []


async def test_one_page_that_the_card_does_not_give_holds_back_only_what_lies_on_it(tmp_path: Path, shim: Path) -> None:
    salvaged, well = await tried("one page", tmp_path, shim)
    assert 0 < salvaged["missing"] <= 4
    assert salvaged["troubles"] == ["alarm.db damaged"]
    assert salvaged["set aside"] == ["alarm.db.damaged-1"]
    assert well["missing"] == 0
