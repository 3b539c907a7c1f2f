"""A text came: is it a hub's stub, is it authentic, is it new, and what follows from it.

Nothing but counters, the security log and the bounded quarantine is written before the hub's signature has been
verified. A text that is no stub, or says nothing new, is taken all the same: nobody is to send it again.
"""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import raising, stubs
from central.clock import Clock
from central.held import Marks, Stretch
from central.hubs import Enrolled, Hubs
from central.metrics import Metrics
from central.quarantine import Quarantine
from central.security import SecurityLog
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync import stub as wire
from cloud_sync.errors import ForgedError, MalformedError
from cloud_sync.identity import Lane
from cloud_sync.stub import Stub
from cloud_sync.vocabulary import AlarmClass

log = structlog.get_logger()

PATH = "sms"
MAX_SEQ = 2**63 - 1
MAX_MS = 2**62
LATE_MS = 24 * 3600 * 1000
"""The hub's clock is believed when it is not ahead of ours and no further behind than an SMS may travel."""
AGAIN_MS = 20_000
"""The same stub within so long is answered once: texts cost money, and anybody may play a recorded one again."""
PROBE_AGAIN_MS = 60_000

_KNOWN = Sql("""SELECT asked_ms FROM stub WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq""")
_ASKED = Sql(
    "UPDATE stub SET asked_ms = :now WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq"
    " RETURNING number"
)
_STORE = Sql(
    """INSERT INTO stub (hub, epoch, lane, seq, alarm, number, received_ms, completed_ms, asked_ms)
    VALUES (:hub, :epoch, :lane, :seq, :alarm, :number, :now, :completed_ms, :now)"""
)
_ALARM_OF_EVENT = Sql(
    "SELECT alarm FROM alarm_event WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq"
)
_ANSWER = Sql(
    """INSERT INTO sms_answer (hub, epoch, lane, seq, number, is_asked, created_ms, due_ms)
    VALUES (:hub, :epoch, :lane, :seq, :number, true, :now, :now)"""
)
_HEARD = Sql(
    """INSERT INTO hub_sms (hub, heard_ms) VALUES (:hub, :now)
    ON CONFLICT (hub) DO UPDATE SET heard_ms = excluded.heard_ms
    RETURNING probe_epoch, probe_hub_ms, answered_ms"""
)
_PROBED = Sql(
    """UPDATE hub_sms SET probe_ms = :now, probe_epoch = :epoch, probe_hub_ms = :hub_ms, answered_ms = :now
    WHERE hub = :hub"""
)


