"""Routine cards, criteria and outcomes as pages show them: on the alarm, and where they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.console.gate import Visit
from central.lifecycle import TECHNICAL_DISPOSITIONS, TECHNICAL_OUTCOMES, Queue
from central.outcomes import Outcome
from central.routines import cards, criteria, outcomes
from central.routines.cards import CardRow, Subject
from central.routines.criteria import Criterion
from central.routines.outcomes import Named
from central.routing.services import service_of
from central.views import AlarmDetail, AlarmView

Worded = Mapping[Named, Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionLine:
    """A criterion in the reader's language."""

    code: str
    text: str
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeLine:
    """An outcome in the reader's language, how an alarm can be closed with it, and which help is meant by it."""

    code: str
    text: str
    dispositions: tuple[str, ...]
    help: str
    help_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Routine:
    """What stands on an alarm: the card, where it comes from, how it is or may be judged, what it may have been."""

    card: tuple[str, ...]
    source: str
    criterion: CriterionLine | None
    choices: tuple[CriterionLine, ...]
    """Named as the alarm names them, for its history: `3/fallen` → how it was worded."""
    worded: dict[str, str]
    outcomes: tuple[OutcomeLine, ...]
    outcome_words: Mapping[Named, str]
    """As the alarm and its history name them: in the words of the list that it was closed by."""

    def outcome_text(self, ref: str, code: str | None) -> str:
        """What an outcome was called then."""
        return self.outcome_words.get((ref, code or ""), code or "")


async def routine_of(visit: Visit, detail: AlarmDetail) -> Routine:
    """Card, criteria and outcomes of an alarm, as they are now, and the words of those that were chosen."""
    alarm = detail.alarm
    ended = {(alarm.outcome_list, alarm.outcome or ""), *(outcome_in(entry.content) for entry in detail.timeline)}
    refs = {ref for entry in detail.timeline if isinstance(ref := entry.content.get("criterion"), str)}

    async def work(
        connection: AsyncConnection,
    ) -> tuple[CardRow | None, criteria.ListRow, dict[str, Criterion | None], outcomes.ListRow, Worded]:
        return (
            await cards.card_for(connection, alarm.tenant, alarm.kind.word, alarm.criterion),
            await criteria.current(connection, alarm.tenant),
            {ref: await criteria.named(connection, alarm.tenant, ref) for ref in refs | {alarm.criterion}},
            await outcomes.current(connection, alarm.tenant),
            await outcomes.worded(connection, ended | _technical(alarm)),
        )

    card, listed, named, ends, words = await visit.desk.services.store.fetch(work)
    chosen = named[alarm.criterion]
    fitting = () if alarm.queue is not Queue.PERSONAL else listed.content.of_service(service_of(alarm.kind.word))
    return Routine(
        card=card_lines(visit, alarm, card),
        source=card_source(visit, card),
        criterion=None if chosen is None else line_of(visit, chosen),
        choices=tuple(line_of(visit, one) for one in fitting),
        worded={ref: one.text(visit.words.language) for ref, one in named.items() if one is not None},
        outcomes=_faults(visit, words) if alarm.queue is Queue.TECHNICAL else _offered(visit, ends),
        outcome_words={name: one.text(visit.words.language) for name, one in words.items()},
    )


def outcome_in(content: Mapping[str, Any]) -> Named:
    """The outcome that an entry of the log tells, as it names it."""
    return str(content.get("outcome_list") or ""), str(content.get("outcome") or "")


async def outcome_words(visit: Visit, wanted: Iterable[Named]) -> Mapping[Named, str]:
    """What outcomes were called in the lists that name them."""
    named = {one for one in wanted if one[1]}
    found = await visit.desk.services.store.fetch(lambda connection: outcomes.worded(connection, named))
    return {name: one.text(visit.words.language) for name, one in found.items()}


def _technical(alarm: AlarmView) -> set[Named]:
    return {("", code) for code in TECHNICAL_OUTCOMES} if alarm.queue is Queue.TECHNICAL else set()


def _faults(visit: Visit, words: Worded) -> tuple[OutcomeLine, ...]:
    """Those of technical alarms. They are the same everywhere, and say nothing of help."""
    fitting = tuple(word.value for word in TECHNICAL_DISPOSITIONS)
    return tuple(
        OutcomeLine(
            code=code, text=words["", code].text(visit.words.language), dispositions=fitting, help="", help_only=False
        )
        for code in TECHNICAL_OUTCOMES
    )


def _offered(visit: Visit, listed: outcomes.ListRow) -> tuple[OutcomeLine, ...]:
    return tuple(
        OutcomeLine(
            code=one.code,
            text=one.text(visit.words.language),
            dispositions=tuple(word.value for word in one.fitting),
            help=one.help.value,
            help_only=one.help_only,
        )
        for one in listed.content.offered
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
