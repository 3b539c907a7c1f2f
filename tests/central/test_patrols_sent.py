"""A patrol is sent by a person or by the plan itself: told once by every way, heard, and never left in the dark."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central.errors import Conflict
from central.escalation.tick import Escalation
from central.lifecycle import Queue
from central.metrics import Metrics
from central.notify.channel import ChannelError, Message
from central.notify.outgoing import Outgoing
from central.routing.plan import Channel, Ends, Plan, ReceiverKind, Step, Variant
from central.sql import Sql
from central.views import Actor, AlarmView
from central.wakeup import Wakeup
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, Bench

CENTRE, NORTH, SOUTH = "c" * 16, "d" * 16, "e" * 16
ANNA = Actor(id="anna", name="Anna", role="responder")
BERIT = Actor(id="berit", name="Berit", role="responder")
BOTH_WAYS = (Channel.CONSOLE, Channel.SMS)


class Carrier:
    """Takes what it is told to take."""

    def __init__(self) -> None:
        self.mood = "ok"
        self.said: list[str] = []

    async def send(self, _address: str, message: Message, *, reference: str) -> str:
        if self.mood != "ok":
            raise ChannelError("no", is_final=self.mood == "never")
        self.said.append(message.text)
        return f"out-{reference}"


class Night:
    """A centre and two patrols; each patrol has a member, who is on duty at a telephone."""

    def __init__(self, bench: Bench, hub: FrameHub) -> None:
        self.bench, self.hub, self.carrier = bench, hub, Carrier()
        self.ticking = Escalation(bench.store, bench.clock, Wakeup())
        self.out = Outgoing(
            store=bench.store,
            clock=bench.clock,
            metrics=Metrics(),
            wakeup=Wakeup(),
            channels={"sms": self.carrier},
            contacts=bench.services.people,
            public_url="https://vakt.example",
            give_up_ms=60_000,
        )

    async def run(self, statement: str, **values: Any) -> list[Any]:
        async with self.bench.store.write() as connection:
            return await Sql(statement).rows(connection, **values)

    async def plan(self, *steps: Step) -> None:
        content = Plan(name="Test", variants=(Variant(name="always", steps=steps),)).model_dump_json()
        await self.run(
            "INSERT INTO plan (id, version, service, name, content, state, written_ms, written_by)"
            " VALUES ('1111111111111111', 1, '*', 'Test', :content, 'active', 0, 'test')",
            content=content,
        )

    async def on_duty(self, account: str, team: str) -> None:
        await self.run(
            "INSERT INTO duty (account, console, team, account_name, has_sound, since_ms, seen_ms)"
            " VALUES (:account, 'abcdef12', :team, :account, :has_sound, 0, :seen)",
            account=account, team=team, has_sound=True, seen=2**52,
        )  # fmt: skip

    async def sent(self, alarm: AlarmView) -> list[tuple[Any, ...]]:
        rows = await self.bench.rows(
            f"SELECT team, state, round, step FROM dispatch WHERE alarm = '{alarm.id}' ORDER BY sent_ms, round, step"
        )
        return [tuple(row) for row in rows]

    async def newest(self, alarm: AlarmView) -> str:
        rows = await self.bench.rows(
            f"SELECT id FROM dispatch WHERE alarm = '{alarm.id}' ORDER BY sent_ms DESC, round DESC, step DESC"
        )
        return str(rows[0][0])

    async def told(self) -> list[tuple[Any, ...]]:
        rows = await self.bench.rows(
            "SELECT channel, coalesce(account, team), what, state FROM notification WHERE dispatch IS NOT NULL"
            " ORDER BY made_ms, channel, 2, what"
        )
        return [tuple(row) for row in rows]

    async def now(self, alarm: AlarmView) -> AlarmView:
        return (await self.bench.alarms.alarm(alarm.id)).alarm

    async def words(self, alarm: AlarmView) -> list[str]:
        return [entry.what for entry in (await self.bench.alarms.alarm(alarm.id)).timeline]

    async def is_due(self, alarm: AlarmView) -> list[int]:
        rows = await self.bench.rows(
            f"SELECT no FROM escalation WHERE alarm = '{alarm.id}' AND state IN ('due', 'running')"
        )
        return [row[0] for row in rows]


def goes(team: str, patience_s: int = 60, channels: tuple[Channel, ...] = (Channel.CONSOLE,)) -> Step:
    return Step(receiver=ReceiverKind.TEAM, team=team, channels=channels, patience_s=patience_s, ends=Ends.ACCEPTED)


@pytest.fixture
async def night(bench: Bench, hub: FrameHub) -> Night:
    night = Night(bench, hub)
    await bench.change("DELETE FROM duty")
    for team, kind, phone in ((CENTRE, "centre", ""), (NORTH, "patrol", "+4790000001"), (SOUTH, "patrol", "")):
        await night.run(
            "INSERT INTO team (id, kind, name, phone) VALUES (:id, :kind, :name, :phone)",
            id=team, kind=kind, name=f"Team {team[0]}", phone=phone,
        )  # fmt: skip
    for actor, team in ((FIRST, CENTRE), (ANNA, NORTH), (BERIT, SOUTH)):
        await night.run(
            "INSERT INTO user_account (id, name, role, created_ms) VALUES (:id, :name, 'responder', 0)",
            id=actor.id, name=actor.name,
        )  # fmt: skip
        await night.run("INSERT INTO team_member (team, account) VALUES (:team, :account)", team=team, account=actor.id)
        await night.on_duty(actor.id, team)
    return night


async def test_a_step_that_ends_by_acceptance_sends_its_patrol_once_and_who_accepts_has_the_alarm(
    night: Night, bench: Bench
) -> None:
    await night.plan(goes(NORTH), goes(SOUTH))
    alarm = await bench.press(night.hub)
    assert await night.sent(alarm) == [(NORTH, "sent", 1, 0)]
    assert await night.told() == [("console", "anna", "dispatch", "sent")]
    assert (await night.now(alarm)).stage.word == "waiting"
    taken = await bench.alarms.dispatch_step(await night.newest(alarm), ANNA, "accepted")
    assert (taken.state, taken.account) == ("accepted", "anna")
    found = await night.now(alarm)
    assert (found.stage.word, found.owner) == ("accepted", "anna")
    assert await night.is_due(alarm) == []
    assert await night.words(alarm) == ["raised", "dispatch_sent", "claimed", "dispatch_accepted"]
    bench.clock.advance(3600)
    assert await night.ticking.tick() == 0


async def test_one_that_declines_leaves_it_to_the_next_step_at_once(night: Night, bench: Bench) -> None:
    await night.plan(goes(NORTH, 600), goes(SOUTH))
    alarm = await bench.press(night.hub)
    await bench.alarms.dispatch_step(await night.newest(alarm), ANNA, "declined", "with somebody else")
    assert await night.ticking.tick() == 1
    assert await night.sent(alarm) == [(NORTH, "declined", 1, 0), (SOUTH, "sent", 1, 1)]
    assert (await night.now(alarm)).stage.word == "waiting"
    why = await bench.value(f"SELECT why FROM escalation WHERE alarm = '{alarm.id}' AND no = 0")
    assert why == "declined"


async def test_one_that_does_not_answer_in_time_leaves_it_to_the_next_step_and_may_still_come_late(
    night: Night, bench: Bench
) -> None:
    await night.plan(goes(NORTH), goes(SOUTH, 300))
    alarm = await bench.press(night.hub)
    first = await night.newest(alarm)
    bench.clock.advance(61)
    assert await night.ticking.tick() == 1
    await bench.alarms.sweep()
    assert await night.sent(alarm) == [(NORTH, "unanswered", 1, 0), (SOUTH, "sent", 1, 1)]
    await bench.alarms.dispatch_step(first, ANNA, "on_the_way")
    found = await night.now(alarm)
    assert (found.stage.word, found.owner) == ("on_the_way", "anna")
    assert await night.is_due(alarm) == []


async def test_the_last_step_sends_again_each_time_it_begins_and_is_not_hurried_by_a_no(
    night: Night, bench: Bench
) -> None:
    await night.plan(goes(NORTH))
    alarm = await bench.press(night.hub)
    await bench.alarms.dispatch_step(await night.newest(alarm), ANNA, "declined")
    assert await night.ticking.tick() == 0
    bench.clock.advance(61)
    assert await night.ticking.tick() == 1
    assert await night.sent(alarm) == [(NORTH, "declined", 1, 0), (NORTH, "sent", 1, 1)]


async def test_many_processes_that_tick_send_the_patrol_once(night: Night, bench: Bench) -> None:
    await night.plan(Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=30), goes(NORTH))
    alarm = await bench.press(night.hub)
    bench.clock.advance(31)
    await asyncio.gather(*(Escalation(bench.store, bench.clock, Wakeup()).tick() for _ in range(4)))
    assert await night.sent(alarm) == [(NORTH, "sent", 1, 1)]


async def test_a_patrol_that_no_console_and_no_telephone_reaches_is_not_sent(night: Night, bench: Bench) -> None:
    await bench.change(f"DELETE FROM duty WHERE team = '{SOUTH}'")
    await night.plan(goes(SOUTH), goes(NORTH))
    alarm = await bench.press(night.hub)
    assert await night.sent(alarm) == [(NORTH, "sent", 1, 1)]
    assert "nobody_with_sound" in await night.words(alarm)


async def test_whoever_takes_the_alarm_at_a_console_has_the_patrol_that_was_sent_too(
    night: Night, bench: Bench
) -> None:
    await night.plan(goes(NORTH), goes(SOUTH))
    alarm = await bench.press(night.hub)
    taken = await bench.alarms.claim(alarm.id, FIRST)
    assert taken.stage.word == "sent"
    sent = await bench.alarms.dispatch_step(await night.newest(alarm), ANNA, "accepted")
    assert sent.account == "anna"
    assert (await night.now(alarm)).owner == FIRST.id


async def test_taking_the_alarm_is_the_answer_of_the_patrol_that_was_sent(night: Night, bench: Bench) -> None:
    await night.plan(goes(NORTH), goes(SOUTH))
    alarm = await bench.press(night.hub)
    taken = await bench.alarms.claim(alarm.id, ANNA)
    assert (taken.stage.word, taken.owner) == ("accepted", "anna")
    assert await night.sent(alarm) == [(NORTH, "accepted", 1, 0)]


async def test_a_claim_that_is_undone_leaves_the_patrol_out_and_the_new_round_waits_for_its_answer(
    night: Night, bench: Bench
) -> None:
    await night.plan(goes(NORTH, channels=BOTH_WAYS), goes(SOUTH))
    alarm = await bench.press(night.hub)
    await night.out.send_due("sms")
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.undo(alarm.id, FIRST)
    assert await night.sent(alarm) == [(NORTH, "sent", 2, 0)]
    await night.out.send_due("sms")
    said = [text.split(": ")[1].split(" ")[1] for text in night.carrier.said]
    assert said == ["sendes"]
    await bench.alarms.dispatch_step(await night.newest(alarm), ANNA, "declined", "busy")
    assert await night.ticking.tick() == 1
    assert (await night.sent(alarm))[-1] == (SOUTH, "sent", 2, 1)


async def test_somebody_of_another_team_does_not_answer_for_the_patrol(night: Night, bench: Bench) -> None:
    await night.plan(goes(NORTH))
    alarm = await bench.press(night.hub)
    with pytest.raises(Conflict) as caught:
        await bench.alarms.dispatch_step(await night.newest(alarm), BERIT, "accepted")
    assert caught.value.reason == "not_sent_to_you"


async def test_a_patrol_that_a_person_sends_is_told_by_every_way_that_it_has(night: Night, bench: Bench) -> None:
    alarm = await bench.press(night.hub)
    await bench.alarms.claim(alarm.id, FIRST)
    sent = await bench.alarms.dispatch(alarm.id, FIRST, NORTH)
    await night.out.send_due("sms")
    assert await night.told() == [("console", "anna", "dispatch", "sent"), ("sms", NORTH, "dispatch", "sent")]
    (text,) = night.carrier.said
    assert text == f"Vaktpost: dere sendes til en alarm. Godta eller avslå: https://vakt.example/alarms/{alarm.id}"
    keys = {row[0] for row in await bench.rows("SELECT key FROM notification WHERE dispatch IS NOT NULL")}
    assert keys == {f"dispatch:{sent.id}:console:anna", f"dispatch:{sent.id}:sms:{NORTH}"}


async def test_a_receipt_says_that_the_patrol_has_got_it(night: Night, bench: Bench) -> None:
    await night.plan(goes(NORTH, channels=BOTH_WAYS))
    alarm = await bench.press(night.hub)
    await night.out.send_due("sms")
    reference = await bench.value("SELECT provider_ref FROM notification WHERE channel = 'sms'")
    assert await night.out.delivered(reference) is True
    assert await night.sent(alarm) == [(NORTH, "delivered", 1, 0)]
    assert "dispatch_delivered" in await night.words(alarm)


async def test_a_message_to_the_patrol_that_cannot_be_sent_makes_the_plan_go_on_or_its_owner_hear_it(
    night: Night, bench: Bench
) -> None:
    night.carrier.mood = "never"
    await night.plan(goes(NORTH, channels=(Channel.SMS,)), goes(SOUTH))
    alarm = await bench.press(night.hub)
    await night.out.send_due("sms")
    assert await bench.kinds(Queue.TECHNICAL) == ["notification_failed"]
    assert await night.ticking.tick() == 1
    assert (await night.sent(alarm))[-1] == (SOUTH, "sent", 1, 1)
    taken = await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.dispatch(alarm.id, FIRST, NORTH)
    await night.out.send_due("sms")
    assert (await night.now(alarm)).sound_no == taken.sound_no + 1


async def test_who_was_sent_and_told_hears_that_it_is_over_and_who_was_not_told_hears_nothing(
    night: Night, bench: Bench
) -> None:
    alarm = await bench.press(night.hub)
    await bench.alarms.claim(alarm.id, FIRST)
    sent = await bench.alarms.dispatch(alarm.id, FIRST, NORTH)
    await night.out.send_due("sms")
    await bench.alarms.dispatch_step(sent.id, FIRST, "cancelled")
    await night.out.send_due("sms")
    assert night.carrier.said[1].startswith("Vaktpost: dere trenger ikke dra til alarmen lenger.")
    again = await bench.alarms.dispatch(alarm.id, FIRST, NORTH)
    await bench.alarms.dispatch_step(again.id, FIRST, "cancelled")
    await night.out.send_due("sms")
    assert len(night.carrier.said) == 2


async def test_who_closes_by_mistake_and_takes_it_back_has_told_the_patrol_nothing(night: Night, bench: Bench) -> None:
    alarm = await bench.press(night.hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.dispatch(alarm.id, FIRST, NORTH)
    await night.out.send_due("sms")
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    bench.clock.advance(5)
    await bench.alarms.undo(alarm.id, FIRST)
    bench.clock.advance(60)
    await night.out.send_due("sms")
    assert len(night.carrier.said) == 1
    assert await night.sent(alarm) == [(NORTH, "sent", None, None)]
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    bench.clock.advance(11)
    await night.out.send_due("sms")
    assert len(night.carrier.said) == 2


# ── Shown, or sent to nobody ─────────────────────────────────────────────────────────


async def console_states(bench: Bench, alarm: AlarmView) -> list[tuple[Any, ...]]:
    rows = await bench.rows(
        f"SELECT team, state FROM notification WHERE alarm = '{alarm.id}' AND channel = 'console'"
        " ORDER BY made_ms, team"
    )
    return [tuple(row) for row in rows]


async def test_what_a_console_was_sent_has_arrived_when_somebody_of_the_team_has_it_on_screen(
    night: Night, bench: Bench
) -> None:
    await night.plan(Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=60), goes(NORTH))
    alarm = await bench.press(night.hub)
    await bench.alarms.mark_shown(alarm.id, "abcdef12", BERIT.id)
    assert await console_states(bench, alarm) == [(CENTRE, "sent")]
    await bench.alarms.mark_shown(alarm.id, "abcdef12", FIRST.id)
    assert await console_states(bench, alarm) == [(CENTRE, "delivered")]
    bench.clock.advance(61)
    await night.ticking.tick()
    assert (await bench.alarms.alarm(alarm.id)).timeline[-1].content.get("why") is None
    assert await bench.kinds(Queue.TECHNICAL) == []
    await bench.alarms.mark_shown(alarm.id, "abcdef34", ANNA.id)
    assert await night.sent(alarm) == [(NORTH, "delivered", 1, 1)]


async def test_an_alarm_that_no_console_has_shown_is_known_and_a_fault_where_one_was_to_sound(
    night: Night, bench: Bench
) -> None:
    await night.plan(Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=60), goes(NORTH, 600))
    alarm = await bench.press(night.hub)
    bench.clock.advance(61)
    await night.ticking.tick()
    last = [entry for entry in (await bench.alarms.alarm(alarm.id)).timeline if entry.what == "escalated"][-1]
    assert last.content["why"] == "unseen"
    assert await bench.kinds(Queue.TECHNICAL) == ["not_shown"]
    await bench.alarms.mark_shown(alarm.id, "abcdef12", FIRST.id)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_what_a_colleague_elsewhere_shows_does_not_hide_the_consoles_that_show_nothing(
    night: Night, bench: Bench
) -> None:
    await night.plan(Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=60), goes(NORTH, 600))
    alarm = await bench.press(night.hub)
    bench.clock.advance(61)
    await night.ticking.tick()
    await bench.alarms.mark_shown(alarm.id, "abcdef34", ANNA.id)
    assert await bench.kinds(Queue.TECHNICAL) == ["not_shown"]
    assert [row[0] for row in await bench.rows("SELECT device FROM alarm WHERE kind = 'not_shown'")] == [CENTRE]
    (fault,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert fault.device_label == "Team c"
    await bench.alarms.mark_shown(alarm.id, "abcdef12", FIRST.id)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def nothing_shown(night: Night) -> AlarmView:
    """The centre's consoles were to sound, and have shown nothing."""
    await night.plan(Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=60), goes(NORTH, 600))
    alarm = await night.bench.press(night.hub)
    night.bench.clock.advance(61)
    await night.ticking.tick()
    assert await night.bench.kinds(Queue.TECHNICAL) == ["not_shown"]
    return alarm


