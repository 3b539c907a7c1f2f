"""Whom to call about a fault: the technical team of the unit, else of the tenant, else of the installation.

Who of the team is on duty now comes from its rota. A team that keeps none is called by its duty telephone, and so is
one whose rota has nobody now, which is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from central.routing.duty import DAY_MS, WARN_DAYS, rotas_of_kind
from central.routing.rota import Rota
from central.sql import Row, Sql

KIND = "technical"

_TEAMS = Sql(
    """SELECT t.id, t.name, t.phone, t.email, t.tenant, t.unit,
       coalesce((SELECT n.language FROM tenant n WHERE n.id = t.tenant), 'nb') FROM team t
    WHERE t.kind = 'technical' AND t.state = 'active' ORDER BY t.name"""
)
_SERVED = Sql("SELECT team, tenant FROM team_tenant")
_PARENTS = Sql("SELECT id, parent FROM unit")
_PEOPLE = Sql(
    """SELECT u.id, u.name, coalesce(d.phone, ''), coalesce(d.email, ''), u.language
    FROM user_account u LEFT JOIN duty_address d ON d.account = u.id
    WHERE u.state = 'active' AND u.id IN (
       SELECT s.account FROM rota_shift s JOIN team t ON t.id = s.team WHERE t.kind = 'technical'
       UNION SELECT o.account FROM rota_override o JOIN team t ON t.id = o.team WHERE t.kind = 'technical')"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Technician:
    """Somebody in a technical rota, and how they are reached."""

    account: str
    name: str
    phone: str = ""
    email: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyContact:
    """A team, its duty telephone (nobody's own), and who of it is on duty now."""

    team: str
    name: str
    phone: str
    email: str
    tenant: str | None = None
    language: str = "nb"
    keeps_rota: bool = False
    people: tuple[Technician, ...] = ()
    """On duty now by the rota; those whose accounts are shut out are not."""
    has_telephone_shift: bool = False
    """The rota says that it is whoever answers the duty telephone."""
    backup: Technician | None = None
    """Who is on duty next, and not now."""
    until_ms: int | None = None

    @property
    def is_nobody_on_duty(self) -> bool:
        """A rota is kept, and it has nobody now."""
        return self.keeps_rota and not (self.people or self.has_telephone_shift)


@dataclass(frozen=True, slots=True)
class DutyBook:
    """All technical teams, as they stood when it was read."""

    teams: Mapping[str, DutyContact]
    _units: Mapping[str, DutyContact]
    _tenants: Mapping[str, DutyContact]
    _parents: Mapping[str, str | None]
    _everywhere: DutyContact | None
    serves: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The tenants of a team, by its id."""

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


async def duty_book(connection: AsyncConnection, now: int) -> DutyBook:
    """Read the technical teams and their rotas. One with a telephone goes before one without."""
    served: dict[str, list[str]] = {}
    for team, tenant in await _SERVED.rows(connection):
        served.setdefault(team, []).append(tenant)
    teams = await _TEAMS.rows(connection)
    rotas = await rotas_of_kind(connection, KIND, now) if teams else {}
    people = {row[0]: _technician(row) for row in await _PEOPLE.rows(connection)} if teams else {}
    found: dict[str, DutyContact] = {}
    units: dict[str, DutyContact] = {}
    tenants: dict[str, DutyContact] = {}
    everywhere: DutyContact | None = None
    for team, name, phone, email, tenant, unit, language in teams:
        plain = DutyContact(team=team, name=name, phone=phone, email=email, tenant=tenant, language=language)
        contact = _with_rota(plain, rotas[team], people, now) if team in rotas else plain
        found[team] = contact
        if unit is not None:
            units[unit] = _better(units.get(unit), contact)
            continue
        named: Iterable[str] = ([tenant] if tenant is not None else []) + served.get(team, [])
        for one in named:
            tenants[one] = _better(tenants.get(one), contact)
        if tenant is None and team not in served:
            everywhere = _better(everywhere, contact)
    own = {row[0]: {row[4]} - {None} for row in teams}
    serves = {team: frozenset({*own[team], *served.get(team, ())}) for team in found}
    return DutyBook(found, units, tenants, dict(await _parents(connection)), everywhere, serves)


def _with_rota(team: DutyContact, rota: Rota, people: Mapping[str, Technician], now: int) -> DutyContact:
    accounts = list(dict.fromkeys(spell.account for spell in rota.on_at(now)))
    if not (rota.is_kept or accounts):
        return team
    last = now + WARN_DAYS * DAY_MS
    coming = (spell.account for spell in rota.spells(now, last) if spell.account not in accounts)
    gaps = rota.gaps(now, last)
    return replace(
        team,
        keeps_rota=True,
        people=tuple(people[account] for account in accounts if account is not None and account in people),
        has_telephone_shift=None in accounts,
        backup=next((people[account] for account in coming if account is not None and account in people), None),
        until_ms=gaps[0].from_ms if gaps and accounts else None,
    )


def _technician(row: Row) -> Technician:
    account, name, phone, email, language = row
    return Technician(account=account, name=name, phone=phone, email=email, language=language or "")


async def _parents(connection: AsyncConnection) -> list[tuple[str, str | None]]:
    return [(row[0], row[1]) for row in await _PARENTS.rows(connection)]


def _better(known: DutyContact | None, other: DutyContact) -> DutyContact:
    return other if known is None or (other.phone and not known.phone) else known
