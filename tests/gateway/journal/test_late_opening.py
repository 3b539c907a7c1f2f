"""A card that was slow at the start: what is written as soon as it is there belongs to this run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane, new_id
from cloud_sync.record import parse_record
from gateway.errors import JournalError
from gateway.journal import JournalSettings, Trouble, open_journal
from gateway.journal.inspection import dump
from gateway.journal.numbering import MAX_EPOCH_NUMBER, row_id
from gateway.journal.tenure import Tenure


async def test_records_of_a_run_that_began_before_its_files_were_open_have_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = Tenure._open

    async def late(self: Any) -> Any:
        await asyncio.sleep(0.3)
        return await real_open(self)

    monkeypatch.setattr(Tenure, "_open", late)
    epoch = new_id()
    settings = JournalSettings(open_s=0.05)
    async with open_journal(
        tmp_path / "journal", new_id(), wall_ms=lambda: int(time.time() * 1000), settings=settings
    ) as journal:
        await asyncio.sleep(0.6)  # both are open by now, and nobody has looked
        beginning = asyncio.create_task(journal.start_epoch(epoch, b"header"))
        await asyncio.wait([beginning], timeout=5)
        await asyncio.wait_for(journal.append(Lane.ALARM, 1, b"x" * 80), 5)
    assert [(row.epoch, row.seq) for row in dump(tmp_path / "journal")] == [(epoch.hex(), 1)]


async def test_nothing_is_written_for_a_run_that_has_no_number_and_all_of_it_as_soon_as_it_has(
    journal_at: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        with monkeypatch.context() as patch:
            patch.setattr(journal._core, "number", lambda: None)
            with pytest.raises(JournalError, match="no number"):
                await asyncio.wait_for(journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1)), 5)
        assert not list(dump(tmp_path / "journal", Lane.ALARM))
        await asyncio.wait_for(journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1)), 5)
    assert [(row.epoch, row.seq) for row in dump(tmp_path / "journal")] == [(run.epoch.hex(), 1)]


@pytest.mark.parametrize("number", [0, -1, MAX_EPOCH_NUMBER + 1])
def test_no_record_lies_under_a_number_that_no_epoch_has(number: int) -> None:
    with pytest.raises(ValueError, match="not the number of an epoch"):
        row_id(number, 1)


async def test_another_card_whose_runs_have_the_same_numbers_is_not_written_to_as_if_it_were_ours(
    journal_at: Any, run: Any, new_run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    directory, other = tmp_path / "journal", new_run()
    async with journal_at() as journal:
        await journal.start_epoch(other.epoch, other.header)
        for seq in (1, 2):
            await journal.append(Lane.ALARM, seq, other.record(Lane.ALARM, seq))
    directory.rename(tmp_path / "other")
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        await journal._core.alarm._file.close()  # it was taken out, and this one put in
        for path in directory.glob("alarm.db*"):
            path.unlink()
        (tmp_path / "other/alarm.db").rename(directory / "alarm.db")
        await journal.append(Lane.ALARM, 2, run.record(Lane.ALARM, 2))
        assert [trouble.what for trouble in troubles] == ["foreign"]

        async def is_salvaged() -> bool:
            found = await journal.unsettled(Lane.ALARM)
            return {(one.epoch, one.seq) for one in found} == {(run.epoch, 2), (other.epoch, 1), (other.epoch, 2)}

        async with asyncio.timeout(10):
            while not await is_salvaged():
                await asyncio.sleep(0.02)
    names = {(row.epoch, parse_record(bytes.fromhex(row.hex)).id.epoch.hex()) for row in dump(directory, Lane.ALARM)}
    assert names == {(run.epoch.hex(),) * 2, (other.epoch.hex(),) * 2}
