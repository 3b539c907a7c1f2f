"""A web application on a socket, inside central's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio import sslproto
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11
import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from central.errors import CentralError

KEEP_ALIVE_S = 75
"""Longer than the 30 s between two signs of life: a hub's next alarm finds a connection that is open."""
REQUEST_S = 60.0
"""From its first byte on a request has so long to be complete: who lets it trickle holds memory and sends nothing."""
UNANSWERED_MS = 60_000
GRACE_S = 5
_BACKLOG = 1024
TLS_BUFFER_BYTES = 64 * 1024
"""asyncio sets four times this aside for every TLS connection, for as long as it lasts; a TLS record has 16 KiB."""
sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a TLS listener shows."""

    chain: Path
    key: Path


class Connection(H11Protocol):
    """Hangs up on who connects and does not come to ask; the server itself minds only the time between two requests."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limit: asyncio.TimerHandle | None = None
        self._is_asking = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limit = self.loop.call_later(KEEP_ALIVE_S, self._hang_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        was_asking, self._is_asking = self._is_asking, self.conn.their_state in {h11.IDLE, h11.SEND_BODY}
        if self._is_asking and was_asking:
            return
        self._unlimit()
        if self._is_asking:
            self._limit = self.loop.call_later(REQUEST_S, self._hang_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unlimit()
        super().connection_lost(exc)

    def _unlimit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _hang_up(self) -> None:
        log.info("connection_without_request_closed")
        self.transport.abort()


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
        http=Connection,
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
