"""The office in a browser: a card written beside its preview, a criterion chosen on the alarm, a visit by keyboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from central.console.roles import Role
from simulators.furnished import RESIDENT, furnish

PHONE = {"width": 390, "height": 844}
WIDE = "document.documentElement.scrollWidth - innerWidth"


async def test_a_card_is_written_beside_what_responders_will_see_and_stands_on_the_alarm(
    server: Any, home: Any, people: Any, shots: Path
) -> None:
    await furnish(server.services)
    await home.raise_event("pendant_pressed", resident=RESIDENT)
    ada = (await people("Ada Nes", Role.ADMINISTRATOR)).page
    await ada.goto(f"{server.url}/cards")
    await ada.click("tr:has-text('Trygghetsalarm') >> text=Skriv eget >> nth=0")
    lines = ada.locator("#lines-nb")
    assert "Ring tjenestemottakeren" in await lines.input_value()
    await lines.fill("Ring 70 00 00 00\n2. Send Nattpatruljen")
    await expect(ada.locator("#card-preview")).to_contain_text("Send Nattpatruljen")
    await expect(ada.locator("#card-preview li").first).to_have_text("Ring 70 00 00 00")
    await ada.screenshot(path=shots / "card-editor-desk.png")
    await ada.fill("#why", "ny vakttelefon")
    await ada.click("#save")
    await expect(ada.locator("main [role=status]")).to_contain_text("Lagret")
    operator = await people("Operator One")
    await operator.open(f"/alarms/{(await server.services.alarms.queue())[0].id}")
    await expect(operator.page.locator("#alarm-card")).to_contain_text("Ring 70 00 00 00")
    await expect(operator.page.locator("#alarm-card")).to_contain_text("versjon 1")


@pytest.mark.parametrize("size", [None, PHONE], ids=["desk", "phone"])
async def test_a_criterion_is_chosen_on_the_alarm_changes_its_card_and_is_kept_when_closing(
    server: Any, home: Any, people: Any, shots: Path, size: dict[str, int] | None
) -> None:
    await furnish(server.services)
    await home.raise_event("pendant_pressed", resident=RESIDENT)
    alarm = (await server.services.alarms.queue())[0].id
    operator = await people("Operator One", size=size)
    page = (await operator.open(f"/alarms/{alarm}")).page
    await page.click("[data-act=claim] >> visible=true")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    button = page.locator("[data-open='criterion-dialog']")
    await expect(button).not_to_have_attribute("aria-disabled", "true")
    await button.click()
    await expect(page.locator("#criterion-dialog")).to_be_visible()
    await page.screenshot(path=shots / f"criterion-{'phone' if size else 'desk'}.png")
    await page.check("input[name=criterion][value=fallen]", force=True)
    await page.click("#criterion-dialog button[type=submit]")
    await expect(page.locator("#alarm-criterion")).to_contain_text("Har falt og kommer seg ikke opp alene")
    await expect(page.locator("#alarm-card")).to_contain_text("Spør om hodet og hoften")
    assert await page.evaluate(WIDE) <= 0
    kept = (await server.services.alarms.alarm(alarm)).alarm
    assert kept.criterion.endswith("/fallen")


async def test_a_visit_is_planned_by_keyboard_alone_and_a_fault_keeps_what_was_typed(
    server: Any, home: Any, people: Any
) -> None:
    await furnish(server.services)
    lead = (await people("Lead One", Role.LEAD)).page
    await lead.goto(f"{server.url}/residents/{RESIDENT}")
    await lead.focus("a[href$='/visits/new']")
    await lead.keyboard.press("Enter")
    await lead.wait_for_url("**/visits/new")
    tomorrow = (datetime.now(UTC).astimezone(ZoneInfo("Europe/Oslo")) + timedelta(days=1)).date()
    await lead.fill("#day", tomorrow.isoformat())
    await lead.fill("#begin", "08:00")
    await lead.fill("#end", "i kveld")
    await lead.keyboard.press("Enter")
    await expect(lead.locator("#fault-end")).to_be_visible()
    await expect(lead.locator("#end")).to_have_value("i kve")
    await expect(lead.locator("#begin")).to_have_value("08:00")
    await lead.fill("#end", "09:15")
    await lead.keyboard.press("Enter")
    await lead.wait_for_url(f"**/residents/{RESIDENT}")
    await expect(lead.locator("main")).to_contain_text("08:00\u201309:15")


async def test_the_office_fits_a_phone(server: Any, home: Any, people: Any, shots: Path) -> None:
    await furnish(server.services)
    ada = (await people("Ada Nes", Role.ADMINISTRATOR, size=PHONE, theme="light")).page
    await ada.goto(f"{server.url}/places")
    await ada.click("p:has-text('Aure') >> text=Innstillinger")
    await expect(ada.locator("#name")).to_have_value("Aure")
    found = {ada.url: await ada.evaluate(WIDE)}
    for path in ("/cards", "/card-editor", "/criteria"):
        await ada.goto(server.url + path)
        found[path] = await ada.evaluate(WIDE)
    await ada.click("text=Endre listen")
    await ada.locator("#do-add").click()
    await expect(ada.locator("#c10-nb")).to_be_focused()
    found["editor"] = await ada.evaluate(WIDE)
    await ada.screenshot(path=shots / "criteria-editor-phone.png")
    assert all(wide <= 0 for wide in found.values()), found
