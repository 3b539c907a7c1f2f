"""A note on an alarm while it is open: what was seen or agreed, before anybody knows what it turns out to be."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Acting, Done
from central.alarms.judging import goes_there
from central.alarms.rows import refusal
from central.errors import IncompleteError
from central.people.words import typed_in_log
from central.sql import Sql
from central.views import Actor, AlarmView

MAX_NOTED = 1000

_CHANGED = Sql("UPDATE alarm SET version = version + 1 WHERE id = :id")


class Noting(Acting):
    """Notes are only ever added: each stands in the history with its author and time, sealed as all that is typed."""

    async def note(
        self, alarm_id: str, actor: Actor, text: str, *, is_lead: bool = False, version: int | None = None
    ) -> AlarmView:
        """For who has the alarm or goes there, and for a lead. Raises IncompleteError, Conflict."""
        said = "\n".join(line.rstrip() for line in text.strip().splitlines())
        if not said:
            raise IncompleteError("note_missing", "note")
        if len(said) > MAX_NOTED:
            raise IncompleteError("note_too_long", "note")

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            if not alarm.is_open:
                raise refusal(alarm)
            if not is_lead and alarm.owner != actor.id and not await goes_there(connection, alarm, actor):
                raise refusal(alarm)
            pen = await self._pen(connection, alarm, now)
            await _CHANGED.rows(connection, id=alarm_id)
            return Done("noted", {"note": pen.seal(typed_in_log(alarm.id), said)})

        return await self._act(alarm_id, actor, work, version=version, tell=False)
