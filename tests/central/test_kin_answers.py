"""Next of kin answer by SMS, from the number that was asked, about the alarm that it was asked about, and no other."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.escalation.tick import Escalation
from central.listener import bind, serve
from central.metrics import Metrics
from central.notify.answers import MOST_REPLIES, MOST_WRONG, AnswerParts, read
from central.notify.channel import Message
from central.notify.duty_answers import DutyAnswers
from central.notify.kin import KinAnswers
from central.notify.numbers import same_form
from central.notify.outgoing import Outgoing
from central.people.contacts import entry_from
from central.people.facts import FactKind
from central.routing.plan import Channel, Ends, Plan, ReceiverKind, Step, Variant
from central.security import SecurityLog
from central.sms_api import SmsApi, sms_app
from central.sms_http import Seal
from central.sms_ingest import SmsIngest
from central.sql import Sql
from central.trimming import Trimming
from central.views import Actor, AlarmView
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from simulators.sms_provider import SmsOperator, Text
from tests.central.conftest import FIRST, Bench

LEAD = Actor(id="lead", name="Lead One", role="lead")
CENTRE = "c" * 16
DAUGHTER, SON = "+4790000001", "+4790000002"
SECRET = b"a secret of thirty-two characters"
ASKED = re.compile(r" Svar 1 (\d{4}) hvis du drar, 2 \1 hvis du ikke kan\.$")


class Phones:
    """Everybody's telephone."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        self.texts.append((address, message.text))
        return f"out-{reference}"


class Kin:
    """Two residents with the same daughter; the first has a son as well."""

    def __init__(self, bench: Bench, hub: FrameHub) -> None:
        services = bench.services
        self.bench, self.hub, self.phones = bench, hub, Phones()
        self.ticking = Escalation(bench.store, bench.clock, Wakeup())
        self.security = SecurityLog(bench.store, bench.clock, services.metrics)
        self.out = Outgoing(
            store=bench.store,
            clock=bench.clock,
            metrics=Metrics(),
            wakeup=Wakeup(),
            channels={"sms": self.phones},
            contacts=services.people,
            public_url="https://vakt.example",
            give_up_ms=60_000,
        )
        self.parts = AnswerParts(
            store=bench.store,
            clock=bench.clock,
            contacts=services.people,
            metrics=Metrics(),
            security=self.security,
            wakeup=Wakeup(),
        )
        self.answers = KinAnswers(self.parts)

    async def plan(self, *steps: Step) -> None:
        content = Plan(name="Test", variants=(Variant(name="always", steps=steps),)).model_dump_json()
        async with self.bench.store.write() as connection:
            await Sql("DELETE FROM plan").rows(connection)
            await Sql(
                "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
                " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')"
            ).rows(connection, content=content)

    async def press(self, resident: str = "r-000001", device: str = "pendant-1") -> AlarmView:
        alarm = await self.bench.press(self.hub, resident=resident, device=device)
        await self.out.send_due("sms")
        return alarm

    async def says(self, number: str, text: str) -> str:
        """What it was, after the reply has left."""
        what = await self.answers.receive(number, text)
        await self.out.send_due("sms")
        return what

    async def code(self, alarm: AlarmView) -> str:
        """What stands in the newest text about an alarm."""
        rows = await self.bench.rows(
            f"SELECT code FROM notification WHERE alarm = '{alarm.id}' AND mark IS NOT NULL ORDER BY sent_ms DESC"
        )
        return str(rows[0][0])

    async def says_yes(self, number: str, alarm: AlarmView) -> str:
        """With the code."""
        return await self.says(number, f"1 {await self.code(alarm)}")

    async def told(self, number: str) -> str:
        """The newest text to a number."""
        return [text for to, text in self.phones.texts if same_form(to) == number][-1]

    async def now(self, alarm: AlarmView) -> AlarmView:
        return (await self.bench.alarms.alarm(alarm.id)).alarm

    async def words(self, alarm: AlarmView) -> list[str]:
        return [entry.what for entry in (await self.bench.alarms.alarm(alarm.id)).timeline]

    async def running(self, alarm: AlarmView) -> list[int]:
        rows = await self.bench.rows(f"SELECT no FROM escalation WHERE alarm = '{alarm.id}' AND state = 'running'")
        return [row[0] for row in rows]


def kin_step(patience_s: int = 200, ends: Ends = Ends.CLAIMED) -> Step:
    return Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,), patience_s=patience_s, ends=ends)


LAST = Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=600)


