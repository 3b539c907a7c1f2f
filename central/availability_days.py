"""Local days of a hub out of the bits of `central.availability`. Time that nobody listened counts neither way."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from zoneinfo import ZoneInfo

from central.availability import SLOT_MS, SLOTS, marks
from central.store import Store

SETTLED_MS = 660_000
"""What is heard is written within five minutes, when central listened within half a minute more. Twice that: where
nothing stands for a time that is longer ago, nobody listened."""


class Mark(StrEnum):
    """What is known of five minutes."""

    HEARD = "h"
    MISSED = "m"
    UNKNOWN = "u"  # central did not listen, or keeps nothing of that time
    BEFORE = "b"  # there was no such hub
    AHEAD = "a"  # not over, or not written yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Slots in a row of which the same is known. `first` counts from the day's beginning."""

    mark: Mark
    first: int
    length: int
    begin_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A local day: 288 slots, or an hour's more or less when the clock is set."""

    date: dt.date
    begin_ms: int
    marks: str

    def count(self, mark: Mark) -> int:
        """How many slots."""
        return self.marks.count(mark)

    @property
    def tenths(self) -> int | None:
        """Per mille of the time that is known in which the hub was heard, rounded down; None: nothing is known."""
        return tenths(self.count(Mark.HEARD), self.count(Mark.MISSED))

    def stretches(self) -> Iterator[Stretch]:
        """From midnight to midnight."""
        first = 0
        for mark, slots in groupby(self.marks):
            length = len(list(slots))
            begin_ms = self.begin_ms + first * SLOT_MS
            yield Stretch(
                mark=Mark(mark), first=first, length=length, begin_ms=begin_ms, end_ms=begin_ms + length * SLOT_MS
            )
            first += length


def tenths(heard: int, missed: int) -> int | None:
    """Never 1000 where anything was missed."""
    return None if heard + missed == 0 else 1000 * heard // (heard + missed)


async def days_of(store: Store, hub: str, *, zone: ZoneInfo, since_ms: int, now_ms: int, count: int) -> list[Day]:
    """The last `count` local days, today first. The hub was enrolled at `since_ms`."""
    today = dt.datetime.fromtimestamp(now_ms / 1000, zone).date()
    dates = [today - dt.timedelta(days=back) for back in range(count)]
    bounds = [(_slot(date, zone), _slot(date + dt.timedelta(days=1), zone)) for date in dates]
    first, last = bounds[-1][0] // SLOTS, (bounds[0][1] - 1) // SLOTS
    heard, listened = await store.fetch(lambda connection: marks(connection, hub, first, last))

    def cut() -> list[Day]:
        found = []
        for date, (begin, end) in zip(dates, bounds, strict=True):
            shift, ones = begin - first * SLOTS, (1 << end - begin) - 1
            slots = _marks(heard >> shift & ones, listened >> shift & ones, begin, end, since_ms, now_ms)
            found.append(Day(date=date, begin_ms=begin * SLOT_MS, marks="".join(slots)))
        return found

    return await asyncio.to_thread(cut)


def _slot(date: dt.date, zone: ZoneInfo) -> int:
    return int(dt.datetime(date.year, date.month, date.day, tzinfo=zone).timestamp() * 1000) // SLOT_MS


def _marks(heard: int, listened: int, begin: int, end: int, since_ms: int, now_ms: int) -> Iterator[Mark]:
    for place in range(end - begin):
        over_ms = (begin + place + 1) * SLOT_MS
        if heard >> place & 1:
            yield Mark.HEARD
        elif over_ms - SLOT_MS < since_ms:
            yield Mark.BEFORE if over_ms <= now_ms else Mark.AHEAD
        elif listened >> place & 1:
            yield Mark.MISSED
        else:
            yield Mark.UNKNOWN if over_ms <= now_ms - SETTLED_MS else Mark.AHEAD
