"""What cannot be attributed is not thrown away: it is set aside for people to look at, within bounds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from enum import Enum

from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.lifecycle import CENTRAL_KINDS, AlarmKind
from central.opening import Source
from central.raising import raise_technical
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup

MAX_BYTES = 256 * 1024
MAX_ROWS = 1000
MAX_ROWS_OF_STRANGERS = 900
"""The rest is kept for hubs that we know: strangers must not be able to fill it."""
MAX_SENDERS = 200
"""So many unknown hubs get a technical alarm each; all others share one."""
MAX_PER_SENDER = 20
"""What comes after that is not kept, but known again by its digest: each is told of, and told of once."""
MAX_NOTED_PER_SENDER = 200
MAX_NOTED = 20_000
PER_SECOND = 5.0
BURST = 50.0
_UNKNOWN = CENTRAL_KINDS["unknown_hub"]

_COUNT = Sql(
    "SELECT coalesce(sum(CASE WHEN length(content) > 0 THEN 1 ELSE 0 END), 0),"
    " coalesce(sum(CASE WHEN sender = :sender AND length(content) > 0 THEN 1 ELSE 0 END), 0),"
    " coalesce(sum(CASE WHEN sender = :sender AND length(content) = 0 THEN 1 ELSE 0 END), 0),"
    " coalesce(sum(CASE WHEN sender = :sender AND digest = :digest THEN 1 ELSE 0 END), 0), count(*) FROM quarantine"
)
_INSERT = Sql(
    "INSERT INTO quarantine (sender, lane, path, digest, content, received_ms)"
    " VALUES (:sender, :lane, :path, :digest, :content, :now) ON CONFLICT DO NOTHING"
)


_SENDERS = Sql(
    "SELECT count(*), coalesce(sum(CASE WHEN hub = :sender THEN 1 ELSE 0 END), 0) FROM alarm"
    " WHERE kind = 'unknown_hub' AND closed_ms IS NULL"  # an index of these alone: there may be a storm of others
)


class Kept(Enum):
    """What became of something that was to be set aside."""

    WHOLE = "whole"
    NOTED = "noted"  # there is no room for it: only its digest is kept
    KNOWN = "known"  # it has come before
    NO_ROOM = "no_room"  # not even for its digest: nobody can tell whether it has come before


async def keep_one(
    connection: AsyncConnection,
    sender: str,
    lane: int | None,
    path: str,
    content: bytes,
    now: int,
    *,
    max_rows: int = MAX_ROWS,
    is_noted: bool = True,
) -> Kept:
    """Keep it, in the transaction of whoever tells people of it. `is_noted`: of what is too much, the digest."""
    digest = hashlib.sha256(content).hexdigest()
    total, mine, noted, same, rows = await _COUNT.one(connection, sender=sender, digest=digest) or (0, 0, 0, 0, 0)
    if same:
        return Kept.KNOWN
    is_whole = total < max_rows and mine < MAX_PER_SENDER
    if not is_whole and not (is_noted and noted < MAX_NOTED_PER_SENDER and rows < MAX_NOTED):
        return Kept.NO_ROOM
    values = {"sender": sender, "lane": lane, "path": path, "digest": digest, "now": now}
    await _INSERT.rows(connection, content=content[:MAX_BYTES] if is_whole else b"", **values)
    return Kept.WHOLE if is_whole else Kept.NOTED


class Quarantine:
    """Frames signed by nobody we know, and bytes in authentic envelopes that are no record."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._tokens = BURST
        self._at_s = clock.mono_s()

    async def keep(self, sender: str, lane: int | None, path: str, content: bytes, *, max_rows: int = MAX_ROWS) -> bool:
        """Set aside. Returns False when it is there already or there is no room."""
        async with self._store.write(Priority.UPKEEP) as connection:
            now = self._clock.now_ms()
            kept = await keep_one(connection, sender, lane, path, content, now, max_rows=max_rows, is_noted=False)
        return kept is Kept.WHOLE

    async def unknown_hub(self, sender: str, claimed_lane: Callable[[], int | None], path: str, frame: bytes) -> None:
        """An envelope from nobody we know: perhaps a real alarm of a hub that was lost from the database.

        The technical alarm comes at once and is folded per sender; a flood of made-up senders is slowed down, not
        looked into any further, and shares one alarm in the end.
        """
        now_s = self._clock.mono_s()
        self._tokens = min(BURST, self._tokens + (now_s - self._at_s) * PER_SECOND)
        self._at_s = now_s
        if self._tokens < 1:
            return
        self._tokens -= 1
        lane = claimed_lane()
        kept = await self.keep(sender, lane, path, frame, max_rows=MAX_ROWS_OF_STRANGERS)
        is_urgent = lane in {1, 2}
        kind = _UNKNOWN if is_urgent else AlarmKind(_UNKNOWN.word, _UNKNOWN.alarm_class, 5)
        details = json.dumps({"lane": lane, "path": path, "kept": kept})
        async with self._store.write(Priority.UPKEEP) as connection:
            now = self._clock.now_ms()
            total, is_there = await _SENDERS.one(connection, sender=sender) or (0, 0)
            source = Source(hub=sender if is_there or total < MAX_SENDERS else "", happened_ms=now, details=details)
            await raise_technical(connection, kind, source, now)
        self._wakeup.wake()
