"""A connection to a database in a thread of its own: each piece of work is one hop there and back."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

from gateway.journal.database import damage

T = TypeVar("T")
P = ParamSpec("P")


class Link:
    """Work is done in the order given and is never broken off: whoever stops waiting does not know the outcome.

    No exit waits for the thread: a card that hangs must not hold the process.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False
        threading.Thread(target=self._run, name="journal-link", daemon=True).start()

    @classmethod
    async def open(cls, connector: Callable[[], sqlite3.Connection]) -> Link:
        """Open a connection by calling `connector` in the new thread. Raises what it raises."""
        link = cls()

        def connect() -> None:
            link._connection = connector()

        try:
            await link._hop(connect)
        except BaseException:
            link._is_closed = True
            link._end()
            raise
        return link

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `work` with the connection, in its thread.

        Raises what `work` raises, and sqlite3.ProgrammingError when the link is closed.
        """
        connection = self._connection
        if self._is_closed or connection is None:
            raise sqlite3.ProgrammingError("the connection is closed")
        try:
            return await self._hop(lambda: work(connection, *args, **kwargs))
        except UnicodeDecodeError as error:  # what SQLite says of a damaged schema quotes it
            raise damage("its schema is damaged") from error

    async def close(self) -> None:
        """Finish what was given and end the thread. Raises nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        closed = asyncio.get_running_loop().create_future()
        self._work.put((closed, self._close_connection))
        self._work.put(None)
        await closed

    def _end(self) -> None:
        """The same for one that nobody waits for."""
        self._work.put((asyncio.get_running_loop().create_future(), self._close_connection))
        self._work.put(None)

    def _close_connection(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):  # a damaged file may not like to be closed
                self._connection.close()
            self._connection = None

    async def _hop(self, work: Callable[[], T]) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._work.put((future, work))
        return await future

    def _run(self) -> None:
        while (task := self._work.get()) is not None:
            future, work = task
            result, error = None, None
            try:
                result = work()
            except Exception as failure:  # noqa: BLE001  # it is the caller's, whatever it is
                error = failure
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_answer, future, result, error)
            del task, future, work, result, error


def _answer(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
