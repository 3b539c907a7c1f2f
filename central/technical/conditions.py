"""Technical conditions begin and end, one or a great many at a time: each is an alarm while it holds.

Statements are per batch, not per condition, so that a storm costs little. What is to be told of it, in the event log
and the feed, is gathered and written last in the transaction: both are locked from there until commit, and an alarm
must not wait for longer than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.event_log import Entry, canonical_json
from central.lifecycle import AlarmKind, Queue
from central.opening import HUB, SAME_NEED_MS, Joined, Need, Source, join, open_all
from central.people.places import Place, places_of
from central.sql import RowsSql
from central.technical.marks import mark
from central.views import SYSTEM

MOST_TOLD = 4
"""Changes of technical alarms in one transaction that consoles hear of one by one."""

_BEFORE = RowsSql(
    """SELECT k.column1, (SELECT a.id FROM alarm a WHERE a.fold_key = k.column1 AND a.closed_ms >= :since
       ORDER BY a.closed_ms DESC LIMIT 1) FROM (VALUES {rows}) AS k""",
    1,
)
_OVER = RowsSql(
    """UPDATE alarm SET condition = 'cleared', version = version + 1,
       closed_ms = CASE handling WHEN 'waiting' THEN :now ELSE closed_ms END,
       closed_by = CASE handling WHEN 'waiting' THEN :closed_by ELSE closed_by END,
       disposition = CASE handling WHEN 'waiting' THEN 'resolved' ELSE disposition END,
       outcome = CASE handling WHEN 'waiting' THEN 'condition_cleared' ELSE outcome END,
       handling = CASE handling WHEN 'waiting' THEN 'closed' ELSE handling END
    WHERE fold_key IN ({rows}) AND closed_ms IS NULL RETURNING id, fold_key, hub""",
    1,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A condition that was reported. `key`: the four that name the hub's event, when one stands behind it."""

    kind: AlarmKind
    source: Source
    key: Mapping[str, Any] | None = None

    @property
    def fold_key(self) -> str:
        """What technical alarms are folded by."""
        return technical_key(self.source.hub, self.source.device, self.kind.word)


@dataclass(slots=True)
class Told:
    """What one transaction has to tell about technical alarms, and what it read once for all of them."""

    entries: list[Entry] = field(default_factory=list)
    changes: dict[tuple[str, str], None] = field(default_factory=dict)
    places: dict[tuple[str, str | None], Place] = field(default_factory=dict)

    def change(self, alarm: str, what: str) -> None:
        """Consoles are to hear of it; once, however often it was so."""
        self.changes[alarm, what] = None

    async def write(self, connection: AsyncConnection, now: int) -> None:
        """Last of all in the transaction, or before something else is logged in it."""
        if self.entries:
            await event_log.append_all(connection, now, self.entries)
        if len(self.changes) > MOST_TOLD:
            await feed.publish_all(connection, now, [feed.MANY])
        elif self.changes:
            await feed.publish_all(connection, now, [("alarm", alarm, what) for alarm, what in self.changes])
        self.entries.clear()
        self.changes.clear()


def technical_key(hub: str, device: str, word: str) -> str:
    """What technical alarms are folded by."""
    return f"t:{hub}:{device}:{word}"


async def begin_all(connection: AsyncConnection, begun: Sequence[Begun], told: Told, now: int) -> list[str]:
    """Raise, or fold into what is open, in this order. Returns the alarm of each."""
    folded: dict[str, list[Begun]] = {}
    for one in begun:
        folded.setdefault(one.fold_key, []).append(one)
    keys = [(key,) for key in folded]
    closed = await _BEFORE.rows(connection, keys, since=now - SAME_NEED_MS)
    await _learn_places(connection, [one.source for one in begun], told)
    before: dict[str, str | None] = {row[0]: row[1] for row in closed}
    needs = [
        Need(
            queue=Queue.TECHNICAL,
            kind=_ranked(same[0].kind, place := told.places[same[0].source.hub, same[0].source.resident]),
            fold_key=key,
            source=same[-1].source,
            place=place,
            happened_ms=same[0].source.happened_ms,
            before=before[key],
            times=len(same),
        )
        for key, same in folded.items()
    ]
    opened = await open_all(connection, needs, now)
    joined: list[Joined] = []
    raised: list[tuple[str, str, bool]] = []
    for key, same in folded.items():
        found = opened[key]
        for number, one in enumerate(same):
            role = "raised" if found.is_new and not number else "repeat"
            if one.key is not None:
                joined.append((one.key, found.alarm, role, one.source.happened_ms))
        if found.is_new:
            raised.append((found.alarm, key, before[key] is not None))
            content = canonical_json({"kind": same[0].kind.word, "device": same[0].source.device})
            hub = same[0].source.hub
            told.entries.append(Entry(what="raised", actor=HUB, alarm=found.alarm, hub=hub, content=content))
        told.change(found.alarm, "raised" if found.is_new else "repeated")
    await join(connection, joined)
    await mark(connection, raised, now)
    return [opened[one.fold_key].alarm for one in begun]


async def end_all(connection: AsyncConnection, fold_keys: Sequence[str], told: Told, now: int) -> int:
    """These conditions are over: closes their alarms, unless a person has them. Returns how many there were."""
    keys = sorted(set(fold_keys))
    found = await _OVER.rows(connection, [(key,) for key in keys], now=now, closed_by=SYSTEM.name)
    ended = {fold_key: (alarm, hub) for alarm, fold_key, hub in found}
    for key in dict.fromkeys(fold_keys):
        if key in ended:
            alarm, hub = ended[key]
            told.entries.append(Entry(what="condition_cleared", actor=HUB, alarm=alarm, hub=hub))
            told.change(alarm, "condition_cleared")
    return len(ended)


async def _learn_places(connection: AsyncConnection, sources: Sequence[Source], told: Told) -> None:
    """Of hubs and residents, read once in a transaction."""
    named = dict.fromkeys((source.hub, source.resident) for source in sources)
    unknown = [one for one in named if one not in told.places]
    if unknown:
        told.places |= await places_of(connection, unknown)


def _ranked(kind: AlarmKind, place: Place) -> AlarmKind:
    """Where somebody depends on the equipment, its faults come before others."""
    return AlarmKind(kind.word, kind.alarm_class, 4) if kind.rank == 5 and place.is_critical else kind
