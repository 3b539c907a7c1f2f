"""Which messages of which run of a hub were seen: the replay windows, in memory and in the database.

An envelope's window is written with its records. Signs of life are written together every few seconds: after a crash
of central the last of them could be played again, and would say no more than that a hub lives.

Where several processes work on one database the window itself is there: each message takes its place in it under a
lock, so that what one process has taken is new to no other. What is in memory then only answers sooner that something
was seen. What is bulky takes its places many at a time, in the order in which it came, and gives way to alarms.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.errors import NotStoredError
from central.precedence import Precedence
from central.sql import RowsSql, Sql
from central.store import Priority, Store
from cloud_sync.frames import ReplayWindow

MAX_CACHED = 20_000
DAY_MS = 86_400_000
WINDOW_DAYS = 30
"""A window that was not moved for so long may be trimmed once the hub runs another epoch."""
Key = tuple[str, str]

_LOAD = Sql('SELECT "window" FROM sender_window WHERE hub = :hub AND epoch = :epoch')
AT_ONCE = 64
_LOCK = RowsSql(
    """SELECT hub, epoch, "window" FROM sender_window WHERE (hub, epoch) IN (VALUES {rows})
    ORDER BY hub, epoch FOR UPDATE""",
    2,
)
_FIRST = RowsSql(
    """INSERT INTO sender_window (hub, epoch, "window", updated_ms) VALUES {rows}
    ON CONFLICT (hub, epoch) DO NOTHING""",
    4,
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


@dataclass(slots=True)
class _Wanted:
    """A message that waits for its place."""

    key: Key
    number: int
    is_new: asyncio.Future[bool] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Windows:
    """The windows of one process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.precedence = Precedence()
        self._store = store
        self._clock = clock
        self._wanted: deque[_Wanted] = deque()
        self._task: asyncio.Task[None] | None = None
        self._cache: OrderedDict[Key, ReplayWindow] = OrderedDict()
        self._dirty: set[Key] = set()
        self._being_written: Counter[Key] = Counter()  # one may be on its way twice
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
            if priority < Priority.UPKEEP:
                return (await self._take([(key, number)], priority))[0]
            return await self._take_with_others(key, number)
        if is_new:
            self._dirty.add(key)
        return is_new

    async def _take(self, wanted: Sequence[tuple[Key, int]], priority: Priority) -> list[bool]:
        """The same in the window of all processes: of each message, in this order."""
        keys = sorted({key for key, _ in wanted})  # two processes lock them in the same order

        async def work(connection: AsyncConnection) -> tuple[list[bool], dict[Key, ReplayWindow]]:
            now = self._clock.now_ms()
            await _NOT_AT_ONCE.rows(connection)
            rows = await _LOCK.rows(connection, keys)
            if len(rows) < len(keys):
                await _FIRST.rows(connection, [(*key, ReplayWindow().to_bytes(), now) for key in keys])
                rows = await _LOCK.rows(connection, keys)
            windows = {(hub, epoch): ReplayWindow.from_bytes(bits) for hub, epoch, bits in rows}
            found = [windows[key].accept(number) for key, number in wanted]
            moved = sorted({key for (key, _), is_new in zip(wanted, found, strict=True) if is_new})
            await _SAVE.many(connection, [(*key, windows[key].to_bytes(), now) for key in moved])
            return found, windows

        found, windows = await self._store.transact(priority, work)
        for key, shared in windows.items():
            known = self._cache.get(key)
            if known is not None:
                with self._lock:
                    known.merge(shared)
        return found

    async def _take_with_others(self, key: Key, number: int) -> bool:
        """A place for what can wait a moment: so many of them cost one transaction."""
        wanted = _Wanted(key, number)
        self._wanted.append(wanted)
        if self._task is None:
            self._task = asyncio.create_task(self._take_all())
        return await wanted.is_new

    async def _take_all(self) -> None:
        batch: list[_Wanted] = []
        try:
            while self._wanted:
                await self.precedence.give_way()
                batch = [self._wanted.popleft() for _ in range(min(AT_ONCE, len(self._wanted)))]
                try:
                    found = await self._take([(one.key, one.number) for one in batch], Priority.UPKEEP)
                except Exception as error:  # noqa: BLE001  # each of them is told, and comes again
                    _fail(batch, error)
                    continue
                for one, is_new in zip(batch, found, strict=True):
                    if not one.is_new.done():
                        one.is_new.set_result(is_new)
        finally:
            self._task = None
            _fail((*batch, *self._wanted), NotStoredError("central stops"))
            self._wanted.clear()

    async def drain(self) -> None:
        """Wait for the places that are being taken although their callers have left."""
        if self._task is not None:
            await asyncio.wait([self._task])

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
                self._being_written -= Counter(batch)

    async def _evict(self) -> None:
        if len(self._cache) > MAX_CACHED:
            await self.flush()
            for key in list(self._cache)[: MAX_CACHED // 10]:
                if key not in self._dirty and key not in self._being_written:  # else only memory knows it
                    del self._cache[key]


def _fail(wanted: Sequence[_Wanted], error: Exception) -> None:
    for one in wanted:
        if not one.is_new.done():
            one.is_new.set_exception(error)
