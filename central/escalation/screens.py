"""Whether a console has shown what it was sent: by the word of the page before a person, not by the feed alone.

What is committed is on its way to every console, and counts as sent. It counts as delivered when a page in view says
that it stands there. A step whose consoles sound, and none of which has shown the alarm, is a fault of ours: of each
team whose consoles were to sound, until one of that team shows something again. A colleague elsewhere mends nothing.
The condition is kept by the team's id, so that it lives on under another name; it ends with the team.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from central.escalation import patrols
from central.escalation.seen import SEEN_MS
from central.lifecycle import CENTRAL_KINDS, OF_A_TEAM
from central.opening import Source
from central.raising import end_condition, raise_technical
from central.sql import Sql

KIND = OF_A_TEAM
HOUSE = ""
"""Consoles of a house without teams."""

_MINE = """alarm = :alarm AND channel = 'console' AND state = 'sent' AND (account = :account OR (account IS NULL
    AND (team IS NULL OR EXISTS (SELECT 1 FROM team_member m WHERE m.team = notification.team AND m.account = :account)
      OR NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = notification.team))))"""
_ANY = Sql(f"SELECT 1 FROM notification WHERE {_MINE} LIMIT 1")  # noqa: S608  # our own names
_SHOWN = Sql(
    f"""UPDATE notification SET state = 'delivered', receipt_ms = :now WHERE {_MINE}
    RETURNING dispatch, team"""  # noqa: S608  # our own names
)
_UNSEEN = Sql(
    """SELECT n.team, sum(CASE WHEN n.state = 'sent' THEN 0 ELSE 1 END),
       sum(CASE WHEN coalesce(t.state, 'active') = 'active' AND EXISTS
         (SELECT 1 FROM duty d WHERE d.team IN (coalesce(n.team, ''), '') AND d.has_sound
          AND d.seen_ms > :since AND d.since_ms <= n.sent_ms) THEN 1 ELSE 0 END)
    FROM notification n LEFT JOIN team t ON t.id = n.team
    WHERE n.alarm = :alarm AND n.round = :round AND n.step = :no AND n.channel = 'console'
    GROUP BY n.team ORDER BY n.team"""
)


async def has_something_new(connection: AsyncConnection, alarm: str, account: str) -> bool:
    """Whether a message to a console of this person is not known to be shown yet."""
    return await _ANY.one(connection, alarm=alarm, account=account) is not None


async def shown(connection: AsyncConnection, alarm: str, hub: str | None, account: str, now: int) -> None:
    """A page in view before this person shows the alarm: what their consoles were sent about it has arrived."""
    rows = await _SHOWN.rows(connection, alarm=alarm, account=account, now=now)
    for dispatch in {row[0] for row in rows} - {None}:
        await patrols.has_got_it(connection, dispatch, hub, now)
    for team in sorted({row[1] or HOUSE for row in rows}):
        await end_condition(connection, "", team, KIND, now)


async def forget(connection: AsyncConnection, team: str, now: int) -> None:
    """A team is no more: nobody looks at its consoles, and nobody has to mend them."""
    await end_condition(connection, "", team, KIND, now)


async def is_unseen(connection: AsyncConnection, alarm: str, number: int, no: int, now: int) -> bool:
    """Whether consoles were asked by this step and none has shown it. Where one was to sound, it is a fault as well."""
    rows = await _UNSEEN.rows(connection, alarm=alarm, round=number, no=no, since=now - SEEN_MS)
    if not rows or any(shown_count for _team, shown_count, _sounding in rows):
        return False
    for team, _shown_count, sounding in rows:
        if sounding:
            await raise_technical(
                connection, CENTRAL_KINDS[KIND], Source(hub="", device=team or HOUSE, happened_ms=now), now
            )
    return True
