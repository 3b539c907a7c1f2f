"""The console as people use it: two at a time, by keyboard, on a phone, with the server gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, expect

from central.access import EVERYTHING
from central.console.accounts import Accounts
from central.console.roles import Role
from central.lifecycle import Disposition, KindOfHelp
from central.outcomes import Outcome, OutcomeList
from central.routines.outcomes import Outcomes, shipped
from central.sql import Sql
from central.views import SYSTEM
from cloud_sync.health import HealthResult
from simulators.live_hub import LiveHub

expect.set_options(timeout=8_000)
LOST_WITHIN_MS = 20_000


def row(page: Page, text: str) -> Any:
    return page.locator("#queue li[data-alarm]", has_text=text)


async def test_an_alarm_appears_at_both_one_takes_it_and_the_other_sees_who(people: Any, home: LiveHub) -> None:
    first = await (await people("Operator One")).open()
    other = await (await people("Operator Two", Role.LEAD)).open()
    await expect(first.page.locator("#calm h1")).to_have_text("Ingen alarmer venter")
    await home.raise_event("pendant_pressed")
    for person in (first, other):
        await expect(row(person.page, "Trygghetsalarm")).to_contain_text("Solbakken 214")
        await expect(person.page).to_have_title("(1) Alarmer · Vaktpost")
    await first.page.click("#take-next")
    await expect(first.page.locator("#alarm-holder")).to_contain_text("Du har alarmen")
    await expect(row(first.page, "Du har den")).to_be_visible()
    await expect(row(other.page, "Tatt av Operator One")).to_be_visible()
    await row(other.page, "Trygghetsalarm").click()
    await expect(other.page.locator("#alarm-holder")).to_contain_text("Operator One har alarmen")
    await expect(other.page.locator(".a-acts [data-act=claim]")).to_have_attribute("aria-disabled", "true")
    await expect(first.page.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "taken")
    await first.page.click(".a-acts [data-act='on-the-way']")
    await expect(other.page.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "on_the_way")


async def test_two_who_press_take_at_once_are_told_who_was_first(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    first = await (await people("Operator One")).open()
    other = await (await people("Operator Two", Role.LEAD)).open()
    for person in (first, other):
        await row(person.page, "Trygghetsalarm").click()
        await expect(person.page.locator(".a-acts [data-act=claim]")).to_be_enabled()
    await asyncio.gather(*(person.page.click(".a-acts [data-act=claim]") for person in (first, other)))
    for person in (first, other):
        await expect(person.page.locator("#toasts .toast")).to_be_visible()
    texts = [await person.page.locator("#toasts .toast").inner_text() for person in (first, other)]
    assert sum("Du tok alarmen" in text for text in texts) == 1
    loser, winner = ("Operator One", "Operator Two") if "Du tok" in texts[1] else ("Operator Two", "Operator One")
    assert any(f"{winner} har denne alarmen" in text for text in texts), loser


async def test_closing_needs_an_outcome_and_can_be_undone(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    first = await (await people("Operator One")).open()
    page = first.page
    await page.click("#take-next")
    await expect(page.locator("#close-hint")).to_contain_text("Velg tiltak og hva det var")
    await page.click("#close-submit", force=True)
    await expect(page.locator("#alarm-live")).to_have_attribute("data-open", "yes")
    await page.click(".choice:has-text('Avklart på telefon')")
    await expect(page.locator("#close-hint")).to_contain_text("Velg hva det var")
    await page.fill("#close-note", "Satt på sengekanten")
    await page.reload()  # what was written is kept
    await expect(page.locator("#close-note")).to_have_value("Satt på sengekanten")
    await page.select_option("#close-outcome", "anxiety")
    await page.click("#close-submit")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-open", "no")
    await expect(page.locator("#alarm-facts")).to_contain_text("Uro, angst")
    await expect(page.locator("#alarm-close")).to_be_hidden()
    await page.keyboard.press("z")
    await expect(page.locator("#alarm-holder")).to_contain_text("Du har alarmen")
    await expect(page.locator("#alarm-close")).to_be_visible()


async def test_everything_works_by_keyboard(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await people("Operator One")).open()).page
    await page.keyboard.press("?")
    await expect(page.locator("#help")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#help")).to_be_hidden()
    await page.keyboard.press("n")
    await expect(page.locator("#alarm-title")).to_have_text("Trygghetsalarm")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "claimed")
    await page.keyboard.press("d")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "on_the_way")
    await page.keyboard.press("o")
    await expect(page.locator("input[name=disposition]").first).to_be_focused()
    await page.keyboard.press("Space")
    await page.focus("#close-note")
    await page.keyboard.type("nodz?")  # letters in a field are letters
    await expect(page.locator("#close-note")).to_have_value("nodz?")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(page.locator("#calm")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.locator("#alarm-title")).to_have_text("Ute av seng")
    await page.keyboard.press("t")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await page.keyboard.press("z")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "waiting")


async def test_single_keys_can_be_switched_off(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    first = await people("Operator One")
    await first.open("/me")
    await first.page.click("fieldset:has-text('Hurtigtaster') .choice:has-text('Av')")
    await first.page.click("main button[type=submit]")
    await expect(first.page.locator("main [role=status]")).to_be_visible()
    await first.open()
    await first.page.keyboard.press("n")
    await first.page.keyboard.press("?")
    await home.raise_event("smoke", device="smoke-1")
    await expect(row(first.page, "Røykvarsler")).to_be_visible()
    await expect(row(first.page, "Du har den")).to_have_count(0)
    await expect(first.page.locator("#help")).to_be_hidden()


async def test_a_row_never_moves_under_the_pointer(people: Any, home: LiveHub) -> None:
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await people("Operator One")).open()).page
    bed = row(page, "Ute av seng")
    await bed.hover()
    before = await bed.bounding_box()
    await home.raise_event("smoke", device="smoke-1")
    await expect(page.locator("#held")).to_contain_text("1 ny over")
    assert await bed.bounding_box() == before
    assert await page.evaluate("document.querySelector('#queue li[data-alarm]').dataset.title") == "Ute av seng"
    await page.mouse.move(900, 500)
    await expect(page.locator("#held")).to_be_hidden()
    await expect(page.locator("#queue li[data-alarm]").first).to_contain_text("Røykvarsler")


async def test_an_alarm_sounds_although_its_row_waits_above_the_pointer(people: Any, home: LiveHub) -> None:
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await (await people("Operator One")).open()).go_on_duty()).page
    await expect(page.locator("body")).to_have_attribute("data-sounding", "2")
    await row(page, "Ute av seng").hover()
    await home.raise_event("smoke", device="smoke-1")
    await expect(page.locator("#held")).to_contain_text("1 ny over")
    await expect(page.locator("body")).to_have_attribute("data-sounding", "0")
    await expect(page.locator("#announce")).to_contain_text("Røykvarsler")


async def test_focus_stays_on_its_row_while_others_come(people: Any, home: LiveHub) -> None:
    await home.raise_event("bed_absent", device="bed-1")
    page = (await (await people("Operator One")).open()).page
    await page.keyboard.press("ArrowDown")
    await home.raise_event("smoke", device="smoke-1")
    await expect(page.locator("#held")).to_contain_text("1 ny over")
    assert "Ute av seng" in await page.evaluate("document.activeElement.textContent")
    await page.click("#held-show")
    await expect(page.locator("#queue li[data-alarm]").first).to_contain_text("Røykvarsler")


async def test_a_dead_server_is_seen_within_seconds_and_its_return_too(people: Any, server: Any) -> None:
    async with LiveHub(server.running.central, "Solbakken 214") as home:
        await home.raise_event("pendant_pressed")
        page = (await (await people("Operator One")).open()).page
        await page.click("#take-next")
        await expect(page.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "taken")
        await page.fill("#close-note", "halvferdig")
    await server.stop()
    banner = page.locator("#lost[role=alert] .banner")
    await expect(page.locator("#beat")).to_contain_text("Ingen kontakt på 1", timeout=LOST_WITHIN_MS)
    await expect(banner).to_contain_text("Mistet kontakt med mottakssystemet", timeout=LOST_WITHIN_MS)
    assert (await banner.bounding_box())["width"] == 1440
    await expect(page.locator("#beat")).to_contain_text("Ingen kontakt")
    await expect(page.locator(".homelamp .when-lost")).to_contain_text("ukjent")
    await expect(page.locator(".homelamp .when-contact")).to_be_hidden()
    await expect(page.locator("#take-next")).to_have_attribute("aria-disabled", "true")
    await page.keyboard.press("Escape")
    await page.keyboard.press("d")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "claimed")
    await server.start()
    await expect(banner).to_be_hidden(timeout=LOST_WITHIN_MS)
    async with LiveHub(server.running.central, "Kvernvegen 3") as home:
        await home.raise_event("smoke", device="smoke-1")
        await expect(row(page, "Røykvarsler")).to_be_visible()
    await expect(page.locator("#close-note")).to_have_value("halvferdig")


_HIDDEN = """() => {
  // A headless browser hides no window. This is what a hidden one does to its page: no frames are drawn, timers come
  // once a minute. Workers go on, as they do in a real one.
  const {setTimeout: later, setInterval: again, requestAnimationFrame: draw} = window;
  let hidden = false;
  const minute = (ms) => (hidden ? Math.max(ms, 60000) : ms);
  window.setTimeout = (work, ms = 0, ...rest) => later(work, minute(ms), ...rest);
  window.setInterval = (work, ms = 0, ...rest) => again(() => hidden || work(...rest), ms);
  window.requestAnimationFrame = (work) => (hidden ? 0 : draw(work));
  Object.defineProperty(Document.prototype, 'visibilityState', {get: () => (hidden ? 'hidden' : 'visible')});
  Object.defineProperty(Document.prototype, 'hidden', {get: () => hidden});
  window.hideWindow = (on) => { hidden = on; document.dispatchEvent(new Event('visibilitychange')); };
}"""


async def test_a_hidden_window_goes_on_receiving_and_sounding_and_notices_a_dead_server(
    people: Any, server: Any
) -> None:
    first = await people("Operator One")
    await first.context.add_init_script(f"({_HIDDEN})()")
    page = (await (await first.open()).go_on_duty()).page
    await page.evaluate("hideWindow(true)")
    async with LiveHub(server.running.central, "Solbakken 214") as home:
        await home.raise_event("pendant_pressed")
        await expect(row(page, "Trygghetsalarm")).to_have_count(1)
        await expect(page.locator("body")).to_have_attribute("data-sounding", "1")
        alarms = server.services.alarms
        assert (await alarms.queue())[0].shown_ms is None  # nobody has it before them
        await page.evaluate("hideWindow(false)")
        async with asyncio.timeout(10):
            while (await alarms.queue())[0].shown_ms is None:
                await asyncio.sleep(0.05)
    await page.evaluate("hideWindow(true)")
    await server.stop()
    await expect(page.locator("#lost[role=alert]")).to_contain_text("Mistet kontakt", timeout=LOST_WITHIN_MS)
    await expect(page.locator("body")).to_have_attribute("data-sounding", "lost")


async def test_going_on_duty_asks_whether_the_tone_was_heard_and_then_alarms_sound(people: Any, home: LiveHub) -> None:
    first = await (await people("Operator One")).open()
    page = first.page
    await page.click("#duty")
    await page.click("#gate-play")
    await page.click("#gate-no")
    await expect(page.locator("#gate-hint")).to_contain_text("høyttaler")
    await expect(page.locator("#duty")).to_contain_text("Gå på vakt")
    await page.click("#gate-yes")
    await expect(page.locator("#duty")).to_contain_text("På vakt, lyd på")
    await expect(page.locator(".empty-hint")).to_contain_text("lyden er på")
    await home.raise_event("pendant_pressed")
    await expect(page.locator("body")).to_have_attribute("data-sounding", "1")
    await home.raise_event("smoke", device="smoke-1")
    await expect(page.locator("body")).to_have_attribute("data-sounding", "0")
    await row(page, "Røykvarsler").click()
    await expect(page.locator("body")).to_have_attribute("data-sounding", "1")
    await row(page, "Trygghetsalarm").click()
    await expect(page.locator("body")).to_have_attribute("data-sounding", "")
    await page.click("#alarm-holder")
    await page.keyboard.press("Escape")
    await home.raise_event("pendant_pressed")  # pressed again: it sounds again
    await expect(page.locator("body")).to_have_attribute("data-sounding", "1")
    await page.reload()
    await expect(page.locator("#gate")).to_be_visible()  # a reload is silent until somebody clicks


async def test_the_console_speaks_english_and_norwegian(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    first = await (await people("Operator One")).open()
    assert await first.page.evaluate("document.documentElement.lang") == "nb"
    await expect(first.page.locator("#take-next")).to_contain_text("Ta neste")
    john = await (await people("John Smith", locale="en-GB")).open()
    assert await john.page.evaluate("document.documentElement.lang") == "en"
    await expect(john.page.locator("#take-next")).to_contain_text("Take next")
    await expect(row(john.page, "Pendant alarm")).to_contain_text("Urgent")
    await john.page.click("#take-next")
    await expect(john.page.locator("#toasts .toast")).to_contain_text("You took the alarm: Pendant alarm")
    await john.open("/me")
    await john.page.click(".choice:has-text('Norsk bokmål')")
    await john.page.click("main button[type=submit]")
    await expect(john.page.locator("main h1")).to_have_text("Dine innstillinger")


async def test_four_buttons_on_a_phone(people: Any, home: LiveHub) -> None:
    await home.raise_event("pendant_pressed")
    page = (await (await people("Operator One", size={"width": 390, "height": 844})).open()).page
    await row(page, "Trygghetsalarm").click()
    buttons = page.locator("#alarm-big4 .btn")
    await expect(buttons).to_have_count(4)
    for button in await buttons.all():
        box = await button.bounding_box()
        assert box["height"] >= 72
        assert box["y"] + box["height"] <= 844
    before = [await button.bounding_box() for button in await buttons.all()]
    await expect(page.locator('#alarm-big4 [data-four="on_site"]')).to_contain_text("når du har den")
    await page.click("#alarm-big4 [data-act=claim]")
    await expect(page.locator("#alarm-big4 .did")).to_contain_text("du,")
    await page.click(".a-acts [data-act='on-the-way']")  # the resident is told; then it makes room
    await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "on_the_way")
    await expect(page.locator(".a-acts [data-act='on-the-way']")).to_be_hidden()
    await expect(page.locator("#alarm-big4 .primary")).to_have_text("Fremme hos bruker")
    await page.click("#alarm-big4 [data-act='on-site']")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "on_site")
    await expect(page.locator("#alarm-big4 .primary")).to_have_text("Ferdig")
    places = [await button.bounding_box() for button in await buttons.all()]
    assert [round(place["x"]) for place in places] == [round(place["x"]) for place in before]
    await page.click("#alarm-big4 [data-act=outcome]")
    await page.click(".choice:has-text('Utrykning nå')")
    await page.select_option("#close-outcome", "fall")
    await page.click("#close-submit")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-open", "no")
    await page.click("#alarm-back")
    await expect(page.locator("#queue")).to_be_visible()
    await expect(page.locator("#calm")).to_be_hidden()


@pytest.fixture
async def frame() -> AsyncIterator[Any]:
    """A page of another origin on this machine, with room for a frame of 430 px."""
    target = ""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f'<!doctype html><title>beside</title><iframe src="{target}" width="430" height="760"></iframe>'
        writer.write(f"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n{body}".encode())
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]

    def show(url: str) -> str:
        nonlocal target
        target = url
        return f"http://127.0.0.1:{port}/"

    yield show
    listener.close()
    await listener.wait_closed()


async def test_the_compact_queue_works_inside_a_frame_of_another_page(people: Any, home: LiveHub, frame: Any) -> None:
    first = await people("Operator One")
    await first.page.goto(frame(f"{first.server.url}/?compact=1"))
    inner = first.page.frame_locator("iframe")
    await expect(inner.locator("#calm")).to_be_visible()
    await home.raise_event("pendant_pressed")
    await expect(inner.locator("#queue li[data-alarm]")).to_contain_text("Trygghetsalarm")
    await inner.locator(".a-acts [data-act=claim]").click()
    await expect(inner.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "taken")
    await inner.locator(".a-acts [data-act='on-the-way']").click()
    await inner.locator(".a-acts [data-act=outcome]").click()
    await inner.locator(".choice", has_text="Utrykning nå").click()
    await inner.locator("#close-outcome").select_option("fall")
    await inner.locator("#close-submit").click()
    await expect(inner.locator("#calm")).to_be_visible()
    box = first.page.frames[1]
    assert await box.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_a_session_that_ends_elsewhere_is_not_left_looking_alive(people: Any, server: Any) -> None:
    first = await (await people("Operator One")).open()
    accounts = Accounts(server.services.store, server.services.clock)
    await accounts.set_active(await accounts.id_of("Operator One"), is_active=False)
    await expect(first.page.locator("#lost")).to_contain_text("Du er logget av", timeout=LOST_WITHIN_MS)


async def test_a_technician_runs_a_check_from_the_page(people: Any, server: Any, health: HealthResult) -> None:
    async with LiveHub(server.running.central, "Solbakken 214", health=health) as home:
        tore = await people("Tore Berg", Role.TECHNICIAN)
        await tore.open("/hubs")
        await tore.page.click("text=Solbakken 214")
        await expect(tore.page.locator("#check-table")).to_contain_text("Aldri sjekket")
        await tore.page.click("#run")
        await expect(tore.page.locator("#check-table .tally")).to_contain_text("avvik")
        await expect(tore.page.locator("#check-sub")).to_contain_text("Svarte på")
        await home.hang_up()
        await tore.page.click("#run")
        await expect(tore.page.locator("#check-table")).to_contain_text("Ikke svar")
        await expect(tore.page.locator("#check-table .r-ok")).to_have_count(0)


async def test_an_outcome_that_cannot_be_closed_so_cannot_be_chosen_and_fixes_its_help(
    server: Any, people: Any, home: LiveHub
) -> None:
    services = server.services
    lists = Outcomes(services.store, services.clock)
    own = Outcome(
        code="lost_keys", nb="Mistet nøkkel", en="Lost keys", dispositions=(Disposition.VISIT_NOW,),
        help=KindOfHelp.PRACTICAL, help_only=True,
    )  # fmt: skip
    tenant = (await services.store.ask(Sql("SELECT id FROM tenant")))[0][0]
    await lists.write(SYSTEM, EVERYTHING, tenant, OutcomeList(outcomes=(own, *shipped().outcomes)), replaces=0)
    await home.raise_event("pendant_pressed")
    page = (await (await people("Operator One")).open()).page
    await page.click("#take-next")
    await page.select_option("#close-outcome", "lost_keys")
    await expect(page.locator("#close-help")).to_be_disabled()
    await page.click(".choice:has-text('Avklart på telefon')")
    await expect(page.locator("#close-hint")).to_contain_text("kan ikke avsluttes slik")
    await expect(page.locator("#close-outcome option[value=lost_keys]")).to_be_disabled()
    await page.click(".choice:has-text('Utrykning nå')")
    await page.click("#close-submit")
    await expect(page.locator("#alarm-live")).to_have_attribute("data-open", "no")
    await expect(page.locator("#alarm-facts")).to_contain_text("Mistet nøkkel")
    closed = (await services.alarms.recent())[0]
    assert (closed.outcome, closed.help) == ("lost_keys", "practical")
