"""A connection to a database in a thread of its own: each piece of work is one hop there and back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import aiosqlite

from gateway.journal.database import damage

T = TypeVar("T")
P = ParamSpec("P")


class Link:
    """Work is done in the order given and is never broken off: whoever stops waiting does not know the outcome."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, connector: Callable[[], sqlite3.Connection]) -> Link:
        """Open a connection by calling `connector` in the new thread. Raises what it raises."""
        return cls(await aiosqlite.Connection(connector, 64))

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` with the connection, in its thread.

        aiosqlite's public methods are one hop per statement; a whole transaction in one hop is possible through this
        private one only. Raises what `work` raises, and sqlite3.ProgrammingError when the link is closed.
        """
        inner = self._connection
        hop: Any = inner._execute  # noqa: SLF001  # see above
        try:
            result: T = await hop(work, inner._conn, *args, **kwargs)  # noqa: SLF001  # see above
        except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
            raise damage("its schema is damaged") from error
        except ValueError as error:  # how aiosqlite says that it is closed
            raise sqlite3.ProgrammingError(str(error)) from None
        return result

    async def close(self) -> None:
        """Finish what was given and end the thread. Raises nothing."""
        try:
            await self._connection.close()
        except (sqlite3.Error, ValueError):  # a damaged file may not like to be closed; the thread has ended anyway
            return
