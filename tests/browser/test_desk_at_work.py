"""What the desk does for whoever sits at it: text for the journal, and no word lost to a colleague who was faster."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from playwright.async_api import Route, expect

from central.console.accounts import Accounts
from central.console.roles import Role
from central.views import Actor
from simulators.furnished import RESIDENT, furnish
from simulators.live_hub import LiveHub

LEAD = Actor(id="other", name="Operator Two", role="lead")
PATROL = Actor(id="patrol", name="Kari Dal", role="responder")


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


async def test_a_note_that_arrives_while_another_alarm_is_open_is_no_draft_of_either(
    people: Any, server: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed")
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await people("Nina Berg", Role.LEAD)).open()).page
    rows, may_arrive = page.locator("#queue li[data-alarm]"), asyncio.Event()

    async def late(route: Route) -> None:
        await may_arrive.wait()
        await route.continue_()

    await page.route("**/notes", late)
    await rows.nth(0).click()
    sent = await page.locator("#alarm").get_attribute("data-alarm")
    await page.fill("#note-text", "Ringte datteren")
    await page.click("#note-form [type=submit]")
    await rows.nth(1).click()
    await expect(page.locator("#alarm")).not_to_have_attribute("data-alarm", str(sent))
    await page.fill("#note-text", "Noe annet")
    may_arrive.set()
    await expect(page.locator(".toast")).to_contain_text("lagt til")
    await expect(page.locator("#note-text")).to_have_value("Noe annet")
    await rows.nth(0).click()
    await expect(page.locator("#alarm-history")).to_contain_text("Ringte datteren")
    await expect(page.locator("#note-text")).to_have_value("")
    await rows.nth(1).click()
    await expect(page.locator("#note-text")).to_have_value("Noe annet")


async def test_a_press_that_came_before_the_outcome_was_sent_is_not_closed_with_it(
    people: Any, server: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed")
    page = (await (await people("Operator One")).open()).page
    await page.keyboard.press("n")
    await page.click(".choice:has-text('Avklart på telefon')")
    await page.select_option("#close-outcome", "anxiety")
    await page.fill("#close-note", "Trengte en prat")
    alarm = (await server.services.alarms.queue())[0]
    # The press is stored, and the page has not heard of it yet.
    await page.route("**/part", lambda route: route.abort())
    await home.raise_event("pendant_pressed")
    await page.click("#close-submit")
    await expect(page.locator(".toast.warn")).to_contain_text("se over, og prøv igjen")
    assert (await server.services.alarms.alarm(alarm.id)).alarm.is_open
    # Now it stands there, for too short a time to have been read.
    await page.unroute("**/part")
    await home.raise_event("pendant_pressed")
    await expect(page.locator(".a-name")).to_contain_text("3 ganger")
    await expect(page.locator("#close-hint")).to_contain_text("nettopp")
    await page.click("#close-submit", force=True)
    assert (await server.services.alarms.alarm(alarm.id)).alarm.is_open
    await expect(page.locator("#close-note")).to_have_value("Trengte en prat")
    await expect(page.locator("#close-submit")).to_have_attribute("aria-disabled", "false")
    await page.click("#close-submit")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-open", "no")


async def test_the_alarm_says_which_criterion_ranked_it(people: Any, home: LiveHub) -> None:
    await home.raise_event("bed_absent", device="bed-1")
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await people("Nina Berg", Role.LEAD)).open()).page
    await page.locator("#queue li[data-alarm]").first.click()
    await expect(page.locator("#alarm-card footer")).to_contain_text("Prioritet 1: tilsyn har merket noe")
    await expect(page.locator("#alarm-card footer")).to_contain_text("Løftet fra 2")


NO_TELEPHONE = "addEventListener('click', (e) => { if (e.target.closest('a[href^=tel]')) e.preventDefault(); })"
"""A browser without a telephone asks what to do with a number, and takes no clicks until somebody has said so."""


async def test_a_number_that_is_called_asks_what_came_of_it_and_remembers(
    people: Any, server: Any, home: LiveHub
) -> None:
    operator = await people("Nina Berg", Role.LEAD)
    patrol = await furnish(server.services)
    await home.raise_event("pendant_pressed", resident=RESIDENT)
    page = (await operator.open()).page
    await page.keyboard.press("n")
    await page.evaluate(NO_TELEPHONE)
    await page.locator("#alarm-resident [data-call=contact]").first.click()
    await expect(page.locator("#call-whom")).to_have_text("Sunniva Myklebust")
    await page.click("#call-dialog button[type=submit]")  # nothing is taken for granted about a resident
    await expect(page.locator("#call-dialog")).to_be_visible()
    await page.locator("#call-dialog label.choice", has_text="Ikke svar").click()
    await page.click("#call-dialog button[type=submit]")
    await expect(page.locator("#alarm-resident .contact").first.locator(".tried")).to_contain_text("ikke svar")
    await expect(page.locator("#alarm-history")).to_contain_text("Pårørende. Ikke svar")
    await page.keyboard.press("d")  # where patrols are set up, one of them is chosen
    await expect(page.locator("#dispatch-team")).to_have_value(patrol)
    await expect(page.locator("#dispatch-dialog button[type=submit]")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#alarm-work")).to_contain_text("Nattpatruljen")
    sent = (await server.services.alarms.alarm((await server.services.alarms.queue())[0].id)).sent[0]
    for step in ("accepted", "on_site", "done"):
        await server.services.alarms.dispatch_step(sent.id, PATROL, step)
    await expect(page.locator("#alarm-work")).to_contain_text("ferdig")
    await expect(page.locator(".a-acts .btn.primary")).to_have_attribute("data-act", "outcome")


async def test_a_call_and_a_hand_over_have_their_keys_but_not_while_one_types(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    page = (await (await people("Operator One")).open()).page
    call, offer = page.locator("#call-dialog"), page.locator("#offer-dialog")
    await page.keyboard.press("c")
    await page.keyboard.press("h")  # no alarm is open
    await page.locator("#queue li[data-alarm]").first.click()
    await expect(page.locator("#alarm-title")).to_have_text("Trygghetsalarm")
    await page.keyboard.press("h")  # nobody hands over what they do not have
    await expect(offer).to_be_hidden()
    await page.keyboard.press("t")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await page.keyboard.press("c")
    await expect(call).to_be_visible()
    await page.keyboard.press("h")  # one thing at a time
    await expect(offer).to_be_hidden()
    await page.locator("#call-dialog label.choice", has_text="Ikke svar").click()
    await page.keyboard.press("Enter")
    await expect(page.locator("#alarm-history")).to_contain_text("ikke svar", ignore_case=True)
    await expect(call).to_be_hidden()
    await page.keyboard.press("h")
    await expect(offer).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(offer).to_be_hidden()
    await expect(page.locator("#alarm-live")).to_be_visible()  # Escape has closed the dialog, and not the alarm
    await page.click("#note-text")
    await page.keyboard.type("Ch ch")
    await expect(page.locator("#note-text")).to_have_value("Ch ch")
    await expect(call).to_be_hidden()
    await expect(offer).to_be_hidden()


async def test_a_call_and_a_hand_over_have_no_keys_where_single_keys_are_switched_off(
    people: Any, server: Any, home: LiveHub
) -> None:
    await home.raise_event("pendant_pressed")
    operator = await people("Operator One")
    accounts = Accounts(server.services.store, server.services.clock)
    account = await accounts.id_of("Operator One")
    assert account is not None
    await accounts.set_preferences(account, language="nb", theme="auto", has_single_keys=False)
    page = (await operator.open()).page
    await page.locator("#queue li[data-alarm]").first.click()
    await page.locator(".a-acts [data-act=claim]").click()
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    for key, dialog in (("c", "call-dialog"), ("h", "offer-dialog")):
        await page.keyboard.press(key)
        await expect(page.locator(f"#{dialog}")).to_be_hidden()
        await page.locator(f".a-acts [data-open={dialog}]").click()  # the button does it all the same
        await expect(page.locator(f"#{dialog}")).to_be_visible()
        await page.keyboard.press("Escape")


async def test_the_tab_says_how_many_wait_and_colours_change_without_a_reload(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    page = (await (await people("Operator One")).open()).page
    await expect(page).to_have_title(re.compile(r"^\(1\) "))
    await expect(page.locator("link[rel=icon]")).to_have_attribute("href", re.compile("^data:image/svg"))
    await page.keyboard.press("n")
    await expect(page).to_have_title(re.compile("^Trygghetsalarm"))
    await expect(page.locator("link[rel=icon]")).to_have_attribute("href", "/static/brand.svg")
    await page.evaluate("window.stays = true")
    await page.click("#menu > summary")
    async with page.expect_response("**/me"):
        await page.click("#theme [value=light]")
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")
    assert await page.evaluate("window.stays")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "light")


async def test_on_duty_other_pages_open_beside_the_queue(people: Any, home: LiveHub) -> None:
    page = (await (await (await people("Operator One")).open()).go_on_duty()).page
    await expect(page.locator("#duty")).to_contain_text("På vakt")
    async with page.context.expect_page() as beside:
        await page.click(".topbar .nav a[href='/plans']")
    await (await beside.value).wait_for_url("**/plans")
    await expect(page.locator("#duty")).to_contain_text("På vakt")
    await page.click(".topbar .nav a[href='/']")
    await expect(page.locator("#duty")).to_contain_text("På vakt")  # nothing was loaded anew
