"""What was refused, and by whom it claimed to be: counted, folded, kept in a bounded table."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from central.clock import Clock
from central.errors import NotStoredError
from central.metrics import Metrics
from central.sql import Sql
from central.store import Priority, Store

log = structlog.get_logger()

FLUSH_S = 1.0
MAX_FOLDED = 200
KEPT = 10_000

_INSERT = Sql(
    "INSERT INTO security_event (at_ms, reason, hub, path, count, detail)"
    " VALUES (:at_ms, :reason, :hub, :path, :count, :detail)"
)
_TRIM = Sql("DELETE FROM security_event WHERE id <= (SELECT max(id) FROM security_event) - :kept")
_RECENT = Sql("SELECT at_ms, reason, hub, path, count, detail FROM security_event ORDER BY id DESC LIMIT :limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """Refusals of one kind within a second. `hub` is whom the sender claimed to be; it is not verified."""

    at_ms: int
    reason: str
    hub: str | None
    path: str
    count: int
    detail: str


class SecurityLog:
    """Refusals of this process. What a flood adds is a count, not rows."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._folded: dict[tuple[str, str | None, str], tuple[int, str]] = {}

    def note(self, reason: str, *, hub: str | None, path: str, detail: str = "") -> None:
        """Something was refused. Cheap: it is written within a second."""
        self._metrics.count(f"refused.{reason}")
        self._fold((reason[:48], hub, path[:16]), 1, detail[:256].replace("\x00", " "))

    def _fold(self, key: tuple[str, str | None, str], count: int, detail: str) -> None:
        if key not in self._folded and len(self._folded) >= MAX_FOLDED:
            key = ("many", None, key[2])
        known, first = self._folded.get(key, (0, detail))
        self._folded[key] = (known + count, first)

    async def flush(self) -> None:
        """Write what was noted. Raises NotStoredError; it is kept for the next time then."""
        folded, self._folded = self._folded, {}
        if not folded:
            return
        now = self._clock.now_ms()
        rows = [(now, reason, hub, path, count, detail) for (reason, hub, path), (count, detail) in folded.items()]
        try:
            async with self._store.write(Priority.UPKEEP) as connection:
                await _INSERT.many(connection, rows)
                await _TRIM.rows(connection, kept=KEPT)
        except NotStoredError:
            newer, self._folded = self._folded, folded
            for key, (count, detail) in newer.items():
                self._fold(key, count, detail)
            raise

    async def run(self) -> None:
        """Writes once a second, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except NotStoredError as error:
                log.warning("security_events_not_stored", reason=str(error))

    async def recent(self, *, limit: int = 200) -> list[SecurityEvent]:
        """Newest first."""
        async with self._store.read() as connection:
            rows = await _RECENT.rows(connection, limit=limit)
        return [
            SecurityEvent(at_ms=at_ms, reason=reason, hub=hub, path=path, count=count, detail=detail)
            for at_ms, reason, hub, path, count, detail in rows
        ]
