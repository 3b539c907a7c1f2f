"""Stubs by SMS at central: raised once, completed by the record in any order, answered, never believed unsigned."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from central.lifecycle import Queue
from central.sms import SmsError
from central.sms_answers import SmsAnswers
from central.sms_ingest import SmsIngest
from central.views import Actor
from cloud_sync.identity import EventId, Lane
from cloud_sync.record import parse_record
from cloud_sync.stub import LocalAction, Stub, from_text, to_text
from cloud_sync.stub_answer import AnswerState, open_answer
from cloud_sync.vocabulary import AlarmClass
from simulators.frame_hub import unknown_id

SIM = "+4759000001"
ME = Actor(id="first", name="Operator One", role="responder")


class Provider:
    """Takes texts, or says why not."""

    def __init__(self, trust):
        self.trust = trust
        self.taken = []
        self.errors = []

    async def send(self, number, text, *, reference):
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append((number, open_answer(from_text(text), self.trust)))
        return f"out-{reference}"

    @property
    def said(self):
        return [answer.state for _, answer in self.taken]


class Desk:
    """Central's SMS side without HTTP."""

    def __init__(self, bench, hub):
        services, reception = bench.services, bench.reception
        self.bench, self.hub = bench, hub
        self.provider = Provider(services.keys.trust)
        wakeup = reception._ingest._wakeup
        common = {"store": services.store, "clock": bench.clock, "metrics": services.metrics, "wakeup": wakeup}
        self.ingest = SmsIngest(
            **common, hubs=services.hubs, security=services.security, quarantine=reception._quarantine
        )
        self.answers = SmsAnswers(**common, keys=services.keys, provider=self.provider)

    async def text(self, stub, number=SIM):
        return await self.ingest.receive(number, stub if isinstance(stub, str) else to_text(stub))

    async def told(self):
        """What was said since the last time."""
        before = len(self.provider.taken)
        while await self.answers.send_due():
            pass
        return self.provider.said[before:]


@pytest.fixture
def desk(bench, hub):
    return Desk(bench, hub)


def stub_of(sealed):
    return parse_record(sealed.raw).stub


async def open_alarms(bench):
    return await bench.alarms.queue(Queue.PERSONAL)


