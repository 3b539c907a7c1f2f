"""What people do with alarms. Every function is one transaction, returns the new state, and leaves a log entry.

Whoever comes second gets a `Conflict` that names who has it; nothing is overwritten in silence. Each change is one
statement whose WHERE clause says what it rests on, so that any number of consoles may try at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.clock import Clock
from central.errors import ActionError, Conflict, Holder, IncompleteError, NotFoundError
from central.lifecycle import (
    CLAIMED,
    LEASE_MS,
    ON_THE_WAY,
    UNDO_MS,
    VISIT_MS,
    WAITING,
    Action,
    Queue,
    Stage,
    after,
    dispositions,
    lifted_rank,
    outcomes,
)
from central.raising import tell_home
from central.sql import Row, Sql
from central.store import Priority, Store
from central.views import SYSTEM, Actor, AlarmDetail, AlarmView, Journey, alarm_view
from central.wakeup import Wakeup

log = structlog.get_logger()

MAX_NOTE = 4000
MAX_CONSOLE = 64
_SWEEP_BATCH = 20

_NAMES = (
    "id", "queue", "kind", "rank", "first_rank", "lifted", "hub", "device", "resident", "condition", "handling",
    "dispatch", "version", "happened_ms", "raised_ms", "last_event_ms", "repeats", "returned", "sound_no", "owner",
    "owner_name", "claimed_ms", "first_claimed_ms", "lease_until_ms", "closed_ms", "closed_by", "disposition",
    "outcome", "note", "before_alarm", "undo_until_ms", "undo_by", "undo_to", "shown_ms", "lamp_state", "lamp_version",
    "lamp_ms", "value", "details", "is_complete",
)  # fmt: skip
_SELECT = (
    f"SELECT {', '.join(f'a.{name}' for name in _NAMES)}, h.label, r.label"  # noqa: S608  # our own names
    " FROM alarm a LEFT JOIN hub h ON h.id = a.hub LEFT JOIN resident r ON r.pseudonym = a.resident"
)
_ONE = Sql(f"{_SELECT} WHERE a.id = :id")
_QUEUE = Sql(
    f"{_SELECT} WHERE a.queue = :queue AND a.closed_ms IS NULL ORDER BY a.rank, a.lifted DESC, a.raised_ms, a.id"
    " LIMIT :limit"
)
_RECENT = Sql(f"{_SELECT} WHERE a.closed_ms IS NOT NULL ORDER BY a.closed_ms DESC, a.id LIMIT :limit")
_OF_HUB = Sql(f"{_SELECT} WHERE a.hub = :hub ORDER BY a.raised_ms DESC, a.id LIMIT :limit")
_DIGEST = Sql("SELECT id, version FROM alarm WHERE queue = 'personal' AND closed_ms IS NULL ORDER BY id")

_TAKE = """owner = :owner, owner_name = :owner_name, claim_no = claim_no + 1, handling = 'claimed', dispatch = 'none',
    claimed_ms = :now, first_claimed_ms = coalesce(first_claimed_ms, :now), lease_until_ms = :until,
    version = version + 1, undo_until_ms = :undo, undo_by = :owner, undo_to = 'waiting'"""
_CLAIM = Sql(
    f"""UPDATE alarm SET {_TAKE}
    WHERE id = :id AND closed_ms IS NULL AND (owner IS NULL OR lease_until_ms < :now) RETURNING hub"""  # noqa: S608
)
_NEXT = Sql(
    """SELECT id FROM alarm WHERE queue = :queue AND closed_ms IS NULL AND (owner IS NULL OR lease_until_ms < :now)
    ORDER BY rank, lifted DESC, raised_ms, id LIMIT 1"""
)
_RENEW = Sql(
    """UPDATE alarm SET lease_until_ms = CASE dispatch WHEN 'on_the_way' THEN lease_until_ms ELSE :until END
    WHERE id = :id AND owner = :owner AND handling = 'claimed' RETURNING hub"""
)
_RETURN = """owner = NULL, owner_name = NULL, claimed_ms = NULL, lease_until_ms = NULL, handling = 'waiting',
    dispatch = 'none', version = version + 1, undo_until_ms = NULL, undo_by = NULL, undo_to = NULL"""
_RELEASE = Sql(
    f"UPDATE alarm SET {_RETURN} WHERE id = :id AND owner = :owner AND handling = 'claimed' RETURNING hub"  # noqa: S608
)
_EXPIRED = Sql("SELECT id FROM alarm WHERE closed_ms IS NULL AND lease_until_ms < :now ORDER BY id LIMIT :limit")
_LIFT = " ".join(f"WHEN {rank} THEN {lifted_rank(rank)}" for rank in range(7))
_EXPIRE = Sql(
    f"""UPDATE alarm SET {_RETURN}, returned = returned + 1, sound_no = sound_no + 1, lifted = lifted + 1,
       rank = CASE rank {_LIFT} ELSE rank END
    WHERE id = :id AND closed_ms IS NULL AND lease_until_ms < :now RETURNING hub"""  # noqa: S608
)
_GO = Sql(
    """UPDATE alarm SET dispatch = 'on_the_way', lease_until_ms = :until, version = version + 1,
       undo_until_ms = NULL, undo_by = NULL, undo_to = NULL
    WHERE id = :id AND owner = :owner AND handling = 'claimed' AND dispatch = 'none' RETURNING hub"""
)
_CLOSE = Sql(
    """UPDATE alarm SET handling = 'closed', closed_ms = :now, closed_by = :owner_name, disposition = :disposition,
       outcome = :outcome, note = :note, version = version + 1, lease_until_ms = NULL,
       undo_until_ms = :undo, undo_by = :owner, undo_to = CASE dispatch WHEN 'none' THEN 'claimed' ELSE dispatch END
    WHERE id = :id AND closed_ms IS NULL AND (owner = :owner OR :is_override = 1) RETURNING hub"""
)
_UNDO_CLAIM = Sql(
    f"""UPDATE alarm SET {_RETURN}
    WHERE id = :id AND undo_by = :owner AND undo_until_ms >= :now AND undo_to = 'waiting' AND owner = :owner
       AND handling = 'claimed' RETURNING hub"""  # noqa: S608
)
_UNDO_CLOSE = Sql(
    """UPDATE alarm SET handling = 'claimed', closed_ms = NULL, closed_by = NULL, disposition = NULL, outcome = NULL,
       note = NULL, owner = :owner, owner_name = :owner_name, lease_until_ms = :until, version = version + 1,
       undo_until_ms = NULL, undo_by = NULL, undo_to = NULL
    WHERE id = :id AND undo_by = :owner AND undo_until_ms >= :now AND undo_to <> 'waiting' AND handling = 'closed'
    RETURNING hub"""
)
_SHOWN = Sql("UPDATE alarm SET shown_ms = :now WHERE id = :id AND shown_ms IS NULL RETURNING hub")
_JOURNEY = Sql(
    """SELECT a.happened_ms, a.committed_ms, a.shown_ms, a.first_claimed_ms, a.reassured_ms,
       t.judged_ms, t.durable_ms, t.sent_ms, t.receipt_ms
    FROM alarm a LEFT JOIN alarm_event e ON e.alarm = a.id AND e.role = 'raised'
    LEFT JOIN trace t ON t.hub = e.hub AND t.epoch = e.epoch AND t.lane = e.lane AND t.seq = e.seq
    WHERE a.id = :id ORDER BY e.happened_ms LIMIT 1"""
)


class Alarms:
    """The alarms of one central."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup) -> None:
        self._store = store
        self._clock = clock
        self._wakeup = wakeup

    # ------------------------------------------------------------------------------------------------ looking

    async def queue(self, queue: Queue = Queue.PERSONAL, *, limit: int = 500) -> Sequence[AlarmView]:
        """Open alarms, most urgent first: by rank, then lifted, then age. Taken ones are among them."""
        rows = await self._store.fetch(lambda connection: _QUEUE.rows(connection, queue=queue.value, limit=limit))
        return [_view(row) for row in rows]

    async def recent(self, *, limit: int = 50) -> Sequence[AlarmView]:
        """Closed alarms of all queues, newest first."""
        async with self._store.read() as connection:
            return [_view(row) for row in await _RECENT.rows(connection, limit=limit)]

    async def of_hub(self, hub: str, *, limit: int = 50) -> Sequence[AlarmView]:
        """Alarms of one hub, open or closed, newest first."""
        async with self._store.read() as connection:
            return [_view(row) for row in await _OF_HUB.rows(connection, hub=hub, limit=limit)]

    async def alarm(self, alarm_id: str) -> AlarmDetail:
        """One alarm with its history. Raises NotFoundError."""

        async def look(connection: AsyncConnection) -> AlarmDetail:
            view = await _load(connection, alarm_id)
            return AlarmDetail(alarm=view, timeline=await event_log.timeline(connection, alarm_id))

        return await self._store.fetch(look)

    async def journey(self, alarm_id: str) -> Journey:
        """How long each step took. Raises NotFoundError.

        `judged` to `receipt` are the hub's own measurements from the moment it heard the device; `committed` and on
        are central's clock against the time of the press as corrected to it, so a network's delay is in them.
        """
        row = await self._store.fetch(lambda connection: _JOURNEY.one(connection, id=alarm_id))
        if row is None:
            raise NotFoundError("alarm", alarm_id)
        pressed, committed, shown, taken, reassured, *hub_steps = row
        steps: dict[str, float | None] = {"pressed": 0.0}
        steps |= dict(zip(("judged", "durable", "sent", "receipt"), hub_steps, strict=True))
        for name, at_ms in (("committed", committed), ("shown", shown), ("taken", taken), ("reassured", reassured)):
            steps[name] = None if at_ms is None else float(at_ms - pressed)
        return Journey(alarm=alarm_id, pressed_ms=pressed, steps=steps)

    async def open_digest(self) -> tuple[int, str]:
        """Count and hash of the open personal alarms, as beats carry them."""
        rows = await self._store.fetch(_DIGEST.rows)
        return len(rows), digest_of((row[0], row[1]) for row in rows)

    # ------------------------------------------------------------------------------------------------ handling

    async def claim(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Take it. Taking what one has already is no error. Raises Conflict with who has it."""

        async def work(connection: AsyncConnection, now: int) -> str:
            if await self._take(connection, alarm_id, actor, now):
                return "claimed"
            alarm = await _load(connection, alarm_id)
            if alarm.owner == actor.id and alarm.is_open:
                return ""
            raise _refusal(alarm)

        return await self._act(alarm_id, actor, work)

    async def take_next(self, actor: Actor, queue: Queue = Queue.PERSONAL) -> AlarmView | None:
        """Take the most urgent waiting alarm: the server picks, nobody races for a row. None: nothing waits."""
        found: list[str] = []

        async def work(connection: AsyncConnection) -> None:
            found.clear()
            now = self._clock.now_ms()
            while alarm_id := await _NEXT.value(connection, queue=queue.value, now=now):
                if await self._take(connection, alarm_id, actor, now):
                    await self._record(connection, alarm_id, actor, "claimed", {"by": "take_next"}, now)
                    found.append(alarm_id)
                    return

        await self._store.transact(Priority.PEOPLE, work)
        if not found:
            return None
        self._wakeup.wake()
        return (await self.alarm(found[0])).alarm

    async def _take(self, connection: AsyncConnection, alarm_id: str, actor: Actor, now: int) -> bool:
        row = await _CLAIM.one(
            connection,
            id=alarm_id,
            owner=actor.id,
            owner_name=actor.name,
            now=now,
            until=now + LEASE_MS,
            undo=now + UNDO_MS,
        )
        return row is not None

    async def renew(self, alarm_id: str, actor: Actor) -> AlarmView:
        """The owner's page is still there: the lease starts again. Raises Conflict when it is theirs no longer.

        On the way, the deadline for being on site stands: presence does not move it.
        """
        until = self._clock.now_ms() + LEASE_MS

        async def work(connection: AsyncConnection) -> tuple[Row | None, AlarmView]:
            renewed = await _RENEW.one(connection, id=alarm_id, owner=actor.id, until=until)
            return renewed, await _load(connection, alarm_id)

        renewed, alarm = await self._store.transact(Priority.PEOPLE, work)
        if renewed is None:
            raise _refusal(alarm)
        return alarm

    async def release(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Give it back to the queue."""

        async def work(connection: AsyncConnection, _: int) -> str:
            if not await _RELEASE.one(connection, id=alarm_id, owner=actor.id):
                raise _refusal(await _load(connection, alarm_id))
            return "released"

        return await self._act(alarm_id, actor, work)

    async def on_the_way(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Help is coming; needs the claim. Saying it twice is no error."""

        async def work(connection: AsyncConnection, now: int) -> str:
            if await _GO.one(connection, id=alarm_id, owner=actor.id, until=now + VISIT_MS):
                return "on_the_way"
            alarm = await _load(connection, alarm_id)
            if alarm.owner == actor.id and alarm.stage == ON_THE_WAY:
                return ""
            raise _refusal(alarm)

        return await self._act(alarm_id, actor, work)

    async def close(
        self, alarm_id: str, actor: Actor, disposition: str, outcome: str, note: str = "", *, override: str = ""
    ) -> AlarmView:
        """Record what was done. Needs the claim, or `override`: a lead's reason. Raises IncompleteError, Conflict."""

        async def work(connection: AsyncConnection, now: int) -> tuple[str, Mapping[str, Any]]:
            alarm = await _load(connection, alarm_id)
            _check_closing(alarm.queue, disposition, outcome, note)
            if not await _CLOSE.one(
                connection,
                id=alarm_id,
                now=now,
                owner=actor.id,
                owner_name=actor.name,
                disposition=disposition,
                outcome=outcome,
                note=note or None,
                undo=now + UNDO_MS,
                is_override=1 if override.strip() else 0,
            ):
                raise _refusal(alarm)
            content = {"disposition": disposition, "outcome": outcome}
            if note:
                content["note_digest"] = event_log.digest_of(note)
            if override.strip() and alarm.owner != actor.id:
                content["override"] = override.strip()[:200]
            return "closed", content

        return await self._act(alarm_id, actor, work)

    async def undo(self, alarm_id: str, actor: Actor) -> AlarmView:
        """Take back the actor's own claim or close of the last ten seconds."""

        async def work(connection: AsyncConnection, now: int) -> str:
            alarm = await _load(connection, alarm_id)
            is_close = alarm.undo_to not in {None, WAITING.word}
            if after(alarm.stage, Action.UNDO_CLOSE if is_close else Action.UNDO_CLAIM) is None:
                raise Conflict("too_late_to_undo", state=alarm.stage.word)
            if is_close:
                until = now + (VISIT_MS if alarm.undo_to == ON_THE_WAY.word else LEASE_MS)
                row = await _UNDO_CLOSE.one(
                    connection, id=alarm_id, owner=actor.id, owner_name=actor.name, now=now, until=until
                )
            else:
                row = await _UNDO_CLAIM.one(connection, id=alarm_id, owner=actor.id, now=now)
            if row is None:
                raise Conflict("too_late_to_undo", holder=_holder(alarm), state=alarm.stage.word)
            return "undone"

        try:
            return await self._act(alarm_id, actor, work)
        except Exception as error:
            if isinstance(error, ActionError) or self._store.dialect.fault_of(error) is None:
                raise
            raise Conflict("raised_again", state="closed") from error  # a new alarm of the same kind is open

    async def note(self, alarm_id: str, actor: Actor, what: str, content: Mapping[str, str]) -> AlarmView:
        """Something worth a line in the history: a call attempt and its result, a secret that was looked at."""

        async def work(connection: AsyncConnection, _: int) -> tuple[str, Mapping[str, Any]]:
            await _load(connection, alarm_id)
            return what[:48], {str(key)[:32]: str(value)[:200] for key, value in list(content.items())[:8]}

        return await self._act(alarm_id, actor, work, tell=False)

    async def mark_shown(self, alarm_id: str, console_id: str) -> None:
        """A console with a person before it has this alarm on screen. The first one counts."""

        async def work(connection: AsyncConnection) -> None:
            now = self._clock.now_ms()
            row = await _SHOWN.one(connection, id=alarm_id, now=now)
            if row is not None:
                content = {"console": console_id[:MAX_CONSOLE]}
                await event_log.append(connection, now, "shown", SYSTEM, alarm=alarm_id, hub=row[0], content=content)

        await self._store.transact(Priority.PEOPLE, work)

    async def sweep(self) -> int:
        """Give expired claims back to the queue, ranked up. Returns how many. Raises NotStoredError."""
        count = 0
        while True:
            now = self._clock.now_ms()
            due = await self._store.fetch(partial(_expired, now=now))
            if not due:
                return count

            async def work(connection: AsyncConnection, due: Sequence[str] = due, now: int = now) -> None:
                for alarm_id in due:
                    if await _EXPIRE.one(connection, id=alarm_id, now=now):
                        await self._record(connection, alarm_id, SYSTEM, "returned", {"why": "no_presence"}, now)

            await self._store.transact(Priority.PEOPLE, work)
            self._wakeup.wake()
            count += len(due)
            log.info("claims_expired", count=len(due))

    # ------------------------------------------------------------------------------------------------ inside

    async def _act(
        self,
        alarm_id: str,
        actor: Actor,
        work: Callable[[AsyncConnection, int], Awaitable[str | tuple[str, Mapping[str, Any]]]],
        *,
        tell: bool = True,
    ) -> AlarmView:
        """One change with its log entry, reply and feed number. `work` returns the log's word; empty: no change."""

        async def change(connection: AsyncConnection) -> AlarmView:
            now = self._clock.now_ms()
            done = await work(connection, now)
            what, content = (done, {}) if isinstance(done, str) else done
            if what:
                await self._record(connection, alarm_id, actor, what, content, now, tell=tell)
            return await _load(connection, alarm_id)

        alarm = await self._store.transact(Priority.PEOPLE, change)
        self._wakeup.wake()
        return alarm

    @staticmethod
    async def _record(
        connection: AsyncConnection,
        alarm_id: str,
        actor: Actor,
        what: str,
        content: Mapping[str, Any],
        now: int,
        *,
        tell: bool = True,
    ) -> None:
        alarm = await _load(connection, alarm_id)
        await event_log.append(connection, now, what, actor, alarm=alarm_id, hub=alarm.hub, content=content)
        if tell and alarm.queue is Queue.PERSONAL:
            await tell_home(connection, alarm_id, alarm.hub, now)
        await feed.publish(connection, now, "alarm", alarm_id, what)


async def _expired(connection: AsyncConnection, now: int) -> list[str]:
    return [row[0] for row in await _EXPIRED.rows(connection, now=now, limit=_SWEEP_BATCH)]


def digest_of(alarms: Any) -> str:
    """The hash that beats carry: over `id:version` of the open personal alarms, ordered by id."""
    text = ",".join(f"{alarm}:{version}" for alarm, version in sorted(alarms))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def _load(connection: AsyncConnection, alarm_id: str) -> AlarmView:
    row = await _ONE.one(connection, id=alarm_id)
    if row is None:
        raise NotFoundError("alarm", alarm_id[:32])
    return _view(row)


def _view(row: Row) -> AlarmView:
    values = dict(zip((*_NAMES, "hub_label", "resident_label"), row, strict=True))
    return alarm_view(values)


def _holder(alarm: AlarmView) -> Holder | None:
    if alarm.owner is None or alarm.owner_name is None:
        return None
    return Holder(alarm.owner, alarm.owner_name, alarm.claimed_ms or 0)


def _refusal(alarm: AlarmView) -> Conflict:
    stage: Stage = alarm.stage
    if not alarm.is_open:
        return Conflict("closed", holder=_holder(alarm), state=stage.word)
    if stage in {CLAIMED, ON_THE_WAY}:
        return Conflict("taken", holder=_holder(alarm), state=stage.word)
    return Conflict("not_claimed", state=stage.word)


def _check_closing(queue: Queue, disposition: str, outcome: str, note: str) -> None:
    choices = tuple(word.value for word in dispositions(queue))
    if disposition not in choices:
        raise IncompleteError("disposition_missing", "disposition", choices)
    if outcome not in outcomes(queue):
        raise IncompleteError("outcome_missing", "outcome", outcomes(queue))
    if len(note) > MAX_NOTE:
        raise IncompleteError("note_too_long", "note")
