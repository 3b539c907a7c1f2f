"""A plan in force and an area without power, in a central: what the pages about them show to whoever looks at them."""

from __future__ import annotations

from typing import Any

from central.access import EVERYTHING
from central.lifecycle import alarm_kind
from central.opening import Source
from central.raising import raise_technical
from central.routing.plan import Channel, Plan, ReceiverKind, Step, Variant, WeekHours
from central.routing.plans import Plans
from central.services import Services
from central.sql import Sql
from central.store import Priority
from central.technical.folding import Folding
from central.views import Actor
from central.wakeup import Wakeup

LEAD = Actor(id="furnisher", name="Lead One", role="lead")
DARK = 24
"""Homes without power: enough for an area incident."""

_CENTRE = Sql(
    """SELECT t.id, s.tenant FROM team t JOIN team_tenant s ON s.team = t.id
    WHERE t.kind = 'centre' AND t.state = 'active' ORDER BY t.id LIMIT 1"""
)
_UNIT = Sql("INSERT INTO unit (id, tenant, kind, name) SELECT :id, :tenant, 'zone', :name")
_HUB = Sql(
    """INSERT INTO hub (id, label, public_key, suite, enrolled_ms, presence, presence_ms, is_critical, tenant, unit)
    VALUES (:id, :label, :key, 1, :now, 'present', :now, :is_critical, :tenant, :unit)"""
)
_TENANT = Sql("SELECT id FROM tenant ORDER BY id LIMIT 1")
_AGE = Sql("UPDATE alarm SET raised_ms = raised_ms - 10000 WHERE hub LIKE 'd%' AND queue = 'technical'")


async def plan_in_force(services: Services) -> str:
    """A plan of a municipality that has a centre, with a variant for the night. Returns its id."""
    async with services.store.read() as connection:
        centre, tenant = await _CENTRE.one(connection) or (None, None)
    night = Variant(
        name="Natt",
        hours=(WeekHours(begin=22 * 60, to=7 * 60),),
        steps=(
            Step(receiver=ReceiverKind.TEAM, team=centre, patience_s=60),
            Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,), patience_s=120),
            Step(receiver=ReceiverKind.CENTRES, patience_s=120),
        ),
    )
    rest = Variant(name="Ellers", steps=(Step(receiver=ReceiverKind.CENTRES, patience_s=60),))
    plan = Plan(name="Trygghetsalarm", variants=(night, rest))
    written = await Plans(services.store, services.clock).write(
        LEAD, EVERYTHING, plan, tenant=tenant, service="TA", why="Ny avtale om natten"
    )
    return str(written.id)


async def area_without_power(services: Services) -> None:
    """Many homes of one zone lose mains at once; it is folded into an incident as it would be by itself."""
    now = services.clock.now_ms()

    async def work(connection: Any) -> None:
        tenant = await _TENANT.value(connection)
        await _UNIT.rows(connection, id="d" * 16, tenant=tenant, name="Ytre Solbakken og Strandvegen sone")
        for number in range(DARK):
            hub = f"d{number:015x}"
            await _HUB.rows(
                connection,
                id=hub,
                label=f"Strandvegen {number + 1}",
                key=hub.encode(),
                now=now,
                is_critical=number < 2,
                tenant=tenant,
                unit="d" * 16,
            )
            await raise_technical(connection, alarm_kind("mains_lost"), Source(hub=hub, happened_ms=now), now)
        await _AGE.rows(connection)  # members are counted when they have stood for some seconds

    await services.store.transact(Priority.UPKEEP, work)
    await Folding(services.store, services.clock, Wakeup()).sweep()
