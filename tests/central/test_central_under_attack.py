"""What somebody can do who records, replays or makes up messages: nothing to an alarm, and little to the database."""

from __future__ import annotations

import io
import sys
import traceback

import pytest
import structlog
from sqlalchemy.exc import SQLAlchemyError

from central import log, quarantine
from central.console.accounts import Accounts
from central.console.roles import Role
from central.errors import NotStoredError
from central.lifecycle import Queue
from central.reception import BusyError, Sort
from cloud_sync import frames
from cloud_sync.errors import ForgedError, ReplayedError
from cloud_sync.frames import FrameType
from cloud_sync.identity import Lane, new_id
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench


async def test_a_recorded_message_played_a_thousand_times_does_not_keep_an_alarm_out(
    bench: Bench, hub: FrameHub
) -> None:
    recorded = hub.heartbeat()
    await bench.reception.receive(recorded, "mqtt")
    refused = 0
    for _ in range(int(Sort.URGENT.value[1]) + 10):
        try:
            await bench.reception.receive(recorded, "mqtt")
        except (ReplayedError, BusyError):
            refused += 1
    assert refused == int(Sort.URGENT.value[1]) + 10
    await bench.press(hub)
    assert await bench.kinds() == ["pendant_pressed"]


async def test_a_hub_that_greets_without_end_on_a_flapping_line_still_gets_its_alarm_in(
    bench: Bench, hub: FrameHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Sort.SIGN, "_value_", (0.001, 5.0))
    with pytest.raises(BusyError):
        for _ in range(10):
            await bench.reception.hello(hub.heartbeat(is_hello=True), "https")
    await bench.press(hub)
    assert await bench.kinds() == ["pendant_pressed"]


async def test_a_replayed_envelope_is_answered_so_often_and_no_more(bench: Bench, hub: FrameHub) -> None:
    frame = hub.envelope(hub.seal("pendant_pressed"))
    await bench.reception.receive(frame, "mqtt", may_be_doubled=True)
    with pytest.raises(BusyError):
        for _ in range(int(Sort.REPEATED.value[1]) + 1):
            await bench.reception.receive(frame, "mqtt", may_be_doubled=True)
    (alarm,) = await bench.alarms.queue()
    assert alarm.repeats == 0


def stranger_of(bench: Bench, hub: FrameHub) -> FrameHub:
    stranger = FrameHub(bench.services.keys.trust)
    stranger.key, stranger.id, stranger.run = hub.key, new_id(), hub.run
    return stranger


async def test_strangers_without_number_share_an_alarm_in_the_end(
    bench: Bench, hub: FrameHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_SENDERS", 3)
    for _ in range(20):
        with pytest.raises(ForgedError, match="unknown_hub"):
            await bench.reception.receive(stranger_of(bench, hub).envelope(b"x", lane=Lane.ALARM), "https")
    alarms = await bench.alarms.queue(Queue.TECHNICAL)
    assert len(alarms) == 4
    (shared,) = [alarm for alarm in alarms if not alarm.hub]
    assert shared.repeats == 16


async def test_strangers_cannot_fill_the_room_that_known_hubs_need(
    bench: Bench, hub: FrameHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "MAX_ROWS", 10)
    monkeypatch.setattr(quarantine, "MAX_ROWS_OF_STRANGERS", 5)
    for _ in range(20):
        with pytest.raises(ForgedError, match="unknown_hub"):
            await bench.reception.receive(stranger_of(bench, hub).envelope(b"x", lane=Lane.ALARM), "https")
    assert await bench.value("SELECT count(*) FROM quarantine") == 5
    await bench.reception.receive(hub.envelope(b"no record at all", lane=Lane.ALARM), "https")
    assert await bench.kinds() == ["unreadable_alarm"]


async def test_a_flood_of_unknown_hubs_is_not_even_looked_into(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.reception._quarantine._tokens = 0
    bench.reception._quarantine._at_s = bench.clock.mono_s()
    looked: list[bytes] = []
    monkeypatch.setattr("central.reception.canonical.load_map", looked.append)
    frame = frames.MAGIC + bytes([FrameType.ENVELOPE]) + new_id() + bytes(64) + b"\xa1" * 1000
    with pytest.raises(ForgedError, match="unknown_hub"):
        await bench.reception.receive(frame, "https")
    assert looked == []


async def test_a_lamp_report_that_was_overtaken_does_not_show_an_old_lamp(bench: Bench, hub: FrameHub) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    name = bytes.fromhex(alarm.id)
    green = hub.lamp_report("taken", [(name, 2, "taken")])
    yellow = hub.lamp_report("waiting", [(name, 2, "waiting")])
    for report in (yellow, green):
        await bench.reception.receive(report, "https")
    assert await bench.value(f"SELECT lamp_state FROM alarm WHERE id = '{alarm.id}'") == "waiting"


async def test_what_a_failing_database_says_holds_nothing_of_what_was_to_be_stored(bench: Bench) -> None:
    accounts = Accounts(bench.store, bench.clock)
    await accounts.add("Operator One", Role.RESPONDER)
    await bench.change("CREATE UNIQUE INDEX refusing ON user_account (role)")  # its refusal would name the values
    try:
        with pytest.raises((NotStoredError, SQLAlchemyError)) as caught:
            await accounts.add("Operator Two", Role.RESPONDER)
    finally:
        await bench.change("DROP INDEX refusing")
    chain: BaseException | None = caught.value
    while chain is not None:
        told = "".join(traceback.format_exception_only(chain))
        assert "Operator" not in told
        assert "responder" not in told
        chain = chain.__cause__ or chain.__context__


def test_a_log_that_nobody_takes_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    log.configure("info", as_json=True)
    structlog.get_logger().error("work_failed")
