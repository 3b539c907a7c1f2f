"""A stage with eyes: the lamp, central's rows, the hub's card and somebody at the console, in one place for tests.

async with Scene.open(folder, plans.FLAT) as scene:
    await scene.act(do="press")
    alarm = await scene.new_alarm()
    await scene.lamp("waiting")
    await scene.claim(alarm["id"])
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from central.admin import ask
from cloud_sync.identity import Lane
from gateway.errors import HubError
from gateway.journal.inspection import RawRow, dump, inspect
from simulators import control, plans
from simulators.demo.operator import Operator, OperatorError
from simulators.demo.program import ProgramError
from simulators.demo.stage import Ports, Stage, free_port
from simulators.home import SOCKET
from simulators.load_driver import LOAD_SETTINGS, LOAD_SOCKET

LEAD = "Nina Berg"
PATIENCE_S = 20.0
LOOK_S = 0.03

T = TypeVar("T")
Place = tuple[str, int, int]
"""An event by epoch, lane and number."""


class Scene:
    """Hub, central and home as real processes, and somebody signed in at the console. Enter with `Scene.open`."""

    def __init__(self, stage: Stage, operator: Operator) -> None:
        self.stage = stage
        self.operator = operator

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, plan: plans.Plan, *, more_settings: str = LOAD_SETTINGS, more_of_central: str = ""
    ) -> AsyncIterator[Scene]:
        """Everything up, the hub enrolled and connected, a lead signed in."""
        ports = Ports(page=free_port(), console=free_port(), hubs=free_port())
        async with (
            Stage.open(
                folder, plan, ports, language="en", more_settings=more_settings, more_of_central=more_of_central
            ) as stage,
            aiohttp.ClientSession(
                cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=30)
            ) as http,
        ):
            scene = cls(stage, Operator(stage, http))
            try:
                await stage.central_command("user", "add", LEAD, "--role", "lead")
                await scene.operator.sign_in(LEAD)
            except (OperatorError, ProgramError) as error:
                error.add_note(scene.last_words())
                raise
            yield scene

    def last_words(self) -> str:
        """The ends of all logs, for whoever looks into a failure."""
        programs = (self.stage.hub, self.stage.central, self.stage.home)
        return "\n".join(f"--- {program.name}\n{program.last_words(40)}" for program in programs)

    # waiting

    async def until(
        self, look: Callable[[], Awaitable[T | None]], complaint: str, *, within_s: float = PATIENCE_S
    ) -> T:
        """What `look` finds once it finds something that is neither None nor False. Raises AssertionError."""
        found: T | None = None
        try:
            async with asyncio.timeout(within_s):
                while (found := await look()) is None or found is False:
                    await asyncio.sleep(LOOK_S)
                return found
        except TimeoutError:
            raise AssertionError(f"{complaint} within {within_s:g} s\n{self.last_words()}") from None

    # the home

    async def act(self, **request: Any) -> dict[str, Any]:
        """Do something in the home."""
        return await self.stage.home_act(**request)

    async def load(self, **request: Any) -> dict[str, Any]:
        """Order from the load driver in the hub. Raises RefusedError when the hub is not there."""
        return await control.ask(self.stage.folder / "home" / LOAD_SOCKET, request)

    async def lamp(self, *words: str, within_s: float = PATIENCE_S) -> float:
        """Wait until the lamp shows one of these words; returns when that was seen, on the boot clock."""
        shown = "nothing"
        try:
            async with asyncio.timeout(within_s):
                async for state in control.follow(self.stage.folder / "home" / SOCKET):
                    shown = state["lamp"]["word"]
                    if shown in words:
                        return float(state["at_boot_s"])
        except TimeoutError:
            pass
        raise AssertionError(f"the lamp shows {shown}, not {' or '.join(words)}\n{self.last_words()}")

    @asynccontextmanager
    async def lamp_diary(self) -> AsyncIterator[list[str]]:
        """The words that the lamp spells from here on, each as it changes, the present one first."""
        diary: list[str] = []
        begun = asyncio.Event()

        async def write() -> None:
            async for state in control.follow(self.stage.folder / "home" / SOCKET):
                word = state["lamp"]["word"]
                if not diary or diary[-1] != word:
                    diary.append(word)
                begun.set()

        writing = asyncio.create_task(write())
        try:
            async with asyncio.timeout(PATIENCE_S):
                await begun.wait()
            yield diary
        finally:
            writing.cancel()
            await asyncio.wait({writing})

    # the hub

    async def lanes(self) -> dict[str, dict[str, Any]] | None:
        """What the hub says of its lanes; None when it does not run."""
        try:
            status = await self.stage.hub_status()
        except HubError:
            return None
        lanes: dict[str, dict[str, Any]] = status["lanes"]
        return lanes

    async def settled(self, *names: str, within_s: float = 60.0) -> None:
        """Wait until the hub waits for no receipt (of these lanes, or of any)."""

        async def is_so() -> bool:
            lanes = await self.lanes()
            if lanes is None:
                return False
            return not any(
                lane["waiting"] or lane["in_memory"] for name, lane in lanes.items() if not names or name in names
            )

        await self.until(is_so, "the hub still waits for receipts", within_s=within_s)

    @property
    def journal(self) -> Path:
        """The folder of the card's files."""
        return self.stage.folder / "home" / "state" / "journal"

    def card(self) -> list[RawRow]:
        """Every record as it lies on the card."""
        return list(dump(self.journal))

    def epochs(self) -> list[dict[str, Any]]:
        """Runs of the hub as the card knows them, oldest first."""
        found: list[dict[str, Any]] = inspect(self.journal)["epochs"]
        return found

    # central

    async def found(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Wait until central's database has such rows."""

        async def look() -> list[tuple[Any, ...]] | None:
            return self.stage.rows(sql, *values) or None

        return await self.until(look, f"central has no {values} by {sql}")

    def stored(self) -> set[Place]:
        """Every event that central has."""
        return {(epoch, lane, seq) for epoch, lane, seq in self.stage.rows("SELECT epoch, lane, seq FROM event")}

    async def open_alarms(self) -> list[dict[str, Any]]:
        """The queue as consoles see it."""
        found: list[dict[str, Any]] = (await self.operator.call("GET", "/api/v1/alarms"))["alarms"]
        return found

    async def new_alarm(
        self, kind: str | None = None, device: str | None = None, *, within_s: float = PATIENCE_S
    ) -> dict[str, Any]:
        """Wait for an open alarm (of a kind, from a device) that nobody has taken."""

        async def look() -> dict[str, Any] | None:
            for alarm in await self.open_alarms():
                is_meant = kind in {None, alarm["kind"]} and device in {None, alarm["device"]}
                if is_meant and alarm["stage"] == "waiting":
                    return alarm
            return None

        return await self.until(look, f"no alarm {kind or ''} {device or ''} reached the screen", within_s=within_s)

    async def detail(self, alarm_id: str) -> dict[str, Any]:
        """One alarm with its timeline and journey."""
        return await self.operator.call("GET", f"/api/v1/alarms/{alarm_id}")

    async def steps(self, alarm_id: str, *names: str) -> dict[str, float]:
        """The alarm's journey, once each of these steps is known to central."""
        found: dict[str, Any] = {}

        async def look() -> bool:
            found.update((await self.detail(alarm_id))["journey"]["steps"])
            return all(found.get(name) is not None for name in names)

        try:
            await self.until(look, "not every step is known to central", within_s=10)
        except AssertionError as error:
            raise AssertionError(f"{found}\n{error}") from None
        return found

    async def show(self, alarm_id: str) -> None:
        """The alarm is on a screen that somebody looks at."""
        await self.operator.call("POST", f"/api/v1/alarms/{alarm_id}/shown", {"console": "0123456789abcdef"})

    async def claim(self, alarm_id: str) -> dict[str, Any]:
        """Take it."""
        return await self.operator.call("POST", f"/api/v1/alarms/{alarm_id}/claim", {})

    async def go(self, alarm_id: str) -> dict[str, Any]:
        """Be on the way."""
        return await self.operator.call("POST", f"/api/v1/alarms/{alarm_id}/on-the-way", {})

    async def close(self, alarm_id: str) -> dict[str, Any]:
        """Record an outcome; as a lead, also of what somebody else has."""
        body = {"disposition": "cleared_by_phone", "outcome": "other", "override": "the test is over"}
        return await self.operator.call("POST", f"/api/v1/alarms/{alarm_id}/close", body)

    async def check(self) -> dict[str, Any]:
        """A health check of the hub, asked for where the command line asks."""
        request = {"do": "check", "hub": (await self.stage.hub_status())["hub"], "timeout_s": 12}
        told: dict[str, Any] = await asyncio.to_thread(ask, self.stage.central_config.parent / "admin.sock", request)
        return told

    async def verify_log(self) -> dict[str, Any]:
        """The verdict on the event log."""
        return await self.stage.central_command("verify-log")

    # between two tests

    async def calm(self) -> None:
        """Everything whole and running, nothing under way, no alarm open, the lamp dark."""
        stage = self.stage
        stage.cable.mend()
        if not stage.central.is_running:
            await stage.central.start()
            await stage.central_is_up()
        if not stage.hub.is_running:
            await stage.hub.start()
        await stage.hub_is_up()
        await self.settled("alarm", "care")
        await self.until(self._nothing_is_open, "an alarm stays open, or the lamp lit", within_s=30)

    async def _nothing_is_open(self) -> bool:
        """Take and close what is open; true when nothing is and the lamp is dark.

        A panel goes on with a call that a test has stopped waiting for, so a new alarm may turn up at any moment.
        """
        alarms = await self.open_alarms()
        for alarm in alarms:
            if alarm["stage"] == "waiting":
                await self.claim(alarm["id"])
        if not alarms:
            return await self._lamp_word() == "off"
        if await self._lamp_word() in {"taken", "on_the_way"}:  # green going out is read as dark sooner than yellow
            for alarm in alarms:
                await self.close(alarm["id"])
        return False

    async def _lamp_word(self) -> str:
        async for state in control.follow(self.stage.folder / "home" / SOCKET):
            return str(state["lamp"]["word"])
        raise AssertionError(f"the home has gone\n{self.last_words()}")


def places(rows: list[RawRow], *lanes: Lane) -> set[Place]:
    """Which events these records are."""
    return {(row.epoch, int(row.lane), row.seq) for row in rows if not lanes or row.lane in lanes}
