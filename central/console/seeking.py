"""A field that names one of many: a list while everything fits on one, else typed words that find it.

Without a script what was typed goes along with its form, and one hit is the answer; of several one is chosen on the
page that comes back. The page's script asks for the same hits while somebody writes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Form, Response
from sqlalchemy.ext.asyncio import AsyncConnection

from central.access import ACCOUNT_IN_SCOPE, Scope
from central.console.gate import Visit
from central.console.rendering import page
from central.errors import IncompleteError
from central.hubs import Listed
from central.people.tenants import Tenant, tenants
from central.sql import Sql

MOST_LISTED = 50
MOST_FOUND = 12
_IS_ID = re.compile(r"[0-9a-f]{16,32}(:[0-9a-f]{16})?")
Words = Annotated[str, Form(alias="q", max_length=128)]
"""In a body: the names of people stay out of addresses."""

_ACCOUNTS = Sql(
    f"SELECT u.id, u.name FROM user_account u WHERE u.state = 'active' AND {ACCOUNT_IN_SCOPE} LIMIT :most"  # noqa: S608
)
_ALL = 2**31 - 1


_UNITS = Sql("SELECT id, tenant, name FROM unit ORDER BY name")


@dataclass(frozen=True, slots=True)
class Choice:
    """One of those that a field may name. `text` tells it from all the others."""

    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seek:
    """The field as it stands: all choices where they fit on a list, and those that what was typed may mean."""

    pool: Sequence[Choice]
    where: str
    typed: str = ""
    also: Sequence[Choice] = ()
    """What stands beside the search, because it is none of many."""

    @property
    def is_listed(self) -> bool:
        """They fit on a list."""
        return len(self.pool) <= MOST_LISTED

    @property
    def text(self) -> str:
        """What stands in the field: the name of what was chosen, or what was typed."""
        if not self.typed or any(one.id == self.typed for one in self.also):
            return ""
        return next((one.text for one in self.pool if one.id == self.typed), self.typed)

    @property
    def hits(self) -> Sequence[Choice]:
        """What it may mean, where that is not one alone."""
        if self.is_listed or not self.typed or chosen(self.pool, self.typed):
            return ()
        return found_in(self.pool, self.typed)[:MOST_FOUND]

    @property
    def count(self) -> int:
        """How many it may mean."""
        return len(found_in(self.pool, self.typed))


def found_in(pool: Sequence[Choice], typed: str) -> Sequence[Choice]:
    """Those with all the words: first the ones that begin so. Nothing is found by nothing."""
    wanted = " ".join(typed.replace("\x00", "").casefold().split())
    if not wanted:
        return ()
    words = wanted.split()
    hits = [(one.text.casefold(), one) for one in pool]
    hits = [(text, one) for text, one in hits if all(word in text for word in words)]
    return [one for _, one in sorted(hits, key=lambda hit: (not hit[0].startswith(wanted), hit[0]))]


def chosen(pool: Sequence[Choice], typed: str) -> Choice | None:
    """The one that is meant: by its id, by its whole text, or because no other has these words."""
    if any(one.id == typed for one in pool):
        return next(one for one in pool if one.id == typed)
    hits = found_in(pool, typed)
    wanted = " ".join(typed.casefold().split())
    exact = [one for one in hits if one.text.casefold() == wanted]
    return exact[0] if len(exact) == 1 else hits[0] if len(hits) == 1 else None


def meant(pool: Sequence[Choice], typed: str) -> str:
    """The id of the one that is meant, or else what was typed, for whoever says that there is no such thing."""
    found = chosen(pool, typed)
    return typed if found is None else found.id


class UnclearError(IncompleteError):
    """What was typed means none, or several; `seek` says which."""

    def __init__(self, field: str, seek: Seek) -> None:
        super().__init__("unclear", field)
        self.seek = seek


def clear(pool: Sequence[Choice], typed: str, field: str) -> str:
    """The id of the one that is meant; an id of something else is left to whoever looks it up. Raises UnclearError."""
    wanted = meant(pool, typed)
    if wanted == typed and not _IS_ID.fullmatch(typed) and all(one.id != typed for one in pool):
        raise UnclearError(field, Seek(pool=pool, where="", typed=typed))
    return wanted


def not_found_text(visit: Visit, field: Seek, fallback: str) -> str:
    """Why nothing was chosen: several have these words, nothing has, or nothing was typed."""
    if field.is_listed or not field.typed:
        return fallback
    if field.count:
        return visit.words("seek.several", n=visit.figures.number(field.count), sought=field.text)
    return visit.words("seek.none", sought=field.text)


def hits_part(visit: Visit, pool: Sequence[Choice], typed: str) -> Response:
    """What the page's script shows under the field while somebody writes."""
    found = found_in(pool, typed)
    return page(visit, "_found.html", found=found[:MOST_FOUND], count=len(found), sought=" ".join(typed.split()))


async def accounts_in(visit: Visit, scope: Scope, most: int | None = None) -> list[Choice]:
    """Those who may sign in and have a role in this part, or everywhere; any so many of them, where that is enough."""

    async def look(connection: AsyncConnection) -> list[Choice]:
        return [Choice(*row) for row in await _ACCOUNTS.rows(connection, **scope.parameters, most=most or _ALL)]

    return by_text(await visit.desk.services.store.fetch(look))


async def units_in(connection: AsyncConnection, scope: Scope, tenant: str | None = None) -> list[tuple[str, Choice]]:
    """Units that are seen, with whose they are; of one municipality or of all."""
    return [
        (row[1], Choice(row[0], row[2]))
        for row in await _UNITS.rows(connection)
        if tenant in {None, row[1]} and scope.covers(row[1], row[0])
    ]


def sites_of(own: Sequence[Tenant], units: Iterable[tuple[str, Choice]]) -> list[Choice]:
    """Municipalities and what lies in them: TENANT, or TENANT:UNIT."""
    within: dict[str, list[Choice]] = {}
    for whose, unit in units:
        within.setdefault(whose, []).append(unit)
    found = []
    for tenant in own:
        found.append(Choice(tenant.id, tenant.name))
        found += [Choice(f"{tenant.id}:{one.id}", f"{tenant.name}, {one.text}") for one in within.get(tenant.id, ())]
    return found


async def sites(visit: Visit, scope: Scope) -> list[Choice]:
    """All of them that are seen."""

    async def look(connection: AsyncConnection) -> list[Choice]:
        return sites_of(await tenants(connection, scope), await units_in(connection, scope))

    return await visit.desk.services.store.fetch(look)


def hubs_named(hubs: Iterable[Listed]) -> list[Choice]:
    """Hubs by their labels; those that share one with its id."""
    known = list(hubs)
    labels = Counter(hub.label for hub in known)
    return by_text(
        Choice(hub.id, hub.label if hub.label and labels[hub.label] == 1 else f"{hub.label} {hub.id}".strip())
        for hub in known
    )


def by_text(choices: Iterable[Choice]) -> list[Choice]:
    """As a list shows them."""
    return sorted(choices, key=lambda one: one.text.casefold())
