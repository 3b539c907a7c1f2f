"""Nurse calls in wards that work so: staff presence at the room claims them, the reset there closes them.

Nobody walks to a console to type. Parts of the transaction that stores the event. A press that came after what was
heard at the room is never answered by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation import patrols
from central.escalation.begin import answered
from central.lifecycle import NURSE_CALLS, ROOM_MS, ROOM_OUTCOME, Action, Disposition, KindOfHelp, after, stage_of
from central.people.tenants import UnitKind
from central.sql import Sql
from central.views import Actor

ROOM = Actor(id="room", name="Staff at the room", role="room")
"""Who has a call that presence claimed. Pages show it in the reader's own words."""

# Which came first is told by the hub's own clock; what central corrects its times by changes from frame to frame.
_CALL = Sql(
    """SELECT a.kind, a.handling, a.dispatch, u.settings, u.kind, t.settings FROM alarm a
    LEFT JOIN hub h ON h.id = a.hub LEFT JOIN resident r ON r.pseudonym = a.resident
    JOIN unit u ON u.id = coalesce(a.unit, r.unit, h.unit) LEFT JOIN tenant t ON t.id = u.tenant
    JOIN event n ON n.hub = :hub AND n.epoch = :epoch AND n.lane = :lane AND n.seq = :seq
    WHERE a.id = :id AND a.queue = 'personal' AND a.closed_ms IS NULL AND NOT EXISTS (
      SELECT 1 FROM alarm_event e
      LEFT JOIN event p ON p.hub = e.hub AND p.epoch = e.epoch AND p.lane = e.lane AND p.seq = e.seq
      WHERE e.alarm = a.id AND e.role IN ('raised', 'repeat')
      AND CASE WHEN p.epoch = n.epoch THEN p.boot_ms > n.boot_ms ELSE e.happened_ms > n.happened_ms END)"""
)
_CLAIM = Sql(
    """UPDATE alarm SET owner = :owner, owner_name = :owner_name, claim_no = claim_no + 1, handling = 'claimed',
       dispatch = 'none', claimed_ms = :now, first_claimed_ms = coalesce(first_claimed_ms, :now),
       lease_until_ms = :until, version = version + 1, undo_until_ms = NULL, undo_by = NULL, undo_to = NULL
    WHERE id = :id AND handling = 'waiting' RETURNING id"""
)
_CLOSE = Sql(
    """UPDATE alarm SET handling = 'closed', closed_ms = :now, closed_by = :owner_name, disposition = :disposition,
       outcome = :outcome, help = :help, version = version + 1, lease_until_ms = NULL, dispatch = 'none',
       condition = 'cleared', deferred_visit = NULL, deferred_until_ms = NULL,
       first_claimed_ms = coalesce(first_claimed_ms, :now),
       undo_until_ms = NULL, undo_by = NULL, undo_to = NULL
    WHERE id = :id AND closed_ms IS NULL RETURNING id"""
)
_OFFER_OVER = Sql(
    "UPDATE handover SET state = 'withdrawn', answered_ms = :now WHERE alarm = :alarm AND state = 'offered'"
)
_CALL_OFF = Sql(
    """UPDATE dispatch SET state = 'cancelled', reason = :why, due_ms = NULL, ended_ms = :now, version = version + 1
    WHERE alarm = :alarm AND state IN ('sent', 'delivered', 'accepted', 'on_the_way', 'on_site')"""
)


async def answer(
    connection: AsyncConnection, alarm: str, key: Mapping[str, Any], *, is_reset: bool, now: int
) -> tuple[str, dict[str, Any]] | None:
    """What presence or the reset at the room does to an open alarm: the log's word and content, or None: nothing.

    `key` names the event that told of it, which is stored.
    """
    row = await _CALL.one(connection, id=alarm, **key)
    if row is None or row[0] not in NURSE_CALLS or not _presence_claims(*row[3:]):
        return None
    action = Action.ROOM_CLOSE if is_reset else Action.ROOM_CLAIM
    if after(stage_of(row[1], row[2]), action) is None:
        return None
    if is_reset:
        return await _closed(connection, alarm, now)
    taken = await _CLAIM.one(connection, id=alarm, owner=ROOM.id, owner_name=ROOM.name, now=now, until=now + ROOM_MS)
    if taken is None:
        return None
    await _call_off(connection, alarm, now, "at_room")  # whom the plan had sent
    await answered(connection, alarm, now, by="claimed")
    return "claimed", {"by": "presence"}


async def _closed(connection: AsyncConnection, alarm: str, now: int) -> tuple[str, dict[str, Any]] | None:
    content = {"disposition": Disposition.VISIT_NOW.value, "outcome": ROOM_OUTCOME, "help": KindOfHelp.HEALTH.value}
    if not await _CLOSE.one(connection, id=alarm, now=now, owner_name=ROOM.name, **content):
        return None
    await _OFFER_OVER.rows(connection, alarm=alarm, now=now)
    await _call_off(connection, alarm, now, "closed")
    await answered(connection, alarm, now, by="closed")
    return "closed", {**content, "by": "reset"}


async def _call_off(connection: AsyncConnection, alarm: str, now: int, why: str) -> None:
    out = await patrols.out_for(connection, alarm)
    await _CALL_OFF.rows(connection, alarm=alarm, now=now, why=why)
    for dispatch in out:
        await patrols.called_off(connection, dispatch, now)


def _presence_claims(unit: str, kind: str, tenant: str | None) -> bool:
    """What the unit says; where it says nothing and is a ward, what its municipality says."""
    own = _rule(unit)
    return own is True or (own is None and kind == UnitKind.WARD and _rule(tenant or "{}") is True)


def _rule(settings: str) -> bool | None:
    try:
        found = json.loads(settings)
    except ValueError:
        return None
    said = found.get("presence_claims") if isinstance(found, dict) else None
    return said if isinstance(said, bool) else None
