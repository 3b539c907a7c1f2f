"""An alarm that stands for a record that nobody could read, once the record is read. Parts of others' transactions.

A central that was restored has lost the headers of its hubs' runs: what is on the wire then cannot be opened, and a
person has to look at once. A moment later the header comes and the same record tells what it is. That is one need of
one person, so it is one alarm: the one that somebody perhaps has taken already learns what it is about.

It stays as it is, and the record raises an alarm of its own, when it is closed, or when it cannot be known to be about
the same device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import stubs
from central.sql import Sql

UNREADABLE = frozenset({"unreadable_alarm", "unreadable_care"})

_STOOD_FOR = Sql("SELECT alarm FROM alarm_event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_STATE = Sql("SELECT kind, device, resident, rank, lifted FROM alarm WHERE id = :id AND closed_ms IS NULL")
_OTHERS = Sql("SELECT 1 FROM alarm_event WHERE alarm = :id LIMIT 1")
_DEVICE = Sql("UPDATE alarm SET device = :device WHERE id = :id")


async def stood_for(connection: AsyncConnection, key: Mapping[str, Any]) -> str | None:
    """The alarm that an event belongs to, asked before it is taken out of it to be read."""
    found = await _STOOD_FOR.value(connection, **key)
    return None if found is None else str(found)


async def told(connection: AsyncConnection, alarm: str, device: str, known: stubs.Known) -> str | None:
    """Let the alarm know what it is about. Returns the event's role in it; None: it has none, and the alarm stays."""
    row = await _STATE.one(connection, id=alarm)
    if row is None:
        return None
    kind, stood_at, resident, rank, lifted = row
    if kind not in UNREADABLE:  # another record of the same device was read before this one
        return "repeat" if (kind, stood_at, resident) == (known.kind.word, device, known.resident) else None
    if stood_at != device and (stood_at or await _OTHERS.one(connection, id=alarm) is not None):
        return None
    await stubs.type_alarm(connection, alarm, rank, lifted, await stubs.free_key(connection, alarm, known), known)
    await _DEVICE.rows(connection, id=alarm, device=device)
    return "raised"
