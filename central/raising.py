"""What an event does to alarms, in the transaction that stores the event.

A personal event joins the open alarm of the same hub, device, kind and resident (a repeat press raises it and sounds
again) or makes a new one. Technical conditions are folded and end when the hub says that they are over. A test is
answered by machine. Nothing here reads a clock or does anything outside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import at_room, event_log, feed, read_later, stubs
from central.escalation.begin import begin
from central.lifecycle import (
    CENTRAL_KINDS,
    CLEARED_BY,
    AlarmKind,
    Meaning,
    Queue,
    alarm_kind,
    meaning_of,
    measures_people,
)
from central.opening import HUB, Need, Source, before_of, join, open_all
from central.people.places import place_of
from central.sql import Sql
from central.technical.conditions import Begun, Told, begin_all, end_all, technical_key
from central.views import SYSTEM, Actor
from cloud_sync.identity import Lane, new_id
from cloud_sync.vocabulary import BY_WORD, AlarmClass, Kind

_TEST = Sql(
    """INSERT INTO alarm (id, queue, kind, alarm_class, rank, first_rank, hub, device, resident, fold_key, handling,
       happened_ms, raised_ms, last_event_ms, closed_ms, closed_by, disposition, outcome, tenant, unit)
    VALUES (:id, 'test', :kind, :alarm_class, :rank, :rank, :hub, :device, :resident, :fold_key, 'closed',
       :happened_ms, :now, :now, :now, :closed_by, 'test', 'other', :tenant, :unit)"""
)
_OUTBOX = Sql("INSERT INTO outbox (kind, hub, ref, created_ms) VALUES ('reply', :hub, :alarm, :now)")
_OUTBOX_AGAIN = Sql(
    """INSERT INTO outbox (kind, hub, ref, created_ms) SELECT 'reply', hub, alarm, :now FROM alarm_event
    WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq"""
)
_OVER_ALREADY = Sql(
    """SELECT 1 FROM event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq > :seq AND device = :device
       AND kind = :kind LIMIT 1"""
)
_OPEN_AT_DEVICE = Sql(
    """SELECT id FROM alarm WHERE hub = :hub AND device = :device AND queue = 'personal' AND closed_ms IS NULL
    ORDER BY raised_ms LIMIT 16"""
)
_NO_LONGER_DEFERRED = Sql(
    """UPDATE alarm SET handling = 'waiting', dispatch = 'none', deferred_visit = NULL, deferred_until_ms = NULL,
       returned = returned + 1,
       undo_until_ms = NULL, undo_by = NULL, undo_to = NULL
    WHERE id = :id AND handling = 'deferred' RETURNING deferred_visit"""
)
_CARE_OPEN = Sql(
    """SELECT id FROM alarm WHERE hub = :hub AND kind = :kind AND queue = 'personal' AND closed_ms IS NULL
       AND condition = 'active'"""
)
_CLEAR = Sql("UPDATE alarm SET condition = 'cleared', version = version + 1 WHERE id = :id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """An event that is being stored. Ids are hex; `value` and `details` JSON. `is_late`: newer ones are stored.

    `stood_for`: the alarm that was raised for it while it could not be read.
    """

    hub: str
    epoch: str
    lane: int
    seq: int
    kind: Kind
    device: str
    resident: str | None
    value: str | None
    details: str | None
    happened_ms: int
    is_late: bool = False
    stood_for: str | None = None

    @property
    def key(self) -> dict[str, Any]:
        """The four that name it."""
        return {"hub": self.hub, "epoch": self.epoch, "lane": self.lane, "seq": self.seq}

    @property
    def source(self) -> Source:
        """What the alarm it raises is about. What was measured of people stands with the event only, sealed."""
        is_personal = measures_people(self.kind)
        return Source(
            hub=self.hub,
            happened_ms=self.happened_ms,
            device=self.device,
            resident=self.resident,
            value=None if is_personal else self.value,
            details=None if is_personal else self.details,
        )


def matters(kind: Kind) -> bool:
    """Whether an event of this kind does anything beyond being stored."""
    return meaning_of(kind) is not Meaning.RECORD


async def apply(connection: AsyncConnection, happening: Happening, now: int) -> None:
    """Everything that is due from one event."""
    by_stub = None
    if Lane(happening.lane).is_urgent:
        by_stub = await stubs.completed(connection, happening.key, now)
    meaning = meaning_of(happening.kind)
    if by_stub is not None and meaning is not Meaning.PERSONAL:
        await stubs.finish(connection, by_stub)
        await feed.publish(connection, now, "alarm", by_stub, "completed")
    match meaning:
        case Meaning.PERSONAL:
            await _personal(connection, happening, by_stub, now)
        case Meaning.TECHNICAL:
            if not await has_ended(connection, happening):
                kind = alarm_kind(happening.kind.word)
                await raise_technical(connection, kind, happening.source, now, key=happening.key)
        case Meaning.CLEARS:
            await end_condition(connection, happening.hub, happening.device, CLEARED_BY[happening.kind.word], now)
        case Meaning.DEVICE_CLEARED:
            await _note_on_open(connection, happening, "device_cleared", now, clears=True)
        case Meaning.PRESENCE:
            await _note_on_open(connection, happening, happening.kind.word, now, clears=False)
        case Meaning.TEST:
            await _test(connection, happening, now)
        case Meaning.RECORD:
            pass


async def _personal(connection: AsyncConnection, event: Happening, by_stub: str | None, now: int) -> None:
    kind = alarm_kind(event.kind.word)
    fold_key = f"p:{event.hub}:{event.device}:{kind.word}:{event.resident or ''}"
    known = stubs.Known(
        kind=kind,
        fold_key=fold_key,
        resident=event.resident,
        happened_ms=event.happened_ms,
    )
    if by_stub is None and event.stood_for:
        role = await read_later.told(connection, event.stood_for, event.device, known)
        if role is not None:
            await join(connection, [(event.key, event.stood_for, role, event.happened_ms)])
            content = {"kind": kind.word, "device": event.device, "happened_ms": event.happened_ms}
            await _settle(connection, event.stood_for, event.hub, "completed", HUB, content, now)
            return
    if by_stub is None:
        await stubs.adopt(connection, event.hub, event.device, known)
    elif await stubs.tell_all(connection, by_stub, known):
        await join(connection, [(event.key, by_stub, "repeat", event.happened_ms)])
        content = {"kind": kind.word, "device": event.device, "happened_ms": event.happened_ms}
        await _settle(connection, by_stub, event.hub, "completed", HUB, content, now)
        return
    else:
        await stubs.forget_join(connection, event.key)
    alarm, repeats = await _raise(connection, kind, fold_key, event.source, now)
    what = "repeated" if repeats else "raised"
    await join(connection, [(event.key, alarm, "repeat" if repeats else "raised", event.happened_ms)])
    content = {"kind": kind.word, "device": event.device, "repeats": repeats, "happened_ms": event.happened_ms}
    await _settle(connection, alarm, event.hub, what, HUB, content, now)


async def has_ended(connection: AsyncConnection, event: Happening) -> bool:
    """Whether a technical condition that comes late is over already, by what came before it."""
    if not event.is_late:
        return False
    over = next((word for word, ends in CLEARED_BY.items() if ends == event.kind.word), None)
    if over is None:
        return False
    code = BY_WORD[over].code
    return await _OVER_ALREADY.one(connection, **event.key, device=event.device, kind=code) is not None


async def raise_technical(
    connection: AsyncConnection, kind: AlarmKind, source: Source, now: int, *, key: Mapping[str, Any] | None = None
) -> str:
    """Raise or fold into a technical alarm, also one that no hub's event (`key`) stands behind. Returns its id."""
    told = Told()
    (alarm,) = await begin_all(connection, [Begun(kind=kind, source=source, key=key)], told, now)
    await told.write(connection, now)
    return alarm


