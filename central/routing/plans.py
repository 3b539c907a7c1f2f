"""Plans as people write them: listed, read, written as new versions, ended.

Whoever asks says what they may see; a plan of another tenant is not found. A plan of the whole installation is seen by
all and written only by those who see every tenant.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import ElsewhereError, Scope
from central.clock import Clock
from central.errors import Conflict, NotFoundError
from central.routing.checking import InvalidPlanError, PlanFault, faults_of
from central.routing.plan import Plan
from central.routing.services import EVERY, SERVICES
from central.routing.store import PlanRow, plan_row, zone_of
from central.routing.teams import teams_for
from central.sql import Row, RowsSql, Sql
from central.store import Priority, Store
from central.views import Actor

_COLUMNS = "id, version, tenant, service, content, state, written_ms, written_by, why"
_LISTED = Sql("SELECT id, tenant, service, name FROM plan WHERE state = 'active'")
_SOME = RowsSql(
    f"SELECT {_COLUMNS} FROM plan WHERE state = 'active' AND id IN (VALUES {{rows}})",  # noqa: S608  # our own names
    1,
)
_ONE = Sql(f"SELECT {_COLUMNS} FROM plan WHERE id = :id ORDER BY version DESC")  # noqa: S608  # our own names
_HOLDER = Sql(
    """SELECT name FROM plan WHERE state = 'active' AND service = :service AND id <> :id
       AND coalesce(tenant, '') = :tenant"""
)
_NAMING = Sql("""SELECT count(*) FROM service WHERE plan = :id AND (to_ms IS NULL OR to_ms > :now)""")
_RETIRE = Sql("UPDATE plan SET state = :state WHERE id = :id AND version = :version AND state = 'active' RETURNING id")
_INSERT = Sql(
    """INSERT INTO plan (id, version, tenant, service, name, content, state, written_ms, written_by, why)
       VALUES (:id, :version, :tenant, :service, :name, :content, 'active', :now, :by, :why)"""
)
_TENANT = Sql("SELECT id FROM tenant WHERE id = :id AND state = 'active'")
_TENANTS = Sql("SELECT id, name FROM tenant WHERE state = 'active' ORDER BY name")
_USING = Sql("SELECT id, name, content FROM plan WHERE state = 'active'")


class StalePlanError(Conflict):
    """Somebody has written a newer version meanwhile. `theirs` is that; nothing was changed."""

    def __init__(self, theirs: PlanRow, yours: int) -> None:
        current = {"version": theirs.version, "state": theirs.state, "plan": theirs.plan.model_dump(mode="json")}
        super().__init__("stale_plan", state=f"version {theirs.version}", current=current, yours={"version": yours})
        self.theirs = theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPlan:
    """What a long list of plans is ordered and searched by."""

    id: str
    tenant: str | None
    service: str | None
    name: str


class Plans:
    """The plans of one central."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def listed(self, scope: Scope) -> Sequence[ListedPlan]:
        """What holds now: the installation's first, then by tenant and service, the named ones last."""
        rows = await self._store.fetch(_LISTED.rows)
        found = [ListedPlan(id=row[0], tenant=row[1], service=row[2], name=row[3]) for row in rows]
        order = {EVERY: 0} | {service: place for place, service in enumerate(SERVICES, start=1)}
        return sorted(
            (one for one in found if scope.covers(one.tenant)),
            key=lambda one: (one.tenant or "", order.get(one.service or "", 99), one.name, one.id),
        )

    async def some(self, ids: Sequence[str]) -> Sequence[PlanRow]:
        """These, in this order; one that is ended meanwhile, or cannot be read, is left out."""
        if not ids:
            return []

        async def work(connection: AsyncConnection) -> list[PlanRow]:
            rows = await _SOME.rows(connection, [(one,) for one in ids])
            zones = {tenant: await zone_of(connection, tenant) for tenant in {row[2] for row in rows}}
            return [one for one in (plan_row(row, zones[row[2]]) for row in rows) if one is not None]

        plans = {one.id: one for one in await self._store.fetch(work)}
        return [plans[one] for one in ids if one in plans]

    async def all(self, scope: Scope) -> Sequence[PlanRow]:
        """All that hold now, in the same order."""
        return await self.some([one.id for one in await self.listed(scope)])

    async def places(self, scope: Scope) -> Sequence[tuple[str, str]]:
        """Id and name of each tenant that somebody may see."""
        rows = await self._store.fetch(_TENANTS.rows)
        return [(row[0], row[1]) for row in rows if scope.covers(row[0])]

    async def versions(self, plan_id: str, scope: Scope) -> Sequence[PlanRow]:
        """All of one plan, the newest first. Raises NotFoundError."""

        async def work(connection: AsyncConnection) -> list[PlanRow]:
            rows = await _ONE.rows(connection, id=plan_id)
            for row in rows[:1]:
                scope.check(row[2], None, "plan", plan_id)
            return [one for one in [await _row(connection, row) for row in rows] if one is not None]

        plans = await self._store.fetch(work)
        if not plans:
            raise NotFoundError("plan", plan_id)
        return plans

    async def one(self, plan_id: str, scope: Scope) -> PlanRow:
        """The newest version. Raises NotFoundError."""
        return (await self.versions(plan_id, scope))[0]

    async def faults(self, plan: Plan, tenant: str | None) -> tuple[PlanFault, ...]:
        """What would be refused."""

        async def work(connection: AsyncConnection) -> tuple[PlanFault, ...]:
            return faults_of(plan, await teams_for(connection, tenant))

        return await self._store.fetch(work)

    async def write(
        self,
        actor: Actor,
        scope: Scope,
        plan: Plan,
        *,
        tenant: str | None,
        service: str | None,
        why: str = "",
        replaces: tuple[str, int] | None = None,
    ) -> PlanRow:
        """A new plan, or a new version of the one in `replaces`, which must still be its newest.

        Raises NotFoundError, InvalidPlanError, StalePlanError.
        """
        now = self._clock.now_ms()
        plan_id = secrets.token_hex(8) if replaces is None else replaces[0]

        async def work(connection: AsyncConnection) -> PlanRow:
            version = 1 if replaces is None else replaces[1] + 1
            # The log's counter is locked from here to the commit: whoever writes a plan at the same time waits.
            await event_log.append(
                connection, now, "plan_written", actor, content={"plan": plan_id, "plan_version": version}
            )
            place = tenant
            if replaces is not None:
                place = (await self._newest(connection, replaces, scope)).tenant
            await self._check_place(connection, scope, place)
            await self._check(connection, plan, plan_id, place, service)
            if replaces is not None:
                await _RETIRE.rows(connection, id=plan_id, version=replaces[1], state="replaced")
            await _INSERT.rows(
                connection,
                id=plan_id,
                version=version,
                tenant=place,
                service=service,
                name=plan.name,
                content=plan.model_dump_json(),
                now=now,
                by=actor.id,
                why=why,
            )
            zone = await zone_of(connection, place)
            return PlanRow(
                id=plan_id,
                version=version,
                tenant=place,
                service=service,
                plan=plan,
                zone=zone,
                written_ms=now,
                written_by=actor.id,
                why=why,
            )

        return await self._store.transact(Priority.PEOPLE, work)

    async def end(self, actor: Actor, scope: Scope, replaces: tuple[str, int]) -> None:
        """A plan that is no longer used. Raises NotFoundError, StalePlanError, Conflict while a service names it."""
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            await event_log.append(
                connection, now, "plan_ended", actor, content={"plan": replaces[0], "plan_version": replaces[1]}
            )
            found = await self._newest(connection, replaces, scope)
            await self._check_place(connection, scope, found.tenant)
            naming = await _NAMING.value(connection, id=replaces[0], now=now)
            if naming:
                raise Conflict("plan_in_use", state=str(naming))
            await _RETIRE.rows(connection, id=replaces[0], version=replaces[1], state="ended")

        await self._store.transact(Priority.PEOPLE, work)

    async def _newest(self, connection: AsyncConnection, replaces: tuple[str, int], scope: Scope) -> PlanRow:
        rows = await _ONE.rows(connection, id=replaces[0])
        found = await _row(connection, rows[0]) if rows else None
        if found is None:
            raise NotFoundError("plan", replaces[0])
        scope.check(found.tenant, None, "plan", replaces[0])
        if found.version != replaces[1] or found.state == "ended":
            raise StalePlanError(found, replaces[1])
        return found

    async def _check_place(self, connection: AsyncConnection, scope: Scope, tenant: str | None) -> None:
        if tenant is None:
            if not scope.is_everything:
                raise ElsewhereError("tenant", "")
            return
        scope.check(tenant, None, "tenant", tenant)
        if await _TENANT.value(connection, id=tenant) is None:
            raise NotFoundError("tenant", tenant)

    async def _check(
        self, connection: AsyncConnection, plan: Plan, plan_id: str, tenant: str | None, service: str | None
    ) -> None:
        faults = faults_of(plan, await teams_for(connection, tenant))
        if service is not None:
            if service not in (*SERVICES, EVERY):
                faults += (PlanFault(where="service", reason="no_service"),)
            holder = await _HOLDER.value(connection, service=service, id=plan_id, tenant=tenant or "")
            if holder is not None:
                faults += (PlanFault(where="service", reason="service_taken", values={"plan": holder}),)
        if faults:
            raise InvalidPlanError(faults)


async def plans_naming(connection: AsyncConnection, team: str) -> Sequence[str]:
    """Names of the plans in use that turn to a team: it must not be ended while there are any."""
    return [row[1] for row in await _USING.rows(connection) if f'"{team}"' in row[2]]


async def _row(connection: AsyncConnection, row: Row) -> PlanRow | None:
    return plan_row(row, await zone_of(connection, row[2]))
