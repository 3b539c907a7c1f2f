"""Every page of the console against WCAG 2.2 AA, by axe: both themes, at a desk and on a phone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from central.console.accounts import Accounts
from central.console.roles import Role
from central.sql import Sql
from central.views import Actor
from simulators.busy_night import area_without_power, plan_in_force
from simulators.console_pages import ConsolePage, NoneYetError, address, page_routes
from simulators.furnished import RESIDENT, furnish
from simulators.heard_days import heard_for_days
from simulators.many_rows import fill

VENDOR = Path(__file__).parent / "vendor"
AXE = VENDOR / "axe-core-4.14.1.min.js"
DESK = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
LOST_WITHIN_MS = 20_000
OTHER = Actor(id="other", name="Operator Two", role="lead")
PARTS = frozenset({"/parts/queue", "/parts/gate", "/calm", "/alarms/{alarm_id}/part", "/hubs/{hub_id}/check"})
"""Pieces of pages: looked at where they stand."""

_RUN = """async () => {
  const found = await axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'],
  });
  return found.violations.flatMap((rule) => rule.nodes.map(
    (node) => `${rule.id} at ${node.target.join(' ')}: ${node.any[0]?.message ?? rule.help}`));
}"""

NORWEGIAN, ENGLISH = "nb-NO", "en-GB"
TEMPLATES = Path(__file__).parents[2] / "central" / "console" / "templates"
WAYS = [
    pytest.param("dark", DESK, NORWEGIAN, id="desk-dark-nb"),
    pytest.param("light", DESK, NORWEGIAN, id="desk-light-nb"),
    pytest.param("dark", PHONE, NORWEGIAN, id="phone-dark-nb"),
    pytest.param("light", PHONE, NORWEGIAN, id="phone-light-nb"),
    pytest.param("light", DESK, ENGLISH, id="desk-light-en"),
    pytest.param("dark", PHONE, ENGLISH, id="phone-dark-en"),
]
looks = pytest.mark.parametrize("theme", ["dark", "light"])
sizes = pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])


def test_axe_is_the_file_that_its_table_names() -> None:
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() in (VENDOR / "README.md").read_text()


async def faults(page: Page, where: str) -> list[str]:
    """What axe finds on what is shown now."""
    await page.evaluate(AXE.read_text())
    return [f"{where}: {text}" for text in await page.evaluate(_RUN)]


def is_part(page: ConsolePage) -> bool:
    return page.route in PARTS or page.route.endswith("/part")


@pytest.mark.timeout(600)  # some fifty pages, one after the other
@pytest.mark.parametrize(("theme", "size", "locale"), WAYS)
async def test_every_page_passes(
    people: Any, night: Any, server: Any, theme: str, size: dict[str, int], locale: str
) -> None:
    await furnish(server.services)
    await fill(server.services, 3)
    await plan_in_force(server.services)
    await area_without_power(server.services)
    await heard_for_days(server.services)
    found: list[str] = []
    not_seen: set[str] = set()
    signed_in: dict[Role, Any] = {}
    for one in page_routes(server.services):
        if is_part(one):
            continue
        role = one.role or Role.LEAD
        if role not in signed_in:
            signed_in[role] = await people(f"Kari {role.value.title()}", role, size=size, theme=theme, locale=locale)
        page = signed_in[role].page
        if one.role is None:
            context = await people.chromium.new_context(viewport=size, color_scheme=theme, locale=locale)
            page = await context.new_page()
        try:
            path = await address(one, server.services)
        except NoneYetError:
            not_seen.add(one.route)
            continue
        answer = await page.goto(server.url + path)
        assert answer is not None
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        if is_page:
            assert await page.locator("html").get_attribute("lang") == locale[:2]
            found += await faults(page, one.route)
        if one.role is None:
            await page.context.close()
    assert not found, "\n".join(found)
    assert not not_seen, "a night has none of these: give it one"


async def _alarm_taken(page: Page) -> None:
    await page.locator("#queue li[data-alarm]", has_text="Trygghetsalarm").click()
    await page.locator("[data-act=claim]:visible").click()
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")


async def _closing(page: Page) -> None:
    await page.locator("[data-act=outcome]:visible").click()
    await expect(page.locator("#close-form")).to_be_visible()


async def _alarm_of_another(page: Page) -> None:
    await page.goto(re.sub(r"(//[^/]+).*", r"\1/", page.url))
    await page.locator("#queue li[data-alarm]", has_text="Snortrekk").click()
    await expect(page.locator("#alarm-title")).to_have_text("Snortrekk")


async def _technical(page: Page) -> None:
    await page.goto(re.sub(r"(//[^/]+).*", r"\1/?view=technical", page.url))


async def _help(page: Page) -> None:
    await page.evaluate("document.getElementById('help').showModal()")


async def _gate(page: Page) -> None:
    await page.evaluate("document.getElementById('help').close()")
    await page.click("#duty")
    await page.click("#gate-play")
    await page.click("#gate-no")


async def _menu(page: Page) -> None:
    await page.keyboard.press("Escape")
    await page.click("#menu summary")


STATES: tuple[Callable[[Page], Awaitable[None]], ...] = (
    _alarm_taken, _closing, _alarm_of_another, _technical, _help, _gate, _menu,
)  # fmt: skip


@looks
@sizes
async def test_the_console_passes_in_every_state(
    people: Any, night: Any, server: Any, theme: str, size: dict[str, int]
) -> None:
    page = (await (await people("Nina Berg", Role.LEAD, size=size, theme=theme)).open()).page
    found = await faults(page, "queue")
    for state in STATES:
        await state(page)
        found += await faults(page, state.__name__)
    await page.evaluate("document.getElementById('menu').open = false")
    await server.stop()
    await expect(page.locator("#lost[role=alert]")).to_be_visible(timeout=LOST_WITHIN_MS)
    found += await faults(page, "lost")
    assert not found, "\n".join(found)


DIALOGS = {
    "help", "gate", "leave", "again", "dispatch-dialog", "offer-dialog", "decline-dialog", "call-dialog",
    "criterion-dialog", "take-over-dialog",
}  # fmt: skip
_OPEN = """(id) => {
  const opener = document.querySelector(`[data-open="${id}"]:not([aria-disabled])`);
  if (opener) opener.click(); else document.getElementById(id).showModal();
}"""


def test_the_dialogs_that_are_looked_at_are_all_there_are() -> None:
    pages = "".join(path.read_text() for path in TEMPLATES.glob("*.html"))
    written = set(re.findall(r'<dialog[^>]* id="([^"]+)"', pages))
    assert written == DIALOGS


@pytest.mark.parametrize(("theme", "size", "locale"), WAYS)
async def test_every_dialog_passes_with_what_it_offers(
    people: Any, home: Any, server: Any, theme: str, size: dict[str, int], locale: str
) -> None:
    await furnish(server.services)
    await home.raise_event("pendant_pressed", resident=RESIDENT)
    lead = await people("Nina Berg", Role.LEAD, size=size, theme=theme, locale=locale)
    page = (await lead.open()).page
    await page.keyboard.press("n")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await expect(page.locator("#alarm-resident .next-visits .src")).to_have_count(1)
    found = await faults(page, "alarm of one's own")
    there = await page.eval_on_selector_all("dialog", "(all) => all.map((one) => one.id)")
    assert set(there) == DIALOGS
    for name in sorted(there, key=lambda one: one == "again"):  # that one closes by signing in, and is the last
        await page.evaluate(_OPEN, name)
        await expect(page.locator(f"#{name}")).to_be_visible()
        if name in {"dispatch-dialog", "offer-dialog"}:
            await expect(page.locator(f"#{name} [data-choices] option").first).to_be_attached()
        found += await faults(page, name)
        if name != "again":
            await page.evaluate("(id) => document.getElementById(id).close()", name)
    assert not found, "\n".join(found)


PATROL = "0" * 15 + "a"


@looks
@sizes
async def test_what_is_asked_of_a_patrol_passes_and_so_does_a_page_out_of_contact(
    people: Any, home: Any, server: Any, theme: str, size: dict[str, int]
) -> None:
    services = server.services
    pia = await people("Pia Patrulje", Role.RESPONDER, size=size, theme=theme)
    account = await Accounts(services.store, services.clock).id_of("Pia Patrulje")
    async with services.store.write() as connection:
        await Sql("INSERT INTO team (id, kind, name) VALUES (:id, 'patrol', 'Utrykning nord')").rows(
            connection, id=PATROL
        )
        await Sql("INSERT INTO team_member (team, account) VALUES (:team, :account)").rows(
            connection, team=PATROL, account=account
        )
    await home.raise_event("pendant_pressed")
    alarm = await services.alarms.take_next(OTHER)
    sent = await services.alarms.dispatch(alarm.id, OTHER, PATROL)
    page = (await pia.open()).page
    await expect(page.locator('#queue li[data-stand="asks"]')).to_be_visible()
    found = await faults(page, "asked, list")
    await page.locator('#queue li[data-stand="asks"] a').click()
    await expect(page.locator("#alarm-told")).to_contain_text("er bedt om å dra")
    found += await faults(page, "asked, alarm")
    await page.locator('[data-open="decline-dialog"]:visible').first.click()
    found += await faults(page, "decline")
    await page.keyboard.press("Escape")
    await services.alarms.dispatch_step(sent.id, OTHER, "cancelled", "naboen er der")
    await expect(page.locator("#alarm-told .told-life")).to_contain_text("Du trenger ikke dra")
    found += await faults(page, "called off, alarm")
    await pia.open()
    await expect(page.locator('#queue li[data-stand="off"]')).to_be_visible()
    found += await faults(page, "called off, list")
    await pia.open("/residents")
    await server.stop()
    await expect(page.locator("#lost[role=alert]")).to_be_visible(timeout=LOST_WITHIN_MS)
    found += await faults(page, "page out of contact")
    assert not found, "\n".join(found)
