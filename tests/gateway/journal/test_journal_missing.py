"""A file of the journal that is gone with all that belongs to it: told, made anew, and the other one is as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane
from gateway.journal import Journal, Trouble

ROWS = 4
LANES = {"alarm.db": (Lane.ALARM, Lane.CARE), "bulk.db": (Lane.TECHNICAL, Lane.TELEMETRY)}
MEMORY = {"driver/ble/counter": 41}


async def seqs(journal: Journal, lane: Lane, epoch: bytes) -> list[int]:
    return [stored.seq for stored in await journal.unsettled(lane) if stored.epoch == epoch]


async def live(journal: Journal, run: Any) -> None:
    await journal.start_epoch(run.epoch, run.header)
    for lane in Lane:
        await asyncio.gather(
            *(journal.append_nowait(lane, seq, run.record(lane, seq), MEMORY) for seq in range(1, ROWS + 1))
        )


@pytest.mark.parametrize("name", LANES)
async def test_a_file_that_is_gone_is_told_and_the_other_lanes_records_are_still_there(
    journal_at: Any, new_run: Any, tmp_path: Path, troubles: list[Trouble], name: str
) -> None:
    before = [new_run(), new_run()]
    for one in before:
        async with journal_at() as journal:
            await live(journal, one)
            await journal.close(is_clean=True, last=dict.fromkeys(Lane, ROWS))
    gone = list((tmp_path / "journal").glob(f"{name}*"))
    assert gone
    for path in gone:
        path.unlink()
    new = new_run()
    async with journal_at() as journal:
        assert [(trouble.file, trouble.what) for trouble in journal.opened.troubles] == [(name, "missing")]
        assert "empty" in journal.opened.troubles[0].detail
        assert journal.opened.memory == MEMORY  # the other file knows it, too
        assert journal.opened.previous is not None
        assert journal.opened.previous.epoch == before[-1].epoch
        assert journal.opened.previous.last == dict.fromkeys(Lane, ROWS)  # no number is given out twice
        for one in before:
            assert await journal.epoch_header(one.epoch) == one.header
            for lane in Lane:
                assert await seqs(journal, lane, one.epoch) == ([] if lane in LANES[name] else [*range(1, ROWS + 1)])
        await live(journal, new)
    async with journal_at() as journal:
        assert journal.opened.troubles == ()  # told once
        for lane in Lane:
            assert await seqs(journal, lane, new.epoch) == [*range(1, ROWS + 1)]
    assert troubles == []


async def test_a_journal_that_is_gone_altogether_is_a_new_one_and_no_file_of_it_is_missed(
    journal_at: Any, run: Any, troubles: list[Trouble]
) -> None:
    async with journal_at() as journal:
        assert journal.opened.troubles == ()
        await live(journal, run)
    assert troubles == []
