"""A path that carries only stubs, beside and instead of the others: real keys, an in-memory text service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.errors import UplinkError
from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction, Stub, open_stub
from cloud_sync.stub_answer import AnswerState, StubAnswer
from drivers.contract import Fact
from gateway.asked import describe
from gateway.pending import Pending
from gateway.probes import ProbeRule
from gateway.selector import Attempt
from gateway.status import render
from gateway.stub_allowance import FIRST_OF_EACH, HOUR_S, StubAllowance
from gateway.stubs import StubQueue, dump_known, load_known

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any


class TextLine:
    """A modem and the network behind it, with central at the other end."""

    name = "sms"
    carries_stubs = True

    def __init__(self, central: Central) -> None:
        self.central = central
        self.is_there = True
        self.is_refusing = False
        self.answers = True
        self.takes_s = 0.0
        self.hellos: list[bytes] = []
        self.stubs: list[Stub] = []
        self.raw: list[bytes] = []
        self.at_once = self.most_at_once = 0
        self.down: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.changed = asyncio.Event()

    @asynccontextmanager
    async def open(self, hello: bytes, /) -> AsyncIterator[TextLine]:
        self.hellos.append(hello)
        if not self.is_there:
            raise UplinkError("no modem")
        self.down = asyncio.Queue()
        yield self

    async def send(self, blob: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(self.takes_s)
        self.at_once -= 1
        if self.is_refusing:
            raise UplinkError("+CMS ERROR: 38")
        one = open_stub(blob, self.central.hub_key.public_key())
        assert lane is (None if one.is_probe else one.event.lane)
        self.stubs.append(one)
        self.raw.append(blob)
        self.changed.set()
        if self.answers:
            self.answer(one.event, AnswerState.MACHINE if one.is_probe else AnswerState.KNOWN)

    def answer(self, event: EventId, state: AnswerState, *, version: int = 0, central_ms: int | None = None) -> bytes:
        blob = StubAnswer(
            hub=event.hub,
            epoch=event.epoch,
            lane=event.lane,
            seq=event.seq,
            central_ms=self.central.now_ms() if central_ms is None else central_ms,
            version=version,
            state=state,
        ).signed(self.central.key_id, self.central.signing_key)
        self.down.put_nowait(blob)
        return blob

    async def frames(self) -> AsyncIterator[bytes]:
        while (blob := await self.down.get()) is not None:
            yield blob
        raise UplinkError("the modem is gone")

    async def until(self, is_so: Any, timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():
                await asyncio.sleep(0.01)


@pytest.fixture
def texts(home: HubUnderTest, central: Central) -> TextLine:
    line = TextLine(central)
    home.lines.append(line)
    return line


def pressed(texts: TextLine) -> list[Stub]:
    return [one for one in texts.stubs if not one.is_probe]


async def test_an_alarm_that_is_receipted_in_time_costs_no_text_message(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    async with home.running():
        await home.button.press()
        await central.event("pendant_pressed")
        await asyncio.sleep(0.6)  # twice the time after which a second path would have its turn
    assert texts.stubs == []
    assert texts.hellos == [b""]


async def test_without_a_receipt_in_time_the_stub_goes_out_beside_the_frames(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        home.lines[0].is_mute = True
        home.button.press()
        await texts.until(lambda: pressed(texts))
        (one,) = pressed(texts)
        assert (one.device, one.event.lane) == ("pendant-1", Lane.ALARM)
        await texts.until(lambda: hub.home.view.lamp.value == "waiting")
        assert hub.urgent.is_waiting  # known is not receipted
        home.lines[0].is_mute = False
        await central.event("pendant_pressed")
        await texts.until(lambda: not hub.urgent.is_waiting)
    assert len(pressed(texts)) == 1


async def test_with_all_else_down_an_alarm_leaves_at_once_and_its_record_follows_when_a_path_is_back(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        home.lines[0].cut()
        await texts.until(lambda: not hub.paths[0].is_up)
        await asyncio.sleep(0.35)  # a path that is renewed is no outage
        pressed_s = time.monotonic()
        await home.button.press()
        await texts.until(lambda: pressed(texts))
        assert time.monotonic() - pressed_s < 0.5
        await texts.until(lambda: hub.home.view.lamp.value == "waiting")
        home.lines[0].mend()
        await central.event("pendant_pressed")
        await texts.until(lambda: not hub.urgent.is_waiting)
    assert len(pressed(texts)) == 1


async def test_a_connection_that_is_renewed_sends_no_text_message(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        home.lines[0].cut()
        await texts.until(lambda: not hub.paths[0].is_up)
        home.lines[0].mend()
        home.button.press()
        await central.event("pendant_pressed")
    assert pressed(texts) == []


async def test_what_central_says_of_an_alarm_it_knows_by_stub_alone_is_shown(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    home.lines[0].is_reachable = False
    async with home.running() as hub:
        await home.button.press()
        await texts.until(lambda: pressed(texts))
        event = pressed(texts)[0].event
        assert hub.urgent._pending[event].known is not None
        texts.answer(event, AnswerState.TAKEN, version=2)
        await texts.until(lambda: hub.home.view.lamp.value == "taken")
        texts.answer(event, AnswerState.WAITING, version=1)  # overtaken on its way
        await asyncio.sleep(0.1)
        assert hub.home.view.lamp.value == "taken"
        assert hub.urgent.is_waiting


async def test_stubs_go_one_at_a_time_and_each_is_answered(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    texts.takes_s = 0.15
    home.lines[0].is_reachable = False
    async with home.running() as hub:
        for _ in range(3):
            await home.button.press()
        await texts.until(lambda: len(pressed(texts)) == 3)
        assert texts.most_at_once == 1
        assert [one.event.seq for one in pressed(texts)] == [1, 2, 3]
        waiting = [pending for pending in hub.urgent._pending.values() if pending.stub is not None]
        await texts.until(lambda: all(pending.known is not None for pending in waiting))


async def test_alarms_go_before_care_and_this_runs_before_those_of_earlier_ones() -> None:
    sent: list[int] = []

    class Way:
        name = "sms"

        async def send(self, blob: bytes, *, lane: Lane, deadline_s: float) -> None:
            sent.append(blob[0])

    queue = StubQueue(Way(), time.monotonic, lambda: None)  # type: ignore[arg-type]
    order = [(Lane.CARE, False, 1.0), (Lane.ALARM, True, 1.0), (Lane.ALARM, False, 3.0), (Lane.ALARM, False, 2.0)]
    for seq, (lane, is_loaded, observed_s) in enumerate(order, 1):
        pending = Pending(
            id=EventId(b"hub", b"epoch", lane, seq),
            record=b"",
            action=LocalAction.LAMP,
            is_alarm=True,
            observed_s=observed_s,
            is_loaded=is_loaded,
            stub=bytes([seq]),
            attempts={"sms": Attempt(session=1, sent_s=0.0, is_queued=True)},
        )
        queue.put(pending)
    task = asyncio.create_task(queue.run())
    async with asyncio.timeout(5):
        while len(sent) < 4:
            await asyncio.sleep(0.01)
    task.cancel()
    assert sent == [4, 3, 2, 1]


async def test_a_stub_that_the_network_refuses_is_sent_again(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.lines[0].is_reachable = False
    texts.is_refusing = True
    async with home.running() as hub:
        object.__setattr__(hub.urgent._timing, "stub_retry_s", 0.2)
        await home.button.press()
        await texts.until(
            lambda: any(
                "sms" in one.attempts and one.attempts["sms"].has_failed for one in hub.urgent._pending.values()
            )
        )
        texts.is_refusing = False
        await texts.until(lambda: pressed(texts))


async def test_after_a_restart_the_stub_leaves_from_the_record_and_an_answer_to_the_earlier_run_counts(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    home.lines[0].is_reachable = False
    texts.is_there = False
    async with home.running() as hub:
        first = hub.epoch.id
        await home.button.press()
    texts.is_there, texts.answers = True, False
    async with home.running() as hub:
        await texts.until(lambda: pressed(texts))
        event = pressed(texts)[0].event
        assert event.epoch == first != hub.epoch.id
        texts.answer(event, AnswerState.WAITING, version=1)
        await texts.until(lambda: hub.urgent._pending[event].known is not None)
        await texts.until(lambda: hub.home.view.lamp.value == "waiting")
        home.lines[0].mend()
        await central.event("pendant_pressed")
        await texts.until(lambda: event not in hub.urgent._pending)
    assert len(pressed(texts)) == 1


async def test_a_test_alarm_sends_no_text_message(home: HubUnderTest, central: Central, texts: TextLine) -> None:
    from gateway.asked import raise_test

    home.lines[0].is_reachable = False
    async with home.running() as hub:
        await raise_test(hub, {}, wait_s=0.5)
        home.button.press()
        await texts.until(lambda: pressed(texts))
        assert [one.device for one in pressed(texts)] == ["pendant-1"]


# Probes


def hurried(monkeypatch: pytest.MonkeyPatch, **times: float) -> None:
    rule = {"first_within_s": 0.3, "answered_within_s": 0.6, "again_s": 0.5, "retry_s": 0.2} | times
    monkeypatch.setattr("gateway.stubs.ProbeRule", lambda every_s: ProbeRule(every_s=every_s, **rule))
    monkeypatch.setattr("gateway.stub_path.TICK_S", 0.05)


async def test_a_probe_soon_after_the_start_shows_in_status_and_health_check_that_the_reserve_works(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home.running() as hub:
        await central.event("hub_started")
        found = await describe(hub)
        assert found["paths"][1]["probe"]["state"] == "not_yet"
        line = next(one for one in (await hub.examiner.examine()).lines if one.id == "uplink.sms")
        assert (line.result.value, line.found_key) == ("unknown", "probe_not_yet")
        assert texts.stubs == []  # looking costs nothing
    hurried(monkeypatch)
    async with home.running() as hub:
        await texts.until(lambda: hub.paths[1].answered_s is not None)
        assert [one.is_probe for one in texts.stubs] == [True]
        found = await describe(hub)
        assert (found["paths"][1]["state"], found["paths"][1]["probe"]["state"]) == ("up", "answered")
        answered = time.strftime("%H:%M", time.localtime(found["paths"][1]["probe"]["answered_ms"] / 1000))
        assert f"last probe answered {answered}" in render(found)
        line = next(one for one in (await hub.examiner.examine()).lines if one.id == "uplink.sms")
        assert (line.result.value, line.found_key) == ("ok", "probe_answered")


async def test_a_probe_that_nobody_answers_makes_the_path_lost_and_the_next_answer_brings_it_back(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch)
    texts.answers = False
    async with home.running() as hub:
        await central.event("path_lost")
        assert hub.paths[1].is_lost
        found = await describe(hub)
        assert (found["paths"][1]["state"], found["paths"][1]["probe"]["state"]) == ("lost", "unanswered")
        line = next(one for one in (await hub.examiner.examine()).lines if one.id == "uplink.sms")
        assert (line.result.value, line.found_key, line.next_key) == ("fail", "probe_unanswered", "check_modem")
        texts.answers = True
        await central.event("path_back")
        assert not hub.paths[1].is_lost


async def test_that_the_reserve_was_good_is_known_after_a_restart_until_the_answer_is_too_old(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def seen(hub: Any) -> tuple[str, str, str]:
        line = next(one for one in (await hub.examiner.examine()).lines if one.id == "uplink.sms")
        return (await describe(hub))["paths"][1]["state"], line.result.value, line.found_key

    with monkeypatch.context() as quick:
        hurried(quick)
        async with home.running() as hub:
            await texts.until(lambda: hub.paths[1].answered_s is not None)
            answered_ms = hub.paths[1].probe_view().answered_ms
    async with home.running() as hub:  # its first probe is minutes away
        await texts.until(lambda: hub.paths[1].is_up)
        assert hub.paths[1].probe_view().answered_ms == answered_ms
        assert await seen(hub) == ("up", "ok", "probe_answered")
        monkeypatch.setattr(hub.paths[1], "_wall_ms", lambda: answered_ms + 3 * 86_400_000)
        assert await seen(hub) == ("unanswered", "warn", "probe_answered")
        monkeypatch.setattr(
            hub.paths[1], "_wall_ms", lambda: answered_ms - 3 * 86_400_000
        )  # a clock that cannot be right
        assert await seen(hub) == ("unanswered", "warn", "probe_answered")


async def test_that_the_reserve_gave_no_answer_is_known_after_a_restart_too(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts.answers = False
    with monkeypatch.context() as quick:
        hurried(quick, answered_within_s=0.1)
        async with home.running():
            await central.event("path_lost")
    monkeypatch.setattr("gateway.stubs.ProbeRule", lambda every_s: ProbeRule(every_s=every_s, answered_within_s=0.1))
    async with home.running() as hub:
        await texts.until(lambda: hub.paths[1].is_up)
        line = next(one for one in (await hub.examiner.examine()).lines if one.id == "uplink.sms")
        assert (line.result.value, line.found_key) == ("fail", "probe_unanswered")


async def test_what_is_known_of_one_number_says_nothing_about_another(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = '\n[modem]\nport = "socket://127.0.0.1:9"\n\n[uplinks.sms]\ntype = "sms"\nnumber = "{}"\n'
    plain = home.settings_text
    with monkeypatch.context() as quick:
        hurried(quick)
        home.settings_text = plain + section.format("+4759000000")
        async with home.running() as hub:
            await texts.until(lambda: hub.paths[1].answered_s is not None)
    for number, is_known in (("+4759000000", True), ("+4759000001", False)):
        home.settings_text = plain + section.format(number)
        async with home.running() as hub:
            assert (hub.paths[1].probe_view().answered_ms is not None) is is_known


async def test_a_probe_that_cannot_be_sent_is_told_with_the_reason_and_does_not_end_the_path(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch, retry_s=60.0, answered_within_s=60.0)
    texts.is_refusing = True
    async with home.running() as hub:
        await texts.until(lambda: hub.paths[1].probe_view().error)
        line = next(one for one in (await hub.examiner.examine()).lines if one.id == "uplink.sms")
        assert (line.result.value, line.found_key) == ("fail", "probe_not_sent")
        assert "CMS ERROR" in str(line.params["error"])
        assert hub.paths[1].session_count == 1


async def test_a_recorded_answer_proves_nothing_and_is_refused(
    home: HubUnderTest, central: Central, texts: TextLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried(monkeypatch, again_s=60.0, answered_within_s=60.0)
    texts.answers = False
    async with home.running() as hub:
        await texts.until(lambda: texts.stubs)
        probe = texts.stubs[0].event
        recorded = texts.answer(probe, AnswerState.MACHINE)
        await texts.until(lambda: hub.paths[1].answered_s is not None)
        hub.paths[1].answered_s = None
        for blob in (recorded, recorded[:-1] + bytes([recorded[-1] ^ 1]), b"", b"x" * 111):
            texts.down.put_nowait(blob)
        texts.answer(EventId(probe.hub, b"otherrun", Lane.ALARM, 0), AnswerState.MACHINE)
        texts.answer(EventId(b"otherhub", probe.epoch, Lane.ALARM, 0), AnswerState.MACHINE)
        await texts.until(lambda: hub.inbox.refused_total == 6)
        assert hub.paths[1].answered_s is None


async def test_what_central_answered_by_sms_is_not_texted_again_after_a_restart(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    home.lines[0].is_reachable = False
    async with home.running() as hub:
        await home.button.press()
        await texts.until(lambda: hub.home.view.lamp.value == "waiting")
        await hub.journal.flush()
    assert len(pressed(texts)) == 1
    async with home.running() as hub:
        await texts.until(lambda: hub.urgent.is_waiting)  # it was read from the card
        await texts.until(lambda: hub.paths[1].is_up)
        texts.answers = False
        await home.button.press()  # the way is good, and this one goes
        await texts.until(lambda: len(pressed(texts)) == 2)
        home.lines[0].is_reachable = True
        await texts.until(lambda: not hub.urgent.is_waiting)
    assert len({one.event for one in pressed(texts)}) == 2


def test_in_a_flood_the_first_stubs_of_each_device_go_and_the_rest_waits_for_its_hour() -> None:
    allowance = StubAllowance(per_hour=4)
    sent = []
    for number in range(20):
        device = ("loud", "quiet")[number == 15]
        if allowance.allows(device, float(number)):
            allowance.sent(device, float(number))
            sent.append((device, number))
    assert sent == [("loud", 0), ("loud", 1), ("loud", 2), ("loud", 3), ("quiet", 15)]
    assert allowance.next_s(20.0) == HOUR_S
    assert not allowance.allows("loud", HOUR_S - 0.1)
    assert not allowance.allows("loud", HOUR_S)  # four are left of the last hour
    assert allowance.allows("loud", HOUR_S + 1)


@given(st.lists(st.tuples(st.floats(0, 900), st.sampled_from("abc")), max_size=60), st.integers(1, 8))
def test_the_bound_is_never_exceeded_by_more_than_the_first_of_each_and_these_never_wait(
    tries: list[tuple[float, str]], per_hour: int
) -> None:
    allowance, now_s, sent = StubAllowance(per_hour), 0.0, list[tuple[float, str]]()
    for wait_s, device in tries:
        now_s += wait_s
        lately = [who for at_s, who in sent if now_s - at_s < HOUR_S]
        if allowance.allows(device, now_s):
            allowance.sent(device, now_s)
            sent.append((now_s, device))
            assert len(lately) < per_hour or lately.count(device) < FIRST_OF_EACH
        else:
            assert lately.count(device) >= FIRST_OF_EACH
            next_s = allowance.next_s(now_s)
            assert next_s is not None
            assert next_s > now_s


async def test_a_flood_of_one_device_leaves_room_for_the_call_of_another(
    home: HubUnderTest, central: Central, texts: TextLine
) -> None:
    home.lines[0].is_reachable = False
    async with home.running() as hub:
        hub.urgent._stubs["sms"]._allowance = StubAllowance(per_hour=3)
        for _ in range(8):
            home.button.press()
        await texts.until(lambda: len(pressed(texts)) == 3)
        home.button.tell(Fact.BUTTON, "press", "climate-1", may_alarm=True)
        await texts.until(lambda: len(pressed(texts)) == 4)
        assert pressed(texts)[-1].device == "climate-1"
        home.lines[0].is_reachable = True
        await texts.until(lambda: not hub.urgent.is_waiting)  # nothing is lost by it
        assert len(central.of_kind("pendant_pressed")) >= 8


def test_what_was_remembered_of_answers_is_read_back_and_rubbish_is_left_out() -> None:
    known = {EventId(b"h" * 8, bytes([n]) * 8, Lane.ALARM, n): (n, n * 1000) for n in range(1, 5)}
    assert load_known(dump_known(known), b"h" * 8) == known
    assert dump_known({}) == ""
    for rubbish in ("", "[", "[1]", '[["zz",1,1,1,1]]', "{}", '[["0101010101010101",99,1,1,1]]', None, 7):
        assert load_known(rubbish, b"h" * 8) == {}
