import asyncio
import errno
import random
import socket
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import serial

from drivers.contract import Driver, Fact, Observation
from drivers.errors import TransientDriverError
from drivers.espa import PLUGIN
from drivers.espa.driver import QUEUE_LIMIT
from drivers.espa.link import explain
from simulators.bare_hub import BareHub
from simulators.espa_panel import (
    EXAMPLE_MAPPING,
    ClientWire,
    EspaPanel,
    Outcome,
    PanelCall,
    PanelDelivery,
    PtyWire,
    ServerWire,
)

pytestmark = pytest.mark.timeout(20)

MakeDriver = Callable[..., Driver]
QUICK: dict[str, Any] = {"poll_interval_s": 0.05, "reply_timeout_s": 0.2, "retry_s": 0.02}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a_call_is_an_observation_of_its_room(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel)) as hub:
        delivery = await panel.press("emergency", room="101")
        call = await hub.next(Fact.NURSE_CALL)
    assert (call.device, call.value, call.may_alarm) == ("room-101", "emergency", True)
    assert call.details["room"] == "101"
    assert delivery.answers == (b"\x06",)


@pytest.mark.parametrize("kind", ["call", "emergency", "assistance", "presence", "reset"])
async def test_every_kind_of_block_travels_as_an_alarm(panel: EspaPanel, make_driver: MakeDriver, kind: str) -> None:
    async with BareHub(make_driver(panel)) as hub:
        await panel.press(kind, room="7")
        call = await hub.next(Fact.NURSE_CALL)
    assert (call.value, call.may_alarm) == (kind, True)


@pytest.mark.parametrize("wire", ["socket", "listen"])
async def test_a_call_comes_over_a_serial_server_either_way_round(make_driver: MakeDriver, wire: str) -> None:
    made = ServerWire() if wire == "socket" else ClientWire("127.0.0.1", free_port())
    async with EspaPanel(made, **QUICK) as panel, BareHub(make_driver(panel)) as hub:
        delivery = await panel.press("call", room="12")
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-12"
        assert delivery.outcome is Outcome.ACKED
        await panel.hang_up()
        await hub.until(lambda: hub.values(Fact.LINK) == [True, False])
        await panel.plug_in()
        await hub.until(lambda: hub.values(Fact.LINK) == [True, False, True])
        await panel.press("call", room="13")
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-13"
    assert hub.failures == []


async def test_only_the_named_converter_may_connect(make_driver: MakeDriver) -> None:
    number = free_port()
    async with EspaPanel(ClientWire("127.0.0.1", number), **QUICK) as panel:
        async with BareHub(make_driver(panel, allow_from=["192.0.2.1"], poll_timeout_s=1)) as hub:
            link = await hub.next()
            assert (link.fact, link.value) == (Fact.LINK, False)
            assert panel.polls_answered == 0
        async with BareHub(make_driver(panel, allow_from=["127.0.0.1"])) as hub:
            assert (await hub.next()).value is True


async def test_the_newest_connection_wins() -> None:
    number = free_port()
    port = f"listen://127.0.0.1:{number}"
    settings = PLUGIN.settings.model_validate({"alias": "panel", "port": port, "mapping": EXAMPLE_MAPPING})
    hub = BareHub(PLUGIN.build("ward", settings, Path()))
    async with (
        hub.driver.open(hub.context) as observations,
        EspaPanel(ClientWire("127.0.0.1", number, retry_s=60), **QUICK) as first,
    ):
        assert (await anext(observations)).value is True
        async with EspaPanel(ClientWire("127.0.0.1", number, retry_s=60), **QUICK) as second:
            pressing = asyncio.create_task(second.press("call", room="5"))
            while (seen := await anext(observations)).fact is Fact.LINK:
                pass
            hub.resolve(seen, verdict=True)
            assert (await pressing).answers == (b"\x06",)
            heard = first.polls_answered
            await second.until(lambda: second.polls_answered > 2)
            assert first.polls_answered == heard


# ACK only for what is safe.


