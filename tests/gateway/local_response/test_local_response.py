"""A hub in this process, a paging system on a real line, phones that remember: what happens when nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloud_sync.central_messages import ReplyState
from cloud_sync.identity import EventId, Lane
from cloud_sync.modem import ModemError, ModemState, Reason, Registration, Sim
from cloud_sync.stub import LocalAction
from cloud_sync.stub_answer import AnswerState, StubAnswer
from cloud_sync.vocabulary import BY_WORD, Event
from drivers.contract import Lamp
from gateway.annunciator import LOCAL_ALARM, SILENT, UNANSWERED
from gateway.daemon import Hub
from gateway.local_response import response
from gateway.local_response.policy import Cause, Phrase
from gateway.triage import Judged
from simulators.espa_wires import ServerWire
from simulators.pager import PagingSystem

PATIENCE_S = 8.0
FIRST, SECOND = "+4790000001", "+4790000002"


class Phones:
    """A modem whose texts land in `texts`."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self.state = ModemState(is_present=True, sim=Sim.READY, registration=Registration.HOME)

    async def text(self, number: str, text: str, /, *, deadline_s: float, is_urgent: bool) -> int:
        await asyncio.sleep(0)
        assert is_urgent
        assert deadline_s > 0
        if number in self.refused:
            raise ModemError(Reason.NO_NETWORK)
        self.texts.append((number, text))
        return len(self.texts)

    def to(self, number: str) -> list[str]:
        return [text for to, text in self.texts if to == number]


