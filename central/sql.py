"""One statement, written once for both databases, and handed to the driver in a single step.

SQLAlchemy's own execution crosses to the driver's thread four times per statement (cursor, execute, fetch, close). An
alarm takes a dozen statements, so that would cost it more than its fsync does. A `Sql` crosses once. Parameters are
`:named`; SQLite takes them as they are, for asyncpg they become `$1`, `$2`, ...
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

Row = Sequence[Any]

_NAMED = re.compile(r"(?<![:\w]):(\w+)")


class Sql:
    """A statement. Rows come as tuples in the order of its columns."""

    __slots__ = ("_dollar", "_names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._names = list(dict.fromkeys(_NAMED.findall(text)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, start=1)}
        self._dollar = _NAMED.sub(lambda match: numbers[match[1]], text)

    async def rows(self, connection: AsyncConnection, /, **parameters: Any) -> list[Row]:
        """All rows that it yields."""
        driver = _driver(connection)
        if connection.dialect.name == "sqlite":
            return list(await driver.execute_fetchall(self.text, parameters))
        return list(await driver.fetch(self._dollar, *(parameters[name] for name in self._names)))

    async def one(self, connection: AsyncConnection, /, **parameters: Any) -> Row | None:
        """The first row, or None."""
        found = await self.rows(connection, **parameters)
        return found[0] if found else None

    async def value(self, connection: AsyncConnection, /, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        found = await self.rows(connection, **parameters)
        return found[0][0] if found else None

    async def many(self, connection: AsyncConnection, parameters: Sequence[Sequence[Any]]) -> None:
        """Run it once per tuple; the tuples are in the order in which the names appear."""
        if not parameters:
            return
        driver = _driver(connection)
        if connection.dialect.name == "sqlite":
            async with driver.executemany(_NAMED.sub("?", self.text), parameters):
                return
        await driver.executemany(self._dollar, parameters)


def insert_ignoring(table: str, columns: Sequence[str]) -> Sql:
    """`INSERT ... ON CONFLICT DO NOTHING` over the columns, in this order."""
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f":{name}" for name in columns)
    return Sql(f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING")  # noqa: S608  # our own names


def _driver(connection: AsyncConnection) -> Any:
    raw = connection.sync_connection
    assert raw is not None, "the connection is not open"  # noqa: S101  # tells mypy, and a caller who kept it too long
    return raw.connection.driver_connection