async def change(night: Night, *, name: str = "Team c", is_active: bool = True) -> None:
    """The centre, as somebody changes it in the organisation's pages."""
    version = await night.bench.value(f"SELECT version FROM team WHERE id = '{CENTRE}'")
    await night.bench.services.people.places.set_team(
        FIRST, CENTRE, version, name=name, kind="centre", unit=None, serves=(), members=None, phone="", email="",
        is_active=is_active,
    )  # fmt: skip


async def test_what_a_team_has_not_shown_is_known_under_its_new_name_and_over_when_it_shows_again(
    night: Night, bench: Bench
) -> None:
    alarm = await nothing_shown(night)
    await change(night, name="The new centre")
    (fault,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (fault.device, fault.device_label) == (CENTRE, "The new centre")
    await bench.press(night.hub, device="pendant-2")
    bench.clock.advance(61)  # it has shown nothing again: the same fault, not a second one
    await night.ticking.tick()
    assert await bench.kinds(Queue.TECHNICAL) == ["not_shown"]
    await bench.alarms.mark_shown(alarm.id, "abcdef12", FIRST.id)
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_what_a_team_has_not_shown_ends_with_the_team(night: Night, bench: Bench) -> None:
    await nothing_shown(night)
    again = await bench.press(night.hub, device="pendant-2")  # asks it just before it ends
    await night.run("UPDATE plan SET state = 'ended'")
    await change(night, is_active=False)
    assert await bench.kinds(Queue.TECHNICAL) == []
    bench.clock.advance(61)
    await night.ticking.tick()
    assert "escalated" in [entry.what for entry in (await bench.alarms.alarm(again.id)).timeline]
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_a_patrol_that_declines_has_seen_it(night: Night, bench: Bench) -> None:
    await night.plan(goes(NORTH, 600), Step(receiver=ReceiverKind.TEAM, team=CENTRE, patience_s=60))
    alarm = await bench.press(night.hub)
    await bench.alarms.dispatch_step(await night.newest(alarm), ANNA, "declined", "busy")
    await night.ticking.tick()
    last = [entry for entry in (await bench.alarms.alarm(alarm.id)).timeline if entry.what == "escalated"][-1]
    assert "why" not in last.content
    assert await bench.kinds(Queue.TECHNICAL) == []


async def test_saying_again_that_it_is_shown_writes_nothing(night: Night, bench: Bench) -> None:
    alarm = await bench.press(night.hub)
    await bench.alarms.mark_shown(alarm.id, "abcdef12", FIRST.id)
    commits = bench.store.commits
    await bench.alarms.mark_shown(alarm.id, "abcdef12", FIRST.id)
    assert bench.store.commits == commits
