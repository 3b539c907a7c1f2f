"""What is asked of somebody: dispatches of their teams and their own, those that were called off, offers to them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.alarms.rows import load, offer_one, sent_one
from central.escalation.seen import seen_since
from central.lifecycle import DispatchState
from central.sql import Sql
from central.store import Store
from central.views import AlarmView, Offer, Sent

OFF_SHOWN_MS = 15 * 60_000
"""For so long it is said that somebody need not go after all."""

DONE_SHOWN_MS = 12 * 3_600_000
MOST = 30

# Whose members nobody has named, has those who have taken it on duty; everybody else may still answer on the page.
_MY_TEAMS = """(SELECT m.team FROM team_member m WHERE m.account = :me
    UNION SELECT y.team FROM duty y WHERE y.account = :me AND y.seen_ms > :seen
      AND NOT EXISTS (SELECT 1 FROM team_member m WHERE m.team = y.team))"""
_CONCERNS_ME = f"""d.team IS NOT NULL AND (d.account = :me OR (d.account IS NULL AND d.team IN {_MY_TEAMS}))
      AND (a.owner IS NULL OR a.owner <> :me)"""
_SENT = Sql(
    f"""SELECT d.id, a.rank, d.sent_ms FROM dispatch d JOIN alarm a ON a.id = d.alarm
    WHERE d.ended_ms IS NULL AND a.closed_ms IS NULL AND a.handling <> 'deferred' AND {_CONCERNS_ME}
    UNION ALL SELECT d.id, a.rank, d.sent_ms FROM dispatch d JOIN alarm a ON a.id = d.alarm
    WHERE d.ended_ms > :done_since AND {_CONCERNS_ME} AND (d.state = 'cancelled' AND d.ended_ms > :off_since
        OR d.state = 'done' AND d.account = :me)
    ORDER BY 2, 3 DESC, 1 LIMIT {MOST}"""  # noqa: S608  # our own names
)
_OFFERS = Sql(
    f"""SELECT o.id FROM handover o JOIN alarm a ON a.id = o.alarm
    WHERE o.state = 'offered' AND o.expires_ms >= :now AND o.from_account <> :me AND a.closed_ms IS NULL
      AND (o.to_account = :me OR o.to_team IN {_MY_TEAMS})
    ORDER BY a.rank, o.offered_ms, o.id LIMIT {MOST}"""  # noqa: S608  # our own names
)

_GOES = frozenset({DispatchState.ACCEPTED, DispatchState.ON_THE_WAY, DispatchState.ON_SITE})


class Stand(StrEnum):
    """Where something that was asked of somebody stands for them."""

    MINE = "mine"  # they said yes, or it was said for their team
    ASKS = "asks"  # nobody has answered yet
    OFF = "off"  # they need not go after all
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One thing that is asked of somebody, with its alarm."""

    alarm: AlarmView
    stand: Stand
    sent: Sent | None = None
    offer: Offer | None = None

    @property
    def id(self) -> str:
        """Of the dispatch or of the offer."""
        return self.sent.id if self.sent is not None else self.offer.id if self.offer is not None else ""


def stand_of(sent: Sent) -> Stand:
    """Where a dispatch stands for those it concerns."""
    if sent.state is DispatchState.CANCELLED:
        return Stand.OFF
    if sent.state is DispatchState.DONE:
        return Stand.DONE
    return Stand.MINE if sent.state in _GOES else Stand.ASKS


async def asked_of(store: Store, account: str, scope: Scope, now: int) -> tuple[Asked, ...]:
    """What is asked of an account now, of what it sees: most urgent first."""

    async def look(connection: AsyncConnection) -> list[Asked]:
        mine = {"me": account, "seen": await seen_since(connection, now)}
        found = []
        for row in await _SENT.rows(connection, off_since=now - OFF_SHOWN_MS, done_since=now - DONE_SHOWN_MS, **mine):
            sent = await sent_one(connection, row[0])
            found.append(Asked(alarm=await load(connection, sent.alarm), stand=stand_of(sent), sent=sent))
        for row in await _OFFERS.rows(connection, now=now, **mine):
            offer = await offer_one(connection, row[0])
            found.append(Asked(alarm=await load(connection, offer.alarm), stand=Stand.ASKS, offer=offer))
        return found

    return tuple(one for one in await store.fetch(look) if scope.covers(one.alarm.tenant, one.alarm.unit))
