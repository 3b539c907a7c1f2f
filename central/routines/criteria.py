"""Priority criteria: the short list from which a responder says how serious an alarm turned out to be.

A list never changes: an edit is a new version of the tenant's list, and an alarm names version and criterion, so that
what was chosen last year still says what it said then. Version 0 is the list that comes with the product.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from central import event_log
from central.access import Scope
from central.console.catalogue import words
from central.errors import Conflict, IncompleteError
from central.people.tenants import check_tenant
from central.routines.listed import Lists
from central.routing.services import SERVICES
from central.sql import Row, Sql
from central.store import Priority
from central.views import Actor

MAX_CRITERIA = 16
MAX_TEXT = 120
MAX_WHY = 256

_COLUMNS = "tenant, version, content, written_ms, written_by, why"
_NEWEST = Sql(f"SELECT {_COLUMNS} FROM criteria_list WHERE tenant = :tenant ORDER BY version DESC LIMIT 1")  # noqa: S608
_AT = Sql(f"SELECT {_COLUMNS} FROM criteria_list WHERE tenant = :tenant AND version = :version")  # noqa: S608
_ALL = Sql(f"SELECT {_COLUMNS} FROM criteria_list WHERE tenant = :tenant ORDER BY version DESC LIMIT 50")  # noqa: S608
_ADD = Sql(
    """INSERT INTO criteria_list (tenant, version, content, written_ms, written_by, why)
    VALUES (:tenant, :version, :content, :now, :by, :why) ON CONFLICT DO NOTHING RETURNING version"""
)
_REF = re.compile(r"(\d{1,9})/([a-z][a-z0-9_]{0,31})")


class Level(StrEnum):
    """How much of a hurry it is."""

    LIFE = "life"
    URGENT = "urgent"
    SOON = "soon"
    CAN_WAIT = "can_wait"


class Criterion(BaseModel):
    """One criterion. `code` stays the same over all versions; without a `service` it holds for every one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", examples=["fallen"])]
    nb: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    en: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    level: Level
    service: Annotated[str, Field(max_length=16)] = ""

    def text(self, language: str) -> str:
        """In this language."""
        return self.en if language == "en" else self.nb


class CriteriaList(BaseModel):
    """All of a tenant's, in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1, max_length=MAX_CRITERIA)]

    def find(self, code: str) -> Criterion | None:
        """The one with this code."""
        return next((one for one in self.criteria if one.code == code), None)

    def of_service(self, service: str) -> tuple[Criterion, ...]:
        """Those that an alarm of this service is judged by."""
        return tuple(one for one in self.criteria if one.service in {"", service})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRow:
    """A version of a tenant's list. Version 0: nobody has written one."""

    tenant: str | None
    version: int
    content: CriteriaList
    is_shipped: bool
    written_ms: int = 0
    written_by: str = ""
    why: str = ""


class StaleListError(Conflict):
    """Somebody has written a newer version meanwhile. `theirs` is that; nothing was changed."""

    def __init__(self, theirs: ListRow, yours: int) -> None:
        current = {"version": theirs.version, **theirs.content.model_dump(mode="json")}
        super().__init__("stale_criteria", state=f"version {theirs.version}", current=current, yours={"version": yours})
        self.theirs = theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class CriteriaFault:
    """One thing that is wrong. `where` is a path such as `criteria.2.nb`."""

    where: str
    reason: str


class InvalidCriteriaError(IncompleteError):
    """A list that cannot be used; with all that is wrong with it."""

    def __init__(self, faults: Sequence[CriteriaFault]) -> None:
        super().__init__(faults[0].reason, faults[0].where)
        self.faults = tuple(faults)


_SHIPPED: tuple[tuple[str, Level], ...] = (
    ("life_threat", Level.LIFE),
    ("danger_around", Level.LIFE),
    ("acute_illness", Level.URGENT),
    ("fallen", Level.URGENT),
    ("no_contact", Level.URGENT),
    ("confused", Level.SOON),
    ("needs_care", Level.SOON),
    ("worried", Level.SOON),
    ("practical", Level.CAN_WAIT),
    ("no_need", Level.CAN_WAIT),
)


@cache
def shipped() -> CriteriaList:
    """The list that comes with the product, in the catalogue's words."""
    nb, en = words("nb"), words("en")
    return CriteriaList(
        criteria=tuple(
            Criterion(code=code, nb=nb(f"criterion.{code}"), en=en(f"criterion.{code}"), level=level)
            for code, level in _SHIPPED
        )
    )


