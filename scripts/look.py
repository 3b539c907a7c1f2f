"""Pictures of every page, for people to look at: none, one and ten thousand rows, desk and phone, dark and light.

`python -m scripts.look --out DIR [--rows none one many] [--only PART-OF-A-NAME]`. Central runs in this process with a
database of its own in a temporary folder; the browser is a real one. Prints what took long and what sticks out.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import running
from central.founding import Plan, found
from central.settings import load
from simulators.console_pages import NoExampleError, address, page_routes
from simulators.live_hub import LiveHub
from simulators.many_rows import fill

SIZES = {"desk": (1440, 900), "phone": (390, 844)}
SCHEMES = ("dark", "light")
ROWS = ("none", "one", "many")
MANY = 10_000
SLOW_MS = 200
STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def session(browser: Browser, url: str, accounts: Accounts, role: Role, size: str, scheme: str) -> Any:
    """A browser of its own, signed in."""
    name = f"Kari {role.value.title()}"
    account = await accounts.id_of(name) or (await accounts.add(name, role)).id
    width, height = SIZES[size]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        is_mobile=size == "phone",
        has_touch=size == "phone",
        reduced_motion="reduce",
        locale="nb-NO",
        timezone_id="Europe/Oslo",
    )
    page = await context.new_page()
    await page.goto(f"{url}/link/{await accounts.new_link(account, 5)}?next=/me")
    await page.click("main button[type=submit]")
    await page.wait_for_url("**/me")
    return page


async def look(central: Any, url: str, browser: Browser, rows: str, out: Path, only: str) -> None:
    """Every page as it is now."""
    services = central.services
    accounts = Accounts(services.store, services.clock)
    for size in SIZES:
        for scheme in SCHEMES:
            signed_in: dict[Role, Any] = {}
            for one in page_routes(services):
                name = f"{one.name}-{rows}-{size}-{scheme}"
                if (
                    only not in name
                    or one.route.endswith(("/part", "/check"))
                    or one.route in {"/calm", "/parts/queue"}
                ):
                    continue
                try:
                    path = await address(one, services)
                except NoExampleError:
                    continue
                role = one.role or Role.LEAD
                if role not in signed_in:
                    signed_in[role] = await session(browser, url, accounts, role, size, scheme)
                page = signed_in[role]
                began = time.perf_counter()
                answer = await page.request.get(url + path)
                took = (time.perf_counter() - began) * 1000
                if not answer.headers.get("content-type", "").startswith("text/html"):
                    continue
                await page.goto(url + path)
                await page.evaluate("document.fonts.ready")
                await page.wait_for_timeout(250)
                await page.screenshot(path=out / f"{name}.png", full_page=False)
                wide = await page.evaluate(STICKS_OUT)
                remark = f"  {took:.0f} ms" if took > SLOW_MS else ""
                remark += f"  {wide} px too wide" if wide > 0 else ""
                if answer.status != 200 or remark:
                    print(f"{name}: {answer.status}{remark}", flush=True)
            for page in signed_in.values():
                await page.context.close()


async def take(out: Path, wanted: list[str], only: str) -> None:
    """Bring everything up, look, leave nothing behind."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise SystemExit("Chromium is not installed; on Debian: apt-get install chromium")
    for rows in wanted:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="look-"))) / "central"
            plan = Plan(data_dir=folder, names=["127.0.0.1"], hub_host="127.0.0.1", hub_port=0, console_port=0)
            found(plan, time.time_ns() // 1_000_000)
            here = await stack.enter_async_context(running(load(folder / "central.toml")))
            if rows != "none":
                hub = await stack.enter_async_context(LiveHub(here.central, "Solbakken 214"))
                await hub.raise_event("pendant_pressed", ago_ms=21_000)
                await hub.raise_event("battery_low", device="pendant-1", value=12)
            if rows == "many":
                await fill(here.central.services, MANY)
            playwright = await stack.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            await look(here.central, here.console_url, browser, rows, out, only)
            await browser.close()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description="pictures of every page, to be looked at")
    parser.add_argument("--out", type=Path, default=Path("tests/browser/shots/look"), help="where they go")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="how much there is")
    parser.add_argument("--only", default="", help="only pictures with this in their name")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(options.out, options.rows, options.only))


if __name__ == "__main__":
    main()
