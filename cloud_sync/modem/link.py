"""The line to the modem: a serial port, or a serial server that is connected to.

A port is opened by pyserial (which knows every line setting) in a thread, and then watched by the event loop on its
file descriptor: nothing of ours blocks, a modem that is pulled out is noticed at once, cancelling is immediate.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol
from urllib.parse import urlsplit

from cloud_sync.modem.errors import ModemError, Reason
from cloud_sync.settings import ModemSettings

CHUNK = 1024
CONNECT_TIMEOUT_S = 5.0
WRITE_TIMEOUT_S = 5.0


class Line(Protocol):
    """A connection to the modem."""

    async def read(self) -> bytes:
        """At least one byte, or b"" once the modem is gone."""

    async def write(self, content: bytes, /) -> None:
        """Raises ModemError when the modem does not take it."""


@asynccontextmanager
async def open_line(settings: ModemSettings) -> AsyncIterator[Line]:
    """Open what the settings name; closed on exit. Raises ModemError."""
    if settings.port.startswith("socket://"):
        stream = await _dial(settings.port)
        try:
            yield stream
        finally:
            stream.close()
        return
    port = await _open_port(settings)
    try:
        yield port
    finally:
        port.close()


class _Stream:
    """A TCP connection as a line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        try:
            return await self._reader.read(CHUNK)
        except OSError:
            return b""

    async def write(self, content: bytes, /) -> None:
        try:
            self._writer.write(content)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._writer.drain()
        except OSError as error:  # TimeoutError is one
            raise ModemError(Reason.NO_MODEM, "the line does not take what is written") from error

    def close(self) -> None:
        self._writer.transport.abort()


async def _dial(port: str) -> _Stream:
    parts = urlsplit(port)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return _Stream(*await asyncio.open_connection(parts.hostname, parts.port, limit=8 * CHUNK))
    except OSError as error:
        words = "does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise ModemError(Reason.NO_MODEM, f"{port}: {words}") from None


class _Port:
    """An open serial port, watched by the event loop."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._fd: int = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        os.set_blocking(self._fd, False)

    async def read(self) -> bytes:
        while self._is_open:
            try:
                # After a hangup the descriptor is readable for ever and gives b"" or EIO: the modem is gone.
                return os.read(self._fd, CHUNK)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
            except OSError:
                return b""
        return b""

    async def write(self, content: bytes, /) -> None:
        rest = memoryview(content)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                while rest:
                    try:
                        rest = rest[os.write(self._fd, rest) :]
                    except BlockingIOError:
                        await self._ready(self._loop.add_writer, self._loop.remove_writer)
        except OSError as error:
            raise ModemError(Reason.NO_MODEM, "the port does not take what is written") from error

    async def _ready(self, add: Any, remove: Any) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        add(self._fd, _wake, waiter)
        try:
            await waiter
        finally:
            if self._is_open:
                remove(self._fd)

    def close(self) -> None:
        self._is_open = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        # Closing a tty with unsent bytes can wait half a minute in the kernel for a modem that is not there.
        with contextlib.suppress(OSError, termios.error):
            self._port.reset_output_buffer()
        with contextlib.suppress(OSError):
            self._port.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def _open_port(settings: ModemSettings) -> _Port:
    """Opening may block (a USB device that does not answer), so in a thread."""
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


def _open_blocking(settings: ModemSettings) -> Any:
    import serial

    try:
        port = serial.Serial(settings.port, baudrate=settings.baudrate, timeout=0, write_timeout=0, exclusive=True)
        # pyserial leaves VMIN 0, with which "nothing there yet" reads as b"" just like "hung up".
        attributes = termios.tcgetattr(port.fileno())
        attributes[6][termios.VMIN] = 1
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except (serial.SerialException, OSError, termios.error, ValueError) as error:
        raise ModemError(Reason.NO_MODEM, explain(settings.port, error)) from None
    return port


def explain(port: str, error: Exception) -> str:
    """Why a port cannot be opened, and what to do about it."""
    number = getattr(error, "errno", None) or next(iter(error.args), None)
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return f"{port} is not there: is the modem plugged in? `ls -l /dev/serial/by-id/` shows what is"
    if number in {errno.EACCES, errno.EPERM}:
        return f"{port} may not be opened by this user: the hub's user must be in the group dialout"
    if number in {errno.EBUSY, errno.EAGAIN}:
        return f"{port} is in use by another program, perhaps ModemManager: tell it to leave this modem alone"
    if "configure port" in str(error):
        return f"{port} is no serial port"
    return f"{port} cannot be opened: {error}"