async def end_condition(connection: AsyncConnection, hub: str, device: str, word: str, now: int) -> bool:
    """A technical condition is over: closes its alarm, unless a person has it. Returns whether there was one."""
    told = Told()
    found = await end_all(connection, [technical_key(hub, device, word)], told, now)
    await told.write(connection, now)
    return found > 0


async def _note_on_open(connection: AsyncConnection, event: Happening, what: str, now: int, *, clears: bool) -> None:
    for (alarm,) in await _OPEN_AT_DEVICE.rows(connection, hub=event.hub, device=event.device):
        if clears:
            await _CLEAR.rows(connection, id=alarm)
        content = {"device": event.device, "happened_ms": event.happened_ms}
        await event_log.append(connection, now, what, HUB, alarm=alarm, hub=event.hub, content=content)
        if what not in {"nurse_presence", "nurse_reset"}:
            await feed.publish(connection, now, "alarm", alarm, what)
            continue
        is_reset = what == "nurse_reset"
        done = await at_room.answer(connection, alarm, event.key, is_reset=is_reset, now=now)
        if done is None:
            await feed.publish(connection, now, "alarm", alarm, what)
        else:
            await _settle(connection, alarm, event.hub, done[0], at_room.ROOM, done[1], now)


async def _test(connection: AsyncConnection, event: Happening, now: int) -> None:
    alarm = new_id().hex()
    place = await place_of(connection, resident=event.resident, hub=event.hub)
    await _TEST.rows(
        connection,
        id=alarm,
        kind=event.kind.word,
        alarm_class=int(event.kind.alarm_class),
        rank=event.kind.rank,
        hub=event.hub,
        device=event.device,
        resident=event.resident,
        fold_key=f"x:{alarm}",
        happened_ms=event.happened_ms,
        now=now,
        closed_by=SYSTEM.name,
        tenant=place.tenant,
        unit=place.unit,
    )
    await join(connection, [(event.key, alarm, "raised", event.happened_ms)])
    content = {"kind": event.kind.word, "device": event.device, "happened_ms": event.happened_ms}
    await _settle(connection, alarm, event.hub, "test_answered", SYSTEM, content, now)


