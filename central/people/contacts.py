"""Whom to call about a resident, in which order, and what was agreed with them (requirement: a documented agreement).

Name, relation, telephone and language are sealed. The agreement is not: routing asks it whether somebody may be told,
without opening anything.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from central.errors import IncompleteError
from central.people.vault import ResidentKey
from central.routing.plan import WeekHours, local_time
from central.routing.services import SERVICES
from central.sql import Row, Sql
from cloud_sync.identity import new_id

MAX_CONTACTS = 20
_KIND = "contact"

_CURRENT = Sql(
    """SELECT id, position, sealed, agreement, source, as_of_ms, version FROM contact
    WHERE resident = :resident AND ended_ms IS NULL ORDER BY position, id"""
)
_ONE = Sql(
    """SELECT id, position, sealed, agreement, source, as_of_ms, version, resident FROM contact
    WHERE id = :id AND ended_ms IS NULL"""
)
_CHANGE = Sql(
    """UPDATE contact SET sealed = :sealed, agreement = :agreement, source = :source, as_of_ms = :as_of,
       written_ms = :now, written_by = :by, version = version + 1
    WHERE id = :id AND resident = :resident AND version = :version AND ended_ms IS NULL RETURNING version"""
)
_KEEP = Sql(
    """INSERT INTO contact (id, resident, position, sealed, agreement, source, as_of_ms, written_ms, written_by,
       ended_ms, ended_by, version)
    SELECT :new, resident, position, :sealed, agreement, source, as_of_ms, written_ms, written_by, :now, :by, version
    FROM contact WHERE id = :id"""
)
_END_ALL = Sql(
    "UPDATE contact SET ended_ms = :now, ended_by = :by WHERE resident = :resident AND ended_ms IS NULL RETURNING id"
)
_END = Sql(
    """UPDATE contact SET ended_ms = :now, ended_by = :by
    WHERE resident = :resident AND id = :id AND ended_ms IS NULL RETURNING id"""
)
_MOVE = Sql("UPDATE contact SET position = :position WHERE id = :id AND ended_ms IS NULL")
_ADD = Sql(
    """INSERT INTO contact (id, resident, position, sealed, agreement, source, as_of_ms, written_ms, written_by)
    VALUES (:id, :resident, :position, :sealed, :agreement, :source, :as_of, :now, :by)"""
)


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Agreement(_Value):
    """What somebody has agreed to. Without services nothing: a person to call by hand, whom no plan tells."""

    services: tuple[Literal["TA", "DT", "RT", "MD", "GPS", "DHO"], ...] = ()
    kinds: tuple[Annotated[str, Field(max_length=32)], ...] = ()
    """Alarm kinds; empty: all of the services."""
    hours: tuple[WeekHours, ...] = ()
    """Empty: at every hour."""
    from_day: date | None = None
    to_day: date | None = None
    document: Annotated[str, Field(max_length=64)] = ""
    """The municipality's own reference of the document."""

    def covers(self, service: str, kind: str, at_ms: int, zone: ZoneInfo) -> bool:
        """Whether they may be told of such an alarm at that instant."""
        if service not in self.services or (self.kinds and kind not in self.kinds):
            return False
        day = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone).date()
        if (self.from_day and day < self.from_day) or (self.to_day and day > self.to_day):
            return False
        return not self.hours or any(hours.covers(*local_time(at_ms, zone)) for hours in self.hours)


class Person(_Value):
    """Who it is. Sealed."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    relation: Annotated[str, Field(max_length=64)] = ""
    phone: Annotated[str, Field(max_length=32, pattern=r"^(\+?[0-9 ]{3,24})?$")] = ""
    email: Annotated[str, Field(max_length=254, pattern=r"^([^@\s]+@[^@\s]+)?$")] = ""
    language: Literal["nb", "en", ""] = ""

    def __repr__(self) -> str:
        return "Person(...)"  # must not get into a log by way of an exception

    __str__ = __repr__


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One contact. `person` None: sealed, and not opened."""

    id: str
    position: int
    person: Person | None
    agreement: Agreement
    source: str
    as_of_ms: int
    version: int


async def contacts_of(connection: AsyncConnection, key: ResidentKey | None, resident: str) -> tuple[Contact, ...]:
    """In their order; with a key opened, without one as routing sees them."""
    return tuple(_contact(row, key) for row in await _CURRENT.rows(connection, resident=resident))


async def whose(connection: AsyncConnection, contact: str) -> str | None:
    """The resident that a current contact belongs to."""
    row = await _ONE.one(connection, id=contact)
    return None if row is None else str(row[7])


async def one(connection: AsyncConnection, key: ResidentKey, contact: str) -> Contact | None:
    """A current contact, opened: for whoever is about to call or to send a message."""
    row = await _ONE.one(connection, id=contact)
    return None if row is None else _contact(row[:7], key)


