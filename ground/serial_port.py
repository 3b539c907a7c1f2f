"""A serial port on the event loop: opened by pyserial in a thread, then read and written by its file descriptor.

pyserial knows every line setting; what it does after that blocks. By the descriptor nothing of ours blocks, no thread
can outlive whoever uses the port, a hangup is seen at once, and cancelling is immediate.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from collections.abc import Callable
from typing import Any

CHUNK = 1024

OPENING_ERRORS = (OSError, termios.error, ValueError)
"""What opening raises: pyserial's own error is an OSError, and it lets the other two through."""


def number_of(error: Exception) -> Any:
    """The error number in one of those; `termios.error` has it as its first argument only."""
    return getattr(error, "errno", None) or next(iter(error.args), None)


class SerialPort:
    """An open one. `close` may be called twice."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self._fd: int = port.fileno()
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._reading: asyncio.Future[None] | None = None
        os.set_blocking(self._fd, False)

    async def read(self) -> bytes:
        """At least one byte, or b"" once the device is gone."""
        while self._is_open:
            try:
                # After a hangup the descriptor is readable for ever and gives b"" or EIO.
                return os.read(self._fd, CHUNK)
            except BlockingIOError:
                self._reading = self._loop.create_future()
                await self._ready(self._reading, self._loop.add_reader, self._loop.remove_reader)
            except OSError:
                return b""
        return b""

    async def send(self, content: bytes) -> None:
        """All of it, however long the device takes. Raises OSError."""
        rest = memoryview(content)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._ready(self._loop.create_future(), self._loop.add_writer, self._loop.remove_writer)

    def send_now(self, content: bytes) -> None:
        """What the device takes at once; the rest never. Raises nothing: a dead port is noticed by the reader."""
        with contextlib.suppress(OSError):
            if self._is_open:
                os.write(self._fd, content)

    async def _ready(
        self, waiter: asyncio.Future[None], add: Callable[..., object], remove: Callable[[int], object]
    ) -> None:
        add(self._fd, _wake, waiter)
        try:
            await waiter
        finally:
            if self._is_open:
                remove(self._fd)

    def close(self) -> None:
        """Whoever reads is given b""."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        if self._reading is not None:
            _wake(self._reading)
        # Closing a tty with unsent bytes can wait half a minute in the kernel for a device that is not there.
        with contextlib.suppress(OSError, termios.error):
            self._port.reset_output_buffer()
        with contextlib.suppress(OSError):
            self._port.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def open_port(path: str, **line: Any) -> SerialPort:
    """With these settings of pyserial. May take long (a USB device that does not answer). Raises `OPENING_ERRORS`."""
    opening = asyncio.ensure_future(asyncio.to_thread(_open_blocking, path, line))
    try:
        port = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_orphan)
        raise
    return SerialPort(port)


def _close_orphan(opening: asyncio.Future[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _open_blocking(path: str, line: dict[str, Any]) -> Any:
    import serial

    port = serial.Serial(path, timeout=0, write_timeout=0, exclusive=True, **line)
    try:
        # pyserial leaves VMIN 0, with which "nothing there yet" reads as b"" just like "hung up".
        attributes = termios.tcgetattr(port.fileno())
        attributes[6][termios.VMIN] = 1
        termios.tcsetattr(port.fileno(), termios.TCSANOW, attributes)
    except BaseException:
        port.close()
        raise
    return port
