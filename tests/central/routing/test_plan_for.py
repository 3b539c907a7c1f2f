"""Which plan answers an alarm."""

from __future__ import annotations

from typing import Any

import pytest

from central.routing.plan import DEFAULT_PLAN, Plan, ReceiverKind, Step, Variant
from central.routing.store import PlanRow, plan_for
from central.sql import Sql

NOW = 1_790_000_000_000
TENANT, OTHER = "aa" * 8, "bb" * 8
_PUT = Sql(
    "INSERT INTO plan (id, version, tenant, service, name, content, state, written_ms, written_by)"
    " VALUES (:id, 1, :tenant, :service, 'x', :content, :state, :now, 'test')"
)


def plan(name: str) -> Plan:
    return Plan(name=name, variants=(Variant(name="always", steps=(Step(receiver=ReceiverKind.CENTRES),)),))


async def put(
    bench: Any, name: str, *, tenant: str | None, service: str | None, state: str = "active", content: str = ""
) -> None:
    async with bench.store.write() as connection:
        await _PUT.rows(
            connection,
            id=name,
            tenant=tenant,
            service=service,
            content=content or plan(name).model_dump_json(),
            state=state,
            now=NOW,
        )


async def grant(bench: Any, resident: str, kind: str, plan: str | None, since: int = NOW, until: str = "NULL") -> None:
    named = f"'{plan}'" if plan else "NULL"
    await bench.change(
        "INSERT INTO service (id, resident, kind, plan, from_ms, to_ms, source, as_of_ms, written_by)"
        f" VALUES ('{resident}-{kind}', '{resident}', '{kind}', {named}, {since}, {until}, 'other', 0, 'test')"
    )


async def asked(bench: Any, kind: str = "pendant_pressed", **place: Any) -> PlanRow:
    known: dict[str, Any] = {"tenant": TENANT, "resident": "r-1", "kind_word": kind, "now_ms": NOW} | place
    found: PlanRow = await bench.store.fetch(lambda connection: plan_for(connection, **known))
    return found


async def test_without_any_plan_the_default_asks_every_centre(bench: Any) -> None:
    found = await asked(bench)
    assert found.plan is DEFAULT_PLAN
    assert found.id is None


async def test_the_nearest_plan_answers(bench: Any) -> None:
    await grant(bench, "r-1", "TA", "named")
    for name, tenant, service in (
        ("all", None, "*"),
        ("all-ta", None, "TA"),
        ("town", TENANT, "*"),
        ("town-ta", TENANT, "TA"),
        ("named", TENANT, None),
    ):
        await put(bench, name, tenant=tenant, service=service)
        assert (await asked(bench)).id == name
    assert (await asked(bench, resident="r-2")).id == "town-ta"
    assert (await asked(bench, resident=None)).id == "town-ta"
    assert (await asked(bench, "bed_absent")).id == "town"
    assert (await asked(bench, tenant=OTHER)).id == "all-ta"
    assert (await asked(bench, tenant=None)).id == "all-ta"


async def test_a_kind_that_nobody_knows_is_answered_by_the_plan_for_everything(bench: Any) -> None:
    await put(bench, "town-ta", tenant=TENANT, service="TA")
    await put(bench, "town", tenant=TENANT, service="*")
    assert (await asked(bench, "a_word_of_next_year")).id == "town"


async def test_a_service_that_has_not_begun_or_is_over_names_no_plan(bench: Any) -> None:
    await put(bench, "named", tenant=TENANT, service=None)
    await grant(bench, "early", "TA", "named", since=NOW + 1)
    await grant(bench, "late", "TA", "named", since=NOW - 10, until=str(NOW))
    assert (await asked(bench, resident="early")).id is None
    assert (await asked(bench, resident="late")).id is None


@pytest.mark.parametrize("content", ["{}", "no json", '{"name":"x","variants":[],"more":1}'])
async def test_a_plan_that_cannot_be_read_does_not_stand_in_the_way(bench: Any, content: str) -> None:
    await put(bench, "town", tenant=TENANT, service="*")
    await put(bench, "town-ta", tenant=TENANT, service="TA", content=content)
    assert (await asked(bench)).id == "town"


async def test_replaced_and_ended_plans_answer_nothing(bench: Any) -> None:
    await put(bench, "old", tenant=TENANT, service="TA", state="replaced")
    await put(bench, "gone", tenant=TENANT, service="*", state="ended")
    assert (await asked(bench)).id is None


async def test_hours_are_meant_in_the_zone_of_the_tenant(bench: Any) -> None:
    await bench.change(
        f"INSERT INTO tenant (id, name, zone, created_ms) VALUES ('{TENANT}', 'Nordkapp', 'Europe/Helsinki', {NOW})"
    )
    assert (await asked(bench)).zone == "Europe/Helsinki"
    assert (await asked(bench, tenant=None)).zone == "Europe/Oslo"
