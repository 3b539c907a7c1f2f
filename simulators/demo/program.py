"""A child process of the demo: started, stopped, killed and started again; its output goes to a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_GRACE_S = 6.0


class ProgramError(Exception):
    """A program of the demo did not do what it must; the message ends with the last lines it printed."""


def vaktpost(*words: str) -> list[str]:
    """The command line of one of our programs, with this very Python."""
    return [sys.executable, "-m", "vaktpost", *words]


class Program:
    """One program. `start` may be called again after `stop` or `kill`."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment or {})
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self.is_running and self._process is not None else None

    @property
    def is_running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it; it writes to its log from now on."""
        if self.is_running:
            return
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"} | self.environment,
                start_new_session=True,
            )

    async def stop(self) -> None:
        """Ask it to stop; kill it when it does not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_GRACE_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Pull its plug: SIGKILL."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        try:
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def check(self) -> None:
        """Raise ProgramError when it has ended by itself."""
        if self._process is not None and self._process.returncode is not None:
            raise ProgramError(f"{self.name} ended with status {self._process.returncode}:\n{self.last_words()}")


async def run(
    name: str, command: Sequence[str], environment: Mapping[str, str] | None = None, timeout_s: float = 60
) -> str:
    """Run a command to its end and return what it printed. Raises ProgramError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | dict(environment or {}),
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise ProgramError(f"{name} did not end within {timeout_s:.0f} s") from None
    if process.returncode:
        raise ProgramError(
            f"{name} ended with status {process.returncode}:\n{(errors or out).decode(errors='replace')}"
        )
    return out.decode(errors="replace")
