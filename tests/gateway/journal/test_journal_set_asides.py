"""What was set aside stays, but for the middle of a long series that was salvaged to the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gateway.journal import Trouble
from gateway.journal.directory import set_aside, surplus

NAME = "alarm.db"


def names(numbers: Iterable[int]) -> list[str]:
    return [f"{NAME}.damaged-{number}" for number in numbers]


def lay(folder: Path, numbers: Iterable[int]) -> Path:
    for name in names(numbers):
        (folder / name).write_bytes(b"what was found")
    return folder / NAME


@pytest.mark.parametrize(
    ("there", "salvaged", "deleted"),
    [
        (range(1, 9), range(1, 9), []),
        (range(1, 10), range(1, 10), [5]),
        (range(1, 13), range(1, 13), [5, 6, 7, 8]),
        (range(1, 13), [], []),
        (range(1, 13), [1, 2, 3, 4, 6, 9, 12], [6]),
        ([2, 3, 5, 7, 11, 13, 17, 19, 23, 29], [2, 3, 5, 7, 11, 13, 29], [11, 13]),
    ],
    ids=["eight", "nine", "twelve", "none salvaged", "some salvaged", "a series with holes"],
)
def test_of_more_than_eight_only_salvaged_ones_between_the_first_four_and_the_last_four_go(
    tmp_path: Path, there: Iterable[int], salvaged: Iterable[int], deleted: list[int]
) -> None:
    path = lay(tmp_path, there)
    assert [aside.name for aside in surplus(path, set(names(salvaged)))] == names(deleted)


def test_a_log_without_its_database_counts_and_another_files_series_does_not(tmp_path: Path) -> None:
    path = lay(tmp_path, [1, 2, 3, 4, 6, 7, 8, 9])
    (tmp_path / f"{NAME}.damaged-5-wal").write_bytes(b"the log of one")
    (tmp_path / "bulk.db.damaged-10").write_bytes(b"of another file")
    assert [aside.name for aside in surplus(path, set(names(range(1, 11))))] == names([5])


def test_the_next_one_is_never_called_as_one_that_was_salvaged_and_deleted(tmp_path: Path) -> None:
    salvaged = set(names([6, 9, 12]))  # the others could not be read yet
    path = lay(tmp_path, range(1, 13))
    for aside in surplus(path, salvaged):
        aside.unlink()
    path.write_bytes(b"damaged as well")
    assert set_aside(path, path).name not in salvaged


async def test_a_start_deletes_the_middle_of_the_series_only_after_it_was_salvaged(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    lay(folder, range(1, 11))
    (unread := folder / f"{NAME}.damaged-6").unlink()
    unread.mkdir()  # nothing can be read of it yet

    def there() -> set[str]:
        return {path.name for path in folder.glob(f"{NAME}.damaged-*")}

    async with journal_at() as journal:  # salvages them
        await journal.start_epoch(run.epoch, run.header)
        assert there() == set(names(range(1, 11)))
        told = {trouble.set_aside for trouble in (*journal.opened.troubles, *troubles) if trouble.what == "salvaged"}
        assert told == there()
    async with journal_at():
        assert there() == set(names([1, 2, 3, 4, 6, 7, 8, 9, 10]))
    assert (folder / f"{NAME}.damaged-1").read_bytes() == b"what was found"
