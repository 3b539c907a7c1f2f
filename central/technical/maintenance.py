"""Announced work and absence, each with an end: technical alarms of the place wait quietly, and come back.

Quiet is a mark on the alarm, never a closed one: what still stands when the time is over is in the queue again.
Nothing personal is ever quiet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.access import IN_SCOPE, ElsewhereNamedError, Scope
from central.clock import Clock
from central.errors import IncompleteError, NotFoundError
from central.people.words import Pen, Words, maintenance_why
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM, Actor, Legible
from central.wakeup import Wakeup
from cloud_sync.identity import new_id

LONGEST_MS = 366 * 24 * 3_600_000
MAX_WHY = 128
_BATCH = 50
_BEGUN_MS = 60_000


class Reach(StrEnum):
    """What a maintenance or absence is about."""

    TENANT = "tenant"
    UNIT = "unit"
    HUB = "hub"
    DEVICE = "device"
    RESIDENT = "resident"


class Sort(StrEnum):
    """Why it is quiet."""

    MAINTENANCE = "maintenance"
    ABSENCE = "absence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One maintenance or absence."""

    id: str
    reach: Reach
    ref: str
    sort: Sort
    from_ms: int
    to_ms: int
    why: str
    written_by: str
    written_name: str
    ended_ms: int | None
    tenant: str | None
    unit: str | None
    quiet: int = 0
    name: str = ""
    words: Legible = Legible.NOTHING

    def is_running(self, now: int) -> bool:
        """Whether it holds now."""
        return self.ended_ms is None and self.from_ms <= now < self.to_ms


_ROW = (
    "m.id, m.scope, m.ref, m.kind, m.from_ms, m.to_ms, m.why, m.written_by, m.written_name, m.ended_ms,"
    " m.tenant, m.unit"
)
# A unit covers what lies in it, and in units of it.
_COVERS = """m.ended_ms IS NULL AND m.from_ms <= :now AND m.to_ms > :now AND (
       (m.scope = 'hub' AND m.ref = a.hub) OR (m.scope = 'device' AND m.ref = a.hub || ':' || a.device)
       OR (m.scope = 'tenant' AND m.ref = a.tenant) OR (m.scope = 'resident' AND m.ref = a.resident)
       OR (m.scope = 'unit' AND m.ref IN (WITH RECURSIVE up(id) AS (SELECT a.unit UNION
          SELECT u.parent FROM unit u JOIN up ON u.id = up.id) SELECT id FROM up WHERE id IS NOT NULL)))"""
_QUIET_ONE = Sql(
    f"""UPDATE alarm AS a SET quiet = (SELECT m.id FROM maintenance m WHERE {_COVERS} ORDER BY m.to_ms DESC LIMIT 1),
       version = version + 1
    WHERE a.id = :id AND a.queue = 'technical' AND a.closed_ms IS NULL RETURNING quiet"""  # noqa: S608  # our own names
)
_ANY = Sql("SELECT 1 FROM maintenance WHERE ended_ms IS NULL AND to_ms > :now AND from_ms <= :now LIMIT 1")
_ADD = Sql(
    """INSERT INTO maintenance (id, scope, ref, kind, from_ms, to_ms, why, written_by, written_name, made_ms, tenant,
       unit) VALUES (:id, :reach, :ref, :sort, :from_ms, :to_ms, :why, :actor, :name, :now, :tenant, :unit)"""
)
_FIND = {
    Reach.TENANT: Sql("SELECT id, id, NULL FROM tenant WHERE (id = :ref OR name = :ref)"),
    Reach.UNIT: Sql("SELECT id, tenant, id FROM unit WHERE (id = :ref OR name = :ref)"),
    Reach.HUB: Sql("SELECT id, tenant, unit FROM hub WHERE (id = :ref OR label = :ref)"),
    Reach.RESIDENT: Sql("SELECT pseudonym, tenant, unit FROM resident WHERE pseudonym = :ref"),
}
_END = Sql("UPDATE maintenance SET ended_ms = :now, ended_by = :actor WHERE id = :id AND ended_ms IS NULL RETURNING id")
_ONE = Sql(f"SELECT {_ROW} FROM maintenance m WHERE m.id = :id")  # noqa: S608  # our own names
_NAMED = """CASE m.scope WHEN 'tenant' THEN (SELECT name FROM tenant WHERE id = m.ref)
    WHEN 'unit' THEN (SELECT name FROM unit WHERE id = m.ref) WHEN 'hub' THEN (SELECT label FROM hub WHERE id = m.ref)
    WHEN 'device' THEN (SELECT label || ' · ' || substr(m.ref, 18) FROM hub WHERE id = substr(m.ref, 1, 16)) END"""
