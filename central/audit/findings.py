"""What the auditor asks of the database: is anything overdue, forgotten or stuck, and is anybody there.

It shares no code with what it checks. All it takes on trust is the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.settings import AuditSettings
from central.sql import Sql

UNREACHABLE = "database_unreachable"
_COUNTED: Mapping[str, Sql] = {
    "step_not_taken": Sql(
        "SELECT count(*), min(due_ms) FROM escalation WHERE state IN ('due', 'running') AND due_ms < :late"
    ),
    "alarm_forgotten": Sql(
        """SELECT count(*), min(a.raised_ms) FROM alarm a WHERE a.queue = 'personal' AND a.closed_ms IS NULL
           AND a.handling = 'waiting' AND a.raised_ms < :late AND NOT EXISTS
           (SELECT 1 FROM escalation e WHERE e.alarm = a.id AND e.state IN ('due', 'running'))"""
    ),
    "call_out_stuck": Sql("SELECT count(*), min(due_ms) FROM call_out WHERE ended_ms IS NULL AND due_ms < :late"),
    "claim_not_returned": Sql(
        """SELECT count(*), min(lease_until_ms) FROM alarm
        WHERE queue = 'personal' AND closed_ms IS NULL
          AND (lease_until_ms < :late OR (handling = 'claimed' AND lease_until_ms IS NULL))"""
    ),
    "visit_passed": Sql(
        """SELECT count(*), min(coalesce(v.to_ms, a.raised_ms))
        FROM alarm a LEFT JOIN visit v ON v.id = a.deferred_visit
        WHERE a.queue = 'personal' AND a.closed_ms IS NULL AND a.handling = 'deferred'
          AND (v.id IS NULL OR v.to_ms < :late OR a.deferred_until_ms < :late
            OR (v.state <> 'planned' AND coalesce(v.changed_ms, 0) < :late))"""
    ),
    "notification_hangs": Sql(
        "SELECT count(*), min(next_ms) FROM notification WHERE state = 'pending' AND next_ms < :late"
    ),
    "nobody_on_duty": Sql(
        """SELECT count(*), min(at_ms) FROM audit_mark
        WHERE name LIKE 'duty:%' AND content LIKE '%false%' AND at_ms < :uncovered"""
    ),
}
_PROBE = Sql("SELECT value FROM central_state WHERE name = 'probe'")
_MARK = Sql(
    """INSERT INTO audit_mark (name, at_ms, content) VALUES ('auditor', :now, :content)
    ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms, content = excluded.content"""
)
_FORGET = Sql("DELETE FROM audit_mark WHERE name = 'auditor'")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is not as it ought to be. `since_ms`: the oldest of `count`."""

    what: str
    count: int = 1
    since_ms: int | None = None


async def look(connection: AsyncConnection, settings: AuditSettings, now: int) -> list[Finding]:
    """Everything that is wrong now."""
    found = []
    probe = await _PROBE.value(connection)
    silent_since = int(probe) if probe is not None and str(probe).isdigit() else 0
    if now - silent_since > settings.central_silent_after_s * 1000:
        found.append(Finding(what="central_silent", since_ms=silent_since or None))
    times = {
        "late": now - round(settings.late_after_s * 1000),
        "uncovered": now - round(settings.nobody_on_duty_after_s * 1000),
    }
    for what, statement in _COUNTED.items():
        name = "uncovered" if what == "nobody_on_duty" else "late"
        count, since_ms = await statement.one(connection, **{name: times[name]}) or (0, None)
        if count:
            found.append(Finding(what=what, count=count, since_ms=since_ms))
    return found


async def mark(connection: AsyncConnection, now: int, content: str) -> None:
    """The auditor was here: central notices when it is not."""
    await _MARK.rows(connection, now=now, content=content)


async def forget(connection: AsyncConnection) -> None:
    """The auditor will not come again, and central is not to wait for it."""
    await _FORGET.rows(connection)
