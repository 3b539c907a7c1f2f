"""What consoles follow: every change to what they show has a number, and a beat comes every five seconds.

A number is taken under a row lock that is held until commit, so numbers become visible in their order and a reader
that has seen n has seen everything below it. One task reads the table (once a second, and at once when something in
this process was committed); all followers share what it read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.errors import NotStoredError
from central.opened import OpenAlarms
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup

log = structlog.get_logger()

BEAT_S = 5.0
POLL_S = 1.0
KEPT_IN_MEMORY = 2000
KEPT_IN_TABLE = 100_000
_PAGE = 1000
MANY = ("technical", "", "many")
"""Whoever shows technical alarms reads them again."""

_NEXT = Sql("UPDATE counter SET value = value + :count WHERE name = 'feed' RETURNING value")
_INSERT = Sql("INSERT INTO feed (no, at_ms, topic, ref, what) VALUES (:no, :at_ms, :topic, :ref, :what)")
# Where the thing is that has changed, so that only those are told of it who see that place.
_AFTER = Sql(
    """SELECT f.no, f.at_ms, f.topic, f.ref, f.what, a.queue,
       coalesce(a.id, h.id, i.id, m.id, r.pseudonym, t.id) IS NOT NULL,
       coalesce(a.tenant, h.tenant, i.tenant, m.tenant, r.tenant, t.tenant),
       coalesce(a.unit, h.unit, i.unit, m.unit, r.unit, t.unit)
    FROM feed f LEFT JOIN alarm a ON f.topic = 'alarm' AND a.id = f.ref
    LEFT JOIN hub h ON f.topic IN ('hub', 'check') AND h.id = f.ref
    LEFT JOIN incident i ON f.topic = 'incident' AND i.id = f.ref
    LEFT JOIN maintenance m ON f.topic = 'maintenance' AND m.id = f.ref
    LEFT JOIN resident r ON f.topic = 'resident' AND r.pseudonym = f.ref
    LEFT JOIN team t ON f.topic = 'duty' AND t.id = f.ref
    WHERE f.no > :after ORDER BY f.no LIMIT :limit"""
)
_SERVED = Sql("SELECT tenant FROM team_tenant WHERE team = :team ORDER BY tenant")
_NOW = Sql("SELECT value FROM counter WHERE name = 'feed'")
_OLDEST = Sql("SELECT min(no) FROM feed")
_TRIM = Sql("DELETE FROM feed WHERE no <= :upto")
_TRIMMED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """`topic` is alarm, hub or check; `ref` its id; `what` the word of the log (raised, claimed, returned, ...).

    Where a great many technical alarms changed in one transaction, one change tells of them all: `MANY`.
    """

    no: int
    at_ms: int
    topic: str
    ref: str
    what: str
    queue: str | None = None
    """Of an alarm."""
    places: tuple[tuple[str | None, str | None], ...] = ()
    """Tenant and unit of what has changed; a team may serve several tenants. Empty: nobody knows where it is."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Central lives. A console that shows other open alarms than these reloads."""

    no: int  # the feed number it stands at
    at_ms: int
    opened: OpenAlarms


@dataclass(frozen=True, slots=True)
class Reset:
    """Changes were missed that are no longer kept: load everything again and follow from `no`."""

    no: int


FeedItem = Change | Beat | Reset


async def publish(connection: AsyncConnection, at_ms: int, topic: str, ref: str, what: str) -> int:
    """Number a change in the caller's transaction. Last of all in it: the lock is held until commit."""
    return await publish_all(connection, at_ms, [(topic, ref, what)])


async def publish_all(connection: AsyncConnection, at_ms: int, changes: Sequence[tuple[str, str, str]]) -> int:
    """The same for several: (topic, ref, what), in this order. Returns the number of the last."""
    last = int(await _NEXT.value(connection, count=len(changes)))
    first = last - len(changes) + 1
    await _INSERT.many(connection, [(number, at_ms, *change) for number, change in enumerate(changes, first)])
    return last


