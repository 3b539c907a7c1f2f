"""Where an alarm belongs: which tenant and unit, and whether somebody there depends on the equipment.

The hub's own tenant wins: what a hub says about a resident must not carry an alarm into another municipality.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import RowsSql

# Where there is one tenant only, everything is its own; a hub in one resident's home speaks of that resident.
_PLACES = RowsSql(
    """SELECT k.column1, k.column2, h.tenant, h.unit, h.is_critical, r.pseudonym, r.tenant, r.unit, r.is_critical,
       (SELECT min(id) FROM tenant WHERE state = 'active' HAVING count(*) = 1)
    FROM (VALUES {rows}) AS k LEFT JOIN hub h ON h.id = k.column1
    LEFT JOIN resident r ON r.pseudonym = coalesce(k.column2,
       (SELECT min(pseudonym) FROM resident WHERE hub = k.column1 AND state = 'active' HAVING count(*) = 1))""",
    2,
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
    return (await places_of(connection, [(hub, resident)]))[hub, resident]


async def places_of(
    connection: AsyncConnection, named: Collection[tuple[str, str | None]]
) -> dict[tuple[str, str | None], Place]:
    """The same of several: hub and, where one is named, resident."""
    rows = await _PLACES.rows(connection, list(named))
    return {(hub, resident): _place(resident, *row) for hub, resident, *row in rows}


def _place(resident: str | None, *row: Any) -> Place:
    hub_tenant, hub_unit, hub_critical, known, tenant, unit, critical, sole = row
    is_own = known is not None and (hub_tenant is None or tenant is None or hub_tenant == tenant)
    return Place(
        tenant=hub_tenant or (tenant if is_own else None) or sole,
        unit=(unit if is_own else None) or hub_unit,
        is_critical=bool(hub_critical) or (is_own and bool(critical)),
        resident=resident if resident is not None else known if is_own else None,
    )
