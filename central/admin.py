"""How the command line asks a running central: a Unix socket of mode 0600 in the data directory.

One line of JSON in, one line of JSON out, then it is closed. Who may open the socket runs central's own account.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from central import health
from central.commands import CHECK_WITHIN_S, Commands
from central.errors import ActionError, CentralError, NotFoundError
from central.hubs import Hubs
from central.metrics import Metrics
from central.views import Actor

log = structlog.get_logger()

MAX_LINE = 64 * 1024
MAX_ANSWER = 4 * 1024 * 1024
WAIT_S = 45.0
CONSOLE = Actor(id="command-line", name="command line", role="administrator")

Request = Mapping[str, Any]


class AdminSocket:
    """Serves the socket."""

    def __init__(self, path: Path, hubs: Hubs, commands: Commands, metrics: Metrics) -> None:
        self._path = path
        self._hubs = hubs
        self._commands = commands
        self._metrics = metrics
        self._answers: dict[str, Callable[[Request], Awaitable[Any]]] = {
            "check": self._check,
            "hubs": self._list,
            "metrics": self._counts,
        }

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serves for as long as the block lasts."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, self._path, limit=MAX_LINE)
        finally:
            os.umask(before)
        try:
            yield
        finally:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(WAIT_S):
                line = await reader.readline()
                writer.write(json.dumps(await self._answer(line), default=str).encode() + b"\n")
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError) as error:
            log.info("admin_request_not_answered", reason=type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            work = self._answers[request["do"]]
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "reason": "request", "detail": f"known are: {', '.join(self._answers)}"}
        try:
            return {"ok": True, "result": await work(request)}
        except ActionError as error:
            return {"ok": False, "reason": error.reason, "detail": error.detail}
        except CentralError as error:
            return {"ok": False, "reason": "central", "detail": str(error)}

    async def _check(self, request: Request) -> Any:
        hub = await self._hubs.hub(str(request.get("hub", "")))
        await self._commands.check(
            hub.id, CONSOLE, timeout_s=min(40.0, float(request.get("timeout_s", CHECK_WITHIN_S)))
        )
        checks = await self._commands.checks(hub.id, limit=health.HISTORY)
        return health.to_plain(health.compare(checks), hub=hub.id, label=hub.label)

    async def _list(self, _: Request) -> Any:
        return [asdict(hub) for hub in await self._hubs.all()]

    async def _counts(self, _: Request) -> Any:
        return self._metrics.snapshot()


def ask(path: Path, request: Request, *, timeout_s: float = WAIT_S) -> Any:
    """Ask a running central. Raises NotFoundError as it does, CentralError when none runs or it cannot."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_s)
            client.connect(str(path))
            client.sendall(json.dumps(dict(request)).encode() + b"\n")
            answer = bytearray()
            while not answer.endswith(b"\n") and (chunk := client.recv(65536)):
                answer += chunk
                if len(answer) > MAX_ANSWER:
                    break
    except (FileNotFoundError, ConnectionRefusedError):
        raise CentralError(f"no central is running here ({path}). Start it with: vaktpost central run") from None
    except PermissionError:
        raise CentralError(f"{path}: only the account that central runs under may ask it.") from None
    except OSError as error:
        raise CentralError(f"central did not answer: {error}.") from None
    try:
        told = json.loads(bytes(answer))
    except ValueError:
        raise CentralError("central did not answer in time.") from None
    if told["ok"]:
        return told["result"]
    if told["reason"].startswith("hub"):
        raise NotFoundError(told["reason"], told["detail"])
    raise CentralError(f"{told['reason']}: {told['detail']}")
