"""Alarms that are known by a stub only: raised from it, completed by the full record. Parts of others' transactions.

A stub does what its event would do, as far as it says: a new alarm, or a repeat of the open one of the same device and
class. The full record, whenever and by whatever path it comes, tells the rest about that same alarm and has no effect
a second time. The marks of what is stored are not touched by a stub: the record is still wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.lifecycle import CENTRAL_KINDS, AlarmKind, lifted_rank
from central.sql import Sql
from cloud_sync.identity import Lane
from cloud_sync.vocabulary import AlarmClass

MAX_ANSWERED = 8
"""Of one alarm's stubs the newest so many are answered when its state changes."""

_COMPLETE = Sql(
    """UPDATE stub SET completed_ms = :now
    WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq AND completed_ms IS NULL RETURNING alarm"""
)
_ALARM_OF = Sql(
    """SELECT alarm FROM stub WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq
    AND completed_ms IS NULL AND alarm IS NOT NULL"""
)
_STATE = Sql("SELECT kind, rank, lifted, closed_ms, resident FROM alarm WHERE id = :id")
_OTHER = Sql("SELECT 1 FROM alarm WHERE fold_key = :fold_key AND closed_ms IS NULL AND id <> :id")
_TYPE = Sql(
    """UPDATE alarm SET kind = :kind, alarm_class = :alarm_class, rank = :rank, first_rank = :first_rank,
       resident = :resident, fold_key = :fold_key, value = NULL, details = NULL, happened_ms = :happened_ms,
       is_complete = true, version = version + 1
    WHERE id = :id"""
)
_ADOPT = Sql(
    """SELECT id, rank, lifted FROM alarm WHERE fold_key = :stub_key AND closed_ms IS NULL
    AND NOT EXISTS (SELECT 1 FROM alarm o WHERE o.fold_key = :fold_key AND o.closed_ms IS NULL)"""
)
_FINISH = Sql("UPDATE alarm SET is_complete = true, version = version + 1 WHERE id = :id AND NOT is_complete")
_UNJOIN = Sql("DELETE FROM alarm_event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq")
_LIKE_IT = Sql(
    """SELECT id FROM alarm WHERE hub = :hub AND device = :device AND alarm_class = :alarm_class
    AND queue = 'personal' AND closed_ms IS NULL ORDER BY raised_ms LIMIT 1"""
)
_LIFT = " ".join(f"WHEN {rank} THEN {lifted_rank(rank)}" for rank in range(7))
_REPEAT = Sql(
    f"""UPDATE alarm SET repeats = repeats + 1, version = version + 1, condition = 'active', last_event_ms = :now,
       rank = CASE rank {_LIFT} ELSE rank END, lifted = lifted + 1, sound_no = sound_no + 1
    WHERE id = :id RETURNING repeats"""  # noqa: S608  # numbers of our own table of ranks
)
_ANSWER_ALL = Sql(
    """INSERT INTO sms_answer (hub, epoch, lane, seq, number, created_ms, due_ms)
    SELECT hub, epoch, lane, seq, number, :now, :now FROM stub WHERE alarm = :alarm AND completed_ms IS NULL
    ORDER BY received_ms DESC LIMIT :limit"""
)
_INCOMPLETE = Sql("UPDATE alarm SET is_complete = false WHERE id = :id")

