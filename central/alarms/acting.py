"""What every act has in common: one transaction with the change, its log entry, the reply home and a feed number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.alarms.rows import OPEN_STATES, in_short, load, lock, refusal
from central.clock import Clock
from central.errors import Conflict
from central.escalation import patrols
from central.escalation.begin import AnsweredBy, answered, begin
from central.lifecycle import LEASE_MS, TRAVELLING, Action, Dispatch, Queue, after, furthest
from central.people.words import Pen, Words
from central.raising import tell_home
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import Actor, AlarmView
from central.wakeup import Wakeup

_OPEN = Sql(f"SELECT state, due_ms FROM dispatch WHERE alarm = :alarm AND state IN ({OPEN_STATES})")  # noqa: S608
_SUM_UP = Sql(
    """UPDATE alarm SET dispatch = :dispatch, version = version + 1, sound_no = sound_no + :loud,
       lease_until_ms = :until, undo_until_ms = NULL, undo_by = NULL, undo_to = NULL
    WHERE id = :id AND handling = 'claimed'"""
)
_SUM_UP_WAITING = Sql(
    """UPDATE alarm SET dispatch = :dispatch, version = version + 1, sound_no = sound_no + :loud
    WHERE id = :id AND handling = 'waiting' AND dispatch <> :dispatch"""
)
_SENT_BEFORE = Sql("UPDATE alarm SET dispatch = :dispatch, lease_until_ms = :until WHERE id = :id")
_NO_DEADLINE = Sql(
    """UPDATE dispatch SET due_ms = NULL WHERE alarm = :alarm AND state IN ('accepted', 'on_the_way', 'on_site')
    AND due_ms <= :now"""
)
_CALL_OFF = Sql(
    f"""UPDATE dispatch SET state = 'cancelled', reason = :why, due_ms = NULL, ended_ms = :now, version = version + 1,
       resumes = CASE WHEN CAST(:is_kept AS INTEGER) = 1 THEN state ELSE NULL END
    WHERE alarm = :alarm AND state IN ({OPEN_STATES})"""  # noqa: S608  # words of our own
)
_OWN_TRIP_OVER = Sql(
    f"""UPDATE dispatch SET state = 'cancelled', reason = :why, due_ms = NULL, ended_ms = :now, version = version + 1
    WHERE alarm = :alarm AND team IS NULL AND state IN ({OPEN_STATES}) RETURNING id"""  # noqa: S608  # words of our own
)
_WITHDRAW = Sql(
    """UPDATE handover SET state = 'withdrawn', answered_ms = :now WHERE alarm = :alarm AND state = 'offered'"""
)
RETURNED = """owner = NULL, owner_name = NULL, claimed_ms = NULL, lease_until_ms = NULL, handling = 'waiting',
    dispatch = 'none', version = version + 1, undo_until_ms = NULL, undo_by = NULL, undo_to = NULL"""


@dataclass(frozen=True, slots=True)
class Done:
    """What an act has changed: the log's word, and what stands with it. What was typed is sealed there."""

    what: str
    content: Mapping[str, Any] = field(default_factory=dict)


Work = Callable[[AsyncConnection, AlarmView, int], Awaitable[Done | None]]
"""Given the locked alarm and the time. None: nothing had to be changed."""


