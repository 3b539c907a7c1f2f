"""The line to the modem: a serial port, or a serial server that is connected to."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

from cloud_sync.modem.errors import ModemError, Reason
from cloud_sync.settings import ModemSettings
from ground.serial_port import OPENING_ERRORS, SerialPort, number_of, open_port

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
    """A serial port as a line."""

    def __init__(self, port: SerialPort) -> None:
        self._port = port

    async def read(self) -> bytes:
        return await self._port.read()

    async def write(self, content: bytes, /) -> None:
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._port.send(content)
        except OSError as error:  # TimeoutError is one
            raise ModemError(Reason.NO_MODEM, "the port does not take what is written") from error

    def close(self) -> None:
        self._port.close()


async def _open_port(settings: ModemSettings) -> _Port:
    try:
        return _Port(await open_port(settings.port, baudrate=settings.baudrate))
    except OPENING_ERRORS as error:
        raise ModemError(Reason.NO_MODEM, explain(settings.port, error)) from None


def explain(port: str, error: Exception) -> str:
    """Why a port cannot be opened, and what to do about it."""
    number = number_of(error)
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return f"{port} is not there: is the modem plugged in? `ls -l /dev/serial/by-id/` shows what is"
    if number in {errno.EACCES, errno.EPERM}:
        return f"{port} may not be opened by this user: the hub's user must be in the group dialout"
    if number in {errno.EBUSY, errno.EAGAIN}:
        return f"{port} is in use by another program, perhaps ModemManager: tell it to leave this modem alone"
    if "configure port" in str(error):
        return f"{port} is no serial port"
    return f"{port} cannot be opened: {error}"
