"""Folds many faults of one area into an incident, in small steps beside everything else, and ends it with its members.

Nothing is kept in memory: each round asks the database which open faults of the last two minutes are in no incident.
So a restart loses nothing, and several centrals on one database come to the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.errors import NotStoredError
from central.precedence import Precedence
from central.sql import Row, RowsSql, Sql
from central.store import Priority, Store
from central.technical import maintenance
from central.technical.cells import (
    UNFOLDED,
    WINDOW_MS,
    Area,
    Cell,
    Dimension,
    Fault,
    Fold,
    Pace,
    candidates,
    cells_of,
    family,
    verdicts,
)
from central.views import SYSTEM
from central.wakeup import Wakeup
from cloud_sync.identity import new_id

log = structlog.get_logger()

SWEEP_S = 1.0
COUNT_S = 5.0
BATCH = 50
MAX_FAULTS = 20_000
"""Looked at in one round; the next one takes the others."""
PAGE = 200
"""Read at once: to fetch thousands of rows takes the interpreter away from whoever stores an alarm meanwhile."""
USUAL_MS = 24 * 3_600_000
MAX_LOOKED_AT = 50_000

_RECENT = Sql(
    """SELECT a.id, a.kind, a.hub, a.raised_ms, a.unit, a.tenant, a.rank, h.operator, h.software
    FROM alarm a LEFT JOIN hub h ON h.id = a.hub
    WHERE a.queue = 'technical' AND a.closed_ms IS NULL AND a.incident IS NULL AND a.quiet IS NULL
       AND (a.raised_ms, a.id) > (:since, :after) ORDER BY a.raised_ms, a.id LIMIT :limit"""
)
_OPEN = Sql("SELECT cell, kind, last_ms FROM incident WHERE state <> 'closed'")
_SIZE = {
    Dimension.HUB: Sql("SELECT 1 FROM hub WHERE id = :ref"),
    Dimension.UNIT: Sql("SELECT count(*) FROM hub WHERE state = 'active' AND unit = :ref"),
    Dimension.TENANT: Sql("SELECT count(*) FROM hub WHERE state = 'active' AND tenant = :ref"),
    Dimension.OPERATOR: Sql("SELECT count(*) FROM hub WHERE state = 'active' AND operator = :ref"),
    Dimension.SOFTWARE: Sql("SELECT count(*) FROM hub WHERE state = 'active' AND software = :ref"),
}
_IN_CELL = {
    Dimension.HUB: "h.id",
    Dimension.UNIT: "h.unit",
    Dimension.TENANT: "h.tenant",
    Dimension.OPERATOR: "h.operator",
    Dimension.SOFTWARE: "h.software",
}
# By what hubs reported in a day, without what was an incident: else the second storm would be usual.
_BEFORE = {
    dimension: Sql(
        f"""SELECT count(*) FROM (SELECT 1 FROM hub h JOIN alarm a ON a.hub = h.id AND a.raised_ms >= :since
           AND a.raised_ms < :until AND a.queue = 'technical' AND a.incident IS NULL
        WHERE {column} = :ref LIMIT {MAX_LOOKED_AT}) AS found"""  # noqa: S608  # our own names
    )
    for dimension, column in _IN_CELL.items()
}
_GROW = Sql(
    """INSERT INTO incident (id, cell, kind, tenant, unit, state, count, critical, size, still_open, opened_ms, last_ms)
    VALUES (:id, :cell, :kind, :tenant, :unit, 'open', :count, :critical, :size, :count, :now, :last)
    ON CONFLICT (cell, kind) WHERE state <> 'closed' DO UPDATE SET state = 'open', ended_ms = NULL,
       count = incident.count + excluded.count, critical = incident.critical + excluded.critical,
       still_open = incident.still_open + excluded.count, version = incident.version + 1,
       size = CASE WHEN excluded.size > incident.size THEN excluded.size ELSE incident.size END,
       last_ms = CASE WHEN excluded.last_ms > incident.last_ms THEN excluded.last_ms ELSE incident.last_ms END
    RETURNING id"""
)
# Found by id and by nothing else: of what is open there are too many to go through.
_FOLD = RowsSql(
    """UPDATE alarm SET incident = :incident, version = version + 1
    WHERE id IN ({rows}) AND coalesce(closed_ms, 0) = 0 AND incident IS NULL RETURNING id""",
    1,
)
_PLACES = Sql(
    """SELECT min(tenant), max(tenant), count(*), count(tenant) FROM (
        SELECT DISTINCT tenant FROM alarm WHERE id = :first OR id = :last) AS places"""
)
_COUNTED = Sql(
    """SELECT i.id, i.still_open, i.owner, i.cell, i.kind, i.count,
       (SELECT count(*) FROM alarm a WHERE a.incident = i.id AND a.closed_ms IS NULL)
    FROM incident i WHERE i.state = 'open' ORDER BY i.opened_ms"""
)
_SET_OPEN = Sql("UPDATE incident SET still_open = :left WHERE id = :id AND still_open <> :left RETURNING id")
_OVER = Sql(
    """UPDATE incident SET still_open = 0, ended_ms = :now, version = version + 1,
       state = CASE WHEN owner IS NULL THEN 'closed' ELSE 'over' END,
       outcome = CASE WHEN owner IS NULL THEN 'condition_cleared' ELSE outcome END,
       closed_ms = CASE WHEN owner IS NULL THEN :now ELSE closed_ms END,
       closed_by = CASE WHEN owner IS NULL THEN :closed_by ELSE closed_by END
    WHERE id = :id AND state = 'open' RETURNING state"""
)
_CLOSED_WITH_MEMBERS = Sql(
    """SELECT i.id, i.closed_by, i.outcome, i.owner, i.closed_ms FROM incident i
    WHERE i.state = 'closed' AND i.still_open > 0 ORDER BY i.closed_ms LIMIT 1"""
)
_MEMBERS = Sql(
    """SELECT id, hub FROM alarm WHERE incident = :incident AND closed_ms IS NULL AND queue = 'technical'
    ORDER BY rank, id LIMIT :limit"""
)
# Who has one by name keeps it; whatever came after the incident was closed is not about that outcome.
_CLOSE_MEMBER = Sql(
    """UPDATE alarm SET handling = 'closed', closed_ms = :now, closed_by = :closed_by, disposition = 'resolved',
       outcome = :outcome, version = version + 1, lease_until_ms = NULL
    WHERE id = :id AND queue = 'technical' AND closed_ms IS NULL AND handling = 'waiting' RETURNING id"""
)
_LET_GO = Sql("UPDATE alarm SET incident = NULL, version = version + 1 WHERE id = :id AND closed_ms IS NULL")
_EMPTIED = Sql("UPDATE incident SET still_open = 0 WHERE id = :id")


class Folding:
    """The rounds of one central."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup, precedence: Precedence | None = None) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._precedence = precedence or Precedence()
        self._counted_s = float("-inf")
        self._areas: dict[Cell, tuple[int, Area]] = {}

    async def run(self) -> None:
        """A round a second, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except NotStoredError as error:
                log.warning("incidents_not_stored", reason=str(error))

    async def sweep(self) -> int:
        """One round: announced work ends, faults are folded, incidents end. Returns how many faults were folded."""
        if await maintenance.end_due(self._store, self._clock.now_ms()):
            self._wakeup.wake()
        folded = 0
        for fold, areas in await self._found():
            folded += await self._fold(fold, areas.get(fold.cell, Area()))
        if self._clock.mono_s() - self._counted_s >= COUNT_S:
            self._counted_s = self._clock.mono_s()
            await self._count()
        await self._close_members()
        return folded

    # ------------------------------------------------------------------------------------------------ folding

    async def _found(self) -> list[tuple[Fold, dict[Cell, Area]]]:
        now = self._clock.now_ms()
        recent = await self._recent(now - WINDOW_MS)
        rows = await self._store.ask(_OPEN) if recent else []
        opened = {(Cell.parse(cell), kind): last_ms for cell, kind, last_ms in rows}
        # In a storm there are thousands: the loop has alarms to take meanwhile.
        faults, asked = await asyncio.to_thread(_asked, recent, now, self._precedence.calmly)
        if not faults or not (asked or opened):
            return []
        areas = {cell: await self._area(cell, now) for cell in sorted(asked)}
        found = await asyncio.to_thread(verdicts, faults, areas, now, opened, self._precedence.calmly)
        return [(fold, areas) for fold in found]

    async def _recent(self, since: int) -> list[Row]:
        """From the oldest on. What comes meanwhile is at the end of it."""
        recent: list[Row] = []
        after = ""
        while len(recent) < MAX_FAULTS:
            await self._precedence.give_way()
            page = await self._store.ask(_RECENT, since=since, after=after, limit=PAGE)
            recent += page
            if len(page) < PAGE:
                break
            after, _, _, since = page[-1][:4]
        return recent

    async def _area(self, cell: Cell, now: int) -> Area:
        known = self._areas.get(cell)
        if known is not None and now - known[0] < WINDOW_MS:
            return known[1]

        async def look(connection: AsyncConnection) -> Area:
            since, until = now - USUAL_MS, now - 2 * WINDOW_MS
            size = await _SIZE[cell.dimension].value(connection, ref=cell.ref)
            before = await _BEFORE[cell.dimension].value(connection, ref=cell.ref, since=since, until=until)
            return Area(size=int(size or 0), usual=before * WINDOW_MS / (until - since))

        area = await self._store.fetch(look)
        if len(self._areas) > 1000:
            self._areas.clear()
        self._areas[cell] = (now, area)
        return area

    async def _fold(self, fold: Fold, area: Area) -> int:
        """In short transactions, those at critical residents first. What was closed or folded meanwhile is left out."""
        count = 0
        for at in range(0, len(fold.faults), BATCH):
            batch = fold.faults[at : at + BATCH]

            async def work(connection: AsyncConnection, batch: Sequence[Fault] = batch) -> int:
                return await self._write(connection, fold, area, batch)

            await self._precedence.give_way()
            count += await self._store.transact(Priority.UPKEEP, work)
            self._wakeup.wake()
        return count

    async def _write(self, connection: AsyncConnection, fold: Fold, area: Area, batch: Sequence[Fault]) -> int:
        now = self._clock.now_ms()
        wanted = new_id().hex()
        tenant, unit = await self._place(connection, fold)
        incident = await _GROW.value(
            connection,
            id=wanted,
            cell=fold.cell.text,
            kind=fold.family,
            tenant=tenant,
            unit=unit,
            count=len(batch),
            critical=sum(fault.is_critical for fault in batch),
            size=area.size,
            now=now,
            last=max(fault.raised_ms for fault in batch),
        )
        taken = await _FOLD.rows(connection, sorted((fault.alarm,) for fault in batch), incident=incident)
        if incident == wanted:
            content = {"cell": fold.cell.text, "kind": fold.family, "incident": incident}
            await event_log.append(connection, now, "incident_opened", SYSTEM, content=content)
        await feed.publish(connection, now, "incident", incident, "opened" if incident == wanted else "grew")
        return len(taken)

    async def _place(self, connection: AsyncConnection, fold: Fold) -> tuple[str | None, str | None]:
        """The tenant and unit that all of it lies in."""
        first, last = fold.faults[0].alarm, fold.faults[-1].alarm
        row = await _PLACES.one(connection, first=first, last=last)
        one_tenant = row[0] if row and row[0] == row[1] and row[2] == row[3] else None
        match fold.cell.dimension:
            case Dimension.UNIT:
                return one_tenant, fold.cell.ref
            case Dimension.TENANT:
                return fold.cell.ref, None
            case Dimension.HUB:
                return one_tenant, None
        return None, None  # an operator and a program know no municipal border

    # ------------------------------------------------------------------------------------------------ ending

    async def _count(self) -> None:
        rows = await self._store.ask(_COUNTED)
        for incident, before, _, cell, kind, total, left in rows:
            if left == before and left:
                continue

            async def work(
                connection: AsyncConnection,
                incident: str = incident,
                left: int = left,
                cell: str = cell,
                kind: str = kind,
                total: int = total,
            ) -> None:
                now = self._clock.now_ms()
                if left:
                    if await _SET_OPEN.one(connection, id=incident, left=left):
                        await feed.publish(connection, now, "incident", incident, "shrank")
                    return
                state = await _OVER.value(connection, id=incident, now=now, closed_by=SYSTEM.name)
                if state is None:
                    return
                content = {"cell": cell, "kind": kind, "incident": incident, "count": total}
                await event_log.append(connection, now, "incident_over", SYSTEM, content=content)
                await feed.publish(connection, now, "incident", incident, state)

            await self._store.transact(Priority.UPKEEP, work)
            self._wakeup.wake()

    async def _close_members(self) -> None:
        """What is left open under an incident that a person closed: closed with its outcome, a few at a time."""
        while found := await self._store.ask(_CLOSED_WITH_MEMBERS):
            incident, closed_by, outcome, _, _ = found[0]

            async def work(
                connection: AsyncConnection,
                incident: str = incident,
                closed_by: str = closed_by,
                outcome: str = outcome,
            ) -> int:
                now = self._clock.now_ms()
                members = await _MEMBERS.rows(connection, incident=incident, limit=BATCH)
                for alarm, hub in members:
                    if await _CLOSE_MEMBER.one(connection, id=alarm, now=now, closed_by=closed_by, outcome=outcome):
                        content = {"incident": incident, "outcome": outcome, "by": closed_by}
                        await event_log.append(
                            connection, now, "closed_with_incident", SYSTEM, alarm=alarm, hub=hub, content=content
                        )
                    else:
                        await _LET_GO.rows(connection, id=alarm)
                if not members:
                    await _EMPTIED.rows(connection, id=incident)
                await feed.publish(connection, now, "incident", incident, "members_closed")
                return len(members)

            await self._precedence.give_way()
            await self._store.transact(Priority.BULK, work)
            self._wakeup.wake()


def _asked(recent: Sequence[Row], now: int, pace: Pace) -> tuple[list[Fault], set[Cell]]:
    faults = [_fault(row) for row in pace(recent) if row[1] not in UNFOLDED]
    return faults, candidates(pace(faults), now)


def _fault(row: Row) -> Fault:
    alarm, kind, hub, raised_ms, unit, tenant, rank, operator, software = row
    return Fault(
        alarm=alarm,
        family=family(kind),
        hub=hub,
        raised_ms=raised_ms,
        cells=cells_of(hub, unit, tenant, operator or "", software or ""),
        is_critical=rank <= 4,
    )
