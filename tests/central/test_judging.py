"""Judging an alarm by the tenant's criteria: who may, what is kept, what it still says when the list has changed."""

from __future__ import annotations

from typing import Any

import pytest

from central.access import EVERYTHING, ElsewhereError, Scope
from central.errors import Conflict, IncompleteError
from central.routines.criteria import (
    MAX_CRITERIA,
    CriteriaList,
    Criterion,
    InvalidCriteriaError,
    Level,
    StaleListError,
    named,
    shipped,
)
from central.routines.criteria import Criteria as Lists
from central.views import Actor

FIRST = Actor(id="first", name="Operator One", role="responder")
SECOND = Actor(id="second", name="Operator Two", role="responder")
ADMIN = Actor(id="admin", name="Ada Nes", role="administrator")
SCREAM = Criterion(code="screams", nb="Roper om hjelp", en="Cries for help", level=Level.URGENT)
WARD_ONLY = Criterion(code="in_ward", nb="Trenger en kollega", en="Needs a colleague", level=Level.SOON, service="RT")


@pytest.fixture
def lists(bench: Any) -> Lists:
    return Lists(bench.store, bench.clock)


@pytest.fixture
async def tenant(bench: Any) -> str:
    found: str = await bench.value("SELECT id FROM tenant")
    return found


async def worded(bench: Any, alarm: Any) -> str:
    found = await bench.store.fetch(lambda connection: named(connection, alarm.tenant, alarm.criterion))
    return found.nb if found else ""


