"""Takes the pictures in docs/pictures of the running product: `make pictures`.

Central, a hub and a simulated flat are real processes on free ports, as in the demo. A few more homes, reduced to the
frames they send, fill the queue. One thing is set up: when the pictures need a night, closed alarms are moved back
over it in the database of this run, which is thrown away afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Page, TimeoutError  # noqa: A004  # it is this one that is meant

from scripts.studio import PHONE, Home, Studio, studio
from simulators import plans
from simulators.demo.operator import OperatorError
from simulators.demo.stage import HOST

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
ASKED_MS = 90_000
RESIDENTS = (
    {
        "pseudonym": "r-7f3a90", "first_name": "Ragnhild", "last_name": "Myklebust", "born": "1938",
        "address": "Solbakken 214, 6690 Aure", "phone": "+47 900 00 001", "critical": "yes",
        "directions": "Second entrance from the car park, lift to the second floor",
        "access": "Key box to the left of the door", "key_code": "4471",
        "know": "Hard of hearing on the left ear. Speak clearly, and give her time.",
        "health": "Diabetes, insulin", "source": "home_care", "as_of": "2026-11-02",
        "services": ["TA", "DT"],
        "contacts": [
            {"name": "Sunniva Myklebust", "relation": "daughter", "phone": "+47 900 00 002",
             "agreement": {"services": ["TA", "DT"], "document": "2026/118"}},
            {"name": "Per Olsen", "relation": "neighbour", "phone": "+47 900 00 003", "agreement": {"services": []}},
        ],
    },
    {"pseudonym": "r-19c04e", "first_name": "Arne", "last_name": "Vik", "address": "Fjellveien 8, 6690 Aure",
     "source": "home_care", "as_of": "2026-10-14", "services": ["DT"]},
    {"pseudonym": "r-55d210", "first_name": "Turid", "last_name": "Nes", "address": "Elvebakken 3B, 6690 Aure",
     "source": "home_care", "as_of": "2026-09-30", "services": ["DT", "TA"]},
)  # fmt: skip
"""Who lives in the pictures. All of it is invented."""
VISIT_IN_S = 4 * 3600
NO_TELEPHONE = "addEventListener('click', (e) => { if (e.target.closest('a[href^=tel]')) e.preventDefault(); })"
"""A browser without a telephone asks what to do with a number, and takes no clicks until somebody has said so."""


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


async def people(studio: Studio) -> None:
    """A patrol, and three residents taken in from a file; the patrol's page is a picture."""
    async with studio.screen("Ada Nes", scheme="light") as page:
        await page.goto(f"{studio.operator.console}/places")
        fold = page.locator("details.fold", has=page.locator("#t-new"))
        await fold.locator("summary").click()
        await page.fill("#t-new", "Night patrol")
        await page.select_option("#k-new", "patrol")
        await page.select_option("#o-new", index=1)
        await page.fill("#p-new", "+47 900 00 009")
        await fold.locator("button[type=submit]").click()
        await page.locator("h1", has_text="Night patrol").wait_for()
        await page.select_option("#account", label="Nina Berg")
        await page.click("form[action$='/members'] button[type=submit]")
        await page.locator("main .p-ok").wait_for()
        await page.goto(f"{studio.operator.console}/places")
        await studio.take(page, "organisation")
        await page.goto(f"{studio.operator.console}/users")
        await studio.take(page, "accounts")
    first = time.time() + VISIT_IN_S
    visit = {"from": _stamp(first), "to": _stamp(first + 1800), "reference": "v-1", "team": "Night patrol"}
    residents = [{**RESIDENTS[0], "visits": [visit]}, *RESIDENTS[1:]]
    path = studio.stage.folder / "residents.json"
    path.write_text(json.dumps(residents))
    await studio.stage.central_command("people", "import", str(path))


def _stamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


async def queue(studio: Studio, homes: Sequence[Home]) -> None:
    """Several alarms at once: dark with nothing taken, light with one of your own; the work on that one."""
    async with studio.screen("Operator One") as page:
        await page.goto(f"{studio.operator.console}/")
        await page.click("#duty")
        await studio.take(page, "gate")
        await page.click("#gate-play")
        await page.click("#gate-yes")
        await _alarms_come(studio, homes)
        await page.locator("#queue li[data-waiting]").nth(3).wait_for()
        await studio.take(page, "queue-dark")
    cord = await studio.alarm("cord_pulled")
    await work(studio, cord)
    async with studio.screen("Operator One", size=PHONE, scale=2) as page:
        await page.goto(f"{studio.operator.console}/alarms/{cord}")
        await page.locator("#alarm-big4").wait_for()
        await studio.take(page, "phone")


