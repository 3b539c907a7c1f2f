"""Handing over, deferring, sending somebody, calling: one owner at each moment, and nobody is forgotten on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from central.access import Scope
from central.errors import Conflict, IncompleteError, NotFoundError
from central.lifecycle import ANSWER_MS, LEASE_MS, OFFER_MS, UNDO_MS, VISIT_MS, DispatchState, Queue
from central.views import Actor
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST, SECOND, Bench

LEAD = Actor(id="lead", name="Lead", role="lead")
PATROL = [Actor(id=f"patrol{n}", name=f"Patrol {n}", role="responder") for n in range(8)]
RESIDENT = "r-7f3a90"


async def account(bench: Bench, actor: Actor, role: str = "responder") -> None:
    await bench.change(
        f"INSERT INTO user_account (id, name, role, created_ms) VALUES ('{actor.id}', '{actor.name}', '{role}', 0)"
    )


async def team(bench: Bench, name: str, *members: Actor, kind: str = "patrol") -> str:
    team_id = f"{name:0<16}"[:16]
    await bench.change(f"INSERT INTO team (id, kind, name) VALUES ('{team_id}', '{kind}', '{name}')")
    for member in members:
        await bench.change(f"INSERT INTO team_member (team, account) VALUES ('{team_id}', '{member.id}')")
    return team_id


async def visit(bench: Bench, name: str, in_s: float, lasts_s: float = 1800, resident: str = RESIDENT) -> str:
    visit_id = f"{name:0<16}"[:16]
    start = bench.clock.now_ms() + int(in_s * 1000)
    await bench.change(
        "INSERT INTO visit (id, resident, from_ms, to_ms, source, changed_ms, changed_by)"
        f" VALUES ('{visit_id}', '{resident}', {start}, {start + int(lasts_s * 1000)}, 'list', 0, 'test')"
    )
    return visit_id


@pytest.fixture
async def patrol(bench: Bench) -> str:
    return await team(bench, "patrol", *PATROL)


async def taken(bench: Bench, hub: FrameHub) -> str:
    alarm = await bench.press(hub, resident=RESIDENT)
    await bench.alarms.claim(alarm.id, FIRST)
    return alarm.id


async def words(bench: Bench, alarm_id: str) -> list[str]:
    known = {"nobody_with_sound", "escalated", "plan_ended"}
    return [entry.what for entry in (await bench.alarms.alarm(alarm_id)).timeline if entry.what not in known]


async def now(bench: Bench, alarm_id: str) -> Any:
    return (await bench.alarms.alarm(alarm_id)).alarm


async def exactly_one(bench: Bench, acts: Sequence[Any]) -> Any:
    found = await asyncio.gather(*acts, return_exceptions=True)
    won = [one for one in found if not isinstance(one, BaseException)]
    assert len(won) == 1, found
    for lost in found:
        if isinstance(lost, BaseException):
            assert isinstance(lost, Conflict), lost
    return won[0], [lost for lost in found if isinstance(lost, Conflict)]


# ── handing over ──────────────────────────────────────────────────────────────────────


async def test_what_is_offered_stays_with_who_offers_until_it_is_accepted(bench: Bench, hub: FrameHub) -> None:
    await account(bench, SECOND)
    alarm = await taken(bench, hub)
    offer = await bench.alarms.offer(alarm, FIRST, to_account=SECOND.id, note="Ring i døren")
    assert (await now(bench, alarm)).owner == FIRST.id
    assert (offer.to_name, offer.note) == (SECOND.name, "Ring i døren")
    passed = await bench.alarms.accept_offer(offer.id, SECOND)
    assert (passed.owner, passed.stage.word) == (SECOND.id, "claimed")
    assert (await bench.alarms.accept_offer(offer.id, SECOND)).version == passed.version  # pressed twice
    with pytest.raises(Conflict) as told:
        await bench.alarms.close(alarm, FIRST, "false_alarm", "mis_press")
    assert told.value.holder is not None
    assert told.value.holder.name == SECOND.name
    assert await words(bench, alarm) == ["raised", "claimed", "offered", "offer_accepted"]
    assert "døren" not in str((await bench.alarms.alarm(alarm)).timeline)


async def test_of_many_who_accept_one_offer_exactly_one_gets_the_alarm(bench: Bench, hub: FrameHub) -> None:
    crew = await team(bench, "centre", *PATROL, kind="centre")
    alarm = await taken(bench, hub)
    offer = await bench.alarms.offer(alarm, FIRST, to_team=crew)
    won, lost = await exactly_one(bench, [bench.alarms.accept_offer(offer.id, one) for one in PATROL])
    for conflict in lost:
        assert conflict.holder is not None
        assert conflict.holder.name == won.owner_name
    assert await bench.value(f"SELECT claim_no FROM alarm WHERE id = '{alarm}'") == 2
    assert (await words(bench, alarm)).count("offer_accepted") == 1


async def test_an_offer_is_for_whom_it_names_and_one_at_a_time(bench: Bench, hub: FrameHub, patrol: str) -> None:
    await account(bench, SECOND)
    alarm = await taken(bench, hub)
    for receiver in ({}, {"to_account": SECOND.id, "to_team": patrol}, {"to_account": "nobody"}, {"to_team": "x"}):
        with pytest.raises(IncompleteError):
            await bench.alarms.offer(alarm, FIRST, **receiver)
    with pytest.raises(IncompleteError):
        await bench.alarms.offer(alarm, FIRST, to_account=FIRST.id)
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.offer(alarm, SECOND, to_team=patrol)
    offer = await bench.alarms.offer(alarm, FIRST, to_account=SECOND.id)
    with pytest.raises(Conflict, match="already_offered"):
        await bench.alarms.offer(alarm, FIRST, to_team=patrol)
    with pytest.raises(Conflict, match="not_offered_to_you"):
        await bench.alarms.accept_offer(offer.id, PATROL[0])
    with pytest.raises(Conflict, match="not_yours"):
        await bench.alarms.withdraw(offer.id, SECOND)
    await bench.alarms.withdraw(offer.id, FIRST)
    with pytest.raises(Conflict, match="offer_over"):
        await bench.alarms.accept_offer(offer.id, SECOND)
    with pytest.raises(NotFoundError):
        await bench.alarms.accept_offer("0" * 16, SECOND)


@pytest.mark.parametrize("how", ["declined", "expired"])
async def test_a_no_or_no_answer_is_told_to_the_owner_loudly(bench: Bench, hub: FrameHub, how: str) -> None:
    await account(bench, SECOND)
    alarm = await taken(bench, hub)
    offer = await bench.alarms.offer(alarm, FIRST, to_account=SECOND.id)
    before = await now(bench, alarm)
    if how == "declined":
        await bench.alarms.decline_offer(offer.id, SECOND)
    else:
        bench.clock.advance(OFFER_MS / 1000 + 1)
        assert await bench.alarms.sweep() == 1
        with pytest.raises(Conflict, match="offer_over"):
            await bench.alarms.accept_offer(offer.id, SECOND)
    after = await now(bench, alarm)
    assert (after.owner, after.sound_no) == (FIRST.id, before.sound_no + 1)
    assert (await words(bench, alarm))[-1] == f"offer_{how}"


async def test_an_offer_does_not_outlive_the_claim_it_is_about(bench: Bench, hub: FrameHub) -> None:
    await account(bench, SECOND)
    alarm = await taken(bench, hub)
    offer = await bench.alarms.offer(alarm, FIRST, to_account=SECOND.id)
    await bench.alarms.release(alarm, FIRST)
    await bench.alarms.claim(alarm, LEAD)
    with pytest.raises(Conflict, match="offer_over"):
        await bench.alarms.accept_offer(offer.id, SECOND)
    assert (await now(bench, alarm)).owner == LEAD.id


# ── a lead ────────────────────────────────────────────────────────────────────────────


async def test_a_lead_takes_over_with_a_reason_and_who_was_sent_goes_on(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, PATROL[0], "on_the_way")
    with pytest.raises(IncompleteError):
        await bench.alarms.take_over(alarm, LEAD, "  ")
    over = await bench.alarms.take_over(alarm, LEAD, "Operator One has gone home")
    assert (over.owner, over.stage.word) == (LEAD.id, "on_the_way")
    entry = (await bench.read(alarm, LEAD)).timeline[-1]
    assert entry.content == {"from": FIRST.id, "reason": "Operator One has gone home"}
    assert over.lease_until_ms == (await bench.alarms.sent(sent.id)).due_ms


# ── deferring ─────────────────────────────────────────────────────────────────────────


async def test_what_waits_for_a_visit_is_quiet_and_comes_back_when_nobody_came(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    before = await now(bench, alarm)
    to = await visit(bench, "evening", 3600)
    deferred = await bench.alarms.defer(alarm, FIRST, to)
    assert (deferred.stage.word, deferred.stage.reply.name, deferred.owner) == ("deferred", "TAKEN", None)
    assert await bench.alarms.take_next(SECOND) is None
    bench.clock.advance(3600 + 1799)
    assert await bench.alarms.sweep() == 0
    bench.clock.advance(1)
    assert await bench.alarms.sweep() == 1
    back = await now(bench, alarm)
    assert (back.stage.word, back.returned, back.sound_no, back.lifted) == ("waiting", 1, before.sound_no + 1, 1)
    assert await bench.value(f"SELECT state FROM visit WHERE id = '{to}'") == "missed"
    entry = (await bench.alarms.alarm(alarm)).timeline
    assert ("returned", "visit_missed") in [(one.what, one.content.get("why")) for one in entry]


@pytest.mark.parametrize("state", ["cancelled", "done", "missed"])
async def test_a_visit_that_settles_nothing_brings_the_alarm_back_at_once(
    bench: Bench, hub: FrameHub, state: str
) -> None:
    alarm = await taken(bench, hub)
    to = await visit(bench, "evening", 3600)
    await bench.alarms.defer(alarm, FIRST, to)
    await bench.change(f"UPDATE visit SET state = '{state}' WHERE id = '{to}'")
    assert await bench.alarms.sweep() == 1
    assert (await now(bench, alarm)).stage.word == "waiting"
    taken_again = await bench.alarms.take_next(SECOND)
    assert taken_again is not None
    assert taken_again.id == alarm


async def test_a_press_while_it_waits_for_a_visit_is_answered_now(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    deferred = await bench.alarms.defer(alarm, FIRST, await visit(bench, "evening", 3600))
    again = await bench.press(hub, resident=RESIDENT)
    assert (again.id, again.stage.word, again.deferred_visit) == (alarm, "waiting", None)
    assert again.sound_no == deferred.sound_no + 1
    with pytest.raises(Conflict, match="too_late"):
        await bench.alarms.undo(alarm, FIRST)


async def test_an_alarm_is_deferred_to_a_planned_visit_of_its_own_resident_only(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    other = await visit(bench, "other", 60, resident="r-000001")
    over = await visit(bench, "over", -7200)
    good = await visit(bench, "good", 60)
    for chosen, reason in (
        ("", "visit_missing"),
        ("x" * 16, "visit_unknown"),
        (other, "visit_unknown"),
        (over, "visit_over"),
    ):
        with pytest.raises(IncompleteError) as told:
            await bench.alarms.defer(alarm, FIRST, chosen)
        assert (told.value.reason, told.value.field, told.value.choices) == (reason, "visit", (good,))
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.defer(alarm, SECOND, good)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, PATROL[0], "accepted")
    with pytest.raises(Conflict, match="not_defer"):
        await bench.alarms.defer(alarm, FIRST, good)
    assert [planned.id for planned in await bench.alarms.visits(alarm)] == [good]


async def test_next_planned_visit_names_one_and_closes_only_when_it_is_done(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.close(alarm, FIRST, "next_visit", "general_decline")
    assert told.value.field == "visit"
    to = await visit(bench, "evening", 3600)
    deferred = await bench.alarms.close(alarm, FIRST, "next_visit", "general_decline", visit=to)
    assert (deferred.stage.word, deferred.closed_ms) == ("deferred", None)
    await bench.alarms.claim(alarm, SECOND)
    await bench.change(f"UPDATE visit SET state = 'done' WHERE id = '{to}'")
    closed = await bench.alarms.close(alarm, SECOND, "next_visit", "general_decline", visit=to)
    assert (closed.stage.word, closed.disposition) == ("closed", "next_visit")


async def test_a_deferral_is_taken_back_for_ten_seconds(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    to = await visit(bench, "evening", 3600)
    await bench.alarms.defer(alarm, FIRST, to)
    assert (await bench.alarms.sent(sent.id)).state is DispatchState.CANCELLED
    again = await bench.alarms.undo(alarm, FIRST)
    assert (again.stage.word, again.owner, again.deferred_visit) == ("sent", FIRST.id, None)
    assert (await bench.alarms.sent(sent.id)).state is DispatchState.SENT
    await bench.alarms.defer(alarm, FIRST, to)
    bench.clock.advance(UNDO_MS / 1000 + 1)
    with pytest.raises(Conflict, match="too_late"):
        await bench.alarms.undo(alarm, FIRST)


# ── sending somebody ──────────────────────────────────────────────────────────────────


async def test_a_patrol_goes_step_by_step_and_the_home_hears_no_more_than_is_true(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    told = [(await now(bench, alarm)).stage.reply.name]
    for step in ("delivered", "accepted", "on_the_way", "on_site", "done"):
        assert (await bench.alarms.dispatch_step(sent.id, PATROL[1], step)).state == step
        told.append((await now(bench, alarm)).stage.reply.name)
    assert told == ["TAKEN", "TAKEN", "TAKEN", "ON_THE_WAY", "ON_THE_WAY", "TAKEN"]
    assert (await now(bench, alarm)).owner == FIRST.id
    assert (await words(bench, alarm))[2:] == [
        f"dispatch_{step}" for step in ("sent", "delivered", "accepted", "on_the_way", "on_site", "done")
    ]


async def test_of_a_whole_patrol_that_accepts_exactly_one_is_it(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    won, lost = await exactly_one(bench, [bench.alarms.dispatch_step(sent.id, one, "accepted") for one in PATROL])
    for conflict in lost:
        assert conflict.holder is not None
        assert conflict.holder.name == won.account_name
    assert (await words(bench, alarm)).count("dispatch_accepted") == 1


@pytest.mark.parametrize("how", ["declined", "unanswered"])
async def test_a_patrol_that_does_not_go_leaves_the_alarm_with_its_owner_loudly(
    bench: Bench, hub: FrameHub, patrol: str, how: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    before = await now(bench, alarm)
    if how == "declined":
        await bench.alarms.dispatch_step(sent.id, PATROL[0], "declined", "another alarm")
    else:
        for _ in range(2):
            bench.clock.advance(ANSWER_MS / 2000 + 1)
            await bench.alarms.renew(alarm, FIRST)
        assert await bench.alarms.sweep() == 1
    after = await now(bench, alarm)
    assert (after.stage.word, after.owner, after.sound_no) == ("claimed", FIRST.id, before.sound_no + 1)
    assert (await words(bench, alarm))[-1] == f"dispatch_{how}"


async def test_a_late_yes_is_better_than_none(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol, patience_ms=1000)
    bench.clock.advance(2)
    await bench.alarms.sweep()
    await bench.alarms.dispatch_step(sent.id, PATROL[0], "accepted")
    assert (await now(bench, alarm)).stage.word == "accepted"


async def test_once_accepted_a_deadline_for_being_there_stands_in_for_the_lease(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, PATROL[0], "accepted")
    bench.clock.advance(LEASE_MS / 1000 * 2)
    assert await bench.alarms.sweep() == 0
    bench.clock.advance(VISIT_MS / 1000)
    assert await bench.alarms.sweep() == 1
    back = await now(bench, alarm)
    assert (back.stage.word, back.owner) == ("waiting", None)
    assert (await bench.alarms.alarm(alarm)).timeline[-1].content.get("why") != "no_presence"


async def test_two_patrols_and_the_alarm_says_how_far_the_furthest_is(bench: Bench, hub: FrameHub, patrol: str) -> None:
    second = await team(bench, "second", SECOND)
    alarm = await taken(bench, hub)
    one = await bench.alarms.dispatch(alarm, FIRST, patrol)
    two = await bench.alarms.dispatch(alarm, FIRST, second)
    with pytest.raises(Conflict, match="already_sent"):
        await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(one.id, PATROL[0], "on_the_way")
    await bench.alarms.dispatch_step(two.id, SECOND, "accepted")
    assert (await now(bench, alarm)).stage.word == "on_the_way"
    await bench.alarms.dispatch_step(one.id, PATROL[0], "declined", "broke down")
    assert (await now(bench, alarm)).stage.word == "accepted"
    await bench.alarms.dispatch_step(two.id, FIRST, "cancelled")
    assert (await now(bench, alarm)).stage.word == "claimed"


async def test_only_the_patrol_or_the_owner_speaks_for_a_dispatch(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm = await taken(bench, hub)
    with pytest.raises(IncompleteError):
        await bench.alarms.dispatch(alarm, FIRST, "x" * 16)
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.dispatch(alarm, SECOND, patrol)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    with pytest.raises(Conflict, match="not_sent_to_you"):
        await bench.alarms.dispatch_step(sent.id, SECOND, "accepted")
    with pytest.raises(Conflict, match="not_yours"):
        await bench.alarms.dispatch_step(sent.id, PATROL[0], "cancelled")
    with pytest.raises(IncompleteError):
        await bench.alarms.dispatch_step(sent.id, PATROL[0], "flew")
    with pytest.raises(Conflict, match="dispatch_over"):
        await bench.alarms.dispatch_step(sent.id, PATROL[0], "done")
    by_phone = await bench.alarms.dispatch_step(sent.id, FIRST, "accepted")
    assert by_phone.account is None
    there = await bench.alarms.dispatch_step(sent.id, PATROL[0], "on_site")
    assert there.account_name == PATROL[0].name


async def test_who_is_with_the_person_may_write_the_outcome_and_nobody_else(
    bench: Bench, hub: FrameHub, patrol: str
) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, PATROL[0], "on_the_way")
    with pytest.raises(Conflict):
        await bench.alarms.close(alarm, PATROL[0], "visit_now", "fall")
    await bench.alarms.on_site(alarm, PATROL[0])
    with pytest.raises(Conflict):
        await bench.alarms.close(alarm, PATROL[1], "visit_now", "fall")
    closed = await bench.alarms.close(alarm, PATROL[0], "visit_now", "fall")
    assert (closed.closed_by, closed.help) == (PATROL[0].name, "health")


async def test_an_undone_close_brings_those_back_who_were_out(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.dispatch_step(sent.id, PATROL[0], "on_site")
    await bench.alarms.close(alarm, FIRST, "visit_now", "fall")
    assert (await bench.alarms.sent(sent.id)).state is DispatchState.CANCELLED
    again = await bench.alarms.undo(alarm, FIRST)
    assert again.stage.word == "on_site"
    assert (await bench.alarms.sent(sent.id)).state is DispatchState.ON_SITE


async def test_whoever_gives_it_back_calls_off_who_was_sent(bench: Bench, hub: FrameHub, patrol: str) -> None:
    alarm = await taken(bench, hub)
    sent = await bench.alarms.dispatch(alarm, FIRST, patrol)
    await bench.alarms.release(alarm, FIRST)
    assert (await bench.alarms.sent(sent.id)).state is DispatchState.CANCELLED
    with pytest.raises(Conflict):
        await bench.alarms.dispatch_step(sent.id, PATROL[0], "accepted")


# ── the rest ──────────────────────────────────────────────────────────────────────────


async def test_a_call_is_kept_with_its_result_and_bad_ones_are_not(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    for called, contact, result, field in (
        ("the dog", "", "answered", "called"),
        ("resident", "", "barked", "result"),
        ("contact", "x" * 16, "answered", "contact"),
    ):
        with pytest.raises(IncompleteError) as told:
            await bench.alarms.call(alarm, FIRST, called, contact, result)
        assert told.value.field == field
    await bench.alarms.call(alarm, FIRST, "resident", "", "no_answer")
    (kept,) = (await bench.alarms.alarm(alarm)).calls
    assert (kept.called, kept.result, kept.actor_name) == ("resident", "no_answer", FIRST.name)


async def test_technical_help_opens_a_case_without_retyping_and_without_the_note(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.close(alarm, FIRST, "visit_now", "other", kind_of_help="magic")
    assert told.value.field == "kind_of_help"
    await bench.alarms.close(alarm, FIRST, "visit_now", "other", "Hun er svak", kind_of_help="technical")
    (case,) = await bench.alarms.queue(Queue.TECHNICAL)
    assert (case.kind.word, case.hub, case.details["alarm"]) == ("technical_case", hub.id.hex(), alarm)
    assert "svak" not in json.dumps(dict(case.details))
    await bench.alarms.undo(alarm, FIRST)
    assert await bench.alarms.queue(Queue.TECHNICAL) == []


async def test_an_act_that_rests_on_an_older_state_is_refused_with_both(bench: Bench, hub: FrameHub) -> None:
    alarm = await taken(bench, hub)
    seen = (await now(bench, alarm)).version
    await bench.press(hub, resident=RESIDENT)
    with pytest.raises(Conflict, match="stale") as told:
        await bench.alarms.close(alarm, FIRST, "cleared_by_phone", "anxiety", version=seen)
    assert told.value.yours == {"version": seen}
    assert told.value.current is not None
    assert (told.value.current["version"], told.value.current["repeats"]) == (seen + 1, 1)
    await bench.alarms.close(alarm, FIRST, "cleared_by_phone", "anxiety", version=seen + 1)


async def test_who_serves_some_tenants_sees_and_takes_theirs_only(bench: Bench, hub: FrameHub) -> None:
    some = Scope(tenants=frozenset({"t" * 16}))
    mine = await bench.press(hub)
    other = await bench.press(hub, device="pendant-2", resident="r-000002")
    await bench.change(f"UPDATE alarm SET tenant = '{'t' * 16}' WHERE id = '{mine.id}'")
    await bench.change(f"UPDATE alarm SET tenant = '{'u' * 16}' WHERE id = '{other.id}'")
    assert [one.id for one in await bench.alarms.queue(scope=some)] == [mine.id]
    assert len(await bench.alarms.queue()) == 2
    found = await bench.alarms.take_next(FIRST, scope=some)
    assert found is not None
    assert found.id == mine.id
    assert await bench.alarms.take_next(FIRST, scope=some) is None