async def test_whoever_has_an_alarm_says_how_serious_it_is_and_history_keeps_it(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    judged = await bench.alarms.judge(alarm.id, FIRST, "fallen")
    assert judged.criterion == "0/fallen"
    assert await worded(bench, judged) == "Har falt og kommer seg ikke opp alene"
    last = (await bench.alarms.alarm(alarm.id)).timeline[-1]
    assert (last.what, last.actor_name, last.content) == (
        "criterion_chosen", "Operator One", {"criterion": "0/fallen"},
    )  # fmt: skip
    again = await bench.alarms.judge(alarm.id, FIRST, "fallen")
    assert again.version == judged.version
    taken_back = await bench.alarms.judge(alarm.id, FIRST, "")
    assert taken_back.criterion == ""


async def test_nobody_else_judges_it_and_a_closed_one_is_judged_no_more(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    with pytest.raises(Conflict, match="not_claimed"):
        await bench.alarms.judge(alarm.id, FIRST, "fallen")
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(Conflict, match="taken"):
        await bench.alarms.judge(alarm.id, SECOND, "fallen")
    await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "anxiety", criterion="worried")
    with pytest.raises(Conflict, match="closed"):
        await bench.alarms.judge(alarm.id, FIRST, "fallen")
    closed = (await bench.alarms.alarm(alarm.id)).alarm
    assert closed.criterion == "0/worried"


async def test_who_has_seen_something_older_is_refused(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    claimed = await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.judge(alarm.id, FIRST, "fallen", version=claimed.version)
    with pytest.raises(Conflict, match="stale"):
        await bench.alarms.judge(alarm.id, FIRST, "worried", version=claimed.version)
    assert (await bench.alarms.alarm(alarm.id)).alarm.criterion == "0/fallen"


async def test_closing_with_a_criterion_that_is_none_changes_nothing(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(IncompleteError) as refused:
        await bench.alarms.close(alarm.id, FIRST, "cleared_by_phone", "anxiety", criterion="no_such")
    assert (refused.value.field, refused.value.reason) == ("criterion", "criterion_unknown")
    assert "fallen" in refused.value.choices
    assert (await bench.alarms.alarm(alarm.id)).alarm.is_open


async def test_closing_without_one_keeps_the_one_that_was_chosen(bench: Any, hub: Any) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.judge(alarm.id, FIRST, "fallen")
    closed = await bench.alarms.close(alarm.id, FIRST, "visit_now", "fall")
    assert closed.criterion == "0/fallen"


async def test_an_alarm_keeps_the_words_that_were_chosen_when_the_list_changes(
    bench: Any, hub: Any, lists: Lists, tenant: str
) -> None:
    await lists.write(ADMIN, EVERYTHING, tenant, CriteriaList(criteria=(SCREAM, WARD_ONLY)), replaces=0)
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    with pytest.raises(IncompleteError) as refused:  # for another service
        await bench.alarms.judge(alarm.id, FIRST, "in_ward")
    assert refused.value.choices == ("screams",)
    judged = await bench.alarms.judge(alarm.id, FIRST, "screams")
    assert judged.criterion == "1/screams"
    softer = SCREAM.model_copy(update={"nb": "Roper"})
    await lists.write(ADMIN, EVERYTHING, tenant, CriteriaList(criteria=(softer,)), replaces=1)
    kept = await bench.alarms.close(alarm.id, FIRST, "visit_now", "fall", criterion="screams")
    assert await worded(bench, kept) == "Roper om hjelp"


async def test_two_who_write_the_list_at_once_are_told_and_versions_are_kept(
    bench: Any, lists: Lists, tenant: str
) -> None:
    assert (await lists.of(tenant, EVERYTHING)).content == shipped()
    await lists.write(ADMIN, EVERYTHING, tenant, CriteriaList(criteria=(SCREAM,)), replaces=0, why="for short")
    with pytest.raises(StaleListError) as refused:
        await lists.write(ADMIN, EVERYTHING, tenant, CriteriaList(criteria=(WARD_ONLY,)), replaces=0)
    assert refused.value.theirs.content.criteria == (SCREAM,)
    back = await lists.write(ADMIN, EVERYTHING, tenant, None, replaces=1)
    assert (back.version, back.is_shipped, back.content) == (2, True, shipped())
    kept = await lists.versions(tenant, EVERYTHING)
    assert [(one.version, one.is_shipped, one.why) for one in kept] == [(2, True, ""), (1, False, "for short")]
    logged = await bench.rows("SELECT what FROM log_entry WHERE what LIKE 'criteria%' ORDER BY no")
    assert [row[0] for row in logged] == ["criteria_written", "criteria_reset"]


async def test_another_tenants_list_is_neither_read_nor_written(bench: Any, lists: Lists, tenant: str) -> None:
    elsewhere = Scope(tenants=frozenset({"ee" * 8}))
    with pytest.raises(ElsewhereError):
        await lists.of(tenant, elsewhere)
    with pytest.raises(ElsewhereError):
        await lists.write(ADMIN, elsewhere, tenant, CriteriaList(criteria=(SCREAM,)), replaces=0)
    assert await bench.value("SELECT count(*) FROM criteria_list") == 0


async def test_who_works_in_a_unit_reads_the_tenants_list_and_does_not_write_it(
    bench: Any, lists: Lists, tenant: str
) -> None:
    unit = await bench.services.people.places.add_unit(ADMIN, tenant, "Sone nord", "zone")
    within = Scope(tenants=frozenset(), units=frozenset({unit}))
    assert (await lists.of(tenant, within)).is_shipped
    with pytest.raises(ElsewhereError):
        await lists.write(ADMIN, within, tenant, CriteriaList(criteria=(SCREAM,)), replaces=0)


@pytest.mark.parametrize(
    ("criteria", "where", "reason"),
    [
        ((SCREAM, SCREAM.model_copy(update={"nb": "Annet", "en": "Other"})), "criteria.1.code", "twice"),
        ((SCREAM, SCREAM.model_copy(update={"code": "x", "en": "Other"})), "criteria.1.nb", "twice"),
        ((SCREAM.model_copy(update={"service": "XX"}),), "criteria.0.service", "unknown_service"),
        ((SCREAM.model_copy(update={"en": "  "}),), "criteria.0.en", "missing"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused_with_its_place(
    lists: Lists, tenant: str, criteria: tuple[Criterion, ...], where: str, reason: str
) -> None:
    with pytest.raises(InvalidCriteriaError) as refused:
        await lists.write(ADMIN, EVERYTHING, tenant, CriteriaList(criteria=criteria), replaces=0)
    assert (refused.value.field, refused.value.reason) == (where, reason)


def test_the_shipped_list_is_short_and_begins_with_what_is_worst() -> None:
    order = [list(Level).index(one.level) for one in shipped().criteria]
    assert order == sorted(order)
    assert 5 <= len(order) <= MAX_CRITERIA
