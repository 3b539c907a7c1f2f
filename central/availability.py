"""When each hub was heard: a bit for five minutes, kept in memory until it is written, and when central listened.

Nothing is written per sign of life. Every five minutes what is new goes to the database, a few hubs to a transaction,
as bits that are added to those that are there (`|` in the statement), so that several processes of central never take
away from each other. When central itself listened is written last: a process that is killed loses its last minutes of
both, and time without a mark of central's own counts against no hub.

Days are those of UTC, which all have 288 times five minutes; whoever shows them cuts them into local days. Five minutes
are half of what makes a hub silent, and small enough to keep: 90 bytes a hub and day on SQLite, 165 on PostgreSQL,
where the bits of single minutes would take three times that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from central.clock import Clock
from central.errors import NotStoredError
from central.sql import RowsSql, Sql
from central.store import Priority, Store

log = structlog.get_logger()

SLOT_MS = 300_000
SLOTS = 288
"""Of a UTC day."""
KEPT_DAYS = 400
"""Thirteen months, so that a month can be compared with the same one a year before."""
WRITE_S = 300.0
LAG_MS = 30_000
"""So long after its end a slot counts as listened to: what other processes heard in it has been told by then."""
GAP_S = 5.0
"""Who looks every second and has not looked for so long was asleep."""
STEP_MS = 2_000
"""More than this between wall clock and monotonic clock, from one look to the next: the wall clock was set."""
CENTRAL = ""
"""Stands in the place of a hub's id where it says when central listened."""
_BATCH = 32
_BITS = 48
"""Slots of a column."""
_COLUMNS = tuple(f"heard_{hour:02d}" for hour in range(0, 24, 4))
_NAMES = ", ".join(_COLUMNS)
_SAVE = RowsSql(
    f"INSERT INTO hub_day (day, hub, {_NAMES}) VALUES {{rows}} ON CONFLICT (day, hub) DO UPDATE SET "  # noqa: S608  # our own names
    + ", ".join(f"{name} = hub_day.{name} | excluded.{name}" for name in _COLUMNS)
    + " WHERE "  # nothing new: another process has written the same
    + " OR ".join(f"(hub_day.{name} | excluded.{name}) <> hub_day.{name}" for name in _COLUMNS),
    2 + len(_COLUMNS),
)
_READ = Sql(
    f"""WITH RECURSIVE wanted(day) AS (
      SELECT CAST(:first AS INTEGER) UNION ALL SELECT day + 1 FROM wanted WHERE day < CAST(:last AS INTEGER))
    SELECT d.day, d.hub, {_NAMES} FROM wanted JOIN hub_day d ON d.day = wanted.day AND d.hub IN (:hub, '')"""  # noqa: S608  # our own names
)

Row = tuple[int | str, ...]


class Availability:
    """What one process of central has heard, and whether it listened."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._newest: dict[str, int] = {}
        """The slot in which each hub was marked last: a second mark in it would say nothing."""
        self._heard: dict[tuple[int, str], int] = {}
        self._listened: dict[int, int] = {}
        self._since_ms = self._looked_ms = clock.now_ms()
        self._looked_s = clock.mono_s()
        self._writing = asyncio.Lock()

    def hear(self, hub: str, at_ms: int) -> None:
        """A sign of life of any kind. Called for every message."""
        slot = at_ms // SLOT_MS
        if self._newest.get(hub) != slot:
            self._newest[hub] = slot
            day, bit = divmod(slot, SLOTS)
            self._heard[day, hub] = self._heard.get((day, hub), 0) | 1 << bit

    def look(self, *, is_listening: bool) -> None:
        """Called every second. A slot was listened to when nothing was in the way from its beginning to its end."""
        now_ms, now_s = self._clock.now_ms(), self._clock.mono_s()
        passed_s = now_s - self._looked_s
        is_set = abs(now_ms - self._looked_ms - passed_s * 1000) > STEP_MS
        self._looked_ms, self._looked_s = now_ms, now_s
        if not is_listening or is_set or passed_s > GAP_S:
            self._since_ms = now_ms
            return
        for slot in range(-(-self._since_ms // SLOT_MS), (now_ms - LAG_MS) // SLOT_MS):
            day, bit = divmod(slot, SLOTS)
            self._listened[day] = self._listened.get(day, 0) | 1 << bit
            self._since_ms = (slot + 1) * SLOT_MS

    async def write(self) -> None:
        """Write what is new. Raises NotStoredError; what was not written is kept for the next time."""
        async with self._writing:
            listened, self._listened = self._listened, {}
            heard, self._heard = self._heard, {}
            left = [(day, hub, bits) for (day, hub), bits in sorted(heard.items())]
            left += [(day, CENTRAL, bits) for day, bits in sorted(listened.items())]
            try:
                while left:
                    rows = [_row(*one) for one in left[:_BATCH]]
                    await self._store.transact(Priority.UPKEEP, partial(_save, rows=rows))
                    del left[:_BATCH]
            finally:
                for day, hub, bits in left:
                    if hub == CENTRAL:
                        self._listened[day] = self._listened.get(day, 0) | bits
                    else:
                        self._heard[day, hub] = self._heard.get((day, hub), 0) | bits

    async def run(self) -> None:
        """Writes every five minutes, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_S)
            try:
                await self.write()
            except NotStoredError as error:
                log.warning("availability_not_stored", reason=str(error))


def _row(day: int, hub: str, bits: int) -> Row:
    return (day, hub, *(bits >> place * _BITS & (1 << _BITS) - 1 for place in range(len(_COLUMNS))))


async def _save(connection: AsyncConnection, rows: Sequence[Row]) -> None:
    await _SAVE.rows(connection, rows)


async def marks(connection: AsyncConnection, hub: str, first: int, last: int) -> tuple[int, int]:
    """When a hub was heard, and when central listened: the bits of these UTC days in a row, the first slot lowest."""
    heard = listened = 0
    for day, whose, *columns in await _READ.rows(connection, hub=hub, first=first, last=last):
        bits = sum(column << place * _BITS for place, column in enumerate(columns))
        if whose == CENTRAL:
            listened |= bits << (day - first) * SLOTS
        else:
            heard |= bits << (day - first) * SLOTS
    return heard, listened
