"""The one way to the database: a prioritised writer and any number of readers.

On SQLite one transaction writes at a time, and who waits is let in by urgency: competing connections would cost an
alarm more than a second. A transaction is short (bulk at most 20 ms: split batches), because what is more urgent can
only go before the next one, not interrupt.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from contextlib import AsyncExitStack, asynccontextmanager
from enum import IntEnum
from itertools import count
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from central.clock import Clock
from central.dialect import Dialect, Fault
from central.errors import NotStoredError
from central.migrations import upgrade
from central.sql import Row, Sql
from central.straight import Straight

T = TypeVar("T")
Connections = AsyncEngine | Straight
log = structlog.get_logger()

ATTEMPTS = 5
PROOF_S = 15.0
"""A commit of alarm work is good evidence that alarms can be committed for this long."""


class Priority(IntEnum):
    """Who goes first when several want to write."""

    ALARM = 0
    PEOPLE = 1
    UPKEEP = 2
    BULK = 3


class Turnstile:
    """Lets in at most `width` at a time, the most urgent first, and among equals who came first."""

    def __init__(self, width: int) -> None:
        self._width = self._free = width
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = count()

    @asynccontextmanager
    async def turn(self, priority: int) -> AsyncIterator[None]:
        """Waits for a turn and holds it."""
        if self._free and not self._waiting:
            self._free -= 1
        else:
            ticket = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._arrivals), ticket))
            try:
                await ticket
            except asyncio.CancelledError:
                if ticket.done() and not ticket.cancelled():
                    self._leave()
                raise
        try:
            yield
        finally:
            self._leave()

    def is_wanted(self, priority: int) -> bool:
        """Whether somebody waits who is more urgent than that. May be asked from any thread."""
        try:
            return self._waiting[0][0] < priority
        except IndexError:
            return False

    @property
    def is_free(self) -> bool:
        """Whether nobody is in it or waits."""
        return self._free == self._width and not self._waiting

    def _leave(self) -> None:
        while self._waiting:
            ticket = heapq.heappop(self._waiting)[2]
            if not ticket.done():
                ticket.set_result(None)
                return
        self._free += 1


class Store:
    """An open database. `lineage` is its random id: a hub that sees a new one offers again what it kept."""

    def __init__(self, dialect: Dialect, writer: Connections, reader: Connections, clock: Clock) -> None:
        self.dialect = dialect
        self.lineage = b""
        self.last_alive_ms = 0
        """When a central on this database last said that it lives, before it was opened here."""
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._turnstile = Turnstile(dialect.writers)
        self._running: set[asyncio.Task[object]] = set()
        self._proven_s = float("-inf")
        self._one_hop = dialect.one_hop()
        self.commits = 0
        """Transactions that were let in, of every urgency: how many went before another can be told from it."""

    @asynccontextmanager
    async def write(self, priority: Priority = Priority.PEOPLE) -> AsyncIterator[AsyncConnection]:
        """One transaction. Commits at the end of the block, rolls back on an exception.

        A commit that was started is not cancelled. Raises NotStoredError when the database does not take it.
        """
        async with self._turn(priority), _transaction(self._writer) as connection:
            yield connection

    @asynccontextmanager
    async def _turn(self, priority: Priority) -> AsyncIterator[None]:
        async with self._turnstile.turn(priority):
            self.commits += 1
            try:
                yield
            except Exception as error:
                fault = self.dialect.fault_of(error)
                if fault is not None:
                    self.dialect.scrub(error)
                if fault is None or fault is Fault.CONFLICT:
                    raise
                raise NotStoredError(f"the database did not take it: {error}") from error
            if priority is Priority.ALARM:
                self._proven_s = self._clock.mono_s()

    @property
    def writers(self) -> Container[int]:
        """The connections that write here, by the database's number for them, where it tells who has changed what."""
        return self._writer.numbers if isinstance(self._writer, Straight) else ()

    def is_wanted(self, priority: Priority) -> bool:
        """Whether somebody more urgent wants to write: long work ends its transaction then. From any thread."""
        return self._turnstile.is_wanted(priority)

    @property
    def is_quiet(self) -> bool:
        """Whether nobody writes or wants to."""
        return self._turnstile.is_free

    @asynccontextmanager
    async def pause(self) -> AsyncIterator[None]:
        """Nobody writes in this block (on SQLite). For upkeep of the file itself, and for no longer than a commit."""
        async with self._turnstile.turn(Priority.UPKEEP):
            yield

    async def transact(
        self,
        priority: Priority,
        work: Callable[[AsyncConnection], Awaitable[T]],
        is_wanted: Callable[[], bool] | None = None,
    ) -> T:
        """`work` in one transaction, again after a serialization failure. It runs to its end if the caller leaves.

        On SQLite `work` runs in another thread, all in one go: it awaits its connection and nothing else, and what it
        shares with others must bear that. It is much quicker than `write`, which is for work that has to wait.
        There, `is_wanted` is asked before each statement whether somebody else must go first: then it is rolled back
        and raises GaveWayError. (Elsewhere nobody waits for another's transaction.)
        """
        task = asyncio.create_task(self._attempt(priority, work, is_wanted))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _attempt(
        self,
        priority: Priority,
        work: Callable[[AsyncConnection], Awaitable[T]],
        is_wanted: Callable[[], bool] | None,
    ) -> T:
        for left in reversed(range(ATTEMPTS)):
            try:
                return await self._commit(priority, work, is_wanted)
            except NotStoredError as error:
                cause = error.__cause__
                if not left or cause is None or self.dialect.fault_of(cause) is not Fault.TRANSIENT:
                    raise
                log.info("transaction_repeated", attempts_left=left)
        raise AssertionError("unreachable")

    async def _commit(
        self,
        priority: Priority,
        work: Callable[[AsyncConnection], Awaitable[T]],
        is_wanted: Callable[[], bool] | None,
    ) -> T:
        async with self._turn(priority):
            if self._one_hop is not None:
                return await self._one_hop[0].run(work, is_wanted)
            async with _transaction(self._writer) as connection:
                return await work(connection)

    async def fetch(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What `work` reads; one snapshot for all of it. Short work only, under the same rule as for `transact`."""
        if self._one_hop is None:
            async with self.read() as connection:
                return await work(connection)
        async with self._asking():
            return await self._one_hop[1].run(work)

    async def ask(self, statement: Sql, **parameters: Any) -> list[Row]:
        """What one statement reads."""
        if not isinstance(self._reader, Straight):
            return await self.fetch(lambda connection: statement.rows(connection, **parameters))
        async with self._asking():
            return await self._reader.ask(lambda connection: statement.rows(connection, **parameters))

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with; one snapshot for the whole block."""
        async with self._asking(), _transaction(self._reader) as connection:
            yield connection

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        try:
            yield
        except Exception as error:
            if self.dialect.fault_of(error) is None:
                raise
            raise NotStoredError(f"the database does not answer: {error}") from error

    @property
    def takes_alarms(self) -> bool:
        """Whether alarm work was committed lately. When not, central must look dead to its hubs."""
        return self._clock.mono_s() - self._proven_s < PROOF_S

    async def probe(self) -> None:
        """Commit something small with the priority of an alarm. Raises NotStoredError."""
        now = str(self._clock.now_ms())
        await self.transact(Priority.ALARM, lambda connection: _PROBE.rows(connection, now=now))

    async def drain(self) -> None:
        """Wait for transactions whose callers have left, and close."""
        if self._running:
            await asyncio.wait(self._running)
        for hop in self._one_hop or ():
            await hop.close()


@asynccontextmanager
async def _transaction(where: Connections) -> AsyncIterator[AsyncConnection]:
    """Begin, commit or roll back. A connection that was cancelled in between is in an unknown state: it is closed."""
    if isinstance(where, Straight):
        async with where.transaction() as connection:
            yield connection
        return
    async with where.connect() as connection:
        try:
            async with connection.begin():
                yield connection
        except (asyncio.CancelledError, GeneratorExit):
            await connection.invalidate()
            raise


_PROBE = Sql("UPDATE central_state SET value = :now WHERE name = 'probe'")
_TRY = Sql("UPDATE central_state SET value = value WHERE name = 'probe'")
"""A commit all the same, by whoever opens it for a moment: that is no sign of life of a central."""
_SAID = Sql("SELECT value FROM central_state WHERE name = 'probe'")
_LINEAGE = Sql("SELECT value FROM central_state WHERE name = 'lineage'")


@asynccontextmanager
async def open_store(url: str, clock: Clock) -> AsyncIterator[Store]:
    """Open a database, bring its schema up to date, and see that commits are durable.

    Raises SchemaError for a database from a newer version (untouched), CentralError for one that is not durable,
    NotStoredError for one that does not take writes.
    """
    dialect = Dialect(url)
    await upgrade(dialect)
    async with AsyncExitStack() as stack:
        writer, reader = dialect.straight() or (dialect.writer(), dialect.reader())
        stack.push_async_callback(writer.dispose)
        stack.push_async_callback(reader.dispose)
        store = Store(dialect, writer, reader, clock)
        stack.push_async_callback(store.drain)
        await store.transact(Priority.ALARM, dialect.assert_durable)
        async with store.write(Priority.ALARM) as connection:
            await dialect.assert_durable(connection)
        async with store.read() as connection:
            said = str(await _SAID.value(connection))
            store.last_alive_ms = int(said) if said.isdigit() else 0
        await store.transact(Priority.ALARM, _TRY.rows)
        async with store.read() as connection:
            store.lineage = bytes.fromhex(await _LINEAGE.value(connection))
        yield store
