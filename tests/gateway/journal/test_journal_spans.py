"""Sets of row ids, against sets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.journal.numbering import MAX_EPOCH_NUMBER, MAX_SEQ, Spans, epoch_number, epoch_range, row_id, seq_of

edges = st.tuples(st.integers(1, 40), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
steps = st.lists(st.tuples(st.booleans(), edges), max_size=25)


def members(spans: Spans) -> set[int]:
    return {row for first, last in spans for row in range(first, last + 1)}


def build(actions: list[tuple[bool, tuple[int, int]]]) -> tuple[Spans, set[int]]:
    spans, model = Spans(), set[int]()
    for is_add, (first, last) in actions:
        (spans.add if is_add else spans.remove)(first, last)
        model = model | set(range(first, last + 1)) if is_add else model - set(range(first, last + 1))
    return spans, model


@given(steps, edges)
def test_spans_are_sets(actions: list[tuple[bool, tuple[int, int]]], window: tuple[int, int]) -> None:
    spans, model = build(actions)
    first, last = window
    assert members(spans) == model
    assert spans.size == len(model)
    assert spans.last == max(model, default=0)
    assert members(Spans(spans.within(first, last))) == model & set(range(first, last + 1))
    assert members(Spans(spans.outside(first, last))) == set(range(first, last + 1)) - model
    assert spans.overlaps(first, last) == bool(model & set(range(first, last + 1)))
    assert all((row in spans) == (row in model) for row in range(60))
    pieces = list(spans)
    assert all(left[1] + 1 < right[0] for left, right in pairwise(pieces))


@given(steps, steps)
def test_one_set_without_another(
    left: list[tuple[bool, tuple[int, int]]], right: list[tuple[bool, tuple[int, int]]]
) -> None:
    (spans, model), (other, other_model) = build(left), build(right)
    assert members(Spans(spans.minus(other))) == model - other_model


@given(st.integers(1, MAX_EPOCH_NUMBER), st.integers(1, MAX_SEQ))
def test_a_row_id_names_epoch_and_number(number: int, seq: int) -> None:
    row = row_id(number, seq)
    assert (epoch_number(row), seq_of(row)) == (number, seq)
    first, last = epoch_range(number)
    assert first <= row <= last < 1 << 63


@pytest.mark.parametrize("seq", [0, -1, MAX_SEQ + 1])
def test_numbers_out_of_range_have_no_row(seq: int) -> None:
    with pytest.raises(ValueError, match="not a sequence number"):
        row_id(1, seq)
