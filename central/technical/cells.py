"""When many faults are one: counts and times go in, and what is to be folded into area incidents comes out. Pure.

A cell is what homes have in common: a unit (or the tenant), the operator of their mobile network, their software; or a
single hub with all its devices. A cell is an incident when more of it is at fault within two minutes than the greatest
of twenty, five times the usual, and three in a hundred of its hubs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Protocol, TypeVar

T = TypeVar("T")

WINDOW_MS = 120_000
LEAST = 20
TIMES_USUAL = 5
SHARE = 0.03

NO_CONTACT = frozenset({"hub_silent", "path_lost", "mains_lost", "link_lost"})
"""A power cut or a network that is down shows as any of these."""
UNFOLDED = frozenset({"hubs_silent", "unknown_hub", "sms_trouble", "central_restored", "database_older", "security"})
"""About central itself, or to be looked at one by one."""


class Dimension(IntEnum):
    """What a cell is. Of two that explain as much, the lower one is named."""

    HUB = 0
    UNIT = 1
    TENANT = 2
    OPERATOR = 3
    SOFTWARE = 4


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One unit, operator, ... by its id or name."""

    dimension: Dimension
    ref: str

    @property
    def text(self) -> str:
        """As it stands in the table `incident`."""
        return f"{self.dimension.name.lower()}:{self.ref}"[:128]

    @classmethod
    def parse(cls, text: str) -> Cell:
        """From the table."""
        word, _, ref = text.partition(":")
        return cls(Dimension[word.upper()], ref)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An open technical alarm that is in no incident."""

    alarm: str
    family: str
    hub: str
    raised_ms: int
    cells: tuple[Cell, ...]
    is_critical: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """What is known of a cell: how many hubs it has, and how many faults two minutes bring there as a rule."""

    size: int = 0
    usual: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """These belong into the open incident of the cell, or into a new one."""

    cell: Cell
    family: str
    faults: tuple[Fault, ...]


class Pace(Protocol):
    """How to go through a great many: at once, or so that something else gets its turn."""

    def __call__(self, items: Iterable[T], /) -> Iterable[T]:
        """The same items."""
        ...


def at_once(items: Iterable[T], /) -> Iterable[T]:
    """A `Pace`."""
    return items


def family(kind: str) -> str:
    """What is folded together: different words for the same outage, else each kind by itself."""
    return "no_contact" if kind in NO_CONTACT else kind


@lru_cache(maxsize=50_000)
def cells_of(hub: str, unit: str | None, tenant: str | None, operator: str, software: str) -> tuple[Cell, ...]:
    """Every cell that an alarm belongs to. Remembered: a storm asks a thousand times for the same few."""
    named = (
        (Dimension.HUB, hub),
        (Dimension.UNIT, unit),
        (Dimension.TENANT, None if unit else tenant),
        (Dimension.OPERATOR, operator),
        (Dimension.SOFTWARE, software),
    )
    return tuple(Cell(dimension, ref) for dimension, ref in named if ref)


def threshold(area: Area) -> float:
    """More than this is an incident."""
    return max(LEAST, TIMES_USUAL * area.usual, SHARE * area.size)


def candidates(faults: Iterable[Fault], now_ms: int) -> set[Cell]:
    """The cells of which sizes and usual counts are worth asking for; none of the others can be an incident."""
    counted: dict[tuple[Cell, str], int] = defaultdict(int)
    for fault in faults:
        if _is_recent(fault, now_ms):
            for cell in fault.cells:
                counted[cell, fault.family] += 1
    return {cell for (cell, _), count in counted.items() if count > LEAST}


def verdicts(
    faults: Iterable[Fault],
    areas: Mapping[Cell, Area],
    now_ms: int,
    opened: Mapping[tuple[Cell, str], int] | None = None,
    pace: Pace = at_once,
) -> list[Fold]:
    """What is to be folded. `opened`: the incidents there are, with the time of their newest member.

    Each fault goes into one incident at most: an open one that is still growing, else the cell that is most completely
    at fault. What is left is counted again without those.
    """
    opened = opened or {}
    left = {fault.alarm: fault for fault in pace(faults) if _is_recent(fault, now_ms)}
    folds = []
    for (cell, word), last_ms in sorted(opened.items()):
        joining = [
            fault
            for fault in pace(left.values())
            if fault.family == word and cell in fault.cells and fault.raised_ms - last_ms <= WINDOW_MS
        ]
        if joining:
            folds.append(_fold(cell, word, joining))
            for fault in joining:
                del left[fault.alarm]
    while (found := _most_telling(left.values(), areas, pace)) is not None:
        folds.append(found)
        for fault in found.faults:
            del left[fault.alarm]
    return folds


def _is_recent(fault: Fault, now_ms: int) -> bool:
    return now_ms - fault.raised_ms <= WINDOW_MS


def _most_telling(faults: Iterable[Fault], areas: Mapping[Cell, Area], pace: Pace) -> Fold | None:
    found: dict[tuple[Cell, str], list[Fault]] = defaultdict(list)
    for fault in pace(faults):
        for cell in fault.cells:
            found[cell, fault.family].append(fault)
    best: tuple[float, int, Cell, str] | None = None
    for (cell, word), members in pace(found.items()):
        if len(members) <= LEAST:
            continue
        area = areas.get(cell, Area())
        count = len(members) if cell.dimension is Dimension.HUB else len({fault.hub for fault in members})
        if count <= threshold(area):
            continue
        share = count / max(count, area.size)
        weight = (-share, -len(members), cell, word)
        best = weight if best is None else min(best, weight)
    if best is None:
        return None
    _, _, cell, word = best
    return _fold(cell, word, found[cell, word])


def _fold(cell: Cell, word: str, members: Iterable[Fault]) -> Fold:
    ordered = sorted(members, key=lambda fault: (not fault.is_critical, fault.raised_ms, fault.alarm))
    return Fold(cell=cell, family=word, faults=tuple(ordered))