async def _patrol_on_duty(studio: Studio, page: Page) -> None:
    """Somebody takes the patrol tonight."""
    await page.goto(f"{studio.operator.console}/")
    await page.click("#duty")
    await page.locator("#gate-teams label", has_text="Night patrol").locator("input:checked").wait_for(state="attached")
    await page.click("#gate-play")
    await page.click("#gate-yes")


async def _patrol_goes(studio: Studio, page: Page) -> None:
    """Asked to go, and after saying yes."""
    row = page.locator('#queue li[data-stand="asks"]')
    await row.wait_for(timeout=ASKED_MS)
    await studio.take(page, "patrol-list")
    await row.locator("a").click()
    await page.click('#alarm-big4 [data-four="take"]')
    await page.locator('#alarm-told [data-post$="/on-the-way"]').wait_for()
    await studio.toast_gone(page)
    await studio.take(page, "patrol-alarm")


async def _alarms_come(studio: Studio, homes: Sequence[Home]) -> None:
    solbakken, fjellveien, elvebakken = homes
    await solbakken.tell("nurse_call", "room-12", ago_s=40)
    await solbakken.tell("battery_low", "pendant-4", ago_s=600, value=12)
    taken = await studio.alarm("nurse_call")
    await studio.quietly("Operator Two", "POST", f"/api/v1/alarms/{taken}/claim", {})
    await studio.quietly("Operator Two", "POST", f"/api/v1/alarms/{taken}/on-the-way", {})
    await fjellveien.tell("bed_absent", "bed-1", ago_s=95, resident="r-19c04e")
    await elvebakken.tell("door_opened", "door-1", ago_s=35, resident="r-55d210")
    await elvebakken.tell("smoke", "smoke-hall", ago_s=9, resident="r-55d210")
    await studio.act(do="pull", device=plans.CORD)
    await studio.alarm("cord_pulled")


async def work(studio: Studio, alarm: str) -> None:
    """One alarm from the claim to its outcome, a picture at each step."""
    async with studio.screen("Nina Berg", size=PHONE, scale=2) as phone:
        await _patrol_on_duty(studio, phone)
        async with studio.screen("Operator One", scheme="light") as page:
            await _taken_and_sent(studio, page, alarm)
            try:  # while the desk's page is open: it keeps the claim
                await _patrol_goes(studio, phone)
            except TimeoutError as error:  # the night goes on without these two pictures, and says so
                print(f"patrol: {str(error).splitlines()[0]}", file=sys.stderr)
            await _on_the_way(studio, alarm)
    async with studio.screen("Operator One") as page:
        await page.goto(f"{studio.operator.console}/alarms/{alarm}")
        await page.locator('#alarm-live[data-stage="on_the_way"]').wait_for()
        await page.locator(".homelamp .lamp-onway").wait_for()
        await studio.take(page, "alarm")
        await page.click('.a-acts [data-open="offer-dialog"]')
        await page.locator("#offer-to optgroup option").first.wait_for(state="attached")
        await page.select_option("#offer-to", label="Operator Two")
        await page.fill("#offer-note", "The patrol is on its way. I have not reached the daughter yet.")
        await studio.take(page, "hand-over")
        await page.click("#offer-dialog [data-close]:not(.first)")
        await page.click('.a-acts [data-act="outcome"]')
        await page.check("#close-form input[value=next_visit]", force=True)
        await page.locator("#close-visit option").nth(1).wait_for(state="attached")
        await page.select_option("#close-visit", index=1)
        await page.select_option("#close-outcome", "practical_help")
        await page.locator("#close-submit").scroll_into_view_if_needed()
        await studio.take(page, "outcome")
        await page.check("#close-form input[value=visit_now]", force=True)


async def _on_the_way(studio: Studio, alarm: str) -> None:
    sent = (await studio.quietly("Nina Berg", "GET", f"/api/v1/alarms/{alarm}"))["sent"][0]
    for step in ("accepted", "on-the-way")[sent["state"] == "accepted" :]:
        await studio.quietly("Nina Berg", "POST", f"/api/v1/dispatches/{sent['id']}/{step}", {})


