"""What becomes of records when cards, paths and central are not as they should be."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync.identity import EventId, Lane
from cloud_sync.record import record_id
from drivers.contract import Fact
from gateway import asked, bulk, urgent
from gateway.errors import JournalFullError

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any


def measure(home: HubUnderTest, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        home.button.tell(Fact.TEMPERATURE, 15.0 + number / 1000, "climate-1")


async def all_taken(home: HubUnderTest, count: int) -> None:
    """Wait until the hub has judged so many measurements and the card has them."""
    assert home.hub is not None
    async with asyncio.timeout(10):
        while home.hub.pipeline.taken[Lane.TELEMETRY] < count:
            await asyncio.sleep(0.02)
    await home.hub.journal.flush()


def values(central: Central) -> list[float]:
    return sorted(event.value for event in central.of_kind("temperature"))


def sent_how_often(central: Central) -> Counter[EventId]:
    return Counter(record_id(raw) for _, one in central.envelopes for raw in one.records)


async def test_memory_stays_flat_while_the_path_is_down_and_nothing_is_lost(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "WINDOW_BYTES", 10_000)
    async with home.running() as hub:
        await central.event("hub_started")
        home.lines[0].cut()
        measure(home, 3000)
        await all_taken(home, 3000)
        assert hub.bulk._lanes[Lane.TELEMETRY].window_bytes <= 10_000 + 1000
        home.lines[0].mend()
        await central.until(lambda: len(central.of_kind("temperature")) == 3000, timeout_s=20)
        measure(home, 200, start=3000)
        await central.until(lambda: len(central.of_kind("temperature")) == 3200)
    assert values(central) == [15.0 + number / 1000 for number in range(3200)]
    assert set(sent_how_often(central).values()) == {1}


async def test_what_is_told_while_the_backlog_drains_is_neither_lost_nor_sent_twice(
    home: HubUnderTest, central: Central
) -> None:
    home.lines[0].is_reachable = False
    async with home.running():
        measure(home, 1500)
        await all_taken(home, 1500)
    home.lines[0].is_reachable = True
    async with home.running():
        for part in range(10):
            measure(home, 100, start=1500 + part * 100)
            await asyncio.sleep(0.03)
        await central.until(lambda: len(central.of_kind("temperature")) == 2500, timeout_s=20)
        async with asyncio.timeout(5):
            while home.hub is not None and (await home.hub.journal.counts())[Lane.TELEMETRY].records:
                await asyncio.sleep(0.05)
    assert set(sent_how_often(central).values()) == {1}


async def test_what_is_committed_while_the_last_of_the_backlog_is_read_is_not_overlooked(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.running() as hub:
        real, is_first = hub.journal.unsettled, True

        async def unsettled(lane: Lane, after: int | None = None, limit: int = 500) -> Any:
            nonlocal is_first
            found = await real(lane, after, limit)
            if lane is Lane.TELEMETRY and not found and is_first:
                is_first = False
                measure(home, 1)
                await all_taken(home, 1)
            return found

        monkeypatch.setattr(hub.journal, "unsettled", unsettled)
        await central.until(lambda: len(central.of_kind("temperature")) == 1, timeout_s=5)


async def test_one_record_that_central_cannot_take_does_not_hold_the_others_up(
    home: HubUnderTest, central: Central
) -> None:
    home.lines[0].refuses = lambda envelope: any(
        record_id(raw).lane is Lane.TELEMETRY and record_id(raw).seq == 33 for raw in envelope.records
    )
    async with home.running():
        measure(home, 100)
        await central.until(lambda: len(central.of_kind("temperature")) == 99, timeout_s=20)
        assert home.hub is not None
        await asyncio.sleep(0.1)
        assert (await home.hub.journal.counts())[Lane.TELEMETRY].records == 1


async def test_one_alarm_that_central_cannot_take_does_not_hold_the_others_up(
    home: HubUnderTest, central: Central
) -> None:
    home.lines[0].is_reachable = False
    async with home.running():
        for _ in range(5):
            await home.button.press()
    home.lines[0].is_reachable = True
    home.lines[0].refuses = lambda envelope: any(record_id(raw).seq == 3 for raw in envelope.records)
    async with home.running() as hub:
        await central.until(lambda: len(central.of_kind("pendant_pressed")) == 4)
        assert hub.urgent.is_waiting


async def test_a_card_that_takes_nothing_lets_bulk_live_in_memory_and_the_rest_becomes_a_gap(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "UNSTORED_BYTES", 2_000)
    async with home.running() as hub:
        await central.event("hub_started")
        given_up: list[tuple[Lane, int, int]] = []
        working, real_give_up = hub.journal.append_nowait, hub.journal.give_up

        def refuse(*_: object, **__: object) -> asyncio.Future[None]:
            raise JournalFullError("the card is full")

        def give_up(lane: Lane, first: int, last: int) -> bool:
            given_up.append((lane, first, last))
            return real_give_up(lane, first, last)

        monkeypatch.setattr(hub.journal, "append_nowait", refuse)
        monkeypatch.setattr(hub.journal, "give_up", give_up)
        home.lines[0].cut()
        measure(home, 200)
        async with asyncio.timeout(5):
            while hub.pipeline.taken[Lane.TELEMETRY] < 200:
                await asyncio.sleep(0.02)
        lost = hub.journal.dropped(Lane.TELEMETRY)
        assert 0 < lost < 200
        assert len(given_up) == lost
        monkeypatch.setattr(hub.journal, "append_nowait", working)
        home.lines[0].mend()
        await central.until(lambda: len(central.of_kind("temperature")) == 200 - lost)
        gaps = {number for _, one in central.envelopes for first, last in one.gaps for number in range(first, last + 1)}
        await central.until(
            lambda: (
                {
                    number
                    for _, one in central.envelopes
                    for first, last in one.gaps
                    for number in range(first, last + 1)
                }
                == {first for _, first, _ in given_up}
            )
        )
        assert gaps <= {first for _, first, _ in given_up}


async def test_a_flood_of_alarms_is_held_on_the_card_and_all_of_it_arrives(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(urgent, "MAX_HELD", 40)
    monkeypatch.setattr(urgent, "MAX_LOADED", 10)
    async with home.running() as hub:
        await central.event("hub_started")
        home.lines[0].cut()
        for part in range(4):
            for _ in range(50):
                home.button.press()
            async with asyncio.timeout(5):
                while hub.pipeline.taken[Lane.ALARM] < 50 * (part + 1):
                    await asyncio.sleep(0.02)
        await hub.journal.flush()
        await asyncio.sleep(0.05)
        assert sum(hub.urgent.counts().values()) <= 60
        home.lines[0].mend()
        await central.until(lambda: len(central.of_kind("pendant_pressed")) == 200, timeout_s=20)
        async with asyncio.timeout(5):
            while hub.urgent.is_waiting:
                await asyncio.sleep(0.02)


async def test_an_alarm_that_the_card_refused_is_offered_to_it_again(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway import keeping

    monkeypatch.setattr(keeping, "TICK_S", 0.1)
    monkeypatch.setattr(keeping, "STORE_AGAIN_S", 0.2)
    home.lines[0].is_reachable = False
    async with home.running() as hub:
        working = hub.journal.append_nowait

        def refuse(*_: object, **__: object) -> asyncio.Future[None]:
            raise JournalFullError("the card is full")

        monkeypatch.setattr(hub.journal, "append_nowait", refuse)
        confirmation = home.button.press()
        async with asyncio.timeout(5):
            while not hub.pipeline.keeping.unstored:
                await asyncio.sleep(0.02)
        assert not confirmation.done()
        monkeypatch.setattr(hub.journal, "append_nowait", working)
        async with asyncio.timeout(5):
            assert await confirmation is True
    home.lines[0].is_reachable = True
    async with home.running():
        await central.event("pendant_pressed")


async def test_a_rule_that_fails_does_not_cost_the_alarm(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.running() as hub:

        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(hub.watch.triage, "judge", broken)
        assert await home.button.press() is True
        event = await central.event("pendant_pressed")
        assert event.rule == "plainest"
        assert hub.watch.faults == 1
        home.button.tell(Fact.PRESENCE, False, "mat-1", may_alarm=True)  # an empty bed is news, too
        assert (await central.event("detector_fault")).device == "mat-1"
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        home.button.tell(Fact.SMOKE, False, "smoke-1", may_alarm=True, confirmation=waiting)
        async with asyncio.timeout(5):
            assert await waiting is False  # whoever waits for an answer gets one


async def test_a_control_socket_that_cannot_be_made_keeps_nobody_from_pressing(
    home: HubUnderTest, central: Central
) -> None:
    (home.state_dir / "control.sock").mkdir(parents=True)
    async with home.running():
        home.button.press()
        await central.event("pendant_pressed")


async def test_what_the_card_has_not_confirmed_yet_is_told_and_never_looks_as_if_central_had_it(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        async with hub.journal._core.bulk._lock:  # a card that takes its time over a commit
            measure(home, 100)
            async with asyncio.timeout(10):
                while hub.pipeline.taken[Lane.TELEMETRY] < 100:
                    await asyncio.sleep(0.02)
            facts = (await asked.describe(hub))["lanes"]["telemetry"]
            assert (facts["taken"], facts["waiting"], facts["in_memory"]) == (100, 0, 100)
        while facts["waiting"] or facts["in_memory"]:
            facts = (await asked.describe(hub))["lanes"]["telemetry"]
            assert facts["waiting"] + facts["in_memory"] + len(central.of_kind("temperature")) >= 100
            await asyncio.sleep(0)
        assert len(central.of_kind("temperature")) == 100
