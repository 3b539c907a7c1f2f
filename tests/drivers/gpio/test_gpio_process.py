"""Hub and home as two processes: what the home sees when the hub is killed, and what the hub finds when it is back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from simulators.gpio_pins import PinBoard

HUB = """
import asyncio, json, time, structlog
from pathlib import Path
from drivers.contract import DriverContext, Pattern
from drivers.gpio import PLUGIN

SETTINGS = PLUGIN.settings.model_validate({
    "pin_factory": "vaktpost-sim",
    "inputs": [{"alias": "cord-bath", "pin": 17, "kind": "cord"}],
    "outputs": {"red": 5, "green": 13, "healthy": 26},
})

async def main():
    driver = PLUGIN.build("pins", SETTINGS, Path())
    context = DriverContext(
        boot_s=lambda: time.clock_gettime(time.CLOCK_BOOTTIME), remembered=lambda key: None, log=structlog.get_logger()
    )
    async with driver.indicators() as indicators, driver.open(context) as facts:
        indicators.healthy(True)
        indicators.lamp(Pattern(colour="green", steps=((True, 1.0),)))
        async for found in facts:
            print(json.dumps([found.device, found.fact, found.value, found.may_alarm, dict(found.details)]), flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def hub() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HUB, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def told(process: asyncio.subprocess.Process, fact: str, value: object) -> Any:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            found = json.loads(line)
            if found[1:3] == [fact, value]:
                return found
    raise AssertionError(f"the hub ended without telling {fact} {value}")


async def test_a_killed_hub_drops_lamp_and_relay_and_finds_the_cord_pulled_when_it_is_back(board: PinBoard) -> None:
    board.close_contact(17)
    async with hub() as process:
        await told(process, "cord", False)
        async with asyncio.timeout(10):
            await board.wait_until(lambda board: board.outputs.get(26, False) and board.outputs[13])
        board.open_contact(17)
        board.close_contact(17)  # too short to be a pull
        async with board.changes() as changes:
            process.kill()
            async with asyncio.timeout(10):
                dropped = [await anext(changes) for _ in range(3)]
    assert {change.pin for change in dropped} == {5, 13, 26}
    assert all(change.is_let_go and not change.is_high for change in dropped)
    assert not any(board.outputs.values())

    board.open_contact(17)  # pulled while nobody listens, and it stays pulled
    async with hub() as process:
        device, _fact, _value, may_alarm, details = await told(process, "cord", True)
        assert (device, may_alarm, details["initial"]) == ("cord-bath", True, True)
        async with asyncio.timeout(10):
            await board.wait_until(lambda board: board.outputs[26])
        assert board.hub_count == 1
