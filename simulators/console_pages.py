"""Every page the console has, read from its routes: who may open it, and where to find one of its kind.

A route that is added later is found by itself. One with a new name in its path needs an example in `EXAMPLES`, and
whoever asks for the pages is told so.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import text

from central.app import create_console_app
from central.console.gate import Needs
from central.console.roles import ALLOWED, Role
from central.console.routes import UNGUARDED, api_routes, guards
from central.services import Services

FIRST = (Role.LEAD, Role.RESPONDER, Role.TECHNICIAN, Role.ADMINISTRATOR, Role.INSTALLER)
"""Who opens a page that several may open."""

_NAME = re.compile(r"\{(\w+)(?::\w+)?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolePage:
    """One page: its route, and the role that opens it. None: anybody, signed in or not."""

    route: str
    role: Role | None

    @property
    def name(self) -> str:
        """For files and test ids."""
        return re.sub(r"[^a-z0-9]+", "-", self.route.lower()).strip("-") or "queue"


class NoExampleError(LookupError):
    """A page has a name in its path that nobody has given an example for."""


class NoneYetError(NoExampleError):
    """There is nothing of its kind in this database."""


async def _link(_: Services) -> str:
    return "0" * 32


def _word(word: str) -> Callable[[Services], Awaitable[str]]:
    async def look(_: Services) -> str:
        return word

    return look


def _first(query: str) -> Callable[[Services], Awaitable[str]]:
    async def look(services: Services) -> str:
        async with services.store.read() as connection:
            found = (await connection.execute(text(query))).scalar()
        if found is None:
            raise NoneYetError(query)
        return str(found)

    return look


_WITH_ALL = """(SELECT pseudonym FROM resident r ORDER BY
    EXISTS (SELECT 1 FROM contact c WHERE c.resident = r.pseudonym AND c.ended_ms IS NULL) DESC, pseudonym LIMIT 1)"""
"""Whoever has somebody to call: of them there is something on every page."""

EXAMPLES: Mapping[str, Callable[[Services], Awaitable[str]]] = {
    "alarm_id": _first(
        "SELECT id FROM alarm WHERE queue = 'personal' ORDER BY closed_ms IS NOT NULL, rank, id LIMIT 1"
    ),
    "hub_id": _first("SELECT id FROM hub ORDER BY id LIMIT 1"),
    "account_id": _first("SELECT id FROM user_account ORDER BY id LIMIT 1"),
    "resident_id": _first(f"SELECT pseudonym FROM resident WHERE pseudonym = {_WITH_ALL}"),  # noqa: S608  # our own words
    "contact_id": _first(
        f"SELECT id FROM contact WHERE ended_ms IS NULL AND resident = {_WITH_ALL} ORDER BY position LIMIT 1"  # noqa: S608
    ),
    "service_id": _first(f"SELECT id FROM service WHERE resident = {_WITH_ALL} ORDER BY id LIMIT 1"),  # noqa: S608
    "visit_id": _first(f"SELECT id FROM visit WHERE resident = {_WITH_ALL} ORDER BY id LIMIT 1"),  # noqa: S608
    "tenant_id": _first("SELECT id FROM tenant ORDER BY name LIMIT 1"),
    "card_id": _first("SELECT id FROM routine_card WHERE state = 'active' ORDER BY id LIMIT 1"),
    "plan_id": _first("SELECT id FROM plan ORDER BY id LIMIT 1"),
    "team_id": _first("SELECT id FROM team ORDER BY id LIMIT 1"),
    "incident_id": _first("SELECT id FROM incident ORDER BY id LIMIT 1"),
    "token": _link,
    "part": _word("units"),
}


def page_routes(services: Services) -> list[ConsolePage]:
    """All routes that answer GET outside the JSON API, parts of pages among them."""
    found = {}
    for route in api_routes(create_console_app(services).routes):
        if "GET" not in (route.methods or ()) or route.path.startswith("/api/") or route.path in UNGUARDED:
            continue
        needs = next((guard for guard in guards(route.dependant) if isinstance(guard, Needs)), None)
        role = next((role for role in FIRST if role in ALLOWED[needs.action]), None) if needs else None
        found[route.path] = ConsolePage(route=route.path, role=role)
    return [found[path] for path in sorted(found)]


async def address(page: ConsolePage, services: Services) -> str:
    """The page's path with an example of what it is about. Raises NoExampleError."""
    return await address_of(page.route, services)


async def address_of(route: str, services: Services) -> str:
    """Any route's path with an example of what it is about. Raises NoExampleError."""
    path = route
    for name in _NAME.findall(route):
        if name not in EXAMPLES:
            raise NoExampleError(f"{route}: give {name} an example in simulators/console_pages.py")
        path = re.sub(rf"\{{{name}(:\w+)?\}}", await EXAMPLES[name](services), path)
    return path
