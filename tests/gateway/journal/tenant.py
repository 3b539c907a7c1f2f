"""A journal in a folder that may not be its own; says what comes of it. Run by test_journal_permissions."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import structlog

from cloud_sync.identity import EventId, Lane, new_id
from cloud_sync.record import seal_record
from cloud_sync.seal import EpochKey
from cloud_sync.vocabulary import BY_WORD, Event, Stamp
from gateway.errors import JournalError
from gateway.journal import open_journal

HUB = bytes(range(8))


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def main(directory: Path) -> None:
    async with open_journal(directory, HUB, wall_ms=lambda: 0) as journal:
        say("opened " + " ".join(sorted({trouble.what for trouble in journal.opened.troubles})))
        epoch, key = new_id(), EpochKey.generate()
        try:
            await journal.start_epoch(epoch, b"header of " + epoch)
        except JournalError as error:
            say(f"refused {error}")
        event = Event(
            kind=BY_WORD["pendant_pressed"],
            stamp=Stamp(boot_ms=1, wall_ms=1, is_wall_trusted=False),
            device="thing-1",
        )
        record = seal_record(EventId(HUB, epoch, Lane.ALARM, 1), event, key, epoch_header=b"header")
        while True:
            try:
                await journal.append(Lane.ALARM, 1, record)
            except JournalError:
                say("in memory only")
                await asyncio.sleep(0.2)
            else:
                break
        say(f"durable {epoch.hex()}")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(Path(sys.argv[1])))
