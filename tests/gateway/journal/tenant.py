"""A journal in a folder that may not be its own; says what comes of it. Run by test_journal_permissions.

The second word, if there is one, is after how many seconds a file that fails is replaced.
"""

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
from gateway.journal import JournalSettings, Trouble, open_journal

HUB = bytes(range(8))


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def main(directory: Path, settings: JournalSettings) -> None:
    troubles: list[Trouble] = []
    async with open_journal(
        directory, HUB, wall_ms=lambda: 0, settings=settings, on_trouble=troubles.append
    ) as journal:
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
        say("told " + " ".join(trouble.what for trouble in troubles))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    patience_s = float(sys.argv[2]) if len(sys.argv) > 2 else JournalSettings().replace_after_s
    asyncio.run(main(Path(sys.argv[1]), JournalSettings(replace_after_s=patience_s)))
