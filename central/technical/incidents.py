"""Area incidents as technicians work with them: one owner, a note, an end with an outcome; its alarms stay visible."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.access import IN_SCOPE, Scope
from central.clock import Clock
from central.errors import Conflict, Holder, IncompleteError, NotFoundError
from central.lifecycle import TECHNICAL_OUTCOMES
from central.people.words import Words, incident_note
from central.sql import Row, Sql
from central.store import Priority, Store
from central.technical.cells import Cell, Dimension
from central.technical.looking import close_many
from central.views import Actor, Legible
from central.wakeup import Wakeup

MAX_NOTE = 4000
CLOSED_SHOWN_MS = 24 * 3_600_000

_COLUMNS = (
    "id", "cell", "kind", "tenant", "unit", "state", "count", "critical", "size", "still_open", "opened_ms", "last_ms",
    "ended_ms", "owner", "owner_name", "claimed_ms", "note", "outcome", "closed_ms", "closed_by", "version",
)  # fmt: skip
# The name of the place comes along: a unit's, a tenant's, or the hub's own.
_SELECT = f"""SELECT {", ".join(f"i.{name}" for name in _COLUMNS)}, coalesce(u.name, t.name, h.label)
    FROM incident i LEFT JOIN unit u ON i.cell LIKE 'unit:%' AND u.id = substr(i.cell, 6)
    LEFT JOIN tenant t ON i.cell LIKE 'tenant:%' AND t.id = substr(i.cell, 8)
    LEFT JOIN hub h ON i.cell LIKE 'hub:%' AND h.id = substr(i.cell, 5)"""  # noqa: S608  # our own names
# By their ids, and not by words put together from every row there is: an incident finds its place in an index.
_ONE = Sql(f"{_SELECT} WHERE i.id = :id")
_OPEN = Sql(
    f"""{_SELECT} WHERE i.state <> 'closed' AND {IN_SCOPE("i")}
    ORDER BY CASE WHEN i.critical > 0 THEN 0 ELSE 1 END, i.opened_ms, i.id LIMIT :limit"""
)
_CLOSED = Sql(
    f"""{_SELECT} WHERE i.state = 'closed' AND i.closed_ms > :since AND {IN_SCOPE("i")}
    ORDER BY i.closed_ms DESC, i.id LIMIT :limit"""
)
_CLAIM = Sql(
    """UPDATE incident SET owner = :owner, owner_name = :name, claimed_ms = :now, version = version + 1
    WHERE id = :id AND state <> 'closed' AND owner IS NULL RETURNING id"""
)
_RELEASE = Sql(
    """UPDATE incident SET owner = NULL, owner_name = NULL, claimed_ms = NULL, version = version + 1
    WHERE id = :id AND state <> 'closed' AND owner = :owner RETURNING id"""
)
_NOTE = Sql(
    """UPDATE incident SET note = :note, noted_version = version + 1, version = version + 1
    WHERE id = :id AND :version BETWEEN noted_version AND version AND state <> 'closed' RETURNING id"""
)
_CLOSE = Sql(
    """UPDATE incident SET state = 'closed', closed_ms = :now, closed_by = :name, outcome = :outcome,
       note = coalesce(:note, note), version = version + 1
    WHERE id = :id AND version = :version AND state <> 'closed' AND owner = :owner RETURNING still_open"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One of them. `place` is the unit's, tenant's or hub's name, where the cell is one and has one.

    The note is sealed: lists do not have it, and `words` says what became of it.
    """

    id: str
    cell: Cell
    kind: str
    place: str
    tenant: str | None
    unit: str | None
    state: str
    count: int
    critical: int
    size: int
    still_open: int
    opened_ms: int
    last_ms: int
    ended_ms: int | None
    owner: str | None
    owner_name: str | None
    claimed_ms: int | None
    sealed_note: str | None
    outcome: str | None
    closed_ms: int | None
    closed_by: str | None
    version: int
    note: str | None = None
    words: Legible = Legible.NOTHING

    @property
    def is_open(self) -> bool:
        """Not closed."""
        return self.state != "closed"

    @property
    def rank(self) -> int:
        """That of the worst in it."""
        return 4 if self.critical else 5


class Incidents:
    """The incidents of one central."""

    def __init__(self, store: Store, clock: Clock, wakeup: Wakeup, words: Words) -> None:
        self._words = words
        self._store = store
        self._clock = clock
        self._wakeup = wakeup

    async def open(self, scope: Scope, *, limit: int = 100) -> Sequence[Incident]:
        """Those with critical residents first, then by age."""
        rows = await self._store.fetch(
            lambda connection: _OPEN.rows(connection, limit=limit, **scope.parameters),
        )
        return [_incident(row) for row in rows]

    async def closed(self, scope: Scope, *, limit: int = 5) -> Sequence[Incident]:
        """Those of the last day, newest first."""
        since = self._clock.now_ms() - CLOSED_SHOWN_MS
        rows = await self._store.fetch(
            lambda connection: _CLOSED.rows(connection, since=since, limit=limit, **scope.parameters),
        )
        return [_incident(row) for row in rows]

    async def one(self, incident_id: str, scope: Scope) -> Incident:
        """With its note. Raises NotFoundError."""
        return await self._store.fetch(lambda connection: self._load(connection, incident_id, scope))

    async def _load(self, connection: AsyncConnection, incident_id: str, scope: Scope) -> Incident:
        found = await _load(connection, incident_id, scope)
        (read,) = await self._words.read(connection, [(incident_note(incident_id), found.sealed_note)])
        return replace(found, note=read.text or None, words=read.legible)

    async def _sealed(self, connection: AsyncConnection, incident_id: str, text: str, now: int) -> tuple[str, str]:
        """A note as it is kept, and what stands for it in the log. Nothing of either once its words were erased."""
        text = _checked(text)
        pen = await self._words.incident_pen(connection, incident_id, now) if text else None
        return ("", "") if pen is None else (pen.seal(incident_note(incident_id), text), pen.digest(text))

    async def claim(self, incident_id: str, actor: Actor, scope: Scope) -> Incident:
        """Answer for it. Taking what one has is no error. Raises Conflict with who has it.

        No lease: nobody waits at home for it, and mending a mast takes a night. Anybody may be asked to release it.
        """

        async def work(connection: AsyncConnection, now: int) -> str:
            if await _CLAIM.one(connection, id=incident_id, owner=actor.id, name=actor.name[:128], now=now):
                return "incident_claimed"
            found = await _load(connection, incident_id, scope)
            if found.owner == actor.id and found.is_open:
                return ""
            raise _refusal(found)

        return await self._act(incident_id, actor, scope, work)

    async def release(self, incident_id: str, actor: Actor, scope: Scope) -> Incident:
        """Give it back. Raises Conflict."""

        async def work(connection: AsyncConnection, _: int) -> str:
            if not await _RELEASE.one(connection, id=incident_id, owner=actor.id):
                raise _refusal(await _load(connection, incident_id, scope))
            return "incident_released"

        return await self._act(incident_id, actor, scope, work)

    async def note(self, incident_id: str, actor: Actor, scope: Scope, text: str, *, version: int) -> Incident:
        """What is known and who was called. Raises Conflict when somebody wrote since `version`.

        Faults that have come since then are no reason to refuse it: in a storm no note could be written at all.
        """

        async def work(connection: AsyncConnection, now: int) -> tuple[str, Mapping[str, Any]]:
            sealed, digest = await self._sealed(connection, incident_id, text, now)
            if not await _NOTE.one(connection, id=incident_id, note=sealed, version=version):
                found = await self._load(connection, incident_id, scope)
                if not found.is_open:
                    raise _refusal(found)
                raise _changed_meanwhile(found, text)
            return "incident_noted", {"note_digest": digest}

        return await self._act(incident_id, actor, scope, work)

    async def close(
        self, incident_id: str, actor: Actor, scope: Scope, outcome: str, note: str = "", *, version: int
    ) -> Incident:
        """It is over: what is still open under it is closed with the same outcome. Needs the claim.

        Nothing is closed that nobody can have read: when somebody wrote since `version`, or more alarms have come, it
        is refused.

        Raises IncompleteError, Conflict.
        """
        if outcome not in TECHNICAL_OUTCOMES:
            raise IncompleteError("outcome_missing", "outcome", TECHNICAL_OUTCOMES)

        async def work(connection: AsyncConnection, now: int) -> tuple[str, Mapping[str, Any]]:
            sealed, digest = await self._sealed(connection, incident_id, note, now)
            row = await _CLOSE.one(
                connection,
                id=incident_id,
                now=now,
                name=actor.name[:128],
                outcome=outcome,
                note=sealed or None,
                owner=actor.id,
                version=version,
            )
            if row is None:
                found = await self._load(connection, incident_id, scope)
                if not found.is_open or found.owner != actor.id:
                    raise _refusal(found)
                raise _changed_meanwhile(found, note)
            content = {"outcome": outcome, "still_open": row[0]}
            return "incident_closed", content | ({"note_digest": digest} if digest else {})

        return await self._act(incident_id, actor, scope, work)

    async def close_together(self, alarms: Sequence[str], actor: Actor, scope: Scope, outcome: str) -> int:
        """Technical alarms that are in no incident, by hand. Returns how many were closed. Raises IncompleteError."""
        return await close_many(self._store, self._clock, self._wakeup, actor, scope, alarms, outcome)

    async def _act(
        self,
        incident_id: str,
        actor: Actor,
        scope: Scope,
        work: Callable[[AsyncConnection, int], Awaitable[str | tuple[str, Mapping[str, Any]]]],
    ) -> Incident:
        async def change(connection: AsyncConnection) -> Incident:
            now = self._clock.now_ms()
            await _load(connection, incident_id, scope)
            done = await work(connection, now)
            what, content = (done, {}) if isinstance(done, str) else done
            if what:
                await event_log.append(connection, now, what, actor, content={"incident": incident_id, **content})
            found = await self._load(connection, incident_id, scope)
            if what:
                await feed.publish(connection, now, "incident", incident_id, what.removeprefix("incident_"))
            return found

        found = await self._store.transact(Priority.PEOPLE, change)
        self._wakeup.wake()
        return found


async def _load(connection: AsyncConnection, incident_id: str, scope: Scope) -> Incident:
    row = await _ONE.one(connection, id=incident_id)
    if row is None:
        raise NotFoundError("incident", incident_id[:32])
    found = _incident(row)
    scope.check(found.tenant, found.unit, "incident", incident_id[:32])
    return found


def _incident(row: Row) -> Incident:
    values = dict(zip(_COLUMNS, row, strict=False))
    cell, note = Cell.parse(values.pop("cell")), values.pop("note")
    name = row[-1] or (cell.ref[:8] if cell.dimension is Dimension.HUB else cell.ref)
    words = Legible.SEALED if note else Legible.NOTHING
    return Incident(cell=cell, place=name, sealed_note=note, words=words, **values)


def _checked(text: str) -> str:
    text = text.replace("\x00", "").strip()
    if len(text) > MAX_NOTE:
        raise IncompleteError("note_too_long", "note")
    return text


def _changed_meanwhile(found: Incident, text: str) -> Conflict:
    current = {"version": found.version, "note": found.note or "", "still_open": found.still_open}
    return Conflict("written_meanwhile", state=found.state, current=current, yours={"note": text})


def _refusal(found: Incident) -> Conflict:
    holder = None
    if found.owner is not None and found.owner_name is not None:
        holder = Holder(found.owner, found.owner_name, found.claimed_ms or 0)
    if not found.is_open:
        return Conflict("closed", holder=holder, state=found.state)
    return Conflict("taken" if holder else "not_claimed", holder=holder, state=found.state)
