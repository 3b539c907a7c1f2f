"""Looking at alarms: queues, one alarm with its history, how long it took, and that a console shows it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import EVERYTHING, IN_SCOPE, Scope
from central.alarms.acting import Acting
from central.alarms.rows import ORDERS, SELECT, calls_of, load, open_in, open_offer, sent_of, view
from central.errors import NotFoundError
from central.escalation import screens
from central.lifecycle import Queue
from central.opened import OpenAlarms
from central.sql import Sql
from central.store import Priority
from central.views import SYSTEM, AlarmDetail, AlarmView, Journey

MAX_CONSOLE = 64

# Which they are is decided on ids alone; only those that are shown are read whole.
_QUEUES = {
    queue: Sql(
        f"""{SELECT} WHERE a.id IN (SELECT a.id FROM alarm a WHERE {open_in(queue)} AND {IN_SCOPE("a")}
           ORDER BY {order} LIMIT :limit) ORDER BY a.rank, a.lifted DESC, a.raised_ms, a.id"""  # noqa: S608  # words of our own
    )
    for queue, order in ORDERS.items()
}
_RECENT = Sql(
    f"""{SELECT} WHERE a.id IN (SELECT a.id FROM alarm a WHERE a.queue = :queue AND a.closed_ms IS NOT NULL
       AND {IN_SCOPE("a")} ORDER BY a.closed_ms DESC, a.id LIMIT :limit) ORDER BY a.closed_ms DESC, a.id"""  # noqa: S608  # words of our own
)
_DIGEST = Sql(f"SELECT id, version, tenant, unit FROM alarm a WHERE {open_in(Queue.PERSONAL)}")  # noqa: S608  # words of our own
_NOT_SHOWN = Sql("SELECT 1 FROM alarm WHERE id = :id AND shown_ms IS NULL")
_HUB = Sql("SELECT hub FROM alarm WHERE id = :id")
_SHOWN = Sql("UPDATE alarm SET shown_ms = :now WHERE id = :id AND shown_ms IS NULL RETURNING hub")
_JOURNEY = Sql(
    """SELECT a.happened_ms, a.committed_ms, a.shown_ms, a.first_claimed_ms, a.reassured_ms,
       t.judged_ms, t.durable_ms, t.sent_ms, t.receipt_ms
    FROM alarm a LEFT JOIN alarm_event e ON e.alarm = a.id AND e.role = 'raised'
    LEFT JOIN trace t ON t.hub = e.hub AND t.epoch = e.epoch AND t.lane = e.lane AND t.seq = e.seq
    WHERE a.id = :id ORDER BY e.happened_ms LIMIT 1"""
)


class Looking(Acting):
    """What can be seen."""

    async def queue(
        self, queue: Queue = Queue.PERSONAL, *, limit: int = 500, scope: Scope = EVERYTHING
    ) -> Sequence[AlarmView]:
        """Open alarms, most urgent first: by rank, then lifted, then age. Taken and deferred ones are among them."""
        rows = await self._store.ask(_QUEUES[queue], limit=limit, **scope.parameters)
        return [view(row) for row in rows]

    async def recent(
        self, queue: Queue | None = None, *, limit: int = 50, scope: Scope = EVERYTHING
    ) -> Sequence[AlarmView]:
        """Closed alarms of a queue, or of all, newest first."""

        async def look(connection: AsyncConnection) -> list[AlarmView]:
            found = []
            for one in Queue if queue is None else [queue]:
                rows = await _RECENT.rows(connection, queue=one.value, limit=limit, **scope.parameters)
                found += [view(row) for row in rows]
            return sorted(found, key=lambda alarm: (-(alarm.closed_ms or 0), alarm.id))[:limit]

        return await self._store.fetch(look)

    async def alarm(self, alarm_id: str) -> AlarmDetail:
        """One alarm with its history, who was sent, what is offered and who was called. Raises NotFoundError."""

        async def look(connection: AsyncConnection) -> AlarmDetail:
            return AlarmDetail(
                alarm=await load(connection, alarm_id),
                timeline=await event_log.timeline(connection, alarm_id),
                sent=await sent_of(connection, alarm_id),
                offer=await open_offer(connection, alarm_id),
                calls=await calls_of(connection, alarm_id),
            )

        return await self._store.fetch(look)

    async def journey(self, alarm_id: str) -> Journey:
        """How long each step took. Raises NotFoundError.

        `judged` to `receipt` are the hub's own measurements from the moment it heard the device; `committed` and on
        are central's clock against the time of the press as corrected to it, so a network's delay is in them.
        """
        row = await self._store.fetch(lambda connection: _JOURNEY.one(connection, id=alarm_id))
        if row is None:
            raise NotFoundError("alarm", alarm_id)
        pressed, committed, shown, taken, reassured, *hub_steps = row
        steps: dict[str, float | None] = {"pressed": 0.0}
        steps |= dict(zip(("judged", "durable", "sent", "receipt"), hub_steps, strict=True))
        for name, at_ms in (("committed", committed), ("shown", shown), ("taken", taken), ("reassured", reassured)):
            steps[name] = None if at_ms is None else float(at_ms - pressed)
        return Journey(alarm=alarm_id, pressed_ms=pressed, steps=steps)

    async def opened(self) -> OpenAlarms:
        """The open personal alarms, as beats tell of them."""
        return OpenAlarms(await self._store.ask(_DIGEST))

    async def mark_shown(self, alarm_id: str, console_id: str, account: str = "") -> None:
        """A console with a person before it has this alarm on screen. The first one counts for the alarm.

        What the consoles of this person were sent about it has arrived. Saying it again changes nothing.
        """

        async def is_new(connection: AsyncConnection) -> bool:
            return (await _NOT_SHOWN.one(connection, id=alarm_id)) is not None or await screens.has_something_new(
                connection, alarm_id, account
            )

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            row = await _SHOWN.one(connection, id=alarm_id, now=now)
            if row is not None:
                content = {"console": console_id[:MAX_CONSOLE]}
                await event_log.append(connection, now, "shown", SYSTEM, alarm=alarm_id, hub=row[0], content=content)
            await screens.shown(connection, alarm_id, await _HUB.value(connection, id=alarm_id), account, now)

        if await self._store.fetch(is_new):
            await self._store.transact(Priority.PEOPLE, work)
