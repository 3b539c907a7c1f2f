"""All that differs between SQLite and PostgreSQL, in one place. Every other module writes SQL that both take.

SQLite: one connection writes (`BEGIN IMMEDIATE`, WAL, synchronous=FULL), others only read. Checkpoints never happen
inside a commit, where an alarm would wait for them: see `central.upkeep`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only

from central.errors import CentralError
from central.one_hop import STATEMENTS, HereConnection, OneHop
from central.straight import Straight

READERS = 6
SHORT_READERS = 3
LOCK_TIMEOUT_MS = 5000
# A statement is planned once and kept. Planned while a table was small it reads all of it, still when a storm has put
# a hundred thousand rows there and nobody has counted them yet.
_LOOKED_UP = {"enable_seqscan": "off", "jit": "off"}
_RETRIED_STATES = {"40001", "40P01"}  # serialization failure, deadlock


class Fault(Enum):
    """Why a transaction failed."""

    CONFLICT = "conflict"  # a unique key: somebody was first
    TRANSIENT = "transient"  # the same may go through at once
    REFUSED = "refused"  # disk full, connection lost, read only, ...


class Dialect:
    """A database by its URL: how to connect, how to begin, what must be durable."""

    def __init__(self, url: str) -> None:
        try:
            self.url: URL = make_url(url)
        except ArgumentError:
            raise CentralError(f"database.url: {url!r} is no database address.") from None
        if self.url.get_backend_name() not in {"sqlite", "postgresql"}:
            raise CentralError(
                f"database.url: {self.url.get_backend_name()} is not supported. "
                "Use sqlite+aiosqlite:///PATH or postgresql+asyncpg://USER@HOST/NAME."
            )
        if self.is_sqlite:
            self.url = self.url.set(drivername="sqlite+aiosqlite")

    @property
    def is_sqlite(self) -> bool:
        """The embedded default, as against PostgreSQL."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def file(self) -> Path | None:
        """The database file, when it is one."""
        return Path(self.url.database) if self.is_sqlite and self.url.database else None

    def create(self) -> None:
        """Make the file, readable by its owner only (what SQLite puts beside it follows). Raises CentralError."""
        if self.file is None:
            return
        try:
            os.close(os.open(self.file, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise CentralError(f"{self.file}: the database cannot be opened: {error.strerror}.") from None

    @property
    def writers(self) -> int:
        """How many transactions may write at once."""
        return 1 if self.is_sqlite else 4

    def writer(self) -> AsyncEngine:
        """The engine that writes."""
        if not self.is_sqlite:
            engine = self._engine(pool_size=self.writers, max_overflow=0, pool_pre_ping=True)
            _on_begin(engine, f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
            return engine
        engine = self._engine(pool_size=1, max_overflow=0, pool_reset_on_return=None)
        return _writing(engine)

    def reader(self) -> AsyncEngine:
        """The engine that only reads."""
        if not self.is_sqlite:
            engine = self._engine(pool_size=READERS, max_overflow=0, pool_pre_ping=True)
            _on_begin(engine, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return engine
        return _reading(self._engine(pool_size=READERS, max_overflow=0))

    def straight(self) -> tuple[Straight, Straight] | None:
        """For transactions that the driver begins and ends: who writes, and who reads. None on SQLite."""
        if self.is_sqlite:
            return None
        writes = _LOOKED_UP | {"lock_timeout": f"{LOCK_TIMEOUT_MS}ms"}
        reads = _LOOKED_UP | {"default_transaction_isolation": "repeatable read", "default_transaction_read_only": "on"}
        writer, reader = (
            self._engine(poolclass=NullPool, isolation_level="AUTOCOMMIT", server_settings=settings)
            for settings in (writes, reads)
        )
        return Straight(writer, self.writers), Straight(reader, READERS)

    def listener(self) -> AsyncEngine | None:
        """For one connection that is told of what others commit; None where there are no others."""
        return None if self.is_sqlite else self._engine(poolclass=NullPool)

    @property
    def is_shared(self) -> bool:
        """Whether several processes may work on it at once."""
        return not self.is_sqlite

    def _engine(self, server_settings: Mapping[str, str] | None = None, **options: Any) -> AsyncEngine:
        if not self.is_sqlite:
            settings = dict(server_settings or {})
            options["connect_args"] = {"statement_cache_size": STATEMENTS, "server_settings": settings}
        # The text of a failure goes into the log: names, notes and what devices told must not be in it.
        return create_async_engine(self.url, hide_parameters=True, **options)

    def one_hop(self) -> tuple[OneHop, OneHop] | None:
        """For transactions in one piece: who writes, and who reads. None where the driver needs no threads."""
        if self.file is None:
            return None
        creator = partial(HereConnection, self.file)
        writer, reader = (self._engine(poolclass=NullPool, async_creator=creator) for _ in range(2))
        return OneHop(_writing(writer), 1, "writer"), OneHop(_reading(reader), SHORT_READERS, "reader")

    async def assert_durable(self, connection: AsyncConnection) -> None:
        """A commit that is not on the disk is none. Raises CentralError when the database is set up otherwise."""
        if self.is_sqlite:
            journal = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
            synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one()
            if journal != "wal" or synchronous != 2:
                raise CentralError(
                    f"{self.file}: SQLite runs with journal_mode={journal}, synchronous={synchronous}; WAL and FULL "
                    "are needed. A network file system cannot hold the database."
                )
            return
        for name, wanted in (("fsync", {"on"}), ("synchronous_commit", {"on", "remote_apply"})):
            value = (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
            if value not in wanted:
                raise CentralError(f"PostgreSQL runs with {name}={value}; {' or '.join(sorted(wanted))} is needed.")

    @staticmethod
    def scrub(error: BaseException) -> None:
        """Take out of a failure what PostgreSQL tells of the rows: names and notes must not reach a log."""
        chain: BaseException | None = error
        while chain is not None:
            if getattr(chain, "detail", None) is not None and hasattr(chain, "sqlstate"):
                chain.detail = None  # type: ignore[attr-defined]
            chain.args = tuple(arg.split("\nDETAIL:")[0] if isinstance(arg, str) else arg for arg in chain.args)
            chain = getattr(chain, "orig", None) or chain.__cause__ or chain.__context__

    def fault_of(self, error: BaseException) -> Fault | None:
        """What a failure says about the transaction, or None when it is not the database's."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, sqlite3.Error):
            if isinstance(cause, sqlite3.IntegrityError):
                return Fault.CONFLICT
            return Fault.TRANSIENT if "database is locked" in str(cause) else Fault.REFUSED
        state = getattr(cause, "sqlstate", None)
        if state is None:
            return Fault.REFUSED if isinstance(error, DBAPIError) else None
        if state.startswith("23"):
            return Fault.CONFLICT
        return Fault.TRANSIENT if state in _RETRIED_STATES else Fault.REFUSED


def _writing(engine: AsyncEngine) -> AsyncEngine:
    _on_connect(engine, "journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0", "cache_size=-32768")
    _on_begin(engine, "BEGIN IMMEDIATE")
    return engine


def _reading(engine: AsyncEngine) -> AsyncEngine:
    _on_connect(engine, "query_only=ON")
    _on_begin(engine, "BEGIN")
    return engine


def _on_connect(engine: AsyncEngine, *pragmas: str) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: Any) -> None:
        if connection.isolation_level is not None:
            connection.isolation_level = None  # we begin ourselves
        cursor = connection.cursor()
        for pragma in (f"busy_timeout={LOCK_TIMEOUT_MS}", *pragmas):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()


def _on_begin(engine: AsyncEngine, statement: str) -> None:
    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: sqlalchemy.Connection) -> None:
        if connection.dialect.name != "sqlite":
            # asyncpg's adapter sends BEGIN with the first statement that passes through it; ours go past it.
            connection.exec_driver_sql(statement)
            return
        await_only(connection.connection.driver_connection.execute_fetchall(statement))  # type: ignore[union-attr]