async def test_the_panel_is_not_acknowledged_before_the_event_is_confirmed(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel), verdict=None) as hub:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call = await hub.next(Fact.NURSE_CALL)
        assert panel.talk[-1][0] == "panel", "nothing may be answered yet"
        await asyncio.sleep(0.1)
        assert panel.talk[-1][0] == "panel"
        hub.resolve(call, verdict=True)
        delivery = await pressing
    assert delivery.answers == (b"\x06",)
    assert hub.context.diagnostics["blocks_accepted"] == 1


async def test_a_refused_event_is_answered_nak_and_the_repeat_is_the_event(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel), verdict=None) as hub:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        hub.resolve(await hub.next(Fact.NURSE_CALL), verdict=False)
        hub.resolve(await hub.next(Fact.NURSE_CALL), verdict=True)
        delivery = await pressing
    assert delivery.answers == (b"1\x15", b"\x06")
    assert hub.context.diagnostics["refused"] == 1
    assert hub.context.diagnostics["redeliveries"] == 0


async def test_an_event_that_is_not_confirmed_in_time_is_answered_nak_and_the_repeat_joins_the_wait(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel, confirm_timeout_s=0.1), verdict=None) as hub:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call = await hub.next(Fact.NURSE_CALL)
        await panel.until(lambda: ("hub", b"1\x15") in panel.talk and panel.blocks_sent > 1)
        hub.resolve(call, verdict=True)
        delivery = await pressing
        assert delivery.outcome is Outcome.ACKED
        assert delivery.answers[0] == b"1\x15"
        assert delivery.answers[-1] == b"\x06"
    assert hub.values(Fact.NURSE_CALL) == ["call"]
    assert hub.context.diagnostics["redeliveries"] == delivery.blocks_sent - 1


async def test_a_panel_that_does_not_wait_for_the_answer_gets_it_with_its_repeat(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    panel.faults.is_impatient = True
    async with BareHub(make_driver(panel), verdict=None) as hub:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call = await hub.next(Fact.NURSE_CALL)
        await panel.until(lambda: panel.blocks_sent > 1)
        hub.resolve(call, verdict=True)
        panel.faults.is_impatient = False
        delivery = await pressing
    assert delivery.outcome is Outcome.ACKED
    assert delivery.answers[-1] == b"\x06"
    assert hub.values(Fact.NURSE_CALL) == ["call"]


async def test_a_hub_that_takes_nothing_leaves_the_calls_with_the_panel(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    hub = BareHub(make_driver(panel, confirm_timeout_s=10))
    async with hub.driver.open(hub.context), asyncio.timeout(5):
        for number in range(QUEUE_LIMIT):
            await one_offer(panel, PanelCall(text=f"ANROP ROM {number}"))
        pressing = asyncio.create_task(panel.press("call", room="999"))
        await panel.until(lambda: ("hub", b"1\x15") in panel.talk)
        pressing.cancel()
    assert hub.context.diagnostics["refused"] != 0


async def one_offer(panel: EspaPanel, call: PanelCall) -> None:
    """A call that the panel drops after one offer, whatever the answer."""
    body = f"1\x021\x1f550\x1e2\x1f{call.text}\x03".encode()
    check = 0
    for octet in body:
        check ^= octet
    await panel.babble(b"\x041\x052\x05\x01" + body + bytes([check]) + b"\x04")


# Repeats and new calls.


async def test_a_block_sent_again_because_the_ack_was_lost_is_one_event(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    panel.faults.lost_acks = 1
    async with BareHub(make_driver(panel)) as hub:
        delivery = await panel.press("call", room="101")
        await panel.press("call", room="102")
        await hub.until(lambda: len(hub.values(Fact.NURSE_CALL)) == 2)
    assert delivery.blocks_sent == 2
    assert [seen.device for seen in hub.seen if seen.fact is Fact.NURSE_CALL] == ["room-101", "room-102"]
    assert hub.context.diagnostics["redeliveries"] == 1


async def test_a_resident_who_presses_again_at_once_is_heard_again(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel)) as hub:
        for _ in range(3):
            assert (await panel.press("call", room="101")).answers == (b"\x06",)
        await hub.until(lambda: len(hub.values(Fact.NURSE_CALL)) == 3)
    assert hub.context.diagnostics["redeliveries"] == 0


async def test_a_call_after_a_reset_is_heard_even_when_every_ack_is_lost_once(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel)) as hub:
        for kind in ("call", "reset", "call"):
            panel.faults.lost_acks = 1
            await panel.press(kind, room="101")
        await hub.until(lambda: hub.values(Fact.NURSE_CALL) == ["call", "reset", "call"])


async def test_a_block_sent_again_over_a_new_line_is_one_event(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel)) as hub:
        panel.faults.lost_acks = 1
        pressing = asyncio.create_task(panel.press("call", room="101"))
        await hub.next(Fact.NURSE_CALL)
        await panel.until(lambda: panel.faults.lost_acks == 0 or panel.blocks_sent == 1)
        await panel.hang_up()
        await panel.plug_in()
        assert (await pressing).outcome is Outcome.ACKED
    assert hub.values(Fact.NURSE_CALL) == ["call"]


