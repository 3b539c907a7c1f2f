"""Answers by SMS: what hubs that nothing else reaches are told about their alarms, and that their probes arrived.

A change leaves a row in its own transaction. What is said is the state at the moment of sending, so that a late answer
never tells of the past; one that would say what was said already is not sent. Rows are retried until the provider has
them, for as long as it can matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.errors import NotStoredError
from central.keys import CentralKeys
from central.lifecycle import CENTRAL_KINDS, stage_of
from central.metrics import Metrics
from central.opening import Source
from central.raising import end_condition, raise_technical
from central.sms import SmsError, SmsProvider
from central.sql import Row, Sql
from central.store import Priority, Store
from central.wakeup import Wakeup
from cloud_sync.central_messages import ReplyState
from cloud_sync.identity import Lane
from cloud_sync.stub import to_text
from cloud_sync.stub_answer import AnswerState, StubAnswer

log = structlog.get_logger()

AT_ONCE = 8
HELD_MS = 90_000
"""A row that is being sent comes up again after this, should this process die meanwhile."""
BACK_OFF_MS = (2_000, 4_000, 8_000, 15_000, 30_000, 60_000)
GIVE_UP_MS = 6 * 3600 * 1000
TROUBLE_AFTER = 3
REFRESH_MS = 8 * 60_000
REFRESHED_MS = 4 * 3600 * 1000
"""So long after an alarm came by SMS its home is told again and again; then somebody is there."""
LOOK_S = 30.0
KEPT_MS = 7 * 24 * 3600 * 1000
TRIM_S = 3600.0
POLL_S = 1.0
NOTHING_NEW = "nothing_new"

_ANY = Sql("SELECT 1 FROM sms_answer WHERE done_ms IS NULL AND due_ms <= :now LIMIT 1")
_DUE = Sql(
    """UPDATE sms_answer SET due_ms = :held, attempts = attempts + 1
    WHERE id IN (SELECT id FROM sms_answer WHERE done_ms IS NULL AND due_ms <= :now ORDER BY id LIMIT :limit)
    AND done_ms IS NULL AND due_ms <= :now
    RETURNING id, hub, epoch, lane, seq, number, is_asked, created_ms, attempts"""
)
# A newer one that waits is going to say it; one that was sent has said it.
_NEWER = Sql(
    """SELECT 1 FROM sms_answer WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq AND id > :id
    AND number = :number AND (done_ms IS NULL OR state IS NOT NULL) LIMIT 1"""
)
_ASKED = Sql("UPDATE sms_answer SET is_asked = true WHERE id = :id")
_STATE = Sql(
    """SELECT s.told, s.completed_ms, a.version, a.handling, a.dispatch, a.queue
    FROM stub s LEFT JOIN alarm a ON a.id = s.alarm
    WHERE s.hub = :hub AND s.epoch = :epoch AND s.lane = :lane AND s.seq = :seq"""
)
_DONE = Sql(
    "UPDATE sms_answer SET done_ms = :now, state = :state, reference = :reference, error = :error WHERE id = :id"
)
_TOLD = Sql(
    "UPDATE stub SET told = :state, told_ms = :now WHERE hub = :hub AND epoch = :epoch AND lane = :lane AND seq = :seq"
)
# A hub believes that somebody has an alarm for ten minutes: as long as it is true it is told again before.
_REFRESH = Sql(
    f"""INSERT INTO sms_answer (hub, epoch, lane, seq, number, is_asked, created_ms, due_ms)
    SELECT s.hub, s.epoch, s.lane, s.seq, s.number, true, :now, :now FROM stub s JOIN alarm a ON a.id = s.alarm
    WHERE a.closed_ms IS NULL AND s.completed_ms IS NULL AND s.told_ms < :before AND s.received_ms > :since
    AND s.told IN ({int(AnswerState.TAKEN)}, {int(AnswerState.ON_THE_WAY)})
    AND NOT EXISTS (SELECT 1 FROM sms_answer w WHERE w.hub = s.hub AND w.epoch = s.epoch AND w.lane = s.lane
      AND w.seq = s.seq AND w.done_ms IS NULL)
    ORDER BY s.received_ms LIMIT 100"""  # noqa: S608  # our own numbers
)
_LATER = Sql("UPDATE sms_answer SET due_ms = :due, error = :error WHERE id = :id")
_DELIVERED = Sql(
    "UPDATE sms_answer SET delivered_ms = :delivered_ms, error = :error WHERE reference = :reference RETURNING hub"
)
_TRIM = Sql("DELETE FROM sms_answer WHERE done_ms < :before")

_ANSWERS = {
    ReplyState.WAITING: AnswerState.WAITING,
    ReplyState.TAKEN: AnswerState.TAKEN,
    ReplyState.ON_THE_WAY: AnswerState.ON_THE_WAY,
    ReplyState.CLOSED: AnswerState.CLOSED,
}


class _Due(NamedTuple):
    """An answer that is to be sent now, in the order of the columns of `_DUE`."""

    id: int
    hub: str
    epoch: str
    lane: int
    seq: int
    number: str
    is_asked: bool
    created_ms: int
    attempts: int

    def event(self) -> dict[str, object]:
        """What it answers."""
        return {"hub": self.hub, "epoch": self.epoch, "lane": self.lane, "seq": self.seq}


class SmsAnswers:
    """What goes out."""

    def __init__(
        self,
        *,
        store: Store,
        keys: CentralKeys,
        clock: Clock,
        metrics: Metrics,
        wakeup: Wakeup,
        provider: SmsProvider,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._metrics = metrics
        self._wakeup = wakeup
        self._provider = provider
        self._failures = 0
        self._is_troubled = True  # perhaps since before a restart: the first success ends it

    async def run(self) -> None:
        """Sends what is due, until cancelled."""
        trim_at_s = look_at_s = self._clock.mono_s()
        while True:
            seen = self._wakeup.count
            try:
                if self._clock.mono_s() >= look_at_s:
                    look_at_s = self._clock.mono_s() + LOOK_S
                    await self.refresh()
                sent = await self.send_due()
                if self._clock.mono_s() >= trim_at_s:
                    trim_at_s = self._clock.mono_s() + TRIM_S
                    await self._trim()
            except NotStoredError as error:
                log.warning("sms_answers_not_sent", reason=str(error))
                await asyncio.sleep(POLL_S)
                continue
            if not sent:
                await self._wakeup.wait(seen, POLL_S)

    async def send_due(self) -> int:
        """Hand over what is due now. Returns how many rows there were."""

        async def work(connection: AsyncConnection) -> tuple[int, list[_Due]]:
            now = self._clock.now_ms()
            due = await _DUE.rows(connection, now=now, held=now + HELD_MS, limit=AT_ONCE)
            return len(due), await _one_of_each(connection, due, now)

        if not await self._is_any_due():
            return 0
        taken, rows = await self._store.transact(Priority.UPKEEP, work)
        await asyncio.gather(*(self._send(row) for row in rows))
        return taken

    async def refresh(self) -> None:
        """Say again what is still true, before homes stop to believe it."""

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            await _REFRESH.rows(connection, now=now, before=now - REFRESH_MS, since=now - REFRESHED_MS)

        await self._store.transact(Priority.UPKEEP, work)

    async def _is_any_due(self) -> bool:
        now = self._clock.now_ms()
        return bool(await self._store.ask(_ANY, now=now))

    async def _send(self, row: _Due) -> None:
        key = row.event()

        async def look(connection: AsyncConnection) -> tuple[bool, Row | None]:
            newer = await _NEWER.one(connection, **key, id=row.id, number=row.number)
            return newer is not None, await _STATE.one(connection, **key)

        has_newer, known = await self._store.fetch(look)
        state, version = _state_of(row.seq, known)
        if has_newer or (not row.is_asked and known is not None and known[0] == int(state)):
            await self._done(row.id, key, None, "", NOTHING_NEW)
            return
        answer = StubAnswer(
            hub=bytes.fromhex(row.hub),
            epoch=bytes.fromhex(row.epoch),
            lane=Lane(row.lane),
            seq=row.seq,
            central_ms=self._clock.now_ms(),
            version=version,
            state=state,
        )
        text = to_text(answer.signed(self._keys.sign_id, self._keys.sign))
        try:
            reference = await self._provider.send(row.number, text, reference=f"answer-{row.id}")
        except SmsError as error:
            await self._failed(row, error)
            return
        await self._done(row.id, key, state, reference, None)
        self._metrics.count("sms.answered")
        self._failures = 0
        if self._is_troubled:
            await self._trouble(is_over=True)

    async def _done(
        self, number: int, key: dict[str, object], state: AnswerState | None, reference: str, error: str | None
    ) -> None:
        async def work(connection: AsyncConnection) -> None:
            said = None if state is None else int(state)
            await _DONE.rows(
                connection,
                id=number,
                now=self._clock.now_ms(),
                state=said,
                reference=reference or None,
                error=error,
            )
            if said is not None:
                await _TOLD.rows(connection, **key, state=said, now=self._clock.now_ms())

        await self._store.transact(Priority.UPKEEP, work)

    async def _failed(self, row: _Due, error: SmsError) -> None:
        now = self._clock.now_ms()
        self._metrics.count("sms.failed")
        log.warning("sms_answer_not_sent", reason=str(error), attempts=row.attempts)
        if error.is_final or now - row.created_ms > GIVE_UP_MS:
            await self._done(row.id, row.event(), None, "", str(error)[:96])
        else:
            due = now + BACK_OFF_MS[min(row.attempts, len(BACK_OFF_MS)) - 1]

            async def work(connection: AsyncConnection) -> None:
                await _LATER.rows(connection, id=row.id, due=due, error=str(error)[:96])

            await self._store.transact(Priority.UPKEEP, work)
        self._failures += 1
        if self._failures == TROUBLE_AFTER or error.is_final:
            await self._trouble(is_over=False)

    async def _trouble(self, *, is_over: bool) -> None:
        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            if is_over:
                await end_condition(connection, "", "", "sms_trouble", now)
            else:
                await raise_technical(connection, CENTRAL_KINDS["sms_trouble"], Source(hub="", happened_ms=now), now)

        await self._store.transact(Priority.UPKEEP, work)
        self._is_troubled = not is_over
        self._wakeup.wake()

    async def delivered(self, reference: str, error: str = "") -> bool:
        """The provider says what became of a text. False: it is none of ours."""
        at = None if error else self._clock.now_ms()

        async def work(connection: AsyncConnection) -> Sequence[Row]:
            return await _DELIVERED.rows(connection, reference=reference, delivered_ms=at, error=error[:96] or None)

        is_ours = bool(await self._store.transact(Priority.UPKEEP, work))
        self._metrics.count("sms.undelivered" if error else "sms.delivered")
        return is_ours

    async def _trim(self) -> None:
        async def work(connection: AsyncConnection) -> None:
            await _TRIM.rows(connection, before=self._clock.now_ms() - KEPT_MS)

        await self._store.transact(Priority.UPKEEP, work)


async def _one_of_each(connection: AsyncConnection, due: list[Row], now: int) -> list[_Due]:
    """The newest for each event and number. It speaks for the others, whose question it takes over."""
    newest: dict[tuple[object, ...], _Due] = {}
    for row in sorted((_Due(*columns) for columns in due), key=lambda row: row.id):
        one = (row.number, *row.event().values())
        older = newest.get(one)
        if older is not None:
            await _DONE.rows(connection, id=older.id, now=now, state=None, reference=None, error=NOTHING_NEW)
        if older is not None and older.is_asked and not row.is_asked:
            await _ASKED.rows(connection, id=row.id)
        newest[one] = row._replace(is_asked=row.is_asked or (older is not None and older.is_asked))
    return list(newest.values())


def _state_of(seq: int, known: Row | None) -> tuple[AnswerState, int]:
    """What is to be said of an event, and the version of its alarm."""
    if seq == 0:
        return AnswerState.MACHINE, 0
    if known is None:
        return AnswerState.KNOWN, 0
    _, completed_ms, version, handling, dispatch, queue = known
    if queue == "test" or (version is None and completed_ms is None):
        return AnswerState.MACHINE, 0
    if version is None:
        return AnswerState.KNOWN, 0
    stage = stage_of(handling, dispatch)
    return _ANSWERS[stage.reply], version
