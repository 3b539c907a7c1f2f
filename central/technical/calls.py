"""Call-outs as people read them: who was called, by which way, what came of it, and whom everybody waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import Scope
from central.sql import Sql
from central.technical.called import CallOutRow, open_rows
from central.technical.duty import DutyBook, DutyContact, duty_book

_CALLS = Sql(
    """SELECT c.id, n.channel, n.account, coalesce(u.name, ''), n.state, n.made_ms, n.answer
    FROM call_out c JOIN notification n ON n.call_out = c.id AND n.round = c.round AND n.what = 'fault_waits'
       LEFT JOIN user_account u ON u.id = n.account
    WHERE c.ended_ms IS NULL ORDER BY n.made_ms, n.step, n.account, n.channel DESC"""
)
_PLACE = Sql("SELECT tenant, unit FROM hub WHERE id = :hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMade:
    """Somebody who was called by one way. `name` empty: the team's own telephone."""

    channel: str
    name: str
    state: str
    made_ms: int
    answer: str | None
    """yes | no, where they answered by SMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCallOut:
    """One that is not over, with its team."""

    row: CallOutRow
    team: DutyContact
    calls: Sequence[CallMade]

    @property
    def is_unanswered(self) -> bool:
        """Everybody has been called in vain, and nobody has answered since."""
        return self.row.unanswered_ms is not None


def seen_teams(book: DutyBook, scope: Scope) -> Mapping[str, DutyContact]:
    """The technical teams that somebody sees: those of their tenants, and those of the whole installation."""
    return {
        team: contact
        for team, contact in book.teams.items()
        if scope.is_everything or not book.serves.get(team) or any(scope.covers(tenant) for tenant in book.serves[team])
    }


async def open_call_outs(connection: AsyncConnection, scope: Scope, now: int) -> list[OpenCallOut]:
    """Those that are running or answered, of the teams that are seen; unanswered ones first."""
    rows = [row for row in await open_rows(connection) if row.round]
    if not rows:
        return []
    teams = seen_teams(await duty_book(connection, now), scope)
    calls: dict[str, list[CallMade]] = {}
    for call_out, channel, account, name, state, made_ms, answer in await _CALLS.rows(connection):
        made = CallMade(channel=channel, name=name if account else "", state=state, made_ms=made_ms, answer=answer)
        calls.setdefault(call_out, []).append(made)
    found = [
        OpenCallOut(row=row, team=teams[row.team], calls=calls.get(row.id, ())) for row in rows if row.team in teams
    ]
    return sorted(found, key=lambda one: (not one.is_unanswered, one.row.began_ms, one.team.name))


async def contact_of_hub(connection: AsyncConnection, hub: str, now: int) -> DutyContact | None:
    """Whom to call about a hub."""
    row = await _PLACE.one(connection, hub=hub)
    return None if row is None else (await duty_book(connection, now)).of(row[0], row[1])
