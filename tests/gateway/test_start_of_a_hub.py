"""A hub that is started as the service starts it: when a start has succeeded, and what safe mode tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync.health import Outcome
from cloud_sync.health_texts import HealthWords
from config import HubSettings
from config.settings import ServiceSection
from gateway import asked, identity_store
from gateway.daemon import Hub
from gateway.identity_store import Identity
from gateway.launch import run_hub
from gateway.safe_mode import Record, Starts
from gateway.start import LAST_GOOD, Start, prepare

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any

QUICK = ServiceSection.model_construct(healthy_after_s=0.1, crashes=2, safe_for_s=0.2)


def quick(settings: HubSettings) -> HubSettings:
    return settings.model_copy(update={"service": QUICK})


@asynccontextmanager
async def started(
    home: HubUnderTest, start: Start, identity: Identity | None = None
) -> AsyncIterator[tuple[Hub, asyncio.Task[None]]]:
    stop, ready = asyncio.Event(), asyncio.Event()
    hubs: list[Hub] = []

    def on_ready(hub: Hub) -> None:
        hubs.append(hub)
        ready.set()

    task = asyncio.create_task(
        run_hub(
            start.settings,
            identity or home.central.identity(),
            stop,
            on_ready=on_ready,
            make_uplinks=lambda *_: list(home.lines),
            make_drivers=lambda _: [(home.button, "button")],
            start=start,
        )
    )
    try:
        async with asyncio.timeout(10):
            await ready.wait()
        yield hubs[0], task
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


def prepared(home: HubUnderTest) -> Start:
    home.state_dir.mkdir(exist_ok=True)
    home.settings()
    start = prepare(home.folder / "hub.toml")
    return replace(
        start,
        settings=quick(start.settings),
        mode=replace(start.mode, trial_after_s=min(0.2, start.mode.trial_after_s)),
    )


async def until(what: Any) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.02)


async def test_settings_that_ran_healthily_for_a_while_are_the_last_good_ones(home: HubUnderTest) -> None:
    async with started(home, prepared(home)):
        assert Starts(home.state_dir).record.unfinished == 1
        await until((home.state_dir / LAST_GOOD).exists)
    assert (home.state_dir / LAST_GOOD).read_text() == (home.folder / "hub.toml").read_text()
    assert (home.state_dir / LAST_GOOD).stat().st_mode & 0o777 == 0o600
    assert Starts(home.state_dir).record.unfinished == 0


async def test_a_hub_goes_on_with_the_spare_of_an_identity_that_the_card_has_damaged_and_tells_it(
    home: HubUnderTest, central: Central
) -> None:
    start = prepared(home)
    identity_store.store(home.state_dir, home.central.identity())
    async with started(home, start):
        await until((home.state_dir / "identity.spare").exists)
    (home.state_dir / "identity" / "hub.key").write_bytes(b"")
    identity = identity_store.load(home.state_dir)
    async with started(home, prepared(home), identity) as (hub, _):
        event = await central.event("journal_trouble")
        assert event.details == {"file": "identity", "what": "damaged"}
        (trouble,) = (await asked.describe(hub))["journal"]["troubles"]
        assert trouble == {"file": "identity", "what": "damaged", "detail": identity.damage}
        lines = {line.id: line for line in (await hub.examiner.examine()).lines}
        line = lines["key.identity"]
        assert (line.result, line.found_key, line.next_key) == (Outcome.FAIL, "spare_in_use", "replace_card")
        assert identity.damage in HealthWords("en").found(line)


async def test_safe_mode_is_told_and_ends_by_itself_with_the_full_set(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    for _ in range(5):
        prepared(home)
    start = prepared(home)
    assert start.mode.is_safe
    async with started(home, start) as (hub, task):
        event = await central.event("safe_mode")
        assert event.details["reason"] == "crash_loop"
        described = await asked.describe(hub)
        assert described["mode"]["is_safe"]
        async with asyncio.timeout(10):
            await asyncio.wait([task])  # nobody waits for an answer: it ends, to be started again
    again = prepared(home)
    assert not again.mode.is_safe
    assert again.mode.was_safe
    async with started(home, again):
        await central.event("safe_mode_over")
    assert Starts(home.state_dir).record == Record(settings=Starts(home.state_dir).record.settings)


async def test_safe_mode_does_not_end_while_somebody_waits_for_an_answer(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
    home.lines[0].cut()
    for _ in range(5):
        prepared(home)
    async with started(home, prepared(home)) as (hub, task):
        await home.button.press()
        await until(lambda: hub.urgent.is_waiting)
        await asyncio.wait([task], timeout=1.5)
        assert not task.done()
