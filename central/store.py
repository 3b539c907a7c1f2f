"""The one way to the database: a prioritised writer and any number of readers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


class Priority(IntEnum):
    """Who goes first when several want to write."""

    ALARM = 0
    PEOPLE = 1
    UPKEEP = 2
    BULK = 3


class Store:
    """Open database. `write` is a transaction, committed at the end of the block; `transact` also retries."""

    @asynccontextmanager
    async def write(self, priority: Priority = Priority.PEOPLE) -> AsyncIterator[AsyncConnection]:
        """One transaction, alone on SQLite (BEGIN IMMEDIATE). Commits at the end, rolls back on an exception."""
        raise NotImplementedError
        yield

    async def transact(self, priority: Priority, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """`work` in one transaction, again on a serialization failure; not cancelled with the caller."""
        raise NotImplementedError

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with."""
        raise NotImplementedError
        yield
