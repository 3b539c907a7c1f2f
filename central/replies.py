"""Telling the home what became of its alarm: signed replies, within a second of every change.

A change leaves a row in the outbox, in its own transaction. `run` sends the full state of those alarms down every open
link of the hub and takes the rows away a little later, so that a crash in between repeats a reply (the version makes
that harmless) and never loses one. Where several processes share a database each reads every row, and whoever has the
link sends; rows are left there for as long as any of them needs to look.

A hub that connects gets a snapshot of all that is open, and again well before replies expire: whatever a home shows
wrongly is put right by then. A hub without a link gets it when it comes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.errors import NotStoredError
from central.escalation import local
from central.keys import CentralKeys
from central.lifecycle import stage_of
from central.links import HubLinks, Link
from central.sql import Row, Sql
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync.central_messages import MAX_EVENTS, MAX_REPLIES, Address, AlarmReply, LocalDeadlines, Reply
from cloud_sync.identity import EventId, Lane

log = structlog.get_logger()

VALID_MS = 90_000
REFRESH_S = 30.0
POLL_S = 1.0
SETTLE_S = 0.5
LEFT_FOR_OTHERS_S = 5.0
"""On a shared database: a process that was not told of a change looks once a second."""
MAX_NAMED = 8 * MAX_EVENTS
"""So many presses of one alarm are named, the newest; each by MAX_EVENTS of them goes as an entry of its own."""
_PAGE = 200
_OURS = (ValueError, LookupError, TypeError, AttributeError, AssertionError)
"""Faults of ours; none of these is the database's."""

_COLUMNS = "id, version, handling, dispatch FROM alarm"
_ONE = Sql(f"SELECT {_COLUMNS} WHERE id = :id")
_OPEN = Sql(
    f"SELECT {_COLUMNS} WHERE hub = :hub AND queue = 'personal' AND closed_ms IS NULL"
    " ORDER BY rank, raised_ms LIMIT 1000"
)
_EVENTS = Sql(
    """SELECT epoch, lane, seq FROM alarm_event WHERE alarm = :alarm AND role IN ('raised', 'repeat')
    ORDER BY happened_ms DESC, seq DESC LIMIT :limit"""
)
_OUTBOX = Sql("SELECT id, hub, ref FROM outbox WHERE kind = 'reply' AND id > :after ORDER BY id LIMIT :limit")
_SENT = Sql("DELETE FROM outbox WHERE id = :id")
_COMMITTED = Sql("UPDATE alarm SET committed_ms = :now WHERE id = :id AND committed_ms IS NULL")


