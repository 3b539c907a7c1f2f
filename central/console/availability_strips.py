"""When a hub was heard, as strips: one a day, with the same in words and a figure beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from central.availability import SLOT_MS
from central.availability_days import Day, Mark, Stretch, tenths
from central.console.gate import Visit

NAMED = 2
"""So many times without a sign of life are named of a day, the longest; how many more there were is said."""
DRAWN = {Mark.HEARD: "heard", Mark.MISSED: "missed", Mark.UNKNOWN: "unknown"}
LEAST = 2
"""So many slots wide at least what was missed is drawn: five minutes of a day are less than a dot of a phone."""
_MIN_MS = 60_000
_TO = "\N{EN DASH}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Part of a strip, in slots."""

    word: str
    x: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """A day. `length` in slots."""

    day: str
    length: int
    pieces: tuple[Piece, ...]
    percent: str
    text: str
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Strips:
    """What the page of a hub shows. `percent` is of all of it."""

    strips: tuple[Strip, ...]
    percent: str


def strips_of(visit: Visit, days: Sequence[Day]) -> Strips:
    """Newest first, as they come."""
    heard, missed = (sum(day.count(mark) for day in days) for mark in (Mark.HEARD, Mark.MISSED))
    return Strips(strips=tuple(_strip(visit, day) for day in days), percent=_percent(visit, tenths(heard, missed)))


def _strip(visit: Visit, day: Day) -> Strip:
    found = list(day.stretches())
    length = len(day.marks)
    # What was missed last, over all else.
    pieces = sorted((_piece(one, length) for one in found if one.mark in DRAWN), key=lambda one: one.word == "missed")
    return Strip(
        day=_name(visit, day),
        length=length,
        pieces=tuple(pieces),
        percent=_percent(visit, day.tenths),
        text=_text(visit, day, found),
        is_whole=not day.count(Mark.MISSED),
    )


def _piece(one: Stretch, length: int) -> Piece:
    width = max(one.length, LEAST) if one.mark is Mark.MISSED else one.length
    return Piece(word=DRAWN[one.mark], x=min(one.first, length - width), width=width)


def _name(visit: Visit, day: Day) -> str:
    short = visit.words(f"weekday.s{day.date.weekday()}")
    return f"{short} {visit.figures.day_and_month(day.date)}"


def _percent(visit: Visit, share: int | None) -> str:
    if share is None:
        return visit.words("availability.none")
    return visit.words("availability.percent", n=visit.figures.number(share / 10))


def _text(visit: Visit, day: Day, found: Sequence[Stretch]) -> str:
    t = visit.words
    if day.tenths is None:
        if day.count(Mark.UNKNOWN):
            return t("availability.no_record")
        return t("availability.before") if day.count(Mark.BEFORE) else t("availability.nothing_yet")
    said = []
    missed = sorted((one for one in found if one.mark is Mark.MISSED), key=lambda one: (-one.length, one.first))
    if missed:
        times = [_span(visit, one) for one in sorted(missed[:NAMED], key=lambda one: one.first)]
        listed = ", ".join(times)
        if left := len(missed) - len(times):
            listed = t("availability.more", times=listed, n=left)
        said.append(t("availability.not_heard", long=_long(visit, day.count(Mark.MISSED)), times=listed))
    else:
        said.append(t("availability.whole"))
    if day.count(Mark.UNKNOWN):
        said.append(t("availability.not_listened", long=_long(visit, day.count(Mark.UNKNOWN))))
    return " ".join(said)


def _span(visit: Visit, one: Stretch) -> str:
    clock = visit.figures.short_clock
    return f"{clock(one.begin_ms)}{_TO}{clock(one.end_ms)}"


def _long(visit: Visit, slots: int) -> str:
    hours, minutes = divmod(slots * SLOT_MS // _MIN_MS, 60)
    t = visit.words
    said = [f"{hours} {t('time.unit_h')}"] if hours else []
    return " ".join([*said, *([f"{minutes} {t('time.unit_min')}"] if minutes else [])])
