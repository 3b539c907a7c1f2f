"""Planned visits, as the work lists of home care have them: "next visit" binds an alarm to one of these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import IncompleteError
from central.sql import Row, Sql
from cloud_sync.identity import new_id

MAX_LENGTH_MS = 24 * 3_600_000

_BETWEEN = Sql(
    """SELECT v.id, v.resident, v.team, t.name, v.from_ms, v.to_ms, v.state, v.source, v.reference, v.changed_ms,
       v.version FROM visit v
    LEFT JOIN team t ON t.id = v.team WHERE v.resident = :resident AND v.to_ms >= :after AND v.from_ms < :before
    ORDER BY v.from_ms, v.id LIMIT 100"""
)
_ONE = Sql(
    """SELECT v.id, v.resident, v.team, t.name, v.from_ms, v.to_ms, v.state, v.source, v.reference, v.changed_ms,
       v.version FROM visit v LEFT JOIN team t ON t.id = v.team WHERE v.id = :id"""
)
_KNOWN = Sql(
    """SELECT id, team, from_ms, to_ms, state FROM visit
    WHERE resident = :resident AND source = :source AND reference = :reference ORDER BY changed_ms DESC LIMIT 1"""
)
_ADD = Sql(
    """INSERT INTO visit (id, resident, team, from_ms, to_ms, state, source, reference, changed_ms, changed_by)
    VALUES (:id, :resident, :team, :from_ms, :to_ms, :state, :source, :reference, :now, :by)"""
)
_CHANGE = Sql(
    """UPDATE visit SET team = :team, from_ms = :from_ms, to_ms = :to_ms, state = :state, changed_ms = :now,
       changed_by = :by, version = version + 1 WHERE id = :id RETURNING id"""
)


class VisitState(StrEnum):
    """What became of it."""

    PLANNED = "planned"
    DONE = "done"
    MISSED = "missed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedVisit:
    """One visit. `changed_ms`: when its source last said anything new of it."""

    id: str
    resident: str
    team: str | None
    team_name: str | None
    from_ms: int
    to_ms: int
    state: VisitState
    source: str
    reference: str
    changed_ms: int
    version: int


def _read(row: Row) -> PlannedVisit:
    visit, resident, team, team_name, from_ms, to_ms, state, source, reference, changed_ms, version = row
    return PlannedVisit(
        id=visit,
        resident=resident,
        team=team,
        team_name=team_name,
        from_ms=from_ms,
        to_ms=to_ms,
        state=VisitState(state),
        source=source,
        reference=reference,
        changed_ms=changed_ms,
        version=version,
    )


async def visits_of(connection: AsyncConnection, resident: str, *, after: int, before: int) -> tuple[PlannedVisit, ...]:
    """Visits that touch this span, in order."""
    rows = await _BETWEEN.rows(connection, resident=resident, after=after, before=before)
    return tuple(_read(row) for row in rows)


async def visit(connection: AsyncConnection, visit_id: str) -> PlannedVisit | None:
    """One, by id."""
    row = await _ONE.one(connection, id=visit_id)
    return None if row is None else _read(row)


async def put(
    connection: AsyncConnection,
    resident: str,
    *,
    team: str | None,
    from_ms: int,
    to_ms: int,
    state: VisitState = VisitState.PLANNED,
    source: str,
    reference: str = "",
    by: str,
    now: int,
) -> str:
    """A visit as a work list has it; the same reference again changes it. Returns "added", "changed" or "same"."""
    check_times(from_ms, to_ms)
    values = {"team": team, "from_ms": from_ms, "to_ms": to_ms, "state": state.value}
    known = None
    if reference:
        known = await _KNOWN.one(connection, resident=resident, source=source, reference=reference)
    if known is None:
        await _ADD.rows(
            connection,
            id=new_id().hex(),
            resident=resident,
            source=source,
            reference=reference,
            now=now,
            by=by,
            **values,
        )
        return "added"
    if tuple(known[1:]) == tuple(values.values()):
        return "same"
    await _CHANGE.rows(connection, id=known[0], now=now, by=by, **values)
    return "changed"


def check_times(from_ms: int, to_ms: int) -> None:
    """That it ends after it begins, within a day. Raises IncompleteError."""
    if not from_ms < to_ms <= from_ms + MAX_LENGTH_MS:
        raise IncompleteError("bad_times", "to")


async def move(
    connection: AsyncConnection, known: PlannedVisit, *, team: str | None, from_ms: int, to_ms: int, by: str, now: int
) -> bool:
    """Another time or another team. Returns whether that is news."""
    check_times(from_ms, to_ms)
    if (known.team, known.from_ms, known.to_ms) == (team, from_ms, to_ms):
        return False
    values = {"team": team, "from_ms": from_ms, "to_ms": to_ms, "state": known.state.value}
    await _CHANGE.rows(connection, id=known.id, now=now, by=by, **values)
    return True


async def set_state(connection: AsyncConnection, visit_id: str, state: VisitState, *, by: str, now: int) -> bool:
    """What became of it. Returns whether that is news. The alarm that waits for it is `central.alarms`' to see to."""
    known = await visit(connection, visit_id)
    if known is None or known.state is state:
        return False
    await _CHANGE.rows(
        connection, id=visit_id, team=known.team, from_ms=known.from_ms, to_ms=known.to_ms, state=state.value, now=now,
        by=by,
    )  # fmt: skip
    return True