async def _taken_and_sent(studio: Studio, page: Page, alarm: str) -> None:
    await page.goto(f"{studio.operator.console}/alarms/{alarm}")
    await studio.on_duty(page)
    await page.click('.a-acts [data-act="claim"]')
    await page.locator('#alarm-live[data-mine="yes"]').wait_for()
    await page.locator(".homelamp .lamp-taken").wait_for()
    await studio.toast_gone(page)
    await studio.take(page, "queue-light")
    await page.evaluate(NO_TELEPHONE)
    await page.click('#alarm-resident [data-call="resident"]')
    await page.check("#call-dialog input[value=no_answer]", force=True)
    await studio.take(page, "call")
    await page.click("#call-dialog button[type=submit]")
    await page.locator("#alarm-resident .tried").wait_for()
    await page.click(".a-acts .send")
    await page.locator("#dispatch-team option").first.wait_for(state="attached")
    await studio.take(page, "dispatch")
    await page.click("#dispatch-dialog button[type=submit]")
    await page.locator("#alarm-work [data-dispatch]").wait_for()


async def lost(studio: Studio) -> None:
    """Central does not answer any more."""
    async with studio.screen("Operator One", scheme="light") as page:
        await page.goto(f"{studio.operator.console}/")
        await studio.on_duty(page)
        await page.wait_for_timeout(6_000)
        pid = studio.stage.central.pid
        if pid is None:
            raise OperatorError("central does not run")
        os.kill(pid, signal.SIGSTOP)
        try:
            await page.locator("body.lost").wait_for()
            await page.wait_for_timeout(4_000)
            await studio.take(page, "lost")
        finally:
            os.kill(pid, signal.SIGCONT)


async def pages(studio: Studio) -> None:
    """What a lead and a technician keep."""
    async with studio.screen("Nina Berg", scheme="light") as page:
        await page.goto(f"{studio.operator.console}/residents/r-7f3a90")
        await studio.take(page, "resident")
        await page.goto(f"{studio.operator.console}/log")
        await studio.take(page, "event-log")
        await page.goto(f"{studio.operator.console}/cards")
        await studio.take(page, "routine-cards")
    async with studio.screen("Technician One") as page:
        await page.goto(f"{studio.operator.console}/technical")
        await studio.take(page, "technical")


async def health(studio: Studio) -> None:
    """A technician asks a hub whose pendant has a battery that runs out and whose mains are gone."""
    hubs = await studio.quietly("Technician One", "GET", "/api/v1/hubs")
    hub = next(one["id"] for one in hubs["hubs"] if one["label"] == "Solbakken 214")
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


async def take_all(out: Path, only: frozenset[str] = frozenset()) -> list[str]:
    """Bring everything up, take the pictures, leave nothing behind. Returns the parts that could not be taken."""
    failed: list[str] = []

    async def part(name: str, taking: Callable[[], Awaitable[None]]) -> None:
        if only and name not in only:
            return
        try:
            await taking()
        except (TimeoutError, OperatorError) as error:
            failed.append(name)
            print(f"{name}: {str(error).splitlines()[0]}", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="flat-") as folder:
        async with studio(Path(folder), out) as here:
            labels = ("Bakkehaugen, 2. etasje", "Fjellveien 8", "Elvebakken 3B")
            homes: list[Home] = []
            await part("demo", lambda: demo(here))
            await here.close_all()
            await people(here)
            homes += [await Home.enrol(here.stage, here.http, label) for label in labels]
            await part("queue", lambda: queue(here, homes))
            await part("pages", lambda: pages(here))
            await part("lost", lambda: lost(here))
            await part("plan", lambda: response_plan(here))
            await here.close_all()
            await part("health", lambda: health(here))
            await part("calm", lambda: calm(here, homes))
    return failed


def main() -> None:
    """Take them all."""
    parser = argparse.ArgumentParser(description="take the pictures in docs/pictures of the running product")
    parser.add_argument("--only", nargs="*", default=[], help="parts: queue pages lost plan demo health calm")
    parser.add_argument("--out", type=Path, default=PICTURES, help="where they go (default: %(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    failed = asyncio.run(take_all(options.out, frozenset(options.only)))
    if failed:
        raise SystemExit(f"not taken: {', '.join(failed)}")


if __name__ == "__main__":
    main()
