"""Central's own wall clock was set: what was to last so long still does.

Leases, steps of plans, sessions and the offsets of hubs are kept in wall time, because they outlive a process. When the
wall clock jumps against the monotonic one, they are moved along: nobody loses an alarm that they hold, or holds one for
a day because a clock went back. SQLite has one central, which moves them; on PostgreSQL several share them and nobody
may, so there what began in the future by the present clock begins anew, a lease is cut down to what it can be at most,
and one that ends too early goes back to the queue, which is the safe side. So it is when central starts: its clock may
have been set while it was away, and no alarm is to wait for a moment that another clock has named. What is for people
to read (when something happened) stays as it was written.
"""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.lifecycle import LEASE_MS, OFFER_MS, ON_SITE_MS, VISIT_MS
from central.offsets import Offsets
from central.sql import Sql
from central.store import Priority, Store

log = structlog.get_logger()

LONGEST_STEP_MS = 3_600_000
"""No step of a plan waits longer for an answer."""
NEVER_MS = 50 * 366 * 86_400_000
"""No clock runs so far ahead."""
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
_STEPS_ANEW = Sql(
    """UPDATE escalation SET due_ms = :now + (due_ms - started_ms), started_ms = :now
    WHERE state IN ('due', 'running') AND started_ms > :ahead AND due_ms > started_ms"""
)
_NOTIFICATIONS_ANEW = Sql(
    """UPDATE notification SET next_ms = :now + CASE WHEN next_ms > made_ms THEN next_ms - made_ms ELSE 0 END,
       made_ms = :now
    WHERE state = 'pending' AND made_ms > :ahead"""
)
_LEASES_ANEW = Sql("UPDATE alarm SET lease_until_ms = :until WHERE claimed_ms > :ahead AND lease_until_ms > :until")
_TRIPS_ANEW = Sql(
    """UPDATE dispatch SET due_ms = :now + CASE WHEN due_ms > sent_ms THEN due_ms - sent_ms ELSE 0 END
    WHERE due_ms IS NOT NULL AND sent_ms > :ahead AND ended_ms IS NULL"""
)
_OFFERS_ANEW = Sql("UPDATE handover SET expires_ms = :until WHERE state = 'offered' AND offered_ms > :ahead")
_DUTY_ANEW = Sql("UPDATE duty SET seen_ms = :now WHERE seen_ms > :ahead AND seen_ms < :never")
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
        self._is_first = True

    def _apart(self) -> int:
        return self._clock.now_ms() - round(self._clock.mono_s() * 1000)

    async def look(self) -> int:
        """Mend what a step has broken. Returns how far the clock was set. Raises NotStoredError; it is found again."""
        apart_ms = self._apart()
        step = apart_ms - self._apart_ms
        is_set = abs(step) >= STEP_MS
        if not is_set and not self._is_first:
            self._apart_ms = apart_ms
            return 0
        if is_set:
            self._offsets.forget()
        now = self._clock.now_ms()
        longest = now + max(LEASE_MS, VISIT_MS, ON_SITE_MS)
        is_only_one = self._store.dialect.file is not None

        async def work(connection: AsyncConnection) -> None:
            if is_only_one and is_set:
                await _MOVE_LEASES.rows(connection, step=step)
                await _MOVE_TRIPS.rows(connection, step=step)
                await _MOVE_OFFERS.rows(connection, step=step)
                await _MOVE_SESSIONS.rows(connection, step=step)
                await _MOVE_STEPS.rows(connection, step=step)
                await _MOVE_NOTIFICATIONS.rows(connection, step=step)
                await _MOVE_DUTY.rows(connection, step=step)
            else:
                ahead = now + STEP_MS
                await _STEPS_ANEW.rows(connection, now=now, ahead=ahead)
                await _NOTIFICATIONS_ANEW.rows(connection, now=now, ahead=ahead)
                await _LEASES_ANEW.rows(connection, ahead=ahead, until=now + LEASE_MS)
                await _TRIPS_ANEW.rows(connection, now=now, ahead=ahead)
                await _OFFERS_ANEW.rows(connection, ahead=ahead, until=now + OFFER_MS)
                await _DUTY_ANEW.rows(connection, now=now, ahead=ahead, never=now + NEVER_MS)
            await _CUT_LEASES.rows(connection, longest=longest)
            await _CUT_STEPS.rows(connection, longest=now + LONGEST_STEP_MS)
            await _CUT_NOTIFICATIONS.rows(connection, longest=now + LONGEST_STEP_MS)

        await self._store.transact(Priority.PEOPLE, work)
        self._apart_ms, self._is_first = apart_ms, False
        if not is_set:
            return 0
        log.warning("clock_was_set", by_s=round(step / 1000, 1))
        return step
