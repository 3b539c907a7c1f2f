"""Signed out in the middle of something, in a browser: nothing written is lost, nor shown to another."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Page, expect

from central.console.accounts import Accounts
from central.console.roles import Role
from central.sql import Sql
from simulators.furnished import RESIDENT, furnish

PHONE = {"width": 390, "height": 844}
PASSWORD = "en lang setning om fisk"
TYPED = "Ringte datteren, hun kommer"
_OVER = Sql("UPDATE session SET expires_ms = 0")


@pytest.fixture
async def lead(server: Any, people: Any) -> Any:
    """Somebody with a password, signed in."""
    accounts = Accounts(server.services.store, server.services.clock)
    account = await accounts.add("Lead One", Role.LEAD)
    await accounts.set_password(account.id, PASSWORD)
    return await people("Lead One", Role.LEAD, size=PHONE)


async def end_sessions(server: Any) -> None:
    async with server.services.store.write() as connection:
        await _OVER.rows(connection)


async def sign_in_again(page: Page) -> None:
    dialog = page.locator("#again")
    await expect(dialog).to_be_visible()
    await page.fill("#again-password", "noe helt annet")
    await page.keyboard.press("Enter")
    await expect(page.locator("#again-fault")).to_contain_text("ikke passordet ditt")
    await page.fill("#again-password", PASSWORD)
    await page.keyboard.press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#again-said")).to_contain_text("trykk en gang til")


async def press_when_over(page: Page, selector: str) -> None:
    """Press it; the stream may have said before that the session is over, and then its banner asks."""
    await page.evaluate("one => document.querySelector(one).click()", selector)
    await page.locator("#again[open], #lost:not([hidden])").first.wait_for(state="attached")
    if not await page.locator("#again").is_visible():
        await page.click("#try-now")


async def test_an_alarm_is_claimed_and_closed_by_who_is_signed_out_while_at_it(
    server: Any, home: Any, lead: Any, shots: Any
) -> None:
    await home.raise_event("pendant_pressed")
    alarms = server.services.alarms
    alarm = (await alarms.queue())[0].id
    page = (await lead.open(f"/alarms/{alarm}")).page
    await end_sessions(server)
    await press_when_over(page, "#alarm-big4 [data-act=claim]")
    await expect(page.locator("#again")).to_be_visible()
    await page.screenshot(path=shots / "again-phone.png")
    assert (await alarms.alarm(alarm)).alarm.owner is None
    await sign_in_again(page)
    assert (await alarms.alarm(alarm)).alarm.owner is None  # nothing is done by itself
    await expect(page.locator("#lost")).to_be_hidden()
    await page.click("[data-act=claim] >> visible=true")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await page.locator('#alarm-big4 [data-four="done"]').click()
    await page.check("#close-form input[value=cleared_by_phone]", force=True)
    await page.select_option("#close-outcome", "anxiety")
    await page.fill("#close-note", TYPED)
    await end_sessions(server)
    await press_when_over(page, "#close-submit")
    await sign_in_again(page)
    await expect(page.locator("#lost")).to_be_hidden()
    await expect(page.locator("#close-note")).to_have_value(TYPED)
    assert (await alarms.alarm(alarm)).alarm.closed_ms is None
    await page.click("#close-submit")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-open", "no")
    assert (await alarms.alarm(alarm)).alarm.outcome == "anxiety"


async def test_a_form_of_the_office_stays_as_it_was_and_is_sent_again(server: Any, lead: Any) -> None:
    await furnish(server.services)
    page = (await lead.open(f"/residents/{RESIDENT}/contacts/new")).page
    await page.fill("#name", "Sigrid Nes")
    await page.fill("#phone", "+47 900 00 003")
    await end_sessions(server)
    await page.click("#do-more")  # a part of the page, fetched by the script
    await sign_in_again(page)
    await expect(page.locator("#name")).to_have_value("Sigrid Nes")
    await page.click("#do-more")
    await expect(page.locator("#h1-begin")).to_be_visible()
    await expect(page.locator("#name")).to_have_value("Sigrid Nes")
    await end_sessions(server)
    await page.click("#save")
    await sign_in_again(page)
    await page.click("#save")
    await page.wait_for_url(f"**/residents/{RESIDENT}")
    await expect(page.locator("main")).to_contain_text("Sigrid Nes")


async def test_who_has_signed_in_anew_in_another_window_notices_nothing(server: Any, home: Any, lead: Any) -> None:
    await home.raise_event("pendant_pressed")
    alarm = (await server.services.alarms.queue())[0].id
    page = (await lead.open(f"/alarms/{alarm}")).page
    without_stream = await lead.context.new_page()
    await without_stream.goto(server.url + "/me")
    await end_sessions(server)
    other = await lead.context.new_page()
    await other.goto(server.url + "/sign-in")
    await other.fill("#name", "Lead One")
    await other.fill("#password", PASSWORD)
    await other.click("main button.primary")
    await other.wait_for_url(server.url + "/")
    await expect(page.locator("#lost")).to_contain_text("Du er logget av")
    await page.click("#try-now")
    await expect(page.locator("#lost")).to_be_hidden()
    await expect(page.locator("#again")).to_be_hidden()
    await page.click("[data-act=claim] >> visible=true")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    said = f"import('/static/js/server.js').then(its => its.post('/api/v1/alarms/{alarm}/on-the-way'))"
    assert (await without_stream.evaluate(said))["status"] == 200  # with the token as it is now


async def test_somebody_else_at_the_same_computer_sees_nothing_of_what_was_written(
    server: Any, home: Any, lead: Any
) -> None:
    await home.raise_event("pendant_pressed")
    alarm = (await server.services.alarms.queue())[0].id
    page = (await lead.open(f"/alarms/{alarm}")).page
    await page.click("[data-act=claim] >> visible=true")
    await page.locator('#alarm-big4 [data-four="done"]').click()
    await page.check("#close-form input[value=cleared_by_phone]", force=True)
    await page.select_option("#close-outcome", "anxiety")
    await page.fill("#close-note", TYPED)
    await end_sessions(server)
    accounts = Accounts(server.services.store, server.services.clock)
    another = await accounts.add("Lead Two", Role.LEAD)
    second = await lead.context.new_page()
    await second.goto(f"{server.url}/link/{await accounts.new_link(another.id, 5)}?next=/me")
    await second.click("main button[type=submit]")
    await second.wait_for_url("**/me")
    await expect(page.locator("#lost")).to_contain_text("Du er logget av")
    await page.click("#try-now")
    await page.wait_for_url(server.url + "/")  # the page of the other is left
    await page.goto(f"{server.url}/alarms/{alarm}")
    await expect(page.locator("#close-note")).to_have_value("")
    kept = await page.evaluate("JSON.stringify({...sessionStorage})")
    assert TYPED not in kept


async def test_without_a_script_the_form_comes_back_after_signing_in(
    server: Any, chromium: Any, lead: Any, shots: Any
) -> None:
    await furnish(server.services)
    state = await lead.context.storage_state()
    context = await chromium.new_context(
        viewport=PHONE, locale="nb-NO", color_scheme="dark", java_script_enabled=False, storage_state=state
    )
    page = await context.new_page()
    await page.goto(f"{server.url}/residents/{RESIDENT}/contacts/new")
    await page.fill("#name", "Sigrid Nes")
    await page.fill("#phone", "+47 900 00 003")
    await page.fill("#relation", 'niese <b>"x"</b>')
    await end_sessions(server)
    await page.click("#save")
    await expect(page.locator("[role=status]")).to_contain_text("Du var logget av")
    await page.screenshot(path=shots / "signed-out-form-phone.png")
    await page.fill("#password", "noe helt annet")
    await page.click("main button.primary")
    await page.fill("#password", PASSWORD)
    await page.click("main button.primary")
    await expect(page.locator("main h1")).to_have_text("Det du skrev, er tilbake")
    await expect(page.locator("main")).to_contain_text('niese <b>"x"</b>')
    await page.screenshot(path=shots / "kept-phone.png")
    await page.click("main button.primary")
    await page.wait_for_url(f"**/residents/{RESIDENT}")
    await expect(page.locator("main")).to_contain_text("Sigrid Nes")
    await context.close()


async def test_a_note_on_an_alarm_stays_in_its_field_until_it_is_sent(
    server: Any, home: Any, lead: Any, shots: Any
) -> None:
    await home.raise_event("pendant_pressed")
    alarms = server.services.alarms
    alarm = (await alarms.queue())[0].id
    page = (await lead.open(f"/alarms/{alarm}")).page
    await page.fill("#note-text", TYPED)
    await end_sessions(server)
    await press_when_over(page, "#note-form [type=submit]")
    await sign_in_again(page)
    await expect(page.locator("#note-text")).to_have_value(TYPED)
    await page.reload()
    await expect(page.locator("#note-text")).to_have_value(TYPED)
    await page.screenshot(path=shots / "note-phone.png", full_page=True)
    await page.click("[data-act=claim] >> visible=true")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await page.locator('#alarm-big4 [data-four="done"]').click()
    await page.check("#close-form input[value=test]", force=True)
    await page.select_option("#close-outcome", "mis_press")
    await expect(page.locator("#close-hint")).to_contain_text("begynt på et notat")
    await page.click("#note-form [type=submit]")
    await expect(page.locator("#alarm-history")).to_contain_text(TYPED)
    await expect(page.locator("#note-text")).to_have_value("")
    noted = [one.actor_name for one in (await alarms.alarm(alarm)).timeline if one.what == "noted"]
    assert noted == ["Lead One"]
