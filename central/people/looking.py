"""Who looks at what about whom, and why: the access log, and what entitles somebody to look.

An entry is written in the transaction that reads. There is a basis while one has the alarm (or has closed it less than
half an hour ago), while one's patrol is sent to it, around a visit of one's team, or after giving a reason
(break-glass), which is an entry of the event log too. Who keeps residents' records looks as administration.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.sql import Row, Sql, insert_ignoring
from central.views import Actor, Legible

AFTER_MS = 30 * 60_000
"""How long after closing an alarm, and after giving a reason, somebody may still look."""

REASONS = ("resident_called", "kin_called", "staff_asks", "worried")
"""Our own words for a reason. What somebody types instead is sealed."""

SAME_LOOK_MS = 10 * 60_000
"""A page that stays open is one look for this long."""

AROUND_VISIT_MS = 2 * 3_600_000


class Purpose(StrEnum):
    """Why somebody looks."""

    ALARM = "alarm"
    VISIT = "visit"
    ADMINISTRATION = "administration"
    BREAK_GLASS = "break_glass"


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What entitles somebody to look. `ref` is the alarm or the visit; a `reason` that was typed is sealed."""

    purpose: Purpose
    ref: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessEntry:
    """Somebody has looked."""

    at_ms: int
    actor: str
    actor_name: str
    what: tuple[str, ...]
    purpose: Purpose
    ref: str | None
    reason: str
    words: Legible = Legible.NOTHING
    """What became of the reason."""


_NOTE = Sql(
    """INSERT INTO access_entry (at_ms, actor, actor_name, resident, what, purpose, ref, reason)
    VALUES (:at_ms, :actor, :actor_name, :resident, :what, :purpose, :ref, :reason)"""
)
_COLUMNS = ("at_ms", "actor", "actor_name", "resident", "what", "purpose", "ref", "reason")
_NOTES = insert_ignoring("access_entry", _COLUMNS)
_SAME = Sql(
    """SELECT 1 FROM access_entry WHERE resident = :resident AND actor = :actor AND what = :what
    AND purpose = :purpose AND coalesce(ref, '') = :ref AND at_ms > :since LIMIT 1"""
)
_OF_RESIDENT = Sql(
    """SELECT at_ms, actor, actor_name, what, purpose, ref, reason, no FROM access_entry
    WHERE resident = :resident AND no < :before ORDER BY no DESC LIMIT :limit"""
)
_BY_ALARM = Sql(
    """SELECT a.id FROM alarm a WHERE a.resident = :resident AND a.owner = :actor
       AND (a.closed_ms IS NULL OR a.closed_ms > :since) ORDER BY a.closed_ms IS NOT NULL, a.raised_ms DESC LIMIT 1"""
)
_BY_DISPATCH = Sql(
    """SELECT a.id FROM dispatch d JOIN alarm a ON a.id = d.alarm
    WHERE a.resident = :resident AND a.closed_ms IS NULL AND (d.account = :actor OR :teams LIKE '%,' || d.team || ',%')
       AND d.state IN ('sent', 'delivered', 'accepted', 'on_the_way', 'on_site')
    ORDER BY d.sent_ms DESC LIMIT 1"""
)
_BY_VISIT = Sql(
    """SELECT id FROM visit WHERE resident = :resident AND state = 'planned' AND from_ms < :latest AND to_ms > :earliest
       AND :teams LIKE '%,' || team || ',%' ORDER BY from_ms LIMIT 1"""
)
_BY_REASON = Sql(
    """SELECT reason FROM access_entry WHERE resident = :resident AND actor = :actor AND purpose = 'break_glass'
       AND what = 'opened' AND at_ms > :since ORDER BY no DESC LIMIT 1"""
)


async def note(
    connection: AsyncConnection, actor: Actor, resident: str, what: str, basis: Basis, now: int, *, same_ms: int = 0
) -> None:
    """One entry, in the transaction that reads.

    `same_ms`: a page that is open asks again and again; for so long that is one look, and has one entry.
    """
    if same_ms and await is_noted(connection, actor, resident, what, basis, now - same_ms):
        return
    await _NOTE.rows(connection, **dict(zip(_COLUMNS, _entry(actor, resident, what, basis, now), strict=True)))


async def is_noted(
    connection: AsyncConnection, actor: Actor, resident: str, what: str, basis: Basis, since: int
) -> bool:
    """Whether the same look has an entry that is younger than that."""
    same = {"resident": resident, "actor": actor.id, "what": what, "purpose": basis.purpose.value, "since": since}
    return await _SAME.one(connection, **same, ref=basis.ref or "") is not None


async def note_many(
    connection: AsyncConnection,
    actor: Actor,
    looked: Iterable[tuple[str, Basis]],
    what: str,
    now: int,
) -> None:
    """The same about many residents, each with what entitles to it."""
    await _NOTES.many(connection, [_entry(actor, resident, what, basis, now) for resident, basis in looked])


def _entry(actor: Actor, resident: str, what: str, basis: Basis, now: int) -> tuple[object, ...]:
    return (
        now, actor.id, actor.name[:128], resident, what[:64], basis.purpose.value, basis.ref, basis.reason
    )  # fmt: skip


async def basis_of(connection: AsyncConnection, actor: Actor, scope: Scope, resident: str, now: int) -> Basis | None:
    """What entitles them to look at this resident now; None: nothing but a reason of their own would."""
    since, teams = now - AFTER_MS, f",{','.join(sorted(scope.teams))},"
    alarm = await _BY_ALARM.value(connection, resident=resident, actor=actor.id, since=since)
    if alarm is None:
        alarm = await _BY_DISPATCH.value(connection, resident=resident, actor=actor.id, teams=teams)
    if alarm is not None:
        return Basis(purpose=Purpose.ALARM, ref=alarm)
    visit = await _BY_VISIT.value(
        connection,
        resident=resident,
        teams=teams,
        latest=now + AROUND_VISIT_MS,
        earliest=now - AROUND_VISIT_MS,
    )
    if visit is not None:
        return Basis(purpose=Purpose.VISIT, ref=visit)
    reason = await _BY_REASON.value(connection, resident=resident, actor=actor.id, since=since)
    return None if reason is None else Basis(purpose=Purpose.BREAK_GLASS, reason=reason)


async def entries(
    connection: AsyncConnection, resident: str, *, before: int | None = None, limit: int = 100
) -> tuple[tuple[AccessEntry, ...], int | None]:
    """Who has looked, newest first, and where the next page begins."""
    rows = await _OF_RESIDENT.rows(connection, resident=resident, before=before or 2**62, limit=limit + 1)
    older = int(rows[limit - 1][7]) if len(rows) > limit else None
    return tuple(_read(row) for row in rows[:limit]), older


def _read(row: Row) -> AccessEntry:
    at_ms, actor, actor_name, what, purpose, ref, reason, _ = row
    return AccessEntry(
        at_ms=at_ms,
        actor=actor,
        actor_name=actor_name,
        what=tuple(what.split(",")),
        purpose=Purpose(purpose),
        ref=ref,
        reason=reason,
    )
