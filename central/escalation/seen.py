"""From when on a console must have been seen to count as there: lately, or, just after a restart, before it.

While central was away no console could be seen. When it was away for longer than a console may be silent, those that
were on duty then count as coming back for a short time; who has not come back by then is not there.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Sql

SEEN_MS = 15_000
"""A console that was not seen for so long is not there."""
COMEBACK_MS = 15_000
"""So long after central is back those are waited for who were there when it went away."""

_COMEBACK = Sql("SELECT value FROM central_state WHERE name = 'comeback'")
_BEGIN = Sql(
    """INSERT INTO central_state (name, value) VALUES ('comeback', :value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comeback:
    """Central was away after `gone_ms`; until `until_ms` its consoles are waited for."""

    gone_ms: int
    until_ms: int


async def back_again(connection: AsyncConnection, gone_ms: int, now: int) -> bool:
    """Central starts; it was last alive at `gone_ms`. Returns whether consoles are waited for."""
    if not gone_ms or now - gone_ms < SEEN_MS:
        return False
    await _BEGIN.rows(connection, value=f"{gone_ms}:{now + COMEBACK_MS}")
    return True


async def comeback(connection: AsyncConnection, now: int) -> Comeback | None:
    """Whether consoles are waited for now, and until when."""
    gone, _, until = str(await _COMEBACK.value(connection) or "").partition(":")
    gone_ms, until_ms = _number(gone), _number(until)
    # An end that lies too far ahead was written under another clock.
    return Comeback(gone_ms=gone_ms, until_ms=until_ms) if now < until_ms <= now + COMEBACK_MS else None


async def seen_since(connection: AsyncConnection, now: int) -> int:
    """Who was seen after this is there, or is expected to be back in a moment."""
    waiting = await comeback(connection, now)
    return now - SEEN_MS if waiting is None else min(now, waiting.gone_ms) - SEEN_MS


def _number(text: object) -> int:
    found = str(text)
    return int(found) if found.isascii() and found.isdigit() else 0
