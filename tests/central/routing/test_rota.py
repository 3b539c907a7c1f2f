"""Who ought to be on duty, and when nobody ought to be."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.routing.calendar import MINUTE_MS, instant
from central.routing.rota import Gap, Override, Rota, Shift, mask_of, weekdays_of

OSLO = ZoneInfo("Europe/Oslo")
HOUR = 3_600_000
MONDAY = date(2026, 11, 23)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
WEEK = (instant(OSLO, MONDAY, 0), instant(OSLO, MONDAY + timedelta(days=7), 0))
ALL = frozenset(range(7))


def shift(name: str | None, begin: str, to: str, **more: Any) -> Shift:
    minutes = [int(text[:2]) * 60 + int(text[3:]) for text in (begin, to)]
    known: dict[str, Any] = {"weekdays": ALL, "from_day": date(2026, 1, 1)} | more
    return Shift(id=f"{name}-{begin}", account=name, from_minute=minutes[0], to_minute=minutes[1], **known)


def at(day: date, clock: str) -> int:
    return instant(OSLO, day, int(clock[:2]) * 60 + int(clock[3:]))


def rota(*shifts: Shift, overrides: tuple[Override, ...] = ()) -> Rota:
    return Rota(zone=OSLO, shifts=shifts, overrides=overrides)


DAY_AND_NIGHT = (shift("anna", "07:00", "22:00"), shift("bent", "22:00", "07:00"))


def names(found: Rota, when: int) -> list[str | None]:
    return [spell.account for spell in found.on_at(when)]


def test_a_night_shift_goes_on_to_the_next_morning() -> None:
    found = rota(*DAY_AND_NIGHT)
    assert names(found, at(MONDAY, "21:59")) == ["anna"]
    assert names(found, at(MONDAY, "22:00")) == ["bent"]
    assert names(found, at(MONDAY + timedelta(days=1), "06:59")) == ["bent"]
    assert names(found, at(MONDAY + timedelta(days=1), "07:00")) == ["anna"]
    assert found.gaps(*WEEK) == ()


def test_a_shift_has_a_first_and_a_last_day() -> None:
    found = rota(shift("anna", "08:00", "16:00", from_day=MONDAY, to_day=MONDAY + timedelta(days=1)))
    held = [spell.from_ms for spell in found.spells(WEEK[0] - 7 * 24 * HOUR, WEEK[1] + 7 * 24 * HOUR)]
    assert held == [at(MONDAY, "08:00"), at(MONDAY + timedelta(days=1), "08:00")]


def test_what_is_missing_from_the_week_is_a_gap() -> None:
    weekdays = shift("anna", "08:00", "08:00", weekdays=frozenset({0, 1, 2, 3, 4}))
    assert rota(weekdays).gaps(*WEEK) == (
        Gap(from_ms=WEEK[0], to_ms=at(MONDAY, "08:00")),
        Gap(from_ms=at(MONDAY + timedelta(days=5), "08:00"), to_ms=WEEK[1]),
    )
    assert rota().gaps(*WEEK) == ()
    assert not rota().is_kept


def test_a_stand_in_takes_the_place_of_somebody_and_only_there() -> None:
    begin, end = at(MONDAY, "21:00"), at(MONDAY + timedelta(days=1), "02:00")
    change = Override(id="o", account="cato", instead_of="bent", from_ms=begin, to_ms=end)
    found = rota(*DAY_AND_NIGHT, overrides=(change,))
    assert names(found, begin) == ["anna"]
    assert names(found, at(MONDAY, "23:00")) == ["cato"]
    assert names(found, end) == ["bent"]
    assert found.gaps(*WEEK) == ()


def test_nobody_instead_of_somebody_leaves_a_gap() -> None:
    begin, end = at(MONDAY, "22:00"), at(MONDAY, "23:00")
    ill = Override(id="o", account=None, instead_of="bent", from_ms=begin, to_ms=end)
    assert rota(*DAY_AND_NIGHT, overrides=(ill,)).gaps(*WEEK) == (Gap(from_ms=begin, to_ms=end),)


def test_an_extra_one_stands_beside_and_fills_what_was_emptied() -> None:
    begin, end = at(MONDAY, "10:00"), at(MONDAY, "12:00")
    extra = Override(id="x", account="cato", instead_of=None, from_ms=begin, to_ms=end)
    assert names(rota(*DAY_AND_NIGHT, overrides=(extra,)), begin) == ["anna", "cato"]
    closed = Override(id="c", account=None, instead_of=None, from_ms=begin - HOUR, to_ms=end)
    found = rota(*DAY_AND_NIGHT, overrides=(extra, closed))
    assert names(found, begin) == ["cato"]
    assert found.gaps(*WEEK) == (Gap(from_ms=begin - HOUR, to_ms=begin),)


def test_a_stand_in_may_have_a_stand_in() -> None:
    whole = Override(id="1", account="cato", instead_of="anna", from_ms=WEEK[0], to_ms=WEEK[1])
    part = Override(id="2", account="dina", instead_of="cato", from_ms=at(MONDAY, "10:00"), to_ms=at(MONDAY, "11:00"))
    found = rota(*DAY_AND_NIGHT, overrides=(part, whole))
    assert names(found, at(MONDAY, "09:59")) == ["cato"]
    assert names(found, at(MONDAY, "10:00")) == ["dina"]


def test_the_order_in_which_stand_ins_were_written_does_not_matter_and_a_ring_of_them_ends() -> None:
    begin, end = at(MONDAY, "10:00"), at(MONDAY, "11:00")
    first = Override(id="1", account="cato", instead_of="anna", from_ms=begin, to_ms=end)
    nobody = Override(id="2", account=None, instead_of="cato", from_ms=begin, to_ms=end)
    back = Override(id="3", account="anna", instead_of="cato", from_ms=begin, to_ms=end)
    for overrides in ((first, nobody), (nobody, first)):
        assert rota(*DAY_AND_NIGHT, overrides=overrides).gaps(*WEEK) == (Gap(from_ms=begin, to_ms=end),)
    for overrides in ((first, back), (back, first)):
        assert names(rota(*DAY_AND_NIGHT, overrides=overrides), begin) == ["anna"]


def test_who_is_next_and_until_when_somebody_is_there() -> None:
    found = rota(shift("anna", "07:00", "15:00"), shift(None, "15:00", "22:00"))
    now = at(MONDAY, "09:00")
    following = found.next_after(now, 24 * HOUR)
    assert following is not None
    assert (following.account, following.from_ms) == (None, at(MONDAY, "15:00"))
    assert found.until(now, 24 * HOUR) == at(MONDAY, "22:00")
    assert found.until(at(MONDAY, "23:00"), 24 * HOUR) is None


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 8), (AUTUMN, 10)])
def test_a_night_is_shorter_or_longer_when_the_clock_is_changed(day: date, hours: int) -> None:
    night = rota(shift("bent", "22:00", "07:00")).on_at(at(day, "01:00"))[0]
    whole = rota(shift("bent", "22:00", "07:00")).spells(at(day, "00:00") - 4 * HOUR, at(day, "12:00"))
    assert night.account == "bent"
    assert [(spell.to_ms - spell.from_ms) // HOUR for spell in whole] == [hours]


@given(st.integers(0, 1439), st.integers(0, 1439), st.sampled_from([SPRING, AUTUMN, MONDAY]))
@settings(max_examples=200, deadline=None)
def test_two_shifts_that_meet_on_the_clock_never_leave_a_gap_and_never_overlap(a: int, b: int, day: date) -> None:
    known: dict[str, Any] = {"weekdays": ALL, "from_day": date(2026, 1, 1)}
    found = rota(
        Shift(id="1", account="anna", from_minute=a, to_minute=b, **known),
        *(() if a == b else (Shift(id="2", account="bent", from_minute=b, to_minute=a, **known),)),
    )
    begin, end = instant(OSLO, day, 0) - 12 * HOUR, instant(OSLO, day, 0) + 36 * HOUR
    assert found.gaps(begin, end) == ()
    spells = found.spells(begin, end)
    assert all(before.to_ms == after.from_ms for before, after in itertools.pairwise(spells))


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(0, 1440)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([SPRING, AUTUMN, MONDAY]),
)
@settings(max_examples=50, deadline=None)
def test_gaps_and_spells_say_the_same_at_every_five_minutes(rows: list[Any], day: date) -> None:
    found = rota(
        *(
            Shift(id=str(no), account=str(no), weekdays=frozenset(days), from_minute=a, to_minute=b,
                  from_day=date(2026, 1, 1))
            for no, (days, a, b) in enumerate(rows)
        )
    )  # fmt: skip
    begin, end = instant(OSLO, day, 0), instant(OSLO, day + timedelta(days=1), 0)
    gaps = found.gaps(begin, end)
    for when in range(begin, end, 5 * MINUTE_MS):
        assert bool(found.on_at(when)) != any(gap.from_ms <= when < gap.to_ms for gap in gaps)


def test_days_and_bits_are_the_same() -> None:
    assert weekdays_of(0b1000001) == {0, 6}
    assert all(mask_of(weekdays_of(mask)) == mask for mask in range(128))
