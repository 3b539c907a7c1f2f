"""What alarms turn out to have been, by the tenant's own list: what closing takes, and what words stay for ever."""

from __future__ import annotations

from typing import Any

import pytest

from central.access import EVERYTHING, ElsewhereError, Scope
from central.errors import IncompleteError
from central.lifecycle import PERSONAL_DISPOSITIONS, Disposition, KindOfHelp
from central.outcomes import MAX_OFFERED, NEEDED, Outcome, OutcomeList, faults_of
from central.routines.outcomes import InvalidOutcomesError, StaleOutcomesError, shipped, worded
from central.routines.outcomes import Outcomes as Lists
from central.views import Actor

FIRST = Actor(id="first", name="Operator One", role="responder")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
KEYS = Outcome(code="lost_keys", nb="Mistet nøkkel", en="Lost keys", help=KindOfHelp.PRACTICAL, help_only=True)
BURN = Outcome(code="burn", nb="Brannsår", en="Burnt", dispositions=(Disposition.VISIT_NOW,))
BASE = tuple(one for one in shipped().outcomes if one.code in NEEDED)
OWN = OutcomeList(outcomes=(KEYS, *BASE))


@pytest.fixture
def lists(bench: Any) -> Lists:
    return Lists(bench.store, bench.clock)


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


async def claimed(bench: Any, hub: Any) -> Any:
    alarm = await bench.press(hub)
    return await bench.alarms.claim(alarm.id, FIRST)


async def words_of(bench: Any, alarm: Any) -> str:
    found = await bench.store.fetch(lambda connection: worded(connection, [(alarm.outcome_list, alarm.outcome)]))
    return "".join(one.nb for one in found.values())


# ── The list as a value ──────────────────────────────────────────────────────────────


def test_help_is_none_for_what_was_nothing_and_is_never_guessed_to_be_technical() -> None:
    listed = shipped()
    assert listed.settle("false_alarm", "fall") is KindOfHelp.NONE
    assert listed.settle("visit_now", "fall") is KindOfHelp.HEALTH
    assert listed.settle("cleared_by_phone", "practical_help") is KindOfHelp.PRACTICAL
    assert listed.settle("cleared_by_phone", "practical_help", "technical") is KindOfHelp.TECHNICAL
    guessed = {listed.settle(done, one.code) for done in PERSONAL_DISPOSITIONS for one in listed.outcomes}
    assert guessed == {KindOfHelp.NONE, KindOfHelp.HEALTH, KindOfHelp.PRACTICAL}


@pytest.mark.parametrize(
    ("done", "code", "help_", "reason", "choices"),
    [
        ("visit_now", "", "", "outcome_missing", ("lost_keys", "burn", "no_contact", "mis_press", "other")),
        ("visit_now", "lost_kyes", "", "outcome_unknown", ("lost_keys",)),
        ("visit_now", "Mistet nøkel", "", "outcome_unknown", ("lost_keys",)),
        ("cleared_by_phone", "burn", "", "disposition_misfit", ("visit_now",)),
        ("visit_now", "lost_keys", "health", "help_misfit", ("practical",)),
        ("visit_now", "burn", "magic", "help_missing", tuple(KindOfHelp)),
    ],
)
def test_what_does_not_do_is_answered_with_what_would(
    done: str, code: str, help_: str, reason: str, choices: tuple[str, ...]
) -> None:
    with pytest.raises(IncompleteError) as told:
        OutcomeList(outcomes=(KEYS, BURN, *BASE)).settle(done, code, help_)
    assert (told.value.reason, told.value.choices) == (reason, choices)


def test_what_is_out_of_use_is_found_and_cannot_be_chosen() -> None:
    listed = OutcomeList(outcomes=(KEYS.model_copy(update={"retired": True}), *BASE))
    assert listed.find("lost_keys") is not None
    with pytest.raises(IncompleteError, match="outcome_retired"):
        listed.settle("visit_now", "lost_keys")