async def raise_unreadable(
    connection: AsyncConnection,
    key: Mapping[str, Any],
    reason: str,
    now: int,
    *,
    device: str = "",
    alarm_class: AlarmClass | None = None,
) -> None:
    """Something authentic that cannot be read. In the alarm and care lanes a person has to look at once.

    `device` and `alarm_class` come from a verified stub, where there was one.
    """
    hub, lane = str(key["hub"]), Lane(key["lane"])
    source = Source(hub=hub, device=device, details=json.dumps({"reason": reason}), happened_ms=now)
    if not lane.is_urgent:
        kind = CENTRAL_KINDS["unreadable_records"]
        await raise_technical(connection, kind, source, now, key=key if key["seq"] else None)
        return
    by_stub = await stubs.alarm_of(connection, key)
    if by_stub is not None:  # it is known by SMS already, and waits for a person
        said = {"device": device, "reason": reason}
        await _settle(connection, by_stub, hub, "record_unreadable", HUB, said, now)
        return
    kind = CENTRAL_KINDS["unreadable_alarm" if lane is Lane.ALARM else "unreadable_care"]
    if alarm_class is AlarmClass.SAFETY:
        kind = AlarmKind(kind.word, AlarmClass.SAFETY, 0)
    fold_key = f"u:{hub}:{device}:{kind.word}"
    alarm, repeats = await _raise(connection, kind, fold_key, source, now)
    if key["seq"]:
        await join(connection, [(key, alarm, "repeat" if repeats else "raised", now)])
    content = {"kind": kind.word, "device": device, "repeats": repeats, "reason": reason}
    await _settle(connection, alarm, hub, "repeated" if repeats else "raised", HUB, content, now)


async def raise_care(connection: AsyncConnection, kind: AlarmKind, source: Source, now: int) -> str:
    """Something that central itself noticed and that people have to look after. Returns its alarm."""
    fold_key = f"c:{source.hub}:{kind.word}:{source.resident or ''}"
    alarm, repeats = await _raise(connection, kind, fold_key, source, now)
    content = {"kind": kind.word, "repeats": repeats}
    await _settle(connection, alarm, source.hub, "repeated" if repeats else "raised", SYSTEM, content, now)
    return alarm


