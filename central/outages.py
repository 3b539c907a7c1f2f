"""That central was away, in the event log: from its last commit until it started again, and for how long."""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.clock import Clock
from central.sql import Sql
from central.store import Priority, Store
from central.views import SYSTEM

log = structlog.get_logger()

SHORTEST_MS = 15_000
"""An ordinary restart is no outage: hubs send again, and no console is missed."""

_SERVED = Sql("INSERT INTO central_state (name, value) VALUES ('served', '1') ON CONFLICT DO NOTHING RETURNING name")


async def note_outage(store: Store, clock: Clock) -> None:
    """Central starts; no process of it was there since `store.last_alive_ms`. Now one is. Raises NotStoredError.

    The first start of all ends nothing: nobody was there before.
    """
    is_first = bool(await store.transact(Priority.PEOPLE, _SERVED.one))
    gone_ms, now = store.last_alive_ms, clock.now_ms()
    if gone_ms and not is_first and now - gone_ms >= SHORTEST_MS:
        await _note(store, gone_ms, now)
    await store.probe()


async def _note(store: Store, gone_ms: int, now: int) -> None:
    away_s = (now - gone_ms) // 1000

    async def work(connection: AsyncConnection) -> None:
        await event_log.append(connection, now, "central_away", SYSTEM, content={"gone_ms": gone_ms, "away_s": away_s})

    await store.transact(Priority.PEOPLE, work)
    log.warning("central_was_away", away_s=away_s)