class SmsIngest:
    """The way of a text into the database."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        hubs: Hubs,
        metrics: Metrics,
        security: SecurityLog,
        quarantine: Quarantine,
        wakeup: Wakeup,
    ) -> None:
        self._store = store
        self._clock = clock
        self._hubs = hubs
        self._metrics = metrics
        self._security = security
        self._quarantine = quarantine
        self._wakeup = wakeup

    async def receive(self, number: str, text: str) -> str:
        """Everything about one text. Returns a word for what it was. Raises NotStoredError: it is to come again."""
        try:
            blob = wire.from_text("".join(text.split()))
            claimed = wire.hub_of(blob)
        except MalformedError as error:
            self._metrics.count(f"refused.{error.reason}")
            return "no_stub"
        hub = await self._hubs.enrolled(claimed)
        if hub is None or not hub.is_active:
            self._security.note("unknown_hub", hub=claimed.hex(), path=PATH)
            await self._quarantine.unknown_hub(claimed.hex(), lambda: _claimed_lane(blob), PATH, blob)
            return "unknown_hub"
        try:
            stub = wire.open_stub(blob, hub.public_key)
        except ForgedError as error:
            self._security.note(error.reason, hub=claimed.hex(), path=PATH, detail="stub")
            return "forged"
        except MalformedError as error:  # signed by the hub all the same: a version from the future, perhaps
            self._security.note(error.reason, hub=claimed.hex(), path=PATH, detail="stub")
            return "not_understood"
        if stub.event.hub != hub.id or stub.event.seq > MAX_SEQ:
            self._security.note("stub", hub=claimed.hex(), path=PATH)
            return "not_understood"
        if stub.is_probe:
            return await self._probe(hub, stub, number)
        return await self._stub(hub, stub, number)

    async def _probe(self, hub: Enrolled, stub: Stub, number: str) -> str:
        now, epoch, hub_ms = self._clock.now_ms(), stub.event.epoch.hex(), min(stub.wall_ms, MAX_MS)

        async def work(connection: AsyncConnection) -> str:
            before = await _HEARD.one(connection, hub=hub.text, now=now)
            probe_epoch, probe_hub_ms, answered_ms = before or (None, None, None)
            if probe_epoch == epoch and probe_hub_ms is not None and hub_ms <= probe_hub_ms:
                return "replayed"
            if answered_ms is not None and now - answered_ms < PROBE_AGAIN_MS:
                return "too_soon"
            await _PROBED.rows(connection, hub=hub.text, epoch=epoch, hub_ms=hub_ms, now=now)
            await _ANSWER.rows(connection, **_key(stub), number=number, now=now)
            return "probe"

        what = await self._store.transact(Priority.UPKEEP, work)
        if what == "replayed":
            self._security.note("replayed", hub=hub.text, path=PATH, detail="probe")
        self._metrics.count(f"sms.{what}")
        self._wakeup.wake()
        return what

    async def _stub(self, hub: Enrolled, stub: Stub, number: str) -> str:
        now, key = self._clock.now_ms(), _key(stub)
        event = stub.event
        stretch = Stretch(event.hub.hex(), event.epoch.hex(), event.lane)

        async def work(connection: AsyncConnection) -> str:
            await _HEARD.one(connection, hub=hub.text, now=now)
            # The same lock that records of this lane take: record and stub of one event never pass each other.
            marks = await Marks.lock(connection, stretch, now)
            asked = await _KNOWN.one(connection, **key)
            if asked is not None:
                if now - asked[0] < AGAIN_MS:
                    return "again"
                first = await _ASKED.value(connection, **key, now=now)
                await _ANSWER.rows(connection, **key, number=first, now=now)
                return "again"
            is_stored = stub.event.seq in marks.stored
            alarm = None
            kind = stubs.kind_of(stub.alarm_class, stub.event.lane)
            if is_stored:
                alarm = await _ALARM_OF_EVENT.value(connection, **key)
            elif kind is not None:
                device = "".join(sign for sign in stub.device if sign.isprintable())
                happened_ms = stub.wall_ms if now - LATE_MS < stub.wall_ms < now else now
                alarm = await raising.raise_by_stub(connection, key, device, kind, happened_ms, now)
            await _STORE.rows(
                connection, **key, alarm=alarm, number=number, now=now, completed_ms=now if is_stored else None
            )
            await _ANSWER.rows(connection, **key, number=number, now=now)
            return "known" if is_stored else "raised" if alarm is not None else "noted"

        what = await self._store.transact(
            Priority.ALARM if stub.alarm_class <= AlarmClass.SUPERVISION else Priority.UPKEEP, work
        )
        self._metrics.count(f"sms.{what}")
        log.info("stub_received", hub=hub.text, lane=stub.event.lane.word, what=what)
        self._wakeup.wake()
        return what


def _key(stub: Stub) -> dict[str, object]:
    event = stub.event
    return {"hub": event.hub.hex(), "epoch": event.epoch.hex(), "lane": int(event.lane), "seq": event.seq}


def _claimed_lane(blob: bytes) -> int | None:
    """What an unverified stub claims; only to say how urgently somebody should look."""
    try:
        event = wire.peek(blob).event
    except MalformedError:
        return None
    return int(event.lane) if event.seq else int(Lane.TECHNICAL)