@pytest.fixture
async def kin(bench: Bench, hub: FrameHub) -> Kin:
    keeping, places = bench.services.people.keeping, bench.services.people.places
    tenant = await places.add_tenant(LEAD, "Aure")
    async with bench.store.write() as connection:
        await Sql(
            "INSERT INTO team (id, kind, name, phone, tenant) VALUES (:id, 'centre', 'C', '+4799999999', :t)"
        ).rows(connection, id=CENTRE, t=tenant)
        await Sql("UPDATE hub SET tenant = :t").rows(connection, t=tenant)
    named = {FactKind.FIRST_NAME: "Ragnhild", FactKind.LAST_NAME: "Myklebust"}
    for resident, phones in (("r-000001", ("+47 900 00 001", "900 00 002")), ("r-000002", ("90000001",))):
        await keeping.register(LEAD, pseudonym=resident, tenant=tenant, named=named, source="resident")
        for phone in phones:
            person = {"name": f"Sunniva {phone}", "phone": phone, "agreement": {"services": ["TA"]}}
            await keeping.add_contact(LEAD, resident, entry_from(person), source="resident")
    found = Kin(bench, hub)
    await found.plan(kin_step(), LAST)
    return found


async def test_the_question_says_how_to_answer_and_nothing_about_whom(kin: Kin) -> None:
    alarm = await kin.press()
    ((to, text),) = kin.phones.texts
    assert same_form(to) == DAUGHTER
    assert ASKED.search(text)
    assert "Ragnhild" not in text
    assert alarm.id not in text
    kept = await kin.bench.rows("SELECT mark, code FROM notification WHERE contact IS NOT NULL AND mark IS NOT NULL")
    assert len(kept) == 1
    assert "90000001" not in str(kept)


async def test_a_yes_is_kept_as_theirs_and_the_alarm_waits_on_for_somebody_who_answers_for_it(kin: Kin) -> None:
    alarm = await kin.press()
    assert await kin.says(DAUGHTER, f" Ja,  {await kin.code(alarm)}. ") == "yes"
    assert "notert at du drar" in await kin.told(DAUGHTER)
    now = await kin.now(alarm)
    assert (now.stage.word, now.owner) == ("waiting", None)
    assert await kin.running(alarm) == [0]
    assert (await kin.words(alarm)).count("contact_accepted") == 1
    kin.bench.clock.advance(150)
    await kin.out.send_due("sms")
    assert not [text for to, text in kin.phones.texts if same_form(to) == SON]  # one who goes is enough
    kin.bench.clock.advance(51)
    assert await kin.ticking.tick() == 1
    assert await kin.running(alarm) == [1]
    assert await kin.bench.value("SELECT count(*) FROM notification WHERE answer = 'yes'") == 1


async def test_a_yes_takes_the_alarm_where_the_plan_says_that_the_step_ends_by_acceptance(
    kin: Kin, bench: Bench
) -> None:
    await kin.plan(kin_step(ends=Ends.ACCEPTED), LAST)
    alarm = await kin.press()
    assert await kin.says_yes(DAUGHTER, alarm) == "yes"
    now = await kin.now(alarm)
    assert now.stage.word == "accepted"
    assert now.owner is not None
    assert now.owner.startswith("contact:")
    assert now.owner_name == "Next of kin"
    assert await kin.running(alarm) == []
    log = str(await bench.rows("SELECT actor_name, content FROM log_entry"))
    assert "Sunniva" not in log
    assert await kin.says(DAUGHTER, "ja") == "yes"
    bench.clock.advance(1900)
    await bench.alarms.sweep()
    assert (await kin.now(alarm)).stage.word == "waiting"  # nobody has said what came of it


async def test_somebody_at_a_console_takes_it_from_next_of_kin_who_still_go(kin: Kin, bench: Bench) -> None:
    await kin.plan(kin_step(ends=Ends.ACCEPTED), LAST)
    alarm = await kin.press()
    await kin.says_yes(DAUGHTER, alarm)
    taken = await bench.alarms.claim(alarm.id, FIRST)
    assert (taken.owner, taken.stage.word) == (FIRST.id, "accepted")
    assert [sent.account_name for sent in (await bench.alarms.alarm(alarm.id)).sent] == ["Next of kin"]
    assert await kin.says(DAUGHTER, "2") == "late"


async def test_who_had_said_yes_and_cannot_after_all_gives_it_back(kin: Kin, bench: Bench) -> None:
    await kin.plan(kin_step(ends=Ends.ACCEPTED), LAST)
    alarm = await kin.press()
    await kin.says_yes(DAUGHTER, alarm)
    bench.clock.advance(60)
    assert await kin.says(DAUGHTER, "nei") == "no"
    now = await kin.now(alarm)
    assert (now.stage.word, now.escalation_round) == ("waiting", 2)
    assert await kin.running(alarm) == [0]