async def _changes(store: Store, after: int, limit: int) -> list[Change]:
    found = []
    for no, at_ms, topic, ref, what, queue, is_known, tenant, unit in await store.ask(_AFTER, after=after, limit=limit):
        places: list[tuple[str | None, str | None]] = [(tenant, unit)] if is_known else []
        if topic == "duty" and tenant is None:
            places = [(row[0], None) for row in await store.ask(_SERVED, team=ref)] or places
        found.append(Change(no, at_ms, topic, ref, what, queue, tuple(places)))
    return found


class Feed:
    """The feed of one database. `run` has to be running for followers to hear anything."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup, opened: Callable[[], Awaitable[OpenAlarms]]) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._opened = opened
        self._kept: deque[Change] = deque(maxlen=KEPT_IN_MEMORY)
        self._newest = 0
        self._beat: Beat | None = None
        self._beats = 0
        self._told = Wakeup()
        self._is_closed = False

    def close(self) -> None:
        """Central stops: every follower ends, so that no open stream holds the stop up."""
        self._is_closed = True
        self._told.wake()

    async def now(self) -> int:
        """The newest number: read it before reading what is shown, then follow from it."""
        return int((await self._store.ask(_NOW))[0][0])

    async def follow(self, after: int) -> AsyncGenerator[FeedItem, None]:
        """Changes with a number above `after`, and beats, until central stops or the caller closes it (`aclosing`)."""
        seen, beats = after, self._beats
        if self._beat is not None:
            yield self._beat
        while not self._is_closed:
            told = self._told.count
            for item in await self._since(seen):
                yield item
                seen = item.no
            if self._beat is not None and self._beats != beats:
                beats = self._beats
                yield self._beat
            await self._told.wait(told, BEAT_S)

    async def _since(self, seen: int) -> list[Change | Reset]:
        if seen >= self._newest:
            return []
        if self._kept and self._kept[0].no <= seen + 1:
            return [change for change in self._kept if change.no > seen]
        # Read before it is asked what is left: what was taken away in between is missed, and told so.
        changes = await _changes(self._store, seen, KEPT_IN_MEMORY)
        oldest = (await self._store.ask(_OLDEST))[0][0]
        if oldest is None or oldest > seen + 1 or self._newest - seen > KEPT_IN_MEMORY:
            return [Reset(self._newest)]
        return list(changes)

    async def run(self) -> None:
        """Reads the feed and beats, until cancelled. While the database is silent there is no beat: consoles see it."""
        self._newest = await self.now()
        next_beat_s = self._clock.mono_s()
        while True:
            seen = self._wakeup.count
            try:
                is_new = await self._read()
                if self._clock.mono_s() >= next_beat_s:
                    next_beat_s = self._clock.mono_s() + BEAT_S
                    opened = await self._opened()
                    self._beat = Beat(self._newest, self._clock.now_ms(), opened)
                    self._beats += 1
                    is_new = True
                if is_new:
                    self._told.wake()
            except NotStoredError as error:
                log.warning("feed_not_read", reason=str(error))
                await asyncio.sleep(POLL_S)
            await self._wakeup.wait(seen, max(0.0, min(POLL_S, next_beat_s - self._clock.mono_s())))

    async def _read(self) -> bool:
        found = page = await _changes(self._store, self._newest, _PAGE)
        while len(page) == _PAGE:
            page = await _changes(self._store, page[-1].no, _PAGE)
            found = found + page
        self._kept.extend(found)
        if found:
            self._newest = found[-1].no
        return bool(found)

    async def trim(self) -> None:
        """Forget changes that no console asks for any more."""
        upto = self._newest - KEPT_IN_TABLE
        oldest = await self._store.fetch(_OLDEST.value)
        while oldest is not None and oldest <= upto:  # in pieces, so that no alarm waits behind a long one
            piece = min(upto, oldest + _TRIMMED_AT_ONCE - 1)
            await self._store.transact(Priority.UPKEEP, partial(_TRIM.rows, upto=piece))
            oldest = piece + 1
