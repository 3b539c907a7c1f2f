"""Technical events and telemetry on their way to central: batched, one envelope at a time, memory flat.

What was just committed is sent from memory. What memory had no room for, and what earlier runs left, is read from the
journal in batches. An envelope is at most 100 records while alarms may come, so that an alarm at central waits for one
small transaction at worst, and at most 500 when all has been quiet.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import NoReturn

import structlog

from cloud_sync.errors import RefusedError, UplinkError
from cloud_sync.identity import Lane
from cloud_sync.ranges import SeqRanges
from gateway.clock import HubClock
from gateway.errors import JournalError
from gateway.hub_epoch import HubEpoch
from gateway.journal import Journal
from gateway.paths import Path
from gateway.selector import bulk_path

LANES = (Lane.TECHNICAL, Lane.TELEMETRY)
SMALL_BATCH = 100
LARGE_BATCH = 500
MAX_BATCH_BYTES = 1024 * 1024
QUIET_S = 10.0
"""So long after the last alarm, and only with a backlog, envelopes are large."""
WINDOW_BYTES = 512 * 1024
"""How much committed bulk waits in memory; the rest waits in the journal. A record of a hundred bytes takes more than
twice that."""
UNSTORED_BYTES = 4 * 1024 * 1024
"""How much bulk that the card would not take is held in memory. Beyond that it is lost."""
QUICK_S = 0.1
"""Only a path that takes a small envelope so quickly gets large ones."""
RECEIPT_WAIT_S = 10.0
RETRY_MIN_S = 0.25
RETRY_MAX_S = 15.0
MAX_GAPS = 256
MAX_REFUSED = 10_000
CONTENT_REFUSED = (400, 413, 422)
"""What central answers when it is the content that it cannot take; other refusals say nothing about a record."""
SWEEP_S = 60.0
"""How often the journal is asked whether something was left lying."""

Item = tuple[int, bytes]

_log = structlog.get_logger()


@dataclass(slots=True)
class _Lane:
    lane: Lane
    window: deque[Item] = field(default_factory=deque)
    window_bytes: int = 0
    is_behind: bool = True  # the journal may hold something that the window does not
    is_unreadable: bool = False  # the journal does not give what it holds; what comes in now leaves without it
    cursor: int | None = None
    commits: int = 0
    refused: set[tuple[bytes, int]] = field(default_factory=set)
    """Records that central refused by themselves. They stay on the card and are offered again later."""
    done: dict[bytes, SeqRanges] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """Records of one epoch and lane in one envelope."""

    lane: Lane
    epoch: bytes
    items: list[Item]
    gaps: tuple[tuple[int, int], ...] = ()
    failures: int = 0
    is_divided: bool = False


class Bulk:
    """Holds what is live and drains what is not."""

    def __init__(
        self,
        *,
        epoch: HubEpoch,
        journal: Journal,
        paths: Sequence[Path],
        clock: HubClock,
        on_sent: Callable[[int], None],
        is_urgent_waiting: Callable[[], bool],
        sweep_s: float = SWEEP_S,
    ) -> None:
        self._epoch = epoch
        self._journal = journal
        self._paths = {path.name: path for path in paths}
        self._boot_s = clock.boot_s
        self._on_sent = on_sent
        self._is_urgent_waiting = is_urgent_waiting
        self._sweep_s = sweep_s
        self._last_urgent_s = float("-inf")
        self._lanes = {lane: _Lane(lane) for lane in LANES}
        self._flying: Batch | None = None
        self._receipt: asyncio.Event = asyncio.Event()
        self._wake = asyncio.Event()
        self._path_change = asyncio.Event()
        self._all_sent = asyncio.Event()
        self._headers_known: set[bytes] = set()
        self._round_trip_s: float | None = None
        self.sent_records = 0
        self.sent_envelopes = 0

    # what comes in

    def committed(self, lane: Lane, seq: int, record: bytes) -> None:
        """A record of this run is durable (or could not be, and lives in memory only)."""
        state = self._lanes[lane]
        state.commits += 1
        if state.is_behind and not state.is_unreadable:
            return  # it will be read from the journal in its turn
        if state.window_bytes >= WINDOW_BYTES:
            state.is_behind, state.cursor = True, None
            return
        state.window.append((seq, record))
        state.window_bytes += len(record)
        self._wake.set()

    def kept_in_memory(self, lane: Lane, seq: int, record: bytes) -> bool:
        """The card would not take this record. False when memory will not either: it is lost, and becomes a gap."""
        state = self._lanes[lane]
        if state.window_bytes >= UNSTORED_BYTES:
            return False
        state.window.append((seq, record))
        state.window_bytes += len(record)
        self._wake.set()
        return True

    def paths_changed(self) -> None:
        """A path came up or went down."""
        self._path_change.set()
        self._wake.set()

    def urgent_seen(self) -> None:
        """An alarm was raised: small envelopes for a while."""
        self._last_urgent_s = self._boot_s()

    def receipted(self, epoch: bytes, lane: Lane, stored: SeqRanges, *, wants_header: bool) -> None:
        """Central has these."""
        done = self._lanes[lane].done.setdefault(epoch, SeqRanges())
        for first, last in stored:
            done.add(first, last)
        if wants_header:
            self._headers_known.discard(epoch)
        else:
            self._headers_known.add(epoch)
        flying = self._flying
        if flying is not None and flying.epoch == epoch and flying.lane is lane:
            flying.items = [item for item in flying.items if item[0] not in done]
            if not flying.items:
                self._receipt.set()

    def offer_again(self) -> None:
        """Central's database is another one: nothing that it had counts any more."""
        self._headers_known.clear()
        for state in self._lanes.values():
            state.done.clear()
            state.is_behind, state.cursor = True, None  # what central could not open is kept, and offered again
        self._wake.set()

    def look_again(self) -> None:
        """Something came into the journal that nobody brought here."""
        for state in self._lanes.values():
            state.is_behind, state.cursor = True, None
        self._wake.set()

    def in_memory(self) -> dict[Lane, int]:
        """How many records are held per lane: in the window, and in the envelope that waits for its receipt."""
        found = {lane: len(state.window) for lane, state in self._lanes.items()}
        if self._flying is not None:
            found[self._flying.lane] += len(self._flying.items)
        return found

    # the task

    async def run(self) -> NoReturn:
        """Send until cancelled."""
        while True:
            self._wake.clear()
            batch = self._flying or await self._next_batch()
            if batch is None:
                self._all_sent.set()
                await self._idle()
                continue
            self._all_sent.clear()
            self._flying = batch
            path = self._path()
            if path is None:
                await self._pause(None)
            elif await self._deliver(path, batch):
                self._flying = None
            elif batch.is_divided:
                batch.is_divided = False  # no reason to wait: the smaller part may well be taken
            else:
                batch.failures += 1
                await self._pause(min(RETRY_MAX_S, RETRY_MIN_S * 2 ** min(batch.failures - 1, 10)))

    async def flush(self) -> None:
        """Return when everything live has been receipted; its caller has the patience."""
        self._all_sent.clear()
        self._wake.set()
        await self._all_sent.wait()

    async def _deliver(self, path: Path, batch: Batch) -> bool:
        header = None
        if batch.epoch not in self._headers_known and batch.epoch != self._epoch.id:
            try:
                header = await self._journal.epoch_header(batch.epoch)
            except JournalError as error:
                _log.warning("epoch_header_unreadable", error=str(error)[:200])
        items = batch.items
        number, frame = self._epoch.envelope(
            batch.epoch, batch.lane, [record for _, record in items], header=header, gaps=batch.gaps
        )
        self._receipt.clear()
        self._on_sent(number)
        started_s = self._boot_s()
        self.sent_envelopes += 1
        self.sent_records += len(items)
        try:
            async with asyncio.timeout(RECEIPT_WAIT_S * min(4, 1 + batch.failures)):
                await path.send(frame, lane=batch.lane, deadline_s=RECEIPT_WAIT_S)
                await self._receipt.wait()
        except TimeoutError:
            return False
        except UplinkError as error:
            _log.info("bulk_not_sent", uplink=path.name, lane=batch.lane.word, error=str(error)[:200])
            return isinstance(error, RefusedError) and error.status in CONTENT_REFUSED and self._divide(batch)
        except Exception as error:  # noqa: BLE001  # whatever an uplink's library does, the batch is sent again
            _log.warning("uplink_fault", uplink=path.name, error=error)
            return False
        self._round_trip_s = self._boot_s() - started_s
        return True

    def _divide(self, batch: Batch) -> bool:
        """A refused envelope may hold one record that central cannot take: find it, and go on without it.

        True when nothing of the batch is left to send.
        """
        state = self._lanes[batch.lane]
        if len(batch.items) > 1:
            half = len(batch.items) // 2
            if batch.epoch == self._epoch.id:
                rest = batch.items[half:]
                state.window.extendleft(reversed(rest))
                state.window_bytes += sum(len(record) for _, record in rest)
            else:
                state.is_behind, state.cursor = True, None  # the other half is read again
            batch.items = batch.items[:half]
            batch.is_divided = True
            return False
        if batch.items and len(state.refused) < MAX_REFUSED:
            seq = batch.items[0][0]
            state.refused.add((batch.epoch, seq))
            _log.warning("record_refused", lane=batch.lane.word, epoch=batch.epoch, seq=seq)
            return True
        return False

    async def _pause(self, delay_s: float | None) -> None:
        self._path_change.clear()
        try:
            async with asyncio.timeout(delay_s):
                await self._path_change.wait()
        except TimeoutError:
            return

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(self._sweep_s):
                await self._wake.wait()
        except TimeoutError:
            await self._sweep()

    async def _sweep(self) -> None:
        """Nothing is to be sent, so nothing should lie in the journal."""
        counts = await self._journal.counts()
        for lane, state in self._lanes.items():
            if counts[lane].records and not state.window:
                state.refused.clear()
                state.is_behind, state.cursor = True, None

    def _path(self) -> Path | None:
        name = bulk_path([path.view() for path in self._paths.values()])
        return None if name is None else self._paths[name]

    def _limit(self, state: _Lane) -> int:
        is_quiet = self._boot_s() - self._last_urgent_s > QUIET_S and not self._is_urgent_waiting()
        has_backlog = state.is_behind or len(state.window) > LARGE_BATCH
        is_quick = self._round_trip_s is not None and self._round_trip_s < QUICK_S
        return LARGE_BATCH if is_quiet and has_backlog and is_quick else SMALL_BATCH

    async def _next_batch(self) -> Batch | None:
        if self._path() is None:
            return None
        for state in self._lanes.values():
            if state.window:
                return self._from_window(state)
            if state.is_behind:
                batch = await self._from_journal(state)
                if batch is not None:
                    return batch
        return self._only_gaps()

    def _from_window(self, state: _Lane) -> Batch:
        items: list[Item] = []
        size = 0
        limit = self._limit(state)
        while state.window and len(items) < limit and size < MAX_BATCH_BYTES:
            item = state.window.popleft()
            items.append(item)
            size += len(item[1])
        state.window_bytes -= size
        return Batch(state.lane, self._epoch.id, items, self._gaps(state, self._epoch.id))

    async def _from_journal(self, state: _Lane) -> Batch | None:
        while True:
            commits = state.commits
            try:
                found = await self._journal.unsettled(state.lane, state.cursor, self._limit(state))
            except JournalError as error:
                _log.warning("backlog_unreadable", lane=state.lane.word, error=str(error)[:200])
                state.is_unreadable = True
                return None
            state.is_unreadable = False
            if not found:
                if commits != state.commits:
                    continue  # something was committed while we looked, and not put into the window
                state.is_behind = False
                return None
            epoch = found[0].epoch
            done = state.done.get(epoch, _NONE)
            items: list[Item] = []
            size = 0
            for stored in found:
                if stored.epoch != epoch or size >= MAX_BATCH_BYTES:
                    break
                state.cursor = stored.cursor
                if stored.seq not in done and (epoch, stored.seq) not in state.refused:
                    items.append((stored.seq, stored.record))
                    size += len(stored.record)
            if items:
                return Batch(state.lane, epoch, items, self._gaps(state, epoch))

    def _gaps(self, state: _Lane, epoch: bytes) -> tuple[tuple[int, int], ...]:
        done = state.done.get(epoch, _NONE)
        found = (gap for gap in self._journal.gaps(state.lane, epoch) if gap[0] not in done or gap[1] not in done)
        return tuple(islice(found, MAX_GAPS))

    def _only_gaps(self) -> Batch | None:
        """Numbers that will never come, of an epoch that has nothing else to send."""
        for state in self._lanes.values():
            for epoch in self._journal.epochs_with_gaps(state.lane):
                gaps = self._gaps(state, epoch)
                if gaps:
                    return Batch(state.lane, epoch, [], gaps)
        return None


_NONE = SeqRanges()
