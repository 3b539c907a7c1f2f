"""The routes of the application and their guards, as those see them who look at all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from central.console.gate import Needs, Open

UNGUARDED = frozenset({"/static", "/api/openapi.json", "/api/v1/openapi.json"})
"""Files and the description of the API: the same for everybody, and nothing about anybody."""


def guards(dependant: Dependant) -> Iterator[Needs | Open]:
    """The guards among a route's dependencies."""
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, Needs | Open):
            yield dependency.call
        yield from guards(dependency)


def api_routes(routes: Iterable[BaseRoute]) -> Iterator[APIRoute]:
    """Every route of ours, also those of included routers. Raises RuntimeError for anything it cannot look into."""
    for route in routes:
        included = getattr(route, "original_router", None)
        if isinstance(route, APIRoute):
            yield route
        elif isinstance(included, APIRouter):
            yield from api_routes(included.routes)
        elif getattr(route, "path", None) not in UNGUARDED:
            raise RuntimeError(f"{route!r} is no route that can be guarded")
