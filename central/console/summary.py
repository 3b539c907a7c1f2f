"""What became of an alarm, as plain text for the municipality's journal system: no names of colleagues, no secrets."""

from __future__ import annotations

from central.console.gate import Visit
from central.console.log_words import channel_word, nth
from central.console.routine_view import Routine
from central.console.rows import kind_title, place_of
from central.views import AlarmDetail, TimelineEntry

UNTOLD = frozenset(
    {
        "shown",
        "renewed",
        "repeat",
        "notified",
        "notification_delivered",
        "notification_unconfirmed",
        "notification_given_up",
    }
)
"""What is of no use in a journal."""


def summary_of(visit: Visit, detail: AlarmDetail, routine: Routine) -> str:
    """Times and acts, in the reader's language. The only free texts are the notes, and that of the outcome."""
    t, figures, alarm = visit.words, visit.figures, detail.alarm
    kind = kind_title(visit, alarm)
    lines = [
        f"{kind}, {figures.date(alarm.happened_ms)} {figures.clock(alarm.happened_ms)}",
        f"{t('alarm.place')}: {place_of(visit, alarm)}",
        t("alarm.criterion", rank=alarm.rank, why=t(f"alarm.criterion_r{alarm.first_rank}")),
    ]
    for entry in detail.timeline:
        if entry.what in UNTOLD:
            continue
        if entry.what == "noted":
            lines.append(f"{figures.clock(entry.at_ms)} {t('note.title')}: {_noted(visit, entry)}")
            continue
        who = entry.actor_name if entry.actor in {"system", "hub"} else t("alarm.summary_someone")
        key = "what.came_again" if entry.what == "repeated" else f"what.{entry.what}"
        channel = channel_word(visit, entry.content)
        said = t.either(key, entry.what, name=who, kind=kind, n=nth(entry.content), channel=channel)
        lines.append(f"{figures.clock(entry.at_ms)} {said[:1].upper()}{said[1:]}")
        if entry.what == "deferred" and entry.content.get("note") not in {None, alarm.note}:
            lines.append(f"{figures.clock(entry.at_ms)} {t('note.title')}: {_noted(visit, entry)}")
    if routine.criterion is not None:
        lines.append(f"{t('criterion.title')}: {routine.criterion.text} ({t(f'level.{routine.criterion.level}')})")
    if alarm.disposition:
        lines.append(f"{t('close.disposition')}: {t.either(f'disposition.{alarm.disposition}', alarm.disposition)}")
        lines.append(f"{t('alarm.outcome')}: {routine.outcome_text(alarm.outcome_list, alarm.outcome)}")
    if alarm.note:
        lines.append(f"{t('close.note')}: {alarm.note}")
    elif alarm.sealed_note:
        lines.append(f"{t('close.note')}: {t(f'words.{alarm.words}')}")
    return "\n".join(lines)


def _noted(visit: Visit, entry: TimelineEntry) -> str:
    """On one line; or why it is not there."""
    if "words" in entry.content:
        return visit.words(f"words.{entry.content['words']}")
    return " ".join(str(entry.content.get("note", "")).split())
