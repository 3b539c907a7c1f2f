"""A long list shown in pages of a hundred, with a field to find one by its name.

What is sought stands in the address, except where it is the name of a person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Query

from central.console.hidden_search import HiddenSearch
from central.console.queries import SEALED

T = TypeVar("T")
PAGE = 100

Sought = Annotated[str, Query(alias="q", max_length=64)]
PageNo = Annotated[int, Query(alias="page", ge=1, le=100_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf(Generic[T]):
    """One page of those that were sought. `number` counts from 1."""

    rows: Sequence[T]
    path: str
    sought: str
    number: int
    total: int
    everything: int
    hidden: HiddenSearch | None = None
    """People are sought here: their names stay out of the address."""

    @property
    def first(self) -> int:
        """Of the rows shown, counted from 1."""
        return (self.number - 1) * PAGE + 1

    @property
    def last(self) -> int:
        """Of the rows shown."""
        return self.first + len(self.rows) - 1

    def _to(self, number: int) -> str:
        if self.hidden is not None:
            asked = {SEALED: self.hidden.sealed} if self.hidden.sealed else {}
        else:
            asked = {"q": self.sought} if self.sought else {}
        return f"{self.path}?{urlencode(asked | {'page': number})}"

    @property
    def before(self) -> str:
        """Where the page before is; empty on the first."""
        return self._to(self.number - 1) if self.number > 1 else ""

    @property
    def after(self) -> str:
        """Where the next page is; empty on the last."""
        return self._to(self.number + 1) if self.last < self.total else ""


def page_of(
    everything: Sequence[T], path: str, asked: str | HiddenSearch, number: int, text_of: Callable[[T], str]
) -> PageOf[T]:
    """The rows whose text has all words that were typed; past the end stands the last page."""
    sought = asked if isinstance(asked, str) else asked.words
    words = sought.replace("\x00", "").casefold().split()
    found = (
        [row for row in everything if all(word in text_of(row).casefold() for word in words)] if words else everything
    )
    number = min(number, max(1, -(-len(found) // PAGE)))
    return PageOf(
        rows=found[(number - 1) * PAGE : number * PAGE],
        path=path,
        sought=" ".join(sought.replace("\x00", "").split()),
        number=number,
        total=len(found),
        everything=len(everything),
        hidden=None if isinstance(asked, str) else asked,
    )
