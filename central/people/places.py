"""Where an alarm belongs: which tenant and unit, and whether somebody there depends on the equipment.

The hub's own tenant wins: what a hub says about a resident must not carry an alarm into another municipality.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Sql

# Where there is one tenant only, everything is its own; a hub in one resident's home speaks of that resident.
_PLACE = Sql(
    """SELECT h.tenant, h.unit, h.is_critical, r.pseudonym, r.tenant, r.unit, r.is_critical,
       (SELECT min(id) FROM tenant WHERE state = 'active' HAVING count(*) = 1)
    FROM (SELECT 1) AS single LEFT JOIN hub h ON h.id = :hub
    LEFT JOIN resident r ON r.pseudonym = coalesce(:resident,
       (SELECT min(pseudonym) FROM resident WHERE hub = :hub AND state = 'active' HAVING count(*) = 1))"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something belongs. `resident`: whose it is, as named or, of a hub with one resident, as known."""

    tenant: str | None
    unit: str | None
    is_critical: bool
    resident: str | None


async def place_of(connection: AsyncConnection, *, resident: str | None, hub: str) -> Place:
    """The place of an alarm of this hub about this resident."""
    row = await _PLACE.one(connection, resident=resident, hub=hub)
    assert row is not None  # noqa: S101  # a join to one row
    hub_tenant, hub_unit, hub_critical, known, tenant, unit, critical, sole = row
    is_own = known is not None and (hub_tenant is None or tenant is None or hub_tenant == tenant)
    return Place(
        tenant=hub_tenant or (tenant if is_own else None) or sole,
        unit=(unit if is_own else None) or hub_unit,
        is_critical=bool(hub_critical) or (is_own and bool(critical)),
        resident=resident if resident is not None else known if is_own else None,
    )
