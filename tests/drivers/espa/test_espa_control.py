"""The hub as control station, against a panel that says nothing until it is polled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drivers.contract import Fact
from drivers.espa import PLUGIN
from drivers.espa.codec import BLOCK_LIMIT, Delivered, checksum
from drivers.espa.control import TALK_S, Answered, Control, Unanswered
from simulators.bare_hub import BareHub
from simulators.espa_panel import Outcome, PtyWire
from simulators.espa_station import PolledPanel

if TYPE_CHECKING:
    from conftest import MakeDriver

EOT, ENQ, ACK, NAK = b"\x04", b"\x05", b"\x06", b"1\x15"
POLL = EOT + b"2" + ENQ
QUICK: dict[str, Any] = {"poll_interval_s": 0.05, "reply_timeout_s": 0.3}


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[PolledPanel]:
    async with PolledPanel(PtyWire(tmp_path / "ward.tty"), reply_timeout_s=0.4) as panel:
        yield panel


@pytest.fixture
def polling(make_driver: MakeDriver) -> Callable[..., Any]:
    return lambda panel, **overrides: make_driver(panel, role="control", **{**QUICK, **overrides})


async def test_a_call_is_fetched_from_a_panel_that_only_answers_polls(panel: PolledPanel, polling: Any) -> None:
    async with BareHub(polling(panel)) as hub:
        assert (await hub.next(Fact.LINK)).value is True
        delivery = await panel.press("call", room="101")
        assert delivery.outcome is Outcome.ACKED
        call = await hub.next(Fact.NURSE_CALL)
        assert (call.device, call.value, call.may_alarm) == ("room-101", "call", True)
        for room in ("102", "103", "104"):
            assert (await panel.press("emergency", room=room)).blocks_sent == 1
    assert hub.values(Fact.NURSE_CALL) == ["call", *["emergency"] * 3]


async def test_a_panel_that_sends_without_selecting_anybody_is_heard_too(panel: PolledPanel, polling: Any) -> None:
    panel.selects = False
    async with BareHub(polling(panel)) as hub:
        assert (await panel.press("call", room="101")).outcome is Outcome.ACKED
        assert (await hub.next(Fact.NURSE_CALL)).device == "room-101"


async def test_it_is_acknowledged_only_once_it_is_safe(panel: PolledPanel, polling: Any) -> None:
    async with BareHub(polling(panel, confirm_timeout_s=0.2), verdict=None) as hub:
        pressing = asyncio.create_task(panel.press("call", room="101"))
        call = await hub.next(Fact.NURSE_CALL)
        await panel.until(lambda: any(said == ("hub", NAK) for said in panel.talk))
        assert ("hub", ACK + ACK) not in panel.talk
        assert not pressing.done()
        hub.resolve(call, verdict=True)
        assert (await pressing).outcome is Outcome.ACKED
    assert hub.values(Fact.NURSE_CALL) == ["call"], "the panel's repeat was no second call"


async def test_a_damaged_block_is_asked_for_again(panel: PolledPanel, polling: Any) -> None:
    panel.faults.bad_bcc = 1
    async with BareHub(polling(panel)) as hub:
        delivery = await panel.press("call", room="101")
        assert delivery.answers == (NAK, ACK)
        assert hub.context.diagnostics["bcc_errors"] == 1


async def test_a_lost_ack_makes_no_second_call_and_the_next_same_call_is_one(panel: PolledPanel, polling: Any) -> None:
    panel.faults.lost_acks = 1
    async with BareHub(polling(panel)) as hub:
        assert (await panel.press("call", room="101")).blocks_sent == 2
        answered = panel.polls_answered
        await panel.until(lambda: panel.polls_answered > answered)
        assert (await panel.press("call", room="101")).blocks_sent == 1
        await hub.until(lambda: len(hub.values(Fact.NURSE_CALL)) == 2)


async def test_a_panel_that_stops_answering_is_told_lost_once_and_back_once(panel: PolledPanel, polling: Any) -> None:
    async with BareHub(polling(panel, poll_timeout_s=1)) as hub:
        await hub.next(Fact.LINK)
        panel.faults.is_silent = True
        lost = await hub.next(Fact.LINK)
        assert (lost.device, lost.value, lost.details["reason"]) == ("panel", False, "no_answer")
        assert hub.context.diagnostics["polls_unanswered"]
        assert hub.context.diagnostics["stations_silent"] == "2"
        panel.faults.is_silent = False
        assert (await hub.next(Fact.LINK)).value is True
        await panel.press("call", room="101")
    assert hub.values(Fact.LINK) == [True, False, True]


async def test_one_silent_station_among_several_is_missed(panel: PolledPanel, polling: Any) -> None:
    async with BareHub(polling(panel, polls=["2", "3"], poll_timeout_s=1, reply_timeout_s=0.1)) as hub:
        assert (await hub.next(Fact.LINK)).value is True  # nobody has been missed for long enough yet
        assert (await hub.next(Fact.LINK)).value is False
        assert hub.context.diagnostics["stations_silent"] == "3"
        assert (await panel.press("call", room="101")).outcome is Outcome.ACKED


async def test_a_master_that_loses_the_line_in_the_middle_does_not_stop_the_polling(
    panel: PolledPanel, polling: Any
) -> None:
    panel.goes_dead_when_polled = 1
    async with BareHub(polling(panel)) as hub:
        assert (await panel.press("call", room="101")).outcome is Outcome.ACKED
        await hub.next(Fact.NURSE_CALL)


async def test_a_line_that_hangs_up_is_polled_again_when_it_is_back(panel: PolledPanel, polling: Any) -> None:
    async with BareHub(polling(panel)) as hub:
        assert (await hub.next(Fact.LINK)).value is True
        await panel.hang_up()
        assert (await hub.next(Fact.LINK)).details["reason"] == "line_lost"
        await panel.plug_in()
        assert (await hub.next(Fact.LINK)).value is True
        assert (await panel.press("call", room="101")).outcome is Outcome.ACKED
    assert hub.values(Fact.LINK) == [True, False, True]


@pytest.mark.parametrize(
    ("given_settings", "complaint"),
    [
        ({"role": "control", "polls": ["1"]}, "our own station"),
        ({"role": "slave", "polls": ["3"]}, 'belongs to role = "control"'),
        ({"role": "control", "polls": ["12"]}, "polls"),
    ],
)
def test_settings_that_cannot_work_are_refused(given_settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        PLUGIN.settings.model_validate({"alias": "panel", "port": "/dev/ttyS0", **given_settings})


def test_a_control_station_is_station_one_unless_given() -> None:
    settings: Any = PLUGIN.settings.model_validate({"alias": "panel", "port": "/dev/ttyS0", "role": "control"})
    assert (settings.station, settings.polls) == ("1", ("2",))


# The pure part


def block(text: bytes) -> bytes:
    body = b"1\x022\x1f" + text + b"\x03"
    return b"\x01" + body + bytes([checksum(body)])


def control(*polled: str) -> Control:
    return Control(station="1", polled=polled or ("2",), interval_s=1.0, reply_s=0.5)


def test_stations_are_polled_in_turn_and_an_unanswered_one_does_not_hold_up_the_next() -> None:
    line = control("2", "3")
    assert line.tick(0.0) == (POLL, [])
    assert line.tick(0.4) == (b"", [])
    said, heard = line.tick(0.5)
    assert (said, heard) == (b"", [Unanswered(station="2")])
    assert line.due_s() == 1.5
    assert line.tick(1.5)[0] == EOT + b"3" + ENQ
    assert line.feed(EOT, 1.6)[0] == Answered(station="3", is_idle=False), "the first may end a talk begun before"
    assert line.tick(line.due_s())[0] == POLL


def test_a_station_is_known_to_hold_no_call_from_its_second_idle_answer_on() -> None:
    line, found = control(), []
    for step in range(3):
        line.tick(2.0 * step)
        found.append(line.feed(EOT, 2.0 * step + 0.1)[0])
    line.restart()
    line.tick(10.0)
    found.append(line.feed(EOT, 10.1)[0])
    assert [isinstance(fact, Answered) and fact.is_idle for fact in found] == [False, True, True, False]


def test_a_station_with_a_call_is_polled_again_at_once_when_it_is_done() -> None:
    line = control()
    line.tick(0.0)
    heard = line.feed(b"1" + ENQ, 0.1)
    assert [type(fact).__name__ for fact in heard] == ["Answered", "Selected"]
    assert heard[1].reply == ACK
    (delivered,) = line.feed(block(b"ANROP 101"), 0.2)
    assert isinstance(delivered, Delivered)
    assert line.due_s() == float("inf"), "our answer is owed: the line is the master's until it has it"
    assert line.answer(delivered.number, 1.0, is_accepted=True) == ACK
    (again,) = line.feed(b"1" + ENQ, 1.1)
    assert again.reply == ACK, "a second selection without EOT between is no poll of the control station"
    line.feed(EOT, 1.2)
    assert line.tick(1.2)[0] == POLL


def test_a_master_that_falls_silent_loses_the_line() -> None:
    line = control()
    line.tick(0.0)
    line.feed(b"1" + ENQ + block(b"ANROP")[:6], 0.1)
    assert line.tick(0.1 + TALK_S - 0.01) == (b"", [])
    assert line.tick(0.1 + TALK_S)[1] == [Unanswered(station="2")]
    assert line.tick(line.due_s())[0] == POLL


@given(st.lists(st.tuples(st.binary(max_size=40), st.floats(min_value=0, max_value=3, allow_nan=False)), max_size=60))
def test_whatever_stations_say_polling_goes_on_and_the_next_call_is_heard(
    noise: list[tuple[bytes, float]],
) -> None:
    line, now_s = control("2", "3"), 0.0
    for octets, wait_s in noise:
        for fact in line.feed(octets, now_s):
            if isinstance(fact, Delivered):
                line.answer(fact.number, now_s, is_accepted=False)
        now_s += wait_s
        line.tick(now_s)
    # Quiet: within a few intervals both have been polled again, and a call is taken as a call.
    polled: set[bytes] = set()
    for _ in range(40):
        now_s = max(now_s, line.due_s())
        assert now_s < float("inf")
        said, _ = line.tick(now_s)
        if said:
            polled.add(said[1:2])
            if polled == {b"2", b"3"}:
                break
    else:
        raise AssertionError(polled)
    heard = line.feed(b"1" + ENQ + block(b"ANROP 101"), now_s + 0.01)
    assert any(isinstance(fact, Delivered) for fact in heard)


@given(st.binary(min_size=BLOCK_LIMIT, max_size=3 * BLOCK_LIMIT))
def test_nothing_grows(octets: bytes) -> None:
    line = control()
    line.tick(0.0)
    line.feed(b"1" + ENQ + b"\x01" + octets, 0.1)
    assert len(line._slave._body or b"") <= BLOCK_LIMIT