@pytest.mark.parametrize(
    ("outcomes", "where", "reason"),
    [
        (BASE[:-1], "outcomes.other", "needed"),
        ((*BASE, KEYS, KEYS.model_copy(update={"nb": "Annen", "en": "Else"})), "outcomes.4.code", "twice"),
        ((*BASE, KEYS.model_copy(update={"code": "seen_at_room"})), "outcomes.3.code", "reserved"),
        ((*BASE, KEYS.model_copy(update={"nb": "annet"})), "outcomes.3.nb", "same"),
        ((*BASE, KEYS.model_copy(update={"en": "  "})), "outcomes.3.en", "missing"),
        (
            (*BASE, KEYS.model_copy(update={"dispositions": (Disposition.RESOLVED,)})),
            "outcomes.3.dispositions",
            "unknown_disposition",
        ),
        ((BASE[0], BASE[1].model_copy(update={"retired": True}), BASE[2]), "outcomes.1.retired", "needed"),
        (
            (*BASE[:2], BASE[2].model_copy(update={"dispositions": (Disposition.VISIT_NOW,)})),
            "outcomes.2.dispositions",
            "needed_other",
        ),
        ((*BASE[:2], BASE[2].model_copy(update={"help_only": True})), "outcomes.2.help", "needed_other"),
        (
            (BASE[0], BASE[1].model_copy(update={"dispositions": (Disposition.TEST,)}), BASE[2]),
            "outcomes.1.dispositions",
            "needed_mis_press",
        ),
        ((*BASE, *(KEYS.model_copy(update={"code": f"k{n}", "nb": f"{n}", "en": f"{n}"}) for n in range(MAX_OFFERED))),
         "outcomes", "too_many"),
    ],
)  # fmt: skip
def test_a_list_by_which_alarms_could_not_be_closed_is_none(
    outcomes: tuple[Outcome, ...], where: str, reason: str
) -> None:
    assert [(one.where, one.reason) for one in faults_of(outcomes)] == [(where, reason)]


def test_the_shipped_list_is_in_order_and_two_that_are_retired_may_be_called_alike() -> None:
    assert faults_of(shipped().outcomes, {"fall"}) == []
    old = KEYS.model_copy(update={"retired": True})
    assert faults_of((*BASE, old, KEYS.model_copy(update={"code": "keys"}))) == []


# ── Closing by it ────────────────────────────────────────────────────────────────────


async def test_an_alarm_is_closed_with_the_tenants_own_words_and_keeps_them(
    bench: Any, hub: Any, lists: Lists, tenant: str
) -> None:
    await lists.write(ADMIN, EVERYTHING, tenant, OWN, replaces=0)
    alarm = await claimed(bench, hub)
    closed = await bench.alarms.close(alarm.id, FIRST, "visit_now", "lost_keys")
    assert (closed.outcome, closed.outcome_list, closed.help) == ("lost_keys", f"{tenant}/1", "practical")
    assert (await bench.alarms.alarm(alarm.id)).timeline[-1].content["outcome_list"] == f"{tenant}/1"
    softer = KEYS.model_copy(update={"nb": "Utestengt", "en": "Locked out"})
    await lists.write(ADMIN, EVERYTHING, tenant, OutcomeList(outcomes=(softer, *BASE)), replaces=1)
    assert await words_of(bench, closed) == "Mistet nøkkel"


async def test_without_a_list_of_their_own_the_products_words_hold(bench: Any, hub: Any, lists: Lists) -> None:
    alarm = await claimed(bench, hub)
    with pytest.raises(IncompleteError) as told:
        await bench.alarms.close(alarm.id, FIRST, "visit_now", "anxeity")
    assert (told.value.reason, told.value.choices) == ("outcome_unknown", ("anxiety",))
    assert (await bench.alarms.alarm(alarm.id)).alarm.is_open
    closed = await bench.alarms.close(alarm.id, FIRST, "visit_now", "anxiety")
    assert (closed.outcome_list, await words_of(bench, closed)) == ("", "Uro, angst")


