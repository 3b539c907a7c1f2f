"""How an alarm's row comes about: a need that is not open yet opens one, and one that is repeats it.

One upsert, for one event or for the many of a batch. Nothing here logs or tells anybody: see `central.raising` and
`central.technical.conditions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.lifecycle import AlarmKind, Queue, lifted_rank
from central.people.places import Place
from central.sql import RowsSql, Sql
from central.views import Actor
from cloud_sync.identity import new_id

HUB = Actor(id="hub", name="Hub", role="hub")
SAME_NEED_MS = 24 * 3600 * 1000
"""A closed alarm of the same kind and place is named on the next one for this long."""

_COLUMNS = (
    "id", "queue", "kind", "alarm_class", "rank", "first_rank", "hub", "device", "resident", "fold_key", "happened_ms",
    "raised_ms", "last_event_ms", "value", "details", "tenant", "unit", "before_alarm", "repeats", "version",
)  # fmt: skip
_LIFT = " ".join(f"WHEN {rank} THEN {lifted_rank(rank)}" for rank in range(7))
_OPEN = RowsSql(
    f"""INSERT INTO alarm ({", ".join(_COLUMNS)}) VALUES {{rows}}
    ON CONFLICT (fold_key) WHERE closed_ms IS NULL DO UPDATE SET
       repeats = alarm.repeats + excluded.version, version = alarm.version + excluded.version, condition = 'active',
       last_event_ms = excluded.raised_ms, value = excluded.value, details = excluded.details,
       rank = CASE alarm.rank {_LIFT} ELSE alarm.rank END,
       lifted = alarm.lifted + CASE excluded.queue WHEN 'personal' THEN 1 ELSE 0 END,
       sound_no = alarm.sound_no + CASE excluded.queue WHEN 'personal' THEN 1 ELSE 0 END
    RETURNING fold_key, id, repeats""",  # noqa: S608  # numbers of our own table of ranks
    len(_COLUMNS),
)
_BEFORE = Sql("SELECT id FROM alarm WHERE fold_key = :fold_key AND closed_ms >= :since ORDER BY closed_ms DESC LIMIT 1")
_JOIN = Sql(
    """INSERT INTO alarm_event (hub, epoch, lane, seq, alarm, role, happened_ms)
    VALUES (:hub, :epoch, :lane, :seq, :alarm, :role, :happened_ms) ON CONFLICT DO NOTHING"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an alarm comes from. `value` and `details` are JSON."""

    hub: str
    happened_ms: int
    device: str = ""
    resident: str | None = None
    value: str | None = None
    details: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What is to be open. `source` is that of the newest of `times` events, `happened_ms` the time of the first."""

    queue: Queue
    kind: AlarmKind
    fold_key: str
    source: Source
    place: Place
    happened_ms: int
    before: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Opened:
    """An open alarm. `is_new`: nothing of the kind was open before."""

    alarm: str
    is_new: bool
    repeats: int


async def open_all(connection: AsyncConnection, needs: Sequence[Need], now: int) -> dict[str, Opened]:
    """Open or repeat each of them; no two of the same fold key. By fold key."""
    rows = {need.fold_key: _row(need, now) for need in sorted(needs, key=lambda need: need.fold_key)}
    found = await _OPEN.rows(connection, list(rows.values()))
    return {fold_key: Opened(alarm, alarm == rows[fold_key][0], repeats) for fold_key, alarm, repeats in found}


def _row(need: Need, now: int) -> tuple[Any, ...]:
    kind, source, place = need.kind, need.source, need.place
    return (
        new_id().hex(), need.queue.value, kind.word, int(kind.alarm_class), kind.rank, kind.rank, source.hub,
        source.device, place.resident, need.fold_key, need.happened_ms, now, now, source.value, source.details,
        place.tenant, place.unit, need.before, need.times - 1, need.times,
    )  # fmt: skip


async def before_of(connection: AsyncConnection, fold_key: str, now: int) -> str | None:
    """The closed alarm of the same kind and place before this one, when that was lately."""
    found: str | None = await _BEFORE.value(connection, fold_key=fold_key, since=now - SAME_NEED_MS)
    return found


Joined = tuple[Mapping[str, Any], str, str, int]
"""The four that name an event, its alarm, its role there (raised or repeat), when it happened."""


async def join(connection: AsyncConnection, joined: Sequence[Joined]) -> None:
    """Events belong to alarms. One that belongs somewhere already stays there."""
    rows = [
        (key["hub"], key["epoch"], key["lane"], key["seq"], alarm, role, happened_ms)
        for key, alarm, role, happened_ms in joined
    ]
    await _JOIN.many(connection, rows)
