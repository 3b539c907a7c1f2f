"""Every address that can be read, with thousands of all it could list: none answers with all of it, or for long."""

from __future__ import annotations

import time
from typing import Any

import pytest

from central.console.gate import Needs
from central.console.roles import ALLOWED, Role
from central.console.routes import UNGUARDED, api_routes, guards
from simulators.console_pages import FIRST, NoneYetError, address_of
from simulators.many_people import fill_everything
from tests.central.conftest import Bench
from tests.central.console.conftest import Browser, Console

MANY = 5_000
MOST_BYTES = 500_000
MOST_S = 0.3
SLACK = 5
"""For the time of the processor: the machine does other things too. A page made for ten rows takes far longer."""

STREAMS = frozenset({"/api/v1/feed"})


@pytest.mark.sqlite
@pytest.mark.timeout(900)  # thousands of sealed names, then some ninety addresses
async def test_no_address_answers_with_everything_there_is(
    bench: Bench, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.central.console.conftest.TIMEOUT_S", 120)
    await fill_everything(bench.services, MANY)
    browsers: dict[Role, Browser] = {role: await console.signed_in(f"Kari {role}", role) for role in Role}
    wrong: list[str] = []
    tried = 0
    for route in api_routes(console.app.routes):
        if "GET" not in (route.methods or ()) or route.path in UNGUARDED | STREAMS:
            continue
        needs = next((guard for guard in guards(route.dependant) if isinstance(guard, Needs)), None)
        role = next((one for one in FIRST if one in ALLOWED[needs.action]), Role.LEAD) if needs else Role.LEAD
        try:
            path = await address_of(route.path, bench.services)
        except NoneYetError:
            continue
        took = []
        for _ in range(2):
            began = time.process_time()
            answer = await browsers[role].get(path)
            took.append(time.process_time() - began)
        tried += 1
        assert answer.status < 500, path
        if len(answer.body) > MOST_BYTES or min(took) > MOST_S * SLACK:
            wrong.append(f"{path}: {len(answer.body)} bytes, {min(took):.2f} s")
    assert tried > 60
    assert not wrong, "\n".join(wrong)


async def pieces(browser: Browser, path: str, name: str, limit: int) -> list[Any]:
    """The whole list, followed from piece to piece."""
    found: list[Any] = []
    after = ""
    while True:
        answer = await browser.get(f"/api/v1/{path}?limit={limit}&after={after}")
        assert answer.status == 200, answer.text
        assert 0 < len(answer.json[name]) <= limit
        found += answer.json[name]
        after = answer.json["next"]
        if after is None:
            return found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("hubs", "hubs"),
        ("tenants", "tenants"),
        ("units", "units"),
        ("teams", "teams"),
        ("assignments", "assignments"),
        ("plans", "plans"),
        ("cards", "cards"),
    ],
)
@pytest.mark.sqlite
async def test_a_list_is_read_whole_piece_by_piece(bench: Bench, console: Console, path: str, name: str) -> None:
    await fill_everything(bench.services, 25)
    role = Role.TECHNICIAN if path == "hubs" else Role.ADMINISTRATOR
    browser = await console.signed_in("Ada Nes", role)
    whole = await pieces(browser, path, name, 1000)
    for limit in (1, 10):
        assert await pieces(browser, path, name, limit) == whole
    assert len({one["id"] for one in whole}) == len(whole) >= 2
    gone = await browser.get(f"/api/v1/{path}?after=nobody")
    assert (gone.status, gone.json["reason"], gone.json["field"]) == (422, "unknown_cursor", "after")
    assert (await browser.get(f"/api/v1/{path}?limit=0")).status == 422
    assert (await browser.get(f"/api/v1/{path}?limit=1001")).status == 422
