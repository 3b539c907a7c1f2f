"""What would grow for ever, cut back: what nobody needs any more goes, a little at a time.

What stays for ever by design: the marks of what every run of a hub has stored (`high_water`) and the runs' headers
(`hub_epoch`), so that erased history cannot be made anew by an old card. Four marks of about 120 bytes and a header of
about 1.6 KB a run: a hub that starts once a month costs 25 KB a year.
"""

from __future__ import annotations

import structlog

from central.availability import KEPT_DAYS
from central.clock import Clock
from central.sql import Sql
from central.store import Priority, Store
from central.windows import DAY_MS, WINDOW_DAYS

BATCH = 500
QUARANTINE_DAYS = 90
PART_DAYS = 1
"""Of an answer that nobody fetched: whoever had asked was stopped. A command lives for a minute."""
SIGN_IN_DAYS = 90
SECURITY_DAYS = 365
ANSWER_DAYS = 7
"""So long next of kin are known again by the number that was asked: `central.notify.asks.KEPT_MS`."""

log = structlog.get_logger()

# A run's window may go when the hub has long been running another: what is missing then counts as seen (windows.py).
_WINDOWS = Sql(
    """DELETE FROM sender_window WHERE (hub, epoch) IN (
        SELECT w.hub, w.epoch FROM sender_window w JOIN hub h ON h.id = w.hub
          JOIN hub_epoch e ON e.hub = w.hub AND e.epoch = w.epoch
        WHERE w.updated_ms < :before AND e.first_seen_ms < :before AND h.epoch IS NOT NULL AND h.epoch <> w.epoch
        LIMIT :limit) RETURNING 1"""
)
_OLD = {
    "quarantine": (
        QUARANTINE_DAYS,
        Sql(
            "DELETE FROM quarantine WHERE id IN"
            " (SELECT id FROM quarantine WHERE received_ms < :before LIMIT :limit) RETURNING 1"
        ),
    ),
    "answer_parts": (
        PART_DAYS,
        Sql(
            "DELETE FROM command_part WHERE (command, part) IN (SELECT p.command, p.part FROM command_part p"
            " JOIN command c ON c.id = p.command WHERE c.created_ms < :before LIMIT :limit) RETURNING 1"
        ),
    ),
    "sessions": (
        SIGN_IN_DAYS,
        Sql(
            "DELETE FROM session WHERE token_hash IN"
            " (SELECT token_hash FROM session WHERE expires_ms < :before LIMIT :limit) RETURNING 1"
        ),
    ),
    "login_links": (
        SIGN_IN_DAYS,
        Sql(
            "DELETE FROM login_link WHERE token_hash IN"
            " (SELECT token_hash FROM login_link WHERE expires_ms < :before LIMIT :limit) RETURNING 1"
        ),
    ),
    "security_events": (
        SECURITY_DAYS,
        Sql(
            "DELETE FROM security_event WHERE id IN"
            " (SELECT id FROM security_event WHERE at_ms < :before LIMIT :limit) RETURNING 1"
        ),
    ),
    "numbers_asked": (
        ANSWER_DAYS,
        Sql(
            "UPDATE notification SET mark = NULL, code = NULL WHERE id IN (SELECT id FROM notification"
            " WHERE mark IS NOT NULL AND made_ms < :before LIMIT :limit) RETURNING 1"
        ),
    ),
    "hub_days": (
        KEPT_DAYS,
        Sql(
            f"DELETE FROM hub_day WHERE (day, hub) IN (SELECT day, hub FROM hub_day"  # noqa: S608  # our own number
            f" WHERE day < CAST(:before AS BIGINT) / {DAY_MS} LIMIT :limit) RETURNING 1"
        ),
    ),
    "windows": (WINDOW_DAYS, _WINDOWS),
}


class Trimming:
    """The chore. One batch of each sort in a transaction of its own, and again until nothing is left."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def trim(self) -> dict[str, int]:
        """Returns how many of each went. Raises NotStoredError."""
        gone = {}
        for name, (days, statement) in _OLD.items():
            gone[name] = await self._trim(statement, self._clock.now_ms() - days * DAY_MS)
        if any(gone.values()):
            log.info("trimmed", **gone)
        return gone

    async def _trim(self, statement: Sql, before: int) -> int:
        total = 0
        while True:
            rows = await self._store.transact(
                Priority.UPKEEP, lambda connection: statement.rows(connection, before=before, limit=BATCH)
            )
            total += len(rows)
            if len(rows) < BATCH:
                return total
