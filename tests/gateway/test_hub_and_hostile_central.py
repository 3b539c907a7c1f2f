"""A hub and a central that was restored, errs or lies: no alarm is lost, and the lamp claims no more than is so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync.central_messages import Receipt, ReplyState
from cloud_sync.identity import Lane
from gateway.errors import JournalError

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any


async def test_a_restored_central_can_open_what_an_earlier_run_sealed_without_its_header(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        await central.event("hub_started")
        home.button.press()
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
        home.button.press()
        await central.until(lambda: len(central.of_kind("pendant_pressed")) == 2)
    names = {one for one, event in central.events.items() if event.kind.word == "pendant_pressed"}
    async with home.running():
        await central.until(lambda: len(central.of_kind("hub_started")) == 2)
        central.restore()
        home.button.press()
        await central.until(lambda: names <= set(central.events))


async def test_an_earlier_run_is_introduced_also_when_central_was_restored_before_the_hub_came_back(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        async with asyncio.timeout(5):
            while not hub.epoch.is_header_known:
                await asyncio.sleep(0.02)
        home.lines[0].cut()
        await home.button.press()
        async with asyncio.timeout(5):
            while (await hub.journal.counts())[Lane.ALARM].records < 1:
                await asyncio.sleep(0.02)
        lonely = next(epoch for epoch in central.epoch_keys)
    central.restore()
    home.lines[0].mend()
    async with home.running():
        await central.until(lambda: lonely in central.epoch_keys)


async def test_a_card_that_does_not_give_a_header_does_not_end_the_hub(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.running():
        await central.event("hub_started")
        home.button.press()
        await central.event("pendant_pressed")

    async def unreadable(_epoch: bytes) -> bytes:
        raise JournalError("the card does not answer")

    async with home.running() as hub:
        await central.until(lambda: len(central.of_kind("hub_started")) == 2)
        monkeypatch.setattr(hub.journal, "epoch_header", unreadable)
        central.restore()
        await home.button.press()
        await central.until(lambda: any(one.epoch != hub.epoch.id for _, one in central.envelopes[1:] if one.records))
        await home.button.press()
        await central.event("pendant_pressed")


async def test_a_receipt_for_more_than_was_sent_does_not_settle_what_is_to_come(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        receipt = Receipt(
            to=central.to(), number=0, epoch=hub.epoch.id, lane=Lane.ALARM, lineage=central.lineage, high=1000
        )
        central.say(receipt.pack(central.key_id, central.signing_key))
        central.is_central_deaf = True
        await home.button.press()
        async with asyncio.timeout(5):
            while (await hub.journal.counts())[Lane.ALARM].records < 1:
                await asyncio.sleep(0.02)
    central.is_central_deaf = False
    async with home.running():
        await central.event("pendant_pressed")


async def test_a_silent_alarm_is_not_shown_by_the_run_after_it(home: HubUnderTest, central: Central) -> None:
    home.settings_text += '\n[[drivers.buttons.devices]]\nalias = "attack-1"\naddress = "A4:C1:38:00:00:09"\n'
    home.settings_text += '\n[[devices]]\nalias = "attack-1"\nprofile = "assault-button"\nresident = "r-7f3a90"\n'
    async with home.running():
        await central.event("hub_started")
        await home.button.press("attack-1")
        await central.event("assault")
        name = central.id_of("assault")
        assert home.hub is not None
        await home.hub.journal.flush()
    async with home.running() as hub:
        await central.until(lambda: len(central.of_kind("hub_started")) == 2)
        central.reply(ReplyState.TAKEN, name, is_snapshot=True)
        await central.until(lambda: central.reports)
        central.command("status")
        await central.until(lambda: central.results)
        assert hub.home.view.lamp.value == "off"
        assert set(home.button.panel.lamps) == {"off"}
