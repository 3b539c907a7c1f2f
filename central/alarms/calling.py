"""Attempts to reach somebody by telephone: the call itself is outside, who was tried and what came of it is kept."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Acting, Done
from central.alarms.rows import refusal
from central.errors import IncompleteError
from central.sql import Sql
from central.views import Actor, AlarmView
from cloud_sync.identity import new_id

CALLED = ("resident", "contact", "team", "emergency")
RESULTS = ("answered", "no_answer", "wrong_number", "busy")

_CALL = Sql(
    """INSERT INTO call_attempt (id, alarm, called, contact, result, at_ms, actor, actor_name)
    VALUES (:id, :alarm, :called, :contact, :result, :now, :actor, :actor_name)"""
)
_CONTACT = Sql("SELECT 1 FROM contact WHERE id = :id AND resident = :resident")
_CHANGED = Sql("UPDATE alarm SET version = version + 1 WHERE id = :id")


class Calling(Acting):
    """Whom people tried to reach."""

    async def call(self, alarm_id: str, actor: Actor, called: str, contact: str = "", result: str = "") -> AlarmView:
        """Somebody was called. `contact` names one of the resident's. Raises IncompleteError, Conflict."""
        if called not in CALLED:
            raise IncompleteError("called_missing", "called", CALLED)
        if result not in RESULTS:
            raise IncompleteError("result_missing", "result", RESULTS)

        async def work(connection: AsyncConnection, alarm: AlarmView, now: int) -> Done:
            if not alarm.is_open:
                raise refusal(alarm)
            is_theirs = contact and await _CONTACT.one(connection, id=contact, resident=alarm.resident or "")
            if contact and (called != "contact" or not is_theirs):
                raise IncompleteError("contact_unknown", "contact")
            await _CALL.rows(
                connection,
                id=new_id().hex(),
                alarm=alarm_id,
                called=called,
                contact=contact or None,
                result=result,
                now=now,
                actor=actor.id,
                actor_name=actor.name,
            )
            await _CHANGED.rows(connection, id=alarm_id)
            return Done("called", {"called": called, "result": result} | ({"contact": contact} if contact else {}))

        return await self._act(alarm_id, actor, work, tell=False)
