"""Pictures for people to look at, and what can be measured of them: nothing sticks out, at a desk and on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from central.console.roles import Role
from simulators.heard_days import heard_for_days
from simulators.live_hub import LiveHub

DESK = {"width": 1440, "height": 900}
NARROW = {"width": 1100, "height": 800}
PHONE = {"width": 390, "height": 844}

_SMALL_TEXT = """() => [...document.querySelectorAll('body *')]
  .filter(node => [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim()))
  .filter(node => node.checkVisibility({opacityProperty: true, visibilityProperty: true}))
  .filter(node => !node.closest('svg, .who.sm') && parseFloat(getComputedStyle(node).fontSize) < 12.9)
  .map(node => node.outerHTML.slice(0, 80))"""
_STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll('button, a, h1, h2, input, .badge, td, .lamp')]
    .filter(node => node.checkVisibility() && !node.closest('.skip, .vh, .card.flow, .choice input'))
    .map(node => [node, node.getBoundingClientRect()])
    .filter(([, box]) => box.width && (box.right > width + 1 || box.left < -1))
    .map(([node]) => node.outerHTML.slice(0, 90));
}"""


async def look(page: Page, shots: Path, name: str) -> None:
    """Take the picture and measure."""
    await page.evaluate("document.fonts.ready")
    await page.screenshot(path=shots / f"{name}.png")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
    assert await page.evaluate(_STICKS_OUT) == [], name
    assert await page.evaluate(_SMALL_TEXT) == [], name


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("size", "word"), [(DESK, "desk"), (NARROW, "narrow"), (PHONE, "phone")])
async def test_the_queue_and_an_alarm(
    people: Any, night: Any, shots: Path, theme: str, size: dict[str, int], word: str
) -> None:
    first = await (await people("Operator One", size=size, theme=theme)).open()
    page = first.page
    await expect(page.locator("#queue li[data-alarm]")).to_have_count(6)
    await look(page, shots, f"queue-{word}-{theme}")
    await page.locator("#queue li[data-alarm]", has_text="Trygghetsalarm").click()
    take = "#alarm-big4 [data-act=claim]" if word == "phone" else ".a-acts [data-act=claim]"
    await page.click(take)
    await expect(page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await expect(page.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "taken")
    await look(page, shots, f"alarm-{word}-{theme}")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_the_pages_of_everybody_else(people: Any, night: Any, shots: Path, size: dict[str, int]) -> None:
    word = "desk" if size is DESK else "phone"
    tore = await people("Tore Berg", Role.TECHNICIAN, size=size)
    for name in ("Solbakken 214", "Kvernvegen 3"):
        await tore.open("/hubs")
        await tore.page.click(f"text={name}")
        await tore.page.click("#run")
        await expect(tore.page.locator("#check-table .tally")).to_be_visible()
    await look(tore.page, shots, f"hub-{word}")
    await tore.open("/hubs")
    await look(tore.page, shots, f"hubs-{word}")
    other = await people("Operator Two", Role.LEAD, size=size, theme="light")
    await other.open("/log")
    await other.page.click("text=Kontroller loggen")
    await expect(other.page.locator("#verdict")).to_contain_text("Loggen er hel")
    await look(other.page, shots, f"log-{word}")
    ada = await people("Ada Nes", Role.ADMINISTRATOR, size=size)
    await ada.open("/users")
    await look(ada.page, shots, f"users-{word}")
    await ada.open("/codes")
    await ada.page.fill("#label", "Solbakken 301")
    await ada.page.click("main button[type=submit]")
    await expect(ada.page.locator("#once")).to_be_visible()
    await look(ada.page, shots, f"codes-{word}")
    await ada.open("/me")
    await look(ada.page, shots, f"me-{word}")
    await ada.page.goto(ada.server.url + "/nowhere")
    await look(ada.page, shots, f"error-{word}")
    await ada.open("/password")
    await look(ada.page, shots, f"password-{word}")
    await ada.context.clear_cookies()
    await ada.page.goto(ada.server.url + "/sign-in")
    await look(ada.page, shots, f"sign-in-{word}")


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("size", [DESK, NARROW, PHONE], ids=["desk", "narrow", "phone"])
async def test_when_a_hub_was_heard(people: Any, home: LiveHub, shots: Path, size: dict[str, int], theme: str) -> None:
    await heard_for_days(home.central.services)
    tore = await people("Tore Berg", Role.TECHNICIAN, size=size, theme=theme)
    await tore.open(f"/hubs/{home.id}")
    await expect(tore.page.locator("#heard .strips tbody tr")).to_have_count(14)
    strips = tore.page.locator("#heard .strips svg:not(:empty)")
    await expect(strips).to_have_count(11)
    await strips.first.scroll_into_view_if_needed()
    boxes = [await strips.nth(number).bounding_box() for number in range(11)]
    assert all(box is not None and box["width"] > 150 and box["height"] >= 16 for box in boxes), boxes
    # Two widths of a dot at least, also on a telephone: what was missed is seen.
    gap = await tore.page.locator("#heard tbody .missed").first.bounding_box()
    assert gap is not None
    assert gap["width"] >= 1.5
    await look(tore.page, shots, f"heard-{size['width']}-{theme}")
    await tore.page.locator("#heard").screenshot(path=shots / f"heard-{size['width']}-{theme}-strips.png")


async def test_an_empty_queue_and_the_gate(people: Any, home: LiveHub, shots: Path) -> None:
    first = await (await people("Operator One")).open()
    await look(first.page, shots, "empty-desk")
    await first.page.keyboard.press("?")
    await look(first.page, shots, "help-desk")
    await first.page.keyboard.press("Escape")
    await first.page.click("#duty")
    await first.page.click("#gate-play")
    await look(first.page, shots, "gate-desk")


async def test_the_compact_queue(people: Any, night: Any, shots: Path) -> None:
    first = await people("Operator One", size={"width": 430, "height": 760})
    await first.open("/?compact=1")
    await look(first.page, shots, "compact")
    await first.page.click(".a-acts [data-act=claim]")
    await expect(first.page.locator("#alarm-live")).to_have_attribute("data-mine", "yes")
    await look(first.page, shots, "compact-mine")


async def test_paper_shows_the_alarm_without_buttons(people: Any, night: Any, shots: Path) -> None:
    first = await (await people("Operator One")).open()
    await first.page.click("#take-next")
    await expect(first.page.locator("#alarm-title")).to_have_text("Røykvarsler")
    await first.page.emulate_media(media="print")
    await expect(first.page.locator("#take-next")).to_be_hidden()
    await expect(first.page.locator("#alarm-close")).to_be_hidden()
    await expect(first.page.locator("#alarm-note")).to_be_hidden()
    await expect(first.page.locator("#alarm-history")).to_be_visible()
    await first.page.screenshot(path=shots / "print.png")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
async def test_without_scripts_the_banner_stands_and_nothing_is_offered_that_would_do_nothing(
    people: Any, night: Any, shots: Path, size: dict[str, int]
) -> None:
    first = await people("Operator One", size=size)
    state = await first.context.storage_state()
    context = await people.chromium.new_context(
        viewport=size, locale="nb-NO", color_scheme="light", java_script_enabled=False, storage_state=state
    )
    page = await context.new_page()
    waiting = (await first.server.services.alarms.queue())[0].id
    for path in ("/", f"/alarms/{waiting}"):
        await page.goto(first.server.url + path)
        await expect(page.locator(".no-script h2")).to_be_visible()
        assert (
            await page.locator("#take-next:visible, #duty:visible, [data-act]:visible, [data-post]:visible").count()
            == 0
        )
        await page.screenshot(path=shots / f"no-script-{'list' if path == '/' else 'alarm'}-{size['width']}.png")
    await context.close()