_OF_CLASS: Mapping[tuple[AlarmClass, Lane], AlarmKind] = {
    (AlarmClass.PERSONAL, Lane.ALARM): CENTRAL_KINDS["stub_personal"],
    (AlarmClass.PERSONAL, Lane.CARE): CENTRAL_KINDS["stub_personal"],
    (AlarmClass.SAFETY, Lane.ALARM): CENTRAL_KINDS["stub_safety"],
    (AlarmClass.SAFETY, Lane.CARE): AlarmKind("stub_safety", AlarmClass.SAFETY, 2),  # water
    (AlarmClass.SUPERVISION, Lane.ALARM): CENTRAL_KINDS["stub_supervision"],
    (AlarmClass.SUPERVISION, Lane.CARE): CENTRAL_KINDS["stub_supervision"],
}
STUB_KINDS = frozenset(kind.word for kind in _OF_CLASS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a full record says of an alarm."""

    kind: AlarmKind
    fold_key: str
    resident: str | None
    happened_ms: int


def kind_of(alarm_class: AlarmClass, lane: Lane) -> AlarmKind | None:
    """What an alarm of this class is called while nothing more is known; None when nobody has to answer it."""
    return _OF_CLASS.get((alarm_class, lane))


def stub_key(hub: str, device: str, alarm_class: AlarmClass) -> str:
    """What alarms that are known by stub only are folded by."""
    return f"s:{hub}:{device}:{int(alarm_class)}"


async def completed(connection: AsyncConnection, key: Mapping[str, Any], now: int) -> str | None:
    """The full record of this event is there. Returns the alarm that its stub raised or joined."""
    alarm = await _COMPLETE.value(connection, **key, now=now)
    return None if alarm is None else str(alarm)


async def alarm_of(connection: AsyncConnection, key: Mapping[str, Any]) -> str | None:
    """The alarm that the stub of an event raised, while its record has not been read."""
    alarm = await _ALARM_OF.value(connection, **key)
    return None if alarm is None else str(alarm)


async def tell_all(connection: AsyncConnection, alarm: str, known: Known) -> bool:
    """Complete the alarm of a stub. False when it turns out to be about something else (then nothing was changed)."""
    row = await _STATE.one(connection, id=alarm)
    if row is None:
        return False
    kind, rank, lifted, closed_ms, resident = row
    if kind not in STUB_KINDS:
        if (kind, resident) != (known.kind.word, known.resident):
            return False
        await _FINISH.rows(connection, id=alarm)
        return True
    fold_key = known.fold_key if closed_ms is not None else await free_key(connection, alarm, known)
    await type_alarm(connection, alarm, rank, lifted, fold_key, known)
    return True


async def free_key(connection: AsyncConnection, alarm: str, known: Known) -> str:
    """What it is folded by from now on. Beside an open one of the same key both stay open: none vanishes by machine."""
    is_taken = await _OTHER.one(connection, fold_key=known.fold_key, id=alarm)
    return f"{known.fold_key}:{alarm}" if is_taken else known.fold_key


async def adopt(connection: AsyncConnection, hub: str, device: str, known: Known) -> None:
    """A full record without a stub comes while an alarm of its device is known by stub: it tells what that is, too."""
    row = await _ADOPT.one(connection, stub_key=stub_key(hub, device, known.kind.alarm_class), fold_key=known.fold_key)
    if row is not None:
        await type_alarm(connection, row[0], row[1], row[2], known.fold_key, known)


async def forget_join(connection: AsyncConnection, key: Mapping[str, Any]) -> None:
    """The event belongs to another alarm than its stub was taken for."""
    await _UNJOIN.rows(connection, **key)


async def finish(connection: AsyncConnection, alarm: str) -> None:
    """Nothing more will be known of this alarm."""
    await _FINISH.rows(connection, id=alarm)


async def open_like(connection: AsyncConnection, hub: str, device: str, alarm_class: AlarmClass) -> str | None:
    """An open alarm that an event of this device and class repeats."""
    found = await _LIKE_IT.value(connection, hub=hub, device=device, alarm_class=int(alarm_class))
    return None if found is None else str(found)


async def repeat(connection: AsyncConnection, alarm: str, now: int) -> int:
    """It came again. Returns how often in all."""
    return int(await _REPEAT.value(connection, id=alarm, now=now))


async def mark_incomplete(connection: AsyncConnection, alarm: str) -> None:
    """Known, not complete."""
    await _INCOMPLETE.rows(connection, id=alarm)


async def answer_all(connection: AsyncConnection, alarm: str, now: int) -> None:
    """Whoever sent stubs of this alarm, and has no receipt, is to be told what it is now."""
    await _ANSWER_ALL.rows(connection, alarm=alarm, now=now, limit=MAX_ANSWERED)


async def type_alarm(
    connection: AsyncConnection, alarm: str, rank: int, lifted: int, fold_key: str, known: Known
) -> None:
    """Write what is known now. Who has it, its repeats and what was done stay."""
    kind = known.kind
    await _TYPE.rows(
        connection,
        id=alarm,
        kind=kind.word,
        alarm_class=int(kind.alarm_class),
        rank=min(rank, lifted_rank(kind.rank)) if lifted else kind.rank,
        first_rank=kind.rank,
        resident=known.resident,
        fold_key=fold_key,
        happened_ms=known.happened_ms,
    )
