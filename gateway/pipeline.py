"""From what was judged to what is durable and on its way: name it, seal it, store it and send it side by side.

An alarm never waits for the card: it is handed to dispatch first, and the journal works beside it. A journal that
fails stops nothing: what it will not take lives in memory until central has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import NoReturn

import structlog

from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event, Scalar
from gateway.bulk import Bulk
from gateway.clock import HubClock
from gateway.errors import JournalError
from gateway.home import Home
from gateway.hub_epoch import OWN_ALIAS, HubEpoch
from gateway.journal import Journal
from gateway.triage import Judged
from gateway.urgent import Pending, Urgent

STORE_AGAIN_S = 5.0
_NOTHING: Mapping[str, Scalar] = {}

_log = structlog.get_logger()


class Pipeline:
    """Takes judged events. All methods but the tasks return at once."""

    def __init__(
        self,
        *,
        epoch: HubEpoch,
        journal: Journal,
        clock: HubClock,
        urgent: Urgent,
        bulk: Bulk,
        home: Home,
        watch_over: Callable[[Pending], Mapping[str, str]],
        on_raised: Callable[[Judged, EventId], None] | None = None,
    ) -> None:
        self._epoch = epoch
        self._journal = journal
        self._clock = clock
        self._urgent = urgent
        self._bulk = bulk
        self._home = home
        self._watch_over = watch_over
        self._on_raised = on_raised
        self._unstored: dict[EventId, tuple[Pending, Mapping[str, int | str]]] = {}
        self.taken = dict.fromkeys(Lane, 0)
        self.lost = dict.fromkeys(Lane, 0)
        self.last_alarm: tuple[str, Pending] | None = None
        """The kind and the way of the alarm that was raised last."""

    def take(self, judged: Judged) -> EventId:
        """One event, on its way."""
        lane = judged.lane
        event_id, record = self._epoch.seal(judged.event, lane, judged.action)
        self.taken[lane] += 1
        if lane.is_urgent:
            self._take_urgent(judged, event_id, record)
        else:
            self._take_bulk(judged, event_id, record)
        return event_id

    def report(
        self, word: str, *, device: str = OWN_ALIAS, details: Mapping[str, Scalar] = _NOTHING, count: int = 1
    ) -> EventId:
        """An event of the hub's own."""
        kind = BY_WORD[word]
        now_s = self._clock.boot_s()
        event = Event(
            kind=kind, stamp=self._clock.stamp(now_s), device=device, details=details, rule="hub", count=count
        )
        return self.take(Judged(event=event, lane=kind.lane, action=LocalAction.NONE, observed_boot_s=now_s))

    @property
    def unstored(self) -> int:
        """Alarms that are in memory only, because the card would not take them."""
        return len(self._unstored)

    async def store_again(self) -> NoReturn:
        """A task: offer the journal again what it would not take."""
        while True:
            await asyncio.sleep(STORE_AGAIN_S)
            for event_id, (pending, remember) in list(self._unstored.items()):
                del self._unstored[event_id]
                if pending.receipted_s is None:
                    self._store(pending, remember)

    # alarm and care

    def _take_urgent(self, judged: Judged, event_id: EventId, record: bytes) -> None:
        kind = judged.event.kind
        pending = Pending(
            id=event_id,
            record=record,
            action=judged.action,
            is_alarm=kind.is_alarm,
            observed_s=judged.observed_boot_s,
            judged_s=self._clock.boot_s(),
            confirmation=judged.confirmation,
        )
        self._urgent.add(pending)
        remember = judged.remember
        if kind.is_alarm and judged.action is LocalAction.NONE:
            remember = {**remember, **self._home.keep_quiet(event_id)}
        elif kind.is_alarm:
            remember = {**remember, **self._watch_over(pending)}
        self._store(pending, remember)
        self._bulk.urgent_seen()
        if kind.is_alarm:
            self.last_alarm = (kind.word, pending)
            self._home.raised(pending)
        elif kind.word == "test_alarm":
            self._home.test_raised(event_id)
        _log.info("event_raised", kind=kind.word, lane=judged.lane.word, device=judged.event.device, seq=event_id.seq)

    def _store(self, pending: Pending, remember: Mapping[str, int | str]) -> None:
        event_id = pending.id
        try:
            future = self._journal.append_nowait(event_id.lane, event_id.seq, pending.record, remember)
        except JournalError as error:
            self._not_stored(pending, remember, error)
            return
        future.add_done_callback(partial(self._stored, pending, remember))

    def _stored(self, pending: Pending, remember: Mapping[str, int | str], future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            self._not_stored(pending, remember, error)
        else:
            self._urgent.durable(pending)

    def _not_stored(self, pending: Pending, remember: Mapping[str, int | str], error: BaseException | None) -> None:
        if pending.id not in self._unstored:
            self._unstored[pending.id] = (pending, remember)
            _log.warning("alarm_not_stored", lane=pending.id.lane.word, seq=pending.id.seq, error=error)

    # technical and telemetry

    def _take_bulk(self, judged: Judged, event_id: EventId, record: bytes) -> None:
        lane, seq = event_id.lane, event_id.seq
        try:
            future = self._journal.append_nowait(lane, seq, record, judged.remember)
        except JournalError:
            self._keep(lane, seq, record)
            _answer(judged.confirmation, False)
            return
        future.add_done_callback(partial(self._bulk_stored, lane, seq, record, judged.confirmation))

    def _bulk_stored(
        self,
        lane: Lane,
        seq: int,
        record: bytes,
        confirmation: asyncio.Future[bool] | None,
        future: asyncio.Future[None],
    ) -> None:
        if future.cancelled() or future.exception() is not None:
            self._keep(lane, seq, record)
            _answer(confirmation, False)
            return
        self._bulk.committed(lane, seq, record)
        if confirmation is not None:
            _answer(confirmation, True)

    def _keep(self, lane: Lane, seq: int, record: bytes) -> None:
        if not self._bulk.kept_in_memory(lane, seq, record):
            self.lost[lane] += 1
            self._journal.give_up(lane, seq, seq)


def _answer(confirmation: asyncio.Future[bool] | None, is_confirmed: bool) -> None:
    if confirmation is not None and not confirmation.done():
        confirmation.set_result(is_confirmed)
