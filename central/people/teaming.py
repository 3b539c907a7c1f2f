"""Changing teams: who is in them, whom they serve; and who has which role where."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import ACCOUNT_IN_SCOPE, EVERYTHING, ElsewhereError, Scope
from central.console.roles import Role
from central.errors import Conflict, IncompleteError, NotFoundError
from central.escalation import screens
from central.people.place_changes import PlaceChanges, clean_name, one_of, only
from central.people.tenants import TeamKind, teams, tenants, units
from central.routing.plans import plans_naming
from central.sql import Sql
from central.views import Actor
from cloud_sync.identity import new_id

ADD_TEAM = Sql(
    """INSERT INTO team (id, kind, name, tenant, unit, phone, email)
    VALUES (:id, :kind, :name, :tenant, :unit, :phone, :email) ON CONFLICT DO NOTHING RETURNING id"""
)
_SET_TEAM = Sql(
    """UPDATE team SET kind = :kind, name = :name, unit = :unit, phone = :phone, email = :email, state = :state,
       version = version + 1 WHERE id = :id AND version = :version RETURNING version"""
)
SERVE = Sql("INSERT INTO team_tenant (team, tenant) VALUES (:team, :tenant) ON CONFLICT DO NOTHING")
_SERVE_NONE = Sql("DELETE FROM team_tenant WHERE team = :team")
_JOIN = Sql("INSERT INTO team_member (team, account) VALUES (:team, :account) ON CONFLICT DO NOTHING")
_LEAVE = Sql("DELETE FROM team_member WHERE team = :team AND account = :account RETURNING account")
_MEMBERS = Sql("SELECT account FROM team_member WHERE team = :team")
_TOUCH_TEAM = Sql("UPDATE team SET version = version + 1 WHERE id = :team")
_LEAVE_ALL = Sql("DELETE FROM team_member WHERE team = :team")
_ASSIGN = Sql(
    """INSERT INTO assignment (id, account, role, tenant, unit, from_ms, to_ms, given_by)
    VALUES (:id, :account, :role, :tenant, :unit, :now, :to_ms, :by)"""
)
_END_ASSIGNMENT = Sql(
    "UPDATE assignment SET to_ms = :now WHERE id = :id AND (to_ms IS NULL OR to_ms > :now) RETURNING account"
)
_ASSIGNMENT_OVER = Sql("SELECT to_ms FROM assignment WHERE id = :id")
_ASSIGNED = Sql(
    """SELECT 1 FROM assignment WHERE account = :account AND role = :role AND (to_ms IS NULL OR to_ms > :now)
    AND coalesce(tenant, '') = :tenant AND coalesce(unit, '') = :unit"""
)
_ACCOUNT = Sql("SELECT 1 FROM user_account WHERE id = :id")
_ACCOUNT_SEEN = Sql(f"SELECT 1 FROM user_account u WHERE u.id = :id AND {ACCOUNT_IN_SCOPE}")  # noqa: S608  # our own names


class Teaming(PlaceChanges):
    """Teams and assignments."""

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
        name, team_kind, team = clean_name(name), one_of(TeamKind, kind), new_id().hex()
        phone, email = checked_phone(phone), checked_email(email)

        async def work(connection: AsyncConnection, _: int) -> str:
            if tenant is not None or unit is not None or not scope.is_everything:
                scope.check(tenant or "", unit, "tenant", tenant or "")
            await _check_served(connection, tenant, unit, serves, scope)
            if not await ADD_TEAM.one(
                connection, id=team, kind=team_kind.value, name=name, tenant=tenant, unit=unit, phone=phone, email=email
            ):
                raise Conflict("name_taken")
            await _fill(connection, team, serves, members, scope)
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
        members: Sequence[str] | None,
        phone: str,
        email: str,
        is_active: bool = True,
        scope: Scope = EVERYTHING,
    ) -> None:
        """Other words, members (None: as they are) or tenants for it. Raises NotFoundError, Conflict, IncompleteError.

        One that plans turn to is not ended: the Conflict names them.
        """
        name, team_kind, phone, email = (
            clean_name(name),
            one_of(TeamKind, kind),
            checked_phone(phone),
            checked_email(email),
        )

        async def work(connection: AsyncConnection, now: int) -> str:
            known = {one.id: one for one in await teams(connection)}
            own = only(known, team, "team")
            scope.check(own.tenant or "", own.unit, "team", team)
            await _check_served(connection, own.tenant, unit, serves, scope)
            if any(one.name == name and one.tenant == own.tenant and one.id != team for one in known.values()):
                raise Conflict("name_taken")
            if not is_active and (plans := await plans_naming(connection, team)):
                raise Conflict("team_in_plans", state=", ".join(plans), current={"plans": list(plans)})
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
                raise Conflict("stale", current={"version": own.version}, yours={"version": version})
            await _fill(connection, team, serves, members, scope)
            if not is_active:
                await screens.forget(connection, team, now)
            return "team_changed"

        await self._change(actor, work, {"team": team})

    async def join(self, actor: Actor, team: str, account: str, scope: Scope = EVERYTHING) -> None:
        """One more member. Raises NotFoundError."""

        async def work(connection: AsyncConnection, _: int) -> str:
            await _check_team(connection, team, scope)
            await _check_account(connection, account, scope)
            await _JOIN.rows(connection, team=team, account=account)
            await _TOUCH_TEAM.rows(connection, team=team)
            return "team_changed"

        await self._change(actor, work, {"team": team, "account": account})

    async def leave(self, actor: Actor, team: str, account: str, scope: Scope = EVERYTHING) -> None:
        """Not a member any more, or still none. Raises NotFoundError."""

        async def work(connection: AsyncConnection, _: int) -> str:
            await _check_team(connection, team, scope)
            if not await _LEAVE.one(connection, team=team, account=account):  # whose else it is is nobody's business
                await _check_account(connection, account, scope)
            await _TOUCH_TEAM.rows(connection, team=team)
            return "team_changed"

        await self._change(actor, work, {"team": team, "account": account})

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
        """A role somewhere, from now on. The first one ends what the account could do everywhere.

        Raises NotFoundError, IncompleteError, Conflict when they have it there already.
        """
        assignment = new_id().hex()

        async def work(connection: AsyncConnection, now: int) -> str:
            if not await _ACCOUNT.one(connection, id=account):
                raise NotFoundError("account", account)
            if to_ms is not None and to_ms <= now:
                raise IncompleteError("in_the_past", "to")
            place = tenant
            if unit is not None:
                own = only({one.id: one for one in await units(connection)}, unit, "unit")
                if tenant not in {None, own.tenant}:
                    raise IncompleteError("bad_unit", "unit")
                place = own.tenant
            elif tenant is not None:
                only({one.id: one for one in await tenants(connection)}, tenant, "tenant")
            if await _ASSIGNED.one(
                connection, account=account, role=role.value, tenant=place or "", unit=unit or "", now=now
            ):
                raise Conflict("assigned_already")
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
        """This role there no longer, at once. Returns whose it was. Raises NotFoundError, Conflict when it is over."""
        found: list[str] = []

        async def work(connection: AsyncConnection, now: int) -> str:
            account = await _END_ASSIGNMENT.value(connection, id=assignment, now=now)
            if account is None:
                over_ms = await _ASSIGNMENT_OVER.value(connection, id=assignment)
                if over_ms is not None:
                    raise Conflict("is_over", current={"to_ms": over_ms})
                raise NotFoundError("assignment", assignment)
            found[:] = [account]
            return "role_ended"

        await self._change(actor, work, {"assignment": assignment})
        return found[0]


def checked_phone(phone: str) -> str:
    phone = " ".join(phone.replace("\x00", "").split())
    digits = phone.removeprefix("+").replace(" ", "")
    if phone and not (digits.isascii() and digits.isdigit() and 3 <= len(digits) <= 15):
        raise IncompleteError("bad_phone", "phone")
    return phone


def checked_email(email: str) -> str:
    email = email.replace("\x00", "").strip()
    is_one = email.count("@") == 1 and " " not in email and email.isprintable()
    if email and (not is_one or len(email) > 254 or email[0] == "@" or email[-1] == "@"):
        raise IncompleteError("bad_email", "email")
    return email


async def _check_served(
    connection: AsyncConnection, tenant: str | None, unit: str | None, serves: Sequence[str], scope: Scope
) -> None:
    known = {one.id: one for one in await tenants(connection)}
    for one in (*serves, *((tenant,) if tenant else ())):
        only(known, one, "tenant")
        scope.check(one, None, "tenant", one)
    if unit is not None:
        own = only({one.id: one for one in await units(connection)}, unit, "unit")
        if own.tenant != tenant:
            raise IncompleteError("bad_unit", "unit")


async def _check_team(connection: AsyncConnection, team: str, scope: Scope) -> None:
    own = only({one.id: one for one in await teams(connection)}, team, "team")
    scope.check(own.tenant or "", own.unit, "team", team)


async def _check_account(connection: AsyncConnection, account: str, scope: Scope) -> None:
    if await _ACCOUNT_SEEN.one(connection, id=account, **scope.parameters):
        return
    if await _ACCOUNT.one(connection, id=account):
        raise ElsewhereError("account", account)
    raise NotFoundError("account", account)


async def _fill(
    connection: AsyncConnection, team: str, serves: Sequence[str], members: Sequence[str] | None, scope: Scope
) -> None:
    await _SERVE_NONE.rows(connection, team=team)
    for tenant in serves:
        await SERVE.rows(connection, team=team, tenant=tenant)
    if members is None:
        return
    before = {row[0] for row in await _MEMBERS.rows(connection, team=team)}  # some may have been put there by others
    for account in members:
        if account not in before:
            await _check_account(connection, account, scope)
    await _LEAVE_ALL.rows(connection, team=team)
    for account in dict.fromkeys(members):
        await _JOIN.rows(connection, team=team, account=account)
