"""A real mosquitto of our own, on a free loopback port."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

START_TIMEOUT_S = 10.0
_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class BrokerUnavailableError(RuntimeError):
    """mosquitto is not installed or did not start; the message says what to do."""


class Broker:
    """mosquitto on loopback for as long as the context lasts; may be killed and started again on the same port.

    `tls`: certificate and key files. Nothing is persisted unless `is_persistent`. `more` lines of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        tls: tuple[Path, Path] | None = None,
        is_persistent: bool = False,
        more: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self._tls = tls
        self._is_persistent = is_persistent
        self._more = more
        self._process: asyncio.subprocess.Process | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start, and return when it accepts connections."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path=":".join(_PLACES))
        if program is None:
            raise BrokerUnavailableError("mosquitto is not installed; on Debian: apt-get install mosquitto")
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "set_tcp_nodelay true"]
        lines += ["max_queued_messages 0", "user root", f"persistence {'true' if self._is_persistent else 'false'}"]
        if self._is_persistent:
            lines += [f"persistence_location {self.folder}/"]
        if self._tls is not None:
            lines += [f"certfile {self._tls[0]}", f"keyfile {self._tls[1]}", "tls_version tlsv1.3"]
        lines += self._more
        configuration = self.folder / "mosquitto.conf"
        configuration.write_text("\n".join(lines) + "\n")
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                program, "-c", str(configuration), stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._answers():
                    if self._process.returncode is not None:
                        raise BrokerUnavailableError((self.folder / "mosquitto.log").read_text())
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BrokerUnavailableError("mosquitto does not listen") from None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return None if self._process is None else self._process.pid

    async def stop(self) -> None:
        """Let it end."""
        await self._end(kill=False)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(kill=True)

    async def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            (process.kill if kill else process.terminate)()
        await process.wait()

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True
