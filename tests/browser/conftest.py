"""Real browsers before a real central: Chromium, sockets, signed frames."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from central.clock import SystemClock
from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import Running, running
from central.founding import Plan, found
from central.settings import CentralSettings, load
from central.store import open_store
from central.views import Actor
from cloud_sync.health import Bound, HealthLine, HealthResult, Outcome
from simulators.live_hub import LiveHub

SHOTS = Path(__file__).parent / "shots"
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
OTHER = Actor(id="other", name="Operator Two", role="lead")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a founded central, copied for each test."""
    folder = tmp_path_factory.mktemp("founded") / "central"
    plan = Plan(data_dir=folder, names=["127.0.0.1"], hub_host="127.0.0.1", hub_port=0, console_port=0)
    found(plan, time.time_ns() // 1_000_000)

    async def make_schema() -> None:
        async with open_store(load(folder / "central.toml").database_url, SystemClock()):
            pass

    asyncio.run(make_schema())
    return folder


class Server:
    """A central that can be stopped and started again on the same port."""

    def __init__(self, settings: CentralSettings) -> None:
        self.settings = settings
        self.where: Running | None = None
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Listen."""
        self.where = await self._stack.enter_async_context(running(self.settings))
        port = int(self.where.console_url.rsplit(":", 1)[1])
        console = self.settings.console.model_copy(update={"port": port})
        self.settings = self.settings.model_copy(update={"console": console})

    async def stop(self) -> None:
        """Gone: connections are closed."""
        stack, self._stack, self.where = self._stack, AsyncExitStack(), None
        await stack.aclose()

    @property
    def running(self) -> Running:
        """Where it is, while it runs."""
        assert self.where is not None
        return self.where

    @property
    def services(self) -> Any:
        """Its services."""
        return self.running.central.services

    @property
    def url(self) -> str:
        """Of the console."""
        return f"http://127.0.0.1:{self.settings.console.port}"


@pytest.fixture
async def server(founded: Path, tmp_path: Path) -> AsyncIterator[Server]:
    shutil.copytree(founded, tmp_path / "central")
    settings = load(tmp_path / "central" / "central.toml")
    settings = settings.model_copy(
        update={
            "place": "Responssenteret Innfjord",
            "console": settings.console.model_copy(update={"frame_ancestors": ("http://127.0.0.1:*",)}),
        }
    )
    server = Server(settings)
    await server.start()
    try:
        yield server
    finally:
        if server.where is not None:
            await server.stop()


@pytest.fixture
async def home(server: Server) -> AsyncIterator[LiveHub]:
    """A hub on the line."""
    async with LiveHub(server.running.central, "Solbakken 214") as hub:
        yield hub


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    if not CHROMIUM:
        pytest.fail("Chromium is not installed: apt-get install chromium, or set CHROMIUM to its path")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--autoplay-policy=user-gesture-required"]
        )
        yield browser
        await browser.close()


@dataclass
class Person:
    """Somebody at a browser. `complaints` is what its console said that it should not have."""

    name: str
    page: Page
    context: BrowserContext
    server: Server
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str = "/") -> Self:
        """A page of the console, with the stream running where there is one."""
        await self.page.goto(self.server.url + path)
        if await self.page.locator("#beat").count():
            await self.page.wait_for_selector("#beat:has-text('0 s'), #beat:has-text('1 s')")
        return self

    async def go_on_duty(self) -> Self:
        """On the page that is open: sound tried, and heard."""
        await self.page.click("#duty")
        await self.page.click("#gate-play")
        await self.page.click("#gate-yes")
        await expect(self.page.locator("#duty.on")).to_be_visible()
        return self

    def watch(self, page: Page) -> None:
        """Note errors, and what the policy refused."""
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))

    def _note(self, kind: str, text: str) -> None:
        is_network = re.search(r"Failed to load resource|Failed to fetch|ERR_|status of", text)
        if "Content Security Policy" in text or (kind == "error" and not is_network):
            self.complaints.append(f"{kind}: {text}")


class People:
    """Makes people sit down at browsers."""

    def __init__(self, server: Server, chromium: Chromium) -> None:
        self.server = server
        self.chromium = chromium
        self.all: list[Person] = []

    async def __call__(
        self,
        name: str,
        role: Role = Role.RESPONDER,
        *,
        size: dict[str, int] | None = None,
        theme: str = "dark",
        locale: str = "nb-NO",
    ) -> Person:
        """Signed in by a one-time link."""
        services = self.server.services
        accounts = Accounts(services.store, services.clock)
        account_id = await accounts.id_of(name) or (await accounts.add(name, role)).id
        context = await self.chromium.new_context(
            viewport=size or DESK, color_scheme=theme, locale=locale, reduced_motion="reduce"
        )
        person = Person(name, await context.new_page(), context, self.server)
        person.watch(person.page)
        self.all.append(person)
        await person.page.goto(f"{self.server.url}/link/{await accounts.new_link(account_id, 5)}?next=/me")
        await person.page.click("main button[type=submit]")
        await person.page.wait_for_url("**/me")
        return person


@pytest.fixture
async def people(server: Server, chromium: Chromium) -> AsyncIterator[People]:
    people = People(server, chromium)
    yield people
    complaints = [f"{person.name}: {text}" for person in people.all for text in person.complaints]
    for person in people.all:
        await person.context.close()
    assert not complaints


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where pictures go, for people to look at."""
    SHOTS.mkdir(exist_ok=True)
    return SHOTS


@pytest.fixture
def health() -> HealthResult:
    """What a hub in need of somebody answers."""
    ok, warn, fail, unknown = Outcome.OK, Outcome.WARN, Outcome.FAIL, Outcome.UNKNOWN

    def line(line_id: str, result: Outcome, text: str, value: Any, unit: str, limit: Any, **more: Any) -> HealthLine:
        return HealthLine(id=line_id, result=result, text_key=text, value=value, unit=unit, limit=limit, **more)

    return HealthResult(
        started_ms=time.time_ns() // 1_000_000,
        took_ms=3800,
        lines=(
            line("test", ok, "test", 212.0, "ms", 1000, found_key="test_answered", params={"receipt_ms": 48}),
            line("journal.write", ok, "journal_write", 11.2, "ms", 50, found_key="written", params={"read_ms": 0.4}),
            line(
                "driver.ward", fail, "driver", 360, "s", 30,
                found_key="link_down", next_key="check_espa", params={"driver": "ward", "reason": "no_poll"},
            ),
            line(
                "device.pendant-1.battery", warn, "device_battery", 18, "%", 20,
                bound=Bound.LEAST, next_key="change_battery", params={"device": "pendant-1"},
            ),
            line(
                "uplink.reserve", unknown, "uplink", None, "ms", 2000,
                found_key="no_answer", next_key="check_network", params={"uplink": "reserve"},
            ),
            line("uplink.main", ok, "uplink", 38.0, "ms", 500, found_key="round_trip", params={"uplink": "main"}),
            line("clock", ok, "clock", 0.2, "s", 2, found_key="clock_agrees"),
        ),
    )  # fmt: skip


@pytest.fixture
async def night(server: Any, health: HealthResult) -> AsyncIterator[dict[str, LiveHub]]:
    """A night with something of everything."""
    alarms = server.services.alarms
    async with AsyncExitStack() as stack:
        hubs = {
            name: await stack.enter_async_context(LiveHub(server.running.central, name, health=health))
            for name in ("Solbakken 214", "Strandvegen 8 B", "Skogdal bo- og aktivitetssenter, bad 3", "Kvernvegen 3")
        }
        await hubs["Solbakken 214"].raise_event("door_opened", device="door-1", ago_ms=5 * 3_600_000)
        await alarms.take_next(OTHER)
        await alarms.close((await alarms.queue())[0].id, OTHER, "false_alarm", "door_alarm")
        await hubs["Skogdal bo- og aktivitetssenter, bad 3"].raise_event("cord_pulled", device="bath-1", ago_ms=151_000)
        await alarms.take_next(OTHER)
        await alarms.on_the_way((await alarms.queue())[0].id, OTHER)
        await hubs["Strandvegen 8 B"].raise_event("smoke", device="smoke-1", ago_ms=9_000)
        await hubs["Kvernvegen 3"].raise_event("medication_missed", device="medicine-1", ago_ms=380_000)
        await hubs["Solbakken 214"].raise_event("bed_absent", device="bed-1", value=25, ago_ms=41_000)
        for _ in range(3):
            await hubs["Solbakken 214"].raise_event("pendant_pressed", ago_ms=72_000)
        await hubs["Kvernvegen 3"].raise_event("battery_low", device="pendant-3", value=12)
        yield hubs
