"""Whom an alarm can be handed to, who can be sent: the people and teams that its acts may name."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from central.alarms.acting import Acting
from central.alarms.handing_over import ANSWER_PERSONAL, ANSWER_TECHNICAL
from central.alarms.rows import load
from central.lifecycle import GOERS, Queue
from central.sql import Sql
from central.views import Actor

_TEAMS = Sql(
    """SELECT t.id, t.name, t.kind FROM team t WHERE t.state = 'active'
    AND (t.tenant IS NULL OR CAST(:tenant AS VARCHAR(16)) IS NULL OR t.tenant = :tenant
      OR EXISTS (SELECT 1 FROM team_tenant s WHERE s.team = t.id AND s.tenant = :tenant))
    ORDER BY t.name LIMIT 200"""
)
_PEOPLE = Sql(
    """SELECT id, name, role FROM user_account WHERE state = 'active' AND id <> :me
    AND (CAST(:tenant AS VARCHAR(16)) IS NULL
      OR NOT EXISTS (SELECT 1 FROM assignment a WHERE a.account = user_account.id)
      OR EXISTS (SELECT 1 FROM assignment a WHERE a.account = user_account.id
        AND (a.tenant IS NULL OR a.tenant = :tenant)))
    ORDER BY name LIMIT 500"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A person or a team."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What can be chosen for one alarm. `patrols` go, `teams` and `people` may take over."""

    patrols: tuple[Choice, ...] = ()
    teams: tuple[Choice, ...] = ()
    people: tuple[Choice, ...] = ()


class Choosing(Acting):
    """Before an act."""

    async def choices(self, alarm_id: str, actor: Actor) -> Choices:
        """Who may be named. Raises NotFoundError."""

        async def look(connection: AsyncConnection) -> Choices:
            alarm = await load(connection, alarm_id)
            is_personal = alarm.queue is Queue.PERSONAL
            teams = await _TEAMS.rows(connection, tenant=alarm.tenant)
            roles = ANSWER_PERSONAL if is_personal else ANSWER_TECHNICAL
            people = await _PEOPLE.rows(connection, me=actor.id, tenant=alarm.tenant)
            return Choices(
                patrols=tuple(Choice(id=row[0], name=row[1]) for row in teams if is_personal and row[2] in GOERS),
                teams=tuple(
                    Choice(id=row[0], name=row[1]) for row in teams if not is_personal or row[2] != "technical"
                ),
                people=tuple(Choice(id=row[0], name=row[1]) for row in people if row[2] in roles),
            )

        return await self._store.fetch(look)
