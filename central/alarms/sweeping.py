"""What time does to alarms: leases, offers and unanswered dispatches run out, and visits are missed.

Nothing here is a timer: what is due lies in the database, and any process may sweep. Each alarm has a transaction of
its own, which looks again under the lock before it does anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Acting, Done, record, runs_out, sum_up, waits_again
from central.alarms.deferring import RANKED_UP, come_back
from central.alarms.dispatching import expire_unanswered
from central.alarms.handing_over import expire_offer
from central.alarms.rows import lock
from central.errors import NotStoredError
from central.lifecycle import Handling
from central.sql import Sql
from central.store import Priority
from central.views import SYSTEM, AlarmView

log = structlog.get_logger()

_BATCH = 200

_EXPIRED = Sql(
    "SELECT id FROM alarm WHERE closed_ms IS NULL AND lease_until_ms < :now ORDER BY rank, lease_until_ms LIMIT :limit"
)
_EXPIRE = Sql(f"UPDATE alarm SET {RANKED_UP} WHERE id = :id")  # noqa: S608  # words of our own
_OFFERS = Sql("SELECT alarm FROM handover WHERE state = 'offered' AND expires_ms < :now ORDER BY alarm LIMIT :limit")
_UNANSWERED = Sql(
    """SELECT DISTINCT alarm FROM dispatch WHERE state IN ('sent', 'delivered') AND due_ms < :now
    ORDER BY alarm LIMIT :limit"""
)
_UNVISITED = Sql(
    """SELECT a.id FROM alarm a LEFT JOIN visit v ON v.id = a.deferred_visit
    WHERE a.handling = 'deferred' AND a.closed_ms IS NULL
      AND (v.id IS NULL OR v.state <> 'planned' OR v.to_ms <= :now OR v.resident <> a.resident
        OR a.deferred_until_ms IS NULL OR v.to_ms > a.deferred_until_ms)
    ORDER BY a.rank, a.id LIMIT :limit"""
)
_MISSED = Sql(
    """UPDATE visit SET state = 'missed', changed_ms = :now, changed_by = 'system'
    WHERE id = :id AND state = 'planned' AND to_ms <= :now"""
)
_VISIT = Sql(
    "SELECT state FROM visit WHERE id = :id AND resident = :resident AND NOT (state = 'planned' AND to_ms > :now)"
)
_VISIT_LEFT = Sql(
    """SELECT 1 FROM visit WHERE id = :id AND resident = :resident AND state = 'planned' AND to_ms > :now
    AND to_ms <= :until"""
)
_MOVED = Sql("SELECT 1 FROM visit WHERE id = :id AND resident = :resident AND state = 'planned'")

Look = Callable[[AsyncConnection, AlarmView, int], Awaitable[bool]]


class Sweeping(Acting):
    """Run every second."""

    async def sweep(self) -> int:
        """Everything that has run out. Returns how many alarms it changed. Raises NotStoredError."""
        count = 0
        for what, due, look in (
            ("claims_expired", _EXPIRED, _lease),
            ("visits_not_made", _UNVISITED, _visit),
            ("dispatches_unanswered", _UNANSWERED, _dispatch),
            ("offers_expired", _OFFERS, _offer),
        ):
            changed = await self._sweep(due, look)
            if changed:
                log.info(what, count=changed)
            count += changed
        return count

    async def _sweep(self, due: Sql, look: Look) -> int:
        count = 0
        while True:
            now = self._clock.now_ms()
            found: Sequence[str] = await self._store.fetch(partial(_ids, due=due, now=now))
            if not found:
                return count
            changed = 0
            for alarm_id in found:
                changed += await self._one(alarm_id, look, now)
            self._wakeup.wake()
            count += changed
            if not changed:  # others were quicker, and the next sweep sees what they left
                return count

    async def _one(self, alarm_id: str, look: Look, now: int) -> int:
        try:
            return await self._store.transact(Priority.PEOPLE, partial(_again, alarm_id=alarm_id, look=look, now=now))
        except NotStoredError:
            raise
        except Exception:  # a fault over one alarm must not keep the others from coming back
            log.exception("alarm_not_swept", alarm=alarm_id)
            return 0


async def _ids(connection: AsyncConnection, due: Sql, now: int) -> list[str]:
    return [row[0] for row in await due.rows(connection, now=now, limit=_BATCH)]


async def _again(connection: AsyncConnection, alarm_id: str, look: Look, now: int) -> int:
    return int(await look(connection, await lock(connection, alarm_id), now))


async def _lease(connection: AsyncConnection, alarm: AlarmView, now: int) -> bool:
    is_over = alarm.lease_until_ms is not None and alarm.lease_until_ms < now
    if not is_over or alarm.stage.handling is not Handling.CLAIMED:
        return False
    why = "not_on_site" if alarm.stage.is_travelling else "no_presence"
    await runs_out(connection, alarm.id, now)
    await _EXPIRE.rows(connection, id=alarm.id)
    await sum_up(connection, alarm.id, now)
    await waits_again(connection, alarm, now)
    await record(connection, alarm, SYSTEM, Done("returned", {"why": why}), now)
    return True


async def _visit(connection: AsyncConnection, alarm: AlarmView, now: int) -> bool:
    visit, resident = alarm.deferred_visit, alarm.resident or ""
    if alarm.stage.handling is not Handling.DEFERRED or await _VISIT_LEFT.one(
        connection, id=visit, resident=resident, now=now, until=alarm.deferred_until_ms or 0
    ):
        return False
    await _MISSED.rows(connection, id=visit, now=now)
    state = await _VISIT.value(connection, id=visit, resident=resident, now=now)
    if state is None and await _MOVED.one(connection, id=visit, resident=resident):
        state = "moved"
    return await come_back(connection, alarm, now, f"visit_{state or 'cancelled'}")


async def _dispatch(connection: AsyncConnection, alarm: AlarmView, now: int) -> bool:
    done = await expire_unanswered(connection, alarm, now)
    if done is not None:
        await record(connection, alarm, SYSTEM, done, now)
    return done is not None


async def _offer(connection: AsyncConnection, alarm: AlarmView, now: int) -> bool:
    done = await expire_offer(connection, alarm, now)
    if done is not None:
        await record(connection, alarm, SYSTEM, done, now, tell=False)
    return done is not None
