"""A team's week as a grid: a row of hours a day, each person with a letter and a hatching, gaps among them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from central.console.gate import Visit
from central.console.week_grid import GridSpan, WeekGrid
from central.routing import calendar
from central.routing.duty import TeamRota
from central.routing.plan import WEEKDAYS
from central.routing.rota import Spell
from central.routing.words import clock_at


def person_name(visit: Visit, found: TeamRota, account: str | None) -> str:
    """Whoever is on duty; None is the team's telephone."""
    return visit.words("rota.phone") if account is None else found.names.get(account, visit.words("rota.gone"))


def rota_grid(visit: Visit, found: TeamRota, monday: date, now: int) -> WeekGrid:
    """The week from this Monday on: who is on when, side by side, and where nobody is."""
    rota, t = found.rota, visit.words
    begin, end = calendar.instant(rota.zone, monday, 0), calendar.instant(rota.zone, monday + timedelta(days=7), 0)
    spells = rota.spells(begin, end)
    letters = _letters([person_name(visit, found, spell.account) for spell in spells])
    spans = []
    for day in WEEKDAYS:
        since, until = calendar.day_bounds(rota.zone, monday + timedelta(days=day))
        of_day = [spell for spell in spells if spell.from_ms < until and spell.to_ms > since]
        lanes = _lanes(of_day)
        for spell, (lane, count) in zip(of_day, lanes, strict=True):
            name = person_name(visit, found, spell.account)
            letter, pattern = letters[name]
            first, last = _minute(max(spell.from_ms, since), rota.zone), _minute(min(spell.to_ms, until), rota.zone)
            comes, goes = (clock_at(at, rota.zone) for at in (spell.from_ms, spell.to_ms))
            spans.append(
                GridSpan(
                    day=day,
                    begin=first if spell.from_ms > since else 0,
                    to=last if spell.to_ms < until else 24 * 60,
                    letter=letter,
                    name=name,
                    pattern=pattern,
                    lane=lane,
                    lanes=count,
                    title=f"{name} {t('rota.span', begin=comes, to=goes)}",
                )
            )
        spans += [
            GridSpan(
                day=day,
                begin=_minute(gap.from_ms, rota.zone) if gap.from_ms > since else 0,
                to=_minute(gap.to_ms, rota.zone) if gap.to_ms < until else 24 * 60,
                letter="!",
                name=t("rota.nobody"),
                pattern=0,
                is_gap=True,
                title=t("rota.nobody"),
            )
            for gap in rota.gaps(since, until)
        ]
    today, minute = calendar.local(now, rota.zone)
    is_now = monday <= today < monday + timedelta(days=7)
    return WeekGrid(
        spans=tuple(span for span in spans if span.begin < span.to),
        legend=tuple((letter, name, pattern) for name, (letter, pattern) in letters.items()),
        days=tuple(t(f"weekday.s{day}") for day in WEEKDAYS),
        today=today.weekday() if is_now else None,
        now=(today.weekday(), minute) if is_now else None,
    )


def _letters(names: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Initials that tell the people of this week apart, and a hatching each."""
    found: dict[str, tuple[str, int]] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        initials = "".join(part[0] for part in name.split()[:2]).upper() or "?"
        letter, number = initials, 2
        while letter in taken:
            letter, number = f"{initials[0]}{number}", number + 1
        taken.add(letter)
        found[name] = (letter, len(found) % 5)
    return found


def _lanes(spells: Sequence[Spell]) -> list[tuple[int, int]]:
    """A lane for each, and how many lanes the day has: those who are on at once lie beside each other."""
    ends: list[int] = []
    places = []
    for spell in spells:
        lane = next((place for place, end in enumerate(ends) if end <= spell.from_ms), len(ends))
        if lane == len(ends):
            ends.append(0)
        ends[lane] = spell.to_ms
        places.append(lane)
    return [(lane, len(ends)) for lane in places]


def _minute(at_ms: int, zone: ZoneInfo) -> int:
    return calendar.local(at_ms, zone)[1]
