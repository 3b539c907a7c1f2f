"""Which messages of which run of a hub were seen: the replay windows, in memory and in the database.

An envelope's window is written with its records. Signs of life are written together every few seconds: after a crash
of central the last of them could be played again, and would say no more than that a hub lives.

Where several processes work on one database the window itself is there: each message takes its place in it under a
lock, so that what one process has taken is new to no other. What is in memory then only answers sooner that something
was seen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.sql import Sql
from central.store import Priority, Store
from cloud_sync.frames import ReplayWindow

MAX_CACHED = 20_000
DAY_MS = 86_400_000
WINDOW_DAYS = 30
"""A window that was not moved for so long may be trimmed once the hub runs another epoch."""
Key = tuple[str, str]

_LOAD = Sql('SELECT "window" FROM sender_window WHERE hub = :hub AND epoch = :epoch')
_LOCK = Sql('SELECT "window" FROM sender_window WHERE hub = :hub AND epoch = :epoch FOR UPDATE')
_FIRST = Sql(
    """INSERT INTO sender_window (hub, epoch, "window", updated_ms) VALUES (:hub, :epoch, :bits, :now)
    ON CONFLICT (hub, epoch) DO NOTHING"""
)
_NOT_AT_ONCE = Sql("SET LOCAL synchronous_commit = off")
"""A crash of the database forgets a window's last moments, as a crash of central does. Nobody waits for the disk."""
_IS_OVER = Sql(
    """SELECT 1 FROM hub_epoch e JOIN hub h ON h.id = e.hub
    WHERE e.hub = :hub AND e.epoch = :epoch AND e.first_seen_ms < :before AND h.epoch IS NOT NULL
      AND h.epoch <> e.epoch"""
)
_SAVE = Sql(
    """INSERT INTO sender_window (hub, epoch, "window", updated_ms) VALUES (:hub, :epoch, :bits, :now)
    ON CONFLICT (hub, epoch) DO UPDATE SET "window" = excluded."window", updated_ms = excluded.updated_ms"""
)


class Windows:
    """The windows of one process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._cache: OrderedDict[Key, ReplayWindow] = OrderedDict()
        self._dirty: set[Key] = set()
        self._being_written: set[Key] = set()
        self._lock = threading.Lock()
        """A transaction runs in another thread: it must not meet a window that is half moved."""

    async def accept(self, hub: str, epoch: str, number: int, priority: Priority = Priority.PEOPLE) -> bool:
        """Whether this message is new; remembers it, as urgently as the message is."""
        key = (hub, epoch)
        window = self._cache.get(key)
        if window is None:
            stored = await self._store.fetch(lambda connection: _LOAD.value(connection, hub=hub, epoch=epoch))
            if not stored and await self._is_over(hub, epoch):
                return False
            window = self._cache.setdefault(key, ReplayWindow.from_bytes(stored) if stored else ReplayWindow())
            self._cache.move_to_end(key)
            await self._evict()
            window = self._cache.setdefault(key, window)  # many at once may have driven it out again
        self._cache.move_to_end(key)
        with self._lock:
            is_new = window.accept(number)
        if is_new and self._store.dialect.is_shared:
            return await self._take(key, number, priority)
        if is_new:
            self._dirty.add(key)
        return is_new

    async def _take(self, key: Key, number: int, priority: Priority) -> bool:
        """The same in the window of all processes."""
        hub, epoch = key

        async def work(connection: AsyncConnection) -> tuple[bool, ReplayWindow]:
            now = self._clock.now_ms()
            await _NOT_AT_ONCE.rows(connection)
            bits = await _LOCK.value(connection, hub=hub, epoch=epoch)
            if bits is None:
                await _FIRST.rows(connection, hub=hub, epoch=epoch, bits=ReplayWindow().to_bytes(), now=now)
                bits = await _LOCK.value(connection, hub=hub, epoch=epoch)
            window = ReplayWindow.from_bytes(bits)
            is_new = window.accept(number)
            if is_new:
                await _SAVE.rows(connection, hub=hub, epoch=epoch, bits=window.to_bytes(), now=now)
            return is_new, window

        is_new, shared = await self._store.transact(priority, work)
        known = self._cache.get(key)
        if known is not None:
            with self._lock:
                known.merge(shared)
        return is_new

    async def _is_over(self, hub: str, epoch: str) -> bool:
        """Whether this is a run of long ago whose window was trimmed: everything of it counts as seen."""
        before = self._clock.now_ms() - WINDOW_DAYS * DAY_MS
        found = await self._store.fetch(
            lambda connection: _IS_OVER.value(connection, hub=hub, epoch=epoch, before=before)
        )
        return found is not None

    async def save(self, connection: AsyncConnection, hub: str, epoch: str) -> None:
        """Write one window in the caller's transaction, unless it is there already."""
        if self._store.dialect.is_shared:
            return
        window = self._cache.get((hub, epoch))
        if window is not None:
            with self._lock:
                bits = window.to_bytes()
            await _SAVE.rows(connection, hub=hub, epoch=epoch, bits=bits, now=self._clock.now_ms())

    async def flush(self) -> None:
        """Write all windows that changed, a few hundred per transaction."""
        while self._dirty:
            batch = [self._dirty.pop() for _ in range(min(200, len(self._dirty)))]
            now = self._clock.now_ms()
            rows = [(hub, epoch, self._cache[hub, epoch].to_bytes(), now) for hub, epoch in batch]
            self._being_written.update(batch)
            try:
                await self._store.transact(Priority.UPKEEP, partial(_SAVE.many, parameters=rows))
            except BaseException:
                self._dirty.update(batch)
                raise
            finally:
                self._being_written.difference_update(batch)

    async def _evict(self) -> None:
        if len(self._cache) > MAX_CACHED:
            await self.flush()
            for key in list(self._cache)[: MAX_CACHED // 10]:
                if key not in self._dirty and key not in self._being_written:  # else only memory knows it
                    del self._cache[key]
