"""However much somebody has written, where to go and how to get in stay in sight on the page of an alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from central.console.accounts import Accounts
from central.console.roles import Role
from central.people.facts import FactKind
from central.views import Actor
from simulators.furnished import LEAD, RESIDENT, furnish
from tests.browser.test_axe_on_every_page import faults

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
WORDS = "Datteren ringte i går og sa at hun ikke har svart på telefonen siden lunsj. " * 3
NEEDED = ("dd:has-text('Solbakken 214, 6690 Aure')", "dd [data-call=resident]", "#secret-key_code button")
END = "Siste ord i lappen."
LONG = "Forbi skolen, til høyre ved den gule garasjen og opp bakken. " * 8

_BOTTOM = """(node) => {
  const bar = document.getElementById('alarm-big4');
  const sight = bar && bar.checkVisibility() ? bar.getBoundingClientRect().top : innerHeight;
  return sight - node.getBoundingClientRect().bottom;
}"""


async def in_sight(page: Page, selector: str) -> bool:
    """Whether it is seen without scrolling, above the bar at the bottom."""
    return await page.locator(selector).first.evaluate(_BOTTOM) >= 0


@pytest.mark.parametrize(
    ("size", "theme", "word"), [(LAPTOP, "dark", "desk"), (PHONE, "light", "phone")], ids=["desk", "phone"]
)
async def test_a_long_note_folds_and_address_key_and_telephone_stay_in_sight(
    people: Any, home: Any, server: Any, shots: Path, size: dict[str, int], theme: str, word: str
) -> None:
    services = server.services
    await furnish(services)
    for kind in (FactKind.DIRECTIONS, FactKind.KNOW):
        await services.people.keeping.record(
            LEAD, RESIDENT, kind, LONG, source="home_care", as_of_ms=services.clock.now_ms()
        )
    kari = await people("Kari Nordmann", Role.RESPONDER, size=size, theme=theme)
    me = await Accounts(services.store, services.clock).id_of("Kari Nordmann")
    await home.raise_event("pendant_pressed", resident=RESIDENT)
    kari_acts = Actor(id=str(me), name="Kari Nordmann", role="responder")
    alarm = (await services.alarms.take_next(kari_acts)).id
    page = (await kari.open(f"/alarms/{alarm}")).page
    told, facts = page.locator("#alarm-told"), page.locator(".person-facts .long")
    await expect(facts.locator(".begin").first).to_be_visible()
    for what in NEEDED:
        assert await in_sight(page, what), what
    await page.screenshot(path=shots / f"long-facts-{word}.png")
    await people("Ola Vik", Role.RESPONDER)
    ola = await Accounts(services.store, services.clock).id_of("Ola Vik")
    await services.alarms.offer(alarm, kari_acts, to_account=str(ola), note=WORDS + END)
    await expect(told.locator(".begin")).to_contain_text("Datteren ringte i går")
    await expect(told.get_by_text(END)).to_be_hidden()
    await page.screenshot(path=shots / f"long-note-{word}.png")
    for what in NEEDED if word == "desk" else ("#alarm-told .btn:visible", "#alarm-resident h2"):
        assert await in_sight(page, what), what
    await told.locator("summary").click()
    await expect(told.locator(".long p")).to_contain_text(END)
    await home.raise_event("pendant_pressed", resident=RESIDENT)  # the page hears of it, and swaps its parts
    await expect(page.locator("#alarm-history")).to_contain_text("2. gang")
    await expect(told.locator(".long p")).to_be_visible()
    assert not await faults(page, "long note")
    await page.emulate_media(media="print")
    await expect(facts.locator("p").first).to_be_visible()
    await expect(facts.locator("summary").first).to_be_hidden()
