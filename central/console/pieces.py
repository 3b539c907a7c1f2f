"""Long lists of the API come in pieces: `limit` rows, and in `next` what to ask on with as `after`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from central.errors import IncompleteError

T = TypeVar("T")
LIMIT = 200
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str, Query(max_length=64)]


def _id(row: Any) -> str:
    return str(row.id)


def piece(rows: Sequence[T], after: str, limit: int, key: Callable[[T], str] = _id) -> tuple[Sequence[T], str | None]:
    """The rows that come after the one named, and what to ask on with. Raises IncompleteError for one that is gone."""
    first = 0
    if after:
        known = next((at for at, row in enumerate(rows) if key(row) == after), None)
        if known is None:
            raise IncompleteError("unknown_cursor", "after")
        first = known + 1
    found = rows[first : first + limit]
    return found, key(found[-1]) if found and first + limit < len(rows) else None