async def test_who_takes_what_next_of_kin_gave_back_keeps_it_while_a_patrol_is_still_on_its_way(
    kin: Kin, bench: Bench
) -> None:
    patrol, driver = "d" * 16, Actor(id="berit", name="Berit", role="responder")
    async with bench.store.write() as connection:
        await Sql("INSERT INTO team (id, kind, name) VALUES (:id, 'patrol', 'North')").rows(connection, id=patrol)
        await Sql("INSERT INTO team_member (team, account) VALUES (:id, 'berit')").rows(connection, id=patrol)
    goes = Step(receiver=ReceiverKind.TEAM, team=patrol, patience_s=60, ends=Ends.ACCEPTED)
    await kin.plan(goes, kin_step(ends=Ends.ACCEPTED), LAST)
    alarm = await kin.press()
    bench.clock.advance(61)
    await kin.ticking.tick()
    await kin.out.send_due("sms")
    assert await kin.says_yes(DAUGHTER, alarm) == "yes"
    (sent,) = [one for one in (await bench.alarms.alarm(alarm.id)).sent if one.team == patrol]
    await bench.alarms.dispatch_step(sent.id, driver, "accepted")  # late, and better than not at all
    assert await kin.says(DAUGHTER, "nei") == "no"
    assert (await kin.now(alarm)).stage.word == "waiting"
    mine = await bench.alarms.claim(alarm.id, FIRST)
    assert mine.lease_until_ms == (await bench.alarms.sent(sent.id)).due_ms  # until then nobody has to look after it
    for _ in range(3):
        bench.clock.advance(60)
        await bench.alarms.renew(alarm.id, FIRST)
        await bench.alarms.sweep()
    now = await kin.now(alarm)
    assert (now.owner, now.stage.word) == (FIRST.id, "accepted")


async def test_a_no_turns_to_the_next_of_them_and_the_last_no_to_the_next_step_at_once(kin: Kin) -> None:
    alarm = await kin.press()
    assert await kin.says(DAUGHTER, "2") == "no"
    await kin.out.send_due("sms")
    assert [same_form(to) for to, text in kin.phones.texts if ASKED.search(text)] == [DAUGHTER, SON]
    assert await kin.ticking.tick() == 0
    assert await kin.says(SON, "NEI!") == "no"
    assert await kin.ticking.tick() == 1
    assert await kin.running(alarm) == [1]
    assert await kin.bench.value("SELECT why FROM escalation WHERE no = 0") == "said_no"


async def test_a_no_of_one_who_was_asked_first_does_not_hurry_those_who_were_asked_after(kin: Kin) -> None:
    await kin.press()
    kin.bench.clock.advance(101)
    await kin.out.send_due("sms")
    assert await kin.says(DAUGHTER, "2") == "no"
    assert await kin.ticking.tick() == 0


async def test_an_answer_that_comes_too_late_hears_that_it_is(kin: Kin, bench: Bench) -> None:
    alarm = await kin.press()
    await bench.alarms.claim(alarm.id, FIRST)
    assert await kin.says(DAUGHTER, "1") == "late"
    assert any("allerede tatt seg av" in text for to, text in kin.phones.texts if same_form(to) == DAUGHTER)
    assert "contact_accepted" not in await kin.words(alarm)


async def test_what_is_not_understood_hears_how_to_answer(kin: Kin) -> None:
    await kin.press()
    assert await kin.says(DAUGHTER, "hva gjelder det?") == "unknown"
    said = await kin.told(DAUGHTER)
    assert "forsto ikke svaret" in said
    assert ASKED.search(said)


async def test_with_several_open_questions_the_code_says_which_is_meant(kin: Kin) -> None:
    first = await kin.press()
    second = await kin.press("r-000002", "pendant-2")
    code = await kin.bench.value(f"SELECT code FROM notification WHERE alarm = '{second.id}' AND mark IS NOT NULL")
    assert (await kin.told(DAUGHTER)).endswith(f"Svar 1 {code} hvis du drar, 2 {code} hvis du ikke kan.")
    assert await kin.says(DAUGHTER, "1") == "which"
    said = await kin.told(DAUGHTER)
    other = await kin.bench.value(f"SELECT code FROM notification WHERE alarm = '{first.id}' AND mark IS NOT NULL")
    assert f"{code} (spurt kl. " in said
    assert f"{other} (spurt kl. " in said
    assert await kin.says(DAUGHTER, f"1 {code}") == "yes"
    assert "contact_accepted" in await kin.words(second)
    assert "contact_accepted" not in await kin.words(first)
    assert await kin.says(DAUGHTER, f"{other} nei") == "no"
    assert "contact_declined" in await kin.words(first)
    assert await kin.says(DAUGHTER, "1 999") == "wrong"