_LIST = Sql(
    f"""SELECT {_ROW}, (SELECT count(*) FROM alarm a WHERE a.quiet = m.id AND a.closed_ms IS NULL), {_NAMED}
    FROM maintenance m
    WHERE (m.ended_ms IS NULL AND m.to_ms > :now OR coalesce(m.ended_ms, m.to_ms) > :since) AND {IN_SCOPE("m")}
    ORDER BY m.to_ms, m.id LIMIT :limit"""  # noqa: S608  # our own names
)
_DUE = Sql("SELECT id FROM maintenance WHERE ended_ms IS NULL AND to_ms <= :now LIMIT 20")
# Begun without anybody touching it: what was open already becomes quiet too.
_OPEN_IN = Sql(
    f"""SELECT a.id FROM maintenance m JOIN alarm a ON a.queue = 'technical' AND a.closed_ms IS NULL AND a.quiet IS NULL
       AND a.handling = 'waiting' WHERE m.from_ms > :since AND {_COVERS} LIMIT :limit"""  # noqa: S608  # our own names
)
_ORPHANS = Sql(
    """SELECT a.id FROM alarm a JOIN maintenance m ON m.id = a.quiet WHERE a.quiet IS NOT NULL
    AND (m.ended_ms IS NOT NULL OR m.to_ms <= :now) AND a.closed_ms IS NULL LIMIT :limit"""
)


async def hush(connection: AsyncConnection, alarms: Sequence[str], now: int) -> None:
    """Mark technical alarms that were just raised, where their places are being worked at."""
    if alarms and await _ANY.one(connection, now=now):
        for alarm in alarms:
            await _QUIET_ONE.rows(connection, id=alarm, now=now)


async def end_due(store: Store, now: int) -> bool:
    """What is over by the clock ends, and what it kept quiet comes back. Returns whether anything changed."""

    async def look(connection: AsyncConnection) -> tuple[list[str], list[str], list[str]]:
        due = [row[0] for row in await _DUE.rows(connection, now=now)]
        back = [row[0] for row in await _ORPHANS.rows(connection, now=now, limit=_BATCH)]
        begun: list[str] = []
        if await _ANY.one(connection, now=now):
            rows = await _OPEN_IN.rows(connection, now=now, since=now - _BEGUN_MS, limit=_BATCH)
            begun = [row[0] for row in rows]
        return due, back, begun

    is_changed = False
    while True:
        due, back, begun = await store.fetch(look)
        if not (due or back or begun):
            return is_changed
        is_changed = True

        async def work(
            connection: AsyncConnection, due: list[str] = due, back: list[str] = back, begun: list[str] = begun
        ) -> None:
            for period in due:
                await _end(connection, period, SYSTEM, now)
            for alarm in (*back, *begun):
                quiet = await _QUIET_ONE.value(connection, id=alarm, now=now)
                await feed.publish(connection, now, "alarm", alarm, "hushed" if quiet else "back")

        await store.transact(Priority.UPKEEP, work)


async def _end(connection: AsyncConnection, period: str, actor: Actor, now: int) -> bool:
    row = await _ONE.one(connection, id=period)
    if row is None or not await _END.one(connection, id=period, actor=actor.id, now=now):
        return False
    content = {"maintenance": period, "reach": row[1], "sort": row[3]}
    await event_log.append(connection, now, "maintenance_ended", actor, content=content)
    await feed.publish(connection, now, "maintenance", period, "ended")
    return True


