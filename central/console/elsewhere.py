"""What lies outside somebody's tenants and units: left out of lists, not found by id, and the attempt noted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import IN_SCOPE, ElsewhereError, Scope, access_of
from central.console.gate import Visit
from central.console.roles import Action
from central.console.sessions import Session
from central.errors import NotFoundError
from central.escalation.duty import Cover
from central.hubs import HubView
from central.routing.duty import sees
from central.routing.teams import every_team
from central.sql import Sql

_HUBS = Sql(f"SELECT id FROM hub h WHERE {IN_SCOPE('h')}")  # noqa: S608  # our own names
_ALARM = Sql("SELECT tenant, unit FROM alarm WHERE id = :alarm")
MOST_NAMED = 100
_NAME = re.compile(rb"[a-z0-9][a-z0-9.-]{0,31}")
"""What may be an id, or a resident's pseudonym."""
_WHERE = Sql(
    """SELECT 'unit', tenant, id FROM unit WHERE id = :ref
    UNION ALL SELECT 'tenant', id, NULL FROM tenant WHERE id = :ref
    UNION ALL SELECT 'hub', tenant, unit FROM hub WHERE id = :ref
    UNION ALL SELECT 'team', tenant, unit FROM team WHERE id = :ref
    UNION ALL SELECT 'plan', tenant, NULL FROM plan WHERE id = :ref
    UNION ALL SELECT 'account', tenant, unit FROM assignment WHERE account = :ref
    UNION ALL SELECT 'resident', tenant, unit FROM resident WHERE pseudonym = :ref
    UNION ALL SELECT 'visit', r.tenant, r.unit FROM visit v JOIN resident r ON r.pseudonym = v.resident
       WHERE v.id = :ref
    UNION ALL SELECT 'contact', r.tenant, r.unit FROM contact c JOIN resident r ON r.pseudonym = c.resident
       WHERE c.id = :ref"""
)
LOGGED = (
    f"(alarm IN (SELECT a.id FROM alarm a WHERE {IN_SCOPE('a')})"  # noqa: S608  # our own names
    f" OR (alarm IS NULL AND hub IN (SELECT h.id FROM hub h WHERE {IN_SCOPE('h')})))"
)
"""Entries of the event log about alarms and hubs that are seen; for `Scope.parameters`."""


async def hub_seen(visit: Visit, hub_id: str, action: Action) -> HubView:
    """One hub, by id or label. Raises NotFoundError; ElsewhereError where this action does not reach."""
    scope = visit.scope_for(action)
    if scope.is_everything:
        return await visit.desk.services.hubs.hub(hub_id)
    try:
        found = await visit.desk.services.hubs.hub(hub_id)
    except NotFoundError:
        raise NotFoundError("hub", repr(hub_id)) from None  # without the names of others' hubs as a hint
    if found.id not in await _seen(visit, scope):
        raise ElsewhereError("hub", repr(hub_id))
    return found


async def cover_seen(visit: Visit) -> Sequence[Cover]:
    """Who is on duty for which team, of the teams that whoever asks sees."""
    services, scope = visit.desk.services, visit.scope
    found = await services.duty.cover()
    if scope.is_everything:
        return found
    teams = await services.store.fetch(every_team)
    return [one for one in found if not one.team or (one.team in teams and sees(scope, teams[one.team]))]


async def check_alarm(visit: Visit, alarm: str, scope: Scope) -> None:
    """Raises ElsewhereError for an alarm that is not seen."""

    async def look(connection: AsyncConnection) -> tuple[str | None, str | None]:
        row = await _ALARM.one(connection, alarm=alarm)
        return (None, None) if row is None else (row[0], row[1])

    scope.check(*await visit.desk.services.store.fetch(look), "alarm", alarm[:32])


def note_elsewhere(visit: Visit, error: ElsewhereError) -> None:
    """Somebody asked for what is not theirs: into the security events, with who it was."""
    account = visit.session.account.id if visit.session else "nobody"
    visit.desk.services.security.note(
        "elsewhere", hub=None, path="console", detail=f"account {account}: {error.reason} {error.detail}"
    )


def note_forbidden(visit: Visit, what: str) -> None:
    """Somebody asked for what their role does not cover: into the security events, with who it was and which route."""
    account = visit.session.account.id if visit.session else "nobody"
    visit.desk.services.security.note("forbidden", hub=None, path="console", detail=f"account {account}: {what}")


async def note_named(visit: Visit, body: bytes) -> None:
    """A body was refused: whether it named what lies outside of where whoever sent it may do anything."""
    scope = visit.scope
    if scope.is_everything:
        return
    named = list(dict.fromkeys(found.decode() for found in _NAME.findall(body)))[:MOST_NAMED]

    async def look(connection: AsyncConnection) -> tuple[str, str] | None:
        for ref in named:
            rows = [row for row in await _WHERE.rows(connection, ref=ref) if row[1] is not None]
            if rows and not any(scope.covers(tenant, unit) for _, tenant, unit in rows):
                return str(rows[0][0]), ref
        return None

    found = await visit.desk.services.store.fetch(look)
    if found is not None:
        note_elsewhere(visit, ElsewhereError(found[0], found[1]))


async def visit_for(visit: Visit, session: Session | None) -> Visit:
    """The same visit for a session that has just begun."""
    if session is None:
        return replace(visit, session=None, access=None)
    account, now = session.account, visit.now_ms()
    access = await visit.desk.services.store.fetch(
        lambda connection: access_of(connection, account.id, account.role, now)
    )
    return replace(visit, session=session, access=access)


async def _seen(visit: Visit, scope: Scope) -> frozenset[str]:
    rows = await visit.desk.services.store.fetch(lambda connection: _HUBS.rows(connection, **scope.parameters))
    return frozenset(row[0] for row in rows)
