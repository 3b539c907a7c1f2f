"""Pages that stay quick and still with ten thousand rows."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.async_api import Page, expect

from central.console.roles import Role
from simulators.live_hub import LiveHub
from simulators.many_rows import fill

MANY = 10_000
SOON_MS = 200
"""The time of the server for a page; a machine that does other things gets five times as much."""
SLACK = 5


@pytest.fixture
async def crowded(server: Any, home: LiveHub) -> LiveHub:
    await home.raise_event("bed_absent", device="bed-1")
    await fill(server.services, MANY)
    return home


async def took_ms(page: Page, url: str) -> float:
    """The fastest of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        answer = await page.request.get(url)
        times.append((time.perf_counter() - began) * 1000)
        assert answer.ok, (url, answer.status)
    return min(times)


async def test_a_flood_makes_a_longer_number_and_not_a_longer_page(people: Any, crowded: LiveHub) -> None:
    first = await (await people("Operator One")).open()
    page = first.page
    await expect(page.locator("#queue li[data-alarm]:not([data-stage=closed])")).to_have_count(100)
    await expect(page.locator("#queue .q-more")).to_contain_text("til. De viktigste står øverst.")
    await expect(page.locator("#tabs [data-view=alarms] .count")).to_have_text(str(MANY // 2 + 1))
    await expect(page.locator("#calm h1")).to_have_text(f"{MANY // 2 + 1} alarmer venter")  # the same figure everywhere
    await page.click("#queue .q-more a")
    await expect(page.locator("#queue li[data-alarm]:not([data-stage=closed])")).to_have_count(300)
    await crowded.raise_event("smoke", device="smoke-1")
    await expect(page.locator("#held")).to_contain_text("1 ny over")  # the focus is on the button below
    await page.click("#held-show")
    await expect(page.locator("#queue li[data-alarm]").first).to_contain_text("Røykvarsler")
    await expect(page.locator("#queue li[data-alarm]:not([data-stage=closed])")).to_have_count(300)


@pytest.mark.parametrize(
    ("role", "path"),
    [
        (Role.RESPONDER, "/"),
        (Role.RESPONDER, "/parts/queue"),
        (Role.RESPONDER, "/?view=technical"),
        (Role.LEAD, "/hubs"),
        (Role.LEAD, "/log"),
        (Role.ADMINISTRATOR, "/users"),
    ],
)
async def test_the_server_answers_soon(people: Any, crowded: LiveHub, role: Role, path: str) -> None:
    someone = await people("Kari Nordmann", role)
    took = await took_ms(someone.page, someone.server.url + path)
    assert took < SOON_MS * SLACK


async def test_one_of_ten_thousand_is_found_by_name(people: Any, crowded: LiveHub) -> None:
    lead = await people("Nina Berg", Role.LEAD)
    await lead.open("/hubs")
    await expect(lead.page.locator("table.table tbody tr")).to_have_count(100)
    await lead.page.click(".pager a >> text=Neste")
    await expect(lead.page.locator(".pager")).to_contain_text("101 til 200")
    await lead.page.fill("input[type=search]", "solbakken 9000")
    await lead.page.press("input[type=search]", "Enter")
    await expect(lead.page.locator("table.table tbody tr")).to_have_count(1)
    await lead.page.fill("input[type=search]", "<script>finnes ikke")
    await lead.page.press("input[type=search]", "Enter")
    await expect(lead.page.locator(".empty")).to_contain_text("Fant ingenting for «<script>finnes ikke»")
