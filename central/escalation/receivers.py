"""Who a step of a plan turns to: teams with their duty telephones, or the resident's next of kin."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.notify.channel import Address
from central.notify.channels import promise_of
from central.people.contacts import Agreement
from central.routing.calendar import zone_or_usual
from central.routing.plan import ReceiverKind, Step
from central.routing.services import service_of
from central.sql import Row, Sql

log = structlog.get_logger()

HOUSE = ""
"""In the place of a team's id while no team is set up: everybody at every console."""

_COLUMNS = (
    "t.id, t.kind, t.phone, t.email,"
    " coalesce((SELECT n.language FROM tenant n WHERE n.id = coalesce(t.tenant, :tenant)), :default_language)"
)
_TEAM = Sql(f"SELECT {_COLUMNS} FROM team t WHERE t.id = :team AND t.state = 'active'")  # noqa: S608  # our own names
_CENTRES = Sql(
    f"""SELECT {_COLUMNS}, t.tenant = :tenant
        OR EXISTS (SELECT 1 FROM team_tenant s WHERE s.team = t.id AND s.tenant = :tenant)
    FROM team t WHERE t.kind = 'centre' AND t.state = 'active' ORDER BY t.id"""  # noqa: S608  # our own names
)
# Nobody's next of kin are called for an alarm of another municipality, whatever its hub says whose it is.
_CONTACTS = Sql(
    """SELECT c.id, c.agreement, coalesce((SELECT n.language FROM tenant n WHERE n.id = :tenant), :default_language)
    FROM contact c WHERE c.resident = :resident AND c.ended_ms IS NULL AND NOT EXISTS (SELECT 1 FROM resident r
      WHERE r.pseudonym = c.resident AND r.tenant <> :tenant AND :tenant <> '')
    ORDER BY c.position, c.id"""
)
DEFAULT_LANGUAGE = "nb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Somebody who is asked. A contact's number is sealed: it is opened when something is sent to it."""

    team: str | None = None
    kind: str = ""
    contact: str | None = None
    phone: str = ""
    email: str = ""
    language: str = DEFAULT_LANGUAGE

    def covers(self, on_duty: AbstractSet[str]) -> bool:
        """Whether one of the teams in a set is meant; without a team any is, and who serves the house serves all."""
        return self.contact is None and (
            bool(on_duty) if self.team is None else not on_duty.isdisjoint({self.team, HOUSE})
        )

    def can_be_told(self, channel: str) -> bool:
        """Whether there is an address for it."""
        match promise_of(channel).address:
            case Address.CONSOLE:
                return self.contact is None
            case Address.PHONE:
                return self.contact is not None or bool(self.phone)
            case Address.EMAIL:
                return self.contact is not None or bool(self.email)
            case Address.NONE:
                return False


async def receivers_of(
    connection: AsyncConnection, step: Step, *, tenant: str | None, resident: str | None, kind: str, now: int, zone: str
) -> list[Receiver]:
    """Everybody a step turns to now, in the order in which they are told."""
    place = {"tenant": tenant or "", "default_language": DEFAULT_LANGUAGE}
    match step.receiver:
        case ReceiverKind.TEAM:
            return await team_of(connection, step.team or "", tenant)
        case ReceiverKind.CENTRES:
            rows = await _CENTRES.rows(connection, **place)
            serving = [row for row in rows if row[5]] or rows  # a municipality that nobody serves: everybody does
            return [_team(row) for row in serving] or [Receiver()]
        case ReceiverKind.CONTACTS:
            rows = await _CONTACTS.rows(connection, resident=resident or "", **place)
            service = service_of(kind)
            return [
                Receiver(contact=contact, language=language)
                for contact, agreement, language in rows
                if _covers(agreement, service, kind, now, zone)
            ]


def _covers(agreement: str, service: str, kind: str, now: int, zone: str) -> bool:
    """Whether somebody has agreed to it. What cannot be read covers nothing: nobody is called at night by mistake."""
    try:
        return Agreement.model_validate_json(agreement).covers(service, kind, now, zone_or_usual(zone))
    except ValidationError as error:
        log.warning("agreement_unreadable", problems=error.error_count())
        return False


def _team(row: Row) -> Receiver:
    return Receiver(team=row[0], kind=row[1], phone=row[2], email=row[3], language=row[4])


async def team_of(connection: AsyncConnection, team: str, tenant: str | None) -> list[Receiver]:
    """A team as it is reached now; nobody when it is no more."""
    rows = await _TEAM.rows(connection, team=team, tenant=tenant or "", default_language=DEFAULT_LANGUAGE)
    return [_team(row) for row in rows]
