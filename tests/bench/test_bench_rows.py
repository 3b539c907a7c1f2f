"""The pure parts of the benchmarks: percentiles, verdicts, the table, and what is asked for by name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.as_installed import UNIT, unit_environment
from bench.errors import BenchError
from bench.families import chosen, families
from bench.rows import Peer, Row, Verdict, median, percentile
from bench.table import line, markdown, number, table


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_the_nearest_rank(share, expected):
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_p99_of_few_values_is_the_worst():
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert median([3.0, 1.0, 2.0, 9.0]) == 2.0


def test_a_percentile_of_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.floats(0, 1))
def test_a_percentile_was_measured_and_enough_values_are_within_it(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


@pytest.mark.parametrize(
    ("value", "is_more_better", "expected"),
    [
        (5, False, Verdict.AIM),
        (5.1, False, Verdict.MUST),
        (10, False, Verdict.MUST),
        (10.1, False, Verdict.MISS),
    ],
)
def test_less_is_better(value, is_more_better, expected):
    row = Row(what="x", value=value, unit="ms", must=10, aim=5, is_more_better=is_more_better)
    assert row.verdict is expected


@pytest.mark.parametrize(("value", "expected"), [(20, Verdict.AIM), (8, Verdict.MUST), (7.9, Verdict.MISS)])
def test_more_is_better_when_said(value, expected):
    assert Row(what="x", value=value, unit="/s", must=8, aim=20, is_more_better=True).verdict is expected


def test_a_row_without_a_budget_is_not_judged():
    assert Row(what="x", value=1, unit="ms").verdict is Verdict.NONE


def test_a_peer_gives_a_ratio():
    row = Row(what="x", value=3, unit="ms", peer=Peer(name="other", value=2))
    assert row.ratio == 1.5
    assert "other: 2 (1.50 x)" in line(row)
    assert json.loads(json.dumps(row.as_json()))["ratio"] == 1.5
    assert Row(what="x", value=3, unit="ms", peer=Peer(name="other", value=0)).ratio is None


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.1234, "0.123"), (12.345, "12.35"), (60, "60"), (235_000.4, "235,000")]
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_the_table_ends_with_what_is_missed():
    rows = [
        Row(what="good", value=1, unit="ms", must=10, aim=5),
        Row(what="bad", value=11, unit="ms", must=10, aim=5),
        Row(what="unjudged", value=99, unit="ms"),
    ]
    lines = table([("section", rows)]).splitlines()
    assert lines[1] == "section"
    assert lines[2].split()[:2] == ["aim", "good"]
    assert lines[3].split()[:2] == ["MISS", "bad"]
    assert lines[-2] == "1 of 2 budgets missed"
    assert lines[-1].strip() == "bad: 11 ms, must 10"


def test_the_page_s_table_says_what_the_results_say():
    rows = [
        Row(what="good", value=1, unit="ms", must=10, aim=5, peer=Peer(name="other", value=2)).as_json(),
        Row(what="bad", value=11, unit="ms", must=10, aim=5).as_json(),
        Row(what="dropped", value=0, unit="").as_json(),
    ]
    lines = markdown({"families": {"x": {"title": "section", "others_share": 0.31, "rows": rows}}}).splitlines()
    assert lines[2:] == [
        "| *section* (others took 31% of the processors) | | | | |",
        "| good | 1 ms | 10 | 5 | other: 2 |",
        "| **bad** | **11 ms** | 10 | 5 |  |",
        "| dropped | 0 |  |  |  |",
    ]


def test_every_module_is_a_family_and_all_have_their_place():
    found = families()
    assert {"alarms", "path_back", "telemetry", "card", "memory", "start", "million"} <= {each.name for each in found}
    assert len({each.order for each in found}) == len(found)


def test_families_are_asked_for_by_name():
    assert [family.name for family in chosen(["memory", "alarms"])] == ["alarms", "memory"]
    assert chosen([]) == families()
    with pytest.raises(BenchError, match='did you mean "memory"'):
        chosen(["memroy"])


def test_the_environment_of_a_unit_is_read():
    text = '[Service]\nEnvironment=A=1 B=2\nEnvironment="C=3"\nExecStart=x\n'
    assert unit_environment(text) == {"A": "1", "B": "2", "C": "3"}
    assert isinstance(unit_environment(UNIT.read_text()), dict)
