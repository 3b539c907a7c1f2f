"""Changing places: tenants, units, teams, assignments, and where a hub stands.

A new or older installation has one tenant by itself, called as its `place` is, and one centre whose team is everybody.
Changes carry the version they were made from; whoever comes second is told so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import EVERYTHING, Scope
from central.clock import Clock
from central.errors import Conflict, IncompleteError, NotFoundError
from central.people.place_changes import check_language, check_zone, clean_name, one_of, only
from central.people.teaming import ADD_TEAM, SERVE, Teaming
from central.people.tenants import MAX_DEPTH, MAX_NAME, TeamKind, Tenant, TenantSettings, UnitKind, tenants, units
from central.settings import CentralSettings
from central.sql import Sql
from central.store import Priority, Store
from central.views import Actor
from cloud_sync.identity import new_id

_ANY_TENANT = Sql("SELECT 1 FROM tenant LIMIT 1")
_ADD_TENANT = Sql(
    "INSERT INTO tenant (id, name, zone, language, created_ms) VALUES (:id, :name, :zone, :language, :now)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_SET_TENANT = Sql(
    """UPDATE tenant SET name = :name, zone = :zone, language = :language, settings = :settings, state = :state,
       version = version + 1 WHERE id = :id AND version = :version RETURNING version"""
)
_ADD_UNIT = Sql(
    "INSERT INTO unit (id, tenant, parent, kind, name, settings)"
    " VALUES (:id, :tenant, :parent, :kind, :name, :settings)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_SET_UNIT = Sql(
    """UPDATE unit SET parent = :parent, kind = :kind, name = :name, settings = :settings, state = :state,
       version = version + 1 WHERE id = :id AND version = :version RETURNING version"""
)
_ANY_TEAM = Sql("SELECT 1 FROM team LIMIT 1")
_PLACE_HUB = Sql(
    """UPDATE hub SET tenant = :tenant, unit = :unit, place_version = place_version + 1
    WHERE id = :hub AND place_version = coalesce(CAST(:version AS INTEGER), place_version) RETURNING id"""
)
_PLACED = Sql("SELECT id, tenant, unit, place_version FROM hub WHERE tenant IS NOT NULL OR place_version > 1")
_IN_USE = Sql(
    """SELECT 1 WHERE EXISTS (SELECT 1 FROM resident WHERE tenant = :tenant AND state = 'active')
       OR EXISTS (SELECT 1 FROM hub WHERE tenant = :tenant AND state = 'active')
       OR EXISTS (SELECT 1 FROM alarm WHERE tenant = :tenant AND closed_ms IS NULL)"""
)
_HUB_PLACE = Sql("SELECT tenant, unit, place_version FROM hub WHERE id = :hub")


class StaleTenantError(Conflict):
    """Somebody else has changed the tenant meanwhile. `theirs` is what it is now; nothing was changed."""

    def __init__(self, theirs: Tenant, yours: int) -> None:
        current = {"version": theirs.version, "name": theirs.name, "zone": theirs.zone, "language": theirs.language}
        current |= theirs.settings.model_dump(mode="json")
        super().__init__("stale", state=f"version {theirs.version}", current=current, yours={"version": yours})
        self.theirs = theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class HubPlace:
    """Where a hub stands. Without a tenant: nowhere in particular."""

    tenant: str | None = None
    unit: str | None = None
    version: int = 1


class StalePlaceError(Conflict):
    """Somebody else has moved the hub meanwhile. `theirs` is where it stands now."""

    def __init__(self, theirs: HubPlace, yours: int) -> None:
        current = {"version": theirs.version, "tenant": theirs.tenant, "unit": theirs.unit}
        super().__init__("stale", current=current, yours={"version": yours})
        self.theirs = theirs


class Places(Teaming):
    """Tenants, units, teams and assignments of one central. Each change is one transaction and one log entry."""

    async def add_tenant(self, actor: Actor, name: str, *, zone: str = "Europe/Oslo", language: str = "nb") -> str:
        """A new one. Raises Conflict when the name is taken."""
        name, zone, language, tenant = clean_name(name), check_zone(zone), check_language(language), new_id().hex()

        async def work(connection: AsyncConnection, now: int) -> str:
            if not await _ADD_TENANT.one(connection, id=tenant, name=name, zone=zone, language=language, now=now):
                raise Conflict("name_taken")
            return "tenant_added"

        await self._change(actor, work, {"tenant": tenant})
        return tenant

    async def set_tenant(
        self,
        actor: Actor,
        tenant: str,
        version: int,
        *,
        name: str,
        zone: str,
        language: str,
        settings: TenantSettings,
        is_active: bool = True,
        scope: Scope = EVERYTHING,
    ) -> None:
        """Other words and other rules for it. What was changed stands in the event log.

        Raises NotFoundError, IncompleteError, StaleTenantError, Conflict for a taken name or one that is in use.
        """
        name, zone, language = clean_name(name), check_zone(zone), check_language(language)

        async def work(connection: AsyncConnection, _: int) -> tuple[str, dict[str, Any]]:
            known = {one.id: one for one in await tenants(connection)}
            own: Tenant = only(known, tenant, "tenant")
            scope.check(tenant, None, "tenant", tenant)
            if own.version != version:
                raise StaleTenantError(own, version)
            if any(one.name == name and one.id != tenant for one in known.values()):
                raise Conflict("name_taken")
            if is_active != own.is_active:
                if not scope.is_everything:
                    raise IncompleteError("everywhere_only", "state")
                if own.is_active and await _IN_USE.one(connection, tenant=tenant):
                    raise Conflict("tenant_in_use")
            if not await _SET_TENANT.one(
                connection,
                id=tenant,
                version=version,
                name=name,
                zone=zone,
                language=language,
                settings=settings.model_dump_json(),
                state="active" if is_active else "ended",
            ):
                raise StaleTenantError(own, version)
            after = replace(own, name=name, zone=zone, language=language, settings=settings, is_active=is_active)
            return "tenant_changed", _changed(own, after)

        await self._change(actor, work, {"tenant": tenant})

    async def add_unit(
        self,
        actor: Actor,
        tenant: str,
        name: str,
        kind: str,
        *,
        parent: str | None = None,
        settings: Mapping[str, Any] | None = None,
        scope: Scope = EVERYTHING,
    ) -> str:
        """A new one. Raises NotFoundError, Conflict when the tenant has one of this name."""
        name, unit_kind, unit = clean_name(name), one_of(UnitKind, kind), new_id().hex()

        async def work(connection: AsyncConnection, _: int) -> str:
            scope.check(tenant, parent, "tenant", tenant)
            only({one.id: one for one in await tenants(connection)}, tenant, "tenant")
            if parent is not None:
                over = only({one.id: one for one in await units(connection)}, parent, "unit")
                if over.tenant != tenant or over.depth >= MAX_DEPTH:
                    raise IncompleteError("bad_parent", "parent")
            if not await _ADD_UNIT.one(
                connection, id=unit, tenant=tenant, parent=parent, kind=unit_kind.value, name=name,
                settings=json.dumps(dict(settings or {})),
            ):  # fmt: skip
                raise Conflict("name_taken")
            return "unit_added"

        await self._change(actor, work, {"tenant": tenant, "unit": unit})
        return unit

    async def set_unit(
        self,
        actor: Actor,
        unit: str,
        version: int,
        *,
        name: str,
        kind: str,
        parent: str | None,
        settings: dict[str, Any],
        is_active: bool = True,
        scope: Scope = EVERYTHING,
    ) -> None:
        """Other words for it, or another place in the tree. Raises NotFoundError, Conflict, IncompleteError."""
        name, unit_kind = clean_name(name), one_of(UnitKind, kind)

        async def work(connection: AsyncConnection, _: int) -> str:
            known = {one.id: one for one in await units(connection)}
            own = only(known, unit, "unit")
            scope.check(own.tenant, unit, "unit", unit)
            over, seen = parent, {unit}
            while over is not None:
                if over in seen or over not in known or known[over].tenant != own.tenant:
                    raise IncompleteError("bad_parent", "parent")
                seen.add(over)
                over = known[over].parent
            if any(one.name == name and one.id != unit and one.tenant == own.tenant for one in known.values()):
                raise Conflict("name_taken")
            if not await _SET_UNIT.one(
                connection,
                id=unit,
                version=version,
                name=name,
                kind=unit_kind.value,
                parent=parent,
                settings=json.dumps(settings),
                state="active" if is_active else "ended",
            ):
                raise Conflict("stale", current={"version": own.version}, yours={"version": version})
            return "unit_changed"

        await self._change(actor, work, {"unit": unit})

    async def place_hub(
        self,
        actor: Actor,
        hub: str,
        tenant: str | None,
        unit: str | None,
        scope: Scope = EVERYTHING,
        *,
        version: int | None = None,
    ) -> None:
        """Where a hub stands: its alarms belong there. Raises NotFoundError, StalePlaceError when no more `version`."""

        async def work(connection: AsyncConnection, _: int) -> str:
            row = await _HUB_PLACE.one(connection, hub=hub)
            if row is None:
                raise NotFoundError("hub", hub)
            scope.check(row[0], row[1], "hub", hub)
            scope.check(tenant, unit, "tenant", tenant or "")
            if tenant is not None:
                only({one.id: one for one in await tenants(connection)}, tenant, "tenant")
            if (
                unit is not None
                and only({one.id: one for one in await units(connection)}, unit, "unit").tenant != tenant
            ):
                raise IncompleteError("bad_unit", "unit")
            if not await _PLACE_HUB.one(connection, hub=hub, tenant=tenant, unit=unit, version=version):
                raise StalePlaceError(HubPlace(tenant=row[0], unit=row[1], version=row[2]), version or 0)
            return "hub_placed"

        await self._change(actor, work, {"tenant": tenant, "unit": unit}, hub=hub)

    async def of_hubs(self) -> dict[str, HubPlace]:
        """Where every hub stands that was ever placed."""
        rows = await self._store.fetch(_PLACED.rows)
        return {hub: HubPlace(tenant=tenant, unit=unit, version=version) for hub, tenant, unit, version in rows}

    async def of_hub(self, hub: str) -> HubPlace:
        """Where one stands."""
        row = await self._store.fetch(lambda connection: _HUB_PLACE.one(connection, hub=hub))
        return HubPlace() if row is None else HubPlace(tenant=row[0], unit=row[1], version=row[2])


def _changed(before: Tenant, after: Tenant) -> dict[str, Any]:
    """For the event log: what it is from now on."""
    told: dict[str, Any] = {}
    for name in ("name", "zone", "language", "is_active"):
        if getattr(before, name) != getattr(after, name):
            told[name] = getattr(after, name)
    for name in TenantSettings.model_fields:
        value = getattr(after.settings, name)
        if value != getattr(before.settings, name):
            told[name] = value
    return told


async def ensure_first(store: Store, clock: Clock, settings: CentralSettings) -> None:
    """One tenant and one centre, where there are none. Hubs and alarms without a tenant are its own."""
    name = " ".join(settings.place.split())[:MAX_NAME] or ("Kommunen" if settings.language == "nb" else "Municipality")
    centre = "Responssenteret" if settings.language == "nb" else "Response centre"

    async def work(connection: AsyncConnection) -> None:
        now = clock.now_ms()
        if not await _ANY_TENANT.one(connection):
            tenant = new_id().hex()
            await _ADD_TENANT.rows(
                connection, id=tenant, name=name, zone=settings.time_zone, language=settings.language, now=now
            )
        if not await _ANY_TEAM.one(connection):
            team = new_id().hex()
            await ADD_TEAM.rows(
                connection, id=team, kind=TeamKind.CENTRE.value, name=centre, tenant=None, unit=None, phone="", email=""
            )
            for one in await tenants(connection):
                await SERVE.rows(connection, team=team, tenant=one.id)

    await store.transact(Priority.PEOPLE, work)
