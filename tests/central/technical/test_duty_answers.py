"""Technicians who are called out answer by SMS, with the code of their call, and nobody else answers for them."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from typing import Any

import pytest

from central.metrics import Metrics
from central.notify.answers import MOST_REPLIES, MOST_WRONG, AnswerParts
from central.notify.channel import Message
from central.notify.duty_answers import DutyAnswers
from central.notify.numbers import same_form
from central.notify.outgoing import Outgoing
from central.security import SecurityLog
from central.settings import CallOutSettings
from central.sql import Sql
from central.technical import called
from central.technical.call_out import CallOut
from central.wakeup import Wakeup

URGENT = "unknown_hub"
KARI, OLA, TEAM = "+4790000001", "+4790000002", "+4775000011"
HOW = re.compile(r" Svar 1 (\d{4}) hvis du tar det, 2 \1 hvis du ikke kan\.$")
FIRST_S, ANSWER_S, HOLDS_S = 300, 300, 3600


class Phones:
    """Everybody's telephone."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    async def send(self, address: str, message: Message, *, reference: str) -> str:
        self.texts.append((same_form(address), message.text))
        return f"out-{reference}"


class Calls:
    """Kari is on duty and Ola follows; a fault waits, and Kari has been called."""

    def __init__(self, bench: Any, area: Any) -> None:
        services = bench.services
        self.bench, self.area, self.phones = bench, area, Phones()
        self.call_out = CallOut(bench.store, bench.clock, Wakeup(), CallOutSettings())
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
        parts = AnswerParts(
            store=bench.store,
            clock=bench.clock,
            contacts=services.people,
            metrics=Metrics(),
            security=self.security,
            wakeup=Wakeup(),
        )
        self.answers = DutyAnswers(parts, CallOutSettings())

    async def begin(self) -> None:
        now = self.bench.clock.now_ms()
        await self.bench.change(
            f"INSERT INTO team (id, kind, name, phone) VALUES ('team', 'technical', 'Teknisk', '{TEAM}')"
        )
        for account, phone, since, until in (("kari", "90 00 00 01", -1, 24), ("ola", "90000002", 24, 48)):
            await self.bench.change(
                "INSERT INTO user_account (id, name, role, created_ms) VALUES"
                f" ('{account}', '{account.title()} Vik', 'technician', 0)"
            )
            await self.bench.change(
                f"INSERT INTO duty_address (account, phone, changed_ms) VALUES ('{account}', '{phone}', 0)"
            )
            await self.bench.change(
                "INSERT INTO rota_override (id, team, account, from_ms, to_ms, written_by) VALUES"
                f" ('o{account}', 'team', '{account}', {now + since * 3_600_000}, {now + until * 3_600_000}, 'x')"
            )
        self.hubs = await self.area.hubs(3)
        (self.alarm,) = await self.area.fail(self.hubs[:1], URGENT)
        await self.after(FIRST_S)

    async def after(self, seconds: float) -> None:
        self.bench.clock.advance(seconds)
        await self.call_out.look()
        await self.out.send_due("sms")

    async def says(self, number: str, text: str) -> str:
        what = await self.answers.receive(number, text)
        await self.out.send_due("sms")
        return what

    def code(self, number: str) -> str:
        """What stands in the newest call to a number."""
        (*_, found) = [HOW.search(text) for to, text in self.phones.texts if to == number and "står uten" in text]
        assert found is not None
        return found[1]

    def told(self, number: str) -> str:
        return [text for to, text in self.phones.texts if to == number][-1]

    async def row(self) -> tuple[Any, ...]:
        ((state, number, no, by, via),) = await self.bench.rows(
            "SELECT state, round, no, answered_by, answered_via FROM call_out"
        )
        return state, number, no, by, via

    async def events(self) -> list[tuple[str, int]]:
        await self.security.flush()
        return [(event.reason, event.count) for event in await self.security.recent()]


@pytest.fixture
async def calls(bench: Any, area: Any) -> Calls:
    found = Calls(bench, area)
    await found.begin()
    return found


async def test_the_call_says_how_to_answer_and_keeps_no_number(calls: Calls) -> None:
    ((to, text),) = calls.phones.texts
    assert to == KARI
    assert HOW.search(text)
    kept = await calls.bench.rows("SELECT mark, code FROM notification WHERE mark IS NOT NULL")
    assert len(kept) == 1
    assert "90000001" not in str(kept)


async def test_a_yes_with_the_code_ends_the_steps_and_whoever_said_it_has_it(calls: Calls) -> None:
    assert await calls.says(KARI, f"1 {calls.code(KARI)}") == "yes"
    assert "notert at du tar det" in calls.told(KARI)
    assert await calls.row() == ("answered", 1, 0, "kari", "sms")
    assert await calls.bench.value("SELECT actor_name FROM log_entry WHERE what = 'call_out_answered'") == "Kari Vik"
    await calls.after(ANSWER_S)
    await calls.after(ANSWER_S)
    assert {to for to, _ in calls.phones.texts} == {KARI}
    await calls.area.mend(calls.hubs[:1], URGENT)
    await calls.after(5)
    assert "er over" in calls.told(KARI)  # who answered by text has to hear that nobody need drive
    assert (await calls.row())[0] == "over"


