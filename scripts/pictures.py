"""Takes the pictures in docs/pictures of the running product: `make pictures`.

Central, a hub and a simulated flat are real processes on free ports, as in the demo. A few more homes, reduced to the
frames they send, fill the queue. One thing is set up: when the pictures need a night, closed alarms are moved back
over it in the database of this run, which is thrown away afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import importlib.util
import io
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
from playwright.async_api import Browser, Page, async_playwright

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

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
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
)
ENDS = {
    "smoke": ("emergency_services", "burn"),
    "pendant_pressed": ("cleared_by_phone", "anxiety"),
    "door_opened": ("cleared_by_phone", "door_alarm"),
}
"""What was done and what it was; for others a visit and practical help."""
PATIENCE_MS = 15_000
COLOURS = 256


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
        for _ in range(100):
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
        """Wait until the offer to undo has come and gone."""
        await page.locator("#toasts > *").wait_for(state="attached")
        await page.locator("#toasts > *").wait_for(state="detached")

    async def take(self, page: Page, name: str) -> None:
        """The picture, when nothing moves any more."""
        await page.evaluate("document.fonts.ready")
        await page.mouse.move(0, 0)
        await page.wait_for_timeout(900)
        data = _small(await page.screenshot(type="png"))
        path = self._out / f"{name}.png"
        path.write_bytes(data)
        print(f"{path.name:<24} {len(data) / 1024:6.0f} kB")


def _small(png: bytes) -> bytes:
    """With a palette of 256 colours, where Pillow happens to be installed; it is not needed otherwise."""
    if importlib.util.find_spec("PIL") is None:
        return png
    image_module = importlib.import_module("PIL.Image")
    picture = image_module.open(io.BytesIO(png)).convert("RGB")
    small = io.BytesIO()
    picture.quantize(COLOURS, dither=image_module.Dither.NONE).save(small, "PNG", optimize=True)
    return min(png, small.getvalue(), key=len)


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
        browser = await playwright.chromium.launch(executable_path=program, args=flags)
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


# The pictures


async def demo(studio: Studio) -> None:
    """The demo's page, a pressed pendant just taken."""
    async with studio.screen(None) as page:
        await page.goto(f"http://{HOST}:{studio.stage.ports.page}/")
        await page.click('[data-lang="en"]')
        console = page.frame_locator("#pc")
        await console.locator("#queue").wait_for()
        await page.wait_for_timeout(1500)
        await page.click('[data-do="press"]')
        await console.locator("li[data-waiting]").first.wait_for()
        await page.wait_for_timeout(1200)
        await console.locator('[data-act="claim"]:visible').first.click()
        await page.locator('.jrn li.done[data-step="reassured"]').wait_for()
        await studio.take(page, "demo")


async def queue(studio: Studio, homes: Sequence[Home]) -> None:
    """Several alarms at once: dark with nothing taken, light with one of your own; then that alarm, and on a phone."""
    solbakken, fjellveien, elvebakken = homes
    await fjellveien.tell("bed_absent", "bed-1", ago_s=190, resident="r-19c04e")
    await elvebakken.tell("door_opened", "door-1", ago_s=95, resident="r-55d210")
    await solbakken.tell("nurse_call", "room-12", ago_s=70)
    await solbakken.tell("battery_low", "pendant-4", ago_s=600, value=12)
    await elvebakken.tell("smoke", "smoke-hall", ago_s=24, resident="r-55d210")
    await studio.act(do="pull", device=plans.CORD)
    await studio.alarm("cord_pulled")
    taken = await studio.alarm("nurse_call")
    await studio.quietly("Operator Two", "POST", f"/api/v1/alarms/{taken}/claim", {})
    await studio.quietly("Operator Two", "POST", f"/api/v1/alarms/{taken}/on-the-way", {})
    async with studio.screen("Operator One") as page:
        await page.goto(f"{studio.operator.console}/")
        await studio.on_duty(page)
        await page.locator("#queue li[data-waiting]").nth(3).wait_for()
        await studio.take(page, "queue-dark")
    cord = await studio.alarm("cord_pulled")
    async with studio.screen("Operator One", scheme="light") as page:
        await page.goto(f"{studio.operator.console}/alarms/{cord}")
        await studio.on_duty(page)
        await page.click('.a-acts [data-act="claim"]')
        await page.locator('#alarm-live[data-mine="yes"]').wait_for()
        await page.locator(".homelamp .lamp-taken").wait_for()
        await studio.toast_gone(page)
        await studio.take(page, "queue-light")
    async with studio.screen("Operator One") as page:
        await page.goto(f"{studio.operator.console}/alarms/{cord}")
        await page.click('.a-acts [data-act="on-the-way"]')
        await page.locator('#alarm-live[data-stage="on_the_way"]').wait_for()
        await studio.toast_gone(page)
        await studio.take(page, "alarm")
    async with studio.screen("Operator One", size=PHONE, scale=2) as page:
        await page.goto(f"{studio.operator.console}/alarms/{cord}")
        await page.locator("#alarm-big4").wait_for()
        await studio.take(page, "phone")


