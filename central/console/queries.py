"""What stands behind the `?` of an address: only what the route knows, and each of it once.

A misspelt filter that is ignored answers another question than the one that was asked: a list of everybody looks like
a list of those who were sought. So pages and the API both say what was probably meant; a page has it as a link.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_origin
from urllib.parse import urlencode

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from central.errors import IncompleteError

SEALED = "s"
"""Holds a search by somebody's name, sealed: nobody has meant to type it."""


def check_query(request: Request) -> None:
    """Raises IncompleteError for a name the route does not know, or one that comes twice."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = dict(_known(route.dependant))
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            typed = {one: is_many for one, is_many in known.items() if one != SEALED}
            raise IncompleteError("unknown_query", name[:64], nearest(name, typed))
        if count > 1 and not known[name]:
            raise IncompleteError("twice", name)


def nearest(word: str, known: dict[str, bool]) -> tuple[str, ...]:
    """What was probably meant, or else everything there is."""
    return tuple(difflib.get_close_matches(word, known, n=1)) or tuple(sorted(known))


def ways_on(request: Request, field: str, choices: Sequence[str] = ()) -> tuple[str, str]:
    """What `field` was probably meant as (empty: nothing is near), and the address with that name or without any."""
    meant = choices[0] if len(choices) == 1 and choices[0] not in request.query_params else ""
    pairs = [
        (meant if name[:64] == field else name, value)
        for name, value in request.query_params.multi_items()
        if meant or name[:64] != field
    ]
    return meant, request.url.path + (f"?{urlencode(pairs)}" if pairs else "")


def _known(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The names that a route looks at, and whether each may come several times."""
    for field in dependant.query_params:
        yield field.alias, _is_many(field.field_info.annotation)
    for inner in dependant.dependencies:
        yield from _known(inner)


def _is_many(annotation: object) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, list | tuple | set | frozenset)
