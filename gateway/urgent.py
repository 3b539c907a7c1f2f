"""Alarm and care on their way to central: sent at once, sent again, by more than one path, until receipted.

Everything unreceipted is held in memory, beside the journal and independent of it, so that a full, slow or broken card
never keeps an alarm from leaving. What earlier runs left behind is read from the journal little by little.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

import structlog

from cloud_sync import stub
from cloud_sync.errors import MalformedError, RefusedError, UplinkError
from cloud_sync.identity import EventId, Lane
from cloud_sync.ranges import SeqRanges
from cloud_sync.record import parse_record
from cloud_sync.stub import LocalAction
from cloud_sync.stub_answer import StubAnswer
from cloud_sync.vocabulary import AlarmClass
from gateway.clock import HubClock
from gateway.errors import JournalError
from gateway.hub_epoch import HubEpoch
from gateway.journal import Journal, StoredRecord
from gateway.paths import Path
from gateway.pending import Pending
from gateway.selector import Attempt, Timing, choose, handed, ranked
from gateway.stubs import KNOWN_KEY, StubQueue, dump_known, load_known, stub_to_send

MAX_BATCH = 50
MAX_LOADED = 100
"""How much of what earlier runs left is held in memory at a time."""
MAX_HELD = 2_000
"""Beyond this an alarm that is on the card is left there until there is room; one that is not is held all the same."""
UNREADABLE_PAUSE_S = 5.0
SWEEP_S = 30.0
"""How often the journal is asked whether something was left lying."""
MAX_KNOWN = 256
LANES = (Lane.ALARM, Lane.CARE)

_log = structlog.get_logger()


class Urgent:
    """Holds what is pending and sends it by the selector's rules."""

    def __init__(
        self,
        *,
        epoch: HubEpoch,
        journal: Journal,
        paths: Sequence[Path],
        clock: HubClock,
        on_sent: Callable[[int], None],
        on_loaded: Callable[[Pending], None],
        timing: Timing | None = None,
    ) -> None:
        self._epoch = epoch
        self._journal = journal
        self._paths = {path.name: path for path in paths}
        self._stubs = {
            path.name: StubQueue(path, clock.boot_s, self._look_again, path.stubs_per_hour)
            for path in paths
            if path.carries_stubs
        }
        self._boot_s = clock.boot_s
        self._on_sent = on_sent
        self._on_loaded = on_loaded
        self._timing = timing or Timing()
        self._pending: dict[EventId, Pending] = {}
        self._done: dict[tuple[bytes, Lane], SeqRanges] = {}
        self._cursors: dict[Lane, int | None] = dict.fromkeys(LANES)
        self._unread = set(LANES)
        self._beginnings = 0
        self._loaded = 0
        self._remembered = journal.memory.get(KNOWN_KEY, "")
        self._known = load_known(self._remembered, epoch.hub)
        """Answers to stubs of records that are not held here, or not yet."""
        self._wanted_headers: set[bytes] = set()
        self._brought: set[bytes] = set()
        """Epochs whose header was sent for its own sake."""
        self._introduced: set[bytes] | None = None
        """After central was restored: the epochs whose header it has had since. None: it never was restored."""
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        self._next_s: float | None = None

    # what comes in

    def add(self, pending: Pending) -> None:
        """A new alarm: send it now."""
        self._pending[pending.id] = pending
        if self._stubs:
            pending.stub = stub_to_send(pending.record)
        self._hurry()
        next_s = self._advance([pending])
        if next_s is not None and (self._next_s is None or next_s < self._next_s):
            self._wake.set()

    def durable(self, pending: Pending) -> None:
        """It is on the card. When too much is held, it is left there for later."""
        pending.durable_s = self._boot_s()
        pending.confirm()
        if len(self._pending) > MAX_HELD and self._pending.pop(pending.id, None) is not None:
            self._read_again(pending.id.lane)
        elif pending.id not in self._pending and not self._is_done(pending.id):
            self._read_again(pending.id.lane)  # receipted by a central that was replaced before the card had it

    def paths_changed(self) -> None:
        """A path came up or went down."""
        self._advance(list(self._pending.values()))  # now, so that nothing bulky is first on a fresh connection
        self._wake.set()

    def receipted(self, epoch: bytes, lane: Lane, stored: SeqRanges) -> list[Pending]:
        """Central has these. Returns those that were waiting for it, with their times."""
        if self._introduced is not None and epoch not in self._wanted_headers:
            self._introduced.add(epoch)
        done = self._done.setdefault((epoch, lane), SeqRanges())
        for first, last in stored:
            done.add(first, last)
        now_s = self._boot_s()
        found = [p for p in self._pending.values() if p.id.epoch == epoch and p.id.lane is lane and p.id.seq in stored]
        for pending in found:
            del self._pending[pending.id]
            pending.receipted_s = now_s
            pending.confirm()
            self._loaded -= pending.is_loaded
        if found:
            self._hurry()
            if self._loaded < MAX_LOADED:
                self._room.set()
        return found

    def answered(self, answer: StubAnswer) -> bool:
        """Central knows an alarm by its stub: no more stubs of it. True when this was not known before."""
        pending = self._pending.get(answer.event)
        told, before = (answer.version, answer.central_ms), self._known.get(answer.event)
        if pending is not None:
            before, pending.known = pending.known, max(told, pending.known or told)
        elif not self._is_done(answer.event):
            self._known[answer.event] = max(told, before or told)
            if len(self._known) > MAX_KNOWN:
                del self._known[next(iter(self._known))]
        self._remember_known()
        return pending is not None and before is None

    def _remember_known(self) -> None:
        """So that no text message is sent again after a restart for what central has answered."""
        held = {one.id: one.known for one in self._pending.values() if one.known is not None}
        text = dump_known(self._known | held)
        if text == self._remembered:
            return
        self._remembered = text
        try:
            self._journal.remember(Lane.ALARM, {KNOWN_KEY: text})
        except JournalError as error:
            _log.debug("memory_not_stored", error=error)  # the journal itself has told it

    def header_wanted(self, epoch: bytes) -> None:
        """Central has not got this epoch's header: the next envelope carries it, if need be one without records.

        What central could not open it has all the same, so of an earlier run there may be no other envelope.
        """
        self._wanted_headers.add(epoch)
        up = ranked([path.view() for path in self._paths.values()])
        if self._group is None or not up or epoch in self._brought:
            return
        self._brought.add(epoch)  # once: a header that does not help is not sent for ever
        sending = self._send(self._paths[up[0].name], epoch, Lane.ALARM, [], self._timing.resend_s)
        self._group.create_task(sending, name="urgent-header")

    def offer_again(self) -> None:
        """Central's database is another one: read everything that the journal still has.

        Nor has it the headers of earlier runs, which not every record carries.
        """
        self._introduced = set()
        self._brought.clear()
        self._done.clear()
        self._known.clear()
        for pending in self._pending.values():
            pending.known = None
        self._remember_known()
        for lane in LANES:
            self._read_again(lane)

    def look_again(self) -> None:
        """Something came into the journal that nobody brought here."""
        for lane in LANES:
            self._read_again(lane)

    # what others see

    def counts(self) -> dict[Lane, int]:
        """How many are held per lane."""
        found = dict.fromkeys(LANES, 0)
        for event_id in self._pending:
            found[event_id.lane] += 1
        return found

    @property
    def is_waiting(self) -> bool:
        """Whether anything is not receipted."""
        return bool(self._pending)

    @property
    def waiting_since_s(self) -> float | None:
        """When the oldest of what is held was observed (or read from the journal); None when nothing is held."""
        return min((pending.observed_s for pending in self._pending.values()), default=None)

    def is_settled(self, event_id: EventId) -> bool:
        """Whether an event of an earlier run is known to wait for nothing: the journal was read to its end."""
        return not self._unread and event_id not in self._pending

    # the task

    async def run(self) -> NoReturn:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                group.create_task(self._load(), name="urgent-backlog")
                for name, queue in self._stubs.items():
                    group.create_task(queue.run(), name=f"stubs-{name}")
                while True:
                    self._wake.clear()
                    next_s = self._next_s = self._advance(list(self._pending.values()))
                    try:
                        async with asyncio.timeout(None if next_s is None else max(0.01, next_s - self._boot_s())):
                            await self._wake.wait()
                    except TimeoutError:
                        continue
            finally:
                self._group = None

    def _advance(self, those: Iterable[Pending]) -> float | None:
        """Do what is due for these. Returns when something will be due next."""
        if self._group is None:
            return None
        now_s = self._boot_s()
        views = [path.view() for path in self._paths.values()]
        for_frames = [view for view in views if not view.carries_stubs]
        sends: dict[tuple[str, bytes, Lane, EventId | None], list[Pending]] = {}
        times: list[float] = []
        for pending in those:
            may_text = pending.stub is not None and pending.known is None
            usable = views if may_text else for_frames
            choice = choose(pending.attempts, pending.first_sent_s, usable, now_s, self._timing)
            for name in choice.send:
                if name in self._stubs:
                    self._mark(pending, self._paths[name], now_s, is_queued=True)
                    self._stubs[name].put(pending)
                    continue
                alone = pending.id if pending.is_alone else None
                sends.setdefault((name, pending.id.epoch, pending.id.lane, alone), []).append(pending)
            for name in choice.renew:
                self._paths[name].renew()
            if choice.next_s is not None:
                times.append(choice.next_s)
            if choice.send or choice.renew:
                times.append(now_s + self._timing.retry_s)  # look again at what comes of it
        for (name, epoch, lane, _), batch in sends.items():
            for at in range(0, len(batch), MAX_BATCH):
                self._dispatch(self._paths[name], epoch, lane, batch[at : at + MAX_BATCH], now_s)
        return min(times, default=None)

    def _dispatch(self, path: Path, epoch: bytes, lane: Lane, batch: list[Pending], now_s: float) -> None:
        if self._group is None:
            return
        count = max(self._mark(pending, path, now_s) for pending in batch)
        deadline_s = self._timing.receipt_wait_s(count)
        self._group.create_task(self._send(path, epoch, lane, batch, deadline_s), name=f"urgent-{path.name}")

    def _mark(self, pending: Pending, path: Path, now_s: float, *, is_queued: bool = False) -> int:
        attempt = handed(pending.attempts.get(path.name), path.view(), now_s, self._timing, is_queued=is_queued)
        pending.attempts[path.name] = attempt
        if pending.first_sent_s is None:
            pending.first_sent_s = self._boot_s()
        return attempt.count

    async def _send(self, path: Path, epoch: bytes, lane: Lane, batch: list[Pending], deadline_s: float) -> None:
        header = None
        is_unknown = self._introduced is not None and epoch not in self._introduced
        if epoch in self._wanted_headers or is_unknown:
            header = await self._header(epoch)
        marks = [pending.attempts[path.name] for pending in batch]
        number, frame = self._epoch.envelope(epoch, lane, [pending.record for pending in batch], header=header)
        self._on_sent(number)
        try:
            await path.send(frame, lane=lane, deadline_s=deadline_s)
        except UplinkError as error:
            _log.info("alarm_not_sent", uplink=path.name, lane=lane.word, count=len(batch), error=str(error)[:200])
            self._failed(path, batch, marks, is_refused=isinstance(error, RefusedError))
        except Exception as error:  # noqa: BLE001  # whatever an uplink's library does, the alarm goes on by others
            _log.warning("uplink_fault", uplink=path.name, error=error)
            self._failed(path, batch, marks, is_refused=False)

    async def _header(self, epoch: bytes) -> bytes | None:
        """What central needs to open records of this run. They leave without it when the card does not give it."""
        if epoch == self._epoch.id:
            header: bytes | None = self._epoch.header
        else:
            try:
                header = await self._journal.epoch_header(epoch)
            except JournalError as error:
                _log.warning("epoch_header_unreadable", error=str(error)[:200])
                return None
        self._wanted_headers.discard(epoch)
        return header

    def _failed(self, path: Path, batch: list[Pending], marks: list[Attempt], *, is_refused: bool) -> None:
        for pending, mark in zip(batch, marks, strict=True):
            if is_refused and len(batch) > 1:
                pending.is_alone = True
            if pending.attempts.get(path.name) is mark:
                pending.attempts[path.name] = Attempt(
                    session=mark.session, sent_s=self._boot_s(), count=mark.count, has_failed=True
                )
        self._wake.set()

    def _look_again(self) -> None:
        self._wake.set()

    def _hurry(self) -> None:
        for path in self._paths.values():
            path.hurry(bool(self._pending))

    # what the journal has and memory has not

    async def _load(self) -> NoReturn:
        while True:
            self._room.clear()
            while self._loaded < MAX_LOADED and self._unread:
                lane = min(self._unread)
                beginnings = self._beginnings
                try:
                    found = await self._journal.unsettled(lane, self._cursors[lane], MAX_LOADED)
                except JournalError as error:
                    _log.warning("backlog_unreadable", lane=lane.word, error=str(error)[:200])
                    await asyncio.sleep(UNREADABLE_PAUSE_S)
                    continue
                if beginnings != self._beginnings:
                    continue  # told to begin anew while this was read
                if not found:
                    self._unread.discard(lane)
                    continue
                self._cursors[lane] = found[-1].cursor
                for stored in found:
                    self._hold(EventId(self._epoch.hub, stored.epoch, lane, stored.seq), stored)
                self._hurry()
                self._wake.set()
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._room.wait()
            except TimeoutError:
                await self._sweep()

    async def _sweep(self) -> None:
        """Whatever waits in the journal should be held here as well."""
        counts, held = await self._journal.counts(), self.counts()
        for lane in LANES:
            if counts[lane].records > held[lane]:
                self._read_again(lane)

    def _read_again(self, lane: Lane) -> None:
        self._unread.add(lane)
        self._cursors[lane] = None
        self._beginnings += 1
        self._room.set()

    def _is_done(self, event_id: EventId) -> bool:
        done = self._done.get((event_id.epoch, event_id.lane))
        return done is not None and event_id.seq in done

    def _hold(self, event_id: EventId, stored: StoredRecord) -> None:
        if event_id in self._pending or self._is_done(event_id):
            return
        action, is_alarm = LocalAction.NONE, False
        try:
            blob = parse_record(stored.record).stub
            if blob is not None and not stored.was_settled:
                known = stub.peek(blob)
                action, is_alarm = known.action, known.alarm_class <= AlarmClass.SUPERVISION
        except MalformedError as error:
            _log.warning("stored_record_unreadable", reason=error.reason)
        pending = Pending(
            id=event_id,
            record=stored.record,
            action=action,
            is_alarm=is_alarm,
            observed_s=self._boot_s(),
            is_loaded=True,
            stub=stub_to_send(stored.record) if self._stubs and not stored.was_settled else None,
            known=self._known.pop(event_id, None),
        )
        self._loaded += 1
        self._pending[event_id] = pending
        if not stored.was_settled:
            self._on_loaded(pending)
