"""A team that response plans turn to is not ended: whoever tries hears which plans they are."""

from __future__ import annotations

from typing import Any

import pytest

from central.access import Scope
from central.console.roles import Role
from central.errors import Conflict
from central.routing.plan import Plan, ReceiverKind, Step, Variant
from central.routing.plans import Plans
from central.views import Actor
from tests.central.console.conftest import ADMIN

LEAD = Actor(id="lead", name="Lead One", role="lead")


async def team_in_a_plan(console: Any) -> tuple[str, str, Plans]:
    places = console.services.people.places
    tenant = await places.add_tenant(ADMIN, "Aure")
    team = await places.add_team(ADMIN, "Nattpatruljen", "patrol", tenant=tenant, phone="+4799900001")
    plans = Plans(console.bench.store, console.bench.clock)
    steps = (Step(receiver=ReceiverKind.TEAM, team=team), Step(receiver=ReceiverKind.CENTRES))
    plan = Plan(name="Natt i Aure", variants=(Variant(name="always", steps=steps),))
    await plans.write(LEAD, Scope(), plan, tenant=tenant, service="TA")
    return team, tenant, plans


def form(**more: str) -> dict[str, str]:
    return {"version": "1", "name": "Nattpatruljen", "kind": "patrol", "phone": "+4799900001", "email": "", **more}


async def test_the_page_names_the_plans_and_changes_nothing(console: Any) -> None:
    team, _, _ = await team_in_a_plan(console)
    browser = await console.signed_in("Ada", Role.ADMINISTRATOR)
    answer = await browser.post(f"/places/teams/{team}", form=form(ended="1"))
    assert answer.status == 409
    assert "Natt i Aure" in answer.text
    assert await console.bench.value(f"SELECT state FROM team WHERE id = '{team}'") == "active"
    assert await console.bench.value(f"SELECT version FROM team WHERE id = '{team}'") == 1


async def test_once_no_plan_turns_to_it_a_team_is_ended_and_can_be_taken_up_again(console: Any) -> None:
    team, tenant, plans = await team_in_a_plan(console)
    found = (await plans.all(Scope(tenants=frozenset({tenant}))))[0]
    await plans.end(LEAD, Scope(), (str(found.id), found.version or 1))
    browser = await console.signed_in("Ada", Role.ADMINISTRATOR)
    assert (await browser.post(f"/places/teams/{team}", form=form(ended="1"))).status == 303
    assert await console.bench.value(f"SELECT state FROM team WHERE id = '{team}'") == "ended"
    assert (await browser.post(f"/places/teams/{team}", form=form(version="2"))).status == 303
    assert await console.bench.value(f"SELECT state FROM team WHERE id = '{team}'") == "active"


async def test_the_api_names_them_too(console: Any) -> None:
    team, _, _ = await team_in_a_plan(console)
    with pytest.raises(Conflict) as caught:
        await console.services.people.places.set_team(
            ADMIN, team, 1, name="Nattpatruljen", kind="patrol", unit=None, serves=(), members=(), phone="", email="",
            is_active=False,
        )  # fmt: skip
    assert (caught.value.reason, caught.value.current) == ("team_in_plans", {"plans": ["Natt i Aure"]})
