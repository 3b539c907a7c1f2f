"""Which hubs are heard. Signs of life stay in memory; only a change is written: present, late, silent.

Beside that a bit for each five minutes in which there was one: `central.availability`.

Late after 90 s without any authentic message, silent (a technical alarm) after 10 minutes, sooner for a hub with
critical residents. Central does not blame hubs for time in which it did not listen itself. When many are late together
it says so once and suspects itself: only when it goes on hearing others are those that it does not hear named, and when
it hears nobody at all, nobody is called silent. A silent hub at a critical resident is a task for people as well.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.availability import Availability
from central.clock import Clock
from central.errors import NotStoredError
from central.hubs import Heard
from central.lifecycle import CENTRAL_KINDS
from central.links import HubLinks
from central.opening import HUB, Source
from central.raising import end_condition, note_over, raise_care, raise_technical
from central.sql import Sql
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync.hub_messages import Heartbeat

log = structlog.get_logger()

LATE_S = 90.0
SILENT_S = 600.0
SILENT_CRITICAL_S = 180.0
SWEEP_S = 1.0
LOOK_S = 30.0
"""How often it is looked up who is critical: people say so while central runs."""
STALL_S = 5.0
MANY = 0.2
MANY_AT_LEAST = 5
SUSPECT_S = 900.0
SUSPECT_CRITICAL_S = 300.0
"""For so long central takes it for its own fault that many are late, while it still hears some."""
TOLD_MS = 600_000
"""What others heard before that is no news: they have told of it before."""
_BATCH = 20
MAX_PATHS = 16

_LOAD = Sql("SELECT id, presence, presence_ms FROM hub WHERE state = 'active'")
# One task per critical resident; where nobody is named, one for the hub.
_CRITICAL = Sql(
    """SELECT h.is_critical, r.pseudonym FROM hub h LEFT JOIN resident r ON r.hub = h.id AND r.is_critical
       AND r.state = 'active' WHERE h.id = :hub ORDER BY r.pseudonym"""
)
_CRITICAL_HUBS = Sql(
    """SELECT h.id FROM hub h WHERE h.state = 'active' AND (h.is_critical OR EXISTS (
       SELECT 1 FROM resident r WHERE r.hub = h.id AND r.is_critical AND r.state = 'active'))"""
)
_SAVE = Sql(
    "UPDATE hub SET presence = :presence, presence_ms = :now WHERE id = :hub AND presence <> :presence RETURNING id"
)
_TELL = Sql(
    """INSERT INTO hub_heard (hub, heard_ms, epoch, content) VALUES (:hub, :heard, :epoch, :content)
    ON CONFLICT (hub) DO UPDATE SET heard_ms = excluded.heard_ms, epoch = excluded.epoch, content = excluded.content
    WHERE hub_heard.heard_ms < excluded.heard_ms"""
)
_TOLD = Sql("SELECT hub, heard_ms, epoch, content FROM hub_heard WHERE heard_ms > :since")
_REPORTED = Sql(
    "UPDATE hub SET software = :software, config_hash = :config_hash, epoch = :epoch WHERE id = :hub"
    " AND (software <> :software OR config_hash <> :config_hash OR epoch IS NULL OR epoch <> :epoch) RETURNING id"
)


@dataclass(slots=True)
class _Hub:
    presence: str
    presence_ms: int
    heard_s: float | None = None
    heard_ms: int | None = None
    is_critical: bool = False
    is_raised: bool = False
    told_ms: int = 0
    epoch: str = ""
    reported: tuple[str, str] = ("", "")
    paths: dict[str, int] = field(default_factory=dict)
    waiting: Mapping[str, int] = field(default_factory=dict)


class Presence:
    """The signs of life of one process."""

    def __init__(self, store: Store, clock: Clock, links: HubLinks, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._links = links
        self._wakeup = wakeup
        self._hubs: dict[str, _Hub] = {}
        self._listening_s = clock.mono_s()
        self._swept_s = clock.mono_s()
        self._to_report: dict[str, _Hub] = {}
        self._is_many = False
        self._many_s = 0.0
        self._heard_s = clock.mono_s()
        self._is_deaf = False
        self._is_deafness_told = False
        self._critical_s = float("-inf")
        self.availability = Availability(store, clock)

    async def load(self) -> None:
        """What was known when central stopped. The time in between was not listened to and does not count."""
        async with self._store.read() as connection:
            rows = await _LOAD.rows(connection)
        for hub, presence, presence_ms in rows:
            self._hubs[hub] = _Hub(presence, presence_ms, is_raised=presence == "silent")
        self._listening_s = self._swept_s = self._heard_s = self._clock.mono_s()
        await self._look_up_critical()

    async def _look_up_critical(self) -> None:
        self._critical_s = self._clock.mono_s()
        critical = {row[0] for row in await self._store.fetch(_CRITICAL_HUBS.rows)}
        for hub, known in self._hubs.items():
            known.is_critical = hub in critical

    def heard(self, hub: str) -> Heard | None:
        """What is in memory about one hub."""
        known = self._hubs.get(hub)
        if known is None:
            return None
        return Heard(
            presence=known.presence,
            presence_ms=known.presence_ms,
            heard_ms=known.heard_ms,
            paths=dict(known.paths),
            waiting=dict(known.waiting),
            has_link=self._links.has_link(hub),
        )

    def presence(self, hub: str) -> str | None:
        """The word alone."""
        known = self._hubs.get(hub)
        return known.presence if known else None

    def alive(self, since_ms: int) -> set[str]:
        """Those that were heard since then."""
        return {hub for hub, known in self._hubs.items() if known.heard_ms is not None and known.heard_ms >= since_ms}

    def epoch(self, hub: str) -> str:
        """The run of a hub that was heard last, or nothing."""
        known = self._hubs.get(hub)
        return known.epoch if known else ""

    def hear(self, hub: str, epoch: str) -> None:
        """An authentic message of any kind came."""
        known = self._hubs.setdefault(hub, _Hub("new", self._clock.now_ms()))
        known.heard_s = self._heard_s = self._clock.mono_s()
        known.heard_ms = self._clock.now_ms()
        known.epoch = epoch
        self.availability.hear(hub, known.heard_ms)

    def hear_beat(self, beat: Heartbeat) -> None:
        """A sign of life with what the hub says about itself."""
        hub = beat.sender.hub.hex()
        known = self._hubs.setdefault(hub, _Hub("new", self._clock.now_ms()))
        known.waiting = {lane.word: count for lane, count in beat.waiting.items()}
        reported = (beat.software.replace("\x00", ""), beat.config_hash.replace("\x00", ""))
        if (known.reported, known.epoch) != (reported, beat.sender.sender_epoch.hex()):
            known.reported = reported
            self._to_report[hub] = known
        self.hear(hub, beat.sender.sender_epoch.hex())
        if beat.uplink in known.paths or len(known.paths) < MAX_PATHS:
            known.paths[beat.uplink] = self._clock.now_ms()

    def _due(self, known: _Hub, now_s: float) -> str:
        if known.heard_s is None and known.presence == "new":
            return "new"
        quiet_s = now_s - max(known.heard_s or self._listening_s, self._listening_s)
        if known.heard_s is not None and known.heard_s >= self._listening_s and quiet_s < LATE_S:
            return "present"
        if not self._is_deaf and quiet_s >= (SILENT_CRITICAL_S if known.is_critical else SILENT_S):
            return "silent"
        if quiet_s >= LATE_S:
            return "late" if known.presence != "silent" else "silent"
        return known.presence

    async def sweep(self) -> None:
        """Find and write what has changed. Raises NotStoredError; what was not written is found again."""
        now_s = self._clock.mono_s()
        if now_s - self._swept_s > STALL_S:
            self._listening_s = self._heard_s = now_s  # we were asleep ourselves
        self._swept_s = now_s
        if now_s - self._critical_s >= LOOK_S:
            await self._look_up_critical()
        self._judge_own_ears(now_s)
        self.availability.look(is_listening=not self._is_deaf and self._store.takes_alarms)
        changes = [
            (hub, due) for hub, known in self._hubs.items() if (due := self._due(known, now_s)) != known.presence
        ]
        await self._judge_many(changes)
        to_raise = [
            hub
            for hub, known in self._hubs.items()
            if known.presence == "silent" and not known.is_raised and self._may_name(known, now_s)
        ]
        for at in range(0, len(changes), _BATCH):
            await self._write(changes[at : at + _BATCH])
        for at in range(0, len(to_raise), _BATCH):
            await self._raise(to_raise[at : at + _BATCH])
        await self._tell_of_deafness(now_s)
        await self._report()

    def _judge_own_ears(self, now_s: float) -> None:
        """Nobody at all for as long as makes one hub late: it is us. Whoever is heard first ends it, for all."""
        known = sum(1 for hub in self._hubs.values() if hub.presence in {"present", "late"})
        if not self._is_deaf and known >= MANY_AT_LEAST and now_s - self._heard_s > LATE_S:
            self._is_deaf = True
            log.warning("nothing_heard", hubs=known)
        elif self._is_deaf and now_s - self._heard_s <= LATE_S:
            self._is_deaf = self._is_deafness_told = False
            self._listening_s = self._heard_s  # the time before was not listened to, and is held against nobody

    def _may_name(self, known: _Hub, now_s: float) -> bool:
        if not self._is_many:
            return True
        return now_s - self._many_s >= (SUSPECT_CRITICAL_S if known.is_critical else SUSPECT_S)

    async def _tell_of_deafness(self, now_s: float) -> None:
        """People are told once that nobody is heard, when somebody among them is critical."""
        critical = [hub for hub, known in self._hubs.items() if known.is_critical and known.presence == "late"]
        if not self._is_deaf or self._is_deafness_told or not critical:
            return
        if now_s - self._heard_s < SILENT_CRITICAL_S + SUSPECT_CRITICAL_S:
            return
        now = self._clock.now_ms()
        source = Source(hub="", happened_ms=now, details=json.dumps({"critical": len(critical)}))

        async def work(connection: AsyncConnection) -> None:
            await raise_care(connection, CENTRAL_KINDS["critical_unheard"], source, now)

        await self._store.transact(Priority.ALARM, work)
        self._is_deafness_told = True
        self._wakeup.wake()

    async def _judge_many(self, changes: list[tuple[str, str]]) -> None:
        gone = sum(1 for known in self._hubs.values() if known.presence in {"late", "silent"})
        gone += sum(1 for hub, due in changes if due == "late" and self._hubs[hub].presence == "present")
        known = sum(1 for hub in self._hubs.values() if hub.presence != "new")
        is_many = gone >= MANY_AT_LEAST and gone > MANY * known
        if is_many == self._is_many:
            return
        now = self._clock.now_ms()
        async with self._store.write(Priority.UPKEEP) as connection:
            if is_many:
                source = Source(hub="", happened_ms=now, details=json.dumps({"hubs": gone, "of": known}))
                await raise_technical(connection, CENTRAL_KINDS["hubs_silent"], source, now)
            else:
                await end_condition(connection, "", "", "hubs_silent", now)
                await note_over(connection, CENTRAL_KINDS["critical_unheard"], "", now)
        self._is_many, self._many_s = is_many, self._clock.mono_s()
        self._wakeup.wake()

    async def share(self) -> None:
        """Tell other processes of this database whom we heard, and hear from them. Raises NotStoredError.

        Often enough that nobody is late here who is heard there.
        """
        now, now_s = self._clock.now_ms(), self._clock.mono_s()
        news = [
            (hub, known.heard_ms, known.epoch, json.dumps({"paths": known.paths, "waiting": dict(known.waiting)}))
            for hub, known in self._hubs.items()
            if known.heard_ms is not None and known.heard_ms > known.told_ms
        ]

        async def work(connection: AsyncConnection) -> None:
            # In one order, so that two processes that tell of the same hubs never wait for each other in a ring.
            await _TELL.many(connection, sorted(news))

        if news:
            await self._store.transact(Priority.UPKEEP, work)
        for hub, heard_ms, _, _ in news:
            self._hubs[hub].told_ms = heard_ms
        async with self._store.read() as connection:
            heard = await _TOLD.rows(connection, since=now - TOLD_MS)
            states = await _LOAD.rows(connection)
        for hub, heard_ms, epoch, content in heard:
            known = self._hubs.setdefault(hub, _Hub("new", now))
            if heard_ms > (known.heard_ms or 0):
                known.heard_ms = known.told_ms = heard_ms
                self.availability.hear(hub, heard_ms)
                known.heard_s = now_s - max(0, now - heard_ms) / 1000
                self._heard_s = max(self._heard_s, known.heard_s)
                told = json.loads(content)
                known.epoch, known.paths, known.waiting = epoch, told["paths"], told["waiting"]
        for hub, presence, presence_ms in states:
            known = self._hubs.setdefault(hub, _Hub(presence, presence_ms))
            if presence != known.presence and presence_ms > known.presence_ms:
                known.presence, known.presence_ms, known.is_raised = presence, presence_ms, presence == "silent"

    async def _write(self, changes: list[tuple[str, str]]) -> None:
        now = self._clock.now_ms()
        others: set[str] = set()
        """Another process saw it first: the rest is for it to do."""

        async def work(connection: AsyncConnection) -> None:
            others.clear()
            for hub, due in changes:
                known = self._hubs[hub]
                if await _SAVE.one(connection, hub=hub, presence=due, now=now) is None:
                    others.add(hub)
                    continue
                if due == "present" and known.is_raised:
                    await end_condition(connection, hub, "", "hub_silent", now)
                    await note_over(connection, CENTRAL_KINDS["critical_silent"], hub, now)
                if known.presence != "new":
                    content = {"before": known.presence, "since_ms": known.presence_ms}
                    await event_log.append(connection, now, f"hub_{due}", HUB, hub=hub, content=content)
                await feed.publish(connection, now, "hub", hub, due)

        await self._store.transact(Priority.UPKEEP, work)
        for hub, due in changes:
            known = self._hubs[hub]
            known.presence, known.presence_ms = due, now
            if due == "present":
                known.is_raised = False
            elif hub in others:
                known.is_raised = due == "silent"
        self._wakeup.wake()

    async def _raise(self, hubs: list[str]) -> None:
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> None:
            for hub in hubs:
                details = json.dumps({"heard_ms": self._hubs[hub].heard_ms})
                source = Source(hub=hub, happened_ms=now, details=details)
                await raise_technical(connection, CENTRAL_KINDS["hub_silent"], source, now)
                for is_critical, resident in await _CRITICAL.rows(connection, hub=hub):
                    if is_critical or resident:
                        care = replace(source, resident=resident)
                        await raise_care(connection, CENTRAL_KINDS["critical_silent"], care, now)

        has_critical = any(self._hubs[hub].is_critical for hub in hubs)
        await self._store.transact(Priority.ALARM if has_critical else Priority.UPKEEP, work)
        for hub in hubs:
            self._hubs[hub].is_raised = True
        self._wakeup.wake()

    async def _report(self) -> None:
        while self._to_report:
            batch = [(hub, *known.reported, known.epoch) for hub, known in islice(self._to_report.items(), 100)]

            async def work(connection: AsyncConnection, batch: Sequence[tuple[str, str, str, str]] = batch) -> None:
                for hub, software, config_hash, epoch in batch:
                    said = {"software": software, "config_hash": config_hash, "epoch": epoch}
                    if await _REPORTED.one(connection, hub=hub, **said):
                        await feed.publish(connection, self._clock.now_ms(), "hub", hub, "reported")

            await self._store.transact(Priority.UPKEEP, work)  # what is not stored is reported in the next round
            for hub, *said in batch:
                known = self._to_report.get(hub)
                if known is not None and [*known.reported, known.epoch] == said:
                    del self._to_report[hub]
            self._wakeup.wake()

    async def run(self) -> None:
        """Sweeps once a second, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except NotStoredError as error:
                log.warning("presence_not_stored", reason=str(error))
