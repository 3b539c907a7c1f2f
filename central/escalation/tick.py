"""Moving alarms on that nobody has answered: the next step of their plan, in one transaction with all its effects.

Nothing is remembered between ticks: what is due is asked of the database, and a fence on each row lets one process
take a step once, however many look at the same time. A tick that dies half way has done nothing; the next one does it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.errors import NotStoredError
from central.escalation import begin as beginning
from central.escalation import patrols, screens, steps
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM
from central.wakeup import Wakeup

log = structlog.get_logger()

BATCH = 20
HEAL_EVERY = 5
NO_ANSWER = "no_answer"
DECLINED, SAID_NO, GIVEN_UP = "declined", "said_no", "given_up"
"""Why a step is over before its time: the patrol cannot come, the next of kin cannot, nobody could be told."""
_BEFORE_ITS_TIME = frozenset({DECLINED, SAID_NO, GIVEN_UP})

_DUE = Sql(
    """SELECT alarm, round, no, fence FROM escalation WHERE state IN ('due', 'running') AND due_ms <= :now
    ORDER BY due_ms, alarm LIMIT :limit"""
)
_LOCK = Sql(
    """UPDATE alarm SET escalation_round = escalation_round WHERE id = :alarm
    RETURNING hub, tenant, resident, kind, handling, closed_ms, escalation_round"""
)
_OVER = Sql(
    """UPDATE escalation SET fence = fence + 1, state = :state, ended_ms = :now, why = :why
    WHERE alarm = :alarm AND round = :round AND no = :no AND fence = :fence AND state IN ('due', 'running')
      AND due_ms <= :now RETURNING no"""
)
_RUNNING = Sql("SELECT why, started_ms FROM escalation WHERE alarm = :alarm AND round = :round AND no = :no")
_HASTEN = Sql(
    """UPDATE escalation SET due_ms = :now, why = :why
    WHERE alarm = :alarm AND round = :round AND no = :no AND state = 'running' AND due_ms > :now RETURNING no"""
)
_GO_ON = Sql(
    """UPDATE alarm SET sound_no = sound_no + 1, version = version + 1, escalation_no = :no
    WHERE id = :alarm"""
)
_FORGOTTEN = Sql(
    """SELECT a.id FROM alarm a WHERE a.queue = 'personal' AND a.closed_ms IS NULL AND a.handling = 'waiting'
      AND NOT EXISTS (SELECT 1 FROM escalation e WHERE e.alarm = a.id AND e.state IN ('due', 'running'))
    ORDER BY a.rank, a.raised_ms, a.id LIMIT :limit"""
)


class Escalation:
    """What moves the alarms of one database on. Any number of processes may."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._ticks = 0

    async def tick(self) -> int:
        """Take every step that is due. Returns how many alarms went on. Raises NotStoredError.

        Each alarm has a transaction of its own: one that cannot go on, whatever the reason, holds up no other, and
        who takes another alarm meanwhile never waits for it in a circle.
        """
        if self._ticks % HEAL_EVERY == 0:
            await self.heal()
        self._ticks += 1
        count = 0
        stuck: set[str] = set()
        while True:
            now = self._clock.now_ms()
            found = await self._store.fetch(partial(_DUE.rows, now=now, limit=BATCH + len(stuck)))
            due = [row for row in found if row[0] not in stuck]
            if not due:
                return count
            for row in due:
                went_on = await self._alone(row[0], partial(go_on, due=row, now=now))
                if went_on is None:
                    stuck.add(row[0])
                count += bool(went_on)
            self._wakeup.wake()

    async def _alone(self, alarm: str, work: Callable[[AsyncConnection], Awaitable[bool]]) -> bool | None:
        """One alarm's transaction. None: it could not be done, and the next tick tries again."""
        try:
            return await self._store.transact(Priority.PEOPLE, work)
        except NotStoredError:
            raise
        except Exception:  # a fault over one alarm must not keep the others waiting; the auditor sees that it stands
            log.exception("step_not_taken", alarm=alarm)
            return None

    async def heal(self) -> int:
        """Begin a plan for what waits without one: alarms of an older version, or a fault of ours. Returns how many."""
        forgotten = await self._store.fetch(lambda connection: _FORGOTTEN.rows(connection, limit=BATCH))
        if not forgotten:
            return 0

        for (alarm,) in forgotten:

            async def work(connection: AsyncConnection, alarm: str = alarm) -> bool:
                await beginning.begin(connection, alarm, self._clock.now_ms())
                return True

            await self._alone(alarm, work)
        self._wakeup.wake()
        log.warning("plans_begun_late", count=len(forgotten))
        return len(forgotten)


async def go_on(connection: AsyncConnection, due: Row, now: int) -> bool:
    """Take one step that was due, unless another process has, or the alarm no longer waits."""
    alarm, number, no, fence = due
    row = await _LOCK.one(connection, alarm=alarm)
    place = {"alarm": alarm, "round": number, "no": no}
    if row is None or not (row[4] == "waiting" and row[5] is None and row[6] == number):
        await _OVER.one(connection, **place, fence=fence, now=now, state="cancelled", why="answered")
        return False
    hub, tenant, resident, kind = row[:4]
    plan_steps, zone = await steps.steps_of(connection, alarm)
    case = steps.Case(
        alarm=alarm,
        hub=hub,
        tenant=tenant,
        resident=resident,
        kind=kind,
        round=number,
        steps=plan_steps,
        zone=zone,
    )
    was, started_ms = await _RUNNING.one(connection, **place) or ("", None)
    why = was if was in _BEFORE_ITS_TIME else NO_ANSWER
    if was == steps.COMING_BACK:
        if await steps.has_come_back(connection, case, no, started_ms or now, now):
            return False
        why = steps.NOBODY_WITH_SOUND
    if not await _OVER.one(connection, **place, fence=fence, now=now, state="failed", why=why):
        return False
    if why == steps.NOBODY_WITH_SOUND:
        await steps.tell_telephones(connection, case, no, now)
        passed: dict[str, object] = {"round": number, "steps": [{"step": no, "why": why}]}
        await event_log.append(connection, now, why, SYSTEM, alarm=alarm, hub=hub, content=passed)
    await patrols.is_silent(connection, alarm, hub, number, no, now)
    # Whoever declined has seen it, wherever that was.
    is_unseen = why != DECLINED and await screens.is_unseen(connection, alarm, number, no, now)
    runs = await steps.run_from(connection, case, no + 1, now)
    await _GO_ON.rows(connection, alarm=alarm, no=runs)
    content = {"round": number, "from_step": no, "step": runs} | ({"why": "unseen"} if is_unseen else {})
    await event_log.append(connection, now, "escalated", SYSTEM, alarm=alarm, hub=hub, content=content)
    await feed.publish(connection, now, "alarm", alarm, "escalated")
    return True


async def hasten(connection: AsyncConnection, alarm: str, number: int, step: int, now: int, why: str) -> None:
    """A step can come to nothing any more: the next tick takes the next one. The last one only repeats in its time."""
    plan_steps, _zone = await steps.steps_of(connection, alarm)
    if step < len(plan_steps) - 1:
        await _HASTEN.rows(connection, alarm=alarm, round=number, no=step, now=now, why=why)