async def note_over(connection: AsyncConnection, kind: AlarmKind, hub: str, now: int) -> None:
    """What `raise_care` told of is over by itself. The alarm is not: who has it, or takes it, closes it."""
    for (alarm,) in await _CARE_OPEN.rows(connection, hub=hub, kind=kind.word):
        await _CLEAR.rows(connection, id=alarm)
        await event_log.append(connection, now, "device_cleared", SYSTEM, alarm=alarm, hub=hub or None)
        await feed.publish(connection, now, "alarm", alarm, "device_cleared")


async def _raise(
    connection: AsyncConnection, kind: AlarmKind, fold_key: str, source: Source, now: int
) -> tuple[str, int]:
    need = Need(
        queue=Queue.PERSONAL,
        kind=kind,
        fold_key=fold_key,
        source=source,
        place=await place_of(connection, resident=source.resident, hub=source.hub),
        happened_ms=source.happened_ms,
        before=await before_of(connection, fold_key, now),
    )
    opened = (await open_all(connection, [need], now))[fold_key]
    return opened.alarm, opened.repeats


async def _settle(
    connection: AsyncConnection, alarm: str, hub: str, what: str, actor: Actor, content: Mapping[str, Any], now: int
) -> None:
    """Log, outbox and feed: the same three for every change of a personal alarm. One that is new begins its plan."""
    await event_log.append(connection, now, what, actor, alarm=alarm, hub=hub, content=content)
    is_waiting = what == "raised"
    if what == "repeated" and await _NO_LONGER_DEFERRED.one(connection, id=alarm):
        # The visit that it was to wait for does not answer another press.
        is_waiting = True
        because = {"why": "pressed_again"}
        await event_log.append(connection, now, "returned", SYSTEM, alarm=alarm, hub=hub, content=because)
    if is_waiting:
        await begin(connection, alarm, now)
    if hub:
        await tell_home(connection, alarm, hub, now)
    await feed.publish(connection, now, "alarm", alarm, what)


async def raise_by_stub(
    connection: AsyncConnection, key: Mapping[str, Any], device: str, kind: AlarmKind, happened_ms: int, now: int
) -> str:
    """Somebody needs help, and no more is known yet. Returns the alarm: a new one, or the open one that it repeats.

    The caller stores the stub with it, and has it answered.
    """
    hub = str(key["hub"])
    alarm = await stubs.open_like(connection, hub, device, kind.alarm_class)
    if alarm is not None:
        repeats = await stubs.repeat(connection, alarm, now)
    else:
        source = Source(hub=hub, device=device, happened_ms=happened_ms)
        fold_key = stubs.stub_key(hub, device, kind.alarm_class)
        alarm, repeats = await _raise(connection, kind, fold_key, source, now)
        await stubs.mark_incomplete(connection, alarm)
    await join(connection, [(key, alarm, "repeat" if repeats else "raised", happened_ms)])
    content = {"kind": kind.word, "device": device, "repeats": repeats, "happened_ms": happened_ms, "by": "sms"}
    await _settle(connection, alarm, hub, "repeated" if repeats else "raised", HUB, content, now)
    return alarm


async def tell_home(connection: AsyncConnection, alarm: str, hub: str, now: int) -> None:
    """The resident is to be told what this alarm is now: `central.replies` does, after the commit.

    A hub that sent stubs of it and has no receipt may hear by SMS only.
    """
    await _OUTBOX.rows(connection, hub=hub, alarm=alarm, now=now)
    await stubs.answer_all(connection, alarm, now)


async def tell_home_again(connection: AsyncConnection, key: Mapping[str, Any], now: int) -> None:
    """A hub offers an event that is stored: it does not know what became of it, perhaps since before it was killed."""
    await _OUTBOX_AGAIN.rows(connection, **key, now=now)
