"""Changing places: tenants, units, teams, assignments, and where a hub stands.

A new or older installation has one tenant by itself, called as its `place` is, and one centre whose team is everybody.
Changes carry the version they were made from; whoever comes second is told so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import EVERYTHING, Scope
from central.clock import Clock
from central.console.roles import Role
from central.errors import Conflict, IncompleteError, NotFoundError
from central.people.tenants import MAX_DEPTH, MAX_NAME, TeamKind, TenantSettings, UnitKind, teams, tenants, units
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
    "INSERT INTO unit (id, tenant, parent, kind, name) VALUES (:id, :tenant, :parent, :kind, :name)"
    " ON CONFLICT DO NOTHING RETURNING id"
)
_SET_UNIT = Sql(
    """UPDATE unit SET parent = :parent, kind = :kind, name = :name, settings = :settings, state = :state,
       version = version + 1 WHERE id = :id AND version = :version RETURNING version"""
)
_ANY_TEAM = Sql("SELECT 1 FROM team LIMIT 1")
_ADD_TEAM = Sql(
    """INSERT INTO team (id, kind, name, tenant, unit, phone, email)
    VALUES (:id, :kind, :name, :tenant, :unit, :phone, :email) ON CONFLICT DO NOTHING RETURNING id"""
)
_SET_TEAM = Sql(
    """UPDATE team SET kind = :kind, name = :name, unit = :unit, phone = :phone, email = :email, state = :state,
       version = version + 1 WHERE id = :id AND version = :version RETURNING version"""
)
_SERVE = Sql("INSERT INTO team_tenant (team, tenant) VALUES (:team, :tenant) ON CONFLICT DO NOTHING")
_SERVE_NONE = Sql("DELETE FROM team_tenant WHERE team = :team")
_JOIN = Sql("INSERT INTO team_member (team, account) VALUES (:team, :account) ON CONFLICT DO NOTHING")
_LEAVE_ALL = Sql("DELETE FROM team_member WHERE team = :team")
_ASSIGN = Sql(
    """INSERT INTO assignment (id, account, role, tenant, unit, from_ms, to_ms, given_by)
    VALUES (:id, :account, :role, :tenant, :unit, :now, :to_ms, :by)"""
)
_END_ASSIGNMENT = Sql(
    "UPDATE assignment SET to_ms = :now WHERE id = :id AND (to_ms IS NULL OR to_ms > :now) RETURNING account"
)
_ACCOUNT = Sql("SELECT 1 FROM user_account WHERE id = :id")
_PLACE_HUB = Sql("UPDATE hub SET tenant = :tenant, unit = :unit WHERE id = :hub RETURNING id")
_PLACED = Sql("SELECT id, tenant, unit FROM hub WHERE tenant IS NOT NULL")
_HUB_PLACE = Sql("SELECT tenant, unit FROM hub WHERE id = :hub")


def clean_name(name: str, field: str = "name") -> str:
    """A name as it is kept. Raises IncompleteError."""
    name = " ".join(name.replace("\x00", "").split())
    if not name:
        raise IncompleteError("missing", field)
    if len(name) > MAX_NAME:
        raise IncompleteError("too_long", field)
    return name


def check_zone(zone: str) -> str:
    """A time zone that exists. Raises IncompleteError."""
    if zone not in available_timezones():
        raise IncompleteError("unknown_zone", "zone", ("Europe/Oslo", "Arctic/Longyearbyen"))
    return zone


class Places:
    """Tenants, units, teams and assignments of one central. Each change is one transaction and one log entry."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add_tenant(self, actor: Actor, name: str, *, zone: str = "Europe/Oslo", language: str = "nb") -> str:
        """A new one. Raises Conflict when the name is taken."""
        name, zone, tenant = clean_name(name), check_zone(zone), new_id().hex()
        if language not in {"nb", "en"}:
            raise IncompleteError("unknown_language", "language", ("nb", "en"))

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
    ) -> None:
        """Other words for it. Raises Conflict for a stale version or a taken name, NotFoundError."""
        name, zone = clean_name(name), check_zone(zone)
        if language not in {"nb", "en"}:
            raise IncompleteError("unknown_language", "language", ("nb", "en"))

        async def work(connection: AsyncConnection, _: int) -> str:
            known = {one.id: one for one in await tenants(connection)}
            _only(known, tenant, "tenant")
            if any(one.name == name and one.id != tenant for one in known.values()):
                raise Conflict("name_taken")
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
                raise Conflict("stale")
            return "tenant_changed"

        await self._change(actor, work, {"tenant": tenant})

    async def add_unit(
        self, actor: Actor, tenant: str, name: str, kind: str, *, parent: str | None = None, scope: Scope = EVERYTHING
    ) -> str:
        """A new one. Raises NotFoundError, Conflict when the tenant has one of this name."""
        name, unit_kind, unit = clean_name(name), _kind(UnitKind, kind), new_id().hex()

        async def work(connection: AsyncConnection, _: int) -> str:
            scope.check(tenant, parent, "tenant", tenant)
            _only({one.id: one for one in await tenants(connection)}, tenant, "tenant")
            if parent is not None:
                over = _only({one.id: one for one in await units(connection)}, parent, "unit")
                if over.tenant != tenant or over.depth >= MAX_DEPTH:
                    raise IncompleteError("bad_parent", "parent")
            if not await _ADD_UNIT.one(
                connection, id=unit, tenant=tenant, parent=parent, kind=unit_kind.value, name=name
            ):
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
        name, unit_kind = clean_name(name), _kind(UnitKind, kind)

        async def work(connection: AsyncConnection, _: int) -> str:
            known = {one.id: one for one in await units(connection)}
            own = _only(known, unit, "unit")
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
                raise Conflict("stale")
            return "unit_changed"

        await self._change(actor, work, {"unit": unit})

    async def add_team(
        self,
        actor: Actor,
        name: str,
        kind: str,
        *,
        tenant: str | None = None,
        unit: str | None = None,
        serves: Sequence[str] = (),
        members: Sequence[str] = (),
        phone: str = "",
        email: str = "",
        scope: Scope = EVERYTHING,
    ) -> str:
        """A new one. `serves`: tenants, for a team that belongs to none. Raises NotFoundError, Conflict."""
        name, team_kind, team = clean_name(name), _kind(TeamKind, kind), new_id().hex()
        phone, email = _phone(phone), _email(email)

        async def work(connection: AsyncConnection, _: int) -> str:
            if tenant is not None or unit is not None or not scope.is_everything:
                scope.check(tenant or "", unit, "tenant", tenant or "")
            await _check_served(connection, tenant, unit, serves, scope)
            if not await _ADD_TEAM.one(
                connection, id=team, kind=team_kind.value, name=name, tenant=tenant, unit=unit, phone=phone, email=email
            ):
                raise Conflict("name_taken")
            await _fill(connection, team, serves, members)
            return "team_added"

        await self._change(actor, work, {"team": team})
        return team

    async def set_team(
        self,
        actor: Actor,
        team: str,
        version: int,
        *,
        name: str,
        kind: str,
        unit: str | None,
        serves: Sequence[str],
        members: Sequence[str],
        phone: str,
        email: str,
        is_active: bool = True,
        scope: Scope = EVERYTHING,
    ) -> None:
        """Other words, members or tenants for it. Raises NotFoundError, Conflict, IncompleteError."""
        name, team_kind, phone, email = clean_name(name), _kind(TeamKind, kind), _phone(phone), _email(email)

        async def work(connection: AsyncConnection, _: int) -> str:
            known = {one.id: one for one in await teams(connection)}
            own = _only(known, team, "team")
            scope.check(own.tenant or "", own.unit, "team", team)
            await _check_served(connection, own.tenant, unit, serves, scope)
            if any(one.name == name and one.id != team for one in known.values()):
                raise Conflict("name_taken")
            if not await _SET_TEAM.one(
                connection,
                id=team,
                version=version,
                name=name,
                kind=team_kind.value,
                unit=unit,
                phone=phone,
                email=email,
                state="active" if is_active else "ended",
            ):
                raise Conflict("stale")
            await _fill(connection, team, serves, members)
            return "team_changed"

        await self._change(actor, work, {"team": team})

    async def assign(
        self,
        actor: Actor,
        account: str,
        role: Role,
        *,
        tenant: str | None = None,
        unit: str | None = None,
        to_ms: int | None = None,
    ) -> str:
        """A role somewhere, from now on. The first one ends what the account could do everywhere."""
        assignment = new_id().hex()

        async def work(connection: AsyncConnection, now: int) -> str:
            if not await _ACCOUNT.one(connection, id=account):
                raise NotFoundError("account", account)
            if to_ms is not None and to_ms <= now:
                raise IncompleteError("in_the_past", "to")
            place = tenant
            if unit is not None:
                own = _only({one.id: one for one in await units(connection)}, unit, "unit")
                if tenant not in {None, own.tenant}:
                    raise IncompleteError("bad_unit", "unit")
                place = own.tenant
            elif tenant is not None:
                _only({one.id: one for one in await tenants(connection)}, tenant, "tenant")
            await _ASSIGN.rows(
                connection,
                id=assignment,
                account=account,
                role=role.value,
                tenant=place,
                unit=unit,
                now=now,
                to_ms=to_ms,
                by=actor.id,
            )
            return "role_assigned"

        await self._change(actor, work, {"account": account, "role": role.value, "tenant": tenant, "unit": unit})
        return assignment

    async def end_assignment(self, actor: Actor, assignment: str) -> str:
        """This role there no longer, at once. Returns whose it was. Raises NotFoundError."""
        found: list[str] = []

        async def work(connection: AsyncConnection, now: int) -> str:
            account = await _END_ASSIGNMENT.value(connection, id=assignment, now=now)
            if account is None:
                raise NotFoundError("assignment", assignment)
            found[:] = [account]
            return "role_ended"

        await self._change(actor, work, {"assignment": assignment})
        return found[0]

    async def place_hub(
        self, actor: Actor, hub: str, tenant: str | None, unit: str | None, scope: Scope = EVERYTHING
    ) -> None:
        """Where a hub stands: its alarms belong there. Raises NotFoundError."""

        async def work(connection: AsyncConnection, _: int) -> str:
            row = await _HUB_PLACE.one(connection, hub=hub)
            if row is None:
                raise NotFoundError("hub", hub)
            scope.check(row[0], row[1], "hub", hub)
            scope.check(tenant, unit, "tenant", tenant or "")
            if tenant is not None:
                _only({one.id: one for one in await tenants(connection)}, tenant, "tenant")
            if (
                unit is not None
                and _only({one.id: one for one in await units(connection)}, unit, "unit").tenant != tenant
            ):
                raise IncompleteError("bad_unit", "unit")
            await _PLACE_HUB.rows(connection, hub=hub, tenant=tenant, unit=unit)
            return "hub_placed"

        await self._change(actor, work, {"tenant": tenant, "unit": unit}, hub=hub)

    async def of_hubs(self) -> dict[str, tuple[str, str]]:
        """Tenant and unit of every hub that was placed."""
        rows = await self._store.fetch(_PLACED.rows)
        return {hub: (tenant, unit or "") for hub, tenant, unit in rows}

    async def _change(self, actor: Actor, work: Any, content: dict[str, Any], hub: str | None = None) -> None:
        async def change(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            what = await work(connection, now)
            told = {key: value for key, value in content.items() if value is not None}
            await event_log.append(connection, now, what, actor, hub=hub, content=told)

        await self._store.transact(Priority.PEOPLE, change)


def _kind(kinds: type[Any], word: str) -> Any:
    try:
        return kinds(word)
    except ValueError:
        raise IncompleteError("unknown_kind", "kind", tuple(str(kind) for kind in kinds)) from None


def _only(known: dict[str, Any], wanted: str, what: str) -> Any:
    if wanted not in known:
        raise NotFoundError(what, wanted[:32])
    return known[wanted]


def _phone(phone: str) -> str:
    phone = " ".join(phone.replace("\x00", "").split())
    digits = phone.removeprefix("+").replace(" ", "")
    if phone and not (digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 15):
        raise IncompleteError("bad_phone", "phone")
    return phone


def _email(email: str) -> str:
    email = email.replace("\x00", "").strip()
    if email and (email.count("@") != 1 or " " in email or len(email) > 254 or email[0] == "@" or email[-1] == "@"):
        raise IncompleteError("bad_email", "email")
    return email


async def _check_served(
    connection: AsyncConnection, tenant: str | None, unit: str | None, serves: Sequence[str], scope: Scope
) -> None:
    known = {one.id: one for one in await tenants(connection)}
    for one in (*serves, *((tenant,) if tenant else ())):
        _only(known, one, "tenant")
        scope.check(one, None, "tenant", one)
    if unit is not None:
        own = _only({one.id: one for one in await units(connection)}, unit, "unit")
        if own.tenant != tenant:
            raise IncompleteError("bad_unit", "unit")


async def _fill(connection: AsyncConnection, team: str, serves: Sequence[str], members: Sequence[str]) -> None:
    await _SERVE_NONE.rows(connection, team=team)
    await _LEAVE_ALL.rows(connection, team=team)
    for tenant in serves:
        await _SERVE.rows(connection, team=team, tenant=tenant)
    for account in members:
        if not await _ACCOUNT.one(connection, id=account):
            raise NotFoundError("account", account)
        await _JOIN.rows(connection, team=team, account=account)


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
            await _ADD_TEAM.rows(
                connection, id=team, kind=TeamKind.CENTRE.value, name=centre, tenant=None, unit=None, phone="", email=""
            )
            for one in await tenants(connection):
                await _SERVE.rows(connection, team=team, tenant=one.id)

    await store.transact(Priority.PEOPLE, work)
