"""A `vaktpost central run` in a process of its own, asked to end when it is not needed any more."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class CentralProcess:
    """One that runs, and where hubs and people reach it."""

    process: asyncio.subprocess.Process
    hub_url: str
    console_url: str

    async def kill(self) -> None:
        """As a power cut would."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def central_running(config: Path) -> AsyncIterator[CentralProcess]:
    """Start it with these settings. Raises AssertionError when it does not end well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "vaktpost", "central", "run", "--config", str(config), "--log-level", "error",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    if process.stdout is None:
        raise AssertionError("central says nothing")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            hubs = (await process.stdout.readline()).split()[1].decode()
            console = (await process.stdout.readline()).split()[1].decode()
        yield CentralProcess(process, hubs, console)
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(TIMEOUT_S):
                status = await process.wait()
            if status != 0:
                raise AssertionError(f"central ended with status {status}")
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  # else it complains when it is collected
