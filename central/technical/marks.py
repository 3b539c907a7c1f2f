"""What a technical alarm is marked with when raised: quiet for announced work, chattering when it comes and goes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Sql
from central.technical import maintenance

CHATTER_MS = 60_000
CHATTER = 3
"""Transitions in a minute: raised, over, raised again."""

# Those that were over within the minute, and of them those that were also raised in it.
_TRANSITIONS = Sql(
    """SELECT count(*), coalesce(sum(CASE WHEN raised_ms >= :since THEN 1 ELSE 0 END), 0) FROM alarm
    WHERE fold_key = :fold_key AND closed_ms >= :since AND condition = 'cleared'"""
)
_CHATTERS = Sql("UPDATE alarm SET chatters = true WHERE id = :id")


async def mark(connection: AsyncConnection, raised: Sequence[tuple[str, str, bool]], now: int) -> None:
    """In the transaction that raised them: (alarm, fold key, whether there was one like it before)."""
    for alarm, fold_key, had_one in raised:
        if not had_one:
            continue
        row = await _TRANSITIONS.one(connection, fold_key=fold_key, since=now - CHATTER_MS)
        if row is not None and 1 + int(row[0]) + int(row[1]) >= CHATTER:
            await _CHATTERS.rows(connection, id=alarm)
    await maintenance.hush(connection, [alarm for alarm, _, _ in raised], now)
