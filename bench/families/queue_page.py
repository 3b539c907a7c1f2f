"""The queues with very many open technical alarms behind them: what is read for them, and the pages as a console asks.

A page is asked for over HTTP, on a connection that is open, by somebody who is signed in, of a central in a process of
its own with all its chores, and is over with its last byte. What is read is measured within a process.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from bench.bench import Bench, Scale
from bench.centre import DATABASES, console, enrolled, founded, opened
from bench.errors import BenchError
from bench.presses import Latencies
from bench.rows import Row
from central.access import EVERYTHING
from central.clock import SystemClock
from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import Central
from central.sql import Sql
from central.technical.looking import fault_page

TITLE = "central: reading the queues with very many open alarms"
ORDER = 140
ROUNDS = 15
PRESSED = 20
"""Personal alarms that wait, as after a bad hour."""
NAME, PASSWORD = "Lead One", "en lang setning om fisk"
PAGES = (("technical page", "/technical", r'href="/alarms/'), ("queue page", "/?view=alarms", r"data-alarm="))
"""What is asked for, and what stands there once for each alarm."""


async def measure(bench: Bench) -> AsyncIterator[Row]:
    """What the technical page and the personal queue read; then both over HTTP, as a lead's console asks for them."""
    for name in DATABASES:
        with founded(name) as config:
            async for row in _read(bench, name, config):
                yield row
            bench.say(f"{name}: the pages over HTTP")
            async for row in _asked(bench.scale, name, config):
                yield row


async def _read(bench: Bench, name: str, config: Path) -> AsyncIterator[Row]:
    async with opened(config) as central:
        store, alarms = central.services.store, central.services.alarms
        many = bench.scale.storm
        bench.say(f"{name}: {many:,} open technical alarms")
        await _fill(central, many)

        async def technical() -> object:
            return await fault_page(store, EVERYTHING, kind="", unit="", offset=0)

        for what, read in (("technical page", technical), ("personal queue", alarms.queue)):
            took = Latencies([await _ms(read) for _ in range(ROUNDS)])
            row = f"{name}: {what}, {many:,} technical ones open, p50"
            yield Row(what=row, value=took.p(0.5), unit="ms", must=500, aim=100)


async def _asked(scale: Scale, name: str, config: Path) -> AsyncIterator[Row]:
    async with opened(config) as central:
        for hub in await enrolled(central, PRESSED):
            await central.reception.receive(hub.envelope(hub.seal("pendant_pressed")), "https")
        accounts = Accounts(central.services.store, SystemClock())
        await accounts.set_password((await accounts.add(NAME, Role.LEAD)).id, PASSWORD)
    async with console(config, NAME, PASSWORD) as page:
        for what, path, mark in PAGES:
            shown = len(re.findall(mark, await page(path)))
            if shown < PRESSED:
                raise BenchError(f"{path} shows {shown} alarms: it is not the page that was to be measured")
            took = Latencies([await _ms(lambda path=path: page(path)) for _ in range(ROUNDS)])
            row = f"{name}: {what} over HTTP, {scale.storm:,} technical ones open, p50"
            yield Row(what=row, value=took.p(0.5), unit="ms", must=500, aim=100)


async def _fill(central: Central, many: int) -> None:
    fill = Sql(
        "INSERT INTO alarm (id, queue, kind, alarm_class, rank, first_rank, hub, fold_key, happened_ms,"
        " raised_ms, last_event_ms) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < {many}) SELECT 'x' || i, 'technical', 'battery_low', 4, 5, 5, 'h' || (i % 5000),"
        " 'x' || i, i, i, i FROM n"
    )
    async with central.services.store.write() as connection:
        await fill.rows(connection)


async def _ms(read: Callable[[], Awaitable[object]]) -> float:
    start_s = time.perf_counter()
    await read()
    return (time.perf_counter() - start_s) * 1000
