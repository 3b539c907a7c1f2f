"""A card that was slow at the start: what is written as soon as it is there belongs to this run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.identity import Lane, new_id
from gateway.journal import JournalSettings, open_journal
from gateway.journal.inspection import dump
from gateway.journal.store import Store


async def test_records_of_a_run_that_began_before_its_files_were_open_have_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = Store._open

    async def late(self: Any) -> Any:
        await asyncio.sleep(0.3)
        return await real_open(self)

    monkeypatch.setattr(Store, "_open", late)
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
