"""Reading the words of an alarm: its note, what was measured, reasons that somebody typed. Who reads them is noted.

Lists have no words; only one alarm at a time is opened. While it is open whoever may see it may read them, and of a
fault always. Of a closed personal alarm it takes what opens the resident's record: the alarm itself for half an hour,
a visit, keeping the record, or a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.alarms.acting import Acting
from central.lifecycle import Queue
from central.people import looking
from central.people.looking import SAME_LOOK_MS, Basis, Purpose
from central.people.words import (
    Place,
    Read,
    event_place,
    is_sealed,
    measured_of,
    note_of,
    offer_note,
    sent_reason,
    typed_in_log,
)
from central.sql import Sql
from central.store import Priority
from central.views import Actor, AlarmDetail, AlarmView, Legible, TimelineEntry

_MEASURED = Sql(
    """SELECT e.hub, e.epoch, e.lane, e.seq, e.value FROM alarm_event j
    JOIN event e ON e.hub = j.hub AND e.epoch = j.epoch AND e.lane = j.lane AND e.seq = j.seq
    WHERE j.alarm = :alarm ORDER BY j.happened_ms DESC, e.received_ms DESC, e.seq DESC LIMIT 1"""
)
_TOLD = (Legible.DAMAGED, Legible.ERASED, Legible.SEALED, Legible.OPENED)
"""Of several texts of one alarm the first of these that one of them is."""

Texts = list[tuple[Place, str | None]]


class Reading(Acting):
    """What was sealed, opened for somebody."""

    async def read(
        self, detail: AlarmDetail, actor: Actor, scope: Scope, *, keeps: bool | Scope = False
    ) -> AlarmDetail:
        """The alarm with its words, for who may see it. Without a basis for it they stay sealed.

        `keeps`: whether they keep residents' records, or where they do.
        """
        own = keeps if isinstance(keeps, bool) else keeps.covers(detail.alarm.tenant, detail.alarm.unit)

        async def look(connection: AsyncConnection, *, writes: bool) -> AlarmDetail | None:
            now = self._clock.now_ms()
            texts = await _texts(connection, detail)
            if not any(is_sealed(text) for _, text in texts):
                return _filled(detail, await self._words.read(connection, texts))
            basis = await self._basis(connection, detail.alarm, actor, scope, keeps=own, now=now)
            if basis is None:
                return _filled(detail, [Read("", Legible.SEALED if text else Legible.NOTHING) for _, text in texts])
            about = detail.alarm.resident or f"hub/{detail.alarm.hub}"
            what = (actor, about[:32], "words", basis)
            if writes:
                await looking.note(connection, *what, now)
            elif not await looking.is_noted(connection, *what, now - SAME_LOOK_MS):
                return None
            return _filled(detail, await self._words.read(connection, texts))

        found = await self._store.fetch(partial(look, writes=False))
        if found is None:  # the entry is written in the transaction that reads
            found = await self._store.transact(Priority.PEOPLE, partial(look, writes=True))
        assert found is not None  # noqa: S101  # tells mypy: whoever writes reads
        return found

    @staticmethod
    async def _basis(
        connection: AsyncConnection, alarm: AlarmView, actor: Actor, scope: Scope, *, keeps: bool, now: int
    ) -> Basis | None:
        by_alarm = Basis(purpose=Purpose.ALARM, ref=alarm.id)
        if alarm.is_open or alarm.queue is not Queue.PERSONAL or alarm.resident is None:
            return by_alarm
        if alarm.undo_by == actor.id and (alarm.closed_ms or 0) > now - looking.AFTER_MS:
            return by_alarm  # whoever closed it, over the head of who had it or not
        found = await looking.basis_of(connection, actor, scope, alarm.resident, now)
        return found or (Basis(purpose=Purpose.ADMINISTRATION, ref=alarm.id) if keeps else None)


async def _texts(connection: AsyncConnection, detail: AlarmDetail) -> Texts:
    """The note, the measurement, the offer's note, and then the reasons in the order of `sent` and `timeline`."""
    alarm, offer = detail.alarm, detail.offer
    texts: Texts = [(note_of(alarm.id), alarm.sealed_note)]
    row = None if alarm.queue is Queue.TECHNICAL else await _MEASURED.one(connection, alarm=alarm.id)
    texts.append((event_place(*row[:4]), row[4]) if row is not None and is_sealed(row[4]) else (note_of(""), None))
    texts.append((note_of(""), None) if offer is None else (offer_note(offer.id), offer.sealed_note))
    texts += [(sent_reason(one.id), one.reason if is_sealed(one.reason) else None) for one in detail.sent]
    for entry in detail.timeline:
        texts += [(_place(alarm.id, entry), text) for text in _typed(entry)]
    return texts


def _typed(entry: TimelineEntry) -> list[str]:
    return [value for value in entry.content.values() if is_sealed(value)]


def _place(alarm: str, entry: TimelineEntry) -> Place:
    return sent_reason(entry.content["dispatch"]) if "dispatch" in entry.content else typed_in_log(alarm)


def _filled(detail: AlarmDetail, read: Sequence[Read]) -> AlarmDetail:
    left = list(read)
    note, measured, offered = left.pop(0), left.pop(0), left.pop(0)
    alarm = replace(detail.alarm, note=note.text or None, words=_summed_up(read))
    if measured.legible is Legible.OPENED:
        value, details = measured_of(measured)
        alarm = replace(alarm, value=value, details=details)
    sent = []
    for one in detail.sent:
        said = left.pop(0)
        sent.append(replace(one, reason=said.text) if is_sealed(one.reason) else one)
    timeline = []
    for entry in detail.timeline:
        texts = [left.pop(0) for _ in _typed(entry)]
        timeline.append(replace(entry, content=_worded(entry.content, texts)) if texts else entry)
    return replace(
        detail,
        alarm=alarm,
        offer=None if detail.offer is None else replace(detail.offer, note=offered.text),
        sent=tuple(sent),
        timeline=tuple(timeline),
    )


def _worded(content: Any, texts: list[Read]) -> dict[str, Any]:
    """The content of an entry with its typed words, and without those that are not opened: `words` says why."""
    found = {}
    for key, value in content.items():
        if not is_sealed(value):
            found[key] = value
            continue
        said = texts.pop(0)
        if said.legible is Legible.OPENED:
            found[key] = said.text
        else:
            found["words"] = said.legible.value
    return found


def _summed_up(read: Sequence[Read]) -> Legible:
    states = {one.legible for one in read}
    return next((state for state in _TOLD if state in states), Legible.NOTHING)
