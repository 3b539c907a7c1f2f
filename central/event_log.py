"""The event log: everything that happened to an alarm or by a person, chained so that no edit goes unnoticed.

Each entry's hash is SHA-256 over the hash before it, a line feed, and the entry's canonical JSON
`[no, at_ms, what, alarm, hub, actor, actor_name, content]`. The chain's end lies in `counter`, so that cutting the
log off at the end is seen as well. Free text about a resident is not in the log: a digest of it is, which nobody can
try without the resident's key, or the sealed text itself. So the chain is whole when the key is gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from central.sql import Row, Sql
from central.store import Store
from central.views import Actor, TimelineEntry

_PAGE = 2000
_NEXT = Sql("UPDATE counter SET value = value + :count WHERE name = 'log' RETURNING value, hash")
_INSERT = Sql(
    "INSERT INTO log_entry (no, at_ms, what, alarm, hub, actor, actor_name, content, hash)"
    " VALUES (:no, :at_ms, :what, :alarm, :hub, :actor, :actor_name, :content, :hash)"
)
_END = Sql("UPDATE counter SET hash = :hash WHERE name = 'log'")
_HEAD = Sql("SELECT value, hash FROM counter WHERE name = 'log'")
_FROM = Sql(
    "SELECT no, at_ms, what, alarm, hub, actor, actor_name, content, hash FROM log_entry"
    " WHERE no > :after ORDER BY no LIMIT :limit"
)
_OF_ALARM = Sql(
    "SELECT no, at_ms, what, actor, actor_name, content FROM log_entry WHERE alarm = :alarm ORDER BY no LIMIT 1000"
)


def canonical_json(content: object) -> str:
    """The one way an entry is written: sorted keys, no spaces, ASCII only."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _chained(before: str, fields: tuple[Any, ...]) -> str:
    return hashlib.sha256(f"{before}\n{canonical_json(list(fields))}".encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be written into the log. `content`: canonical JSON."""

    what: str
    actor: Actor
    alarm: str | None = None
    hub: str | None = None
    content: str = "{}"


async def append(
    connection: AsyncConnection,
    at_ms: int,
    what: str,
    actor: Actor,
    *,
    alarm: str | None = None,
    hub: str | None = None,
    content: Mapping[str, Any] | None = None,
) -> int:
    """One more entry, in the caller's transaction. Returns its number."""
    entry = Entry(what=what, actor=actor, alarm=alarm, hub=hub, content=canonical_json(content or {}))
    return await append_all(connection, at_ms, [entry])


async def append_all(connection: AsyncConnection, at_ms: int, entries: Sequence[Entry]) -> int:
    """More entries in this order, chained as if each came by itself. Returns the number of the last.

    The log is locked from here until commit. So what a transaction has to tell comes at its end.
    """
    last, digest = await _NEXT.one(connection, count=len(entries)) or (0, "")
    rows = []
    for number, entry in enumerate(entries, last - len(entries) + 1):
        name = entry.actor.name[:128]
        fields = (number, at_ms, entry.what, entry.alarm, entry.hub, entry.actor.id, name, entry.content)
        digest = _chained(digest, fields)
        rows.append((*fields, digest))
    await _INSERT.many(connection, rows)
    await _END.rows(connection, hash=digest)
    return int(last)


def digest_of(text: str) -> str:
    """What stands in the log for a free text that is about nobody."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether the log is whole. `broken_at` is the first entry that does not fit, `problem` what is wrong there."""

    entries: int
    broken_at: int | None = None
    problem: str = ""

    @property
    def is_whole(self) -> bool:
        """No entry was changed, removed or put in."""
        return self.broken_at is None


async def verify(store: Store) -> Verdict:
    """Walk the chain from the first entry to the last."""
    before, number = "", 0
    async with store.read() as connection:
        head = await _HEAD.one(connection) or (0, "")
        while page := await _FROM.rows(connection, after=number, limit=_PAGE):
            for row in page:
                if row[0] != number + 1:
                    return Verdict(entries=number, broken_at=number + 1, problem="missing")
                digest = _chained(before, tuple(row[:8]))
                if digest != row[8]:
                    return Verdict(entries=number, broken_at=row[0], problem="changed")
                before, number = digest, row[0]
    if number < head[0]:
        return Verdict(entries=number, broken_at=number + 1, problem="cut_off")
    if (number, before) != tuple(head):
        return Verdict(entries=number, broken_at=number, problem="end_changed")
    return Verdict(entries=number)


async def timeline(connection: AsyncConnection, alarm: str) -> tuple[TimelineEntry, ...]:
    """The entries of one alarm, oldest first."""
    return tuple(_entry(row) for row in await _OF_ALARM.rows(connection, alarm=alarm))


def _entry(row: Row) -> TimelineEntry:
    number, at_ms, what, actor, actor_name, content = row
    return TimelineEntry(
        no=number, at_ms=at_ms, what=what, actor=actor, actor_name=actor_name, content=json.loads(content)
    )
