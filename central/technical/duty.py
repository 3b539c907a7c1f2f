"""Whom to call about a fault: the technical team of the unit, else of the tenant, else of the installation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Sql

_TEAMS = Sql(
    """SELECT t.id, t.name, t.phone, t.email, t.tenant, t.unit FROM team t
    WHERE t.kind = 'technical' AND t.state = 'active' ORDER BY t.name"""
)
_SERVED = Sql("SELECT team, tenant FROM team_tenant")
_PARENTS = Sql("SELECT id, parent FROM unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyContact:
    """A team's duty telephone; nobody's own."""

    team: str
    name: str
    phone: str
    email: str


class DutyBook:
    """All technical teams, as they stood when it was read."""

    def __init__(
        self,
        units: Mapping[str, DutyContact],
        tenants: Mapping[str, DutyContact],
        parents: Mapping[str, str | None],
        everywhere: DutyContact | None,
    ) -> None:
        self._units = units
        self._tenants = tenants
        self._parents = parents
        self._everywhere = everywhere

    def of(self, tenant: str | None, unit: str | None) -> DutyContact | None:
        """The nearest: the unit's, that of what it lies in, the tenant's, the installation's. None: nobody is named."""
        seen: set[str] = set()
        while unit is not None and unit not in seen:
            if unit in self._units:
                return self._units[unit]
            seen.add(unit)
            unit = self._parents.get(unit)
        if tenant is not None and tenant in self._tenants:
            return self._tenants[tenant]
        return self._everywhere


async def duty_book(connection: AsyncConnection) -> DutyBook:
    """Read the technical teams. One with a telephone goes before one without."""
    served: dict[str, list[str]] = {}
    for team, tenant in await _SERVED.rows(connection):
        served.setdefault(team, []).append(tenant)
    units: dict[str, DutyContact] = {}
    tenants: dict[str, DutyContact] = {}
    everywhere: DutyContact | None = None
    for team, name, phone, email, tenant, unit in await _TEAMS.rows(connection):
        contact = DutyContact(team=team, name=name, phone=phone, email=email)
        if unit is not None:
            units[unit] = _better(units.get(unit), contact)
            continue
        named: Iterable[str] = ([tenant] if tenant is not None else []) + served.get(team, [])
        for one in named:
            tenants[one] = _better(tenants.get(one), contact)
        if tenant is None and team not in served:
            everywhere = _better(everywhere, contact)
    return DutyBook(units, tenants, dict(await _parents(connection)), everywhere)


async def _parents(connection: AsyncConnection) -> list[tuple[str, str | None]]:
    return [(row[0], row[1]) for row in await _PARENTS.rows(connection)]


def _better(known: DutyContact | None, other: DutyContact) -> DutyContact:
    return other if known is None or (other.phone and not known.phone) else known
