"""Where pictures are taken: central, a hub and a simulated flat as real processes, homes far away, and the camera."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from playwright.async_api import Browser, Page, TimeoutError, async_playwright  # noqa: A004  # it is this one that is meant

from cloud_sync.enrolment import CLAIM_PATH
from cloud_sync.trust import TrustBundle
from cloud_sync.uplink import FRAMES_PATH, MEDIA_TYPE
from cloud_sync.uplinks.tls import client_context
from cloud_sync.vocabulary import Scalar
from simulators import plans
from simulators.demo.operator import Operator
from simulators.demo.page import serve
from simulators.demo.stage import HOST, Ports, Stage, free_port
from simulators.demo.story import Story
from simulators.frame_hub import FrameHub
from simulators.palette_png import with_palette

FACE = "Inter"
"""The interface asks for the system's own face. This one stands in for it where pictures are taken, if it is there."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DESK = (1440, 900)
PHONE = (390, 844)
STAFF = (
    ("Operator One", "responder"),
    ("Operator Two", "responder"),
    ("Nina Berg", "lead"),
    ("Technician One", "technician"),
    ("Ada Nes", "administrator"),
)
ENDS = {
    "smoke": ("emergency_services", "burn"),
    "pendant_pressed": ("cleared_by_phone", "anxiety"),
    "door_opened": ("cleared_by_phone", "door_alarm"),
}
"""What was done and what it was; for others a visit and practical help."""
PATIENCE_MS = 180_000
TOAST_MS = 3_000


