"""A web application on a socket, inside central's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from central.errors import CentralError

KEEP_ALIVE_S = 75
"""Longer than the 30 s between two signs of life: a hub's next alarm finds a connection that is open."""
UNANSWERED_MS = 60_000
GRACE_S = 5
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a TLS listener shows."""

    chain: Path
    key: Path


class _Server(uvicorn.Server):
    """Leaves signals to the program that it is a part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int, key: str) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises CentralError that names the setting."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise CentralError(
            f"cannot listen on {host}:{port} ({error.strerror}). Is another central running? "
            f"Otherwise choose another port: {key}.port"
        ) from None
    # asyncio does this for sockets it makes itself; without it an answer waits 40 ms for the other side's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A peer that went away without a word: found out while something is still to be sent, not a quarter of an hour on.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MS)
    listener.setblocking(False)
    return listener


async def serve(app: Any, listener: socket.socket, stop: asyncio.Event, certificate: Certificate | None = None) -> None:
    """Serve until `stop` is set, then let what is under way end, for a few seconds."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        ssl_certfile=certificate.chain if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    server = _Server(config)

    async def watch() -> None:
        await stop.wait()
        server.should_exit = True

    async with asyncio.TaskGroup() as group:
        watcher = group.create_task(watch())
        try:
            await server.serve(sockets=[listener])
        finally:
            watcher.cancel()
            listener.close()
