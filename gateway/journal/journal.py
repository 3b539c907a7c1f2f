"""The durable, sealed queue of the hub: two files, four lanes, one class."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from gateway.journal.reports import FileState, JournalOpening, LaneCount, Memory, ProbeResult, StoredRecord, Trouble
from gateway.journal.settings import JournalSettings


class Journal:
    """What was appended is on the card; what central has receipted is let go. Used by one event loop.

    No method is cancelled half way: a caller that gives up waiting does not know whether it was done. I/O trouble
    raises JournalError, is told once to `on_trouble`, and the next call tries again.
    """

    opened: JournalOpening
    memory: dict[str, int | str]
    """What is remembered now, durable or on its way."""

    async def start_epoch(self, epoch: bytes, header: bytes) -> None:
        """Begin a run: its header is durable in both files before this returns. Once per opened journal.

        On JournalError the run may go on all the same: the header is written before the first record that gets to
        the card.
        """
        raise NotImplementedError

    async def append(self, lane: Lane, seq: int, record: bytes, remember: Memory | None = None) -> None:
        """Add a record of the running epoch; returns when it is durable. `remember` is committed with it.

        Waits for room when too much bulk waits for the card; raises JournalError, and for alarm and care
        JournalFullError, rather than wait.
        """
        raise NotImplementedError

    def append_nowait(
        self, lane: Lane, seq: int, record: bytes, remember: Memory | None = None
    ) -> asyncio.Future[None]:
        """The same at once: the future is done when the record is durable. Raises JournalFullError.

        Nobody has to look at the future: a failure is logged and told by the journal itself.
        """
        raise NotImplementedError

    def remember(self, lane: Lane, memory: Memory) -> asyncio.Future[None]:
        """Memory that no event carries; committed as fast as an event of the lane would be."""
        raise NotImplementedError

    def set_floor(self, wall_ms: int) -> None:
        """It cannot be earlier than this from now on. Rides on a later commit."""
        raise NotImplementedError

    async def settle(self, epoch: bytes, lane: Lane, stored: SeqRanges, unopened: SeqRanges, lineage: bytes) -> int:
        """Central has these. Returns how many numbers were not settled before; rides on a later commit.

        Bulk is deleted. Alarm and care, and whatever central could not open, are kept for `kept_days` and come out of
        `unsettled` again when `lineage` is another one than before. Raises nothing: the news is lost at a crash at
        worst, and then central gets a resend.
        """
        raise NotImplementedError

    async def unsettled(self, lane: Lane, after: int | None = None, limit: int = 500) -> list[StoredRecord]:
        """Durable records without a receipt, oldest first, also of the running epoch. `after` is a cursor."""
        raise NotImplementedError

    async def epoch_header(self, epoch: bytes) -> bytes | None:
        """The signed header of an epoch that still has something here."""
        raise NotImplementedError

    def gaps(self, lane: Lane, epoch: bytes) -> tuple[tuple[int, int], ...]:
        """Numbers that will never come, because space ran out; until central has receipted that."""
        raise NotImplementedError

    def epochs_with_gaps(self, lane: Lane) -> tuple[bytes, ...]:
        """Where `gaps` has something to tell, oldest first."""
        raise NotImplementedError

    def give_up(self, lane: Lane, first: int, last: int) -> None:
        """Numbers of the running epoch whose records could not be kept anywhere: they become a gap."""
        raise NotImplementedError

    async def counts(self) -> Mapping[Lane, LaneCount]:
        """What waits for a receipt, per lane. At once: nothing is counted for it."""
        raise NotImplementedError

    async def probe(self) -> ProbeResult:
        """Write to the card, fsync, read back; free space. Raises nothing."""
        raise NotImplementedError

    async def files(self) -> Iterable[FileState]:
        """Both files as they are now. Asks SQLite for what durability really is."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Commit now what waits, lazy things too. Raises JournalError."""
        raise NotImplementedError

    async def close(self, *, is_clean: bool, last: Mapping[Lane, int] | None = None) -> None:
        """Commit what waits and close. A clean end with the `last` number given out per lane is noted for the next
        epoch's header. Leaving the context without this is an unclean end.
        """
        raise NotImplementedError


@asynccontextmanager
async def open_journal(
    directory: Path,
    hub: bytes,
    *,
    wall_ms: Callable[[], int],
    settings: JournalSettings | None = None,
    on_trouble: Callable[[Trouble], None] = lambda _trouble: None,
) -> AsyncIterator[Journal]:
    """Open the journal in `directory`, which is made if need be (mode 0700, files 0600).

    A damaged file is set aside, a new one begun, and what can be read is salvaged; a card that cannot be written to
    is told in `opened.troubles` and tried again with every append. Raises JournalRefusedError only: a journal of a
    newer version (not a byte of it is touched), or one that another process has open.

    `wall_ms` is for retention only. `on_trouble` is called in the event loop, for what comes after opening.
    """
    raise NotImplementedError
    yield Journal()
