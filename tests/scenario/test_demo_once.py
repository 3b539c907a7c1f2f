"""`vaktpost demo --once --json`: the promise of the whole, as anybody who has just cloned it runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from simulators.demo.program import run, vaktpost

STEPS = ["pressed", "durable", "sent", "receipt", "shown", "taken", "reassured"]


@pytest.mark.parametrize("path", ["ble", "gpio"])
async def test_one_press_is_followed_to_the_screen_and_back_with_and_without_a_message_bus(
    path: str, tmp_path: Path
) -> None:
    # Where no program is found there is no dbus-daemon, so the pendant's receiver is wired to the hub instead.
    search = {"PATH": os.environ["PATH"] if path == "ble" else str(tmp_path)}
    told = json.loads(await run("demo", vaktpost("demo", "--once", "--json"), search))
    assert told["ok"], told
    assert (told["path"], told["stopped_at"], told["problem"]) == (path, None, None)
    timeline = told["timeline"]
    assert list(timeline) == STEPS
    assert timeline["pressed"] == 0
    assert 0 < timeline["sent"] < timeline["receipt"]
    assert timeline["durable"] > 0
    assert 0 < timeline["shown"] <= timeline["taken"] <= timeline["reassured"]
