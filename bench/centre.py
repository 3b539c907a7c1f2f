"""A central of its own, on SQLite or a real PostgreSQL, with hubs that speak to it by signed frames.

In this process, or in one of its own with somebody signed in at its console.
"""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp

from bench.errors import BenchError
from central.cli import GARBAGE, TURN_S
from central.daemon import Central, open_central
from central.founding import Plan, found
from central.settings import load
from simulators import postgresql
from simulators.central_process import central_running
from simulators.frame_hub import FrameHub
from simulators.postgresql import PostgresUnavailableError

DATABASES = ("SQLite", "PostgreSQL")
WAL_FILES = 40


@contextmanager
def database(name: str) -> Iterator[str]:
    """Its URL; nothing for SQLite in central's own folder. Raises BenchError."""
    if name == "SQLite":
        yield ""
        return
    try:
        with postgresql.running() as server:
            server.create("bench")
            _in_use(server)
            yield server.url("bench")
    except PostgresUnavailableError as error:
        raise BenchError(str(error)) from None


def _in_use(server: postgresql.Postgres) -> None:
    """As a server that has worked for a while: its log goes into files that are there already.

    A new one makes each of them (16 MB of zeros) in the middle of somebody's commit, and that takes 35 ms.
    """
    server.run("ALTER SYSTEM SET min_wal_size = '1GB'")
    server.run("SELECT pg_reload_conf()")
    for _ in range(WAL_FILES):
        server.run("SELECT pg_logical_emit_message(false, 'bench', ''); SELECT pg_switch_wal()")
    server.run("CHECKPOINT")


@contextmanager
def founded(name: str) -> Iterator[Path]:
    """The settings of a new central that listens on free ports, on this database."""
    Path(".run").mkdir(exist_ok=True)
    with database(name) as url, tempfile.TemporaryDirectory(prefix="bench-centre-", dir=".run") as folder:
        home = Path(folder).resolve() / "central"
        found(Plan(data_dir=home, names=["localhost"], hub_port=0, console_port=0), time.time_ns() // 1_000_000)
        config = home / "central.toml"
        # Its port is known when it runs; until then nothing is its public address.
        lines = [line for line in config.read_text().splitlines() if not line.startswith("public_url")]
        lines += ["", "[database]", f'url = "{url}"', ""] if url else [""]
        config.write_text("\n".join(lines))
        yield config


@asynccontextmanager
async def opened(config: Path) -> AsyncIterator[Central]:
    """Open, without listeners; whoever needs its chores runs `run_works`. The interpreter is set as central sets it."""
    sys.setswitchinterval(TURN_S)
    gc.set_threshold(*GARBAGE)
    async with open_central(load(config)) as central:
        gc.freeze()
        yield central


@asynccontextmanager
async def centre(name: str) -> AsyncIterator[Central]:
    """A new one, opened."""
    with founded(name) as config:
        async with opened(config) as central:
            yield central


@asynccontextmanager
async def console(config: Path, name: str, password: str) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """`vaktpost central run` in a process of its own, and somebody signed in there: fetches pages, whole.

    Raises BenchError.
    """
    jar = aiohttp.CookieJar(unsafe=True)
    async with (
        central_running(config) as process,
        aiohttp.ClientSession(process.console_url, cookie_jar=jar, headers={"Accept": "text/html"}) as http,
    ):
        async with http.post("/api/v1/session", json={"name": name, "password": password}) as answer:
            if answer.status != HTTPStatus.OK:
                raise BenchError(f"nobody can sign in at the console: {answer.status} {await answer.text()}")

        async def page(path: str) -> str:
            async with http.get(path, allow_redirects=False) as answer:
                text = await answer.text()
            if answer.status != HTTPStatus.OK:
                raise BenchError(f"{path} answers {answer.status}: {text[:200]}")
            return text

        yield page


async def enrolled(central: Central, count: int) -> list[FrameHub]:
    """So many hubs that central knows."""
    hubs = []
    for number in range(count):
        hub = FrameHub(central.services.keys.trust)
        code = await central.services.hubs.new_code(f"Flat {number}", "bench")
        hub.take_grant(await central.services.hubs.enrol(hub.claim(code)))
        hub.start()
        await central.reception.receive(hub.heartbeat(has_header=True, is_hello=True), "https")
        hubs.append(hub)
    return hubs
