"""Killed at any moment: what was confirmed is there."""

from __future__ import annotations

import asyncio
import random
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from cloud_sync.identity import Lane
from cloud_sync.record import parse_record

APPENDER = Path(__file__).with_name("appender.py")
ROUNDS = 6


async def kill_one(directory: Path, hub: bytes, lines_before: int) -> list[tuple[str, Lane, int]]:
    """Let a process append for a while, kill it, and return what it had confirmed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(APPENDER), str(directory), hub.hex(), stdout=asyncio.subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout is not None
    confirmed = []
    async with asyncio.timeout(30):
        while len(confirmed) < lines_before:
            confirmed.append(await process.stdout.readline())
        process.kill()
        confirmed += [line for line in (await process.stdout.read()).splitlines(keepends=True) if line.endswith(b"\n")]
        await process.wait()
    found = []
    for line in confirmed:
        epoch, lane, seq = line.decode().split()
        found.append((epoch, Lane[lane.upper()], int(seq)))
    return found


async def test_nothing_confirmed_is_lost_when_the_daemon_is_killed(
    journal_at: Any, tmp_path: Path, hub_id: bytes, monkeypatch: Any
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    directory = tmp_path / "journal"
    confirmed: dict[tuple[str, Lane], int] = defaultdict(int)
    chance = random.Random(20261122)
    for _ in range(ROUNDS):
        for epoch, lane, seq in await kill_one(directory, hub_id, chance.randrange(5, 400)):
            confirmed[epoch, lane] = max(confirmed[epoch, lane], seq)
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(directory, copy)  # as a power cut leaves it: opening it twice must give the same
        for _ in range(2):
            async with journal_at() as journal:
                assert journal.opened.troubles == ()
                last_epoch = journal.opened.previous.epoch.hex()
                for lane in (Lane.ALARM, Lane.CARE, Lane.TELEMETRY):
                    remembered = journal.opened.memory[f"driver/{lane.word}/counter"]
                    assert remembered >= confirmed[last_epoch, lane]
                    there = await everything(journal, lane)
                    if lane is Lane.TELEMETRY:  # some of it was settled: its end must be there, in one piece
                        seqs = sorted(seq for epoch, seq in there if epoch == last_epoch)
                        assert not seqs or seqs == list(range(seqs[0], seqs[-1] + 1))
                        assert journal.opened.previous.last[lane] >= confirmed[last_epoch, lane]
                        assert not confirmed[last_epoch, lane] or seqs[-1] >= confirmed[last_epoch, lane]
                        continue
                    for (epoch, its_lane), last in confirmed.items():
                        if its_lane is lane:
                            assert {(epoch, seq) for seq in range(1, last + 1)} <= there


async def everything(journal: Any, lane: Lane) -> set[tuple[str, int]]:
    found, cursor = set(), None
    while page := await journal.unsettled(lane, cursor, 100):
        for stored in page:
            record = parse_record(stored.record)
            assert (record.id.epoch, record.id.seq, record.id.lane) == (stored.epoch, stored.seq, lane)
            found.add((stored.epoch.hex(), stored.seq))
        cursor = page[-1].cursor
    return found
