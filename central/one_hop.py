"""Whole transactions on SQLite in one hop to a thread and back.

An aiosqlite connection crosses to its thread and back once per statement. An alarm takes a dozen statements, and on a
busy machine each crossing waits for a turn on the processor: that cost an alarm several times its fsync. Here the
coroutine that makes up the transaction is itself run in the thread that holds the connection. Everything it awaits is
the connection, which answers at once, so it comes to its end without ever being suspended.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central.errors import GaveWayError
from central.straight import driver_of

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]
IsWanted = Callable[[], bool]
"""Whether somebody more urgent wants to write. Is asked in the thread."""
STATEMENTS = 512
"""Kept prepared by each connection: all that central has, in all their shapes."""


class HereConnection(aiosqlite.Connection):
    """An aiosqlite connection without a thread of its own: everything is done in the caller's, at once."""

    def __init__(self, file: Path) -> None:
        # May be closed by the thread that ends the pool; it is never used by two at a time.
        super().__init__(
            partial(sqlite3.connect, file, isolation_level=None, check_same_thread=False, cached_statements=STATEMENTS),
            64,
        )
        self.is_wanted: IsWanted | None = None
        """Asked before each statement: with yes the transaction ends there."""

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._connect().__await__()

    async def _connect(self) -> aiosqlite.Connection:
        self._connection = self._connector()
        return self

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._connection is None:
            raise ValueError("Connection closed")  # as aiosqlite says it
        return fn(*args, **kwargs)

    def rows(self, text: str, parameters: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
        """Execute and fetch without a detour: what an alarm's dozen statements do."""
        return self._free().execute(text, parameters).fetchall()

    def many(self, text: str, parameters: Sequence[Sequence[Any]]) -> None:
        """Execute it once per row."""
        self._free().executemany(text, parameters)

    def _free(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("Connection closed")
        if self.is_wanted is not None and self.is_wanted():
            raise GaveWayError
        return self._connection

    async def close(self) -> None:
        """Close it; closing again does nothing."""
        self.stop()

    def stop(self) -> None:
        """The same without waiting."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for nothing. Raises RuntimeError when it does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    coroutine.close()
    raise RuntimeError("a transaction may wait for its connection and for nothing else")


class OneHop:
    """Threads, each with a connection of its own to the engine's database."""

    def __init__(self, engine: AsyncEngine, threads: int, name: str) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._own = threading.local()
        self._connecting = threading.Lock()
        self._connections: list[AsyncConnection] = []

    async def run(self, work: Work[T], is_wanted: IsWanted | None = None) -> T:
        """`work` in a transaction of its own, committed when it ends and rolled back when it raises.

        It runs to its end in the thread, also when the caller has left. Raises GaveWayError, before any of its
        statements, when it `is_wanted` that somebody else goes first.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(copy_context().run, self._run, work, is_wanted))

    def _run(self, work: Work[T], is_wanted: IsWanted | None) -> T:
        return run_here(self._transaction(work, is_wanted))

    async def _transaction(self, work: Work[T], is_wanted: IsWanted | None) -> T:
        connection: AsyncConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            with (
                self._connecting
            ):  # a pool's first connection is made under a lock that only an event loop could wait for
                connection = self._own.connection = await self._engine.connect()
            self._connections.append(connection)
        driver: HereConnection = driver_of(connection)
        async with connection.begin():
            driver.is_wanted = is_wanted
            try:
                return await work(connection)
            finally:
                driver.is_wanted = None

    async def close(self) -> None:
        """Wait for what runs, then close all connections. Closing again does nothing."""
        await asyncio.to_thread(self._threads.shutdown)
        while self._connections:
            run_here(self._connections.pop().close())