async def test_a_block_confirmed_before_a_restart_is_acknowledged_without_a_second_event(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel), verdict=None) as before:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call = await before.next(Fact.NURSE_CALL)
        # Confirmed and committed; the daemon dies before the ACK is out.
        before.memory.update(call.remember)
    async with BareHub(make_driver(panel), memory=before.memory) as after:
        delivery: PanelDelivery = await pressing
        await panel.press("call", room="102")
        assert (await after.next(Fact.NURSE_CALL)).device == "room-102"
    assert delivery.outcome is Outcome.ACKED
    assert after.context.diagnostics["redeliveries"] == 1


async def test_an_identical_call_after_a_restart_is_a_new_one_once_the_panel_has_shown_that_it_holds_none(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    memory: dict[str, int | str] = {}
    async with BareHub(make_driver(panel), memory=memory):
        assert (await panel.press("call", room="101")).outcome is Outcome.ACKED
    async with BareHub(make_driver(panel), memory=memory) as hub:
        answered = panel.polls_answered
        await panel.until(lambda: panel.polls_answered > answered)
        assert (await panel.press("call", room="101")).outcome is Outcome.ACKED
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-101"


async def test_a_block_not_confirmed_before_a_restart_is_an_event_after_it(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel), verdict=None) as before:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        await before.next(Fact.NURSE_CALL)
    async with BareHub(make_driver(panel), memory=before.memory) as after:
        assert (await after.next(Fact.NURSE_CALL)).device == "room-101"
        assert (await pressing).outcome is Outcome.ACKED


# What real panels do.


@pytest.mark.parametrize("fault", ["has_stray_rs", "has_stray_space", "omits_eot"])
async def test_a_panel_with_a_habit_is_understood(panel: EspaPanel, make_driver: MakeDriver, fault: str) -> None:
    setattr(panel.faults, fault, True)
    async with BareHub(make_driver(panel)) as hub:
        delivery = await panel.press("call", room="101")
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-101"
        polls = panel.polls_answered
        await panel.until(lambda: panel.polls_answered > polls)
    assert delivery.answers == (b"\x06",)


async def test_a_damaged_block_is_sent_again_and_counted(panel: EspaPanel, make_driver: MakeDriver) -> None:
    panel.faults.bad_bcc = 1
    async with BareHub(make_driver(panel)) as hub:
        delivery = await panel.press("call", room="101")
    assert delivery.answers == (b"1\x15", b"\x06")
    assert hub.context.diagnostics["bcc_errors"] == 1
    assert hub.values(Fact.NURSE_CALL) == ["call"]


async def test_a_panel_that_speaks_one_byte_at_a_time_is_understood(panel: EspaPanel, make_driver: MakeDriver) -> None:
    panel.faults.byte_delay_s = 0.002
    async with BareHub(make_driver(panel)) as hub:
        assert (await panel.press("call", room="101")).answers == (b"\x06",)
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-101"


