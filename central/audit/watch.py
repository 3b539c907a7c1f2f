"""Central's own eye on the auditor: whoever was there and is not any more is missed, as a technical alarm."""

from __future__ import annotations

import json

from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.lifecycle import CENTRAL_KINDS
from central.opening import Source
from central.raising import end_condition, raise_technical
from central.sql import Row, Sql
from central.store import Priority, Store
from central.technical.conditions import technical_key
from central.wakeup import Wakeup

PATIENCE_MS = 60_000
KIND = "auditor_silent"

_MARK = Sql("SELECT at_ms, content FROM audit_mark WHERE name = 'auditor'")
# By its key: of open technical alarms there may be a hundred thousand.
_OPEN = Sql("SELECT 1 FROM alarm WHERE fold_key = :key AND closed_ms IS NULL")


class AuditorWatch:
    """Looked at once in a while."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup

    async def look(self) -> None:
        """Raise or end the alarm. An auditor that was never there, or was sent away, is not missed."""

        async def read(connection: AsyncConnection) -> tuple[Row | None, bool]:
            return await _MARK.one(connection), await _OPEN.one(connection, key=technical_key("", "", KIND)) is not None

        mark, is_raised = await self._store.fetch(read)
        is_silent = mark is not None and self._clock.now_ms() - mark[0] > _patience_ms(mark[1])
        if is_silent == is_raised:
            return

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            if is_silent:
                await raise_technical(connection, CENTRAL_KINDS[KIND], Source(hub="", happened_ms=now), now)
            else:
                await end_condition(connection, "", "", KIND, now)

        await self._store.transact(Priority.UPKEEP, work)
        self._wakeup.wake()


def _patience_ms(content: str) -> int:
    try:
        every_s = float(json.loads(content)["every_s"])
    except (ValueError, KeyError, TypeError):
        every_s = 0.0
    return max(PATIENCE_MS, round(every_s * 3000))
