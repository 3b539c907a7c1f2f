"""What leaves the console on paper: whole, and without what is to be pressed."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from central.console.roles import Role
from simulators.furnished import RESIDENT, furnish

PAPER = {"width": 680, "height": 960}


async def test_who_has_looked_is_printed_with_the_purpose_for_the_resident_who_asks(people: Any, server: Any) -> None:
    reader = await people("Nina Berg", Role.LEAD, size=PAPER)
    await furnish(server.services)
    page = (await reader.open(f"/residents/{RESIDENT}")).page
    await reader.open(f"/residents/{RESIDENT}/access")
    await expect(page.locator("[data-print]")).to_be_visible()
    why = page.locator("td", has_text="forvaltning").first
    await page.emulate_media(media="print")
    await expect(why).to_be_visible()
    await expect(page.locator("[data-print]")).to_be_hidden()
