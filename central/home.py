"""What the lamp at home shows, and how long the hub's own steps took: from lamp reports into the alarm's journey."""

from __future__ import annotations

import math
from collections import OrderedDict

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.opening import HUB
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync.hub_messages import LampReport

MAX_REMEMBERED = 100_000
_SHOWN = Sql(
    """UPDATE alarm SET lamp_state = :state, lamp_version = :version, lamp_ms = :now
    WHERE id = :id AND hub = :hub AND (lamp_state IS NULL OR lamp_state <> :state OR lamp_version <> :version)
    RETURNING reassured_ms"""
)
_REASSURED = Sql("UPDATE alarm SET reassured_ms = :now WHERE id = :id")
_TRACE = Sql(
    """INSERT INTO trace (hub, epoch, lane, seq, judged_ms, durable_ms, sent_ms, receipt_ms)
    VALUES (:hub, :epoch, :lane, :seq, :judged_ms, :durable_ms, :sent_ms, :receipt_ms)
    ON CONFLICT (hub, epoch, lane, seq) DO UPDATE SET
       judged_ms = coalesce(excluded.judged_ms, trace.judged_ms),
       durable_ms = coalesce(excluded.durable_ms, trace.durable_ms),
       sent_ms = coalesce(excluded.sent_ms, trace.sent_ms),
       receipt_ms = coalesce(excluded.receipt_ms, trace.receipt_ms)"""
)


class HomeReports:
    """Takes lamp reports."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup
        self._newest: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()

    async def report(self, report: LampReport) -> None:
        """Keep what is new in it. A report that a newer one of the same run has overtaken tells only its times."""
        now = self._clock.now_ms()
        sender = report.sender
        hub = sender.hub.hex()
        newest = self._newest.pop((sender.hub, sender.sender_epoch), 0)
        is_newest = sender.number > newest
        self._newest[sender.hub, sender.sender_epoch] = max(newest, sender.number)
        if len(self._newest) > MAX_REMEMBERED:
            self._newest.popitem(last=False)
        traces = [
            (
                hub, trace.event.epoch.hex(), int(trace.event.lane), min(trace.event.seq, 2**62),
                _ms(trace.judged_ms), _ms(trace.durable_ms), _ms(trace.sent_ms), _ms(trace.receipt_ms),
            )
            for trace in report.traces
            if trace.event.seq > 0
        ]  # fmt: skip

        async def work(connection: AsyncConnection) -> None:
            await _TRACE.many(connection, traces)
            for alarm_id, version, state in report.alarms if is_newest else ():
                await self._shown(connection, hub, alarm_id.hex(), version, state.replace("\x00", ""), now)

        await self._store.transact(Priority.PEOPLE, work)
        self._wakeup.wake()

    async def _shown(
        self, connection: AsyncConnection, hub: str, alarm: str, version: int, state: str, now: int
    ) -> None:
        version = max(0, min(version, 2**31 - 1))
        changed = await _SHOWN.one(connection, id=alarm, hub=hub, state=state, version=version, now=now)
        if changed is None:
            return
        if changed[0] is None and state in {"taken", "on_the_way"}:
            await _REASSURED.rows(connection, id=alarm, now=now)
            content = {"lamp": state}
            await event_log.append(connection, now, "home_reassured", HUB, alarm=alarm, hub=hub, content=content)
        await feed.publish(connection, now, "alarm", alarm, "lamp")


def _ms(value: float | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) and 0 <= number < 1e12 else None
