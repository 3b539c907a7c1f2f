"""Pictures of every page, for people to look at: none, one and ten thousand rows, dark and light, three screens.

`python -m scripts.look --out DIR [--rows none one many] [--only PART-OF-A-NAME] [--whole]`. With one row, the resident,
the alarm and the patrol are there with all that may be known of them. Central runs in this process with a
database of its own in a temporary folder; the browser is a real one. Prints what took long and what sticks out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import Running, running
from central.founding import Plan, found
from central.settings import load
from central.sql import Sql
from central.views import Actor
from simulators.busy_night import area_without_power, plan_in_force
from simulators.console_pages import NoExampleError, address, page_routes
from simulators.furnished import alarms_at_work, furnish
from simulators.heard_days import heard_for_days
from simulators.live_hub import LiveHub
from simulators.many_rows import fill

SIZES = {"desk": (1440, 900), "narrow": (1024, 768), "phone": (390, 844)}
SCHEMES = ("dark", "light")
ROWS = ("none", "one", "many")
MANY = 10_000
SLOW_MS = 200
_MEMBER = Sql("INSERT INTO team_member (team, account) VALUES (:team, :account)")
NOT_PAGES = frozenset({"/calm", "/parts/queue", "/parts/gate", "/log/verify"})
STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def screen(size: str, scheme: str) -> dict[str, Any]:
    """What a browser on this screen says of itself."""
    width, height = SIZES[size]
    return {
        "viewport": {"width": width, "height": height},
        "color_scheme": scheme,
        "is_mobile": size == "phone",
        "has_touch": size == "phone",
        "reduced_motion": "reduce",
        "locale": "nb-NO",
        "timezone_id": "Europe/Oslo",
    }


async def session(browser: Browser, url: str, accounts: Accounts, role: Role, size: str, scheme: str) -> Any:
    """A browser of its own, signed in."""
    name = f"Kari {role.value.title()}"
    account = await accounts.id_of(name) or (await accounts.add(name, role)).id
    page = await (await browser.new_context(**screen(size, scheme))).new_page()
    await page.goto(f"{url}/link/{await accounts.new_link(account, 5)}?next=/me")
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/me")
    return page


async def stranger(browser: Browser, size: str, scheme: str) -> Any:
    """A browser that nobody has signed in with."""
    return await (await browser.new_context(**screen(size, scheme))).new_page()


class Look:
    """One round through all pages, with so many rows."""

    def __init__(self, here: Running, browser: Browser, rows: str, options: argparse.Namespace) -> None:
        self._here = here
        self._browser = browser
        self._rows = rows
        self._options = options
        services = here.central.services
        self._accounts = Accounts(services.store, services.clock)

    async def go(self) -> None:
        """Every screen, dark and light."""
        for size in self._options.sizes:
            for scheme in SCHEMES:
                await self._round(size, scheme)

    async def _round(self, size: str, scheme: str) -> None:
        pages: dict[Role | None, Any] = {}
        for name, path, role, then in await self._wanted():
            label = f"{name}-{self._rows}-{size}-{scheme}"
            if self._options.only not in label:
                continue
            if role not in pages:
                pages[role] = (
                    await stranger(self._browser, size, scheme)
                    if role is None
                    else await session(self._browser, self._here.console_url, self._accounts, role, size, scheme)
                )
            await self._take(pages[role], label, path, then)
        for page in pages.values():
            await page.context.close()

    async def _wanted(self) -> list[tuple[str, str, Role | None, str]]:
        services = self._here.central.services
        found: list[tuple[str, str, Role | None, str]] = []
        for one in page_routes(services):
            if one.route.endswith(("/part", "/check")) or one.route in NOT_PAGES:
                continue
            with contextlib.suppress(NoExampleError):
                found.append((one.name, await address(one, services), one.role, ""))
        found += [
            ("not-found", "/no-such-page", Role.LEAD, ""),
            ("help", "/", Role.LEAD, "document.getElementById('help').showModal()"),
            ("gate", "/", Role.LEAD, "document.getElementById('duty').click()"),
            ("calm-responder", "/?view=technical", Role.RESPONDER, ""),
            ("asked", "/", Role.RESPONDER, ""),
            ("asked-alarm", "/", Role.RESPONDER, "document.querySelector('li[data-stand] a')?.click()"),
        ]
        return found

    async def _take(self, page: Any, label: str, path: str, then: str) -> None:
        url = self._here.console_url
        began = time.perf_counter()
        answer = await page.request.get(url + path)
        took = (time.perf_counter() - began) * 1000
        if not answer.headers.get("content-type", "").startswith("text/html"):
            return
        await page.goto(url + path)
        await page.evaluate("document.fonts.ready")
        await page.wait_for_timeout(500)
        if then:
            await page.evaluate(then)
            await page.wait_for_timeout(500)
        await page.screenshot(path=self._options.out / f"{label}.png", full_page=self._options.whole)
        wide = await page.evaluate(STICKS_OUT)
        remark = f"  {took:.0f} ms" if took > SLOW_MS else ""
        remark += f"  {wide} px too wide" if wide > 0 else ""
        if answer.status != HTTPStatus.OK or remark:
            print(f"{label}: {answer.status}{remark}", flush=True)


async def fill_one(here: Running, accounts: Accounts, hub: LiveHub) -> None:
    """One of everything, and an alarm that a lead has taken."""
    services = here.central.services
    patrol = await furnish(services)
    lead = await accounts.add("Kari Lead", Role.LEAD)
    responder = await accounts.add("Kari Responder", Role.RESPONDER)
    async with services.store.write() as connection:
        await _MEMBER.rows(connection, team=patrol, account=responder.id)
    await plan_in_force(services)
    await area_without_power(services)
    await heard_for_days(services)
    await alarms_at_work(services.alarms, hub, Actor(id=lead.id, name=lead.name, role="lead"), patrol)
    await hub.raise_event("battery_low", device="pendant-1", value=12)


async def take(options: argparse.Namespace) -> None:
    """Bring everything up, look, leave nothing behind."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise SystemExit("Chromium is not installed; on Debian: apt-get install chromium")
    for rows in options.rows:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="look-"))) / "central"
            plan = Plan(data_dir=folder, names=["127.0.0.1"], hub_host="127.0.0.1", hub_port=0, console_port=0)
            found(plan, time.time_ns() // 1_000_000)
            here = await stack.enter_async_context(running(load(folder / "central.toml")))
            services = here.central.services
            if rows != "none":
                hub = await stack.enter_async_context(LiveHub(here.central, "Solbakken 214"))
                await fill_one(here, Accounts(services.store, services.clock), hub)
            if rows == "many":
                await fill(services, MANY)
            playwright = await stack.enter_async_context(async_playwright())
            # The browser's own language is what date fields speak.
            browser = await playwright.chromium.launch(
                executable_path=program, args=["--no-sandbox", "--lang=nb"], env={**os.environ, "LANGUAGE": "nb"}
            )
            await Look(here, browser, rows, options).go()
            await browser.close()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description="pictures of every page, to be looked at")
    parser.add_argument("--out", type=Path, default=Path("tests/browser/shots/look"), help="where they go")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="how much there is")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES), help="on which screens")
    parser.add_argument("--only", default="", help="only pictures with this in their name")
    parser.add_argument("--whole", action="store_true", help="also what one has to scroll to")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(options))


if __name__ == "__main__":
    main()
