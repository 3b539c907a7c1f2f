"""What an account may do, and where: its roles, each in the whole installation, in tenants or in units of them.

An account without assignments has its principal role everywhere. As soon as it has one (also one that is over), only
what is assigned holds. What is not covered does not exist for whoever asks: a look-up is answered with 404, and the
attempt is a security event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.roles import Action, Role, may
from central.errors import IncompleteError, NotFoundError
from central.sql import Row, Sql

_ASSIGNED = Sql("SELECT role, tenant, unit, from_ms, to_ms FROM assignment WHERE account = :account")
_UNITS = Sql("SELECT id, parent FROM unit")
# A team for which nobody is named has everybody.
_TEAMS = Sql(
    """SELECT t.id, t.tenant FROM team t WHERE t.state = 'active' AND (
        EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id AND m.account = :account)
        OR NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id))"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of everything that somebody sees. `tenants` None: all of it; `units` come on top of `tenants`."""

    tenants: frozenset[str] | None = None
    units: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Nothing is left out."""
        return self.tenants is None

    def covers(self, tenant: str | None, unit: str | None = None) -> bool:
        """Whether something of this tenant and unit is seen. What belongs to nobody yet is seen by all.

        An alarm from a hub that nobody has put anywhere must not wait unseen.
        """
        return self.tenants is None or tenant is None or tenant in self.tenants or unit in self.units

    def check(self, tenant: str | None, unit: str | None, what: str, ref: str) -> None:
        """Raises ElsewhereError unless it is covered."""
        if not self.covers(tenant, unit):
            raise ElsewhereError(what, ref)

    def where(self, table: str) -> str:
        """The same as a condition of SQL, over the columns `tenant` and `unit`; to be run with `parameters`."""
        return (
            f"(:scope_all = 1 OR {table}.tenant IS NULL OR :scope_tenants LIKE '%,' || {table}.tenant || ',%'"
            f" OR :scope_units LIKE '%,' || {table}.unit || ',%')"
        )

    @property
    def parameters(self) -> dict[str, str | int]:
        """What `where` needs."""
        return {
            "scope_all": int(self.tenants is None),
            "scope_tenants": f",{','.join(sorted(self.tenants or ()))},",
            "scope_units": f",{','.join(sorted(self.units))},",
        }


EVERYTHING = Scope()
IN_SCOPE = EVERYTHING.where
"""`IN_SCOPE("a")`: the condition for a statement that is made once and run with every `Scope.parameters`."""

ACCOUNT_IN_SCOPE = (
    "(:scope_all = 1 OR NOT EXISTS (SELECT 1 FROM assignment s WHERE s.account = u.id)"  # noqa: S608  # our own names
    f" OR EXISTS (SELECT 1 FROM assignment s WHERE s.account = u.id AND {IN_SCOPE('s')}))"
)
"""The accounts `u` that have a role in this part, and those that have one everywhere."""


class ElsewhereError(NotFoundError):
    """It is there, but not for whoever asks. They get the answer for what is not there; the attempt is noted."""


class ElsewhereNamedError(ElsewhereError, IncompleteError):
    """The same of what a field names: it gets the field's answer for what is not there."""

    status = IncompleteError.status

    def __init__(self, reason: str, field: str) -> None:
        IncompleteError.__init__(self, reason, field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A role somewhere. `tenant` None: everywhere; `units` empty: all of the tenant."""

    role: Role
    tenant: str | None = None
    units: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """All that an account may do now."""

    grants: tuple[Grant, ...]
    teams: frozenset[str] = frozenset()

    def may(self, action: Action) -> bool:
        """Whether it may do this somewhere."""
        return action is Action.SIGNED_IN or any(may(grant.role, action) for grant in self.grants)

    def scope(self, action: Action | None = None) -> Scope:
        """Where it may do this; without an action, where it may do anything."""
        grants = [grant for grant in self.grants if action is None or may(grant.role, action)]
        if any(grant.tenant is None for grant in grants):
            return Scope(teams=self.teams)
        return Scope(
            tenants=frozenset(grant.tenant for grant in grants if grant.tenant is not None and not grant.units),
            units=frozenset().union(*(grant.units for grant in grants)),
            teams=self.teams,
        )


async def access_of(connection: AsyncConnection, account: str, role: Role, now: int) -> Access:
    """The roles of an account at this moment."""
    rows = await _ASSIGNED.rows(connection, account=account)
    grants: tuple[Grant, ...] = (Grant(role=role),)
    if rows:
        current = [row for row in rows if row[3] <= now and (row[4] is None or now < row[4])]
        inner = _inner(await _UNITS.rows(connection)) if any(row[2] for row in current) else {}
        grants = tuple(
            Grant(
                role=Role(word),
                tenant=tenant,
                units=frozenset() if unit is None else frozenset(_within(unit, inner)),
            )
            for word, tenant, unit, _, _ in current
        )
    access = Access(grants=grants)
    scope = access.scope()
    teams = await _TEAMS.rows(connection, account=account)
    return Access(grants=grants, teams=frozenset(team for team, tenant in teams if scope.covers(tenant)))


def _inner(rows: Sequence[Row]) -> dict[str, list[str]]:
    inner: dict[str, list[str]] = {}
    for unit, parent in rows:
        if parent is not None:
            inner.setdefault(parent, []).append(unit)
    return inner


def _within(unit: str, inner: dict[str, list[str]]) -> set[str]:
    found, left = {unit}, [unit]
    while left:
        for one in inner.get(left.pop(), ()):
            if one not in found:
                found.add(one)
                left.append(one)
    return found
