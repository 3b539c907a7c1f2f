"""Where somebody is reached who is to be told something: looked up, and for next of kin opened, when it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from central.people.contacts import Contact
from central.sql import Sql

_TEAM = Sql("SELECT phone, email FROM team WHERE id = :team AND state = 'active'")
_ACCOUNT = Sql(
    """SELECT d.phone, d.email, coalesce(u.language, '') FROM duty_address d JOIN user_account u ON u.id = d.account
    WHERE d.account = :account AND u.state = 'active'"""
)
_PLACE = Sql(
    """SELECT coalesce(n.name, ''), coalesce((SELECT min(t.phone) FROM team t WHERE t.kind = 'centre'
       AND t.state = 'active' AND t.phone <> '' AND (t.tenant = a.tenant OR EXISTS
       (SELECT 1 FROM team_tenant s WHERE s.team = t.id AND s.tenant = a.tenant))), '')
    FROM alarm a LEFT JOIN tenant n ON n.id = a.tenant WHERE a.id = :alarm"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How somebody is reached. `language` empty: as their municipality."""

    phone: str = ""
    email: str = ""
    language: str = ""

    def __repr__(self) -> str:
        return "Reach(...)"  # must not get into a log by way of an exception


NOWHERE = Reach()


class Contacts(Protocol):
    """Who may open what is known of next of kin: `central.people.people.People`."""

    async def open_contact(self, connection: AsyncConnection, contact: str, alarm: str) -> Contact | None:
        """Open it for this alarm, in the caller's transaction, with its entry in the access log."""

    async def number_mark(self, connection: AsyncConnection, number: str) -> str:
        """By which a number that is not stored is known again, in the caller's transaction."""


async def reach_of(
    connection: AsyncConnection,
    contacts: Contacts,
    *,
    team: str | None,
    contact: str | None,
    alarm: str,
    account: str | None = None,
) -> Reach:
    """How whoever is meant is reached now; `NOWHERE` when there is no such team, contact or address any more."""
    if contact is not None:
        found = await contacts.open_contact(connection, contact, alarm)
        person = None if found is None else found.person
        if person is None:
            return NOWHERE
        return Reach(phone=person.phone.replace(" ", ""), email=person.email, language=person.language)
    if account is not None:
        row = await _ACCOUNT.one(connection, account=account)
        return NOWHERE if row is None else Reach(phone=row[0].replace(" ", ""), email=row[1], language=row[2])
    row = await _TEAM.one(connection, team=team or "")
    return NOWHERE if row is None else Reach(phone=row[0], email=row[1])


async def place_of(connection: AsyncConnection, alarm: str) -> tuple[str, str]:
    """The municipality of an alarm and the duty telephone of its centre; empty where there is none."""
    row = await _PLACE.one(connection, alarm=alarm)
    return ("", "") if row is None else (row[0], row[1])
