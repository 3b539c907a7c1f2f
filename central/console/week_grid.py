"""The week drawn: seven days of spans, lying for a desk and standing for a phone. Letters and hatching, not colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from central.routing.plan import DAY_MIN, Plan, week


@dataclass(frozen=True, slots=True, kw_only=True)
class GridSpan:
    """Part of a day, in minutes of it. `lane` of `lanes`: several at once lie beside each other."""

    day: int
    begin: int
    to: int
    letter: str
    name: str
    pattern: int
    lane: int = 0
    lanes: int = 1
    is_gap: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekGrid:
    """What the page draws. `now` is a day and minute to be marked."""

    spans: tuple[GridSpan, ...]
    legend: tuple[tuple[str, str, int], ...]
    days: tuple[str, ...]
    today: int | None = None
    now: tuple[int, int] | None = None
    tried: tuple[int, int] | None = None


def plan_grid(
    plan: Plan, days: Sequence[str], *, now: tuple[int, int] | None = None, tried: tuple[int, int] | None = None
) -> WeekGrid:
    """Which variant holds when."""
    places = {variant.name: place for place, variant in enumerate(plan.variants)}
    spans = tuple(
        GridSpan(
            day=day,
            begin=begin,
            to=to,
            letter=ascii_uppercase[places[variant.name]],
            name=variant.name,
            pattern=_pattern(places[variant.name], len(places)),
        )
        for day, found in enumerate(week(plan))
        for begin, to, variant in found
    )
    legend = tuple(
        (ascii_uppercase[place], variant.name, _pattern(place, len(places)))
        for place, variant in enumerate(plan.variants)
    )
    return WeekGrid(
        spans=spans, legend=legend, days=tuple(days), now=now, tried=tried, today=None if now is None else now[0]
    )


def _pattern(place: int, count: int) -> int:
    """The last variant, for all the rest, is plain paper; the others take turns with four hatchings."""
    return 0 if place == count - 1 else 1 + place % 4


def length(span: GridSpan) -> int:
    """In minutes."""
    return min(span.to, DAY_MIN) - span.begin
