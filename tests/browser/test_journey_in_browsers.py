"""A press on a simulated pendant, a real hub, a real central, two people at two browsers, and the lamp at home."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from simulators import plans
from simulators.scene import Scene

expect.set_options(timeout=15_000)
FIRST, OTHER = "Operator One", "Operator Two"
ROW = '#queue li[data-alarm]:not([data-stage="closed"])'
TAKE = ".a-acts [data-act=claim]"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with Scene.open(tmp_path, plans.FLAT, more_settings="") as scene:
        yield scene


async def sat_down(scene: Scene, chromium: Browser, name: str) -> Page:
    """Somebody new, signed in by the one-time link that the command line prints, before the queue."""
    link = (await scene.stage.central_command("user", "add", name, "--role", "responder"))["link"]
    context = await chromium.new_context(locale="en-GB", viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.goto(link)
    await page.click("main button[type=submit]")
    await page.click("main a[href='/']")  # no password of one's own now
    await expect(page.locator("#calm")).to_be_visible()
    return page


async def test_two_people_see_the_press_one_answers_for_it_and_the_home_is_told_each_step(
    scene: Scene, chromium: Browser
) -> None:
    pages = {name: await sat_down(scene, chromium, name) for name in (FIRST, OTHER)}
    async with scene.lamp_diary() as diary:
        await scene.act(do="press", device=plans.BLE_PENDANT)
        for page in pages.values():
            await expect(page.locator(ROW)).to_have_count(1)
            await page.locator(ROW).click()
            await expect(page.locator(TAKE)).to_be_enabled()
        await scene.lamp("waiting")

        await asyncio.gather(*(page.click(TAKE) for page in pages.values()))
        for page in pages.values():
            await expect(page.locator("#toasts .toast")).to_be_visible()
            await expect(page.locator("#alarm-live")).to_have_attribute("data-stage", "claimed")
        mine = [
            name
            for name, page in pages.items()
            if await page.locator("#alarm-live").get_attribute("data-mine") == "yes"
        ]
        assert len(mine) == 1, "both have it, or nobody"
        (winner,) = mine
        (loser,) = {FIRST, OTHER} - {winner}
        await expect(pages[loser].locator("#toasts .toast")).to_contain_text(winner)
        await expect(pages[loser].locator("#alarm-holder")).to_contain_text(winner)
        await expect(pages[loser].locator(TAKE)).to_have_attribute("aria-disabled", "true")
        await scene.lamp("taken")
        for page in pages.values():
            await expect(page.locator(".homelamp .when-contact")).to_have_attribute("data-lamp", "taken")

        page = pages[winner]
        await page.click(".a-acts [data-act='on-the-way']")
        await scene.lamp("on_the_way")
        await expect(pages[loser].locator("#alarm-live")).to_have_attribute("data-stage", "on_the_way")

        await page.check("input[name=disposition][value=visit_now]", force=True)
        await page.select_option("#close-outcome", "fall")
        await page.click("#close-submit")
        await scene.lamp("off")
        for each in pages.values():
            await expect(each.locator("#alarm-live")).to_have_attribute("data-open", "no")
            await expect(each.locator(ROW)).to_have_count(0)
    assert [word for word in diary if word != "unknown"] == ["off", "waiting", "taken", "on_the_way", "off"]

    ((alarm_id,),) = scene.stage.rows("SELECT id FROM alarm WHERE kind = 'pendant_pressed'")
    detail = await scene.detail(alarm_id)
    by = [(moment["what"], moment["actor_name"]) for moment in detail["timeline"]]
    assert [entry for entry in by if entry[0] in {"claimed", "on_the_way", "closed"}] == [
        ("claimed", winner),
        ("on_the_way", winner),
        ("closed", winner),
    ]
    assert (detail["alarm"]["disposition"], detail["alarm"]["outcome"]) == ("visit_now", "fall")
    steps = await scene.steps(alarm_id, "durable", "receipt", "shown", "taken", "reassured")
    assert steps["shown"] < steps["taken"] < steps["reassured"]
