"""A patrol with a telephone: asked to go, with four buttons, called off, out of contact; and handing over."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from central.console.accounts import Accounts
from central.console.roles import Role
from central.sql import Sql
from simulators.live_hub import LiveHub

PHONE = {"width": 390, "height": 844}
LOST_WITHIN_MS = 20_000
TOUCH_PX = 44
PATROL = "0" * 15 + "a"
_APART = """() => {
  const toasts = [...document.querySelectorAll('.toast')].map((one) => one.getBoundingClientRect().bottom);
  return Math.max(...toasts) <= document.querySelector('.big4').getBoundingClientRect().top;
}"""
_TEAM = Sql("INSERT INTO team (id, kind, name) VALUES (:id, 'patrol', 'Utrykning nord')")
_MEMBER = Sql("INSERT INTO team_member (team, account) VALUES (:team, :account)")


@pytest.fixture
async def pia(server: Any, people: Any) -> Any:
    """In the patrol, with a telephone, before the list."""
    services = server.services
    account = (await Accounts(services.store, services.clock).add("Pia Patrulje", Role.RESPONDER)).id
    async with services.store.write() as connection:
        await _TEAM.rows(connection, id=PATROL)
        await _MEMBER.rows(connection, team=PATROL, account=account)
    return await (await people("Pia Patrulje", size=PHONE)).open()


@pytest.fixture
async def desk(people: Any, home: LiveHub, pia: Any) -> Page:
    """Somebody at a desk who has taken an alarm, where there is a patrol to send."""
    assert pia is not None
    await home.raise_event("pendant_pressed")
    person = await (await people("Operator One")).open()
    await person.page.click("#take-next")
    await expect(person.page.locator("#alarm-holder")).to_contain_text("Du har alarmen")
    page: Page = person.page
    return page


def four(page: Page, key: str) -> Locator:
    return page.locator(f'#alarm-big4 [data-four="{key}"]')


async def send_patrol(page: Page) -> None:
    await page.click('.a-acts [data-open="dispatch-dialog"]')
    await page.select_option("#dispatch-team", PATROL)
    await page.click("#dispatch-dialog button[type=submit]")
    await expect(page.locator("#alarm-work")).to_contain_text("Utrykning nord")


async def test_a_patrol_is_asked_goes_and_is_done_with_the_four_buttons(desk: Page, pia: Any) -> None:
    phone = pia.page
    await send_patrol(desk)
    row = phone.locator('#queue li[data-stand="asks"]')
    await expect(row).to_contain_text("Sendt til Utrykning nord")
    await expect(phone.locator("#queue li.q-head:not(.uncovered)").first).to_contain_text("Venter på svar fra deg")
    await expect(phone.locator("#toasts .toast")).to_contain_text("Noen venter på svar fra deg: Trygghetsalarm")
    await row.click()
    await expect(phone.locator("#alarm-told")).to_contain_text("Utrykning nord er bedt om å dra")
    await expect(four(phone, "done")).to_contain_text("når du er fremme")
    await four(phone, "take").click()
    await expect(four(phone, "take")).to_contain_text("du, ")
    await expect(desk.locator("#alarm-work")).to_contain_text("godtatt")
    await phone.click("#alarm-told [data-post$='/on-the-way']")
    await expect(desk.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "on_the_way")
    await four(phone, "on_site").click()
    await expect(four(phone, "pass_on")).to_have_attribute("aria-disabled", "true")
    await expect(phone.locator("#toasts .toast").last).to_contain_text("Du er fremme hos bruker")
    assert await phone.evaluate(_APART), "what is said lies over a button"
    await four(phone, "done").click()
    await expect(phone.locator("#alarm-told")).to_contain_text("Operator One avslutter alarmen")
    await expect(desk.locator("#alarm-work")).to_contain_text("ferdig")


async def test_a_patrol_says_no_with_a_reason_and_one_is_needed(desk: Page, pia: Any) -> None:
    phone = pia.page
    await send_patrol(desk)
    await phone.locator('#queue li[data-stand="asks"]').click()
    await four(phone, "pass_on").click()
    await phone.click("#decline-dialog button[type=submit]")
    await expect(phone.locator("#decline-dialog")).to_be_visible()  # not without a reason
    await phone.click("#decline-dialog .choice:has-text('For langt unna')")
    await phone.click("#decline-dialog button[type=submit]")
    await expect(phone.locator("#alarm-told")).to_contain_text("Du avslo")
    await expect(desk.locator("#alarm-work")).to_contain_text("For langt unna")


async def test_who_is_called_off_on_the_way_is_told_and_the_list_says_so(desk: Page, pia: Any) -> None:
    phone = pia.page
    await pia.go_on_duty()
    await send_patrol(desk)
    await expect(phone.locator("body")).to_have_attribute("data-sounding", "1")
    await phone.locator('#queue li[data-stand="asks"]').click()
    await expect(phone.locator("body")).to_have_attribute("data-sounding", "")
    await four(phone, "take").click()
    await expect(four(phone, "take")).to_contain_text("du, ")
    await phone.click("#alarm-back")
    await expect(phone.locator('#queue li[data-stand="mine"]')).to_contain_text("Du har sagt ja")
    await desk.click('#alarm-work [data-post$="/cancelled"]')
    await expect(phone.locator('#queue li[data-stand="off"]')).to_contain_text("Avlyst")
    await expect(phone.locator(".toast.warn")).to_contain_text("Du trenger ikke dra: Trygghetsalarm")
    await expect(phone.locator("body")).to_have_attribute("data-sounding", "2")
    await phone.locator('#queue li[data-stand="off"] a').click()
    await expect(phone.locator("#alarm-told")).to_contain_text("Operator One avlyste oppdraget")
    await expect(phone.locator("body")).to_have_attribute("data-sounding", "")


async def test_an_alarm_is_passed_on_as_an_offer_from_a_telephone(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    one = (await (await people("Operator One", size=PHONE)).open()).page
    two = (await (await people("Operator Two", Role.LEAD, size=PHONE)).open()).page
    await one.locator("#queue li[data-alarm]").click()
    await four(one, "take").click()
    await expect(four(one, "take")).to_contain_text("du, ")
    await four(one, "pass_on").click()
    await one.select_option("#offer-to", label="Operator Two")
    await one.fill("#offer-note", "Jeg er ferdig på vakt")
    await one.click("#offer-dialog button[type=submit]")
    await expect(four(one, "pass_on")).to_contain_text("tilbudt Operator Two")
    await expect(two.locator('#queue li[data-stand="asks"]')).to_contain_text("Tilbudt av Operator One")
    await two.locator('#queue li[data-stand="asks"]').click()
    await expect(two.locator("#alarm-told")).to_contain_text("Jeg er ferdig på vakt")
    await one.click("#alarm-told [data-post$='/withdraw']")
    await expect(two.locator("#alarm-told")).to_contain_text("Operator One trakk tilbudet tilbake")
    await expect(four(one, "pass_on")).to_contain_text("til person eller team")
    await four(one, "pass_on").click()
    await one.select_option("#offer-to", label="Operator Two")
    await one.click("#offer-dialog button[type=submit]")
    await four(two, "take").click()
    await expect(two.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await expect(four(one, "take")).to_contain_text("Operator Two")
    await expect(one.locator("#alarm-live")).to_have_attribute("data-mine", "no")


async def test_the_gate_asks_which_teams_and_wants_one(pia: Any) -> None:
    page = pia.page
    await page.click("#duty")
    own = page.locator("#gate-teams label", has_text="Utrykning nord")
    await expect(own.locator("input")).to_be_checked()
    await expect(page.locator("#gate-teams label", has_text="Responssenteret").locator("input")).not_to_be_checked()
    await own.click()
    await page.click("#gate-play")
    await page.click("#gate-yes")
    await expect(page.locator("#gate-none")).to_contain_text("Velg minst ett team")
    await own.click()
    await page.click("#gate-yes")
    await expect(page.locator("#gate")).to_be_hidden()
    await expect(page.locator("#duty .duty-hint")).to_have_text("Utrykning nord")


async def test_out_of_contact_a_telephone_says_so_keeps_what_was_written_and_recovers(people: Any, server: Any) -> None:
    async with LiveHub(server.running.central, "Solbakken 214") as home:
        await home.raise_event("pendant_pressed")
        page = (await (await people("Operator One", size=PHONE)).open()).page
        await page.locator("#queue li[data-alarm]").click()
        await four(page, "take").click()
        await expect(four(page, "take")).to_contain_text("du, ")
        await four(page, "done").click()
        await page.fill("#close-note", "Halvskrevet")
    await server.stop()
    banner = page.locator("#lost[role=alert] .banner")
    await expect(banner).to_be_visible(timeout=LOST_WITHIN_MS)
    await expect(banner).to_be_in_viewport()
    await expect(page.locator("#alarm .stale-mark")).to_contain_text("Slik det var")
    await expect(page.locator("#close-hint")).to_contain_text("Ingen kontakt")
    await page.click("#close-submit", force=True)
    await expect(page.locator("#close-note")).to_have_value("Halvskrevet")
    await expect(four(page, "on_site")).to_contain_text("ingen kontakt")
    await expect(four(page, "on_site")).to_have_attribute("aria-disabled", "true")
    await page.click("#alarm-back")
    await expect(page.locator("#queue li[data-alarm]")).to_be_visible()  # the list is still there
    await page.locator("#queue li[data-alarm]").click()
    await expect(page.locator("#close-note")).to_have_value("Halvskrevet")  # and so is the alarm
    await server.start()
    await expect(banner).to_be_hidden(timeout=LOST_WITHIN_MS)
    await expect(page.locator("#alarm .stale-mark")).to_be_hidden()
    await expect(four(page, "on_site")).not_to_have_attribute("aria-disabled", "true")
    await expect(page.locator("#close-note")).to_have_value("Halvskrevet")


async def test_a_form_is_not_lost_when_central_is_away(people: Any, server: Any) -> None:
    person = await (await people("Nina Berg", Role.LEAD, size=PHONE)).open("/residents/new")
    page = person.page
    field = page.locator("main form .input").first
    await field.fill("Halvskrevet")
    await server.stop()
    await page.click("main form button[type=submit]")
    banner = page.locator("#lost[role=alert] .banner")
    await expect(banner).to_contain_text("Mistet kontakt")
    await expect(banner).to_contain_text("blir stående")
    await expect(field).to_have_value("Halvskrevet")
    await server.start()
    await expect(banner).to_be_hidden(timeout=LOST_WITHIN_MS)
    await expect(field).to_have_value("Halvskrevet")


_SMALL = f"""() => [...document.querySelectorAll('button, a, select, input:not([type=hidden]), textarea, summary')]
  .filter(node => node.checkVisibility() && !node.closest('.skip, .vh, p, td, dd, li, dialog:not([open])'))
  .map(node => [node.closest('label') ?? node, node])
  .map(([node, inner]) => [node.getBoundingClientRect(), inner])
  .filter(([box]) => box.width && box.height < {TOUCH_PX} - 0.5)
  .map(([box, node]) => `${{Math.round(box.height)}} ${{node.outerHTML.slice(0, 90)}}`)"""


async def test_what_is_pressed_with_a_thumb_is_large_enough(desk: Page, pia: Any) -> None:
    phone = pia.page
    await send_patrol(desk)
    assert await phone.evaluate(_SMALL) == []
    await phone.locator('#queue li[data-stand="asks"]').click()
    await expect(phone.locator("#alarm-told")).to_contain_text("er bedt om å dra")
    assert await phone.evaluate(_SMALL) == []
    await four(phone, "pass_on").click()
    assert await phone.evaluate(_SMALL) == []
