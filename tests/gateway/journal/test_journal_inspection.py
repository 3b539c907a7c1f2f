"""Looking into a journal: true while the daemon runs, silent about contents, without a trace."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import parse_record
from gateway.errors import JournalError
from gateway.journal.inspection import dump, inspect

LINEAGE = b"lineage1"


async def test_a_running_journal_can_be_looked_into(journal_at: Any, run: Any, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for seq in range(1, 6):
            await journal.append(Lane.ALARM, seq, run.record(Lane.ALARM, seq, wall_ms=seq * 1000), {"driver/x/c": seq})
        await journal.append(Lane.TELEMETRY, 1, run.record(Lane.TELEMETRY, 1))
        journal.give_up(Lane.TELEMETRY, 2, 4)
        await journal.settle(run.epoch, Lane.ALARM, SeqRanges([(1, 2)]), SeqRanges(), LINEAGE)
        await journal.flush()
        seen = inspect(directory)
        assert seen["lanes"]["alarm"]["records"] == 5
        assert seen["lanes"]["alarm"]["unsettled"] == 3
        assert seen["lanes"]["alarm"]["oldest_ms"] == 3000
        assert seen["lanes"]["alarm"]["size_bytes"] == sum(row.size_bytes for row in dump(directory, Lane.ALARM))
        assert seen["lanes"]["telemetry"]["lost"] == 3
        assert seen["lanes"]["care"] == {
            "records": 0, "size_bytes": 0, "unsettled": 0, "offered_again": 0, "lost": 0, "oldest_ms": None,
        }  # fmt: skip
        assert seen["epochs"] == [
            {"epoch": run.epoch.hex(), "number": 1, "is_clean": False, "is_known_to": ["alarm", "bulk"]}
        ]
        assert seen["lineage"] == LINEAGE.hex()
        assert [file["version"] for file in seen["files"]] == [1, 1]
        assert json.loads(json.dumps(seen)) == seen
        rows = list(dump(directory, Lane.ALARM))
        assert [(row.epoch, row.seq, row.wall_ms, row.is_settled) for row in rows] == [
            (run.epoch.hex(), seq, seq * 1000, seq <= 2) for seq in range(1, 6)
        ]
        assert parse_record(bytes.fromhex(rows[4].hex)).open(run.key).value == 5
        assert len(list(dump(directory))) == 6
        await journal.append(Lane.ALARM, 6, run.record(Lane.ALARM, 6))  # nobody was disturbed


async def test_a_journal_at_rest_is_looked_at_without_leaving_a_trace(
    journal_at: Any, run: Any, tmp_path: Path
) -> None:
    directory = tmp_path / "journal"
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.CARE, 1, run.record(Lane.CARE, 1))
        await journal.close(is_clean=True)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert inspect(directory)["epochs"][0]["is_clean"]
    assert [row.lane for row in dump(directory)] == [Lane.CARE]
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


async def test_what_cannot_be_looked_at_gets_words_for_a_person(journal_at: Any, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="the hub has not run with this state directory yet"):
        inspect(tmp_path / "journal")
    async with journal_at():
        pass
    (tmp_path / "journal/bulk.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(JournalError, match="sets a damaged file aside when it starts"):
        inspect(tmp_path / "journal")
    with pytest.raises(JournalError, match="bulk"):
        list(dump(tmp_path / "journal", Lane.TELEMETRY))


@pytest.mark.parametrize("name", ["alarm", "bulk"])
async def test_beside_a_file_of_a_newer_version_the_one_in_use_is_looked_into(
    journal_at: Any, run: Any, new_run: Any, tmp_path: Path, name: str
) -> None:
    directory, lane = tmp_path / "journal", Lane.ALARM if name == "alarm" else Lane.TECHNICAL
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(lane, 1, run.record(lane, 1))
    with closing(sqlite3.connect(directory / f"{name}.db")) as other:
        other.execute("PRAGMA user_version = 2")
    with pytest.raises(JournalError, match="written by a newer Vaktpost"):  # nothing else is there yet
        inspect(directory)
    late = new_run()
    async with journal_at() as journal:
        await journal.start_epoch(late.epoch, late.header)
        await journal.append(lane, 1, late.record(lane, 1))
        await journal.append(lane, 2, late.record(lane, 2))
        assert [(row.epoch, row.seq) for row in dump(directory, lane)] == [(late.epoch.hex(), 1), (late.epoch.hex(), 2)]
    seen = inspect(directory)
    (file,) = [file for file in seen["files"] if file["stands_in_for"]]
    assert (file["name"], file["stands_in_for"], file["version"]) == (f"{name}.beside.db", f"{name}.db", 1)
    assert seen["lanes"][lane.word]["records"] == 2
