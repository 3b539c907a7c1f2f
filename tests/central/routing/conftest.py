"""A municipality with teams, and who writes plans there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from central.console.accounts import Accounts
from central.console.roles import Role
from central.routing.duty import Rotas
from central.routing.plans import Plans
from central.views import Actor

TOWN, OTHER = "a1" * 8, "b2" * 8
CENTRE, WARD, PATROL, ELSEWHERE = "c1" * 8, "c2" * 8, "c3" * 8, "c4" * 8
LEAD = Actor(id="lead", name="Nina Berg", role="lead")


class Town:
    """What stands in the database, by name."""

    tenant, other = TOWN, OTHER
    centre, ward, patrol, elsewhere = CENTRE, WARD, PATROL, ELSEWHERE
    lead = LEAD

    def __init__(self, bench: Any) -> None:
        self.bench = bench
        self.plans = Plans(bench.store, bench.clock)
        self.rotas = Rotas(bench.store, bench.clock)
        self.accounts = Accounts(bench.store, bench.clock)

    async def person(self, name: str, team: str) -> str:
        """An account of a team's member."""
        account = await self.accounts.add(name, Role.RESPONDER)
        await self.bench.change(f"INSERT INTO team_member (team, account) VALUES ('{team}', '{account.id}')")
        return account.id


async def furnish(change: Callable[[str], Awaitable[None]]) -> None:
    """Two municipalities; a centre for both, a ward and a patrol of the first, a patrol of the other."""
    for tenant, name in ((TOWN, "Innfjord"), (OTHER, "Utfjord")):
        await change(f"INSERT INTO tenant (id, name, created_ms) VALUES ('{tenant}', '{name}', 0)")
    for team, kind, name, owner, phone in (
        (CENTRE, "centre", "Responssenteret Fjordene", "NULL", "+4799900001"),
        (WARD, "ward", "Avdeling 2", f"'{TOWN}'", ""),
        (PATROL, "patrol", "Utrykning natt", f"'{TOWN}'", "+4799900002"),
        (ELSEWHERE, "patrol", "Utrykning Utfjord", f"'{OTHER}'", "+4799900003"),
    ):
        await change(
            "INSERT INTO team (id, kind, name, tenant, phone)"
            f" VALUES ('{team}', '{kind}', '{name}', {owner}, '{phone}')"
        )
    for tenant in (TOWN, OTHER):
        await change(f"INSERT INTO team_tenant (team, tenant) VALUES ('{CENTRE}', '{tenant}')")


@pytest.fixture
async def town(bench: Any) -> Town:
    await furnish(bench.change)
    return Town(bench)
