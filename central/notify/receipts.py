"""What became of messages, as far as their carriers say: arrived, or no word in time.

A message whose receipt does not come is *unconfirmed*: the carrier took it, and nobody knows more. It is not sent
again, because somebody might be told twice, and no step is hurried: the plan goes on by its own deadlines. But it is
said, on the alarm and in the log; and when several in a row are missing, technicians hear that the way is in doubt.

A receipt is missed only where one can be expected: of a carrier that is set to give them, or has given one before the
message was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.errors import NotStoredError
from central.escalation import patrols
from central.lifecycle import CENTRAL_KINDS
from central.metrics import Metrics
from central.notify.channel import Awaited
from central.opening import Source
from central.raising import end_condition, raise_technical
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM
from central.wakeup import Wakeup

log = structlog.get_logger()

LOOK_S = 10.0
AT_ONCE = 20
IN_A_ROW = 3
KIND = "receipts_missing"
_LOOKS, _LOOK_AGAIN_S = 6, 0.5

_OF_REFERENCE = Sql("SELECT id, channel FROM notification WHERE provider_ref = :ref")
_ON_THE_WAY = Sql("SELECT 1 FROM notification WHERE state = 'pending' AND attempts > 0 AND next_ms > :now LIMIT 1")
_DELIVERED = Sql(
    """UPDATE notification SET state = 'delivered', receipt_ms = :now
    WHERE id = :id AND state IN ('sent', 'unconfirmed') RETURNING alarm, channel, dispatch, what"""
)
_MISSING = """channel = :channel AND state = 'sent' AND sent_ms >= :since AND sent_ms <= :before
    AND (provider_ref IS NOT NULL OR :is_promised = 1)"""
_ANY_MISSING = Sql(f"SELECT 1 FROM notification WHERE {_MISSING} LIMIT 1")  # noqa: S608  # our own names
_MISS = Sql(
    f"""UPDATE notification SET state = 'unconfirmed' WHERE state = 'sent' AND id IN
      (SELECT id FROM notification WHERE {_MISSING} ORDER BY sent_ms LIMIT :limit)
    RETURNING alarm, step, what"""  # noqa: S608  # our own names
)
_MISSED = Sql(
    """SELECT count(*) FROM (SELECT 1 FROM notification WHERE channel = :channel AND state = 'unconfirmed'
       AND sent_ms >= :since LIMIT :limit) AS missed"""
)
_HUB = Sql("SELECT hub FROM alarm WHERE id = :alarm")
_KNOWN = Sql("SELECT value FROM central_state WHERE name = :name")
_KEEP = Sql(
    """INSERT INTO central_state (name, value) VALUES (:name, :value)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value"""
)


class Receipts:
    """Those of one database. Any number of processes may look for what is missing."""

    def __init__(
        self, *, store: Store, clock: Clock, metrics: Metrics, wakeup: Wakeup, awaited: Mapping[str, Awaited | None]
    ) -> None:
        """`awaited`: of each channel that is carried, which receipts can be missed; None: none can."""
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._wakeup = wakeup
        self._awaited = awaited
        self._is_begun = False

    async def run(self) -> None:
        """Looks for what is missing, until cancelled."""
        while True:
            try:
                await self.look()
            except NotStoredError as error:
                log.warning("receipts_not_looked_for", reason=str(error))
            await asyncio.sleep(LOOK_S)

    async def of(self, reference: str) -> Row | None:
        """Id and channel of the message that a carrier has given this name. None: it is none of ours.

        A receipt may be quicker than the commit of what it is for. While something is on its way it is waited for.
        """
        for left in reversed(range(_LOOKS)):
            found = await self._store.ask(_OF_REFERENCE, ref=reference)
            if found:
                return found[0]
            if not left or not await self._store.ask(_ON_THE_WAY, now=self._clock.now_ms()):
                return None
            await asyncio.sleep(_LOOK_AGAIN_S)
        return None

    async def arrived(self, notification: str) -> None:
        """It has reached whom it was for. Once: a second receipt, or one of what was given up, changes nothing."""

        async def work(connection: AsyncConnection) -> bool:
            now = self._clock.now_ms()
            found = await _DELIVERED.one(connection, id=notification, now=now)
            if found is None:
                return False
            alarm, channel, dispatch, what = found
            hub = await _HUB.value(connection, alarm=alarm)
            await note_receipt(connection, channel, now)
            if dispatch is not None and what == "dispatch":
                await patrols.has_got_it(connection, dispatch, hub, now)
            content = {"channel": channel}
            await event_log.append(
                connection, now, "notification_delivered", SYSTEM, alarm=alarm, hub=hub, content=content
            )
            await feed.publish(connection, now, "alarm", alarm, "notification_delivered")
            return True

        if await self._store.transact(Priority.PEOPLE, work):
            self._metrics.count("notify.delivered")
            self._wakeup.wake()

    async def look(self) -> int:
        """Say of messages whose receipts are overdue that they are unconfirmed. Returns how many there were."""
        if not self._is_begun:
            await self._store.transact(Priority.UPKEEP, self._begin)
            self._is_begun = True
        count = 0
        for channel, awaited in self._awaited.items():
            while awaited is not None and (missed := await self._miss(channel, awaited)):
                count += missed
        if count:
            self._wakeup.wake()
        return count

    async def _begin(self, connection: AsyncConnection) -> None:
        """From now on receipts are expected where they are promised; where they no longer are, none is missing."""
        now = self._clock.now_ms()
        for channel, awaited in self._awaited.items():
            if awaited is None:
                await end_condition(connection, "", channel, KIND, now)
            elif awaited.is_promised and await _known(connection, channel) is None:
                await _KEEP.rows(connection, name=_name(channel), value=f"{now}:0")

    async def _miss(self, channel: str, awaited: Awaited) -> int:
        within_ms = round(awaited.within_s * 1000)

        def of(now: int, since: int) -> dict[str, object]:
            promised = int(awaited.is_promised)
            return {"channel": channel, "since": since, "before": now - within_ms, "is_promised": promised}

        known = await self._store.fetch(lambda connection: _known(connection, channel))
        if known is None or not await self._store.ask(_ANY_MISSING, **of(self._clock.now_ms(), known[0])):
            return 0
        first_ms, last_ms = known

        async def work(connection: AsyncConnection) -> int:
            now = self._clock.now_ms()
            rows = await _MISS.rows(connection, **of(now, first_ms), limit=AT_ONCE)
            since = max(first_ms, last_ms - within_ms + 1)  # what was missed after the last receipt came
            missed = await _MISSED.value(connection, channel=channel, since=since, limit=IN_A_ROW)
            if rows and missed >= IN_A_ROW:
                source = Source(hub="", device=channel, happened_ms=now)
                await raise_technical(connection, CENTRAL_KINDS[KIND], source, now)
            for alarm, step, what in rows:
                hub = await _HUB.value(connection, alarm=alarm)
                content = {"channel": channel, "what": what, "step": step}
                await event_log.append(
                    connection, now, "notification_unconfirmed", SYSTEM, alarm=alarm, hub=hub, content=content
                )
                await feed.publish(connection, now, "alarm", alarm, "notification_unconfirmed")
            return len(rows)

        missed = await self._store.transact(Priority.PEOPLE, work)
        if missed:
            self._metrics.count(f"notify.{channel}.unconfirmed", missed)
            log.warning("notifications_unconfirmed", channel=channel, count=missed)
        return missed


async def note_receipt(connection: AsyncConnection, channel: str, now: int) -> None:
    """A carrier has said what became of a message, whatever it was: its receipts come."""
    known = await _known(connection, channel)
    first_ms = now if known is None else known[0]
    await _KEEP.rows(connection, name=_name(channel), value=f"{first_ms}:{now}")
    await end_condition(connection, "", channel, KIND, now)


async def _known(connection: AsyncConnection, channel: str) -> tuple[int, int] | None:
    """Since when receipts of a channel can be expected, and when the last one came (0: none has yet)."""
    first, _, last = str(await _KNOWN.value(connection, name=_name(channel)) or "").partition(":")
    return (int(first), int(last)) if first.isdecimal() and last.isdecimal() else None


def _name(channel: str) -> str:
    return f"receipts:{channel}"
