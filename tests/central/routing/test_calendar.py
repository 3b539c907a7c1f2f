"""Local times on ordinary days and on the nights when the clock is changed."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.routing import calendar
from central.routing.calendar import MINUTE_MS, LocalTimeError
from central.routing.plan import DAY_MIN, Plan, ReceiverKind, Step, Variant, WeekHours, resolve, variant_at, week

OSLO = ZoneInfo("Europe/Oslo")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
HALF_PAST_TWO = 2 * 60 + 30


def utc(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type, misc]


def test_half_past_two_happens_twice_in_autumn() -> None:
    both = (utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30))
    assert calendar.instants(OSLO, AUTUMN, HALF_PAST_TWO) == both
    assert calendar.instant(OSLO, AUTUMN, HALF_PAST_TWO) == both[0]
    assert calendar.chosen(OSLO, AUTUMN, HALF_PAST_TWO, second=False) == both[0]
    assert calendar.chosen(OSLO, AUTUMN, HALF_PAST_TWO, second=True) == both[1]
    with pytest.raises(LocalTimeError) as refused:
        calendar.chosen(OSLO, AUTUMN, HALF_PAST_TWO)
    assert (refused.value.reason, refused.value.choices) == ("twice", both)


def test_half_past_two_does_not_exist_in_spring() -> None:
    assert calendar.instants(OSLO, SPRING, HALF_PAST_TWO) == ()
    jump = utc(2026, 3, 29, 1, 0)
    assert calendar.instant(OSLO, SPRING, HALF_PAST_TWO) == jump
    with pytest.raises(LocalTimeError) as refused:
        calendar.chosen(OSLO, SPRING, HALF_PAST_TWO, second=True)
    assert (refused.value.reason, refused.value.choices) == ("no_such_time", (jump - MINUTE_MS, jump))
    assert [calendar.local(at, OSLO)[1] for at in refused.value.choices] == [119, 180]


def test_the_days_of_the_change_are_shorter_and_longer() -> None:
    hours = [(end - begin) / 3_600_000 for begin, end in (calendar.day_bounds(OSLO, day) for day in (SPRING, AUTUMN))]
    assert hours == [23, 25]
    assert [calendar.change_on(OSLO, day) for day in (SPRING, AUTUMN, date(2026, 11, 22))] == [60, -60, 0]


def test_midnight_belongs_to_the_day_after() -> None:
    assert calendar.instants(OSLO, AUTUMN, DAY_MIN) == calendar.instants(OSLO, AUTUMN + timedelta(days=1), 0)
    assert calendar.monday_of(AUTUMN) == date(2026, 10, 19)


ZONES = st.sampled_from(["Europe/Oslo", "Europe/Helsinki", "Atlantic/Azores", "Australia/Lord_Howe", "UTC"])
DAYS = st.dates(date(2024, 1, 1), date(2028, 12, 31))


@given(ZONES, DAYS, st.integers(0, DAY_MIN))
def test_an_instant_reads_as_the_local_time_it_came_from(zone_name: str, day: date, minute: int) -> None:
    zone = ZoneInfo(zone_name)
    for at in calendar.instants(zone, day, minute):
        shown = calendar.local(at, zone)
        assert shown == ((day, minute) if minute < DAY_MIN else (day + timedelta(days=1), 0))
        assert calendar.local(at - MINUTE_MS, zone) != shown
    at = calendar.instant(zone, day, minute)
    wanted = (day, minute) if minute < DAY_MIN else (day + timedelta(days=1), 0)
    assert calendar.local(at, zone) >= wanted
    assert calendar.local(at - MINUTE_MS, zone) < wanted


# ── Plans over the calendar ──────────────────────────────────────────────────────────────


HOURS = st.builds(
    WeekHours,
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    begin=st.integers(0, DAY_MIN - 1),
    to=st.integers(0, DAY_MIN),
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    step = (Step(receiver=ReceiverKind.CENTRES),)
    timed = draw(st.lists(st.lists(HOURS, min_size=1, max_size=3), max_size=4))
    variants = [Variant(name=f"v{no}", hours=tuple(hours), steps=step) for no, hours in enumerate(timed)]
    return Plan(name="p", variants=(*variants, Variant(name="else", steps=step)))


@given(plans())
@settings(max_examples=60, deadline=None)
def test_the_week_grid_has_no_gap_and_says_what_holds_at_every_minute(plan: Plan) -> None:
    grid = week(plan)
    assert len(grid) == 7
    for day, spans in enumerate(grid):
        assert [spans[0][0], spans[-1][1]] == [0, DAY_MIN]
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        assert all(before[2] is not after[2] for before, after in itertools.pairwise(spans))
        for begin, end, variant in spans:
            assert begin < end
            assert all(variant_at(plan, day, minute) is variant for minute in range(begin, end))


@given(plans(), st.sampled_from([SPRING, AUTUMN]))
@settings(max_examples=40, deadline=None)
def test_every_instant_of_the_nights_of_the_change_has_the_variant_of_the_wall_clock(plan: Plan, day: date) -> None:
    grid = week(plan)
    begin, end = calendar.day_bounds(OSLO, day)
    for at in range(begin, end, MINUTE_MS):
        local_day, minute = calendar.local(at, OSLO)
        assert local_day == day
        holding = [variant for since, until, variant in grid[day.weekday()] if since <= minute < until]
        assert holding == [resolve(plan, at, OSLO)]


@given(plans(), st.integers(utc(2026, 1, 1), utc(2027, 1, 1) - 1))
@settings(max_examples=300, deadline=None)
def test_exactly_one_variant_holds_at_every_instant_of_the_year(plan: Plan, at: int) -> None:
    day, minute = calendar.local(at, OSLO)
    covering = [variant for variant in plan.variants if variant.covers(day.weekday(), minute)]
    assert resolve(plan, at, OSLO) is covering[0]


def test_a_night_plan_holds_through_both_changes_of_the_clock() -> None:
    step = (Step(receiver=ReceiverKind.CENTRES),)
    night = Variant(name="night", hours=(WeekHours(begin=22 * 60, to=7 * 60),), steps=step)
    plan = Plan(name="p", variants=(night, Variant(name="day", steps=step)))
    for day, hours in ((SPRING, 8), (AUTUMN, 10)):
        begin, end = calendar.instant(OSLO, day - timedelta(days=1), 22 * 60), calendar.instant(OSLO, day, 7 * 60)
        assert end - begin == hours * 3_600_000
        assert {resolve(plan, at, OSLO).name for at in range(begin, end, MINUTE_MS)} == {"night"}
        assert {resolve(plan, at, OSLO).name for at in (begin - 1, end)} == {"day"}
