"""The control socket: how `vaktpost hub status` and its like ask the running daemon. One line of JSON each way.

A Unix socket in the state directory, mode 0600. Whoever asks must have the daemon's own user id (or be root).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from gateway.errors import HubError

NAME = "control.sock"
MAX_LINE = 1024 * 1024
MAX_ASKED = 64 * 1024
MAX_ASKERS = 8
ASK_LIMIT_S = 60.0
_PEER = struct.Struct("3i")
_MAX_SOCKET_PATH = 100

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]

_log = structlog.get_logger()


class NotRunningError(HubError):
    """Nobody answers at the control socket."""


@contextmanager
def _short_path(state_dir: Path) -> Iterator[str]:
    """The socket's path; through /proc when it is too long for a socket address (108 bytes)."""
    path = str(state_dir / NAME)
    if len(path.encode()) <= _MAX_SOCKET_PATH:
        yield path
        return
    folder = os.open(state_dir, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{NAME}"
    finally:
        os.close(folder)


@asynccontextmanager
async def serve(state_dir: Path, answer: Answer) -> AsyncIterator[None]:
    """Answer what comes in while the context lasts. Each asker may ask several times, one after the other."""
    tasks: set[asyncio.Task[None]] = set()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            if len(tasks) > MAX_ASKERS or not _is_allowed(writer):
                _log.warning("control_refused", askers=len(tasks))
                return
            await _attend(reader, writer, answer)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            return
        finally:
            if task is not None:
                tasks.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    with _short_path(state_dir) as path:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            with suppress(FileNotFoundError):
                (state_dir / NAME).unlink()  # of a daemon that was killed; the journal's lock keeps two from running
            before = os.umask(0o177)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
            server = await asyncio.start_unix_server(attend, sock=listener, limit=MAX_ASKED)
        except BaseException:
            listener.close()
            raise
    try:
        yield
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(OSError):
            (state_dir / NAME).unlink()


async def _attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    while line := await reader.readline():
        said = await _said(line, answer)
        writer.write(json.dumps(said, ensure_ascii=False).encode() + b"\n")
        await writer.drain()


async def _said(line: bytes, answer: Answer) -> Mapping[str, Any]:
    try:
        asked = json.loads(line)
    except ValueError as error:
        return {"ok": False, "error": f"not understood: {error}"}
    if not isinstance(asked, dict):
        return {"ok": False, "error": "not understood: an object is expected"}
    try:
        async with asyncio.timeout(ASK_LIMIT_S):
            return {"ok": True, "answer": await answer(asked)}
    except TimeoutError:
        return {"ok": False, "error": "not done in time"}
    except HubError as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:  # noqa: BLE001  # a question is never the end of the hub
        _log.warning("control_failed", error=error)
        return {"ok": False, "error": f"the hub could not tell: {type(error).__name__}"}


def _is_allowed(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(raw)
    return uid in {0, os.getuid()}


def ask(state_dir: Path, question: Mapping[str, Any], *, timeout_s: float = 5.0) -> Mapping[str, Any]:
    """Ask the running daemon. Blocks. Raises NotRunningError, or HubError with the daemon's own words."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
            asker.settimeout(timeout_s)
            with _short_path(state_dir) as path:
                asker.connect(path)
            asker.sendall(json.dumps(question).encode() + b"\n")
            with asker.makefile("rb") as lines:
                line = lines.readline(MAX_LINE)
    except PermissionError as error:
        raise HubError(
            f"{state_dir / NAME} belongs to another user; ask as that user, for example with sudo"
        ) from error
    except TimeoutError as error:
        raise HubError(f"the hub runs but has not answered within {timeout_s:g} s") from error
    except OSError as error:
        raise NotRunningError("the hub does not run") from error
    if not line.endswith(b"\n"):
        raise NotRunningError("the hub ended while it was asked")
    said = json.loads(line)
    if not said.get("ok"):
        raise HubError(str(said.get("error", "no reason given")))
    found: Mapping[str, Any] = said["answer"]
    return found
