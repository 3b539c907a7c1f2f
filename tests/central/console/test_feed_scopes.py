"""What the live stream tells of another tenant: that something has a number, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from central import feed
from central.access import EVERYTHING
from central.console.roles import Role
from central.opened import NOTHING
from tests.central.console.conftest import ADMIN, Towns

CONSOLE_ID = "0011223344556677"


@pytest.fixture
async def followed(towns: Towns) -> AsyncIterator[Towns]:
    """A central whose feed runs."""
    task = asyncio.create_task(towns.console.services.feed.run())
    try:
        yield towns
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def told(browser: Any, towns: Towns, start: int) -> list[dict[str, Any]]:
    """All changes from there to the newest."""
    end = await towns.console.services.feed.now()
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10), browser.stream(f"/api/v1/feed?console={CONSOLE_ID}&after={start}") as event:
        while not found or found[-1]["no"] < end:
            one = await event()
            if one["name"] == "change":
                found.append(one)
    return found


async def beat(browser: Any, towns: Towns) -> tuple[int, str]:
    async with asyncio.timeout(10), browser.stream(f"/api/v1/feed?console={CONSOLE_ID}") as event:
        while True:
            towns.console.bench.clock.advance(6)
            one = await event()
            if one["name"] == "beat":
                return one["count"], one["hash"]


async def publish_all(towns: Towns) -> int:
    """One change of every kind of thing, of one's own and of the other tenant; returns where they begin."""
    start: int = await towns.console.services.feed.now()
    kinds = {
        "alarm": ("alarm_id", "waiting_id", "technical_id"), "hub": ("hub_id",), "check": ("hub_id",),
        "duty": ("team_id", "ward_id"), "incident": ("incident_id",), "maintenance": ("period_id",),
        "resident": ("resident_id",),
    }  # fmt: skip
    changes = [
        (topic, place.ids[name], "changed")
        for topic, names in kinds.items()
        for name in names
        for place in (towns.own, towns.other)
    ]
    async with towns.console.bench.store.write() as connection:
        await feed.publish_all(connection, 0, [*changes, feed.MANY])
    return start


@pytest.mark.parametrize("role", [Role.RESPONDER, Role.LEAD, Role.TECHNICIAN])
async def test_a_console_of_one_tenant_gets_no_id_of_anothers(followed: Towns, role: Role) -> None:
    browser = await followed.signed_in(role)
    found = await told(browser, followed, await publish_all(followed))
    text = str(found)
    assert not [name for name, ref in followed.other.ids.items() if name.endswith("_id") and ref in text]
    assert [one["no"] for one in found] == list(range(found[0]["no"], found[-1]["no"] + 1)), "no number is left out"
    seen = {one["ref"] for one in found if one["topic"] != "elsewhere"}
    own = {followed.own[name] for name in ("technical_id", "hub_id", "incident_id", "period_id", "team_id", "ward_id")}
    if role is not Role.TECHNICIAN:  # has no personal alarms to answer
        own |= {followed.own[name] for name in ("alarm_id", "waiting_id", "resident_id")}
    assert seen == own | {""}
    assert {one["what"] for one in found if one["topic"] == "elsewhere"} == {""}


async def test_who_sees_every_tenant_gets_them_all(followed: Towns) -> None:
    browser = await followed.console.signed_in("Everywhere", Role.LEAD)
    found = await told(browser, followed, await publish_all(followed))
    assert not [one for one in found if one["topic"] == "elsewhere"]


async def test_the_beat_counts_what_the_console_can_show_and_the_list_agrees(followed: Towns) -> None:
    browser = await followed.signed_in(Role.RESPONDER)
    everything = (await followed.console.services.alarms.opened()).digest(EVERYTHING)
    count, digest = await beat(browser, followed)
    assert count == 2
    assert everything[0] == 4
    page = (await browser.get("/parts/queue")).text
    assert f'data-digest="{digest}"' in page
    technician = await followed.signed_in(Role.TECHNICIAN)
    assert await beat(technician, followed) == NOTHING


async def test_a_console_whose_part_changes_is_told_to_load_again(followed: Towns) -> None:
    browser = await followed.signed_in(Role.RESPONDER)
    account = await followed.console.accounts.id_of("Somebody responder")
    async with asyncio.timeout(20), browser.stream(f"/api/v1/feed?console={CONSOLE_ID}") as event:
        while (await event())["name"] != "beat":
            continue
        other = followed.other["tenant_id"]
        await followed.console.services.people.places.assign(ADMIN, account or "", Role.RESPONDER, tenant=other)
        names = []
        while "reset" not in names:
            followed.console.bench.clock.advance(6)
            names.append((await event())["name"])