async def test_an_answer_holds_for_its_time_and_then_the_fault_is_called_out_again_with_the_same_code(
    calls: Calls,
) -> None:
    code = calls.code(KARI)
    await calls.says(KARI, f"ja {code}")
    await calls.after(HOLDS_S - 1)
    assert (await calls.row())[0] == "answered"
    await calls.after(1)
    assert (await calls.row())[:3] == ("running", 2, 0)
    assert calls.code(KARI) == code
    assert await calls.says(KARI, f"1 {code}") == "yes"


async def test_a_yes_without_the_code_changes_nothing_and_names_it(calls: Calls) -> None:
    assert await calls.says(KARI, "ja") == "code"
    assert HOW.search(calls.told(KARI))
    assert (await calls.row())[0] == "running"


async def test_a_no_calls_the_next_one_at_once_and_whoever_had_it_gives_it_back(calls: Calls) -> None:
    assert await calls.says(KARI, "nei") == "no"
    await calls.after(1)
    assert calls.phones.texts[-1][0] == OLA
    assert await calls.says(OLA, f"1 {calls.code(OLA)}") == "yes"
    assert (await calls.row())[3] == "ola"
    assert "du tar det" in calls.told(OLA)
    assert "noen har tatt" not in calls.told(KARI).lower()  # who cannot come is left in peace
    assert await calls.says(OLA, "2") == "no"
    await calls.after(1)
    assert calls.phones.texts[-1][0] == TEAM
    assert (await calls.row())[:4] == ("running", 1, 2, None)


async def test_of_two_who_answer_the_second_hears_that_it_is_taken(calls: Calls) -> None:
    await calls.after(ANSWER_S)
    kari, ola = calls.code(KARI), calls.code(OLA)
    assert await calls.says(OLA, f"1 {ola}") == "yes"
    assert "noen har tatt det tekniske varselet" in calls.told(KARI)
    assert await calls.says(KARI, f"1 {kari}") == "late"
    assert (await calls.row())[3] == "ola"


async def test_the_teams_telephone_answers_in_its_own_name(calls: Calls) -> None:
    await calls.after(ANSWER_S)
    await calls.after(ANSWER_S)
    assert await calls.says(TEAM, f"1 {calls.code(TEAM)}") == "yes"
    assert await calls.bench.value("SELECT answered_name FROM call_out") == "Teknisk"


async def test_an_answer_after_all_were_called_in_vain_still_counts(calls: Calls) -> None:
    for _ in range(3):
        await calls.after(ANSWER_S)
    assert (await calls.row())[0] == "unanswered"
    assert await calls.says(KARI, f"1 {calls.code(KARI)}") == "yes"
    assert await calls.bench.value("SELECT unanswered_ms FROM call_out") is None


async def test_codes_that_are_guessed_are_security_events_and_then_no_yes_counts(calls: Calls) -> None:
    code = calls.code(KARI)
    wrong = "1000" if code != "1000" else "1001"
    for _ in range(MOST_WRONG):
        assert await calls.says(KARI, f"1 {wrong}") == "wrong"
    assert await calls.says(KARI, f"1 {code}") == "locked"
    assert (await calls.row())[0] == "running"
    assert dict(await calls.events()) == {"sms_wrong": MOST_WRONG, "sms_locked": 1}


async def test_codes_that_are_guessed_all_at_once_are_counted_one_by_one(calls: Calls) -> None:
    code = int(calls.code(KARI))
    guesses = [f"1 {(code - 1000 + step) % 9000 + 1000}" for step in range(1, 25)]
    said = await asyncio.gather(*(calls.answers.receive(KARI, one) for one in guesses))
    assert Counter(said) == {"wrong": MOST_WRONG, "locked": 2, "too_many": len(guesses) - MOST_WRONG - 2}
    assert await calls.says(KARI, f"1 {code}") == "too_many"
    assert (await calls.row())[0] == "running"


async def test_codes_that_are_tried_on_one_call_out_cost_a_guess_of_the_other_too(calls: Calls) -> None:
    first = calls.code(KARI)
    await calls.bench.change(
        "INSERT INTO team (id, kind, name, phone) VALUES ('other', 'technical', 'Annen', '+4775000012')"
    )
    await calls.bench.change(
        "INSERT INTO call_out (id, team, alarm, state, round, no, began_ms, due_ms)"
        " SELECT 'second', 'other', alarm, state, round, no, began_ms, due_ms FROM call_out"
    )
    await calls.bench.change(
        "INSERT INTO notification (id, key, alarm, channel, team, what, state, next_ms, made_ms, mark, code, call_out,"
        " round, step) SELECT 'second', 'second', alarm, channel, 'other', what, state, next_ms, made_ms + 1, mark,"
        " '999', 'second', round, step FROM notification WHERE mark IS NOT NULL"
    )
    wrong = "1000" if first != "1000" else "1001"
    for _ in range(MOST_WRONG):
        assert await calls.says(KARI, f"1 {wrong}") == "wrong"
    assert await calls.says(KARI, f"1 {first}") == "locked"