class Maintenance:
    """What people announce."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup, words: Words) -> None:
        self._words = words
        self._store = store
        self._clock = clock
        self._wakeup = wakeup

    async def announce(
        self,
        actor: Actor,
        scope: Scope,
        *,
        reach: str,
        ref: str,
        sort: str,
        to_ms: int,
        why: str,
        from_ms: int | None = None,
    ) -> Period:
        """From now (or later) until then. Raises IncompleteError, NotFoundError."""
        now = self._clock.now_ms()
        start = max(now, from_ms or now)
        why = " ".join(why.replace("\x00", "").split())
        if reach not in set(Reach):
            raise IncompleteError("reach_missing", "reach", tuple(Reach))
        if sort not in set(Sort):
            raise IncompleteError("sort_missing", "sort", tuple(Sort))
        if not why or len(why) > MAX_WHY:
            raise IncompleteError("why_missing" if not why else "why_too_long", "why")
        if to_ms <= start or to_ms - start > LONGEST_MS:
            raise IncompleteError("end_missing", "to")
        period = new_id().hex()

        async def work(connection: AsyncConnection) -> None:
            found, tenant, unit = await _place(connection, Reach(reach), ref.strip(), scope)
            pen = await self._pen(connection, Reach(reach), found, now)
            await _ADD.rows(
                connection,
                id=period,
                reach=reach,
                ref=found,
                sort=sort,
                from_ms=start,
                to_ms=to_ms,
                why=why if pen is None else pen.seal(maintenance_why(period), why),
                actor=actor.id,
                name=actor.name[:128],
                now=now,
                tenant=tenant,
                unit=unit,
            )
            # Whoever it is about is in the row; the log names the place only when that is nobody's home.
            content = {"maintenance": period, "reach": reach, "sort": sort, "to_ms": to_ms, "from_ms": start}
            if reach in {Reach.TENANT, Reach.UNIT, Reach.HUB}:
                content["ref"] = found
            content["why_digest"] = event_log.digest_of(why) if pen is None else pen.digest(why)
            hub = found if reach == Reach.HUB else None
            await event_log.append(connection, now, "maintenance_announced", actor, hub=hub, content=content)
            await feed.publish(connection, now, "maintenance", period, "announced")

        await self._store.transact(Priority.PEOPLE, work)
        await end_due(self._store, self._clock.now_ms())
        self._wakeup.wake()
        return await self.one(period, scope)

    async def end(self, period: str, actor: Actor, scope: Scope) -> None:
        """Over now; what it kept quiet comes back at once. Ending twice is no error. Raises NotFoundError."""
        await self.one(period, scope)
        now = self._clock.now_ms()
        await self._store.transact(Priority.PEOPLE, lambda connection: _end(connection, period, actor, now))
        await end_due(self._store, now)
        self._wakeup.wake()

    async def one(self, period: str, scope: Scope) -> Period:
        """One of them. Raises NotFoundError."""

        async def look(connection: AsyncConnection) -> Period:
            row = await _ONE.one(connection, id=period)
            if row is None:
                raise NotFoundError("maintenance", period[:32])
            scope.check(row[10], row[11], "maintenance", period[:32])
            return (await self._read(connection, [row]))[0]

        return await self._store.fetch(look)

    async def all(self, scope: Scope, *, limit: int = 200) -> list[Period]:
        """Those that run or are to come, and those that ended within a day; soonest end first."""
        now = self._clock.now_ms()
        since = now - 24 * 3_600_000

        async def look(connection: AsyncConnection) -> list[Period]:
            rows = await _LIST.rows(connection, now=now, since=since, limit=limit, **scope.parameters)
            return await self._read(connection, rows)

        return await self._store.fetch(look)

    async def _pen(self, connection: AsyncConnection, reach: Reach, ref: str, now: int) -> Pen | None:
        """What is about one home is sealed; announced work in an area is about nobody."""
        if reach in {Reach.TENANT, Reach.UNIT}:
            return None
        resident, hub = (ref, "") if reach is Reach.RESIDENT else (None, ref.partition(":")[0])
        return await self._words.pen(connection, resident, hub, now)

    async def _read(self, connection: AsyncConnection, rows: Sequence[Row]) -> list[Period]:
        found = [_period(row) for row in rows]
        read = await self._words.read(connection, [(maintenance_why(one.id), one.why) for one in found])
        return [replace(one, why=said.text, words=said.legible) for one, said in zip(found, read, strict=True)]


async def _place(
    connection: AsyncConnection, reach: Reach, ref: str, scope: Scope
) -> tuple[str, str | None, str | None]:
    """What is meant, of what is seen. What lies elsewhere is named as little as what is not there."""
    hub, _, device = ref.partition(":")
    is_device = reach is Reach.DEVICE
    wanted = hub.strip() if is_device else ref
    rows = await _FIND[Reach.HUB if is_device else reach].rows(connection, ref=wanted) if wanted else []
    own = [row for row in rows if scope.covers(row[1], row[2])]
    unknown = "device_missing" if is_device else f"no_such_{reach}"
    if rows and not own:
        raise ElsewhereNamedError(unknown, "ref")
    if not own or (is_device and not (device.strip() and len(own) == 1)):
        raise IncompleteError(unknown, "ref")
    if len(own) > 1:
        raise IncompleteError("several", "ref")
    found, tenant, unit = own[0]
    return f"{found}:{device.strip()[:256]}" if is_device else found, tenant, unit


def _period(row: Row) -> Period:
    ident, reach, ref, sort, from_ms, to_ms, why, written_by, written_name, ended_ms, tenant, unit, *listed = row
    return Period(
        id=ident,
        reach=Reach(reach),
        ref=ref,
        sort=Sort(sort),
        from_ms=from_ms,
        to_ms=to_ms,
        why=why,
        written_by=written_by,
        written_name=written_name,
        ended_ms=ended_ms,
        tenant=tenant,
        unit=unit,
        quiet=listed[0] if listed else 0,
        name=(listed[1] or "") if listed else "",
    )