async def test_a_seven_bit_panel_behind_an_eight_bit_converter_is_understood(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    panel.faults.parity = True
    async with BareHub(make_driver(panel, strip_high_bit=True)) as hub:
        assert (await panel.press("call", room="101")).answers == (b"\x06",)
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-101"


async def test_norwegian_letters_arrive(tmp_path: Path, make_driver: MakeDriver) -> None:
    async with (
        EspaPanel(PtyWire(tmp_path / "tty"), charset="iso646-no", **QUICK) as panel,
        BareHub(make_driver(panel, charset="iso646-no")) as hub,
    ):
        await panel.send(PanelCall(text="HJELP PÅ BADET, RØDT"))
        call = await hub.next(Fact.NURSE_CALL)
    assert call.details["text"] == "HJELP PÅ BADET, RØDT"


async def test_a_block_nobody_mapped_is_still_a_call(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel)) as hub:
        await panel.send(PanelCall(text="KODE 9", header="4"))
        call = await hub.next(Fact.NURSE_CALL)
    assert (call.device, call.value, call.may_alarm) == ("panel", "call", True)
    assert call.details["unmapped"] is True
    assert hub.context.diagnostics["unmapped"] == 1


async def test_a_block_that_a_rule_ignores_is_acknowledged_and_counted(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel, mapping=[{"text": "^KL ", "value": "ignore"}])) as hub:
        assert (await panel.send(PanelCall(text="KL 12:00"))).answers == (b"\x06",)
    assert hub.values(Fact.NURSE_CALL) == []
    assert hub.context.diagnostics["ignored"] == 1


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_call_is_lost_on_a_bad_line_and_none_is_acknowledged_before_it_is_safe(
    tmp_path: Path, make_driver: MakeDriver, seed: int
) -> None:
    dice = random.Random(seed)
    hurry = QUICK | {"reply_timeout_s": 0.06, "poll_interval_s": 0.02}
    async with EspaPanel(PtyWire(tmp_path / "tty"), **hurry) as panel:
        hub = BareHub(make_driver(panel, confirm_timeout_s=0.1))
        async with hub:
            for room in range(40):
                panel.faults.bad_bcc = dice.choice((0, 0, 0, 1))
                panel.faults.lost_acks = dice.choice((0, 0, 0, 1, 4))
                panel.faults.has_stray_rs = dice.random() < 0.3
                panel.faults.omits_eot = dice.random() < 0.2
                hub.verdict = dice.choice((True, True, True, False))
                pressing = asyncio.create_task(panel.press("call", room=str(room)))
                if not hub.verdict:
                    await hub.until(lambda room=room: f"room-{room}" in {seen.device for seen in hub.seen})  # type: ignore[misc]
                    hub.verdict = True
                if dice.random() < 0.1:
                    await panel.hang_up()
                    await panel.plug_in()
                assert (await pressing).outcome is Outcome.ACKED
                safe = {seen.device for seen in hub.seen if seen.confirmation and seen.confirmation.result()}
                assert f"room-{room}" in safe
    assert hub.failures == []


# The line.


async def test_a_silent_panel_is_told_once_and_its_return_once(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel, poll_timeout_s=1)) as hub:
        assert (await hub.next()).value is True
        panel.faults.is_silent = True
        down = await hub.next()
        assert (down.fact, down.value, down.device, down.may_alarm) == (Fact.LINK, False, "panel", False)
        assert down.details["reason"] == "no_poll"
        await asyncio.sleep(1.2)
        panel.faults.is_silent = False
        assert (await hub.next()).value is True
    assert hub.values(Fact.LINK) == [True, False, True]
    assert hub.failures == []


async def test_a_line_that_was_back_before_anybody_asked_was_never_down(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    hub = BareHub(make_driver(panel))
    async with hub.driver.open(hub.context) as observations:
        assert (await anext(observations)).value is True
        await panel.hang_up()
        await asyncio.sleep(0.05)
        await panel.plug_in()
        polls = panel.polls_answered
        await panel.until(lambda: panel.polls_answered > polls)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(observations), 0.05)