async def test_an_alarm_that_was_open_before_an_edit_is_still_closed_by_what_its_form_offers(
    bench: Any, hub: Any, lists: Lists, tenant: str
) -> None:
    alarm = await claimed(bench, hub)
    bench.clock.advance(5)
    await lists.write(ADMIN, EVERYTHING, tenant, OWN, replaces=0)
    await lists.write(ADMIN, EVERYTHING, tenant, OutcomeList(outcomes=BASE), replaces=1)
    by_first = await bench.alarms.close(alarm.id, FIRST, "visit_now", "fall")
    assert (by_first.outcome_list, await words_of(bench, by_first)) == ("", "Fall")
    await bench.alarms.undo(alarm.id, FIRST)
    assert (await bench.alarms.alarm(alarm.id)).alarm.outcome_list == ""
    by_second = await bench.alarms.close(alarm.id, FIRST, "visit_now", "lost_keys")
    assert by_second.outcome_list == f"{tenant}/1"
    await bench.alarms.undo(alarm.id, FIRST)
    with pytest.raises(IncompleteError) as told:  # of what is in no list, those that hold now are named
        await bench.alarms.close(alarm.id, FIRST, "visit_now", "zzzz")
    assert told.value.choices == NEEDED_ORDER
    bench.clock.advance(5)
    await bench.alarms.close(alarm.id, FIRST, "visit_now", "other")
    later = await claimed(bench, hub)
    with pytest.raises(IncompleteError, match="outcome_unknown"):
        await bench.alarms.close(later.id, FIRST, "visit_now", "fall")


NEEDED_ORDER = tuple(one.code for one in BASE)


# ── Writing it ───────────────────────────────────────────────────────────────────────


async def test_what_alarms_were_closed_with_is_retired_and_not_deleted(
    bench: Any, hub: Any, lists: Lists, tenant: str
) -> None:
    await lists.write(ADMIN, EVERYTHING, tenant, OWN, replaces=0)
    alarm = await claimed(bench, hub)
    await bench.alarms.close(alarm.id, FIRST, "visit_now", "lost_keys")
    with pytest.raises(InvalidOutcomesError) as told:
        await lists.write(ADMIN, EVERYTHING, tenant, OutcomeList(outcomes=BASE), replaces=1)
    assert [(one.where, one.reason) for one in told.value.faults] == [("outcomes.lost_keys", "used")]
    assert (await lists.of(tenant, EVERYTHING)).version == 1
    gone = OutcomeList(outcomes=(*BASE, KEYS.model_copy(update={"retired": True})))
    await lists.write(ADMIN, EVERYTHING, tenant, gone, replaces=1)
    back = await lists.write(ADMIN, EVERYTHING, tenant, None, replaces=2)
    assert back.is_shipped
    assert back.content.outcomes[-1] == KEYS.model_copy(update={"retired": True})
    assert [one.version for one in await lists.versions(tenant, EVERYTHING)] == [3, 2, 1]
    logged = await bench.rows("SELECT what FROM log_entry WHERE what LIKE 'outcomes%' ORDER BY no")
    assert [row[0] for row in logged] == ["outcomes_written", "outcomes_written", "outcomes_reset"]


async def test_what_was_never_used_is_dropped_and_whoever_is_second_is_told(
    bench: Any, lists: Lists, tenant: str
) -> None:
    await lists.write(ADMIN, EVERYTHING, tenant, OWN, replaces=0, why="for short")
    await lists.write(ADMIN, EVERYTHING, tenant, OutcomeList(outcomes=BASE), replaces=1)
    with pytest.raises(StaleOutcomesError) as refused:
        await lists.write(ADMIN, EVERYTHING, tenant, OWN, replaces=1)
    assert refused.value.theirs.content.outcomes == BASE
    assert await bench.value("SELECT count(*) FROM outcome_list") == 2


async def test_another_tenants_list_is_neither_read_nor_written(bench: Any, lists: Lists, tenant: str) -> None:
    elsewhere = Scope(tenants=frozenset({"00aa11bb22cc33dd"}), units=frozenset(), teams=frozenset())
    with pytest.raises(ElsewhereError):
        await lists.of(tenant, elsewhere)
    with pytest.raises(ElsewhereError):
        await lists.write(ADMIN, elsewhere, tenant, OWN, replaces=0)
    assert await bench.value("SELECT count(*) FROM outcome_list") == 0
