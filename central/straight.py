"""Whole transactions on PostgreSQL, begun and ended on the driver itself.

Every statement is a question and an answer over a socket, and where processors are busy each waits for two turns on
them. What a pool and an engine ask for themselves around a transaction (does the connection live, which isolation, how
long to wait for a lock) came to ten of them, more than many a transaction has of its own. Here it is BEGIN and COMMIT:
a connection is set up once, and BEGIN finds out whether it lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central.errors import NotStoredError

T = TypeVar("T")
COMMITTED = "COMMIT"


class Straight:
    """Connections that transactions take and give back, at most so many at once. The newest is taken first.

    `engine`: makes a connection, in autocommit and set up, whenever it is asked; it keeps none itself.
    """

    def __init__(self, engine: AsyncEngine, most: int) -> None:
        self._engine = engine
        self._places = asyncio.Semaphore(most)
        self._idle: list[AsyncConnection] = []
        self.numbers: set[int] = set()
        """What the database calls those that are open."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Commits at the end of the block, rolls back on an exception. Raises NotStoredError when nothing was begun.

        A connection that was cancelled in between is in an unknown state: it is closed.
        """
        async with self._places:
            connection = await self._begun()
            driver = driver_of(connection)
            is_whole = False
            try:
                try:
                    yield connection
                except Exception as error:
                    is_whole = await _rolled_back(driver)
                    if driver.is_closed() and _is_own_word(driver, error):
                        raise NotStoredError(f"the connection was lost: {error}") from error
                    raise
                ended = await _said(driver, "COMMIT")
                is_whole = True
                if ended != COMMITTED:
                    raise NotStoredError("a statement had failed: the transaction was rolled back")
            finally:
                if is_whole and not driver.is_closed():
                    if connection.in_transaction():  # in the engine's own eyes, where a statement went through it
                        await connection.rollback()
                    self._idle.append(connection)
                else:
                    await _drop(connection)

    async def _begun(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            driver = driver_of(connection)
            try:
                await driver.execute("BEGIN")
            except BaseException as error:
                is_gone = driver.is_closed()
                await _drop(connection)
                if is_gone and isinstance(error, Exception):
                    continue  # the database was started anew: nothing was begun, and the next one may be alive
                raise
            return connection
        connection = await self._connected()
        try:
            await _said(driver_of(connection), "BEGIN")
        except BaseException:
            await _drop(connection)
            raise
        return connection

    async def ask(self, question: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """One statement that reads is a snapshot of its own: it needs neither a beginning nor an end."""
        async with self._places:
            while True:
                is_known = bool(self._idle)
                connection = self._idle.pop() if is_known else await self._connected()
                driver = driver_of(connection)
                is_whole = False
                try:
                    found = await question(connection)
                    is_whole = True
                except Exception:
                    is_whole = not driver.is_closed()
                    if is_whole or not is_known:
                        raise
                else:
                    return found
                finally:
                    if is_whole:
                        self._idle.append(connection)
                    else:
                        await _drop(connection)

    async def _connected(self) -> AsyncConnection:
        try:
            connection = await self._engine.connect()
        except OSError as error:
            raise NotStoredError(f"the database cannot be reached: {error}") from error
        driver = driver_of(connection)
        number = driver.get_server_pid()
        self.numbers.add(number)
        driver.add_termination_listener(lambda _: self.numbers.discard(number))
        return connection

    async def dispose(self) -> None:
        """Close what nobody uses."""
        while self._idle:
            await self._idle.pop().close()
        await self._engine.dispose()


def driver_of(connection: AsyncConnection) -> Any:
    """What the driver itself calls a connection."""
    raw = connection.sync_connection
    assert raw is not None, "the connection is not open"  # noqa: S101  # tells mypy, and a caller who kept it too long
    return raw.connection.driver_connection


async def _said(driver: Any, word: str) -> str:
    """What the database answers. A connection that is gone is a transaction that nobody may rely on."""
    try:
        return str(await driver.execute(word))
    except Exception as error:
        if getattr(error, "sqlstate", None) is None:  # the driver's own word, not the database's
            raise NotStoredError(f"{word} was not answered: {error}") from error
        raise


def _is_own_word(driver: Any, error: Exception) -> bool:
    """Whether this comes from the driver itself: neither from the database nor from whoever uses it."""
    is_told = getattr(error, "sqlstate", None) is not None
    return not is_told and type(error).__module__.partition(".")[0] == type(driver).__module__.partition(".")[0]


async def _rolled_back(driver: Any) -> bool:
    try:
        await driver.execute("ROLLBACK")
    except Exception:  # noqa: BLE001  # it is gone; why the transaction failed is what is told
        return False
    return True


async def _drop(connection: AsyncConnection) -> None:
    """At once: what it was in the middle of is rolled back by the database."""
    driver_of(connection).terminate()
    with suppress(Exception):  # whatever is said of a connection that is gone already
        await connection.invalidate()
        await connection.close()
