"""When a hub was heard, on its page and in the API: the same, in words and as a figure, in both languages."""

from __future__ import annotations

import re
from typing import Any

import pytest

from central.availability import CENTRAL, SLOT_MS, SLOTS, Availability
from central.console.roles import Role

MINUTE_MS = 60_000


@pytest.fixture
async def home(console: Any) -> str:
    """A hub that was enrolled three days ago, at noon in Oslo; heard since, but for twenty-five minutes yesterday.

    Central was down for forty minutes yesterday.
    """
    bench = console.bench
    bench.clock.wall_ms = 1_793_790_000_000  # 12:00 on 4 November 2026
    hub = (await bench.enrolled("Solbakken 214")).id.hex()
    now = bench.clock.now_ms()
    await bench.change(f"UPDATE hub SET enrolled_ms = {now - 3 * SLOTS * SLOT_MS} WHERE id = '{hub}'")
    kept = Availability(bench.store, bench.clock)
    night = now - 33 * 60 * MINUTE_MS  # 03:00 yesterday
    missed = {night + at * SLOT_MS for at in (2, 3, 4, 5, 20)}
    down = {night + at * SLOT_MS for at in range(50, 58)}
    for at_ms in range(now - 3 * SLOTS * SLOT_MS, now - 2 * SLOT_MS, SLOT_MS):
        if at_ms not in missed | down:
            kept.hear(hub, at_ms)
        if at_ms not in down:
            kept.hear(CENTRAL, at_ms)
    await kept.write()
    return hub


def text_of(page: str) -> str:
    part = page.split('id="heard"')[1].split("</section>", maxsplit=1)[0]
    return " ".join(re.sub(r"<[^>]+>", " ", part).split()).replace("\N{EN DASH}", "-")


WANTED = {
    "nb": (
        "Hørt, siste 14 døgn",
        "Ons 04.11. 100 % Hørt hele tiden.",
        "Tir 03.11. 98,2 % Ikke hørt i 25 min: 03:10-03:30, 04:40-04:45. Mottakssystemet lyttet ikke i 40 min.",
        "Ingen opplysninger: ikke meldt inn ennå.",
    ),
    "en": (
        "Heard, the last 14 days",
        "Wed 4 Nov 100 % Heard all the time.",
        "Tue 3 Nov 98.2 % Not heard for 25 min: 03:10-03:30, 04:40-04:45. Central did not listen for 40 min.",
        "No record: not enrolled yet.",
    ),
}


@pytest.mark.parametrize("language", list(WANTED))
async def test_the_page_tells_it_in_words_beside_the_strip(console: Any, home: str, language: str) -> None:
    tore = await console.signed_in("Tore Berg", Role.TECHNICIAN, language=language)
    page = (await tore.get(f"/hubs/{home}")).text
    said = text_of(page)
    for text in WANTED[language]:
        assert text in said, said
    assert page.count('class="strip"') == 14 + 3
    # Five minutes are drawn twice as wide, so that they are seen; an unknown stretch is a line of its own.
    assert '<rect class="missed" x="38" y="0" width="4" height="12"/>' in page
    assert '<rect class="missed" x="56" y="0" width="2" height="12"/>' in page
    assert '<path class="unknown" d="M86 9.5H94"/>' in page
    assert '<rect class="heard" x="42" y="7" width="14" height="5"/>' in page
    assert 'style="' not in page.split('id="heard"')[1]


async def test_the_api_says_the_same_by_letters(console: Any, home: str) -> None:
    tore = await console.signed_in("Tore Berg", Role.TECHNICIAN)
    said = (await tore.get("/api/v1/hubs/Solbakken 214/availability?days=3")).json
    assert (said["hub"], said["zone"], said["slot_ms"]) == (home, "Europe/Oslo", 300_000)
    assert [day["day"] for day in said["days"]] == ["2026-11-04", "2026-11-03", "2026-11-02"]
    today, yesterday, _ = said["days"]
    assert yesterday["marks"][36:60] == "hh" + "mmmm" + "h" * 14 + "m" + "hhh"
    assert yesterday["marks"][86:94] == "u" * 8
    assert {key: yesterday[key] for key in ("heard", "missed", "unknown", "percent")} == {
        "heard": 275, "missed": 5, "unknown": 8, "percent": 98.2,
    }  # fmt: skip
    assert today["marks"].lstrip("h") == "a" * (2 + 144)
    assert len((await tore.get(f"/api/v1/hubs/{home}/availability")).json["days"]) == 14


@pytest.mark.parametrize("days", ["0", "401", "-1", "x", ""])
async def test_a_number_of_days_that_there_cannot_be_is_refused_with_its_bounds(
    console: Any, home: str, days: str
) -> None:
    tore = await console.signed_in("Tore Berg", Role.TECHNICIAN)
    answer = await tore.get(f"/api/v1/hubs/{home}/availability?days={days}")
    assert (answer.status, answer.header("content-type")) == (422, "application/problem+json")
    assert "days" in str(answer.json)


async def test_whoever_does_not_see_hubs_does_not_see_when_they_were_heard(console: Any, home: str) -> None:
    first = await console.signed_in("Operator One", Role.RESPONDER)
    answer = await first.get(f"/api/v1/hubs/{home}/availability")
    assert (answer.status, answer.header("content-type")) == (403, "application/problem+json")
    tore = await console.signed_in("Tore Berg", Role.TECHNICIAN)
    assert (await tore.get("/api/v1/hubs/Solbaken 214/availability")).status == 404


async def test_just_after_midnight_nothing_is_known_yet(console: Any, home: str) -> None:
    bench = console.bench
    bench.clock.wall_ms += (12 * 60 + 3) * MINUTE_MS
    tore = await console.signed_in("Tore Berg", Role.TECHNICIAN)
    said = text_of((await tore.get(f"/hubs/{home}")).text)
    assert "Tor 05.11. - Ingenting ennå." in said
    assert "Mottakssystemet lyttet ikke i" in said  # the afternoon before
