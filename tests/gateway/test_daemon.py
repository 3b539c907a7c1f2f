from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync.central_messages import ReplyState
from cloud_sync.identity import Lane
from drivers.contract import Fact
from drivers.errors import PermanentDriverError, TransientDriverError
from gateway import control, housekeeping
from gateway.annunciator import LOCAL_ALARM

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any


async def test_a_press_reaches_central_sealed_and_the_lamp_follows_what_people_do(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        assert await home.button.press() is True
        event = await central.event("pendant_pressed")
        assert (event.device, event.resident) == ("pendant-1", "r-7f3a90")
        name = central.id_of("pendant_pressed")
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
        central.reply(ReplyState.TAKEN, name, version=2)
        await central.until(lambda: central.reports[-1].lamp == "taken")
        central.reply(ReplyState.CLOSED, name, version=3)
        await central.until(lambda: central.reports[-1].lamp == "off" and any(one.traces for one in central.reports))
    assert home.button.panel.lamps == ["off", "unknown", "waiting", "taken", "off"]
    traces = [trace for report in central.reports for trace in report.traces]
    assert [trace.event for trace in traces] == [name]
    assert traces[0].judged_ms is not None
    assert traces[0].sent_ms is not None
    assert traces[0].durable_ms is not None
    assert traces[0].receipt_ms is not None
    assert traces[0].judged_ms <= traces[0].sent_ms <= traces[0].receipt_ms


async def test_telemetry_is_batched_and_all_of_it_arrives_once(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await central.until(lambda: central.of_kind("hub_started"))
        for number in range(500):
            home.button.tell(Fact.TEMPERATURE, 20.0 + number / 100, "climate-1")
        await central.until(lambda: len(central.of_kind("temperature")) == 500)
        async with asyncio.timeout(5):
            while (await hub.journal.counts())[Lane.TELEMETRY].records:
                await asyncio.sleep(0.05)
    bulk = [len(one.records) for _, one in central.envelopes if one.lane is Lane.TELEMETRY]
    assert sum(bulk) == 500
    assert max(bulk) <= 100


async def test_what_could_not_be_sent_waits_on_the_card_and_the_next_run_sends_it(
    home: HubUnderTest, central: Central
) -> None:
    home.lines[0].is_reachable = False
    async with home.running():
        assert await home.button.press() is True
        for number in range(50):
            home.button.tell(Fact.TEMPERATURE, 20.0 + number / 10, "climate-1")
        await asyncio.sleep(0.3)
    assert central.events == {}
    home.lines[0].is_reachable = True
    async with home.running():
        await central.event("pendant_pressed")
        await central.until(lambda: len(central.of_kind("temperature")) == 50)
        await central.until(
            lambda: len(central.of_kind("hub_stopped")) == 1 and len(central.of_kind("hub_started")) == 2
        )
    epochs = {name.epoch for name, event in central.events.items() if event.kind.word == "hub_started"}
    assert len(epochs) == 2
    assert [event.details["after_clean_end"] for event in central.of_kind("hub_started")] == [None, True]


async def test_an_alarm_that_an_earlier_run_left_lights_the_lamp_until_central_has_it(
    home: HubUnderTest, central: Central
) -> None:
    home.lines[0].is_reachable = False
    async with home.running():
        await home.button.press()
    home.button.panel.lamps.clear()
    home.lines[0].is_reachable = True
    async with home.running():
        await central.event("pendant_pressed")
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
    assert home.button.panel.lamps[:3] == ["off", "unknown", "waiting"]


async def test_when_the_path_comes_back_an_alarm_is_there_at_once_and_ahead_of_what_waits(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        await central.until(lambda: central.of_kind("hub_started"))
        home.lines[0].cut()
        for number in range(2000):
            home.button.tell(Fact.TEMPERATURE, 20.0 + number / 1000, "climate-1")
        home.button.press()
        await asyncio.sleep(0.5)
        central.envelopes.clear()
        home.lines[0].mend()
        loop = asyncio.get_running_loop()
        mended_s = loop.time()
        await central.event("pendant_pressed")
        assert loop.time() - mended_s < 0.25
        assert central.envelopes[0][1].lane is Lane.ALARM
        await central.until(lambda: len(central.of_kind("temperature")) == 2000)


async def test_a_second_path_carries_the_alarm_when_the_first_is_mute(home: HubUnderTest, central: Central) -> None:
    home.lines.append(central.path("mobile"))
    async with home.running():
        await central.until(lambda: len(central.heartbeats) == 2)
        home.lines[0].is_mute = True
        home.button.press()
        await central.event("pendant_pressed")
        assert central.envelopes[-1][0] == "mobile"


async def test_without_a_receipt_the_alarm_is_sent_again_on_a_fresh_connection(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        await central.until(lambda: central.of_kind("hub_started"))
        central.is_central_deaf = True
        home.button.press()
        await central.until(lambda: len([one for _, one in central.envelopes if one.lane is Lane.ALARM]) == 2)
        assert home.lines[0].opened == 2
        central.is_central_deaf = False
        await central.event("pendant_pressed")
        first, second, *_ = [one for _, one in central.envelopes if one.lane is Lane.ALARM]
        assert first.records == second.records
        assert first.sender.number != second.sender.number


async def test_an_alarm_that_does_not_get_through_calls_the_home_and_stops_when_it_does(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        home.lines[0].cut()
        home.button.press()
        async with asyncio.timeout(5):
            while not hub.local_response.decision.calls:
                await asyncio.sleep(0.05)
        sounds = home.button.panel.sounds
        assert sounds[-1] == LOCAL_ALARM
        home.lines[0].mend()
        await central.event("pendant_pressed")
        began = await central.event("local_response")
        assert began.details["cause"] == "no_receipt"
        ended = await central.event("local_response_ended")
        assert (ended.details["why"], ended.details["seq"]) == ("received", began.details["seq"])
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
        assert not hub.local_response.decision.calls
    assert LOCAL_ALARM not in sounds[-2:]


async def test_a_press_is_confirmed_by_the_card_alone(home: HubUnderTest, central: Central) -> None:
    home.lines[0].is_reachable = False
    async with home.running():
        async with asyncio.timeout(2):
            assert await home.button.press() is True


async def test_a_press_is_confirmed_by_central_when_the_card_takes_nothing(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await central.until(lambda: central.of_kind("hub_started"))

        def refuse(*_: object, **__: object) -> asyncio.Future[None]:
            from gateway.errors import JournalFullError

            raise JournalFullError("the card is full")

        hub.journal.append_nowait = refuse  # type: ignore[method-assign]
        async with asyncio.timeout(3):
            assert await home.button.press() is True
        await central.event("pendant_pressed")
        assert hub.pipeline.keeping.unstored == 1


async def test_an_alarm_does_not_wait_for_a_card_that_hangs(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.running() as hub:
        await central.until(lambda: central.of_kind("hub_started"))
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with monkeypatch.context() as hanging:
            hanging.setattr(hub.journal, "append_nowait", lambda *_, **__: never)
            confirmation = home.button.press()
            await central.event("pendant_pressed", timeout_s=2)
            async with asyncio.timeout(2):
                assert await confirmation is True
        never.cancel()


async def test_a_driver_that_fails_is_started_again_and_the_others_do_not_notice(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        home.button.told.put_nowait(TransientDriverError("unplugged"))
        async with asyncio.timeout(5):
            while home.button.opened < 2:
                await asyncio.sleep(0.02)
        home.button.told.put_nowait(ZeroDivisionError("a bug"))
        async with asyncio.timeout(10):
            while home.button.opened < 3:
                await asyncio.sleep(0.02)
        home.button.press()
        await central.event("pendant_pressed")
        assert home.button.closed == home.button.opened - 1


async def test_a_driver_that_needs_a_person_is_parked_and_told(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        home.button.told.put_nowait(PermanentDriverError("no such port /dev/ttyX"))
        event = await central.event("driver_parked")
        assert event.details == {"driver": "buttons", "error": "no such port /dev/ttyX", "will_retry": False}
        assert hub.drivers.hosted[0].state == "parked"


async def test_status_is_told_over_the_control_socket(home: HubUnderTest, central: Central) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        home.button.press()
        await central.event("pendant_pressed")
        answer = await asyncio.to_thread(control.ask, home.state_dir, {"ask": "status"})
        assert answer["hub"] == central.hub.hex()
        assert answer["epoch"] == hub.epoch.id.hex()
        assert answer["paths"][0]["state"] == "up"
        assert answer["drivers"][0]["state"] == "running"
        assert answer["lanes"]["alarm"]["taken"] == 1
        assert answer["journal"]["loss_window_s"]["telemetry"] == 0.1
        assert answer["clock"]["is_trusted"] is True
        assert "r-7f3a90" not in str(answer)


async def test_a_test_event_goes_to_central_and_back_and_shows_nothing(home: HubUnderTest, central: Central) -> None:
    async with home.running():
        await central.event("hub_started")
        result = await central.result(central.command("test_event", device="pendant-1"))
        assert isinstance(result, dict)
        assert result["ok"] is True
        assert result["answer"] == "closed"
        assert result["receipt_ms"] < 1000
        central.answers_tests = False
    assert home.button.panel.lamps == ["off"]


@pytest.mark.parametrize("way", ["expired", "unknown"])
async def test_a_command_that_cannot_be_done_is_answered_with_why(
    home: HubUnderTest, central: Central, way: str
) -> None:
    async with home.running():
        await central.event("hub_started")
        if way == "expired":
            result = await central.result(central.command("status", life_ms=-1000))
        else:
            result = await central.result(central.command("self_destruct"))
        assert isinstance(result, dict)
        assert result["error"]["reason"] == {"expired": "expired", "unknown": "unknown_command"}[way]


async def test_an_old_command_number_is_a_security_event_and_has_no_effect(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        await central.event("hub_started")
        await central.result(central.command("status", number=5))
        central.command("status", number=5)
        event = await central.event("security")
        assert event.details["reason"] == "old_command"
        assert len(central.results) == 1


async def test_frames_that_are_forged_or_meant_for_another_run_have_no_effect_and_are_told(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        home.button.press()
        await central.event("pendant_pressed")
        name = central.id_of("pendant_pressed")
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
        own = central.signing_key
        central.signing_key = central.root
        central.reply(ReplyState.TAKEN, name, version=9)
        central.signing_key = own
        epoch, central.newest_epoch = central.newest_epoch, b"another!"
        central.reply(ReplyState.TAKEN, name, version=9)
        central.newest_epoch = epoch
        central.say(b"junk")
        await central.until(lambda: len(central.of_kind("security")) == 3)
        reasons = {event.details["reason"] for event in central.of_kind("security")}
        assert reasons == {"signature", "other_epoch", "frame_magic"}
        assert hub.home.view.lamp.value == "waiting"


async def test_a_central_that_was_restored_is_offered_what_it_may_have_lost(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        await central.event("hub_started")
        home.button.press()
        await central.event("pendant_pressed")
        name = central.id_of("pendant_pressed")
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
        home.button.press()
        await central.until(lambda: len(central.of_kind("pendant_pressed")) == 2)
        names = {one for one, event in central.events.items() if event.kind.word == "pendant_pressed"}
        central.restore()
        home.button.press()
        await central.until(lambda: names <= set(central.events))
        assert name in names


async def test_the_header_lies_in_the_first_alarm_and_not_in_those_after_its_receipt(
    home: HubUnderTest, central: Central
) -> None:
    async with home.running():
        await central.event("hub_started")
        home.button.press()
        await central.until(lambda: central.reports and central.reports[-1].lamp == "waiting")
        home.button.press()
        await central.until(lambda: len(central.of_kind("pendant_pressed")) == 2)
        records = [record for _, one in central.envelopes if one.lane is Lane.ALARM for record in one.records]
        assert len(records[-1]) < 400


async def test_the_relay_is_held_while_the_hub_runs_and_let_go_when_it_ends(
    home: HubUnderTest, central: Central, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "TICK_S", 0.005)
    async with home.running():
        await central.event("hub_started")
        async with asyncio.timeout(3):
            while home.button.panel.relay[-1] is not True:
                await asyncio.sleep(0.02)
    assert home.button.panel.relay[-1] is False


async def test_it_ends_within_five_seconds_although_nothing_can_be_sent(home: HubUnderTest, central: Central) -> None:
    loop = asyncio.get_running_loop()
    async with home.running():
        await central.event("hub_started")
        home.lines[0].is_mute = True
        home.button.press()
        for number in range(300):
            home.button.tell(Fact.TEMPERATURE, 20.0 + number / 100, "climate-1")
        await asyncio.sleep(0.2)
        started_s = loop.time()
    assert loop.time() - started_s < 5


async def test_two_hubs_cannot_use_one_card(home: HubUnderTest, central: Central, tmp_path: Path) -> None:
    from gateway.errors import JournalRefusedError

    async with home.running():
        first = home.hub
        with pytest.raises(JournalRefusedError):
            async with home.running():
                raise AssertionError("a second hub came up")
        assert home.hub is first
