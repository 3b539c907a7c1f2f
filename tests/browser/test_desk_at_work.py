"""What the desk does for whoever sits at it: text for the journal, and no word lost to a colleague who was faster."""

from __future__ import annotations

from typing import Any

from playwright.async_api import expect

from central.console.roles import Role
from central.views import Actor
from simulators.live_hub import LiveHub

LEAD = Actor(id="other", name="Operator Two", role="lead")


async def test_the_summary_for_the_journal_is_copied_by_a_key_and_names_nobody(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    first = await people("Operator One")
    await first.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=first.server.url)
    page = (await first.open()).page
    await page.locator("#queue li[data-alarm]", has_text="Trygghetsalarm").click()
    await expect(page.locator("#alarm-summary")).to_be_hidden()  # it is for who has the alarm
    await page.keyboard.press("n")
    await expect(page.locator("#alarm-summary")).to_be_visible()
    await expect(page.locator("#undo")).to_be_visible()
    await page.keyboard.press("j")
    await expect(page.locator("#alarm-summary .copied")).to_have_text("Kopiert.")
    await expect(page.locator("#undo")).to_be_visible()  # what was offered stays on offer
    text = await page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("Trygghetsalarm, ")
    assert "Prioritet 1: noen har bedt om hjelp eller falt" in text
    assert "En kollega tok alarmen" in text
    assert "Operator One" not in text


async def test_what_was_written_stands_beside_what_another_did(people: Any, server: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    page = (await (await people("Operator One")).open()).page
    await page.keyboard.press("n")
    await page.fill("#close-note", "Satt på sengekanten")
    alarms = server.services.alarms
    alarm = (await alarms.queue())[0]
    await alarms.close(alarm.id, LEAD, "visit_now", "fall", "Hjulpet opp", override="vaktskifte")
    await expect(page.locator("#alarm-draft")).to_be_visible()
    await expect(page.locator("#alarm-draft")).to_contain_text("Operator Two")
    await expect(page.locator("#alarm-draft")).to_contain_text("Hjulpet opp")
    await expect(page.locator("#draft-text")).to_have_text("Satt på sengekanten")
    await page.reload()
    await expect(page.locator("#draft-text")).to_have_text("Satt på sengekanten")
    await page.click("#draft-drop")
    await expect(page.locator("#alarm-draft")).to_be_hidden()


async def test_the_alarm_says_which_criterion_ranked_it(people: Any, home: LiveHub) -> None:
    await home.raise_event("bed_absent", device="bed-1")
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await people("Nina Berg", Role.LEAD)).open()).page
    await page.locator("#queue li[data-alarm]").first.click()
    await expect(page.locator("#alarm-card footer")).to_contain_text("Prioritet 1: tilsyn har merket noe")
    await expect(page.locator("#alarm-card footer")).to_contain_text("Løftet fra 2")
