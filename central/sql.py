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

from central.one_hop import HereConnection
from central.straight import driver_of

Row = Sequence[Any]

MOST_ROWS = 32
"""In one step of a `RowsSql`. More only makes longer statements."""

_NAMED = re.compile(r"(?<![:\w]):(\w+)")


class Sql:
    """A statement. Rows come as tuples in the order of its columns."""

    __slots__ = ("_dollar", "_marks", "_names", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._names = list(dict.fromkeys(_NAMED.findall(text)))
        numbers = {name: f"${number}" for number, name in enumerate(self._names, start=1)}
        self._dollar = _NAMED.sub(lambda match: numbers[match[1]], text)
        self._marks = _NAMED.sub("?", text)

    async def rows(self, connection: AsyncConnection, /, **parameters: Any) -> list[Row]:
        """All rows that it yields."""
        driver = driver_of(connection)
        if type(driver) is HereConnection:
            return driver.rows(self.text, parameters)
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
        driver = driver_of(connection)
        if type(driver) is HereConnection:
            driver.many(self._marks, parameters)
        elif connection.dialect.name == "sqlite":
            async with driver.executemany(self._marks, parameters):
                return
        else:
            await driver.executemany(self._dollar, parameters)


class RowsSql:
    """A statement over many rows at once: `{rows}` in it becomes `(...), (...), ...`, for `VALUES {rows}`.

    So many rows cross to the database together, and unlike with `Sql.many` what it returns can be read. A list of any
    length is cut into powers of two, so that each statement comes in few shapes, which both drivers keep prepared.
    """

    __slots__ = ("_names", "_shapes", "_text", "_width")

    def __init__(self, text: str, width: int) -> None:
        self._width = width
        self._names = list(dict.fromkeys(_NAMED.findall(text)))
        numbers = {name: f"\0{number}" for number, name in enumerate(self._names, start=1)}
        self._text = _NAMED.sub(lambda match: numbers[match[1]], text)
        self._shapes: dict[tuple[str, int], str] = {}

    async def rows(self, connection: AsyncConnection, rows: Sequence[Sequence[Any]], /, **parameters: Any) -> list[Row]:
        """All rows that it yields for these, in any order. `parameters`: what is named in it, the same for all."""
        driver = driver_of(connection)
        is_sqlite = connection.dialect.name == "sqlite"
        named = [parameters[name] for name in self._names]
        found: list[Row] = []
        at = 0
        while at < len(rows):
            count = min(MOST_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
            values = [*named, *(value for row in rows[at : at + count] for value in row)]
            text = self._shape("?" if is_sqlite else "$", count)
            if type(driver) is HereConnection:
                found += driver.rows(text, values)
            elif is_sqlite:
                found += await driver.execute_fetchall(text, values)
            else:
                found += await driver.fetch(text, *values)
            at += count
        return found

    def _shape(self, sign: str, count: int) -> str:
        known = self._shapes.get((sign, count))
        if known is None:
            first = len(self._names) + 1
            shown = (
                ", ".join(f"\0{first + row * self._width + column}" for column in range(self._width))
                for row in range(count)
            )
            known = self._text.replace("{rows}", ", ".join(f"({row})" for row in shown)).replace("\0", sign)
            self._shapes[sign, count] = known
        return known


def insert_ignoring(table: str, columns: Sequence[str]) -> Sql:
    """`INSERT ... ON CONFLICT DO NOTHING` over the columns, in this order."""
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f":{name}" for name in columns)
    return Sql(f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING")  # noqa: S608  # our own names
