"""Whatever faults come, in whatever order: folded when a cell has enough of them, never twice, never without reason."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from central.technical.cells import (
    LEAST,
    WINDOW_MS,
    Area,
    Cell,
    Dimension,
    Fault,
    candidates,
    cells_of,
    family,
    threshold,
    verdicts,
)

NOW = 1_790_000_000_000
UNITS = ("u1", "u2", "u3")
OPERATORS = ("", "Nord", "Sør")


@st.composite
def many_faults(draw: st.DrawFn) -> list[Fault]:
    """Mostly in storms: hypothesis alone would hardly ever make twenty of a cell."""
    count = draw(st.integers(0, 90))
    seed = random.Random(draw(st.integers(0, 2**32)))  # no secret
    units = UNITS[: draw(st.integers(1, 3))]
    kinds = draw(st.sampled_from([["mains_lost"], ["mains_lost", "hub_silent"], ["battery_low", "path_lost"]]))
    homes = draw(st.sampled_from([3, 40, 400]))
    age = draw(st.sampled_from([1000, WINDOW_MS, 2 * WINDOW_MS]))
    found = []
    for number in range(count):
        hub = f"h{seed.randrange(homes)}"
        cells = cells_of(hub, seed.choice(units), "t", seed.choice(OPERATORS), "1.0")
        found.append(
            Fault(
                alarm=f"a{number}",
                family=family(seed.choice(kinds)),
                hub=hub,
                raised_ms=NOW - seed.randrange(age),
                cells=cells,
                is_critical=seed.random() < 0.1,
            )
        )
    return found


sizes = st.dictionaries(
    st.sampled_from([*(Cell(Dimension.UNIT, unit) for unit in UNITS), Cell(Dimension.SOFTWARE, "1.0")]),
    st.builds(Area, size=st.integers(0, 3000), usual=st.floats(0, 30)),
)
opened = st.dictionaries(
    st.tuples(st.sampled_from([Cell(Dimension.UNIT, unit) for unit in UNITS]), st.just("no_contact")),
    st.integers(NOW - 3 * WINDOW_MS, NOW),
)


def count_of(faults: list[Fault], cell: Cell) -> int:
    return len(faults) if cell.dimension is Dimension.HUB else len({fault.hub for fault in faults})


@given(many_faults(), sizes, opened)
def test_a_fault_is_folded_once_at_most_and_only_into_what_it_belongs_to(faults, areas, known) -> None:
    folds = verdicts(faults, areas, NOW, known)
    alarms = [fault.alarm for fold in folds for fault in fold.faults]
    assert len(alarms) == len(set(alarms))
    for fold in folds:
        assert fold.faults
        for fault in fold.faults:
            assert fold.cell in fault.cells
            assert fault.family == fold.family
            assert NOW - fault.raised_ms <= WINDOW_MS


@given(many_faults(), sizes)
def test_what_is_folded_is_more_than_the_threshold_and_what_is_left_is_not(faults, areas) -> None:
    folds = verdicts(faults, areas, NOW)
    folded = {fault.alarm for fold in folds for fault in fold.faults}
    for fold in folds:
        limit = threshold(areas.get(fold.cell, Area()))
        assert count_of(list(fold.faults), fold.cell) > limit >= LEAST
    left = [fault for fault in faults if fault.alarm not in folded and NOW - fault.raised_ms <= WINDOW_MS]
    for cell in {cell for fault in left for cell in fault.cells}:
        for word in {fault.family for fault in left}:
            same = [fault for fault in left if cell in fault.cells and fault.family == word]
            assert count_of(same, cell) <= threshold(areas.get(cell, Area()))


@given(many_faults(), sizes, opened, st.randoms(use_true_random=False))
def test_the_order_in_which_they_came_in_does_not_matter(faults, areas, known, chance) -> None:
    shuffled = list(faults)
    chance.shuffle(shuffled)
    assert verdicts(shuffled, areas, NOW, known) == verdicts(faults, areas, NOW, known)


@given(many_faults(), sizes)
def test_only_candidates_become_incidents_so_nothing_else_needs_to_be_asked_for(faults, areas) -> None:
    assert {fold.cell for fold in verdicts(faults, areas, NOW)} <= candidates(faults, NOW)


@given(many_faults(), sizes)
def test_those_at_critical_residents_come_first(faults, areas) -> None:
    for fold in verdicts(faults, areas, NOW):
        marks = [fault.is_critical for fault in fold.faults]
        assert marks == sorted(marks, reverse=True)


@given(st.integers(0, 100_000), st.floats(0, 10_000))
def test_the_threshold_is_the_greatest_of_the_three(size: int, usual: float) -> None:
    assert threshold(Area(size=size, usual=usual)) == max(20, 5 * usual, 0.03 * size)


def test_an_open_incident_takes_what_belongs_to_it_while_it_grows_and_no_longer() -> None:
    cell = Cell(Dimension.UNIT, "u1")
    fault = Fault(alarm="a", family="no_contact", hub="h", raised_ms=NOW, cells=(cell,))
    assert [fold.faults for fold in verdicts([fault], {}, NOW, {(cell, "no_contact"): NOW - WINDOW_MS})] == [(fault,)]
    assert verdicts([fault], {}, NOW, {(cell, "no_contact"): NOW - WINDOW_MS - 1}) == []
    assert verdicts([fault], {}, NOW, {(cell, "battery_low"): NOW}) == []


def test_the_zone_without_power_is_named_and_not_the_software_that_all_hubs_run() -> None:
    zone = [
        Fault(
            alarm=f"z{number}", family="no_contact", hub=f"h{number}", raised_ms=NOW,
            cells=cells_of(f"h{number}", "u1", "t", "Nord", "1.0"),
        )
        for number in range(400)
    ]  # fmt: skip
    areas = {
        Cell(Dimension.UNIT, "u1"): Area(size=400),
        Cell(Dimension.OPERATOR, "Nord"): Area(size=5000),
        Cell(Dimension.SOFTWARE, "1.0"): Area(size=10_000),
    }
    (fold,) = verdicts(zone, areas, NOW)
    assert (fold.cell, len(fold.faults)) == (Cell(Dimension.UNIT, "u1"), 400)


def test_an_operator_that_is_down_is_named_and_not_each_zone() -> None:
    faults = [
        Fault(
            alarm=f"a{number}", family="no_contact", hub=f"h{number}", raised_ms=NOW,
            cells=cells_of(f"h{number}", f"u{number % 4}", "t", "Nord", "1.0"),
        )
        for number in range(400)
    ]  # fmt: skip
    areas = {Cell(Dimension.UNIT, f"u{number}"): Area(size=500) for number in range(4)}
    areas |= {Cell(Dimension.OPERATOR, "Nord"): Area(size=410), Cell(Dimension.SOFTWARE, "1.0"): Area(size=2000)}
    (fold,) = verdicts(faults, areas, NOW)
    assert fold.cell == Cell(Dimension.OPERATOR, "Nord")


def test_one_hub_whose_devices_all_fail_is_one_row() -> None:
    cells = cells_of("h1", "u1", "t", "", "1.0")
    faults = [
        Fault(alarm=f"a{number}", family="device_missing", hub="h1", raised_ms=NOW, cells=cells) for number in range(25)
    ]
    (fold,) = verdicts(faults, {}, NOW)
    assert fold.cell == Cell(Dimension.HUB, "h1")
