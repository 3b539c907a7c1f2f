"""A field that names one of many, with the keyboard, without a script, and to those who listen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect

from central.console.roles import Role
from central.sql import Sql
from simulators.many_rows import fill
from tests.browser.conftest import DESK, PHONE

MANY = 120
CUT = "(node) => node.scrollWidth - node.clientWidth"
AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"
RUN = "async () => (await axe.run(document)).violations.map((rule) => `${rule.id}: ${rule.nodes[0].target}`)"


@pytest.fixture
async def team(server: Any) -> str:
    """Of everybody, and they are many."""
    await fill(server.services, MANY)
    async with server.services.store.read() as connection:
        return str(await Sql("SELECT id FROM team").value(connection))


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_somebody_is_found_chosen_and_saved_with_the_keyboard_alone(
    people: Any, server: Any, team: str, size: dict[str, int]
) -> None:
    nina = await people("Nina Berg", Role.LEAD, size=size)
    page = nina.page
    await page.goto(f"{server.url}/rota/{team}")
    field = page.get_by_role("combobox", name="Hvem").first
    await field.press_sequentially("anne 1")
    listbox = page.get_by_role("listbox")
    await expect(listbox.get_by_role("option").first).to_be_visible()
    await expect(page.locator(".seek [role=status]").first).to_contain_text("treff")
    await page.evaluate(AXE.read_text())
    assert not [fault for fault in await page.evaluate(RUN) if "color-contrast" not in fault]
    await field.press("ArrowDown")
    await field.press("ArrowDown")
    await expect(listbox.get_by_role("option").nth(1)).to_have_attribute("aria-selected", "true")
    name = await listbox.get_by_role("option").nth(1).text_content()
    await field.press("Enter")
    await expect(listbox).to_be_hidden()
    await expect(field).to_have_value(name or "")
    await field.press_sequentially("x")
    await expect(page.locator(".seek-said").first).to_contain_text("Ingen har")
    await field.press("Escape")
    await field.fill(name or "")
    await page.locator("#add-shift .choices.days label").first.click()
    await page.fill("#from", "22:00")
    await page.fill("#to", "07:00")
    await page.click("#add-shift button[type=submit]")
    await expect(page.locator("main [role=status]").first).to_contain_text("Vakten står")
    await expect(page.locator("main table").first).to_contain_text(name or "")


async def test_without_a_script_the_page_asks_which_one_is_meant(people: Any, server: Any, team: str) -> None:
    ada = await people("Ada Nes", Role.ADMINISTRATOR)
    context = await people.chromium.new_context(
        java_script_enabled=False, storage_state=await ada.context.storage_state(), locale="nb-NO"
    )
    page = await context.new_page()
    await page.goto(f"{server.url}/places/teams/{team}")
    await page.fill("#account", "anne")
    await page.press("#account", "Enter")
    await expect(page.locator("main [role=alert]")).to_contain_text("10 har «anne» i navnet")
    chosen = page.locator(".seek-hits label").nth(2)
    name = await chosen.text_content()
    await chosen.click()
    await page.click("form[action$='/members'] button[type=submit]")
    await expect(page.locator("main [role=status]")).to_contain_text("Medlemmet er lagt til")
    await expect(page.locator("main .line-form b")).to_have_text([name or ""])
    await context.close()


@pytest.mark.parametrize("locale", ["nb-NO", "en-GB"])
async def test_on_duty_a_telephone_says_the_whole_word_for_contact(people: Any, server: Any, locale: str) -> None:
    kari = await people("Kari Nordmann", Role.RESPONDER, size=PHONE, locale=locale)
    page = (await (await kari.open()).go_on_duty()).page
    text = page.locator(".beat-text")
    await expect(text).to_contain_text("Tilkoblet" if locale == "nb-NO" else "Connected")
    assert await text.evaluate(CUT) <= 0
    assert await page.locator(".beat").evaluate(CUT) <= 0
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
