"""A call-out as a row: taken, given up by whoever had it, hastened, over; and who was called is told, once.

Parts of the transactions of whoever holds the clock, an answer or a carrier. The row is locked by its fence: of a step
that is due and an answer that comes at the same time, one is first, and the other sees what it did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.escalation.receivers import Receiver
from central.escalation.telling import tell
from central.sql import Row, Sql
from central.views import SYSTEM, Actor

WHAT, TAKEN, OVER = "fault_waits", "fault_taken", "fault_over"
BY_SMS, BY_CONSOLE = "sms", "console"

_NAMES = (
    "id", "team", "tenant", "alarm", "state", "round", "no", "fence", "due_ms", "began_ms", "round_ms", "unanswered_ms",
    "answered_ms", "answered_by", "answered_name", "answered_via", "ended_ms",
)  # fmt: skip
_COLUMNS = ", ".join(_NAMES)
_OPEN = Sql(f"SELECT {_COLUMNS} FROM call_out WHERE ended_ms IS NULL ORDER BY id")  # noqa: S608  # our own names
_LOCK = Sql(f"UPDATE call_out SET fence = fence + 1 WHERE id = :id RETURNING {_COLUMNS}")  # noqa: S608
_ANSWERED = Sql(
    """UPDATE call_out SET state = 'answered', answered_ms = :now, answered_by = :by, answered_name = :name,
       answered_via = :via, due_ms = :due, unanswered_ms = NULL WHERE id = :id"""
)
_GIVEN_BACK = Sql(
    """UPDATE call_out SET state = 'running', due_ms = :now, answered_ms = NULL, answered_by = NULL,
       answered_name = NULL, answered_via = NULL WHERE id = :id"""
)
_ENDED = Sql("UPDATE call_out SET state = 'over', ended_ms = :now WHERE id = :id")
_SILENCE = Sql(
    """UPDATE notification SET state = 'cancelled', fence = fence + 1
    WHERE call_out = :id AND state = 'pending' AND what = 'fault_waits'"""
)
# By whichever way they were called: an answer by SMS counts for the letter too.
_SAID_NO = """EXISTS (SELECT 1 FROM notification m WHERE m.call_out = n.call_out AND m.round = n.round
    AND m.step = n.step AND m.answer = 'no' AND coalesce(m.account, m.team) = coalesce(n.account, n.team))"""
# Each in the round in which they were called last: who was told then that it is over is not told again.
_TOLD = Sql(
    f"""SELECT n.channel, n.team, n.account, n.language, max(n.round) FROM notification n
    WHERE n.call_out = :id AND n.what = 'fault_waits'
      AND n.state IN ('sent', 'unconfirmed', 'delivered', 'failed') AND NOT {_SAID_NO}
    GROUP BY n.channel, n.team, n.account, n.language ORDER BY n.channel, n.account"""  # noqa: S608  # our own names
)
_HASTEN = Sql(
    f"""UPDATE call_out SET due_ms = :now, fence = fence + 1
    WHERE id = :id AND round = :round AND no = :no AND state = 'running' AND due_ms > :now AND NOT EXISTS
      (SELECT 1 FROM notification n WHERE n.call_out = :id AND n.round = :round AND n.step = :no
       AND n.what = 'fault_waits' AND n.state IN ('pending', 'sent', 'unconfirmed', 'delivered') AND NOT {_SAID_NO})
    RETURNING id"""  # noqa: S608
)
_HUB = Sql("SELECT hub FROM alarm WHERE id = :alarm")
_ALARM = Sql("SELECT alarm FROM call_out WHERE id = :id")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOutRow:
    """One of them, as it is kept."""

    id: str
    team: str
    tenant: str | None
    alarm: str
    state: str
    round: int
    no: int
    fence: int
    due_ms: int
    began_ms: int
    round_ms: int | None
    unanswered_ms: int | None
    answered_ms: int | None
    answered_by: str | None
    answered_name: str | None
    answered_via: str | None
    ended_ms: int | None


def _row(row: Row) -> CallOutRow:
    return CallOutRow(**dict(zip(_NAMES, row, strict=True)))


async def open_rows(connection: AsyncConnection) -> list[CallOutRow]:
    """All that are not over; at most one of each team."""
    return [_row(row) for row in await _OPEN.rows(connection)]


async def lock(connection: AsyncConnection, call_out: str) -> CallOutRow | None:
    """As it is now, until the transaction ends."""
    row = await _LOCK.one(connection, id=call_out)
    return None if row is None else _row(row)


async def alarm_of(connection: AsyncConnection, call_out: str) -> str:
    """The most urgent fault of a call-out, when somebody was called last."""
    return str(await _ALARM.value(connection, id=call_out))


async def answer(
    connection: AsyncConnection, row: CallOutRow, now: int, *, by: str, name: str, via: str, until_ms: int
) -> None:
    """Somebody has it: nobody else is called, and those who were are told. After `until_ms` it is looked at again."""
    await _ANSWERED.rows(connection, id=row.id, now=now, by=by, name=name[:128], via=via, due=until_ms)
    await _SILENCE.rows(connection, id=row.id)
    await tell_end(connection, row, TAKEN, now, but=by)
    actor = Actor(id=by, name=name, role="technician")
    await note(connection, row, "call_out_answered", now, {"channel": via}, actor)


async def give_back(connection: AsyncConnection, row: CallOutRow, now: int) -> None:
    """Whoever had answered cannot after all: the next one is called at once."""
    await _GIVEN_BACK.rows(connection, id=row.id, now=now)


async def end(connection: AsyncConnection, row: CallOutRow, now: int) -> None:
    """Nothing waits any more, and nobody has anything of it. Who took it at a console knows that."""
    await _ENDED.rows(connection, id=row.id, now=now)
    await _SILENCE.rows(connection, id=row.id)
    if row.round:
        await tell_end(connection, row, OVER, now, but=row.answered_by if row.answered_via == BY_CONSOLE else None)
        await note(connection, row, "call_out_over", now, {})


async def hasten(connection: AsyncConnection, call_out: str, number: int, step: int, now: int) -> bool:
    """Of those who were called by this step nobody can come or be told: the next one is due."""
    return await _HASTEN.one(connection, id=call_out, round=number, no=step, now=now) is not None


async def tell_end(
    connection: AsyncConnection, row: CallOutRow, what: str, now: int, *, but: str | None = None
) -> None:
    """Whoever was called hears that they need not do anything. Once for each time they were called."""
    for channel, team, account, language, number in await _TOLD.rows(connection, id=row.id):
        if but is not None and but in {account, team if account is None else None}:
            continue
        key = f"call-out:{row.id}:{number}:end:{channel}:{account or team}"
        to = Receiver(team=team, language=language)
        await tell(
            connection, key, to, channel, what, now, alarm=row.alarm, account=account, call_out=row.id,
            number=number,
        )  # fmt: skip


async def was_said(connection: AsyncConnection, call_out: str, now: int) -> None:
    """Something was said that was called off while it was on its way: it is taken back, if all is over or taken."""
    row = await lock(connection, call_out)
    if row is not None and row.state == "over":
        await tell_end(connection, row, OVER, now)
    elif row is not None and row.state == "answered":
        await tell_end(connection, row, TAKEN, now, but=row.answered_by)


async def note(
    connection: AsyncConnection,
    row: CallOutRow,
    what: str,
    now: int,
    content: Mapping[str, object],
    actor: Actor = SYSTEM,
) -> None:
    """Last of all in a transaction: it goes into the alarm's history, and consoles look again."""
    hub = await _HUB.value(connection, alarm=row.alarm)
    told = {"team": row.team, "round": row.round, **content}
    await event_log.append(connection, now, what, actor, alarm=row.alarm, hub=hub or None, content=told)
    await feed.publish(connection, now, "alarm", row.alarm, what)
