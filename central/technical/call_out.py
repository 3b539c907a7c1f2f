"""Calling the technicians out: a fault that cannot wait and that nobody has taken reaches their duty telephone.

Such faults are those of rank 4: at a critical resident, or in what carries alarms. Their team is told by SMS and
e-mail, once for all that waits by then, and again for as long as nobody takes it. All other faults wait for the day.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.rows import LOUD
from central.clock import Clock
from central.escalation.receivers import team_of
from central.escalation.telling import tell
from central.routing.plan import Channel
from central.sql import Sql
from central.store import Priority, Store
from central.technical.duty import duty_book
from central.wakeup import Wakeup

log = structlog.get_logger()

FIRST_MS = 5 * 60_000
"""A technician at a console has so long before the telephone rings; what comes later rings no sooner than after it."""
AGAIN_MS = 30 * 60_000
"""After so long the same faults are told again."""
WHAT = "fault_waits"
_MOST = 500

_FAULTS = Sql(
    f"""SELECT a.id, a.tenant, a.unit, a.raised_ms FROM alarm a
    WHERE {LOUD} AND a.rank <= 4 AND a.handling = 'waiting' AND a.raised_ms <= :before
    ORDER BY a.rank, a.raised_ms, a.id LIMIT :limit"""  # noqa: S608  # our own names
)
_INCIDENTS = Sql(
    """SELECT (SELECT a.id FROM alarm a WHERE a.incident = i.id AND a.closed_ms IS NULL
         ORDER BY a.rank, a.raised_ms, a.id LIMIT 1), i.tenant, i.unit, i.opened_ms
    FROM incident i WHERE i.state = 'open' AND i.owner IS NULL AND i.critical > 0 AND i.opened_ms <= :before
    ORDER BY i.opened_ms, i.id LIMIT :limit"""
)
_TOLD = Sql("SELECT at_ms FROM audit_mark WHERE name = :name")
_TELL = Sql(
    """INSERT INTO audit_mark (name, at_ms) VALUES (:name, :now)
    ON CONFLICT (name) DO UPDATE SET at_ms = excluded.at_ms WHERE audit_mark.at_ms = :told RETURNING name"""
)


@dataclass(slots=True, kw_only=True)
class _Waits:
    """What waits for one team: the most urgent of it, and when the newest came."""

    alarm: str
    tenant: str | None
    newest_ms: int


class CallOut:
    """The call-outs of one database. Any number of processes may look; one of them tells."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup

    async def look(self) -> int:
        """Tell every team that has waited for long enough. Returns how many. Raises NotStoredError."""
        waiting = await self._store.fetch(self._waiting)
        told = 0
        for team, waits in waiting.items():

            async def work(connection: AsyncConnection, team: str = team, waits: _Waits = waits) -> bool:
                return await _tell(connection, team, waits, self._clock.now_ms())

            told += await self._store.transact(Priority.UPKEEP, work)
        if told:
            log.info("technicians_called_out", teams=told)
            self._wakeup.wake()
        return told

    async def _waiting(self, connection: AsyncConnection) -> dict[str, _Waits]:
        when = {"before": self._clock.now_ms() - FIRST_MS, "limit": _MOST}
        rows = [*await _FAULTS.rows(connection, **when), *await _INCIDENTS.rows(connection, **when)]
        found: dict[str, _Waits] = {}
        if not rows:
            return found
        book = await duty_book(connection)
        for alarm, tenant, unit, raised_ms in rows:
            contact = book.of(tenant, unit)
            if alarm is None or contact is None or not (contact.phone or contact.email):
                continue
            waits = found.setdefault(contact.team, _Waits(alarm=alarm, tenant=tenant, newest_ms=raised_ms))
            waits.newest_ms = max(waits.newest_ms, raised_ms)
        return found


async def _tell(connection: AsyncConnection, team: str, waits: _Waits, now: int) -> bool:
    name = f"faults:{team}"
    told = await _TOLD.value(connection, name=name)
    if told is not None and told <= now:  # one that was written under another clock holds nothing up
        is_new = waits.newest_ms > told - FIRST_MS
        if now - told < (FIRST_MS if is_new else AGAIN_MS):
            return False
    if not await _TELL.one(connection, name=name, now=now, told=told):
        return False
    for one in await team_of(connection, team, waits.tenant):
        for channel in (Channel.SMS, Channel.EMAIL):
            if one.can_be_told(channel):
                key = f"{name}:{now}:{channel.value}"
                await tell(connection, key, one, channel, WHAT, now, alarm=waits.alarm)
    return True
