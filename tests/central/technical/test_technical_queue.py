"""What stands in the technical queue: nothing folded, nothing quiet; and a storm is counted without being read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from central.access import EVERYTHING
from central.alarms.handling import _NEXT
from central.alarms.looking import _QUEUES, _RECENT
from central.audit.watch import _OPEN as _SILENT
from central.console.open_count import _COUNT, _OWN, count_open
from central.lifecycle import Queue
from central.quarantine import _SENDERS
from central.sql import Sql
from central.technical.looking import _COUNTS, _ROWS
from tests.central.conftest import FIRST

MANY = 3000


async def test_what_is_folded_or_quiet_is_neither_taken_next_nor_counted(bench: Any, area: Any) -> None:
    await area.unit()
    hubs = await area.hubs(30)
    folded = await area.fail(hubs[:25])
    (quiet,) = await area.fail(hubs[25:26], "battery_low")
    (loud,) = await area.fail(hubs[26:27], "tamper")
    await bench.change(f"UPDATE alarm SET quiet = 'm1' WHERE id = '{quiet}'")
    assert await area.sweep() == len(folded)
    counted = (await count_open(bench.store))[Queue.TECHNICAL]
    assert (counted.everything, counted.waiting, counted.best_rank) == (1, 1, 5)
    taken = await bench.alarms.take_next(FIRST, Queue.TECHNICAL)
    assert taken is not None
    assert taken.id == loud
    assert await bench.alarms.take_next(FIRST, Queue.TECHNICAL) is None
    assert (await count_open(bench.store))[Queue.TECHNICAL].waiting == 0


async def test_closed_alarms_of_a_queue_are_found_behind_a_storm_of_the_other(bench: Any, hub: Any, area: Any) -> None:
    alarm = await bench.press(hub)
    await bench.alarms.claim(alarm.id, FIRST)
    await bench.alarms.close(alarm.id, FIRST, "false_alarm", "mis_press")
    bench.clock.advance(1)
    hubs = await area.hubs(30)
    await area.fail(hubs)
    await area.mend(hubs)
    assert [one.id for one in await bench.alarms.recent(Queue.PERSONAL, limit=3)] == [alarm.id]
    assert [one.queue for one in await bench.alarms.recent(limit=30)] == [Queue.TECHNICAL] * 30


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (_QUEUES[Queue.PERSONAL], "ix_alarm_personal_open"),
        (_COUNT[Queue.PERSONAL], "ix_alarm_personal_open"),
        (_NEXT[Queue.PERSONAL], "ix_alarm_personal_open"),
        (_QUEUES[Queue.TECHNICAL], "ix_alarm_technical_open"),
        (_NEXT[Queue.TECHNICAL], "ix_alarm_technical_open"),
        (_ROWS, "ix_alarm_technical_open"),
        (_OWN, "ix_alarm_open_owner"),
        (_RECENT, "ix_alarm_queue_closed_ms"),
    ],
)
async def test_a_storm_is_shown_from_an_index(bench: Any, statement: Sql, index: str) -> None:
    await storm(bench)
    assert index in await plan_of(bench, statement)


@pytest.mark.sqlite
@pytest.mark.parametrize("statement", [_COUNT[Queue.TECHNICAL], _COUNTS])
async def test_a_storm_is_counted_from_an_index(bench: Any, statement: Sql) -> None:
    await storm(bench)
    assert "ix_alarm_technical_counts" in await plan_of(bench, statement)


@pytest.mark.parametrize(
    ("statement", "index"),
    [(_SENDERS, "ix_alarm_strangers"), (_SILENT, "ix_alarm_fold_key_closed_ms|ux_alarm_open_fold_key")],
)
async def test_what_is_asked_of_few_is_not_looked_for_among_a_storm(bench: Any, statement: Sql, index: str) -> None:
    await storm(bench)
    assert re.search(index, await plan_of(bench, statement))


async def storm(bench: Any) -> None:
    await bench.change(
        "INSERT INTO alarm (id, queue, kind, alarm_class, rank, first_rank, hub, fold_key, happened_ms, raised_ms,"
        " last_event_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {MANY}) SELECT 'x' || i, 'technical', 'battery_low', 4, 5, 5, 'h' || (i % 500), 'x' || i, i, i, i"
        " FROM n"
    )


async def plan_of(bench: Any, statement: Sql) -> str:
    """How the database would go about it; PostgreSQL as with many more rows than there are."""
    asked = {"limit": 100, "offset": 0, "kind": "", "unit": "", "queue": "personal", "owner": "x", "now": 10**13}
    asked |= {"sender": "x", "key": "x"}
    wanted = {name: value for name, value in (asked | EVERYTHING.parameters).items() if f":{name}" in statement.text}
    text = " ".join(statement.text.split())
    if bench.store.dialect.is_sqlite:
        explained = Sql(f"EXPLAIN QUERY PLAN {text}")
        async with bench.store.read() as connection:
            return " | ".join(row[3] for row in await explained.rows(connection, **wanted))
    for name, value in wanted.items():
        text = text.replace(f":{name}", str(value) if isinstance(value, int) else f"'{value}'")
    async with bench.store.write() as connection:
        await Sql("ANALYZE alarm").rows(connection)
        await Sql("SET LOCAL enable_seqscan = off").rows(connection)
        return " | ".join(row[0] for row in await Sql(f"EXPLAIN {text}").rows(connection))