async def test_a_panel_that_polls_another_station_is_no_panel_of_ours(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    async with BareHub(make_driver(panel, station="3", poll_timeout_s=1)) as hub:
        assert (await hub.next()).value is False
    assert hub.context.diagnostics["stations_heard"] == "2"


async def test_an_unplugged_line_is_told_once_and_opened_again(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel)) as hub:
        await hub.until(lambda: hub.values(Fact.LINK) == [True])
        await panel.hang_up()
        down = [await hub.next(), await hub.next()][1]
        assert (down.value, down.details["reason"]) == (False, "line_lost")
        await asyncio.sleep(0.5)
        await panel.plug_in()
        await panel.press("call", room="101")
        await hub.next(Fact.NURSE_CALL)
    assert hub.values(Fact.LINK) == [True, False, True]


async def test_what_was_told_of_the_link_outlives_a_restart_of_the_driver(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    driver = make_driver(panel)
    async with BareHub(driver) as first:
        assert (await first.next()).value is True
    async with BareHub(driver) as second:
        polls = panel.polls_answered
        await panel.until(lambda: panel.polls_answered > polls + 1)
    assert second.seen == []


@pytest.mark.parametrize(
    ("port", "words"),
    [("/dev/ttyNONE0", "is the converter plugged in"), ("socket://127.0.0.1:1", "cannot be reached")],
)
async def test_a_line_that_is_not_there_at_the_start_ends_the_driver_for_now(port: str, words: str) -> None:
    driver = PLUGIN.build("ward", PLUGIN.settings.model_validate({"alias": "panel", "port": port}), Path())
    hub = BareHub(driver)
    with pytest.raises(TransientDriverError, match=words):
        async with driver.open(hub.context):
            pass


async def test_a_port_in_use_is_said_to_be_in_use(panel: EspaPanel, make_driver: MakeDriver) -> None:
    async with BareHub(make_driver(panel)) as hub:
        await hub.next()
        with pytest.raises(TransientDriverError, match="in use by another program"):
            async with make_driver(panel).open(hub.context):
                pass


async def test_a_listening_port_that_is_taken_is_said_so(make_driver: MakeDriver) -> None:
    number = free_port()
    settings = PLUGIN.settings.model_validate({"alias": "panel", "port": f"listen://127.0.0.1:{number}"})
    hub = BareHub(PLUGIN.build("a", settings, Path()))
    async with hub.driver.open(hub.context):
        with pytest.raises(TransientDriverError, match="cannot be listened on"):
            async with PLUGIN.build("b", settings, Path()).open(hub.context):
                pass


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (serial.SerialException(errno.ENOENT, "could not open port"), "plugged in"),
        (serial.SerialException(errno.EACCES, "could not open port"), "dialout"),
        (serial.SerialException(errno.EAGAIN, "Could not exclusively lock port"), "in use by another program"),
        (termios.error(errno.EINVAL, "Invalid argument"), "does not take these line settings"),
        (ValueError("Invalid baud rate"), "does not take these line settings"),
        (serial.SerialException("something else"), "something else"),
    ],
)
def test_why_a_port_cannot_be_opened_is_said_in_words(error: Exception, words: str) -> None:
    assert words in explain("/dev/ttyUSB0", error)


async def test_a_wait_for_the_next_fact_can_be_given_up_and_taken_up_again(
    panel: EspaPanel, make_driver: MakeDriver
) -> None:
    hub = BareHub(make_driver(panel))
    async with hub.driver.open(hub.context) as observations:
        assert (await anext(observations)).fact is Fact.LINK
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(observations), 0.05)
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call: Observation = await asyncio.wait_for(anext(observations), 5)
        hub.resolve(call, verdict=True)
        await pressing
    with pytest.raises(StopAsyncIteration):
        await anext(observations)


async def test_what_is_logged_names_no_text_from_the_panel(
    panel: EspaPanel, make_driver: MakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    async with BareHub(make_driver(panel)) as hub:
        await panel.send(PanelCall(text="SECOND NORDMANN HAR FALT"))
        await hub.next(Fact.NURSE_CALL)
        panel.faults.lost_acks = 1
        await panel.send(PanelCall(text="FIRST NORDMANN"))
    logged = capsys.readouterr().out
    assert "espa_block_unmapped" in logged
    assert logged.count("espa_link_up") == 1
    assert "NORDMANN" not in logged
