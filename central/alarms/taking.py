"""Taking an alarm: one statement, so that of many who try one gets it; what was due for it ends with it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import is_answered, joins_those_out, runs_out, sum_up
from central.escalation.begin import AnsweredBy
from central.lifecycle import LEASE_MS, UNDO_MS, Handling
from central.sql import Sql
from central.views import KIN, Actor, AlarmView

# Next of kin who said by SMS that they go have the alarm; whoever answers for it at a console takes it from them.
_CLAIM = Sql(
    f"""UPDATE alarm SET owner = :owner, owner_name = :owner_name, claim_no = claim_no + 1, handling = 'claimed',
       dispatch = 'none', claimed_ms = :now, first_claimed_ms = coalesce(first_claimed_ms, :now),
       lease_until_ms = :until, deferred_visit = NULL, deferred_until_ms = NULL, version = version + 1,
       undo_by = :owner, undo_to = 'waiting',
       undo_until_ms = CASE WHEN handling = 'deferred' OR owner LIKE '{KIN}%' THEN NULL
         ELSE CAST(:undo AS BIGINT) END
    WHERE id = :id AND closed_ms IS NULL AND (owner IS NULL OR lease_until_ms < :now
      OR (owner LIKE '{KIN}%' AND owner <> :owner)) RETURNING hub"""  # noqa: S608  # a word of our own
)


async def take(
    connection: AsyncConnection, alarm: AlarmView, actor: Actor, now: int, *, by: AnsweredBy = "claimed"
) -> bool:
    """Returns whether the actor has it now."""
    row = await _CLAIM.one(
        connection,
        id=alarm.id,
        owner=actor.id,
        owner_name=actor.name,
        now=now,
        until=now + LEASE_MS,
        undo=now + UNDO_MS,
    )
    if row is None:
        return False
    if alarm.stage.handling is not Handling.CLAIMED:
        await joins_those_out(connection, alarm.id, now)
    elif (alarm.lease_until_ms or 0) < now:
        await runs_out(connection, alarm.id, now)
        await joins_those_out(connection, alarm.id, now)
    else:
        await sum_up(connection, alarm.id, now)  # next of kin go all the same
    await is_answered(connection, alarm, now, by)
    return True