def faults_of(criteria: Sequence[Criterion]) -> list[CriteriaFault]:
    """All that is wrong with a list beyond the shape of its parts."""
    found: list[CriteriaFault] = []
    codes: set[str] = set()
    said: dict[str, set[str]] = {"nb": set(), "en": set()}
    for number, one in enumerate(criteria):
        if one.code in codes:
            found.append(CriteriaFault(where=f"criteria.{number}.code", reason="twice"))
        codes.add(one.code)
        if one.service and one.service not in SERVICES:
            found.append(CriteriaFault(where=f"criteria.{number}.service", reason="unknown_service"))
        for language, texts in said.items():
            text = one.text(language).strip().casefold()
            if not text:
                found.append(CriteriaFault(where=f"criteria.{number}.{language}", reason="missing"))
            elif text in texts:
                found.append(CriteriaFault(where=f"criteria.{number}.{language}", reason="twice"))
            texts.add(text)
    return found


def ref_of(row: ListRow, criterion: Criterion) -> str:
    """How an alarm names it."""
    return f"{row.version}/{criterion.code}"


def parsed(ref: str) -> tuple[int, str] | None:
    """Version and code of what an alarm names; None where it names none."""
    found = _REF.fullmatch(ref)
    return (int(found[1]), found[2]) if found else None


async def current(connection: AsyncConnection, tenant: str | None) -> ListRow:
    """What holds now for a tenant."""
    row = await _NEWEST.one(connection, tenant=tenant) if tenant else None
    return _row(row) if row else ListRow(tenant=tenant, version=0, content=shipped(), is_shipped=True)


async def named(connection: AsyncConnection, tenant: str | None, ref: str) -> Criterion | None:
    """The criterion that an alarm of this tenant names, as it was worded then."""
    found = parsed(ref)
    if found is None:
        return None
    version, code = found
    if version == 0:
        return shipped().find(code)
    row = await _AT.one(connection, tenant=tenant or "", version=version)
    return _row(row).content.find(code) if row else None


class Criteria(Lists):
    """The lists of one central."""

    async def of(self, tenant: str, scope: Scope) -> ListRow:
        """What holds now. Raises NotFoundError."""
        return await self._read(tenant, scope, lambda connection: current(connection, tenant))

    async def versions(self, tenant: str, scope: Scope) -> Sequence[ListRow]:
        """All that were written, the newest first. Raises NotFoundError."""

        async def work(connection: AsyncConnection) -> list[ListRow]:
            return [_row(row) for row in await _ALL.rows(connection, tenant=tenant)]

        return await self._read(tenant, scope, work)

    async def write(
        self,
        actor: Actor,
        scope: Scope,
        tenant: str,
        content: CriteriaList | None,
        *,
        replaces: int,
        why: str = "",
    ) -> ListRow:
        """A new version in place of `replaces`; None goes back to the shipped list.

        Raises NotFoundError, InvalidCriteriaError, StaleListError.
        """
        if content is not None and (faults := faults_of(content.criteria)):
            raise InvalidCriteriaError(faults)
        now = self._clock.now_ms()

        async def work(connection: AsyncConnection) -> ListRow:
            # The log's counter is locked from here to the commit: whoever writes at the same time waits.
            told = {"tenant": tenant, "list_version": replaces + 1}
            what = "criteria_written" if content is not None else "criteria_reset"
            await event_log.append(connection, now, what, actor, content=told)
            await check_tenant(connection, scope, tenant)
            newest = await current(connection, tenant)
            if newest.version != replaces or not await _ADD.one(
                connection,
                tenant=tenant,
                version=replaces + 1,
                content="" if content is None else content.model_dump_json(),
                now=now,
                by=actor.id,
                why=why.strip()[:MAX_WHY],
            ):
                raise StaleListError(newest, replaces)
            return await current(connection, tenant)

        return await self._store.transact(Priority.PEOPLE, work)


def _row(row: Row) -> ListRow:
    tenant, version, content, written_ms, written_by, why = row
    return ListRow(
        tenant=tenant,
        version=version,
        content=CriteriaList.model_validate_json(content) if content else shipped(),
        is_shipped=not content,
        written_ms=written_ms,
        written_by=written_by,
        why=why,
    )