async def test_a_number_that_was_not_called_is_left_to_next_of_kin(calls: Calls) -> None:
    assert await calls.says(OLA, f"1 {calls.code(KARI)}") == ""
    assert (await calls.row())[0] == "running"


async def test_a_yes_without_the_code_counts_for_nothing_more_when_they_had_it_a_moment_ago(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await calls.says(KARI, f"1 {calls.code(KARI)}") == "yes"
    assert await calls.says(KARI, "ja") == "yes"
    lock = called.lock

    async def late(connection: Any, call_out: str) -> Any:
        await Sql("UPDATE call_out SET state = 'running', answered_by = NULL").rows(connection)  # its time was over
        return await lock(connection, call_out)

    monkeypatch.setattr(called, "lock", late)
    assert await calls.says(KARI, "ja") == "code"
    assert (await calls.row())[0] == "running"


async def test_of_an_account_that_was_shut_out_since_no_yes_counts_and_a_no_gives_back_what_it_had(
    calls: Calls,
) -> None:
    yes = f"1 {calls.code(KARI)}"
    assert await calls.says(KARI, yes) == "yes"
    await calls.bench.change("UPDATE user_account SET state = 'disabled' WHERE id = 'kari'")
    assert await calls.says(KARI, "nei") == "no"
    assert (await calls.row())[0] == "running"
    assert await calls.says(KARI, yes) == ""
    assert (await calls.row())[0] == "running"


async def test_what_is_not_understood_hears_how_to_answer_a_few_times(calls: Calls) -> None:
    before = len(calls.phones.texts)
    said = [await calls.says(KARI, "hva gjelder det?") for _ in range(MOST_REPLIES + 2)]
    assert (said[0], said[-1]) == ("unknown", "too_many")
    assert HOW.search(calls.phones.texts[before][1])
    assert len(calls.phones.texts) == before + MOST_REPLIES


async def test_an_answer_that_comes_when_all_is_over_hears_so(calls: Calls) -> None:
    code = calls.code(KARI)
    await calls.area.mend(calls.hubs[:1], URGENT)
    await calls.after(5)
    assert "er over" in calls.told(KARI)
    assert await calls.says(KARI, f"1 {code}") == "late"
    assert "er over" in calls.told(KARI)


async def test_whoever_takes_it_at_a_console_after_their_own_yes_is_not_told_when_it_is_over(calls: Calls) -> None:
    await calls.says(KARI, f"1 {calls.code(KARI)}")
    await calls.bench.change(
        f"UPDATE alarm SET handling = 'claimed', owner = 'kari', owner_name = 'Kari Vik' WHERE id = '{calls.alarm}'"
    )
    await calls.after(5)
    assert await calls.row() == ("answered", 1, 0, "kari", "console")
    count = len(calls.phones.texts)
    await calls.bench.change(f"UPDATE alarm SET handling = 'closed', closed_ms = 1 WHERE id = '{calls.alarm}'")
    await calls.after(5)
    assert ((await calls.row())[0], len(calls.phones.texts)) == ("over", count)


async def test_a_text_that_can_never_be_sent_calls_the_next_one_at_once(bench: Any, area: Any) -> None:
    calls = Calls(bench, area)
    calls.out._channels = {}  # no provider of texts is set up
    await calls.begin()
    await calls.call_out.look()
    assert (await calls.row())[:3] == ("running", 1, 1)
    assert await bench.value("SELECT state FROM notification WHERE account = 'kari'") == "given_up"


async def test_a_text_that_was_on_its_way_when_somebody_took_the_fault_is_taken_back(calls: Calls) -> None:
    calls.bench.clock.advance(ANSWER_S)
    await calls.call_out.look()  # Ola's is made, and not sent yet
    taken = f"UPDATE alarm SET handling = 'claimed', owner = 'x', owner_name = 'X' WHERE id = '{calls.alarm}'"
    sending = calls.phones.send

    async def slow(address: str, message: Message, *, reference: str) -> str:
        calls.phones.send = sending  # type: ignore[method-assign]
        await calls.bench.change(taken)
        await calls.call_out.look()
        return await sending(address, message, reference=reference)

    calls.phones.send = slow  # type: ignore[method-assign]
    await calls.out.send_due("sms")
    await calls.out.send_due("sms")
    assert "noen har tatt det tekniske varselet" in calls.told(OLA)
    assert "noen har tatt det tekniske varselet" in calls.told(KARI)
