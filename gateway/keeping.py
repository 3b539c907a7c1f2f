"""Records on their way onto the card, and those that the card would not take: held in memory, offered to it again.

The card is never waited for. An alarm is on its way to central already; measurements and technical events go on their
way once they are durable, or at once when the card hangs or refuses them. When the card is well again, whatever is
held here only comes onto it, so that it lasts over a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import NoReturn

import structlog

from cloud_sync.identity import EventId, Lane
from gateway.bulk import UNSTORED_BYTES, Bulk
from gateway.errors import JournalError
from gateway.journal import Journal
from gateway.pending import Pending
from gateway.urgent import Urgent

TICK_S = 0.5
STORE_AGAIN_S = 5.0
AT_ONCE = 1000
"""So many measurements at most are offered to the card again in one go."""

Key = tuple[Lane, int]
Remember = Mapping[str, int | str]

_log = structlog.get_logger()


class Keeping:
    """All methods but the task return at once."""

    def __init__(self, *, epoch: bytes, journal: Journal, urgent: Urgent, bulk: Bulk) -> None:
        self._epoch = epoch
        self._journal = journal
        self._urgent = urgent
        self._bulk = bulk
        self._storing: set[EventId] = set()
        self._unstored: dict[EventId, tuple[Pending, Remember]] = {}
        self._flying: dict[Key, bytes] = {}
        """Bulk that the journal has and the card has not (yet)."""
        self._sent_early: set[Key] = set()
        """Of these, what was sent on its way because the card hangs."""
        self._held: dict[Key, bytes] = {}
        """Bulk that is in memory only."""
        self._held_bytes = 0
        self.lost = dict.fromkeys(Lane, 0)
        """What neither the card nor memory would take, and no gap record tells (yet)."""

    # alarm and care

    def store(self, pending: Pending, remember: Remember) -> None:
        """Offer it to the card."""
        event_id = pending.id
        try:
            future = self._journal.append_nowait(event_id.lane, event_id.seq, pending.record, remember)
        except JournalError as error:
            self._not_stored(pending, remember, error)
            return
        self._storing.add(event_id)
        future.add_done_callback(partial(self._stored, pending, remember))

    def _stored(self, pending: Pending, remember: Remember, future: asyncio.Future[None]) -> None:
        self._storing.discard(pending.id)
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or error is not None:
            self._not_stored(pending, remember, error)
        else:
            self._urgent.durable(pending)

    def _not_stored(self, pending: Pending, remember: Remember, error: BaseException | None) -> None:
        if pending.id not in self._unstored:
            self._unstored[pending.id] = (pending, remember)
            _log.warning("alarm_not_stored", lane=pending.id.lane.word, seq=pending.id.seq, error=error)

    @property
    def unstored(self) -> int:
        """Alarms that are in memory only, because the card would not take them or hangs."""
        return len(self._unstored) + (len(self._storing) if self._journal.is_hanging(Lane.ALARM) else 0)

    # technical and telemetry

    def store_bulk(
        self, lane: Lane, seq: int, record: bytes, remember: Remember, confirmation: asyncio.Future[bool] | None
    ) -> None:
        """Offer it to the card, and send it on its way."""
        key = (lane, seq)
        try:
            future = self._journal.append_nowait(lane, seq, record, remember)
        except JournalError:
            self._keep(key, record)
            _answer(confirmation, False)
            return
        self._flying[key] = record
        if self._journal.is_hanging(lane):
            self._send_early(key, record)
        future.add_done_callback(partial(self._bulk_stored, key, confirmation))

    def _bulk_stored(self, key: Key, confirmation: asyncio.Future[bool] | None, future: asyncio.Future[None]) -> None:
        record = self._flying.pop(key)
        was_early = key in self._sent_early
        self._sent_early.discard(key)
        is_stored = not future.cancelled() and future.exception() is None
        if not is_stored and was_early:
            self._hold(key, record)
        elif not is_stored:
            self._keep(key, record)
        elif not was_early:
            self._bulk.committed(*key, record)
        _answer(confirmation, is_stored)

    def _send_early(self, key: Key, record: bytes) -> None:
        if key not in self._sent_early and self._bulk.kept_in_memory(*key, record):
            self._sent_early.add(key)

    def _keep(self, key: Key, record: bytes) -> None:
        lane, seq = key
        if self._bulk.kept_in_memory(lane, seq, record):
            self._hold(key, record)
        elif not self._journal.give_up(lane, seq, seq):
            self.lost[lane] += 1

    def _hold(self, key: Key, record: bytes) -> None:
        self._held[key] = record
        self._held_bytes += len(record)
        while self._held_bytes > UNSTORED_BYTES:  # what waits to be sent is no more than that: these have been
            oldest = next(iter(self._held))
            self._held_bytes -= len(self._held.pop(oldest))

    def on_their_way(self, lane: Lane) -> int:
        """How many of a bulk lane the card has been given and has not confirmed, and nobody else holds."""
        return sum(key[0] is lane and key not in self._sent_early for key in self._flying)

    @property
    def held(self) -> int:
        """Measurements and technical events that are in memory only, some of which central may have."""
        return len(self._held)

    # the task

    async def run(self) -> NoReturn:
        """Look after what is not on the card, until cancelled."""
        waited_s = 0.0
        while True:
            await asyncio.sleep(TICK_S)
            for key, record in list(self._flying.items()) if self._flying else ():
                if self._journal.is_hanging(key[0]):
                    self._send_early(key, record)
            waited_s += TICK_S
            if waited_s >= STORE_AGAIN_S:
                waited_s = 0.0
                self.offer_again()

    def offer_again(self) -> None:
        """Offer the journal again what it would not take."""
        for event_id, (pending, remember) in list(self._unstored.items()):
            del self._unstored[event_id]
            if pending.receipted_s is None:
                self.store(pending, remember)
        for key in list(self._held)[:AT_ONCE]:
            if self._journal.is_taking(key[0]):
                self._offer_bulk(key)

    def _offer_bulk(self, key: Key) -> None:
        record = self._held.pop(key)
        self._held_bytes -= len(record)
        if self._journal.is_settled(key[0], self._epoch, key[1]):
            return
        try:
            future = self._journal.append_nowait(*key, record)
        except JournalError:
            self._hold(key, record)
            return
        future.add_done_callback(partial(self._offered, key, record))

    def _offered(self, key: Key, record: bytes, future: asyncio.Future[None]) -> None:
        if future.cancelled() or future.exception() is not None:
            self._hold(key, record)


def _answer(confirmation: asyncio.Future[bool] | None, is_confirmed: bool) -> None:
    if confirmation is not None and not confirmation.done():
        confirmation.set_result(is_confirmed)
