"""Whether a console can be heard: what sounds, and that one which has lost its sound does not count as listening."""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import expect

from central.lifecycle import CENTRAL_KINDS
from central.opening import Source
from central.raising import raise_care
from simulators.live_hub import LiveHub

expect.set_options(timeout=15_000)

_MUTES = """() => {
  // What a telephone does when somebody rings: sound stops, and is not to be had until the call is over.
  const Real = window.AudioContext;
  window.AudioContext = class extends Real {
    constructor(...rest) { super(...rest); window.speaker = this; }
    resume() { return window.isRinging ? Promise.reject(new Error('in use')) : super.resume(); }
  };
  window.ring = (on) => { window.isRinging = on; return on ? window.speaker.suspend() : window.speaker.resume(); };
}"""


async def test_a_console_whose_sound_is_taken_away_is_not_on_duty_until_it_is_back(people: Any, server: Any) -> None:
    operator = await people("Operator One")
    await operator.context.add_init_script(f"({_MUTES})()")
    page = (await (await operator.open()).go_on_duty()).page
    await expect(page.locator("#duty")).to_contain_text("På vakt, lyd på")
    await page.evaluate("ring(true)")
    await expect(page.locator("#gate-silent")).to_be_visible()
    await expect(page.locator("#duty")).to_contain_text("Gå på vakt")
    await until_covered(server, False)
    await page.evaluate("ring(false)")
    await expect(page.locator("#gate")).to_be_hidden()
    await expect(page.locator("#duty")).to_contain_text("På vakt, lyd på")
    await until_covered(server, True)


async def until_covered(server: Any, wanted: bool) -> None:
    """Until somebody is on duty with sound, or until nobody is."""
    async with asyncio.timeout(10):
        while any(one.is_covered for one in await server.services.duty.cover()) is not wanted:
            await asyncio.sleep(0.05)


async def test_a_silent_hub_of_a_critical_resident_sounds(people: Any, server: Any, home: LiveHub) -> None:
    page = (await (await (await people("Operator One")).open()).go_on_duty()).page
    await expect(page.locator("#duty")).to_contain_text("På vakt, lyd på")
    source = Source(hub=home.id, happened_ms=server.services.clock.now_ms())
    async with server.services.store.write() as connection:
        await raise_care(connection, CENTRAL_KINDS["critical_silent"], source, source.happened_ms)
    await expect(page.locator("body")).to_have_attribute("data-sounding", "2")


_COUNTS = """() => {
  window.tones = 0;
  const Real = window.OscillatorNode;
  window.OscillatorNode = class extends Real { constructor(...rest) { super(...rest); window.tones += 1; } };
}"""


async def test_a_press_on_the_alarm_that_is_open_sounds_once_also_at_who_has_it(people: Any, home: LiveHub) -> None:
    operator = await people("Operator One")
    await operator.context.add_init_script(f"({_COUNTS})()")
    page = (await (await operator.open()).go_on_duty()).page
    await expect(page.locator("#duty")).to_contain_text("På vakt, lyd på")
    await home.raise_event("pendant_pressed")
    await expect(page.locator("body")).to_have_attribute("data-sounding", "1")
    await page.keyboard.press("n")
    await expect(page.locator("#alarm-holder")).to_contain_text("Du har alarmen")
    await expect(page.locator("body")).to_have_attribute("data-sounding", "")
    before = await page.evaluate("window.tones")
    await home.raise_event("pendant_pressed")
    await expect(page.locator(".a-name")).to_contain_text("2 ganger")
    async with asyncio.timeout(10):
        while await page.evaluate("window.tones") == before:
            await asyncio.sleep(0.05)
    assert await page.evaluate("window.tones") == before + 3  # the pattern of an urgent alarm, and no more
    await expect(page.locator("body")).to_have_attribute("data-sounding", "")