async def test_an_answer_from_a_number_that_nobody_asked_is_a_security_event_and_gets_no_reply(kin: Kin) -> None:
    alarm = await kin.press()
    sent = len(kin.phones.texts)
    assert await kin.says(SON, "1") == "unasked"  # theirs to be asked later, and not asked yet
    assert await kin.says("+4791111111", "ja") == "unasked"
    assert await kin.says("+4791111111", "hei") == "no_stub"
    assert len(kin.phones.texts) == sent
    await kin.security.flush()
    ((reason, count),) = [(event.reason, event.count) for event in await kin.security.recent()]
    assert (reason, count) == ("sms_unasked", 2)
    assert "91111111" not in str(await kin.security.recent())
    assert (await kin.now(alarm)).version == alarm.version


async def test_a_machine_that_answers_answers_is_not_answered_for_ever(kin: Kin) -> None:
    await kin.press()
    before = len(kin.phones.texts)
    said = [await kin.says(DAUGHTER, "automatic reply") for _ in range(MOST_REPLIES + 4)]
    assert said[-1] == "too_many"
    assert len(kin.phones.texts) == before + MOST_REPLIES


async def test_a_number_that_was_asked_is_forgotten_after_a_week(kin: Kin, bench: Bench) -> None:
    await kin.press()
    trimming = Trimming(bench.store, bench.clock)
    assert (await trimming.trim())["numbers_asked"] == 0
    bench.clock.advance(8 * 24 * 3600)
    assert (await trimming.trim())["numbers_asked"] == 1
    assert await bench.value("SELECT count(*) FROM notification WHERE mark IS NOT NULL OR code IS NOT NULL") == 0
    assert await kin.says(DAUGHTER, "1") == "unasked"


async def test_taking_the_alarm_does_not_swallow_the_answer_to_an_answer(kin: Kin, bench: Bench) -> None:
    alarm = await kin.press()
    await kin.answers.receive(DAUGHTER, "2")
    await bench.alarms.claim(alarm.id, FIRST)
    await kin.out.send_due("sms")
    assert "Vi spør noen andre" in await kin.told(DAUGHTER)
    assert not [text for to, text in kin.phones.texts if "tatt, du trenger ikke komme" in text]


async def test_an_answer_comes_in_by_the_providers_webhook_and_only_sealed(kin: Kin, bench: Bench) -> None:
    services, reception = bench.services, bench.reception
    ingest = SmsIngest(
        store=services.store,
        clock=bench.clock,
        hubs=services.hubs,
        metrics=services.metrics,
        security=services.security,
        quarantine=reception._quarantine,
        wakeup=Wakeup(),
    )
    api = SmsApi(
        seal=Seal(SECRET),
        ingest=ingest,
        kin=kin.answers,
        technicians=DutyAnswers(kin.parts, services.settings.call_out),
        receipts=(),
        security=services.security,
        clock=bench.clock,
    )
    alarm = await kin.press()
    stop, socket = asyncio.Event(), bind("127.0.0.1", 0, "sms")
    operator = SmsOperator("+4759000000", secret=SECRET, token="x")
    operator.webhook = f"http://127.0.0.1:{socket.getsockname()[1]}"
    said = Text(sender=DAUGHTER, to=operator.number, text="Nei")
    now_s = bench.clock.now_ms() / 1000
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(sms_app(api), socket, stop))
        assert await operator.post(said, at_s=now_s, secret=b"guessed by somebody else") in {401, 403}
        assert "contact_declined" not in await kin.words(alarm)
        assert await operator.post(said, at_s=now_s) == 200
        stop.set()
    assert (await kin.words(alarm)).count("contact_declined") == 1


@pytest.mark.parametrize("ends", list(Ends))
async def test_a_yes_without_the_code_changes_nothing_because_a_number_is_easily_forged(
    kin: Kin, bench: Bench, ends: Ends
) -> None:
    await kin.plan(kin_step(ends=ends), LAST)
    alarm = await kin.press()
    before = await kin.now(alarm)
    assert await kin.says(DAUGHTER, "ja") == "code"
    said = await kin.told(DAUGHTER)
    assert said.startswith("Vaktpost: et ja gjelder bare med koden")
    found = ASKED.search(said)
    assert found
    assert await kin.now(alarm) == before
    assert "contact_accepted" not in await kin.words(alarm)
    assert await kin.running(alarm) == [0]
    bench.clock.advance(101)
    await kin.out.send_due("sms")
    assert ASKED.search(await kin.told(SON))  # the next of them is asked all the same
    assert await kin.says(DAUGHTER, f"1 {found[1]}") == "yes"


