"""A plan in words, in both languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.console.catalogue import words
from central.routing.plan import DEFAULT_PLAN, Channel, Ends, Plan, ReceiverKind, Step, Variant, WeekHours
from central.routing.words import days_words, duration_words, hours_words, in_words

WARD, PATROL = "aa" * 8, "bb" * 8
NAMES = {WARD: "Ward 2", PATROL: "the patrol"}
NIGHT = Variant(
    name="night",
    hours=(WeekHours(begin=22 * 60, to=7 * 60),),
    steps=(
        Step(receiver=ReceiverKind.TEAM, team=WARD, patience_s=60),
        Step(receiver=ReceiverKind.CONTACTS, channels=(Channel.SMS,), patience_s=90),
        Step(
            receiver=ReceiverKind.TEAM,
            team=PATROL,
            channels=(Channel.CONSOLE, Channel.SMS),
            patience_s=120,
            ends=Ends.ACCEPTED,
        ),
    ),
)
REST = Variant(name="rest", steps=(Step(receiver=ReceiverKind.CENTRES),))
PLAN = Plan(name="p", variants=(NIGHT, REST))


def test_a_plan_reads_as_one_would_say_it() -> None:
    night, rest = in_words(PLAN, NAMES, words("en"))
    assert night == (
        "Every day between 22:00 and 07:00: first Ward 2 at the consoles, for 60 seconds; then next of kin in their "
        "order by SMS, for 90 seconds; then the patrol at the consoles and by SMS until somebody accepts to go, again "
        "every 2 minutes until a person has the alarm."
    )
    assert rest == (
        "At all other times: every response centre at the consoles, again every 60 seconds until a person has the "
        "alarm."
    )


def test_and_in_norwegian() -> None:
    (said,) = in_words(DEFAULT_PLAN, {}, words("nb"))
    assert said == (
        "Til alle tider: først alle responssentre på konsollene, i 60 sekunder; så alle responssentre på konsollene og "
        "på SMS, på nytt etter 2 minutter helt til noen har tatt alarmen."
    )


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (range(7), "every day"),
        (range(5), "Monday to Friday"),
        ((5, 6), "Saturday and Sunday"),
        ((0, 2, 4), "Monday, Wednesday and Friday"),
        ((6,), "Sunday"),
    ],
)
def test_days_are_said_as_people_say_them(days: tuple[int, ...], said: str) -> None:
    assert days_words(tuple(days), words("en")) == said


def test_a_whole_day_is_said_without_hours_and_midnight_is_midnight() -> None:
    t = words("en")
    assert hours_words(WeekHours(days=(5, 6)), t) == "Saturday and Sunday"
    assert hours_words(WeekHours(days=(5,), begin=1320, to=420), t) == ("Saturday between 22:00 and 07:00 the next day")
    assert hours_words(WeekHours(days=(5,), begin=600), t) == "Saturday between 10:00 and 00:00"


def test_a_team_that_is_gone_is_said_to_be_gone() -> None:
    assert "a team that is no more" in in_words(PLAN, {}, words("en"))[0]


@given(st.integers(5, 3600))
def test_a_duration_is_never_empty_and_says_all_of_it(seconds: int) -> None:
    said = duration_words(seconds, words("en")).split()
    units = {"second": 1, "seconds": 1, "minute": 60, "minutes": 60}
    assert sum(int(n) * units[unit] for n, unit in zip(said[::2], said[1::2], strict=True)) == seconds
