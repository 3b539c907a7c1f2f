"""The duty rota of a team: who ought to be on duty when, from weekly shifts and exceptions to them.

A shift begins and ends when the wall clock first comes to its minute, so that one that ends at 02:30 and one that
begins then meet without a gap also on the nights when the clock is changed. Exceptions come in three kinds: nobody (no
account, instead of nobody) empties the weekly pattern, an extra one adds somebody, and a stand-in takes the place of a
named account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from central.routing.calendar import instant, local
from central.routing.plan import WEEKDAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Every week on these days. `account` None: whoever answers the team's duty telephone."""

    id: str
    account: str | None
    weekdays: frozenset[int]
    from_minute: int
    to_minute: int
    """Not after `from_minute`: ends on the next day."""
    from_day: date
    to_day: date | None = None
    """The last day on which it begins."""

    def on(self, day: date, zone: ZoneInfo) -> tuple[int, int] | None:
        """When it is held, if it begins on this day."""
        if day.weekday() not in self.weekdays or day < self.from_day or (self.to_day and day > self.to_day):
            return None
        last = day if self.to_minute > self.from_minute else day + timedelta(days=1)
        begin, end = instant(zone, day, self.from_minute), instant(zone, last, self.to_minute)
        return (begin, end) if begin < end else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """An exception, from one instant to another."""

    id: str
    account: str | None
    instead_of: str | None
    from_ms: int
    to_ms: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """Somebody on duty without a break."""

    from_ms: int
    to_ms: int
    account: str | None
    shift: str | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Nobody is to be on duty."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rota:
    """All of a team's, in the zone in which its shifts are meant."""

    zone: ZoneInfo
    shifts: tuple[Shift, ...] = ()
    overrides: tuple[Override, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether anybody has written one: without, the whole team is asked at all times, and nothing is a gap."""
        return bool(self.shifts)

    def spells(self, from_ms: int, to_ms: int) -> tuple[Spell, ...]:
        """Who is on duty within, as it lies within, in order of time."""
        found = list(_cut_out(self._weekly(from_ms, to_ms), self._emptied()))
        found += [
            Spell(from_ms=extra.from_ms, to_ms=extra.to_ms, account=extra.account, override=extra.id)
            for extra in self.overrides
            if extra.account is not None and extra.instead_of is None
        ]
        stand_ins = [one for one in self.overrides if one.instead_of is not None]
        found = [piece for spell in found for piece in _stood_in(spell, stand_ins)]
        within = (
            replace(spell, from_ms=max(spell.from_ms, from_ms), to_ms=min(spell.to_ms, to_ms))
            for spell in found
            if spell.from_ms < to_ms and spell.to_ms > from_ms
        )
        return tuple(sorted(within, key=lambda spell: (spell.from_ms, spell.to_ms, spell.account or "")))

    def on_at(self, at_ms: int) -> tuple[Spell, ...]:
        """Who is on duty at an instant."""
        return self.spells(at_ms, at_ms + 1)

    def next_after(self, at_ms: int, within_ms: int) -> Spell | None:
        """The first spell that begins after an instant."""
        coming = (spell for spell in self.spells(at_ms, at_ms + within_ms) if spell.from_ms > at_ms)
        return next(coming, None)

    def until(self, at_ms: int, within_ms: int) -> int | None:
        """Until when somebody is on duty without a break from this instant on. None: nobody is."""
        if not self.on_at(at_ms):
            return None
        gaps = self.gaps(at_ms, at_ms + within_ms)
        return gaps[0].from_ms if gaps else at_ms + within_ms

    def gaps(self, from_ms: int, to_ms: int) -> tuple[Gap, ...]:
        """When nobody is to be on duty. None where no rota is kept."""
        if not self.is_kept:
            return ()
        found, reached = [], from_ms
        for spell in self.spells(from_ms, to_ms):
            if spell.from_ms > reached:
                found.append(Gap(from_ms=reached, to_ms=spell.from_ms))
            reached = max(reached, spell.to_ms)
        if reached < to_ms:
            found.append(Gap(from_ms=reached, to_ms=to_ms))
        return tuple(found)

    def _weekly(self, from_ms: int, to_ms: int) -> Iterator[Spell]:
        day = local(from_ms, self.zone)[0] - timedelta(days=2)
        last = local(to_ms, self.zone)[0] + timedelta(days=1)
        while day <= last:
            for shift in self.shifts:
                held = shift.on(day, self.zone)
                if held is not None:
                    yield Spell(from_ms=held[0], to_ms=held[1], account=shift.account, shift=shift.id)
            day += timedelta(days=1)

    def _emptied(self) -> Sequence[Override]:
        return [one for one in self.overrides if one.account is None and one.instead_of is None]


def weekdays_of(mask: int) -> frozenset[int]:
    """Days from the bits of a row; bit 0 is Monday."""
    return frozenset(day for day in WEEKDAYS if mask >> day & 1)


def mask_of(days: Iterable[int]) -> int:
    """The bits of a row."""
    return sum(1 << day for day in set(days))


def _cut_out(spells: Iterable[Spell], holes: Sequence[Override]) -> Iterator[Spell]:
    for spell in spells:
        left = [spell]
        for hole in holes:
            left = [piece for one in left for piece in _without(one, hole.from_ms, hole.to_ms)]
        yield from left


def _without(spell: Spell, from_ms: int, to_ms: int) -> Iterator[Spell]:
    if to_ms <= spell.from_ms or from_ms >= spell.to_ms:
        yield spell
        return
    if spell.from_ms < from_ms:
        yield replace(spell, to_ms=from_ms)
    if to_ms < spell.to_ms:
        yield replace(spell, from_ms=to_ms)


def _stood_in(spell: Spell, stand_ins: Sequence[Override], used: frozenset[str] = frozenset()) -> Iterator[Spell]:
    """A spell with stand-ins in place. A stand-in may have one in turn; each takes a place once, so that it ends."""
    for one in stand_ins:
        begin, end = max(spell.from_ms, one.from_ms), min(spell.to_ms, one.to_ms)
        if one.id in used or one.instead_of != spell.account or begin >= end:
            continue
        for piece in _without(spell, begin, end):
            yield from _stood_in(piece, stand_ins, used)
        if one.account is not None:
            inside = replace(spell, from_ms=begin, to_ms=end, account=one.account, override=one.id)
            yield from _stood_in(inside, stand_ins, used | {one.id})
        return
    yield spell