class Home:
    """A home far away: all that central knows of it is its frames."""

    def __init__(self, http: aiohttp.ClientSession, address: str, hub: FrameHub, context: Any) -> None:
        self._http = http
        self._address = address
        self._hub = hub
        self._context = context

    @classmethod
    async def enrol(cls, stage: Stage, http: aiohttp.ClientSession, label: str) -> Home:
        """A new hub of this name."""
        trust = TrustBundle.read((stage.folder / "central" / "trust.bundle").read_bytes())
        home = cls(http, f"https://{HOST}:{stage.ports.hubs}", FrameHub(trust), client_context(trust.tls_authorities()))
        code = await stage.central_command("code", "--label", label)
        home._hub.take_grant(await home._post(CLAIM_PATH, home._hub.claim(str(code["code"]))))
        await home.live()
        return home

    async def live(self) -> None:
        """A sign of life."""
        await self._post(FRAMES_PATH, self._hub.heartbeat(is_hello=True, has_header=True, software="vaktpost 0.1.0"))

    async def tell(
        self, word: str, device: str, *, ago_s: float = 0, resident: str | None = None, value: Scalar = None
    ) -> None:
        """Something happened there, so long ago."""
        stamp = self._hub.stamp()
        back_ms = int(ago_s * 1000)
        stamp = dataclasses.replace(stamp, boot_ms=stamp.boot_ms - back_ms, wall_ms=(stamp.wall_ms or 0) - back_ms)
        sealed = self._hub.seal(word, device=device, resident=resident, value=value, stamp=stamp)
        await self._post(FRAMES_PATH, self._hub.envelope(sealed))

    async def _post(self, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": MEDIA_TYPE}
        async with self._http.post(self._address + path, data=body, headers=headers, ssl=self._context) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise SystemExit(f"central answered {answer.status}: {content[:300]!r}")
            return content


class Studio:
    """Everything that is in a picture, and the camera."""

    def __init__(
        self, stage: Stage, operator: Operator, story: Story, browser: Browser, http: aiohttp.ClientSession, out: Path
    ) -> None:
        self.stage = stage
        self.operator = operator
        self.story = story
        self.http = http
        self._browser = browser
        self._out = out
        self._sessions: dict[str, Operator] = {}
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def act(self, **request: Any) -> None:
        """Do something in the flat."""
        await self.stage.home_act(**request)

    async def quietly(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One call of the JSON API by somebody whose screen is not in the picture."""
        if name not in self._sessions:
            jar = aiohttp.CookieJar(unsafe=True)
            http = await self._exit.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
            self._sessions[name] = Operator(self.stage, http)
            await self._sessions[name].sign_in(name)
        return await self._sessions[name].call(method, path, body)

    async def alarms(self) -> list[dict[str, Any]]:
        """The queue."""
        found: list[dict[str, Any]] = (await self.quietly("Nina Berg", "GET", "/api/v1/alarms"))["alarms"]
        return found

    async def alarm(self, kind: str, hub: str = "") -> str:
        """The id of a waiting alarm, once it is there."""
        for _ in range(600):
            for alarm in await self.alarms():
                if alarm["kind"] == kind and alarm["stage"] == "waiting" and hub in str(alarm):
                    return str(alarm["id"])
            await asyncio.sleep(0.1)
        raise SystemExit(f"no {kind} came to the queue")

    async def close_all(self) -> None:
        """An outcome for everything that is open."""
        for alarm in await self.alarms():
            disposition, outcome = ENDS.get(alarm["kind"], ("visit_now", "practical_help"))
            closing = {"disposition": disposition, "outcome": outcome, "override": "for the picture"}
            if alarm["stage"] == "waiting":
                await self.quietly("Nina Berg", "POST", f"/api/v1/alarms/{alarm['id']}/claim", {})
            await self.quietly("Nina Berg", "POST", f"/api/v1/alarms/{alarm['id']}/close", closing)

    @asynccontextmanager
    async def screen(
        self, name: str | None, *, size: tuple[int, int] = DESK, scheme: str = "dark", scale: float = 1
    ) -> AsyncIterator[Page]:
        """A browser of its own, signed in as somebody (None: nobody)."""
        context = await self._browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if scheme == "dark" else "light",
            device_scale_factor=scale,
            is_mobile=size is PHONE,
            has_touch=size is PHONE,
            reduced_motion="reduce",
            locale="en-GB",
            timezone_id="Europe/Oslo",
        )
        context.set_default_timeout(PATIENCE_MS)
        if name is not None:
            key, token = await self.operator.session_cookie(name)
            await context.add_cookies([{"name": key, "value": token, "url": self.operator.console}])
        try:
            yield await context.new_page()
        finally:
            await context.close()

    async def on_duty(self, page: Page) -> None:
        """Go on duty, as a person does."""
        await page.click("#duty")
        await page.click("#gate-play")
        await page.click("#gate-yes")

    async def toast_gone(self, page: Page) -> None:
        """Wait until what was said at the lower right is gone, if it has not gone already."""
        with contextlib.suppress(TimeoutError):
            await page.locator("#toasts > *").first.wait_for(state="attached", timeout=TOAST_MS)
        await page.locator("#toasts:not(:has(*))").wait_for(state="attached")

    async def take(self, page: Page, name: str) -> None:
        """The picture, when nothing moves any more."""
        await page.evaluate("document.fonts.ready")
        await page.mouse.move(0, 0)
        await page.wait_for_timeout(900)
        data = await asyncio.to_thread(with_palette, await page.screenshot(type="png"))
        path = self._out / f"{name}.png"
        path.write_bytes(data)
        print(f"{path.name:<24} {len(data) / 1024:6.0f} kB")


async def _has_face() -> bool:
    program = shutil.which("fc-match")
    if program is None:
        return False
    asked = await asyncio.create_subprocess_exec(program, "--format=%{family}", FACE, stdout=asyncio.subprocess.PIPE)
    found, _ = await asked.communicate()
    return found.decode().partition(",")[0] == FACE


@asynccontextmanager
async def studio(folder: Path, out: Path) -> AsyncIterator[Studio]:
    """Bring everything up."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise SystemExit("Chromium is not installed; on Debian: apt-get install chromium")
    ports = Ports(page=free_port(), console=free_port(), hubs=free_port())
    done = asyncio.Event()
    async with (
        Stage.open(folder, plans.FLAT, ports, language="en", say=lambda text: print(text, file=sys.stderr)) as stage,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http,
        async_playwright() as playwright,
    ):
        operator = Operator(stage, http)
        await operator.add_accounts()
        for name, role in STAFF:
            await stage.central_command("user", "add", name, "--role", role, "--language", "en")
        story = Story(stage, operator)
        flags = ["--no-sandbox", *([f"--system-font-family={FACE}"] if await _has_face() else [])]
        browser = await playwright.chromium.launch(
            executable_path=program, args=[*flags, "--lang=en-GB"], env={**os.environ, "LANGUAGE": "en_GB"}
        )
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(story.run())
            group.create_task(serve(story, ports.page, operator.console, done))
            try:
                async with Studio(stage, operator, story, browser, http, out) as here:
                    yield here
            finally:
                await browser.close()
                watching.cancel()
                done.set()
