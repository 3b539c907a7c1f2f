"""Plans as people write them: versions, conflicts, faults with their place, and who may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from central.access import EVERYTHING, ElsewhereError, Scope
from central.errors import Conflict, NotFoundError
from central.routing.checking import InvalidPlanError
from central.routing.plan import DEFAULT_PLAN, Channel, Plan, ReceiverKind, Step, Variant, WeekHours
from central.routing.plans import StalePlanError, plans_naming
from central.routing.store import plan_for


def team(team_id: str, *channels: str) -> Step:
    return Step(
        receiver=ReceiverKind.TEAM, team=team_id, channels=tuple(Channel(one) for one in channels or ("console",))
    )


def plan(*steps: Step, name: str = "Natt") -> Plan:
    return Plan(name=name, variants=(Variant(name="alltid", steps=steps),))


async def write(town: Any, value: Plan, scope: Scope = EVERYTHING, **more: Any) -> Any:
    known: dict[str, Any] = {"tenant": town.tenant, "service": "TA"} | more
    return await town.plans.write(town.lead, scope, value, **known)


async def test_an_edit_is_a_new_version_and_the_old_one_stays(town: Any) -> None:
    first = await write(town, plan(team(town.centre)), why="ny")
    second = await write(town, plan(team(town.patrol)), why="utrykning", replaces=(first.id, 1))
    assert (second.id, second.version) == (first.id, 2)
    kept = await town.plans.versions(first.id, EVERYTHING)
    assert [(one.version, one.state, one.why) for one in kept] == [(2, "active", "utrykning"), (1, "replaced", "ny")]
    assert kept[1].plan == plan(team(town.centre))
    found = await town.bench.store.fetch(
        lambda connection: plan_for(
            connection, tenant=town.tenant, resident=None, kind_word="pendant_pressed", now_ms=0
        )
    )
    assert (found.id, found.version) == (first.id, 2)
    assert (await town.bench.value("SELECT count(*) FROM log_entry WHERE what = 'plan_written'")) == 2


async def test_who_rests_on_an_older_version_is_told_what_stands_there_now(town: Any) -> None:
    first = await write(town, plan(team(town.centre)))
    theirs = plan(team(town.patrol), name="Deres")
    await write(town, theirs, replaces=(first.id, 1))
    with pytest.raises(StalePlanError) as refused:
        await write(town, plan(team(town.centre), name="Min"), replaces=(first.id, 1))
    assert refused.value.theirs.plan == theirs
    assert refused.value.current is not None
    assert (refused.value.current["version"], refused.value.yours) == (2, {"version": 1})
    assert len(await town.plans.versions(first.id, EVERYTHING)) == 2


async def test_of_two_at_the_same_time_one_writes_and_the_other_is_told(town: Any) -> None:
    first = await write(town, plan(team(town.centre)))
    results = await asyncio.gather(
        *(write(town, plan(team(town.centre), name=f"n{no}"), replaces=(first.id, 1)) for no in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, StalePlanError) for one in results) == 5
    assert [one.version for one in await town.plans.versions(first.id, EVERYTHING)] == [2, 1]


async def test_of_two_defaults_for_one_service_one_is_refused(town: Any) -> None:
    for place in (town.tenant, None):
        value = plan(Step(receiver=ReceiverKind.CENTRES))
        results = await asyncio.gather(
            *(write(town, value, tenant=place, service="*") for _ in range(4)), return_exceptions=True
        )
        refused = [one for one in results if isinstance(one, InvalidPlanError)]
        assert len(refused) == 3
        assert {(one.faults[0].where, one.faults[0].reason) for one in refused} == {("service", "service_taken")}


@pytest.mark.parametrize(
    ("step", "where", "reason"),
    [
        ("ff" * 8, "variants.0.steps.1.team", "no_team"),
        ("elsewhere", "variants.0.steps.1.team", "no_team"),
        ("ward sms", "variants.0.steps.1.channels", "no_phone"),
        ("centre email", "variants.0.steps.1.channels", "no_email"),
        ("contacts", "variants.0.steps.1.receiver", "ends_with_contacts"),
        ("centres email", "variants.0.steps.1.channels", "no_centre_told"),
    ],
)
async def test_a_plan_that_ends_with_nobody_is_refused_with_the_place(
    town: Any, step: str, where: str, reason: str
) -> None:
    word, _, channel = step.partition(" ")
    if word == "contacts":
        last = Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,))
    elif word == "centres":
        last = Step(receiver=ReceiverKind.CENTRES, channels=(Channel.EMAIL,))
    else:
        last = team(getattr(town, word, word), *([channel] if channel else []))
    with pytest.raises(InvalidPlanError) as refused:
        await write(town, plan(team(town.centre), last))
    assert [(one.where, one.reason) for one in refused.value.faults] == [(where, reason)]
    assert await town.plans.all(EVERYTHING) == []
    assert (await town.bench.value("SELECT count(*) FROM log_entry WHERE what = 'plan_written'")) == 0


async def test_every_fault_is_told_at_once(town: Any) -> None:
    night = Variant(name="natt", hours=(WeekHours(begin=1320, to=420),), steps=(team("ff" * 8),))
    rest = Variant(name="ellers", steps=(team(town.ward, "sms"),))
    with pytest.raises(InvalidPlanError) as refused:
        await write(town, Plan(name="x", variants=(night, rest)), service="XX")
    assert [one.reason for one in refused.value.faults] == ["no_team", "no_phone", "no_service"]


async def test_another_tenants_plan_is_not_there_and_the_houses_is_only_read(town: Any) -> None:
    mine, theirs = Scope(tenants=frozenset({town.tenant})), Scope(tenants=frozenset({town.other}))
    found = await write(town, plan(team(town.centre)), mine)
    house = await write(town, DEFAULT_PLAN, tenant=None, service="*")
    for attempt in (
        town.plans.one(found.id, theirs),
        write(town, plan(team(town.centre)), theirs, replaces=(found.id, 1)),
        write(town, plan(team(town.centre)), theirs, service="DT"),
        town.plans.end(town.lead, theirs, (found.id, 1)),
        town.plans.end(town.lead, theirs, (house.id, 1)),
        write(town, DEFAULT_PLAN, mine, tenant=None, service="TA"),
        write(town, DEFAULT_PLAN, mine, replaces=(house.id, 1)),
    ):
        with pytest.raises(ElsewhereError):
            await attempt
    assert [one.id for one in await town.plans.all(theirs)] == [house.id]
    assert {one.id for one in await town.plans.all(mine)} == {house.id, found.id}


async def test_what_does_not_exist_is_not_found(town: Any) -> None:
    for attempt in (
        town.plans.one("0" * 16, EVERYTHING),
        write(town, DEFAULT_PLAN, replaces=("0" * 16, 1)),
        write(town, DEFAULT_PLAN, tenant="0" * 16),
        town.plans.end(town.lead, EVERYTHING, ("0" * 16, 1)),
    ):
        with pytest.raises(NotFoundError):
            await attempt


async def test_a_plan_that_is_in_use_is_not_ended(town: Any) -> None:
    found = await write(town, plan(team(town.patrol)), service=None)
    await town.bench.change(
        "INSERT INTO service (id, resident, kind, plan, from_ms, source, as_of_ms, written_by)"
        f" VALUES ('s', 'r-1', 'TA', '{found.id}', 0, 'other', 0, 'test')"
    )
    with pytest.raises(Conflict) as refused:
        await town.plans.end(town.lead, EVERYTHING, (found.id, 1))
    assert (refused.value.reason, refused.value.state) == ("plan_in_use", "1")
    await town.bench.change("UPDATE service SET to_ms = 1")
    await town.plans.end(town.lead, EVERYTHING, (found.id, 1))
    assert await town.plans.all(EVERYTHING) == []
    with pytest.raises(StalePlanError):
        await write(town, plan(team(town.centre)), replaces=(found.id, 1))


async def test_which_plans_name_a_team_is_known(town: Any) -> None:
    await write(town, plan(team(town.patrol), team(town.centre)))
    ask = town.bench.store.fetch
    assert await ask(lambda connection: plans_naming(connection, town.patrol)) == ["Natt"]
    assert await ask(lambda connection: plans_naming(connection, town.ward)) == []