class Replies:
    """What homes are told."""

    def __init__(self, store: Store, keys: CentralKeys, clock: Clock, links: HubLinks, wakeup: Wakeup) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._links = links
        self._wakeup = wakeup
        self._cursor = 0
        self._sent: dict[int, tuple[str, int, float]] = {}
        self._left_s = LEFT_FOR_OTHERS_S if store.dialect.is_shared else 0.0
        self._settled_s = clock.mono_s()

    async def snapshot(self, link: Link) -> None:
        """Everything that is open at this hub, to a link that has just opened. An empty one says: nothing is."""
        await self._send_snapshot(link.hub, [link])

    async def _send_snapshot(self, hub: bytes, links: Sequence[Link]) -> None:
        # As of before it was read: what is told of meanwhile is newer, and not closed by this.
        as_of_ms = self._clock.now_ms() - 1

        async def read(connection: AsyncConnection) -> tuple[list[AlarmReply], LocalDeadlines | None]:
            rows = await _OPEN.rows(connection, hub=hub.hex())
            states = [state for row in rows for state in await self._states(connection, hub, row)]
            return states, await local.of_home(connection, hub.hex(), as_of_ms)

        states, home = await self._store.fetch(read)
        for link in links:
            self._send(link, states, as_of_ms, is_snapshot=True, home=home)

    def _send(
        self,
        link: Link,
        states: Sequence[AlarmReply],
        as_of_ms: int,
        *,
        is_snapshot: bool,
        home: LocalDeadlines | None = None,
    ) -> None:
        to = Address(hub=link.hub, hub_epoch=link.epoch, central_ms=as_of_ms)
        # More than fit one message cannot be a snapshot: what it did not name would be taken for closed.
        is_whole = is_snapshot and len(states) <= MAX_REPLIES
        for at in range(0, max(1, len(states)), MAX_REPLIES):
            reply = Reply(to=to, alarms=tuple(states[at : at + MAX_REPLIES]), is_snapshot=is_whole, home=home)
            link.put(reply.pack(self._keys.sign_id, self._keys.sign))

    async def _states(self, connection: AsyncConnection, hub: bytes, row: Row) -> list[AlarmReply]:
        """The state of one alarm, in as many entries as its events need."""
        alarm, version, handling, dispatch = row
        rows = await _EVENTS.rows(connection, alarm=alarm, limit=MAX_NAMED)
        events = [EventId(hub, bytes.fromhex(epoch), Lane(lane), seq) for epoch, lane, seq in rows]
        stage = stage_of(handling, dispatch)
        valid_until_ms = self._clock.now_ms() + VALID_MS
        deadlines = await local.of_alarm(connection, alarm) if handling == "waiting" else None
        return [
            AlarmReply(
                alarm=bytes.fromhex(alarm),
                version=version,
                state=stage.reply,
                events=tuple(events[at : at + MAX_EVENTS]),
                valid_until_ms=valid_until_ms,
                local=deadlines,
            )
            for at in range(0, max(1, len(events)), MAX_EVENTS)
        ]

    async def send_due(self) -> int:
        """Send what the outbox holds and was not sent yet. Returns how many rows there were."""
        count = 0
        if self._left_s:  # what another process committed meanwhile may have lower numbers
            self._cursor = 0
        while True:
            rows = await self._store.ask(_OUTBOX, after=self._cursor, limit=_PAGE)
            if not rows:
                return count
            told = await self._store.fetch(partial(self._due, rows))
            for hub, states in told:
                for link in self._links.of(hub):
                    self._send(link, states, self._clock.now_ms(), is_snapshot=False)
            now, now_s = self._clock.now_ms(), self._clock.mono_s()
            fresh = {row[0]: (row[2], now, now_s) for row in rows if row[0] not in self._sent}
            self._sent |= fresh
            self._cursor = rows[-1][0]
            count += len(fresh)

    def _has_to_settle(self) -> bool:
        if not self._sent:
            return False
        now_s, (_, _, oldest_s) = self._clock.mono_s(), next(iter(self._sent.values()))
        return now_s - self._settled_s >= SETTLE_S and now_s - oldest_s >= max(SETTLE_S, self._left_s)

    async def settle(self) -> None:
        """Take away what was sent. Not at once: the next alarm should not have to wait for this commit."""
        self._settled_s = before_s = self._clock.mono_s()
        sent = [
            (number, alarm, now) for number, (alarm, now, at_s) in self._sent.items() if at_s <= before_s - self._left_s
        ]
        committed: dict[str, int] = {}
        for _, alarm, now in sent:
            committed.setdefault(alarm, now)
        for at in range(0, len(sent), _PAGE):
            page = sent[at : at + _PAGE]
            moments = [(committed.pop(alarm), alarm) for _, alarm, _ in page if alarm in committed]

            async def work(
                connection: AsyncConnection,
                page: Sequence[tuple[int, str, int]] = page,
                moments: Sequence[tuple[int, str]] = moments,
            ) -> None:
                await _COMMITTED.many(connection, moments)
                await _SENT.many(connection, [(row[0],) for row in page])

            await self._store.transact(Priority.UPKEEP, work)
            for number, *_ in page:
                del self._sent[number]
        self._cursor = 0  # what another process committed meanwhile may have lower numbers

    async def _due(self, rows: Sequence[Row], connection: AsyncConnection) -> list[tuple[bytes, list[AlarmReply]]]:
        """What is to be said to which hub, of a page of the outbox."""
        told = []
        for hub, alarm in dict.fromkeys((row[1], row[2]) for row in rows if row[0] not in self._sent):
            row = await _ONE.one(connection, id=alarm)
            if row is None:
                continue
            try:
                name = bytes.fromhex(hub)
                told.append((name, await self._states(connection, name, row)))
            except _OURS:  # over one alarm; all other homes are to hear of theirs
                log.exception("reply_not_made", alarm=alarm, hub=hub)
        return told

    async def refresh(self) -> None:
        """Tell every reachable home again before what it was told expires, also that nothing is open."""
        for hub in self._links.hubs():
            try:
                await self._send_snapshot(hub, self._links.of(hub))
            except _OURS:
                log.exception("snapshot_not_made", hub=hub.hex())

    async def run(self) -> None:
        """Sends and refreshes, until cancelled."""
        refresh_at_s = self._clock.mono_s() + REFRESH_S
        while True:
            seen = self._wakeup.count
            try:
                await self.send_due()
                if self._has_to_settle():
                    await self.settle()
                if self._clock.mono_s() >= refresh_at_s:
                    refresh_at_s = self._clock.mono_s() + REFRESH_S
                    await self.refresh()
            except NotStoredError as error:
                log.warning("replies_not_sent", reason=str(error))
                await asyncio.sleep(POLL_S)
            await self._wakeup.wait(seen, SETTLE_S if self._sent else POLL_S)
