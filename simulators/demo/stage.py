"""The stage: central, hub and home brought up in order, and every sabotage the page offers."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.control import ask
from gateway.errors import HubError
from simulators import control, plans
from simulators.demo.program import Program, ProgramError, run, vaktpost
from simulators.home import PANEL_LINK, SOCKET, has_dbus
from simulators.network import Cable

READY_TIMEOUT_S = 30.0
HOST = "127.0.0.1"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where things listen."""

    page: int
    console: int
    hubs: int


def free_port(wanted: int = 0) -> int:
    """This port if nobody has it, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind((HOST, port))
                return int(probe.getsockname()[1])
    raise ProgramError("no free port on this machine")


class Stage:
    """What runs. Enter with `Stage.open`."""

    def __init__(
        self,
        folder: Path,
        plan: plans.Plan,
        ports: Ports,
        language: str,
        say: Say,
        more_settings: str = "",
        logs: Path | None = None,
        more_of_central: str = "",
    ) -> None:
        self.folder = folder
        self.plan = plan
        self.ports = ports
        self.language = language
        self.has_bluetooth = has_dbus()
        self.central_config = folder / "central" / "central.toml"
        self.hub_config = folder / "home" / "hub.toml"
        self._say = say
        self._more_settings = more_settings
        self._more_of_central = more_of_central
        self.logs = logs = logs or folder / "logs"
        self.central = Program(
            "central", vaktpost("central", "run", "--config", str(self.central_config)), logs / "central.log"
        )
        self.home = Program(
            "home", vaktpost("sim", "--folder", str(folder / "home"), "home", plan.name), logs / "home.log"
        )
        self.hub = Program("hub", vaktpost("hub", "run", "--config", str(self.hub_config)), logs / "hub.log")
        self.cable = Cable((HOST, ports.hubs))

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        plan: plans.Plan,
        ports: Ports,
        *,
        language: str = "nb",
        say: Say = lambda _: None,
        more_settings: str = "",
        logs: Path | None = None,
        hub_python: Sequence[str] = (),
        more_of_central: str = "",
        hub_environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Stage]:
        """Everything up and the hub enrolled. A folder from an earlier run is used again.

        `more_settings` is added to hub.toml, `more_of_central` to central.toml. `logs` is where programs write, if not
        in the folder. `hub_python` starts the hub in the place of `python -m vaktpost`, with `hub_environment` added.
        """
        stage = cls(folder, plan, ports, language, say, more_settings, logs, more_of_central)
        if hub_python:
            stage.hub.command[:3] = hub_python
        stage.hub.environment.update(hub_environment or {})
        for part in (folder / "central", folder / "home", stage.logs):
            part.mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            try:
                await stage._raise_central()
                await stack.enter_async_context(stage.cable)
                await stage._raise_home()
                await stage._raise_hub()
                yield stage
            finally:
                stage.cable.mend()
                await asyncio.gather(stage.hub.stop(), stage.home.stop())
                await stage.central.stop()

    # Bringing up

    async def _raise_central(self) -> None:
        if not self.central_config.exists():
            self._say("central: making keys, certificates and a database ...")
            await run("central init", vaktpost("central", "init", "--data", str(self.central_config.parent)))
        self.central_config.write_text(self._central_settings(self.central_config.read_text()))
        self._say("central: starting ...")
        await self.central.start()
        await self.central_is_up()

    def _central_settings(self, text: str) -> str:
        """The demo's own ports and who may frame the console, in the file that `init` wrote."""
        page = f"http://{HOST}:{self.ports.page}"
        kept = re.split(r"^(?:\[(?:hubs|console|mqtt)\]|\[\[mqtt\]\])", text, flags=re.MULTILINE)[0].rstrip()
        kept = re.sub(r"^language = .*$", f'language = "{self.language}"', kept, flags=re.MULTILINE)
        return (
            f'{kept}\n\n[hubs]\nhost = "{HOST}"\nport = {self.ports.hubs}\n\n'
            f'[console]\nhost = "{HOST}"\nport = {self.ports.console}\nframe_ancestors = ["{page}"]\n'
            f"{self._more_of_central}\n"
        )

    async def central_is_up(self) -> None:
        """Return when both of central's doors are open."""
        for port in (self.ports.hubs, self.ports.console):
            await self._until(lambda port=port: _answers(port), self.central, f"central does not listen on port {port}")  # type: ignore[misc]

    async def _raise_home(self) -> None:
        if not self.has_bluetooth:
            self._say(
                "Bluetooth is switched off: dbus-daemon is not installed. The pendant's receiver is wired instead."
            )
        self.home.command += ["--uplink", f"https://{HOST}:{self.cable.port}"]
        self.home.environment["VAKTPOST_LANGUAGE"] = self.language
        (self.folder / "home" / "home.env").unlink(missing_ok=True)
        await self.home.start()
        await self._until(lambda: _exists(self.folder / "home" / "home.env"), self.home, "the home did not start")
        if self._more_settings:
            self.hub_config.write_text(f"{self.hub_config.read_text()}\n{self._more_settings}\n")
        lines = (self.folder / "home" / "home.env").read_text().splitlines()
        for line in lines:
            key, _, value = line.partition("=")
            self.hub.environment[key] = value

    async def _raise_hub(self) -> None:
        if not (self.folder / "home" / "state" / "identity").exists():
            self._say("hub: enrolling with a one-time code ...")
            label = "Solbakken 214" if self.plan.ble else "Solbakken, 2. etasje"
            code = await self.central_command("code", "--label", label)
            words = ("hub", "enrol", "--config", str(self.hub_config), "--central", f"https://{HOST}:{self.cable.port}")
            await run("hub enrol", vaktpost(*words, str(code["code"])))
        self._say("hub: starting ...")
        await self.hub.start()
        await self.hub_is_up()

    async def hub_is_up(self) -> None:
        """Return when the hub is connected to central."""
        await self._until(self._hub_is_connected, self.hub, "the hub did not connect to central")

    async def _hub_is_connected(self) -> bool:
        state = await self.home_state()
        if not state.get("healthy"):
            return False
        try:
            status = await self.hub_status()
        except HubError:
            return False
        return any(path["state"] == "up" for path in status["paths"])

    async def _until(self, is_so: Callable[[], Any], program: Program, complaint: str) -> None:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await is_so():
                    program.check()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise ProgramError(f"{complaint} within {READY_TIMEOUT_S:.0f} s:\n{program.last_words()}") from None

    # Talking to what runs

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of central's database, read beside it."""
        database = self.folder / "central" / "central.db"
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    async def central_command(self, *words: str) -> dict[str, Any]:
        """One of central's commands, answered in JSON."""
        text = await run(
            f"central {words[0]}", vaktpost("central", *words, "--config", str(self.central_config), "--json")
        )
        answer: dict[str, Any] = json.loads(text)
        return answer

    async def hub_status(self) -> dict[str, Any]:
        """What the hub says of itself. Raises HubError when it does not run."""
        return dict(await asyncio.to_thread(ask, self.folder / "home" / "state", {"ask": "status"}))

    async def home_act(self, **request: Any) -> dict[str, Any]:
        """Do something in the home."""
        return await control.ask(self.folder / "home" / SOCKET, request)

    async def home_state(self) -> dict[str, Any]:
        """What somebody in the room could tell."""
        return await self.home_act(do="state")

    @property
    def panel_port(self) -> Path:
        """The ward's panel, as the hub reaches it."""
        return self.folder / "home" / PANEL_LINK


async def _exists(path: Path) -> bool:
    return path.exists()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
