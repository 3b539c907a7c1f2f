"""A process that appends until it is killed, and says what the journal has confirmed. Run by test_journal_killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cloud_sync.identity import EventId, Lane, new_id
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import seal_record
from cloud_sync.seal import EpochKey
from cloud_sync.vocabulary import BY_WORD, Event, Stamp
from gateway.journal import Journal, JournalSettings, open_journal

WORDS = {Lane.ALARM: "pendant_pressed", Lane.CARE: "bed_absent", Lane.TELEMETRY: "temperature"}


async def append(journal: Journal, hub: bytes, epoch: bytes, lane: Lane) -> None:
    key = EpochKey.generate()
    seq = 0
    while True:
        seq += 1
        stamp = Stamp(boot_ms=seq, wall_ms=seq, is_wall_trusted=False)
        event = Event(kind=BY_WORD[WORDS[lane]], stamp=stamp, device="thing-1", value=seq)
        record = seal_record(EventId(hub, epoch, lane, seq), event, key, epoch_header=b"h" * 1300)
        await journal.append(lane, seq, record, {f"driver/{lane.word}/counter": seq})
        sys.stdout.write(f"{epoch.hex()} {lane.word} {seq}\n")
        sys.stdout.flush()
        if lane is Lane.TELEMETRY and seq % 20 == 0:
            await journal.settle(epoch, lane, SeqRanges([(1, seq - 10)]), SeqRanges(), b"lineage1")


async def main(directory: Path, hub: bytes) -> None:
    settings = JournalSettings(telemetry_commit_s=0.001, bulk_commit_rows=2, settle_s=0.01)
    async with open_journal(directory, hub, wall_ms=lambda: 0, settings=settings) as journal:
        epoch = new_id()
        await journal.start_epoch(epoch, b"header of " + epoch)
        async with asyncio.TaskGroup() as tasks:
            for lane in WORDS:
                tasks.create_task(append(journal, hub, epoch, lane))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), bytes.fromhex(sys.argv[2])))
