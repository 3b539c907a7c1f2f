"""The modem against a simulated one, on a serial port and over TCP: all that goes right, and all that goes wrong."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from cloud_sync.modem import ModemError, ModemSettings, Reason, Registration, Sim, open_modem
from cloud_sync.modem import bringing_up as bringing_module
from cloud_sync.modem import modem as modem_module
from cloud_sync.modem import talk as talk_module
from cloud_sync.modem.stuck import REFUSALS
from simulators.modem import SimulatedModem

PHONE = "+4790000001"
US = "+4759000000"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(modem_module, "BACK_OFF_MIN_S", 0.05)
    monkeypatch.setattr(modem_module, "BACK_OFF_MAX_S", 0.2)
    monkeypatch.setattr(modem_module, "HINDERED_POLL_S", 0.1)
    monkeypatch.setattr(talk_module, "QUIET_S", 0.02)
    monkeypatch.setattr(talk_module, "SYNC_S", 0.2)
    monkeypatch.setattr(bringing_module, "SIM_BUSY_S", 0.02)


async def until(modem, holds, timeout_s=10):
    async with asyncio.timeout(timeout_s):
        while not holds(modem.state):
            await modem.changed()


@asynccontextmanager
async def plugged_in(there, tmp_path, *, is_tcp=False, **settings):
    """A modem of ours on a simulated one."""
    async with there.on_tcp() if is_tcp else there.on_pty(tmp_path / "ttyModem") as port:
        made = ModemSettings.model_validate({"port": str(port), **settings})
        async with open_modem(made, base=tmp_path, state_dir=tmp_path) as modem:
            yield modem


def shown(state):
    return (state.is_present, state.sim, state.registration, state.operator, state.signal_dbm)


@pytest.mark.parametrize("is_tcp", [False, True])
async def test_a_modem_is_brought_up_and_a_text_goes_out(tmp_path, is_tcp):
    there = SimulatedModem(US)
    async with plugged_in(there, tmp_path, is_tcp=is_tcp) as modem:
        await until(modem, lambda state: state.is_ready and state.signal_dbm is not None)
        assert await modem.text(PHONE, "Rom 12: gå til døra", deadline_s=5, is_urgent=True) == 1
        assert there.sent == [(PHONE, "Rom 12: gå til døra")]
        assert shown(modem.state) == (True, Sim.READY, Registration.HOME, "Nettverk", -79)
        assert modem.state.last_sent_s is not None
        assert there.commands[:3] == ["AT", "ATE0", "AT+CMEE=1"]


async def test_messages_come_in_one_by_one_and_leave_room_for_the_next(tmp_path):
    there = SimulatedModem(US)
    there.receive(PHONE, "before anybody listened")
    async with plugged_in(there, tmp_path) as modem:
        coming = modem.inbound
        assert await asyncio.wait_for(anext(coming), 10) == (PHONE, "before anybody listened")
        for number in range(there.capacity * 2):
            assert there.receive(PHONE, f"svar {number} æøå")
            assert await asyncio.wait_for(anext(coming), 10) == (PHONE, f"svar {number} æøå")
            await there.until(lambda: not there.card.stored)


async def test_chatter_in_the_middle_of_replies_does_no_harm(tmp_path):
    there = SimulatedModem(US)
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)
        there.chatter = ["RING", "^RSSI:12", '+CUSD: 0,"OK",15', "+CREG: 1", "> what", "+CMT: ,5", "00"] * 3
        for number in range(10):
            await modem.text(PHONE, f"text {number}", deadline_s=10, is_urgent=False)
        assert [text for _, text in there.sent] == [f"text {number}" for number in range(10)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [("+CMS ERROR: 331", Reason.NO_NETWORK), ("+CMS ERROR: 30", Reason.BAD_NUMBER), ("ERROR", Reason.REFUSED)],
)
async def test_a_refused_text_says_why_and_the_next_one_goes(tmp_path, line, reason):
    there = SimulatedModem(US)
    there.errors = [line]
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)
        with pytest.raises(ModemError) as caught:
            await modem.text(PHONE, "one", deadline_s=5, is_urgent=False)
        assert caught.value.reason is reason
        assert PHONE not in str(caught.value)
        assert reason.value in modem.state.last_error
        assert modem.state.failed == 1
        await modem.text(PHONE, "two", deadline_s=5, is_urgent=False)
        assert (modem.state.failed, modem.state.last_error) == (0, "")


async def test_a_full_storage_is_emptied_and_the_text_goes_after_all(tmp_path):
    there = SimulatedModem(US)
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)
        there.card.stored = dict.fromkeys(range(1, there.capacity + 1), "00")
        there.errors = ["+CMS ERROR: 322"]
        await modem.text(PHONE, "one", deadline_s=5, is_urgent=False)
        assert there.sent == [(PHONE, "one")]
        assert not there.card.stored


async def test_a_send_without_an_answer_is_given_up_and_the_modem_goes_on(tmp_path):
    there = SimulatedModem(US)
    there.never_answers_sends = True
    async with plugged_in(there, tmp_path, send_timeout_s=5) as modem:
        modem._settings = modem._settings.model_copy(update={"send_timeout_s": 0.3})
        await until(modem, lambda state: state.is_ready)
        with pytest.raises(ModemError) as caught:
            await modem.text(PHONE, "one", deadline_s=5, is_urgent=False)
        assert caught.value.reason is Reason.TIMEOUT
        await there.until(lambda: there.aborted == 1)
        there.never_answers_sends = False
        await modem.text(PHONE, "two", deadline_s=5, is_urgent=False)
        assert [text for _, text in there.sent] == ["two"]


async def test_a_stub_goes_before_texts_that_waited_longer(tmp_path):
    there = SimulatedModem(US)
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)
        there.send_delay_s = 0.1
        async with asyncio.TaskGroup() as group:
            group.create_task(modem.text(PHONE, "under way", deadline_s=10, is_urgent=False))
            await there.until(lambda: any(line.startswith("AT+CMGS") for line in there.commands))
            group.create_task(modem.text(PHONE, "ordinary", deadline_s=10, is_urgent=False))
            group.create_task(modem.text(PHONE, "urgent", deadline_s=10, is_urgent=True))
            group.create_task(modem.stub(PHONE, "stub", deadline_s=10))
        assert [text for _, text in there.sent] == ["under way", "stub", "urgent", "ordinary"]


async def test_more_than_may_wait_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(modem_module, "MAX_WAITING", 2)
    there = SimulatedModem(US)
    there.never_answers_sends = True
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)

        def send():
            return asyncio.create_task(modem.text(PHONE, "x", deadline_s=10, is_urgent=False))

        sending = [send()]
        await there.until(lambda: any(line.startswith("AT+CMGS") for line in there.commands))
        sending += [send(), send()]
        await asyncio.sleep(0)
        with pytest.raises(ModemError, match="busy"):
            await asyncio.wait_for(modem.text(PHONE, "x", deadline_s=10, is_urgent=False), 1)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


async def test_without_a_network_a_text_fails_at_once_and_goes_when_it_is_back(tmp_path):
    there = SimulatedModem(US)
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)
        there.set_registration(2)
        await until(modem, lambda state: state.registration is Registration.SEARCHING)
        with pytest.raises(ModemError) as caught:
            await asyncio.wait_for(modem.text(PHONE, "x", deadline_s=10, is_urgent=True), 1)
        assert caught.value.reason is Reason.NO_NETWORK
        there.set_registration(5)
        await until(modem, lambda state: state.registration is Registration.ROAMING)
        await modem.text(PHONE, "x", deadline_s=10, is_urgent=True)


async def test_a_modem_that_is_pulled_out_is_missed_at_once_and_used_again_when_it_is_back(tmp_path):
    there = SimulatedModem(US)
    settings = ModemSettings(port=str(tmp_path / "ttyModem"))
    async with open_modem(settings, base=tmp_path) as modem:
        await until(modem, lambda state: "plugged in" in state.last_error)
        async with there.on_pty(tmp_path / "ttyModem"):
            await until(modem, lambda state: state.is_ready)
            there.send_delay_s = 5
            sending = asyncio.create_task(modem.text(PHONE, "x", deadline_s=10, is_urgent=True))
            await there.until(lambda: any(line.startswith("AT+CMGS") for line in there.commands))
            there.hang_up()
            with pytest.raises(ModemError) as caught:
                await asyncio.wait_for(sending, 2)
            assert caught.value.reason is Reason.NO_MODEM
            assert modem.state.hindrance is Reason.NO_MODEM
        again = SimulatedModem(US)
        async with again.on_pty(tmp_path / "ttyModem"):
            await until(modem, lambda state: state.is_ready)
            await modem.text(PHONE, "back", deadline_s=5, is_urgent=True)
            assert again.sent == [(PHONE, "back")]


async def test_a_modem_that_restarts_by_itself_is_told_everything_again(tmp_path):
    (tmp_path / "pin").write_text("1234\n")
    there = SimulatedModem(US, pin="1234")
    async with plugged_in(there, tmp_path, pin_file="pin") as modem:
        await until(modem, lambda state: state.is_ready)
        there.restart()
        await there.until(lambda: there.pins_tried == ["1234", "1234"])
        await until(modem, lambda state: state.is_ready)
        await modem.text(PHONE, "x", deadline_s=5, is_urgent=True)
        assert there.sent == [(PHONE, "x")]


async def test_a_modem_that_turns_everything_down_is_started_anew_once_and_sends_again(tmp_path):
    (tmp_path / "pin").write_text("1234\n")
    there = SimulatedModem(US, pin="1234")
    there.is_wedged = True
    async with plugged_in(there, tmp_path, is_tcp=True, pin_file="pin") as modem:
        await until(modem, lambda state: state.is_ready)
        for number in range(REFUSALS):
            assert there.restarts == 0
            with pytest.raises(ModemError, match="does not allow"):
                await modem.text(PHONE, f"text {number}", deadline_s=5, is_urgent=True)
        await there.until(lambda: there.restarts == 1)
        await until(modem, lambda state: not state.is_present)
        assert "start anew" in modem.state.last_error
        await until(modem, lambda state: state.is_ready)
        await modem.text(PHONE, "again", deadline_s=5, is_urgent=True)
        assert [text for _, text in there.sent] == ["again"]
        there.is_wedged = True
        for _ in range(REFUSALS + 2):  # it was no use: not again within the hour
            with pytest.raises(ModemError, match="does not allow"):
                await modem.text(PHONE, "more", deadline_s=5, is_urgent=True)
        assert there.restarts == 1


async def test_a_modem_that_says_nothing_is_no_modem(tmp_path):
    there = SimulatedModem(US)
    there.is_deaf = True
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: "nothing on this port answers" in state.last_error)
        assert not modem.state.is_present
        there.is_deaf = False
        await until(modem, lambda state: state.is_ready)


@pytest.mark.parametrize("mute", ["AT+COPS?", "AT+CSQ", "AT+COPS=3,0", "AT+CREG=1", "AT+CEREG=1"])
async def test_a_question_that_the_modem_never_answers_keeps_no_text_waiting(tmp_path, monkeypatch, mute):
    monkeypatch.setattr(talk_module, "WONDER_S", 0.3)
    there = SimulatedModem(US)
    there.mute_on = {mute}
    async with plugged_in(there, tmp_path, poll_s=5) as modem:
        await until(modem, lambda state: state.is_ready)
        for place in range(3):
            await modem.text(PHONE, f"text {place}", deadline_s=3, is_urgent=True)
        assert [text for _, text in there.sent] == ["text 0", "text 1", "text 2"]
        assert there.commands.count(mute) == 1, "it is not asked again so soon"
        there.mute_on.clear()
        monkeypatch.setattr(talk_module, "WONDER_AGAIN_S", 0.0)
        if mute.endswith(("?", "Q")):
            modem._settings = modem._settings.model_copy(update={"poll_s": 0.05})
            await modem.text(PHONE, "the next look is soon", deadline_s=3, is_urgent=True)
            await until(modem, lambda state: state.signal_dbm is not None and state.operator)


async def test_a_look_that_fails_keeps_no_text_waiting_for_the_next_one(tmp_path):
    there = SimulatedModem(US)
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.is_ready)
        there.mute_on = {"AT+CREG?"}
        modem._settings = modem._settings.model_copy(update={"poll_s": 0.01})
        asked = there.commands.count("AT+CREG?")
        await modem.text(PHONE, "before", deadline_s=5, is_urgent=True)
        await there.until(lambda: there.commands.count("AT+CREG?") > asked)
        await modem.text(PHONE, "while it fails", deadline_s=15, is_urgent=True)
        assert [text for _, text in there.sent] == ["before", "while it fails"]


@pytest.mark.parametrize("tells", [True, False])
async def test_a_wrong_pin_is_tried_once_and_never_again_also_after_a_restart(tmp_path, tells):
    (tmp_path / "pin").write_text("9999")
    there = SimulatedModem(US, pin="1234")
    there.tells_attempts = tells
    for _ in range(4):
        async with plugged_in(there, tmp_path, pin_file="pin") as modem:
            await until(modem, lambda state: state.sim is Sim.PIN_REFUSED)
            assert modem.state.hindrance is Reason.SIM_PIN
            count = len(there.commands)
            await there.until(lambda count=count: len(there.commands) > count + 12)  # some polls later
    assert there.pins_tried == ["9999"]
    assert there.card.attempts == 2
    (tmp_path / "pin").write_text("1234 ")
    async with plugged_in(there, tmp_path, pin_file="pin") as modem:
        await until(modem, lambda state: state.is_ready)
    assert there.card.attempts == 3


async def test_the_last_attempt_is_left_to_a_person(tmp_path):
    (tmp_path / "pin").write_text("1234")
    there = SimulatedModem(US, pin="1234")
    there.card.attempts = 1
    async with plugged_in(there, tmp_path, pin_file="pin") as modem:
        await until(modem, lambda state: state.sim is Sim.PIN_REFUSED)
        assert "one attempt" in modem.state.last_error
    assert there.pins_tried == []


async def test_a_power_cut_while_the_pin_was_tried_does_not_lock_the_right_pin_out(tmp_path):
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "sim-pin-tried").write_text(f"{(tmp_path / 'pin').stat().st_mtime_ns} 1\n")
    there = SimulatedModem(US, pin="1234")
    async with plugged_in(there, tmp_path, pin_file="pin") as modem:
        await until(modem, lambda state: state.is_ready)


@pytest.mark.parametrize(
    ("content", "settings", "sim", "words"),
    [
        (None, {}, Sim.PIN_WANTED, "no pin_file"),
        (None, {"pin_file": "pin"}, Sim.PIN_WANTED, "cannot be read"),
        ("12", {"pin_file": "pin"}, Sim.PIN_WANTED, "four to eight digits"),
    ],
)
async def test_a_pin_that_is_not_there_is_said_so(tmp_path, content, settings, sim, words):
    if content is not None:
        (tmp_path / "pin").write_text(content)
    there = SimulatedModem(US, pin="1234")
    async with plugged_in(there, tmp_path, **settings) as modem:
        await until(modem, lambda state: state.sim is sim)
        assert words in modem.state.last_error


async def test_a_card_that_is_missing_or_blocked_is_said_so_and_used_once_it_is_there(tmp_path):
    there = SimulatedModem(US)
    there.card.is_in = False
    async with plugged_in(there, tmp_path) as modem:
        await until(modem, lambda state: state.sim is Sim.ABSENT)
        there.card.is_in, there.card.attempts = True, 0
        await until(modem, lambda state: state.sim is Sim.PUK_WANTED)
        assert modem.state.hindrance is Reason.SIM_BLOCKED
        there.card.attempts = 3
        await until(modem, lambda state: state.is_ready)
        await modem.text(PHONE, "x", deadline_s=5, is_urgent=True)
        there.receive(PHONE, "svar")
        assert await asyncio.wait_for(anext(modem.inbound), 5) == (PHONE, "svar")


async def test_a_text_that_is_too_long_or_goes_nowhere_is_refused_before_it_waits(tmp_path):
    async with open_modem(ModemSettings(port=str(tmp_path / "none"))) as modem:
        with pytest.raises(ModemError, match="too_long"):
            await modem.text(PHONE, "x" * 161, deadline_s=1, is_urgent=True)
        with pytest.raises(ModemError, match="bad_number"):
            await modem.text("911-call", "x", deadline_s=1, is_urgent=True)
        with pytest.raises(ModemError, match="no_modem"):
            await modem.text(PHONE, "x", deadline_s=1, is_urgent=True)