async def test_a_stub_is_an_alarm_at_once_and_the_record_completes_it(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed", resident="r-7f3a90")
    assert await desk.text(stub_of(sealed)) == "raised"
    (alarm,) = await open_alarms(bench)
    assert (alarm.kind.word, alarm.rank, alarm.device, alarm.resident) == ("stub_personal", 1, "pendant-1", None)
    assert not alarm.is_complete
    assert await desk.told() == [AnswerState.WAITING]
    receipt = await bench.tell(hub, sealed)
    assert receipt.high == 1
    (whole,) = await open_alarms(bench)
    assert (whole.id, whole.kind.word, whole.resident) == (alarm.id, "pendant_pressed", "r-7f3a90")
    assert whole.is_complete
    assert (whole.repeats, whole.rank, whole.sound_no) == (0, 1, 1)
    assert whole.version > alarm.version
    history = [entry.what for entry in (await bench.alarms.alarm(alarm.id)).timeline]
    assert history == ["raised", "completed"]
    assert await desk.told() == []  # the receipt has told the hub


async def test_the_marks_do_not_take_a_stub_for_a_record(desk):
    bench, hub = desk.bench, desk.hub
    first, second = hub.seal("pendant_pressed"), hub.seal("pendant_pressed")
    await desk.text(stub_of(first))
    receipt = await bench.tell(hub, second)
    assert (receipt.high, receipt.beyond) == (0, ((2, 2),))
    assert (await bench.tell(hub, first)).high == 2
    assert len(await open_alarms(bench)) == 1


async def test_the_record_that_was_there_first_makes_the_stub_a_question(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed")
    await bench.tell(hub, sealed)
    assert await desk.text(stub_of(sealed)) == "known"
    (alarm,) = await open_alarms(bench)
    assert (alarm.repeats, alarm.kind.word) == (0, "pendant_pressed")
    assert await desk.told() == [AnswerState.WAITING]


async def test_it_was_claimed_meanwhile(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("fall")
    await desk.text(stub_of(sealed))
    (alarm,) = await open_alarms(bench)
    await desk.told()
    await bench.alarms.claim(alarm.id, ME)
    assert await desk.told() == [AnswerState.TAKEN]
    await bench.alarms.on_the_way(alarm.id, ME)
    assert await desk.told() == [AnswerState.ON_THE_WAY]
    await bench.tell(hub, sealed)
    (whole,) = await open_alarms(bench)
    assert (whole.kind.word, whole.owner, whole.stage.word) == ("fall", ME.id, "on_the_way")
    await bench.alarms.close(alarm.id, ME, "visit_now", "fall")
    assert await desk.told() == []


async def test_a_home_is_told_again_before_it_stops_to_believe_that_somebody_has_the_alarm(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed")
    await desk.text(stub_of(sealed))
    (alarm,) = await open_alarms(bench)
    await bench.alarms.claim(alarm.id, ME)
    assert await desk.told() == [AnswerState.TAKEN]
    for minutes, said in ((7, []), (2, [AnswerState.TAKEN]), (2, []), (7, [AnswerState.TAKEN])):
        bench.clock.advance(60 * minutes)
        await bench.alarms.renew(alarm.id, ME)
        await desk.answers.refresh()
        await desk.answers.refresh()
        assert await desk.told() == said
    await bench.tell(hub, sealed)
    bench.clock.advance(600)
    await desk.answers.refresh()
    assert await desk.told() == []


async def test_it_was_closed_meanwhile(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed")
    await desk.text(stub_of(sealed))
    (alarm,) = await open_alarms(bench)
    await bench.alarms.claim(alarm.id, ME)
    await bench.alarms.close(alarm.id, ME, "cleared_by_phone", "mis_press")
    assert await desk.told() == [AnswerState.CLOSED]
    await bench.tell(hub, sealed)
    assert await open_alarms(bench) == []
    (closed,) = await bench.alarms.recent()
    assert (closed.id, closed.kind.word, closed.outcome, closed.is_complete) == (
        alarm.id,
        "pendant_pressed",
        "mis_press",
        True,
    )
    await bench.press(hub)  # and a new press is a new alarm, after that one
    (new,) = await open_alarms(bench)
    assert new.before_alarm == alarm.id


async def test_several_presses_by_sms_are_one_alarm_with_repeats_and_their_records_change_nothing(desk):
    bench, hub = desk.bench, desk.hub
    presses = [hub.seal("pendant_pressed") for _ in range(3)]
    for sealed in presses:
        await desk.text(stub_of(sealed))
    (alarm,) = await open_alarms(bench)
    assert (alarm.repeats, alarm.sound_no) == (2, 3)
    assert await desk.told() == [AnswerState.WAITING] * 3
    presses.append(hub.seal("pendant_pressed"))
    await desk.text(stub_of(presses[-1]))
    assert await desk.told() == [AnswerState.WAITING]  # to the new one: the others know
    await bench.alarms.claim(alarm.id, ME)
    assert await desk.told() == [AnswerState.TAKEN] * 4
    await bench.tell(hub, *reversed(presses))
    (whole,) = await open_alarms(bench)
    assert (whole.id, whole.kind.word, whole.repeats, whole.sound_no) == (alarm.id, "pendant_pressed", 3, 4)


async def test_a_stub_repeats_the_open_alarm_of_its_device(desk):
    bench, hub = desk.bench, desk.hub
    alarm = await bench.press(hub)
    again = hub.seal("pendant_pressed")
    await desk.text(stub_of(again))
    (repeated,) = await open_alarms(bench)
    assert (repeated.id, repeated.kind.word, repeated.repeats) == (alarm.id, "pendant_pressed", 1)
    assert repeated.is_complete
    await bench.tell(hub, again)
    (same,) = await open_alarms(bench)
    assert (same.id, same.repeats) == (alarm.id, 1)


async def test_a_stub_that_was_taken_for_another_alarm_of_its_device_gets_its_own(desk):
    bench, hub = desk.bench, desk.hub
    pressed = await bench.press(hub)
    fell = hub.seal("fall")
    await desk.text(stub_of(fell))
    await bench.tell(hub, fell)
    assert sorted(await bench.kinds()) == ["fall", "pendant_pressed"]
    assert (await bench.alarm_of(fell)).kind.word == "fall"
    assert (await bench.alarms.alarm(pressed.id)).alarm.repeats == 1


async def test_a_later_record_tells_what_an_alarm_by_stub_is(desk):
    bench, hub = desk.bench, desk.hub
    first, second = hub.seal("pendant_pressed"), hub.seal("pendant_pressed")
    await desk.text(stub_of(first))
    (alarm,) = await open_alarms(bench)
    await bench.tell(hub, second)
    (same,) = await open_alarms(bench)
    assert (same.id, same.kind.word, same.repeats) == (alarm.id, "pendant_pressed", 1)
    await bench.tell(hub, first)
    (same,) = await open_alarms(bench)
    assert (same.id, same.repeats) == (alarm.id, 1)


async def test_the_same_stub_again_and_again_has_no_effect_and_is_answered_now_and_then(desk):
    bench, hub = desk.bench, desk.hub
    stub = stub_of(hub.seal("pendant_pressed"))
    assert [await desk.text(stub) for _ in range(5)] == ["raised", *["again"] * 4]
    (alarm,) = await open_alarms(bench)
    assert (alarm.repeats, alarm.version) == (0, 1)
    assert await desk.told() == [AnswerState.WAITING]
    bench.clock.advance(30)
    await desk.text(stub, number="+4766666666")  # played by somebody else
    assert await desk.told() == [AnswerState.WAITING]
    assert {number for number, _ in desk.provider.taken} == {SIM}


async def test_a_record_that_cannot_be_read_stays_with_the_alarm_of_its_stub(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed", has_header=False)
    await desk.text(stub_of(sealed))
    (alarm,) = await open_alarms(bench)
    receipt = await bench.tell(hub, sealed)
    assert receipt.unopened == ((1, 1),)
    (same,) = await open_alarms(bench)
    assert (same.id, same.is_complete) == (alarm.id, False)
    await bench.tell(hub, sealed, has_header=True)
    (whole,) = await open_alarms(bench)
    assert (whole.id, whole.kind.word, whole.is_complete) == (alarm.id, "pendant_pressed", True)


@pytest.mark.parametrize(
    ("word", "kind", "rank"),
    [("smoke", "stub_safety", 0), ("water", "stub_safety", 2), ("nurse_call", "stub_supervision", 2)],
)
async def test_rank_and_kind_come_from_class_and_lane(desk, word, kind, rank):
    sealed = desk.hub.seal(word)
    await desk.text(stub_of(sealed))
    (alarm,) = await open_alarms(desk.bench)
    assert (alarm.kind.word, alarm.rank) == (kind, rank)
    await desk.bench.tell(desk.hub, sealed)
    (whole,) = await open_alarms(desk.bench)
    assert (whole.id, whole.kind.word, whole.rank) == (alarm.id, word, rank)


async def test_a_test_alarm_by_sms_is_answered_by_machine_and_reaches_nobody(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("test_alarm")
    assert await desk.text(stub_of(sealed)) == "noted"
    assert await desk.told() == [AnswerState.MACHINE]
    assert await open_alarms(bench) == []
    await bench.tell(hub, sealed)
    assert await open_alarms(bench) == []


async def test_a_probe_is_answered_by_machine_and_remembered(desk):
    bench, hub = desk.bench, desk.hub
    epoch, wall_ms = hub.now.epoch, bench.clock.now_ms()
    probe = Stub.probe(hub.id, epoch, wall_ms).signed(hub.key)
    assert await desk.text(probe) == "probe"
    assert await desk.told() == [AnswerState.MACHINE]
    answer = desk.provider.taken[0][1]
    assert (answer.epoch, answer.seq, answer.lane) == (epoch, 0, Lane.ALARM)
    view = await bench.services.hubs.hub(hub.id.hex())
    assert view.sms_probe_ms == view.sms_heard_ms == wall_ms
    assert await desk.text(probe) == "replayed"
    bench.clock.advance(5)
    assert await desk.text(Stub.probe(hub.id, epoch, wall_ms + 1).signed(hub.key)) == "too_soon"
    bench.clock.advance(3600)
    assert await desk.text(Stub.probe(hub.id, unknown_id(), 7).signed(hub.key)) == "probe"  # a hub without a clock
    assert len(await desk.told()) == 1
    assert await open_alarms(bench) == []


async def test_a_forged_stub_is_a_security_event_and_nothing_else(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed")
    forged = Stub(
        event=sealed.id, wall_ms=0, device="pendant-1", alarm_class=AlarmClass.PERSONAL, action=LocalAction.NONE
    ).signed(Ed25519PrivateKey.generate())
    assert await desk.text(forged) == "forged"
    assert await open_alarms(bench) == []
    assert await bench.alarms.queue(Queue.TECHNICAL) == []
    await bench.services.security.flush()
    (event,) = await bench.services.security.recent()
    assert (event.path, event.hub) == ("sms", hub.id.hex())
    assert await desk.told() == []


async def test_a_stub_of_an_unknown_hub_is_a_security_event_and_a_technical_alarm(desk):
    bench = desk.bench
    key, stranger = Ed25519PrivateKey.generate(), unknown_id()
    stub = Stub(
        event=EventId(stranger, unknown_id(), Lane.ALARM, 1),
        wall_ms=0,
        device="pendant-1",
        alarm_class=AlarmClass.PERSONAL,
        action=LocalAction.NONE,
    ).signed(key)
    assert await desk.text(stub) == "unknown_hub"
    (alarm,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (alarm.kind.word, alarm.hub) == ("unknown_hub", stranger.hex())
    await bench.services.security.flush()
    assert [event.reason for event in await bench.services.security.recent()] == ["unknown_hub"]
    assert await desk.told() == []


@pytest.mark.parametrize("text", ["", "Hei, er det noen der?", "A" * 155, "Å" * 20, "A" * 1600, "=" * 159])
async def test_a_text_that_is_no_stub_is_taken_and_has_no_effect(desk, text):
    assert await desk.text(text) in {"no_stub", "unknown_hub"}
    assert await open_alarms(desk.bench) == []


async def test_a_stub_with_a_seq_that_no_database_holds_is_refused(desk):
    hub = desk.hub
    stub = Stub(
        event=EventId(hub.id, hub.now.epoch, Lane.ALARM, 2**63),
        wall_ms=0,
        device="pendant-1",
        alarm_class=AlarmClass.PERSONAL,
        action=LocalAction.NONE,
    ).signed(hub.key)
    assert await desk.text(stub) == "not_understood"


async def test_a_provider_that_fails_is_tried_again_and_tells_the_state_of_then(desk):
    bench, hub = desk.bench, desk.hub
    await desk.text(stub_of(hub.seal("pendant_pressed")))
    desk.provider.errors = [SmsError("timeout"), SmsError("http_503"), SmsError("http_500")]
    for _ in range(3):
        assert await desk.told() == []
        bench.clock.advance(30)
    assert [alarm.kind.word for alarm in await bench.alarms.queue(Queue.TECHNICAL)] == ["sms_trouble"]
    (alarm,) = await open_alarms(bench)
    await bench.alarms.claim(alarm.id, ME)
    assert await desk.told() == [AnswerState.TAKEN]  # one answer, with what is true now
    assert await bench.alarms.queue(Queue.TECHNICAL) == []


async def test_two_answers_about_one_event_are_one_text_whichever_goes_first(desk):
    bench, hub = desk.bench, desk.hub
    await desk.text(stub_of(hub.seal("pendant_pressed")))
    (alarm,) = await open_alarms(bench)
    await bench.alarms.claim(alarm.id, ME)
    await bench.change("UPDATE sms_answer SET attempts = 1 WHERE id = (SELECT min(id) FROM sms_answer)")
    held = bench.clock.now_ms() + 5_000
    await bench.change(f"UPDATE sms_answer SET due_ms = {held} WHERE id = (SELECT min(id) FROM sms_answer)")
    assert await desk.told() == [AnswerState.TAKEN]  # the first has failed and waits: the second overtakes it
    bench.clock.advance(10)
    assert await desk.told() == []  # and has said what it would say


async def test_a_change_that_changes_nothing_does_not_swallow_a_question(desk):
    bench, hub = desk.bench, desk.hub
    sealed = hub.seal("pendant_pressed")
    await desk.text(stub_of(sealed))
    assert await desk.told() == [AnswerState.WAITING]
    bench.clock.advance(30)
    assert await desk.text(stub_of(sealed)) == "again"  # the answer was lost on the way: the hub asks again
    (alarm,) = await open_alarms(bench)
    await bench.alarms.claim(alarm.id, ME)
    await bench.alarms.release(alarm.id, ME)
    assert await desk.told() == [AnswerState.WAITING]


async def test_a_text_that_the_provider_never_takes_is_given_up_and_told(desk):
    await desk.text(stub_of(desk.hub.seal("pendant_pressed")))
    desk.provider.errors = [SmsError("http_400", is_final=True)]
    assert await desk.told() == []
    desk.bench.clock.advance(3600)
    assert await desk.told() == []
    assert [alarm.kind.word for alarm in await desk.bench.alarms.queue(Queue.TECHNICAL)] == ["sms_trouble"]
    assert await desk.bench.value("SELECT error FROM sms_answer") == "http_400"


async def test_answers_survive_a_crash_in_the_middle(desk):
    await desk.text(stub_of(desk.hub.seal("pendant_pressed")))
    await desk.bench.change(f"UPDATE sms_answer SET due_ms = {desk.bench.clock.now_ms() + 90_000}, attempts = 1")
    assert await desk.told() == []
    desk.bench.clock.advance(91)
    assert await desk.told() == [AnswerState.WAITING]


async def test_the_provider_tells_what_became_of_an_answer(desk):
    await desk.text(stub_of(desk.hub.seal("pendant_pressed")))
    await desk.told()
    reference = await desk.bench.value("SELECT reference FROM sms_answer")
    assert await desk.answers.delivered(reference)
    assert await desk.bench.value("SELECT delivered_ms FROM sms_answer") == desk.bench.clock.now_ms()
    assert not await desk.answers.delivered("of somebody else")