class Acting:
    """The base of all acts."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup, words: Words) -> None:
        self._words = words
        self._store = store
        self._clock = clock
        self._wakeup = wakeup

    async def _pen(self, connection: AsyncConnection, alarm: AlarmView, now: int) -> Pen:
        """For what somebody writes about an alarm."""
        return await self._words.pen(connection, alarm.resident, alarm.hub, now)

    async def _act(
        self, alarm_id: str, actor: Actor, work: Work, *, version: int | None = None, tell: bool = True
    ) -> AlarmView:
        """One act. With a `version` it is done only to what the actor has seen."""

        async def change(connection: AsyncConnection) -> AlarmView:
            now = self._clock.now_ms()
            alarm = await lock(connection, alarm_id)
            if version is not None and version != alarm.version:
                raise Conflict("stale", state=alarm.stage.word, current=in_short(alarm), yours={"version": version})
            done = await work(connection, alarm, now)
            if done is None:
                return alarm
            await record(connection, alarm, actor, done, now, tell=tell)
            return await load(connection, alarm_id)

        alarm = await self._store.transact(Priority.PEOPLE, change)
        self._wakeup.wake()
        return alarm


async def record(
    connection: AsyncConnection, alarm: AlarmView, actor: Actor, done: Done, now: int, *, tell: bool = True
) -> None:
    """Log, outbox and feed of one act, last of all in its transaction: the locks they take are held until commit."""
    await event_log.append(connection, now, done.what, actor, alarm=alarm.id, hub=alarm.hub, content=done.content)
    if tell and alarm.queue is Queue.PERSONAL:
        await tell_home(connection, alarm.id, alarm.hub, now)
    await feed.publish(connection, now, "alarm", alarm.id, done.what)


def check(alarm: AlarmView, actor: Actor, action: Action) -> None:
    """That this can be done here, and that the actor has the alarm. Raises Conflict."""
    if alarm.owner != actor.id or not alarm.is_open:
        raise refusal(alarm)
    if after(alarm.stage, action) is None:
        raise refusal(alarm, f"not_{action}")


async def sum_up(connection: AsyncConnection, alarm_id: str, now: int, *, is_loud: bool = False) -> None:
    """Those who were sent have changed: what the alarm says of them, and until when nobody has to look after it."""
    rows = await _OPEN.rows(connection, alarm=alarm_id)
    found = furthest(state for state, _ in rows)
    await _SUM_UP.rows(
        connection,
        id=alarm_id,
        dispatch=found.value,
        until=_until(rows, now),
        loud=int(is_loud),
    )
    out = found if found in TRAVELLING else Dispatch.NONE
    await _SUM_UP_WAITING.rows(connection, id=alarm_id, dispatch=out.value, loud=int(is_loud))


async def joins_those_out(connection: AsyncConnection, alarm_id: str, now: int) -> None:
    """Whoever has taken an alarm has those with it who were sent before, by its plan or for whoever had it last.

    Their deadlines hold on, but for those that have passed while nobody had the alarm.
    """
    await _NO_DEADLINE.rows(connection, alarm=alarm_id, now=now)
    rows = await _OPEN.rows(connection, alarm=alarm_id)
    found = furthest(state for state, _ in rows)
    await _SENT_BEFORE.rows(connection, id=alarm_id, dispatch=found.value, until=_until(rows, now))


def _until(rows: Sequence[Row], now: int) -> int:
    """Until when an alarm is its owner's, with those who are out for it: a deadline takes the place of the lease."""
    deadlines = [due for state, due in rows if due is not None and state not in {"sent", "delivered"}]
    return int(max(deadlines, default=now + LEASE_MS))


async def call_off(connection: AsyncConnection, alarm_id: str, now: int, why: str, *, is_kept: bool = False) -> None:
    """Whoever was sent need not go any more, and is told. `is_kept`: an undo may bring them back."""
    out = await patrols.out_for(connection, alarm_id)
    await _CALL_OFF.rows(connection, alarm=alarm_id, now=now, why=why, is_kept=int(is_kept))
    for dispatch in out:
        await patrols.called_off(connection, dispatch, now, is_kept=is_kept)


async def own_trip_over(connection: AsyncConnection, alarm_id: str, now: int, why: str) -> bool:
    """Whoever had the alarm and went, has it no longer. Returns whether somebody went."""
    return bool(await _OWN_TRIP_OVER.rows(connection, alarm=alarm_id, now=now, why=why))


async def let_go(connection: AsyncConnection, alarm: AlarmView, now: int, why: str) -> None:
    """Whoever has it gives it back: with the claim end the offer to hand it over and the trips that hang on it."""
    await _WITHDRAW.rows(connection, alarm=alarm.id, now=now)
    await call_off(connection, alarm.id, now, why)


async def runs_out(connection: AsyncConnection, alarm_id: str, now: int) -> None:
    """A claim ends, and nobody has called off who was sent: they go on.

    What they had promised by when has been acted on. It is no deadline of whoever takes the alarm next.
    """
    await _WITHDRAW.rows(connection, alarm=alarm_id, now=now)
    await _NO_DEADLINE.rows(connection, alarm=alarm_id, now=now)


async def withdraw_offer(connection: AsyncConnection, alarm_id: str, now: int) -> None:
    """The claim goes on or ends otherwise: what was offered is no longer on offer."""
    await _WITHDRAW.rows(connection, alarm=alarm_id, now=now)


async def waits_again(connection: AsyncConnection, alarm: AlarmView, now: int) -> None:
    """Nobody has it: its plan begins anew."""
    if alarm.queue is Queue.PERSONAL:
        await begin(connection, alarm.id, now)


async def is_answered(connection: AsyncConnection, alarm: AlarmView, now: int, by: AnsweredBy) -> None:
    """Somebody has it: what its plan has due ends."""
    if alarm.queue is Queue.PERSONAL:
        await answered(connection, alarm.id, now, by=by)