async def health(studio: Studio) -> None:
    """A technician asks a hub whose pendant has a battery that runs out and whose mains are gone."""
    hubs = await studio.quietly("Technician One", "GET", "/api/v1/hubs")
    hub = next(one["id"] for one in hubs if one["label"] == "Solbakken 214")
    async with studio.screen("Technician One", scheme="light") as page:
        await page.goto(f"{studio.operator.console}/hubs/{hub}")
        for _ in range(2):  # the second has one to compare with
            await page.click("#run")
            await page.locator("table.checks tr.r-ok").first.wait_for()
            await page.locator(".progress").wait_for(state="hidden")
            await page.wait_for_timeout(800)
            await studio.act(do="battery", device=plans.BLE_PENDANT, percent=8)
            await studio.act(do="mains", on=False)
            await page.wait_for_timeout(7_000)
        await page.click("#run")
        await page.locator("table.checks tr.r-warn, table.checks tr.r-fail").first.wait_for()
        await page.locator(".progress").wait_for(state="hidden")
        await studio.take(page, "health-check")
    await studio.act(do="battery", device=plans.BLE_PENDANT, percent=100)
    await studio.act(do="mains", on=True)


async def response_plan(studio: Studio) -> None:
    """A lead writes a plan and tries it on a Sunday night."""

    def step(channels: Sequence[str], patience_s: int) -> dict[str, Any]:
        return {"receiver": "centres", "channels": channels, "patience_s": patience_s}

    night = {
        "name": "Night",
        "hours": [{"begin": 1320, "to": 420}],
        "steps": [
            step(["console"], 60),
            {"receiver": "contacts", "channels": ["sms"], "patience_s": 90},
            step(["console", "sms"], 120),
        ],
    }
    weekend = {
        "name": "Weekend, day",
        "hours": [{"days": [5, 6], "begin": 420, "to": 1320}],
        "steps": [step(["console"], 45), step(["console", "sms"], 60)],
    }
    rest = {"name": "Otherwise", "steps": [step(["console"], 60)]}
    body = {"service": "TA", "plan": {"name": "Safety alarms", "variants": [night, weekend, rest]}}
    plan = await studio.quietly("Nina Berg", "POST", "/api/v1/plans", body)
    async with studio.screen("Nina Berg", size=(1440, 1240), scheme="light") as page:
        await page.goto(f"{studio.operator.console}/plans/{plan['id']}/edit")
        await page.fill("#try-day", "2026-11-22")
        await page.fill("#try-time", "03:10")
        await page.click("#try button")
        await page.locator(".tries li").nth(2).wait_for()
        await page.evaluate("scrollTo(0, 0)")
        await studio.take(page, "plan")
    await studio.quietly("Nina Berg", "DELETE", f"/api/v1/plans/{plan['id']}?version=1")


async def calm(studio: Studio, homes: Sequence[Home]) -> None:
    """Nothing waits, after a night."""
    for n, home in enumerate((*homes, *homes, *homes)):
        await home.tell(("pendant_pressed", "bed_absent", "door_opened")[n % 3], f"device-{n}", resident="r-19c04e")
        await studio.close_all()
    await studio.close_all()
    await asyncio.to_thread(_spread_over_the_night, studio.stage.folder / "central" / "central.db")
    for home in homes:
        await home.live()
    async with studio.screen("Operator One") as page:
        await page.goto(f"{studio.operator.console}/")
        await studio.on_duty(page)
        await page.wait_for_timeout(5_500)
        await studio.take(page, "calm")


def _spread_over_the_night(database: Path) -> None:
    dice = random.Random(7)  # noqa: S311  # the same night every time
    with contextlib.closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        for (alarm,) in connection.execute("SELECT id FROM alarm WHERE closed_ms IS NOT NULL").fetchall():
            back_ms = int(dice.uniform(0.4, 21) * 3_600_000)
            took_ms = int(dice.uniform(9, 55) * 1000)
            connection.execute(
                "UPDATE alarm SET happened_ms = happened_ms - :back, raised_ms = raised_ms - :back, "
                "first_claimed_ms = happened_ms - :back + :took, claimed_ms = happened_ms - :back + :took, "
                "closed_ms = closed_ms - :back WHERE id = :alarm",
                {"back": back_ms, "took": took_ms, "alarm": alarm},
            )


async def take_all(out: Path) -> None:
    """Bring everything up, take the pictures, leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="flat-") as folder:
        async with studio(Path(folder), out) as here:
            await demo(here)
            await here.close_all()
            labels = ("Bakkehaugen, 2. etasje", "Fjellveien 8", "Elvebakken 3B")
            homes = [await Home.enrol(here.stage, here.http, label) for label in labels]
            await queue(here, homes)
            await here.close_all()
            await health(here)
            await response_plan(here)
            await calm(here, homes)


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description="take the pictures in docs/pictures of the running product")
    parser.add_argument("--out", type=Path, default=PICTURES, help="where they go (default: %(default)s)")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    asyncio.run(take_all(out))


if __name__ == "__main__":
    main()
