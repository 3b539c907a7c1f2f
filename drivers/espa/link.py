"""The line itself: a serial port, a serial server we connect to, or one that connects to us.

All three give the same thing, a `Line` of bytes, and decide nothing about them. A serial port is opened by pyserial
(which knows every line setting) in a thread, and then watched by the event loop on its file descriptor: no thread of
our own that could outlive the driver, a hangup is seen at once, cancelling is immediate.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from drivers.errors import TransientDriverError
from drivers.espa.ports import locate
from drivers.espa.settings import EspaSettings, network_address

CHUNK = 1024
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
    """An open serial port, watched by the event loop."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._fd: int = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._waiter: asyncio.Future[None] | None = None
        os.set_blocking(self._fd, False)

    async def read(self) -> bytes:
        while self._is_open:
            try:
                # After a hangup the descriptor is readable for ever and gives b"" or EIO: the device is gone.
                return os.read(self._fd, CHUNK)
            except BlockingIOError:
                await self._readable()
            except OSError:
                return b""
        return b""

    async def _readable(self) -> None:
        waiter = self._loop.create_future()
        self._waiter = waiter
        self._loop.add_reader(self._fd, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if self._is_open:
                self._loop.remove_reader(self._fd)

    def write(self, answer: bytes, /) -> None:
        # A serial driver takes a byte or two at once. One that does not has no room: the panel is not listening, and
        # will ask again. A dead port is noticed by the reader.
        with contextlib.suppress(OSError):
            if self._is_open:
                os.write(self._fd, answer)

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._fd)
        if self._waiter is not None:
            _wake(self._waiter)
        # Closing a tty with unsent bytes can wait half a minute in the kernel for a panel that is not there.
        with contextlib.suppress(OSError, termios.error):
            self._port.reset_output_buffer()
        with contextlib.suppress(OSError):
            self._port.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _open_port(settings: EspaSettings) -> Line:
    """The serial port with its line settings. Opening may block (a USB device that does not answer), so in a thread."""
    opening = asyncio.ensure_future(asyncio.to_thread(_open_blocking, settings))
    try:
        port = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_orphan)
        raise
    return _Port(port)


def _close_orphan(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _open_blocking(settings: EspaSettings) -> Any:
    import serial

    path = locate(settings.port)
    try:
        port = serial.Serial(
            path,
            baudrate=settings.baudrate,
            bytesize=settings.bytesize,
            parity={"none": serial.PARITY_NONE, "even": serial.PARITY_EVEN, "odd": serial.PARITY_ODD}[settings.parity],
            stopbits=settings.stopbits,
            timeout=0,
            write_timeout=0,
            exclusive=True,
        )
        # pyserial leaves VMIN 0, with which "nothing there yet" reads as b"" just like "hung up".
        attributes = termios.tcgetattr(port.fileno())
        attributes[6][termios.VMIN] = 1
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except (serial.SerialException, OSError, termios.error, ValueError) as error:
        raise TransientDriverError(explain(path, error)) from None
    return port


def explain(port: str, error: Exception) -> str:
    """Why a port cannot be opened, and what to do about it."""
    # pyserial lets `termios.error` through, which has the number as its first argument only.
    number = getattr(error, "errno", None) or next(iter(error.args), None)
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return f"{port} is not there: is the converter plugged in? `ls -l /dev/serial/by-id/` shows what is."
    if number in {errno.EACCES, errno.EPERM}:
        return f"{port} may not be opened by this user: the hub's user must be in the group `dialout`."
    if number in {errno.EBUSY, errno.EAGAIN}:
        return f"{port} is in use by another program, or by another driver of this hub."
    if number == errno.EINVAL or isinstance(error, ValueError) or "configure port" in str(error):
        return f"{port} does not take these line settings (baudrate, bytesize, parity, stopbits)."
    return f"{port} cannot be opened: {error}"
