"""Bytes in an authentic envelope that name no place in it: they cannot be receipted, but are not lost in silence.

Each is told of once, however many there are: those that may be alarms to people, all that there was no room for to the
technicians, as a count. Where nobody can tell any more what has come before, once a minute.
"""

from __future__ import annotations

import json

from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.lifecycle import CENTRAL_KINDS
from central.metrics import Metrics
from central.opening import Source
from central.quarantine import Kept, keep_one
from central.raising import raise_technical, raise_unreadable
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync.hub_messages import Envelope
from cloud_sync.identity import Lane

AGAIN_S = 60.0
PRIORITY = {
    Lane.ALARM: Priority.ALARM,
    Lane.CARE: Priority.ALARM,
    Lane.TECHNICAL: Priority.UPKEEP,
    Lane.TELEMETRY: Priority.BULK,
}


class Strange:
    """What becomes of them. It remembers when it last told of those that it could not keep at all, by hub and lane."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._wakeup = wakeup
        self._told_s: dict[tuple[str, Lane], float] = {}

    async def take(self, envelope: Envelope, path: str, raw: bytes) -> None:
        """Keep it, and tell of it, in one transaction. Raises NotStoredError."""
        hub, lane = envelope.sender.hub.hex(), envelope.lane
        key = {"hub": hub, "epoch": envelope.epoch.hex(), "lane": int(lane), "seq": 0}
        told_s = self._told_s.get((hub, lane))
        is_silent = told_s is not None and self._clock.mono_s() - told_s < AGAIN_S

        async def work(connection: AsyncConnection) -> Kept:
            now = self._clock.now_ms()
            kept = await keep_one(connection, hub, int(lane), path, raw, now)
            if kept is Kept.KNOWN or (kept is Kept.NO_ROOM and is_silent):
                return kept
            await raise_unreadable(connection, key, "no_record", now)
            if kept is not Kept.WHOLE and lane.is_urgent:
                source = Source(hub=hub, details=json.dumps({"reason": kept.value}), happened_ms=now)
                await raise_technical(connection, CENTRAL_KINDS["unreadable_records"], source, now)
            return kept

        kept = await self._store.transact(PRIORITY[lane], work)
        if kept is Kept.KNOWN:
            return
        self._metrics.count(f"strange.{kept.value}")
        if kept is Kept.NO_ROOM and not is_silent:
            self._told_s[hub, lane] = self._clock.mono_s()
        self._wakeup.wake()
