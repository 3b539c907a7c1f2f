"""An alarm as it lies in the database: how it is read, locked, and refused to whoever comes second."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import Conflict, Holder, NotFoundError
from central.lifecycle import OF_A_TEAM, OPEN_DISPATCH, DispatchState, Handling, Queue
from central.sql import Row, Sql
from central.views import AlarmView, CallAttempt, Offer, Sent, alarm_view

NAMES = (
    "id", "queue", "kind", "rank", "first_rank", "lifted", "hub", "device", "resident", "condition", "handling",
    "dispatch", "version", "happened_ms", "raised_ms", "last_event_ms", "repeats", "returned", "sound_no", "owner",
    "owner_name", "claimed_ms", "first_claimed_ms", "lease_until_ms", "closed_ms", "closed_by", "disposition",
    "outcome", "outcome_list", "help", "note", "before_alarm", "undo_until_ms", "undo_by", "undo_to", "shown_ms",
    "lamp_state", "lamp_version", "lamp_ms", "value", "details", "tenant", "unit", "criterion", "deferred_visit",
    "deferred_until_ms",
    "escalation_round", "escalation_no", "incident", "is_complete",
)  # fmt: skip
SELECT = (
    f"SELECT {', '.join(f'a.{name}' for name in NAMES)}, h.label, r.label,"  # noqa: S608  # our own names
    f" CASE WHEN a.kind = '{OF_A_TEAM}' THEN (SELECT t.name FROM team t WHERE t.id = a.device) END"
    " FROM alarm a LEFT JOIN hub h ON h.id = a.hub LEFT JOIN resident r ON r.pseudonym = a.resident"
)
LOUD = "a.queue = 'technical' AND a.closed_ms IS NULL AND a.incident IS NULL AND a.quiet IS NULL"
"""For SQL: technical alarms that stand in the queue by themselves, folded into no incident and quiet for no work."""
ORDERS = {
    Queue.PERSONAL: "a.rank, a.lifted DESC, a.raised_ms, a.id",
    Queue.TECHNICAL: "a.rank, a.raised_ms, a.id",  # never lifted: as the index has them
    Queue.TEST: "a.rank, a.raised_ms, a.id",
}
"""For SQL: the most urgent first."""
_ONE = Sql(f"{SELECT} WHERE a.id = :id")
_LOCK = Sql("UPDATE alarm SET version = version WHERE id = :id RETURNING id")
_SENT = """SELECT d.id, d.alarm, d.team, t.name, d.account, d.account_name, d.state, d.version, d.sent_ms,
    d.delivered_ms, d.answered_ms, d.on_the_way_ms, d.on_site_ms, d.done_ms, d.due_ms, d.ended_ms, d.reason
    FROM dispatch d LEFT JOIN team t ON t.id = d.team"""
_SENT_OF = Sql(f"{_SENT} WHERE d.alarm = :alarm ORDER BY d.sent_ms, d.id LIMIT 100")
_SENT_ONE = Sql(f"{_SENT} WHERE d.id = :id")
_OFFER = """SELECT o.id, o.alarm, o.from_account, o.from_name, o.to_account, o.to_team, coalesce(u.name, t.name, ''),
    o.state, o.offered_ms, o.expires_ms, o.note
    FROM handover o LEFT JOIN user_account u ON u.id = o.to_account LEFT JOIN team t ON t.id = o.to_team"""
_OFFER_OPEN = Sql(f"{_OFFER} WHERE o.alarm = :alarm AND o.state = 'offered'")
_OFFER_ONE = Sql(f"{_OFFER} WHERE o.id = :id")
_CALLS = Sql(
    """SELECT id, called, contact, result, at_ms, actor_name FROM call_attempt WHERE alarm = :alarm
    ORDER BY at_ms, id LIMIT 100"""
)
_MEMBER = Sql(
    """SELECT 1 FROM team t WHERE t.id = :team AND t.state = 'active' AND (
       EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id AND m.account = :account)
       OR NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = t.id))"""
)

OPEN_STATES = ", ".join(f"'{state}'" for state in OPEN_DISPATCH)
"""For SQL: the states of a dispatch that may still come to something."""


def open_in(queue: Queue) -> str:
    """For SQL: what waits in a queue, or is at work in it.

    The rank is never below nought: it leads SQLite to the index of the few that are open, past a storm of others.
    """
    return LOUD if queue is Queue.TECHNICAL else f"a.queue = '{queue.value}' AND a.closed_ms IS NULL AND a.rank >= 0"


async def load(connection: AsyncConnection, alarm_id: str) -> AlarmView:
    """One alarm. Raises NotFoundError."""
    row = await _ONE.one(connection, id=alarm_id)
    if row is None:
        raise NotFoundError("alarm", alarm_id[:32])
    return view(row)


async def lock(connection: AsyncConnection, alarm_id: str) -> AlarmView:
    """One alarm that nobody else changes until this transaction ends. Raises NotFoundError."""
    await _LOCK.rows(connection, id=alarm_id)
    return await load(connection, alarm_id)


def view(row: Row) -> AlarmView:
    """From a row of `SELECT`."""
    return alarm_view(dict(zip((*NAMES, "hub_label", "resident_label", "device_label"), row, strict=True)))


async def sent_of(connection: AsyncConnection, alarm_id: str) -> tuple[Sent, ...]:
    """All who were ever sent, in their order."""
    return tuple(_sent(row) for row in await _SENT_OF.rows(connection, alarm=alarm_id))


async def sent_one(connection: AsyncConnection, dispatch_id: str) -> Sent:
    """One of them. Raises NotFoundError."""
    row = await _SENT_ONE.one(connection, id=dispatch_id)
    if row is None:
        raise NotFoundError("dispatch", dispatch_id[:32])
    return _sent(row)


def _sent(row: Row) -> Sent:
    values: dict[str, Any] = dict(zip(Sent.__dataclass_fields__, row, strict=True))
    return Sent(**{**values, "team_name": values["team_name"] or "", "state": DispatchState(values["state"])})


async def open_offer(connection: AsyncConnection, alarm_id: str) -> Offer | None:
    """What its owner offers at the moment."""
    row = await _OFFER_OPEN.one(connection, alarm=alarm_id)
    return None if row is None else _offer(row)


async def offer_one(connection: AsyncConnection, offer_id: str) -> Offer:
    """An offer, open or not. Raises NotFoundError."""
    row = await _OFFER_ONE.one(connection, id=offer_id)
    if row is None:
        raise NotFoundError("offer", offer_id[:32])
    return _offer(row)


def _offer(row: Row) -> Offer:
    return Offer(**dict(zip(Offer.__dataclass_fields__, row, strict=False)))


async def calls_of(connection: AsyncConnection, alarm_id: str) -> tuple[CallAttempt, ...]:
    """Whom people tried to reach."""
    rows = await _CALLS.rows(connection, alarm=alarm_id)
    return tuple(CallAttempt(**dict(zip(CallAttempt.__dataclass_fields__, row, strict=True))) for row in rows)


async def is_member(connection: AsyncConnection, team: str, account: str) -> bool:
    """Whether somebody belongs to a team. To one that nobody was put into, everybody does."""
    return await _MEMBER.one(connection, team=team, account=account) is not None


def holder_of(alarm: AlarmView) -> Holder | None:
    """Who has it."""
    if alarm.owner is None or alarm.owner_name is None:
        return None
    return Holder(alarm.owner, alarm.owner_name, alarm.claimed_ms or 0)


def in_short(alarm: AlarmView) -> dict[str, Any]:
    """What an alarm is now, for whoever rested on something older. Nothing about the resident."""
    return {
        "version": alarm.version,
        "stage": alarm.stage.word,
        "owner_name": alarm.owner_name if alarm.is_open else alarm.closed_by,
        "repeats": alarm.repeats,
        "disposition": alarm.disposition,
        "outcome": alarm.outcome,
        "help": alarm.help,
    }


def refusal(alarm: AlarmView, reason: str = "") -> Conflict:
    """Why an act cannot be done: it is closed, somebody else has it, or nobody has."""
    if not reason:
        reason = {Handling.CLAIMED: "taken", Handling.CLOSED: "closed"}.get(alarm.stage.handling, "not_claimed")
    return Conflict(reason, holder=holder_of(alarm), state=alarm.stage.word, current=in_short(alarm))
