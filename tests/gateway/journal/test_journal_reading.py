"""Readers that fail on a card that is well otherwise: told, the file is opened anew, and the end of it is told too."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane
from gateway.errors import JournalError
from gateway.journal import Trouble


def fail(_connection: sqlite3.Connection) -> None:
    """What SQLite says of a reading that the card breaks off."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    raise error


async def test_what_could_not_be_read_is_told_to_be_over_although_nobody_reads_again(
    journal_at: Any, run: Any, tmp_path: Path, troubles: list[Trouble]
) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        for _ in range(3):
            with pytest.raises(JournalError, match=r"alarm\.db cannot be read .disk I/O error"):
                await journal._core.alarm.read(fail)
        await journal.append(Lane.ALARM, 2, run.record(Lane.ALARM, 2))
        await journal.append(Lane.ALARM, 3, run.record(Lane.ALARM, 3))
        assert [(trouble.file, trouble.what) for trouble in troubles] == [
            ("alarm.db", "unreadable"),
            ("alarm.db", "recovered"),
        ]
        assert [stored.seq for stored in await journal.unsettled(Lane.ALARM)] == [1, 2, 3]
    assert not list((tmp_path / "journal").glob("*.damaged-*"))
