"""What a hub did by itself for an alarm, in its timeline: it called for help on the spot, why, and why that ended."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.opening import HUB
from central.sql import Sql
from cloud_sync.errors import MalformedError
from cloud_sync.identity import Lane, id_from_text

KINDS = frozenset({"local_response", "local_response_ended"})
_WORDS = frozenset({"no_receipt", "no_claim", "received", "taken", "on_the_way", "closed"})
_MEASURES = frozenset({"lamp_and_buzzer", "relay", "pager", "on_call", "voice"})
_ALARM_OF = Sql(
    "SELECT alarm FROM alarm_event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq LIMIT 1"
)


async def note(
    connection: AsyncConnection, kind: str, hub: str, details: str | None, happened_ms: int, now: int
) -> None:
    """Put it into the timeline, in the caller's transaction. What names no alarm that is known here is left alone."""
    told = _told(details)
    if told is None:
        return
    key, content = told
    row = await _ALARM_OF.one(connection, hub=hub, **key)
    if row is not None:
        await event_log.append(connection, happened_ms, kind, HUB, alarm=row[0], hub=hub, content=content)
        await feed.publish(connection, now, "alarm", row[0], kind)


def _told(details: str | None) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Which event it is about, and what is to be said. Lenient: a hub may be of another version."""
    try:
        given = json.loads(details or "{}")
        epoch, lane, seq = given["epoch"], Lane[str(given.get("lane", "alarm")).upper()], given["seq"]
        id_from_text(epoch)
    except (ValueError, KeyError, TypeError, MalformedError):
        return None
    if type(seq) is not int or not 1 <= seq < 2**62:
        return None
    content: dict[str, Any] = {name: given[name] for name in ("cause", "why") if given.get(name) in _WORDS}
    measures = [word for word in str(given.get("measures", "")).split() if word in _MEASURES]
    if measures:
        content["measures"] = measures
    return {"epoch": epoch, "lane": int(lane), "seq": seq}, content
