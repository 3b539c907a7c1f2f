"""The schema of the database, step by step. A released step is never edited: a change is a new one."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import cache
from pathlib import Path

import sqlalchemy
from alembic.command import upgrade as alembic_upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from central.dialect import Dialect
from central.errors import NotStoredError, SchemaError

_HERE = Path(__file__).parent


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.set_main_option("path_separator", "os")
    return config


@cache
def newest() -> str:
    """The revision that this version of the program works with."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


@cache
def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


async def upgrade(dialect: Dialect) -> None:
    """Bring a database to the newest revision; make it when it is empty.

    Raises SchemaError when it belongs to a newer version, before anything is written to it.
    """
    if await refuse_from_future(dialect) == {newest()}:
        return
    dialect.create()
    engine = dialect.writer()
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_upgrade)
    except DBAPIError as error:
        raise NotStoredError(f"the schema could not be written: {error.orig}") from error
    finally:
        await engine.dispose()


def _upgrade(connection: sqlalchemy.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    alembic_upgrade(config, "head")


async def refuse_from_future(dialect: Dialect) -> set[str]:
    """Look at the revision without writing, and return it. Raises SchemaError."""
    if dialect.file is not None:
        found = await asyncio.to_thread(_sqlite_revisions, dialect.file)
    else:
        engine = create_async_engine(dialect.url)
        try:
            async with engine.connect() as connection:
                found = set(await connection.run_sync(_revisions))
        except OSError as error:
            raise NotStoredError(f"the database cannot be reached: {error}") from error
        finally:
            await engine.dispose()
    unknown = found - _known()
    if unknown:
        raise SchemaError(
            f"the database is at revision {', '.join(sorted(unknown))}, which this version of Vaktpost does not know: "
            "a newer version has used it. Nothing was changed. Install that version again, or restore a backup."
        )
    return found


def _revisions(connection: sqlalchemy.Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()


def _sqlite_revisions(file: Path) -> set[str]:
    if not file.exists():
        return set()
    try:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return set()
        raise NotStoredError(f"{file}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise SchemaError(f"{file}: this is not a database of Vaktpost ({error}). It was left as it is.") from error
    return {row[0] for row in rows}
