"""A file that fails on a card with room to spare: nothing gives way, because nothing would be won."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from cloud_sync.identity import Lane
from gateway.errors import JournalError
from gateway.journal import Trouble

ROWS = 12_000
"""More than a MiB: worth giving up when an alarm has no room."""


async def let_the_alarms_file(journal: Any, be_read_only: str) -> None:
    """What SQLite then says of a write is what it says on a card that was turned read-only."""

    def pragma(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA query_only = {be_read_only}")

    await journal._core.alarm._file._writer.run(pragma)


async def test_measurements_do_not_give_way_to_what_no_room_would_help(
    journal_at: Any, run: Any, troubles: list[Trouble]
) -> None:
    async with journal_at() as journal:
        await journal.start_epoch(run.epoch, run.header)
        for start in range(1, ROWS, 1000):
            await asyncio.gather(
                *(
                    journal.append_nowait(Lane.TELEMETRY, seq, run.record(Lane.TELEMETRY, seq))
                    for seq in range(start, start + 1000)
                )
            )

        async def has_reserve() -> bool:
            return (await journal.probe()).reserve_bytes >= 64 * 1024

        async with asyncio.timeout(20):
            while not await has_reserve():
                await asyncio.sleep(0.02)
        await let_the_alarms_file(journal, "ON")
        with pytest.raises(JournalError, match="readonly"):
            await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        await let_the_alarms_file(journal, "OFF")
        await journal.append(Lane.ALARM, 1, run.record(Lane.ALARM, 1))
        assert [trouble.what for trouble in troubles] == ["unwritable", "recovered"]
        assert await has_reserve()
        assert journal.gaps(Lane.TELEMETRY, run.epoch) == ()
        assert (await journal.counts())[Lane.TELEMETRY].records == ROWS
        assert (await journal.unsettled(Lane.TELEMETRY, limit=1))[0].seq == 1
