"""What a resident has been granted, since when, who says so, and by which plan its alarms are answered.

Which service an alarm kind belongs to is `central.routing.services`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import IncompleteError
from central.people.facts import check_source
from central.routing.services import SERVICES
from central.sql import Sql
from cloud_sync.identity import new_id

_ALL = Sql(
    """SELECT id, kind, plan, from_ms, to_ms, source, as_of_ms, version FROM service
    WHERE resident = :resident ORDER BY from_ms, id"""
)
_ADD = Sql(
    """INSERT INTO service (id, resident, kind, plan, from_ms, to_ms, source, as_of_ms, written_by)
    VALUES (:id, :resident, :kind, :plan, :from_ms, :to_ms, :source, :as_of, :by)"""
)
_CHANGE = Sql(
    """UPDATE service SET plan = :plan, from_ms = :from_ms, to_ms = :to_ms, source = :source, as_of_ms = :as_of,
       written_by = :by, version = version + 1
    WHERE id = :id AND resident = :resident AND version = :version RETURNING version"""
)
_PLAN = Sql(
    """SELECT 1 FROM plan p JOIN resident r ON r.pseudonym = :resident
    WHERE p.id = :plan AND p.state = 'active' AND (p.tenant IS NULL OR p.tenant = r.tenant)"""
)
_END = Sql(
    """UPDATE service SET version = version + 1, to_ms = :to_ms, written_by = :by
       WHERE id = :id AND resident = :resident AND (to_ms IS NULL OR to_ms > :to_ms) RETURNING id"""
)
_END_ALL = Sql("UPDATE service SET to_ms = :now WHERE resident = :resident AND (to_ms IS NULL OR to_ms > :now)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of a resident, as `source` had it at `as_of_ms`."""

    id: str
    kind: str
    plan: str | None
    from_ms: int
    to_ms: int | None
    source: str
    as_of_ms: int
    version: int

    def holds(self, now: int) -> bool:
        """Whether it is granted now."""
        return self.from_ms <= now and (self.to_ms is None or now < self.to_ms)


async def services_of(connection: AsyncConnection, resident: str) -> tuple[Service, ...]:
    """All that were ever granted, oldest first."""
    return tuple(
        Service(
            id=row[0], kind=row[1], plan=row[2], from_ms=row[3], to_ms=row[4], source=row[5], as_of_ms=row[6],
            version=row[7],
        )
        for row in await _ALL.rows(connection, resident=resident)
    )  # fmt: skip


async def grant(
    connection: AsyncConnection,
    resident: str,
    kind: str,
    *,
    from_ms: int,
    to_ms: int | None,
    source: str,
    as_of_ms: int,
    by: str,
    plan: str | None = None,
) -> bool:
    """Grant a service. Returns false where it is granted over that time already."""
    if kind not in SERVICES:
        raise IncompleteError("unknown_service", "service", SERVICES)
    check_source(source)
    _check_span(from_ms, to_ms)
    await _check_plan(connection, resident, plan)
    for known in await services_of(connection, resident):
        if known.kind != kind:
            continue
        if (known.from_ms, known.to_ms) == (from_ms, to_ms):
            return False
        if known.from_ms < (to_ms or 2**62) and from_ms < (known.to_ms or 2**62):
            if known.from_ms <= from_ms and known.to_ms == to_ms:
                return False
            raise IncompleteError("granted_already", "service")
    await _ADD.rows(
        connection, id=new_id().hex(), resident=resident, kind=kind, plan=plan, from_ms=from_ms, to_ms=to_ms,
        source=source, as_of=as_of_ms, by=by,
    )  # fmt: skip
    return True


async def change(
    connection: AsyncConnection,
    resident: str,
    service: str,
    version: int,
    *,
    from_ms: int,
    to_ms: int | None,
    plan: str | None,
    source: str,
    as_of_ms: int | None,
    by: str,
    now: int,
) -> bool | None:
    """Other dates or another plan, or the same as its source has it now. Without an `as_of_ms` what changes is so now.

    Returns whether that is news; None when that version is not there any more.
    """
    all_of_them = await services_of(connection, resident)
    own = next((one for one in all_of_them if one.id == service), None)
    if own is None or own.version != version:
        return None
    check_source(source)
    _check_span(from_ms, to_ms)
    if plan != own.plan:
        await _check_plan(connection, resident, plan)
    is_same = (own.from_ms, own.to_ms, own.plan, own.source) == (from_ms, to_ms, plan, source)
    if is_same and (as_of_ms is None or own.as_of_ms >= as_of_ms):
        return False
    others = (one for one in all_of_them if one.kind == own.kind and one.id != service)
    if any(one.from_ms < (to_ms or 2**62) and from_ms < (one.to_ms or 2**62) for one in others):
        raise IncompleteError("granted_already", "from")
    changed = await _CHANGE.one(
        connection, id=service, resident=resident, version=version, plan=plan, from_ms=from_ms, to_ms=to_ms,
        source=source, as_of=now if as_of_ms is None else as_of_ms, by=by,
    )  # fmt: skip
    return changed is not None or None


def _check_span(from_ms: int, to_ms: int | None) -> None:
    if to_ms is not None and to_ms <= from_ms:
        raise IncompleteError("ends_before_it_begins", "to")


async def _check_plan(connection: AsyncConnection, resident: str, plan: str | None) -> None:
    if plan is not None and not await _PLAN.one(connection, plan=plan, resident=resident):
        raise IncompleteError("unknown_plan", "plan")


async def end(connection: AsyncConnection, resident: str, service: str, *, to_ms: int, by: str) -> bool:
    """It ends then. Returns whether it was one of theirs and went on."""
    return await _END.one(connection, resident=resident, id=service, to_ms=to_ms, by=by) is not None


async def end_all(connection: AsyncConnection, resident: str, *, now: int) -> None:
    """None goes on."""
    await _END_ALL.rows(connection, resident=resident, now=now)
