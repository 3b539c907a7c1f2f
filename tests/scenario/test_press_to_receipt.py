"""A cord in a bathroom, a real hub process, a real central process over TLS, and the lamp on the wall."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway import control
from gateway.errors import HubError
from simulators.demo.program import Program, ProgramError, run, vaktpost
from simulators.gpio_pins import ADDRESS_VARIABLE, PinBoard

CORD, RED, YELLOW, GREEN, BUZZER, HEALTHY = 17, 5, 6, 13, 19, 26

HUB = f"""
[hub]
state_dir = "state"
telemetry_commit_s = 0.2

[uplinks.main]
type = "https"
url = "https://127.0.0.1:{{port}}"

[drivers.inputs]
type = "gpio"
pin_factory = "vaktpost-sim"

[[drivers.inputs.inputs]]
alias = "cord-bath"
pin = {CORD}
kind = "cord"

[drivers.inputs.outputs]
red = {RED}
yellow = {YELLOW}
green = {GREEN}
buzzer = {BUZZER}
healthy = {HEALTHY}

[indicators]
driver = "inputs"

[[devices]]
alias = "cord-bath"
profile = "pull-cord"
resident = "r-7f3a90"
"""


class House:
    """Central, a hub and the wires between the hub and a home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.console_port = _free_port(), _free_port()
        self.board = PinBoard(folder / "pins")
        self.central_config = folder / "central" / "central.toml"
        self.hub_config = folder / "hub.toml"
        self.killed: list[Program] = []
        self.central = Program(
            "central", vaktpost("central", "run", "--config", str(self.central_config)), folder / "central.log"
        )
        self.hub = Program(
            "hub",
            vaktpost("hub", "run", "--log-level", "debug", "--config", str(self.hub_config)),
            folder / "hub.log",
            {ADDRESS_VARIABLE: str(folder / "pins")},
        )

    async def found(self) -> None:
        """Found central, enrol the hub with a one-time code, start both."""
        words = ("--hub-port", str(self.port), "--console-port", str(self.console_port))
        await run("central init", vaktpost("central", "init", "--data", str(self.central_config.parent), *words))
        self.hub_config.write_text(HUB.format(port=self.port))
        await self.central.start()
        await self.until(lambda: _listens(self.port))
        code = await self.ask_central("code", "--label", "Solbakken 214")
        await self.hub_command("enrol", "--central", f"https://127.0.0.1:{self.port}", code["code"])
        await self.hub.start()
        await self.until(self.is_connected)

    async def is_connected(self) -> bool:
        status = await self.status()
        return status is not None and status["paths"][0]["state"] == "up"

    async def status(self) -> dict[str, Any] | None:
        try:
            return dict(await asyncio.to_thread(control.ask, self.folder / "state", {"ask": "status"}))
        except HubError:
            return None

    async def ask_central(self, *words: str) -> dict[str, Any]:
        command = vaktpost("central", *words, "--config", str(self.central_config), "--json")
        answer: dict[str, Any] = json.loads(await run(f"central {words[0]}", command))
        return answer

    async def hub_command(self, *words: str) -> str:
        return await run(f"hub {words[0]}", vaktpost("hub", *words, "--config", str(self.hub_config)))

    async def until(self, is_so: Any, timeout_s: float = 30.0) -> None:
        async with asyncio.timeout(timeout_s):
            while True:
                found = is_so()
                if found if isinstance(found, bool) else await found:
                    return
                for program in (self.central, self.hub):
                    if program not in self.killed:
                        program.check()
                await asyncio.sleep(0.05)

    async def lamp(self, colour: int, timeout_s: float = 10.0) -> float:
        """Wait until a colour shines; returns when (boot time)."""
        async with asyncio.timeout(timeout_s), self.board.changes() as changes:
            if self.board.outputs.get(colour):
                return time.clock_gettime(time.CLOCK_BOOTTIME)
            async for change in changes:
                if change.pin == colour and change.is_high:
                    return change.at_boot_s
        raise AssertionError("the board hung up")

    def pull(self) -> float:
        """Pull the cord: its loop opens. Returns when (boot time)."""
        self.board.open_contact(CORD)
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def release(self) -> None:
        self.board.close_contact(CORD)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    house.release()
    try:
        async with house.board:
            await house.found()
            yield house
    except ProgramError as error:
        raise AssertionError(f"{error}\n{house.hub.last_words(40)}\n{house.central.last_words(40)}") from error
    finally:
        await asyncio.gather(house.hub.stop(), house.central.stop())


async def test_a_pulled_cord_reaches_central_and_lamp_and_command_line_say_so(house: House) -> None:
    assert house.board.outputs[HEALTHY]
    pulled_s = house.pull()
    red_s = await house.lamp(RED)
    yellow_s = await house.lamp(YELLOW)
    assert 0.04 < red_s - pulled_s < 0.5  # the loop has to stand open for 50 ms
    assert yellow_s - red_s < 0.5
    status = await house.status()
    assert status is not None
    assert status["home"]["lamp"] == "waiting"
    assert status["lanes"]["alarm"]["taken"] == 1
    assert status["lanes"]["alarm"]["waiting"] == 0
    assert (await house.ask_central("verify-log"))["ok"]

    shown = await house.hub_command("status")
    assert re.search(r"main\s+up\s+answered", shown)
    assert "r-7f3a90" not in shown
    await house.hub.stop()
    assert not house.board.outputs[HEALTHY]
    with pytest.raises(ProgramError, match="status 1"):
        await house.hub_command("status")
    with pytest.raises(ProgramError, match="add --replace"):
        code = await house.ask_central("code", "--label", "again")
        await house.hub_command("enrol", "--central", f"https://127.0.0.1:{house.port}", code["code"])


async def test_a_hub_that_is_killed_with_an_alarm_unsent_sends_it_when_it_is_back(house: House) -> None:
    await house.central.stop()
    house.pull()
    await house.lamp(RED)
    await house.until(
        lambda: "alarm_not_sent" in house.hub.last_words(200) or "uplink_down" in house.hub.last_words(200)
    )
    await asyncio.sleep(0.3)  # the card has it within milliseconds; nothing tells us from outside
    house.killed.append(house.hub)
    await house.hub.kill()
    assert not house.board.outputs[HEALTHY]
    house.release()
    await house.central.start()
    await house.until(lambda: _listens(house.port))
    await house.hub.start()
    await house.lamp(YELLOW)
    status = await house.status()
    assert status is not None
    assert status["lanes"]["alarm"]["taken"] == 0
    assert status["home"]["lamp"] == "waiting"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
