"""Judging an alarm by one of the tenant's criteria, while working on it or when ending it."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Acting, Done
from central.alarms.rows import refusal
from central.errors import IncompleteError
from central.lifecycle import Queue
from central.routines.criteria import current, parsed, ref_of
from central.routing.services import service_of
from central.sql import Sql
from central.views import Actor, AlarmView

_SET = Sql("UPDATE alarm SET criterion = :criterion, version = version + 1 WHERE id = :id")
_GOES = Sql(
    """SELECT 1 FROM dispatch WHERE alarm = :alarm AND account = :account
       AND state IN ('accepted', 'on_the_way', 'on_site')"""
)


class Judging(Acting):
    """How serious it is, in the tenant's own words."""

    async def judge(self, alarm_id: str, actor: Actor, criterion: str, *, version: int | None = None) -> AlarmView:
        """Choose a criterion by its code; nothing takes it back. For who has the alarm, or goes there.

        Raises IncompleteError, Conflict.
        """

        async def work(connection: AsyncConnection, alarm: AlarmView, _now: int) -> Done | None:
            if not alarm.is_open:
                raise refusal(alarm)
            if alarm.owner != actor.id and not await goes_there(connection, alarm, actor):
                raise refusal(alarm)
            ref = await chosen(connection, alarm, criterion)
            if ref == alarm.criterion:
                return None
            await put(connection, alarm, ref)
            return Done("criterion_chosen", {"criterion": ref}) if ref else Done("criterion_taken_back")

        return await self._act(alarm_id, actor, work, version=version, tell=False)


async def goes_there(connection: AsyncConnection, alarm: AlarmView, actor: Actor) -> bool:
    """Whether somebody has said yes to going to the resident of this alarm."""
    return await _GOES.one(connection, alarm=alarm.id, account=actor.id) is not None


async def chosen(connection: AsyncConnection, alarm: AlarmView, code: str) -> str:
    """How the alarm is to name the criterion with this code. Raises IncompleteError with those there are."""
    if not code:
        return ""
    found = parsed(alarm.criterion)
    if found is not None and found[1] == code:
        return alarm.criterion  # as it was worded when it was chosen
    row = await current(connection, alarm.tenant)
    fitting = () if alarm.queue is Queue.TECHNICAL else row.content.of_service(service_of(alarm.kind.word))
    one = next((one for one in fitting if one.code == code), None)
    if one is None:
        raise IncompleteError("criterion_unknown", "criterion", tuple(one.code for one in fitting))
    return ref_of(row, one)


async def put(connection: AsyncConnection, alarm: AlarmView, ref: str) -> None:
    """Write it down."""
    await _SET.rows(connection, id=alarm.id, criterion=ref)
