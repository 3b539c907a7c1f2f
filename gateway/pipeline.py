"""From what was judged to what is durable and on its way: name it, seal it, store it and send it side by side.

An alarm never waits for the card: it is handed to dispatch first, and the journal works beside it. A journal that
fails stops nothing: what it will not take lives in memory until central has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from cloud_sync.identity import EventId, Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, Event, Scalar
from gateway.bulk import Bulk
from gateway.clock import HubClock
from gateway.home import Home
from gateway.hub_epoch import OWN_ALIAS, HubEpoch
from gateway.journal import Journal
from gateway.keeping import Keeping
from gateway.pending import Pending
from gateway.triage import Judged
from gateway.urgent import Urgent

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
        self._clock = clock
        self._urgent = urgent
        self._bulk = bulk
        self._home = home
        self._watch_over = watch_over
        self._on_raised = on_raised
        self.keeping = Keeping(epoch=epoch.id, journal=journal, urgent=urgent, bulk=bulk)
        self.taken = dict.fromkeys(Lane, 0)
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
            self.keeping.store_bulk(lane, event_id.seq, record, judged.remember, judged.confirmation)
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
        self.keeping.store(pending, remember)
        self._bulk.urgent_seen()
        if kind.is_alarm:
            self.last_alarm = (kind.word, pending)
            self._home.raised(pending)
        elif kind.word == "test_alarm":
            self._home.test_raised(event_id)
        _log.info("event_raised", kind=kind.word, lane=judged.lane.word, device=judged.event.device, seq=event_id.seq)
