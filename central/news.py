"""News of what other processes commit: PostgreSQL tells, and whoever waits for work here looks at once.

Nothing rests on it. Everybody also looks by themselves once a second, so a lost connection only makes others' changes
come a little later; it is made again as soon as the database is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from central.dialect import Dialect
from central.wakeup import Wakeup

log = structlog.get_logger()

CHANNEL = "vaktpost_change"
AGAIN_S = 1.0
ASK_S = 15.0
"""A connection that died without a word is found out by asking."""


class News:
    """Listens for one process. `is_listening` while the database tells it."""

    def __init__(self, dialect: Dialect, wakeup: Wakeup, own: Container[int] = ()) -> None:
        """`own`: connections of this process, by the database's number for them. Who commits here wakes by itself."""
        self._dialect = dialect
        self._wakeup = wakeup
        self._own = own
        self.is_listening = False

    async def run(self) -> None:
        """Listens, until cancelled."""
        engine = self._dialect.listener()
        if engine is None:
            return
        try:
            while True:
                try:
                    await self._listen(engine)
                except Exception as error:  # noqa: BLE001  # whatever a driver says of a connection that is gone
                    self._dialect.scrub(error)
                    log.warning("news_lost", reason=type(error).__name__)
                finally:
                    self.is_listening = False
                await asyncio.sleep(AGAIN_S)
        finally:
            await engine.dispose()

    async def _listen(self, engine: AsyncEngine) -> None:
        async with engine.connect() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            gone = asyncio.Event()
            driver.add_termination_listener(lambda _: gone.set())
            await driver.add_listener(CHANNEL, self._told)
            self.is_listening = True
            log.info("news_heard")
            self._wakeup.wake()  # what was committed before we listened
            while not gone.is_set():
                try:
                    async with asyncio.timeout(ASK_S):
                        await gone.wait()
                except TimeoutError:
                    await driver.fetchval("SELECT 1", timeout=ASK_S)
            raise ConnectionError("the database has hung up")

    def _told(self, _: object, teller: int, *__: object) -> None:
        if teller not in self._own:
            self._wakeup.wake()