async def test_a_guessed_code_is_a_security_event_and_after_four_of_them_no_yes_counts(kin: Kin) -> None:
    alarm = await kin.press()
    code = int(await kin.code(alarm))
    wrong = [str((code - 1000 + step) % 9000 + 1000) for step in (1, 2, 3, 4)]
    for _ in range(MOST_REPLIES):  # what is not understood does not use up what is counted
        await kin.says(DAUGHTER, "hva?")
    assert [await kin.says(DAUGHTER, f"1 {one}") for one in wrong] == ["wrong"] * MOST_WRONG
    assert await kin.says(DAUGHTER, f"1 {wrong[0]}") in {"locked", "too_many"}
    assert await kin.says_yes(DAUGHTER, alarm) in {"locked", "too_many"}
    assert "contact_accepted" not in await kin.words(alarm)
    await kin.security.flush()
    assert {"sms_wrong"} <= {event.reason for event in await kin.security.recent()}
    assert await kin.says(DAUGHTER, "2") == "no"  # it stops nobody


async def test_codes_that_are_guessed_all_at_once_are_counted_one_by_one(kin: Kin) -> None:
    alarm = await kin.press()
    code = int(await kin.code(alarm))
    guesses = [f"1 {(code - 1000 + step) % 9000 + 1000}" for step in range(1, 25)]
    said = await asyncio.gather(*(kin.answers.receive(DAUGHTER, one) for one in guesses))
    assert Counter(said) == {"wrong": MOST_WRONG, "locked": 2, "too_many": len(guesses) - MOST_WRONG - 2}
    assert await kin.says_yes(DAUGHTER, alarm) == "too_many"
    assert "contact_accepted" not in await kin.words(alarm)


async def test_whoever_is_locked_out_is_told_to_call(kin: Kin) -> None:
    alarm = await kin.press()
    code = int(await kin.code(alarm))
    for step in range(1, MOST_WRONG + 1):
        await kin.says(DAUGHTER, f"1 {(code - 1000 + step) % 9000 + 1000}")
    assert await kin.says_yes(DAUGHTER, alarm) == "locked"
    assert "for mange feil koder" in await kin.told(DAUGHTER)


async def test_who_is_asked_twice_about_one_alarm_answers_either_text(kin: Kin, bench: Bench) -> None:
    alarm = await kin.press()
    first = await kin.code(alarm)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.release(alarm.id, FIRST)
    await kin.out.send_due("sms")
    assert len([text for to, text in kin.phones.texts if same_form(to) == DAUGHTER and ASKED.search(text)]) == 2
    assert await kin.says(DAUGHTER, f"1 {first}") == "yes"


@given(st.text(max_size=40))
def test_no_text_is_taken_for_more_than_it_says(text: str) -> None:
    said = read(text)
    assert said.word in {None, "yes", "no"}
    if said.word is not None:
        words = text.casefold().replace(".", " ").replace("!", " ").replace(",", " ").split()
        assert len(words) <= 8
        assert said.code == "" or (said.code.isdigit() and said.code in text)


@pytest.mark.parametrize(
    ("text", "word", "code"),
    [
        ("1", "yes", ""), ("2", "no", ""), ("JA", "yes", ""), ("Nei.", "no", ""), ("yes!", "yes", ""),
        ("1 47", "yes", "47"), ("47 2", "no", "47"), ("ja, 47", "yes", "47"), ("2-47", "no", "47"),
        ("1 4711", "yes", "4711"), ("4711 ja", "yes", "4711"), ("1 1234567", None, ""),
        ("12", None, ""), ("3", None, ""), ("ja nei", None, ""), ("jada", None, ""), ("47 1 47", None, ""),
        ("", None, ""),
    ],
)  # fmt: skip
def test_how_answers_are_read(text: str, word: str | None, code: str) -> None:
    assert (read(text).word, read(text).code) == (word, code)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("+47 900 00 001", "+4790000001"), ("0047 90000001", "+4790000001"), ("900 00 001", "+4790000001"),
        ("4790000001", "+4790000001"), ("+46 70 123 45 67", "+46701234567"), ("113", "113"), ("Bank", "Bank"),
    ],
)  # fmt: skip
def test_one_number_has_one_form(written: str, number: Any) -> None:
    assert same_form(written) == number
