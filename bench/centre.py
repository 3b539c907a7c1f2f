"""A central of its own in this process, on SQLite or a real PostgreSQL, with hubs that speak to it by signed frames."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bench.errors import BenchError
from central.cli import GARBAGE, TURN_S
from central.daemon import Central, open_central
from central.founding import Plan, found
from central.settings import DatabaseSettings, load
from simulators import postgresql
from simulators.frame_hub import FrameHub
from simulators.postgresql import PostgresUnavailableError

DATABASES = ("SQLite", "PostgreSQL")


@contextmanager
def database(name: str) -> Iterator[str]:
    """Its URL; nothing for SQLite in central's own folder. Raises BenchError."""
    if name == "SQLite":
        yield ""
        return
    try:
        with postgresql.running() as server:
            server.create("bench")
            yield server.url("bench")
    except PostgresUnavailableError as error:
        raise BenchError(str(error)) from None


@asynccontextmanager
async def centre(name: str) -> AsyncIterator[Central]:
    """Open, without listeners; whoever needs its chores runs `run_works`. The interpreter is set as central sets it."""
    sys.setswitchinterval(TURN_S)
    gc.set_threshold(*GARBAGE)
    Path(".run").mkdir(exist_ok=True)
    with database(name) as url, tempfile.TemporaryDirectory(prefix="bench-centre-", dir=".run") as folder:
        home = Path(folder).resolve() / "central"
        found(Plan(data_dir=home, names=["localhost"], hub_port=0, console_port=0), time.time_ns() // 1_000_000)
        settings = load(home / "central.toml")
        if url:
            settings = settings.model_copy(update={"database": DatabaseSettings(url=url)})
        async with open_central(settings) as central:
            gc.freeze()
            yield central


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