class Ward:
    """The hub under test with a pager and phones."""

    def __init__(self, home: Any, central: Any, paging: PagingSystem) -> None:
        self.home, self.central, self.paging = home, central, paging
        self.phones = Phones()
        home.settings_text = home.settings_text.replace(
            "after_no_receipt_s = 1\n",
            f"""after_no_receipt_s = 1
after_no_claim_s = 2
names = {{ "pendant-1" = "Bad-2" }}

[local_response.pager]
port = "{paging.port}"
address = "550"
poll_interval_s = 0.2
poll_timeout_s = 1
reply_timeout_s = 0.3

[local_response.on_call]
numbers = ["{FIRST}", "{SECOND}"]
next_after_s = 5

[modem]
port = "socket://127.0.0.1:9"
""",
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Hub]:
        async with self.home.running() as hub:
            hub.modem = self.phones
            yield hub

    async def until(self, is_so: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        """What is looked at is in several places, so it is looked at often."""
        async with asyncio.timeout(within_s):
            while not is_so():
                await asyncio.sleep(0.02)

    def cut(self) -> None:
        self.home.lines[0].cut()

    def mend(self) -> None:
        self.home.lines[0].mend()

    @property
    def sound(self) -> Any:
        return self.home.button.panel.sounds[-1]


@pytest.fixture
async def ward(home: Any, central: Any) -> AsyncIterator[Ward]:
    async with PagingSystem(ServerWire()) as paging:
        yield Ward(home, central, paging)


async def test_a_press_that_does_not_get_through_calls_for_help_on_the_spot_and_all_of_it_stops_with_the_receipt(
    ward: Ward,
) -> None:
    async with ward.running() as hub:
        ward.cut()
        ward.home.button.press()
        await ward.until(lambda: ward.paging.showing() and ward.phones.texts)
        assert ward.sound == LOCAL_ALARM
        assert ward.paging.showing("550") == ["ALARM Bad-2"]
        assert hub.local_response.decision.phrase is Phrase.NOT_THROUGH
        (told,) = ward.phones.to(FIRST)
        assert "Bad-2" in told
        assert "ikke nådd" in told
        assert not ward.phones.to(SECOND), "the second number is tried after the first has had its time"
        ward.mend()
        began = await ward.central.event("local_response")
        ended = await ward.central.event("local_response_ended")
        assert began.details["cause"] == ended.details["cause"] == "no_receipt"
        assert set(str(began.details["measures"]).split()) == {"lamp_and_buzzer", "pager", "on_call"}
        assert ended.details["why"] == "received"
        await ward.until(lambda: not ward.paging.showing() and len(ward.phones.to(FIRST)) == 2)
        assert ward.phones.to(FIRST)[-1].startswith("STANSET Bad-2: mottatt")
        assert not ward.phones.to(SECOND), "who was not called is not called off"
        assert LOCAL_ALARM not in ward.home.button.panel.sounds[-1:]


async def test_a_press_that_nobody_takes_calls_for_help_and_a_claim_ends_it(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.home.button.press()
        await ward.central.event("pendant_pressed")
        await ward.until(ward.paging.showing)
        assert ward.sound == UNANSWERED
        assert hub.local_response.decision.phrase is Phrase.NO_ANSWER
        ward.central.reply(ReplyState.TAKEN, ward.central.id_of("pendant_pressed"))
        ended = await ward.central.event("local_response_ended")
        assert (ended.details["cause"], ended.details["why"]) == ("no_claim", "taken")
        await ward.until(lambda: not ward.paging.showing())
        assert hub.local_response.decision.phrase is Phrase.TAKEN
        await ward.until(lambda: ward.sound in {SILENT, *ward.home.button.panel.sounds[-1:]})
        assert ward.phones.to(FIRST)[-1] == "STANSET Bad-2: tatt av responssenteret"


async def test_a_claim_in_time_calls_nobody(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.home.button.press()
        await ward.central.event("pendant_pressed")
        ward.central.reply(ReplyState.TAKEN, ward.central.id_of("pendant_pressed"))
        await ward.until(lambda: hub.home.view.lamp is Lamp.TAKEN)
        assert hub.local_response.decision.next_s is None
        assert not hub.local_response.decision.calls
    assert not ward.paging.pages
    assert not ward.phones.texts


async def test_after_a_restart_it_goes_on_and_nobody_is_called_twice(ward: Ward) -> None:
    ward.home.lines[0].is_reachable = False
    async with ward.running():
        ward.home.button.press()
        await ward.until(lambda: ward.paging.showing() and ward.phones.texts)
    pages, texts = len(ward.paging.pages), len(ward.phones.texts)
    async with ward.running() as hub:
        await ward.until(lambda: hub.local_response.decision.calls, within_s=2)
        assert hub.local_response.decision.sound is Cause.NO_RECEIPT
        seen = ward.paging.polls
        await ward.until(lambda: ward.paging.polls > seen + 3)
        assert (len(ward.paging.pages), len(ward.phones.texts)) == (pages, texts)
        ward.mend()
        await ward.central.event("pendant_pressed")
        await ward.until(lambda: not ward.paging.showing() and len(ward.phones.texts) > texts)
    assert len(ward.central.of_kind("local_response")) == 1
    assert [event.details["why"] for event in ward.central.of_kind("local_response_ended")] == ["received"]


async def test_what_was_closed_while_the_hub_was_down_is_called_off_when_it_is_back(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.home.button.press()
        await ward.central.event("pendant_pressed")
        await ward.until(lambda: ward.paging.showing() and ward.phones.texts)
        await ward.until(lambda: not hub.urgent.is_waiting)
    async with ward.running() as hub:
        await ward.until(lambda: hub.local_response.decision.sound is Cause.NO_CLAIM)
        assert hub.home.view.lamp is Lamp.WAITING, "central had it, and nobody has said more"
        ward.central.snapshot()
        await ward.until(lambda: not ward.paging.showing())
        await ward.until(lambda: ward.phones.to(FIRST)[-1].startswith("STANSET"))
        assert hub.home.view.lamp is Lamp.OFF
    async with ward.running() as hub:
        assert not hub.local_response.recalled()


async def taken_and_then_cut_off(ward: Ward) -> None:
    """A run of the hub in which somebody took its alarm; after it there is no network."""
    async with ward.running() as hub:
        ward.home.button.press()
        await ward.central.event("pendant_pressed")
        ward.central.reply(ReplyState.TAKEN, ward.central.id_of("pendant_pressed"))
        await ward.until(lambda: hub.home.view.lamp is Lamp.TAKEN)
        await ward.until(lambda: not hub.urgent.is_waiting)
    ward.home.lines[0].is_reachable = False


async def test_an_alarm_that_somebody_had_taken_is_not_called_for_after_a_restart_without_a_network(
    ward: Ward,
) -> None:
    await taken_and_then_cut_off(ward)
    async with ward.running() as hub:
        await asyncio.sleep(2.5)  # longer than any of the two waits: nothing may come of them
        assert not hub.local_response.decision.calls
        assert hub.home.view.lamp is not Lamp.TAKEN, "nobody has said so to this run"


async def test_what_an_earlier_run_knew_of_a_claim_is_not_believed_for_ever(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    await taken_and_then_cut_off(ward)
    monkeypatch.setattr(response, "BELIEVED_S", 1.0)
    async with ward.running() as hub:
        said = [desk.wish.phrase for _, desk in hub.local_response._parts]
        assert not {Phrase.TAKEN, Phrase.ON_THE_WAY} & set(said), "nobody has said so to this run"
        await ward.until(lambda: hub.local_response.decision.sound is Cause.NO_CLAIM)
        await ward.until(lambda: ward.phones.texts)


async def test_a_pager_that_fails_takes_no_other_measure_along_and_is_tried_again(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.paging.faults.is_silent = True
        await ward.central.event("local_measure_failed")
        ward.cut()
        ward.home.button.press()
        await ward.until(lambda: ward.phones.texts)
        assert ward.sound == LOCAL_ALARM
        described = {one["measure"]: one for one in hub.local_response.describe()["measures"]}
        assert described["pager"]["is_ready"] is False
        assert "silent" in described["pager"]["reason"]
        assert described["on_call"]["is_ready"] is True
        ward.paging.faults.is_silent = False
        await ward.until(ward.paging.showing)
        ward.mend()
        back = await ward.central.event("local_measure_back")
        assert back.details["measure"] == "pager"


async def test_a_number_that_cannot_be_texted_is_passed_over_at_once(ward: Ward) -> None:
    async with ward.running():
        ward.phones.refused = {FIRST}
        ward.cut()
        ward.home.button.press()
        await ward.until(lambda: ward.phones.to(SECOND), within_s=12)
        ward.mend()
        await ward.until(lambda: len(ward.phones.to(SECOND)) == 2)
        assert not ward.phones.to(FIRST)


async def test_no_more_texts_go_out_than_the_limit_says(ward: Ward) -> None:
    ward.home.settings_text = ward.home.settings_text.replace(
        "next_after_s = 5", "next_after_s = 5\nlimit_per_hour = 1"
    )
    async with ward.running() as hub:
        ward.cut()
        ward.home.button.press()
        await ward.until(lambda: ward.phones.texts)
        await ward.until(lambda: any("an hour" in (desk.error or "") for _, desk in hub.local_response._parts), 12)
        assert len(ward.phones.texts) == 1


async def test_whoever_cannot_be_told_that_it_is_over_keeps_no_next_alarm_from_being_called(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.cut()
        ward.home.button.press()
        await ward.until(lambda: ward.paging.showing() and ward.phones.to(FIRST))
        ward.paging.faults.refuses_cancels = True
        ward.phones.refused = {FIRST}
        ward.mend()
        await ward.central.event("local_response_ended")
        ward.central.reply(ReplyState.TAKEN, ward.central.id_of("pendant_pressed"))
        pages, selections = len(ward.paging.pages), ward.paging.selections
        await ward.until(lambda: any(desk.error for _, desk in hub.local_response._parts))
        await ward.until(lambda: ward.paging.selections > selections)
        ward.cut()
        raise_event(hub, "cord_pulled", LocalAction.LAMP_AND_BUZZER)
        await ward.until(lambda: len(ward.paging.pages) > pages, within_s=4)
        await ward.until(lambda: ward.phones.to(SECOND), within_s=12)
        assert not ward.paging.pages[-1].is_cancel


async def test_a_call_that_the_paging_system_refuses_is_told_and_offered_until_it_is_taken(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.cut()
        ward.paging.faults.refusals = 12
        ward.home.button.press()
        pager = next(desk for measure, desk in hub.local_response._parts if measure.name == "pager")
        await ward.until(lambda: "refuses" in pager.error, within_s=15)
        await ward.until(ward.paging.showing, within_s=15)
        ward.mend()
        await ward.until(lambda: not ward.paging.showing() and not pager.error)


async def test_only_what_is_there_is_said_to_call_for_help(ward: Ward) -> None:
    ward.home.settings_text = ward.home.settings_text.replace('[indicators]\ndriver = "buttons"\n', "")
    assert "[indicators]" not in ward.home.settings_text
    async with ward.running() as hub:
        pager = next(measure for measure, _ in hub.local_response._parts if measure.name == "pager")
        await ward.until(lambda: pager.readiness().is_ready)
        raise_event(hub, "pendant_pressed", LocalAction.LAMP_AND_BUZZER)
        began = await ward.central.event("local_response")
        assert str(began.details["measures"]).split() == ["pager", "on_call"]


def raise_event(hub: Hub, word: str, action: LocalAction) -> EventId:
    now_s = hub.clock.boot_s()
    kind = BY_WORD[word]
    event = Event(kind=kind, stamp=hub.clock.stamp(now_s), device="pendant-1", rule="test")
    return hub.pipeline.take(Judged(event=event, lane=kind.lane, action=action, observed_boot_s=now_s))


async def test_a_silent_alarm_calls_nobody_and_a_quiet_one_only_staff(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.cut()
        raise_event(hub, "assault", LocalAction.NONE)
        raise_event(hub, "door_opened", LocalAction.LAMP)
        await ward.until(lambda: ward.paging.showing() and ward.phones.texts)
        assert ward.paging.showing() == ["SE TIL BEBOER Bad-2"]
        assert len(hub.local_response.decision.calls) == 1
        assert hub.local_response.decision.phrase is None
    assert set(ward.home.button.panel.sounds) == {SILENT}


async def test_an_answer_to_a_stub_ends_the_call_for_a_missing_receipt_and_no_more(ward: Ward) -> None:
    async with ward.running() as hub:
        ward.cut()
        ward.home.button.press()
        await ward.until(ward.paging.showing)
        (pending,) = hub.urgent._pending.values()

        def answer(state: AnswerState, version: int) -> None:
            central_ms = ward.central.now_ms()
            event = pending.id
            hub.home.answered(
                StubAnswer(
                    hub=event.hub,
                    epoch=event.epoch,
                    lane=event.lane,
                    seq=event.seq,
                    central_ms=central_ms,
                    version=version,
                    state=state,
                )
            )

        answer(AnswerState.KNOWN, 0)
        assert hub.home.view.lamp is Lamp.WAITING
        assert not hub.local_response.decision.calls
        await ward.until(lambda: not ward.paging.showing())
        answer(AnswerState.TAKEN, 2)
        assert hub.home.view.lamp is Lamp.TAKEN
        answer(AnswerState.WAITING, 1)
        assert hub.home.view.lamp is Lamp.TAKEN, "an older answer changes nothing"
        assert hub.local_response.decision.phrase is Phrase.TAKEN
        assert hub.urgent.counts()[Lane.ALARM] == 1, "the record waits for its receipt all the same"


async def test_a_home_that_is_cut_off_is_told_so_and_told_when_it_is_over(ward: Ward) -> None:
    ward.home.settings_text += "\n[local_response.cut_off]\npager = true\n"
    async with ward.running() as hub:
        hub.local_response._cut_off_after_s = 0.3
        ward.cut()
        await ward.until(ward.paging.showing)
        assert ward.paging.showing() == ["UTEN KONTAKT MED SENTER"]
        assert ward.home.button.panel.lamps[-1] == "cut_off"
        assert ward.sound == SILENT
        ward.mend()
        ended = await ward.central.event("local_response_ended")
        assert (ended.details["cause"], ended.details["why"]) == ("cut_off", "back")
        await ward.until(lambda: ward.paging.showing()[-1] == "KONTAKT MED SENTER ER TILBAKE")
        assert ward.home.button.panel.lamps[-1] == "off"


async def test_a_press_in_the_middle_of_an_outage_tells_nobody_that_the_outage_is_over(ward: Ward) -> None:
    ward.home.settings_text += "\n[local_response.cut_off]\npager = true\n"
    async with ward.running() as hub:
        hub.local_response._cut_off_after_s = 0.3
        ward.cut()
        await ward.until(ward.paging.showing)
        ward.home.button.press()
        await ward.until(lambda: "ALARM Bad-2" in ward.paging.showing())
        assert [page.text for page in ward.paging.pages] == ["UTEN KONTAKT MED SENTER", "ALARM Bad-2"]
        ward.mend()
        await ward.until(lambda: "KONTAKT MED SENTER ER TILBAKE" in ward.paging.showing())


async def test_the_test_pages_what_is_marked_as_a_test_and_takes_it_back(ward: Ward) -> None:
    async with ward.running() as hub:
        await ward.until(lambda: ward.paging.polls)
        found = {one["measure"]: one for one in await hub.local_response.test()}
        assert [one["ok"] for one in found.values()] == [True, True, True]
        assert not ward.phones.texts
        call, taken_back = ward.paging.pages
        assert call.text == taken_back.text == "TEST - INGEN TILTAK"
        assert (call.priority, taken_back.is_cancel) == ("3", True)
        ward.paging.faults.is_silent = True
        found = {one["measure"]: one for one in await hub.local_response.test()}
        assert found["pager"]["ok"] is False


async def test_a_measure_that_fails_in_the_moment_of_the_end_is_not_started_again(ward: Ward) -> None:
    async with ward.running() as hub:
        started = asyncio.Event()

        class Stubborn:
            name = "stubborn"
            uses = 0

            async def follow(self, _desk: Any) -> None:
                Stubborn.uses += 1
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._fail())
                    started.set()
                    await asyncio.Event().wait()

            async def _fail(self) -> None:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise OSError("the line went away") from None

        response = hub.local_response
        keeping = asyncio.create_task(response._keep(Stubborn(), response._parts[0][1]))  # type: ignore[arg-type]
        async with asyncio.timeout(PATIENCE_S):
            await started.wait()
            await asyncio.sleep(0)
            keeping.cancel()
            await asyncio.wait({keeping})
        assert keeping.cancelled()
        assert Stubborn.uses == 1
