"""What a night must not have done, asked of the database afterwards: each fault is a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from central import event_log
from central.sql import Sql
from central.store import Store
from simulators.municipality.hours import SECOND_MS
from simulators.municipality.stage import LAST_WORD, Night
from simulators.sms_provider import Text

LATE_MS = 1 * SECOND_MS
"""Central looks once a second."""

_STEPS = Sql("SELECT alarm, round, no, state, due_ms, ended_ms, why FROM escalation")
_PERSONAL = Sql(
    """SELECT a.id, a.resident, a.first_claimed_ms, a.closed_ms, a.handling,
      (SELECT count(*) FROM escalation e WHERE e.alarm = a.id) FROM alarm a WHERE a.queue = 'personal'"""
)
_KEYS = Sql("SELECT key, count(*), max(attempts) FROM notification GROUP BY key")
_SENT = Sql("SELECT count(*) FROM notification WHERE channel = 'sms' AND state IN ('sent', 'unconfirmed', 'delivered')")
_PENDING = Sql("SELECT count(*) FROM notification WHERE state IN ('pending', 'given_up', 'failed')")
_FEED = Sql("SELECT min(no), max(no), count(*) FROM feed")
_LAST_WORDS = Sql("SELECT count(*) FROM security_event WHERE reason = :reason")
_TAKEN = Sql("SELECT alarm, at_ms, what FROM log_entry WHERE alarm IS NOT NULL ORDER BY no")


async def faults(store: Store, night: Night, texts: Sequence[Text]) -> list[str]:
    """Everything that is wrong; nothing when the night was as it has to be."""
    async with store.read() as connection:
        steps = await _STEPS.rows(connection)
        personal = await _PERSONAL.rows(connection)
        keys = await _KEYS.rows(connection)
        sent = await _SENT.value(connection)
        pending = await _PENDING.value(connection)
        feed = await _FEED.one(connection)
        log = await _TAKEN.rows(connection)
        last_words = await _LAST_WORDS.value(connection, reason=LAST_WORD)
    found = [f"forsaken: {one}" for one in night.forsaken]
    found += _late(steps, night)
    for alarm, resident, claimed_ms, closed_ms, handling, count in personal:
        if claimed_ms is None or closed_ms is None or handling != "closed":
            found.append(f"the alarm {alarm} of {resident} was left {handling}")
        if not count:
            found.append(f"the alarm {alarm} of {resident} had no plan")
    found += [f"the notification {key} stands {count} times" for key, count, _attempts in keys if count != 1]
    found += [f"the notification {key} was sent {attempts} times" for key, _count, attempts in keys if attempts > 1]
    if len(texts) != sent:
        found.append(f"the provider carried {len(texts)} texts, and {sent} were to be sent")
    if pending:
        found.append(f"{pending} notifications were never sent")
    if last_words:
        found.append("central was killed, and has written something all the same: it closed as it should")
    verdict = await event_log.verify(store)
    if not verdict.is_whole:
        found.append(f"the event log is broken at {verdict.broken_at}: {verdict.problem}")
    if feed is not None and feed[0] is not None and feed[1] - feed[0] + 1 != feed[2]:
        found.append(f"the feed has gaps: {feed[2]} numbers from {feed[0]} to {feed[1]}")
    found += _twice_taken(log)
    return found


def _late(steps: Sequence[Sequence[object]], night: Night) -> list[str]:
    """Steps that were not over when they were due, but for the time in which there was no central."""
    found = []
    for alarm, number, no, state, due_ms, ended_ms, why in steps:
        if state not in {"done", "failed", "cancelled"} or not isinstance(due_ms, int) or not isinstance(ended_ms, int):
            found.append(f"step {no} of round {number} of {alarm} is still {state}")
            continue
        back = next((end for begin, end in night.away if begin <= due_ms <= end), due_ms)
        if ended_ms > max(due_ms, back) + LATE_MS:
            found.append(f"step {no} of round {number} of {alarm} ({why}) was {ended_ms - due_ms} ms late")
    return found


def _twice_taken(log: Sequence[Sequence[object]]) -> list[str]:
    """A claim while there was one."""
    held: Counter[object] = Counter()
    found = []
    for alarm, at_ms, what in log:
        if what == "claimed":
            held[alarm] += 1
            if held[alarm] > 1:
                found.append(f"the alarm {alarm} was taken at {at_ms} while somebody had it")
        elif what in {"returned", "released", "closed", "deferred", "undone"}:
            held[alarm] = 0
    return found
