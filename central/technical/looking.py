"""The technical queue as its page reads it: a hundred rows at a time, counts apart, however many faults there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log, feed
from central.access import IN_SCOPE, Scope
from central.alarms.rows import LOUD, NAMES, SELECT, view
from central.clock import Clock
from central.errors import IncompleteError
from central.lifecycle import TECHNICAL_OUTCOMES
from central.sql import Sql
from central.store import Priority, Store
from central.views import Actor, AlarmView
from central.wakeup import Wakeup

PAGE = 100
MOST_CLOSED = 500
"""At once, by hand."""

_FILTER = "(:kind = '' OR a.kind = :kind) AND (:unit = '' OR a.unit = :unit)"
_MORE = SELECT.replace(", h.label, r.label", ", a.chatters, a.quiet, u.name, h.label, r.label")
_JOINED = f"{_MORE} LEFT JOIN unit u ON u.id = a.unit"
# Which ones is decided on ids alone, from an index; only those that are shown are read whole.
_ROWS = Sql(
    f"""{_JOINED} WHERE a.id IN (SELECT a.id FROM alarm a WHERE {LOUD} AND {_FILTER} AND {IN_SCOPE("a")}
       ORDER BY a.rank, a.raised_ms, a.id LIMIT :limit OFFSET :offset) ORDER BY a.rank, a.raised_ms, a.id"""  # noqa: S608  # our own names
)
_OPEN_CHILDREN, _CLOSED_CHILDREN = (
    Sql(
        f"""{_JOINED} WHERE a.id IN (SELECT a.id FROM alarm a WHERE a.incident = :incident AND {which}
           AND {IN_SCOPE("a")} ORDER BY {order} LIMIT :limit OFFSET :offset) ORDER BY {order}"""  # noqa: S608  # our own names
    )
    for which, order in (
        ("a.closed_ms IS NULL", "a.rank, a.raised_ms, a.id"),
        ("a.closed_ms IS NOT NULL", "a.closed_ms, a.rank, a.raised_ms, a.id"),
    )
)
_COUNT_CHILDREN = Sql(
    f"SELECT count(*) FROM alarm a WHERE a.incident = :incident AND a.closed_ms IS NULL AND {IN_SCOPE('a')}"  # noqa: S608
)
_QUIET = Sql(
    f"""{_JOINED} WHERE a.id IN (SELECT a.id FROM alarm a WHERE a.quiet IS NOT NULL AND a.closed_ms IS NULL
       AND {IN_SCOPE("a")} ORDER BY a.rank, a.raised_ms, a.id LIMIT :limit) ORDER BY a.rank, a.raised_ms, a.id"""  # noqa: S608  # our own names
)
# One walk over the index of all that is open tells everything that is counted.
_COUNTS = Sql(
    f"""SELECT a.kind, a.unit, count(*), sum(CASE WHEN a.rank <= 4 THEN 1 ELSE 0 END),
       sum(CASE WHEN a.handling = 'waiting' THEN 1 ELSE 0 END)
    FROM alarm a WHERE {LOUD} AND {IN_SCOPE("a")} GROUP BY a.kind, a.unit"""  # noqa: S608  # our own names
)
_UNITS = Sql("SELECT id, name FROM unit")
_CLOSE = Sql(
    f"""UPDATE alarm AS a SET handling = 'closed', closed_ms = :now, closed_by = :name, disposition = 'resolved',
       outcome = :outcome, version = version + 1, lease_until_ms = NULL
    WHERE a.id = :id AND a.queue = 'technical' AND a.closed_ms IS NULL AND (a.owner IS NULL OR a.owner = :owner)
       AND {IN_SCOPE("a")} RETURNING hub"""  # noqa: S608  # our own names
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """A technical alarm with what its page says beside it."""

    alarm: AlarmView
    chatters: bool
    quiet: str | None
    unit_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultPage:
    """What is shown of the queue, and how much there is."""

    rows: Sequence[FaultRow]
    total: int
    critical: int
    waiting: int
    kinds: Sequence[tuple[str, int]]
    units: Sequence[tuple[str, str, int]]
    quiet: Sequence[FaultRow]


async def fault_page(store: Store, scope: Scope, *, kind: str, unit: str, offset: int) -> FaultPage:
    """Worst first, then oldest; those folded into an incident and quiet ones apart."""
    parameters = scope.parameters

    async def look(connection: AsyncConnection) -> FaultPage:
        counted = await _COUNTS.rows(connection, **parameters)
        names = {row[0]: row[1] for row in await _UNITS.rows(connection)}
        kinds: Counter[str] = Counter()
        units: Counter[str] = Counter()
        for word, where, count, _, _ in counted:
            kinds[word] += count
            if where in names:
                units[where] += count
        found = [row for row in counted if kind in ("", row[0]) and unit in ("", row[1])]
        rows = await _ROWS.rows(connection, limit=PAGE, offset=offset, kind=kind, unit=unit, **parameters)
        quiet = await _QUIET.rows(connection, limit=PAGE, **parameters)
        return FaultPage(
            rows=[_row(row) for row in rows],
            total=sum(row[2] for row in found),
            critical=sum(int(row[3]) for row in found),
            waiting=sum(int(row[4]) for row in found),
            kinds=kinds.most_common(40),
            units=[(one, names[one], units[one]) for one in sorted(units, key=lambda one: str(names[one]))],
            quiet=[_row(row) for row in quiet],
        )

    return await store.fetch(look)


async def children(store: Store, scope: Scope, incident: str, *, offset: int) -> Sequence[FaultRow]:
    """What is folded into an incident: open ones first, and among them those at critical residents."""

    async def look(connection: AsyncConnection) -> list[FaultRow]:
        where = {"incident": incident, **scope.parameters}
        still_open = int(await _COUNT_CHILDREN.value(connection, **where))
        rows = []
        if offset < still_open:
            rows = await _OPEN_CHILDREN.rows(connection, limit=PAGE, offset=offset, **where)
        if len(rows) < PAGE:
            after = max(0, offset - still_open)
            rows += await _CLOSED_CHILDREN.rows(connection, limit=PAGE - len(rows), offset=after, **where)
        return [_row(row) for row in rows]

    return await store.fetch(look)


async def close_many(
    store: Store, clock: Clock, wakeup: Wakeup, actor: Actor, scope: Scope, alarms: Sequence[str], outcome: str
) -> int:
    """Close technical alarms together; what somebody else has, and all that is personal, is left alone.

    Returns how many were closed. Raises IncompleteError.
    """
    if outcome not in TECHNICAL_OUTCOMES:
        raise IncompleteError("outcome_missing", "outcome", TECHNICAL_OUTCOMES)
    if not alarms or len(alarms) > MOST_CLOSED:
        raise IncompleteError("alarms_missing", "alarm")
    count = 0
    for at in range(0, len(alarms), 50):
        batch = list(dict.fromkeys(alarms[at : at + 50]))

        async def work(connection: AsyncConnection, batch: Sequence[str] = batch) -> int:
            closed, now = 0, clock.now_ms()
            for alarm in batch:
                hub = await _CLOSE.value(
                    connection, id=alarm, now=now, name=actor.name[:128], owner=actor.id, outcome=outcome,
                    **scope.parameters,
                )  # fmt: skip
                if hub is None:
                    continue
                closed += 1
                content = {"disposition": "resolved", "outcome": outcome, "by": "together"}
                await event_log.append(connection, now, "closed", actor, alarm=alarm, hub=hub or None, content=content)
                await feed.publish(connection, now, "alarm", alarm, "closed")
            return closed

        count += await store.transact(Priority.PEOPLE, work)
        wakeup.wake()
    return count


def _row(row: Sequence[object]) -> FaultRow:
    width = len(NAMES)
    chatters, quiet, unit_name = row[width : width + 3]
    return FaultRow(
        alarm=view((*row[:width], *row[width + 3 :])),
        chatters=bool(chatters),
        quiet=None if quiet is None else str(quiet),
        unit_name=str(unit_name or ""),
    )
