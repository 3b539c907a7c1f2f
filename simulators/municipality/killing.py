"""A central in this process dies as SIGKILL would have it: what the database has, stays; not a byte comes after.

Its own way of closing is taken all the same, because its connections and files are ours to give back. But it closes
before a database that takes nothing more, or whose files are put back to what they were at the moment of death.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from sqlalchemy.engine import URL, make_url

_FILES = ("", "-wal")
"""What SQLite finds after a kill. The third, `-shm`, is made anew from these."""
GONE_S = 30.0


@asynccontextmanager
async def cut_off(database_url: str) -> AsyncIterator[None]:
    """Whatever is written in this block, the database afterwards is what it was when the block began."""
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        async with _as_it_lay(Path(str(url.database))):
            yield
    else:
        async with _shut(url):
            yield


@asynccontextmanager
async def _as_it_lay(file: Path) -> AsyncIterator[None]:
    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        kept = Path(name)
        for end in _FILES:  # in one go: nobody else runs between the two
            if (part := file.with_name(file.name + end)).exists():
                shutil.copyfile(part, kept / part.name)
        yield
        for end in (*_FILES, "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        for part in kept.iterdir():
            shutil.move(part, file.parent / part.name)


@asynccontextmanager
async def _shut(url: URL) -> AsyncIterator[None]:
    """To the server the process is gone: its connections end, what was under way in them is rolled back."""
    administrator = await asyncpg.connect(user=url.username, database="postgres", host=str(url.query["host"]))
    try:
        await administrator.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
        async with asyncio.timeout(GONE_S):
            while await administrator.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", url.database
            ):
                await asyncio.sleep(0.02)
        yield
        await administrator.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')
    finally:
        await administrator.close()
