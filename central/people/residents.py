"""Residents as rows: pseudonym, where they belong, the hub in their home. Nothing here names a person."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import IN_SCOPE, ElsewhereError, Scope
from central.errors import IncompleteError, NotFoundError
from central.sql import Row, Sql

_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")

_COLUMNS = "pseudonym, tenant, unit, hub, is_critical, state, version, created_ms"
_ONE = Sql(f"SELECT {_COLUMNS} FROM resident WHERE pseudonym = :resident")  # noqa: S608  # our own names
_BY_REFERENCE = Sql(
    f"SELECT {_COLUMNS} FROM resident WHERE tenant = :tenant AND reference = :reference"  # noqa: S608
)
_SEEN = Sql(
    f"""SELECT {_COLUMNS} FROM resident r WHERE state <> 'erased' AND tenant IS NOT NULL AND {IN_SCOPE("r")}
    ORDER BY pseudonym LIMIT 20000"""  # noqa: S608
)
_ADD = Sql(
    """INSERT INTO resident (pseudonym, tenant, unit, hub, is_critical, reference, created_ms)
    VALUES (:pseudonym, :tenant, :unit, :hub, :is_critical, :reference, :now)
    ON CONFLICT DO NOTHING RETURNING pseudonym"""
)
_ADOPT = Sql(
    """UPDATE resident SET tenant = :tenant, unit = :unit, hub = :hub, is_critical = :is_critical,
       reference = :reference, created_ms = :now, version = version + 1
    WHERE pseudonym = :pseudonym AND tenant IS NULL RETURNING pseudonym"""
)
_CHANGE = Sql(
    """UPDATE resident SET unit = :unit, hub = :hub, is_critical = :is_critical, state = :state, version = version + 1
    WHERE pseudonym = :pseudonym AND version = :version RETURNING version"""
)
_TOUCH = Sql("UPDATE resident SET version = version + 1 WHERE pseudonym = :pseudonym")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """A recipient of services, by pseudonym."""

    pseudonym: str
    tenant: str | None
    unit: str | None
    hub: str | None
    is_critical: bool
    state: str
    version: int
    created_ms: int

    @property
    def is_active(self) -> bool:
        """Still served."""
        return self.state == "active"


def _read(row: Row) -> Resident:
    pseudonym, tenant, unit, hub, is_critical, state, version, created_ms = row
    return Resident(
        pseudonym=pseudonym,
        tenant=tenant,
        unit=unit,
        hub=hub,
        is_critical=bool(is_critical),
        state=state,
        version=version,
        created_ms=created_ms,
    )


def is_pseudonym(text: str) -> bool:
    """Whether somebody may be called so."""
    return _PSEUDONYM.fullmatch(text) is not None


async def resident_of(connection: AsyncConnection, resident: str, scope: Scope) -> Resident:
    """One, by pseudonym. Raises NotFoundError; ElsewhereError for one that belongs where the asker sees nothing."""
    row = await _ONE.one(connection, resident=resident[:32])
    if row is None:
        raise NotFoundError("resident", resident[:32])
    found = _read(row)
    if not scope.is_everything and (found.tenant is None or not scope.covers(found.tenant, found.unit)):
        raise ElsewhereError("resident", resident[:32])
    return found


async def known(connection: AsyncConnection, resident: str) -> Resident | None:
    """One, by pseudonym, for central itself."""
    row = await _ONE.one(connection, resident=resident)
    return None if row is None else _read(row)


async def by_reference(connection: AsyncConnection, tenant: str, reference_hash: str) -> Resident | None:
    """One, by the municipality's own reference, hashed."""
    row = await _BY_REFERENCE.one(connection, tenant=tenant, reference=reference_hash)
    return None if row is None else _read(row)


async def residents_in(connection: AsyncConnection, scope: Scope) -> tuple[Resident, ...]:
    """All that are seen."""
    return tuple(_read(row) for row in await _SEEN.rows(connection, **scope.parameters))


def clean_pseudonym(pseudonym: str) -> str:
    """A pseudonym as hubs use it. Raises IncompleteError."""
    if not _PSEUDONYM.fullmatch(pseudonym):
        raise IncompleteError("bad_pseudonym", "pseudonym")
    return pseudonym


async def add(
    connection: AsyncConnection,
    pseudonym: str,
    *,
    tenant: str,
    unit: str | None,
    hub: str | None,
    is_critical: bool,
    reference_hash: str | None,
    now: int,
) -> bool:
    """A new one. Returns false when the pseudonym or the reference is taken."""
    values = {
        "pseudonym": pseudonym,
        "tenant": tenant,
        "unit": unit,
        "hub": hub,
        "is_critical": is_critical,
        "reference": reference_hash,
        "now": now,
    }
    if await _ADD.one(connection, **values):
        return True
    return await _ADOPT.one(connection, **values) is not None


async def change(
    connection: AsyncConnection,
    resident: Resident,
    *,
    unit: str | None,
    hub: str | None,
    is_critical: bool,
    state: str | None = None,
) -> bool:
    """Where they belong now. Returns false when somebody else was first."""
    return (
        await _CHANGE.one(
            connection,
            pseudonym=resident.pseudonym,
            version=resident.version,
            unit=unit,
            hub=hub,
            is_critical=is_critical,
            state=state or resident.state,
        )
        is not None
    )


async def touch(connection: AsyncConnection, resident: str) -> None:
    """Something about them has changed: pages made before are stale."""
    await _TOUCH.rows(connection, pseudonym=resident)
