"""Central's own wall clock was set: what was to last so long still does.

Leases, steps of plans, sessions and the offsets of hubs are kept in wall time, because they outlive a process. When the
wall clock jumps against the monotonic one, they are moved along: nobody loses an alarm that they hold, or holds one for
a day because a clock went back. SQLite has one central, which moves them; on PostgreSQL several share them and nobody
may, so there a lease or a step is only cut down to what it can be at most, and one that ends too early goes back to the
queue or on to the next receiver, which is the safe side. What is for people to read (when something happened) stays as
it was written.
"""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.lifecycle import LEASE_MS, ON_SITE_MS, VISIT_MS
from central.offsets import Offsets
from central.sql import Sql
from central.store import Priority, Store

log = structlog.get_logger()

LONGEST_STEP_MS = 3_600_000
"""No step of a plan waits longer for an answer."""
STEP_MS = 2_000
"""Less than this a clock drifts or is slewed."""

_MOVE_LEASES = Sql(
    """UPDATE alarm SET lease_until_ms = lease_until_ms + :step, undo_until_ms = undo_until_ms + :step
    WHERE lease_until_ms IS NOT NULL OR undo_until_ms IS NOT NULL"""
)
_MOVE_SESSIONS = Sql(
    "UPDATE session SET expires_ms = expires_ms + :step, last_used_ms = last_used_ms + :step WHERE ended_ms IS NULL"
)
_MOVE_STEPS = Sql("UPDATE escalation SET due_ms = due_ms + :step WHERE state IN ('due', 'running')")
_MOVE_NOTIFICATIONS = Sql(
    "UPDATE notification SET next_ms = next_ms + :step, made_ms = made_ms + :step WHERE state = 'pending'"
)
_MOVE_DUTY = Sql("UPDATE duty SET seen_ms = seen_ms + :step")
_CUT_STEPS = Sql("UPDATE escalation SET due_ms = :longest WHERE state IN ('due', 'running') AND due_ms > :longest")
_CUT_NOTIFICATIONS = Sql("UPDATE notification SET next_ms = :longest WHERE state = 'pending' AND next_ms > :longest")
_MOVE_TRIPS = Sql("UPDATE dispatch SET due_ms = due_ms + :step WHERE due_ms IS NOT NULL")
_MOVE_OFFERS = Sql("UPDATE handover SET expires_ms = expires_ms + :step WHERE state = 'offered'")
_CUT_LEASES = Sql("UPDATE alarm SET lease_until_ms = :longest WHERE lease_until_ms > :longest")


class ClockSteps:
    """Looked at before leases are."""

    def __init__(self, store: Store, clock: Clock, offsets: Offsets) -> None:
        self._store = store
        self._clock = clock
        self._offsets = offsets
        self._apart_ms = self._apart()

    def _apart(self) -> int:
        return self._clock.now_ms() - round(self._clock.mono_s() * 1000)

    async def look(self) -> int:
        """Mend what a step has broken. Returns how far the clock was set. Raises NotStoredError; it is found again."""
        apart_ms = self._apart()
        step = apart_ms - self._apart_ms
        if abs(step) < STEP_MS:
            self._apart_ms = apart_ms
            return 0
        self._offsets.forget()
        now = self._clock.now_ms()
        longest = now + max(LEASE_MS, VISIT_MS, ON_SITE_MS)
        is_only_one = self._store.dialect.file is not None

        async def work(connection: AsyncConnection) -> None:
            if is_only_one:
                await _MOVE_LEASES.rows(connection, step=step)
                await _MOVE_TRIPS.rows(connection, step=step)
                await _MOVE_OFFERS.rows(connection, step=step)
                await _MOVE_SESSIONS.rows(connection, step=step)
                await _MOVE_STEPS.rows(connection, step=step)
                await _MOVE_NOTIFICATIONS.rows(connection, step=step)
                await _MOVE_DUTY.rows(connection, step=step)
            await _CUT_LEASES.rows(connection, longest=longest)
            await _CUT_STEPS.rows(connection, longest=now + LONGEST_STEP_MS)
            await _CUT_NOTIFICATIONS.rows(connection, longest=now + LONGEST_STEP_MS)

        await self._store.transact(Priority.PEOPLE, work)
        self._apart_ms = apart_ms
        log.warning("clock_was_set", by_s=round(step / 1000, 1))
        return step