def _contact(row: Row, key: ResidentKey | None) -> Contact:
    contact_id, position, sealed, agreement, source, as_of_ms, version = row
    opened = None if key is None else Person.model_validate_json(key.open(contact_id, _KIND, sealed))
    return Contact(
        id=contact_id,
        position=position,
        person=opened,
        agreement=Agreement.model_validate_json(agreement),
        source=source,
        as_of_ms=as_of_ms,
        version=version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A contact as somebody wants it."""

    person: Person
    agreement: Agreement


async def replace(
    connection: AsyncConnection,
    key: ResidentKey,
    entries: Sequence[Entry],
    *,
    source: str,
    as_of_ms: int,
    by: str,
    now: int,
) -> bool:
    """These, in this order, and no others. Returns whether anything has changed: the same list again does not."""
    if len(entries) > MAX_CONTACTS:
        raise IncompleteError("too_many", "contacts")
    before = await contacts_of(connection, key, key.resident)
    if [(one.person, one.agreement) for one in before] == [(entry.person, entry.agreement) for entry in entries]:
        return False
    await _END_ALL.rows(connection, resident=key.resident, now=now, by=by)
    for position, entry in enumerate(entries, start=1):
        await _add(connection, key, entry, position, source=source, as_of_ms=as_of_ms, by=by, now=now)
    return True


async def add(
    connection: AsyncConnection, key: ResidentKey, entry: Entry, *, source: str, as_of_ms: int, by: str, now: int
) -> str:
    """One more, last in the order. Returns its id."""
    known = await _CURRENT.rows(connection, resident=key.resident)
    if len(known) >= MAX_CONTACTS:
        raise IncompleteError("too_many", "contacts")
    position = max((row[1] for row in known), default=0) + 1
    return await _add(connection, key, entry, position, source=source, as_of_ms=as_of_ms, by=by, now=now)


async def change(
    connection: AsyncConnection,
    key: ResidentKey,
    contact: str,
    version: int,
    entry: Entry,
    *,
    source: str,
    as_of_ms: int,
    by: str,
    now: int,
) -> bool | None:
    """Another telephone, another agreement: the same contact, and the older one in the history beside it.

    Returns whether anything has changed; None when that version is not theirs any more.
    """
    row = await _ONE.one(connection, id=contact)
    if row is None or row[7] != key.resident or row[6] != version:
        return None
    before = _contact(row[:7], key)
    if before.person is not None and (before.person, before.agreement) == (entry.person, entry.agreement):
        return False
    kept = new_id().hex()
    opened = key.open(contact, _KIND, row[2])
    await _KEEP.rows(connection, id=contact, new=kept, sealed=key.seal(kept, _KIND, opened), now=now, by=by)
    changed = await _CHANGE.one(
        connection,
        id=contact,
        resident=key.resident,
        version=version,
        sealed=key.seal(contact, _KIND, entry.person.model_dump_json()),
        agreement=entry.agreement.model_dump_json(),
        source=source,
        as_of=as_of_ms,
        now=now,
        by=by,
    )
    return changed is not None or None


async def end(connection: AsyncConnection, resident: str, contact: str, *, by: str, now: int) -> bool:
    """This one no longer. Returns whether it was one of theirs."""
    return await _END.one(connection, resident=resident, id=contact, by=by, now=now) is not None


async def earlier(connection: AsyncConnection, resident: str, contact: str) -> bool:
    """One place up in the order. Returns whether it moved."""
    order = [row[0] for row in await _CURRENT.rows(connection, resident=resident)]
    if contact not in order or order.index(contact) == 0:
        return False
    place = order.index(contact)
    order[place - 1], order[place] = order[place], order[place - 1]
    for position, one_id in enumerate(order, start=1):
        await _MOVE.rows(connection, id=one_id, position=position)
    return True


async def _add(
    connection: AsyncConnection,
    key: ResidentKey,
    entry: Entry,
    position: int,
    *,
    source: str,
    as_of_ms: int,
    by: str,
    now: int,
) -> str:
    contact_id = new_id().hex()
    await _ADD.rows(
        connection,
        id=contact_id,
        resident=key.resident,
        position=position,
        sealed=key.seal(contact_id, _KIND, entry.person.model_dump_json()),
        agreement=entry.agreement.model_dump_json(),
        source=source,
        as_of=as_of_ms,
        now=now,
        by=by,
    )
    return contact_id


def check_reachable(entry: Entry) -> None:
    """Whoever has agreed to be told of alarms can be told. Raises IncompleteError."""
    if entry.agreement.services and not (entry.person.phone or entry.person.email):
        raise IncompleteError("unreachable", "phone")


def entry_from(raw: object) -> Entry:
    """A contact from plain values: those of a person, and `agreement`. Raises IncompleteError that names the field."""
    if not isinstance(raw, dict):
        raise IncompleteError("not_an_object", "contacts")
    values = dict(raw)
    agreement = values.pop("agreement", {})
    try:
        return Entry(
            person=Person.model_validate_json(json.dumps(values)),
            agreement=Agreement.model_validate_json(json.dumps(agreement)),
        )
    except ValidationError as error:
        # Only the place and the kind of fault: pydantic's own text carries what was typed.
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "contact"
        choices = SERVICES if first["loc"][:1] == ("services",) else ()
        raise IncompleteError(str(first["type"]), f"contacts.{field}", choices) from None
