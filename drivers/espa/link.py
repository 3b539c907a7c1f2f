"""The line itself: a serial port, a serial server we connect to, or one that connects to us.

All three give the same thing, a `Line` of bytes, and decide nothing about them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from drivers.errors import TransientDriverError
from drivers.espa.ports import locate
from drivers.espa.settings import EspaSettings, network_address
from ground.serial_port import OPENING_ERRORS, SerialPort, number_of, open_port

BUFFER_LIMIT = 8192
"""Unread bytes after which a line is not read further: the panel waits for us, we never grow for it."""
CONNECT_TIMEOUT_S = 5.0
OUT_LIMIT = 256
"""Unsent bytes that are kept. Answers are one or two bytes: more means that nobody takes them."""


class Line(Protocol):
    """One connection to the panel."""

    async def read(self) -> bytes:
        """At least one byte, or b"" once the line is gone."""

    def write(self, answer: bytes, /) -> None:
        """Send at once or never: a late answer would be taken for the answer to something else. Never raises."""

    def close(self) -> None:
        """Let go of the line. May be called twice."""


class Link(Protocol):
    """Where lines come from. `connect` gives the next one, closing the one before it."""

    async def connect(self) -> Line: ...


@asynccontextmanager
async def open_link(settings: EspaSettings) -> AsyncIterator[Link]:
    """The link that the settings name. Whatever it opened is closed on exit.

    Raises TransientDriverError from `connect` when there is nothing to connect to (now).
    """
    if settings.port.startswith("listen://"):
        async with _listening(settings) as link:
            yield link
        return
    caller = _Caller(settings)
    try:
        yield caller
    finally:
        caller.close()


class _Caller:
    """A port or a serial server: `connect` opens it."""

    def __init__(self, settings: EspaSettings) -> None:
        self._settings = settings
        self._line: Line | None = None

    async def connect(self) -> Line:
        self.close()
        if self._settings.port.startswith("socket://"):
            self._line = await _dial(self._settings.port)
        else:
            self._line = await _open_port(self._settings)
        return self._line

    def close(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


class _Stream(asyncio.Protocol):
    """A TCP connection as a line."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._news = asyncio.Event()
        self._is_gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a stream protocol is always given
        self._transport = transport
        _keep_alive(transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > BUFFER_LIMIT and self._transport is not None:
            self._transport.pause_reading()
        self._news.set()

    def connection_lost(self, _exc: Exception | None, /) -> None:
        self._is_gone = True
        self._news.set()

    async def read(self) -> bytes:
        while not self._received:
            if self._is_gone:
                return b""
            self._news.clear()
            await self._news.wait()
        taken = bytes(self._received)
        self._received.clear()
        if self._transport is not None and not self._is_gone:
            self._transport.resume_reading()
        return taken

    def write(self, answer: bytes, /) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing() and transport.get_write_buffer_size() < OUT_LIMIT:
            transport.write(answer)

    def close(self) -> None:
        self._is_gone = True
        self._news.set()
        if self._transport is not None:
            self._transport.abort()


def _keep_alive(transport: asyncio.Transport) -> None:
    """A serial server that lost its power says nothing: let the kernel find out, beside the watch on polls."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


async def _dial(port: str) -> Line:
    host, number = network_address(port)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, line = await loop.create_connection(_Stream, host, number)
    except TimeoutError:
        raise TransientDriverError(f"{port} does not answer: is the serial server on, and its address right?") from None
    except OSError as error:
        raise TransientDriverError(f"{port} cannot be reached: {error.strerror or error}") from None
    return line


class _Listener:
    """Waits for the panel's converter. The newest connection wins: after a power cut the old one never ends."""

    def __init__(self, settings: EspaSettings) -> None:
        self._allowed = {str(address) for address in settings.allow_from}
        self._accepted: _Stream | None = None
        self._current: _Stream | None = None
        self._arrival = asyncio.Event()

    def accept(self) -> asyncio.Protocol:
        return _Arriving(self)

    def arrived(self, stream: _Stream, peer: str) -> bool:
        if self._allowed and peer not in self._allowed:
            return False
        if self._accepted is not None:
            self._accepted.close()
        self._accepted = stream
        if self._current is not None:
            self._current.close()
        self._arrival.set()
        return True

    async def connect(self) -> Line:
        if self._current is not None:
            self._current.close()
            self._current = None
        while self._accepted is None:
            self._arrival.clear()
            await self._arrival.wait()
        self._current, self._accepted = self._accepted, None
        return self._current

    def close(self) -> None:
        for stream in (self._accepted, self._current):
            if stream is not None:
                stream.close()


class _Arriving(_Stream):
    def __init__(self, listener: _Listener) -> None:
        super().__init__()
        self._listener = listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        host = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        if not self._listener.arrived(self, host.removeprefix("::ffff:")):
            self.close()


@asynccontextmanager
async def _listening(settings: EspaSettings) -> AsyncIterator[Link]:
    host, number = network_address(settings.port)
    listener = _Listener(settings)
    try:
        server = await asyncio.get_running_loop().create_server(listener.accept, host, number)
    except OSError as error:
        raise TransientDriverError(f"{settings.port} cannot be listened on: {error.strerror or error}") from None
    try:
        yield listener
    finally:
        server.close()
        listener.close()
        await server.wait_closed()


class _Port:
    """A serial port as a line."""

    def __init__(self, port: SerialPort) -> None:
        self._port = port

    async def read(self) -> bytes:
        return await self._port.read()

    def write(self, answer: bytes, /) -> None:
        # A serial driver takes a byte or two at once. One that does not has no room: the panel is not listening, and
        # will ask again.
        self._port.send_now(answer)

    def close(self) -> None:
        self._port.close()


async def _open_port(settings: EspaSettings) -> Line:
    path = settings.port
    line = {
        "baudrate": settings.baudrate,
        "bytesize": settings.bytesize,
        "parity": {"none": "N", "even": "E", "odd": "O"}[settings.parity],
        "stopbits": settings.stopbits,
    }
    try:
        path = await asyncio.to_thread(locate, path)
        return _Port(await open_port(path, **line))
    except OPENING_ERRORS as error:
        raise TransientDriverError(explain(path, error)) from None


def explain(port: str, error: Exception) -> str:
    """Why a port cannot be opened, and what to do about it."""
    number = number_of(error)
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return f"{port} is not there: is the converter plugged in? `ls -l /dev/serial/by-id/` shows what is."
    if number in {errno.EACCES, errno.EPERM}:
        return f"{port} may not be opened by this user: the hub's user must be in the group `dialout`."
    if number in {errno.EBUSY, errno.EAGAIN}:
        return f"{port} is in use by another program, or by another driver of this hub."
    if number == errno.EINVAL or isinstance(error, ValueError) or "configure port" in str(error):
        return f"{port} does not take these line settings (baudrate, bytesize, parity, stopbits)."
    return f"{port} cannot be opened: {error}"
