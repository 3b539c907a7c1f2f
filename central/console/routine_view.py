"""Routine cards and criteria as pages show them: on the alarm, and where they are written."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.gate import Visit
from central.lifecycle import Queue
from central.routines import cards, criteria
from central.routines.cards import CardRow, Subject
from central.routines.criteria import Criterion
from central.routing.services import service_of
from central.views import AlarmDetail, AlarmView


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionLine:
    """A criterion in the reader's language."""

    code: str
    text: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """What stands on an alarm: the card, where it comes from, and by which criterion it is or may be judged."""

    card: tuple[str, ...]
    source: str
    criterion: CriterionLine | None
    choices: tuple[CriterionLine, ...]
    """Named as the alarm names them, for its history: `3/fallen` → how it was worded."""
    worded: dict[str, str]


async def routine_of(visit: Visit, detail: AlarmDetail) -> Routine:
    """Card and criteria of an alarm, as they are now."""
    alarm = detail.alarm
    refs = {ref for entry in detail.timeline if isinstance(ref := entry.content.get("criterion"), str)}

    async def work(
        connection: AsyncConnection,
    ) -> tuple[CardRow | None, criteria.ListRow, dict[str, Criterion | None]]:
        return (
            await cards.card_for(connection, alarm.tenant, alarm.kind.word, alarm.criterion),
            await criteria.current(connection, alarm.tenant),
            {ref: await criteria.named(connection, alarm.tenant, ref) for ref in refs | {alarm.criterion}},
        )

    card, listed, named = await visit.desk.services.store.fetch(work)
    chosen = named[alarm.criterion]
    fitting = () if alarm.queue is not Queue.PERSONAL else listed.content.of_service(service_of(alarm.kind.word))
    return Routine(
        card=card_lines(visit, alarm, card),
        source=card_source(visit, card),
        criterion=None if chosen is None else line_of(visit, chosen),
        choices=tuple(line_of(visit, one) for one in fitting),
        worded={ref: one.text(visit.words.language) for ref, one in named.items() if one is not None},
    )


def line_of(visit: Visit, criterion: Criterion) -> CriterionLine:
    """One criterion, in words."""
    return CriterionLine(
        code=criterion.code,
        text=criterion.text(visit.words.language),
        level=criterion.level.value,
    )


def card_lines(visit: Visit, alarm: AlarmView, card: CardRow | None) -> tuple[str, ...]:
    """What to do, in the reader's language where it was written in it."""
    if card is not None:
        return card.text.lines(visit.words.language)
    key = "technical" if alarm.queue is Queue.TECHNICAL and not visit.words.has(f"card.{alarm.kind.word}") else ""
    return cards.shipped(key or alarm.kind.word, visit.words.language)


def card_source(visit: Visit, card: CardRow | None) -> str:
    """Who says so, and since when."""
    if card is None:
        return visit.words("routine.source_shipped")
    date = visit.figures.date(card.written_ms)
    return visit.words("routine.source_own", version=card.version, date=date)


def subject_text(visit: Visit, subject: Subject, listed: criteria.CriteriaList) -> str:
    """What a card is for, in words."""
    t = visit.words
    parts = []
    if subject.kind:
        parts.append(t.either(f"kind.{subject.kind}", subject.kind))
    if subject.service:
        parts.append(t("routine.all_of", service=t.either(f"granted.{subject.service}", subject.service)))
    if subject.criterion:
        found = listed.find(subject.criterion)
        parts.append(t("routine.with", criterion=found.text(t.language) if found else subject.criterion))
    return ", ".join(parts)
