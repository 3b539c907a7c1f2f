"""Journals that older versions wrote, and the way from one version to the next."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane
from cloud_sync.record import parse_record
from cloud_sync.seal import EpochKey
from gateway.journal import database

GOLDEN = Path(__file__).parents[2] / "golden/journal-v1"
FIRST, SECOND = b"\xa1" * 8, b"\xb2" * 8
KEY = EpochKey(bytes(range(32)))


async def test_a_journal_of_version_1_is_read_to_the_last_record(journal_at: Any, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "journal")
    async with journal_at(wall_ms=lambda: 1_790_000_000_000) as journal:
        opened = journal.opened
        assert opened.troubles == ()
        assert opened.memory == {
            "driver/alarm/counter": 6,
            "driver/care/counter": 5,
            "driver/technical/counter": 5,
            "driver/telemetry/counter": 5,
            "triage/word": "æøå",
        }
        assert (opened.lineage, opened.floor_ms) == (b"lineage1", 1_790_000_000_123)
        assert opened.previous is not None
        assert (opened.previous.epoch, opened.previous.is_clean) == (SECOND, False)
        assert opened.previous.last == {Lane.ALARM: 1, Lane.CARE: 0, Lane.TECHNICAL: 0, Lane.TELEMETRY: 0}
        found = {lane: await journal.unsettled(lane) for lane in Lane}
        assert [(stored.epoch, stored.seq) for stored in found[Lane.ALARM]] == [
            (FIRST, 3), (FIRST, 4), (FIRST, 5), (SECOND, 1),
        ]  # fmt: skip
        for lane in (Lane.CARE, Lane.TECHNICAL, Lane.TELEMETRY):
            assert [stored.seq for stored in found[lane]] == [1, 2, 3, 4, 5]
        for stored in (stored for records in found.values() for stored in records):
            assert parse_record(stored.record).open(KEY).value == stored.seq
        assert journal.gaps(Lane.TELEMETRY, FIRST) == ((6, 9),)
        assert await journal.epoch_header(FIRST) == b"header one"
        assert await journal.epoch_header(SECOND) == b"header two"


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A program that knows one version more."""
    scripts = tmp_path / "sql"
    shutil.copytree(database._SQL, scripts)
    for name in ("alarm", "bulk"):
        (scripts / f"{name}-{database.VERSION + 1:04}.sql").write_text(
            "-- a comment; with a semicolon\n"
            "CREATE TABLE extra (a INTEGER, b TEXT);\n"
            "INSERT INTO extra VALUES (1, 'x;y');\n"
        )
    monkeypatch.setattr(database, "_SQL", scripts)
    monkeypatch.setattr(database, "VERSION", database.VERSION + 1)
    database._intended_schema.cache_clear()
    yield
    database._intended_schema.cache_clear()


async def test_an_old_journal_is_brought_to_the_present_version(
    journal_at: Any, tmp_path: Path, next_version: None
) -> None:
    shutil.copytree(GOLDEN, tmp_path / "journal")
    async with journal_at() as journal:
        assert journal.opened.troubles == ()
        assert len(await journal.unsettled(Lane.CARE)) == 5
        assert [state.durability["user_version"] for state in await journal.files()] == [2, 2]
    connection = sqlite3.connect(tmp_path / "journal/bulk.db")
    assert connection.execute("SELECT * FROM extra").fetchall() == [(1, "x;y")]
    connection.close()
    async with journal_at() as journal:
        assert len(await journal.unsettled(Lane.CARE)) == 5


async def test_the_version_before_leaves_alone_what_was_brought_forward(
    journal_at: Any, tmp_path: Path, next_version: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal_at():
        pass
    before = {name: (tmp_path / "journal" / name).read_bytes() for name in ("alarm.db", "bulk.db")}
    monkeypatch.undo()
    database._intended_schema.cache_clear()
    async with journal_at() as journal:
        assert {trouble.what for trouble in journal.opened.troubles} == {"newer"}
    assert {name: (tmp_path / "journal" / name).read_bytes() for name in before} == before
