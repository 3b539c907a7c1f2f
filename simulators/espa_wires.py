"""What a simulated panel's line can be: a pseudo-terminal, a serial server, or a converter that dials."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import termios
import tty
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Wire(Protocol):
    """Where the panel's bytes go."""

    @property
    def port(self) -> str:
        """What a hub puts into its settings to be at the other end."""

    async def plug_in(self) -> None: ...

    async def hang_up(self) -> None: ...

    def write(self, octets: bytes, /) -> None: ...

    def forget_unread(self) -> None:
        """Bytes nobody has read are gone, as on a real line."""

    async def read(self) -> int:
        """The next byte. Waits for ever on a line without a hub."""

    def forget_unheard(self) -> None:
        """What the hub said and the panel has not looked at is gone: a new phase of the talk begins."""


class _Inbox:
    """Bytes from the hub, the oldest dropped when nobody reads."""

    def __init__(self) -> None:
        self._octets: deque[int] = deque(maxlen=4096)
        self._news = asyncio.Event()

    def put(self, octets: bytes) -> None:
        self._octets.extend(octets)
        self._news.set()

    async def take(self) -> int:
        while not self._octets:
            self._news.clear()
            await self._news.wait()
        return self._octets.popleft()

    def clear(self) -> None:
        self._octets.clear()


class PtyWire:
    """A pseudo-terminal; `link` is a stable name for it, which survives that it is unplugged and plugged in again."""

    def __init__(self, link: Path | None = None) -> None:
        self._link = link
        self._inbox = _Inbox()
        self._master: int | None = None
        self._slave: int | None = None
        self._name = ""

    @property
    def port(self) -> str:
        return str(self._link.absolute()) if self._link is not None else self._name

    async def plug_in(self) -> None:
        if self._master is not None:
            return
        self._master, self._slave = pty.openpty()
        # Our own hold on the hub's end keeps the line alive while no hub has it open.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._name = os.ttyname(self._slave)
        if self._link is not None:
            self._link.parent.mkdir(parents=True, exist_ok=True)
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(self._name)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    async def hang_up(self) -> None:
        master, slave = self._master, self._slave
        if master is None or slave is None:
            return
        self._master = self._slave = None
        asyncio.get_running_loop().remove_reader(master)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        os.close(master)
        os.close(slave)
        self._inbox.clear()

    def _readable(self) -> None:
        if self._master is not None:
            with contextlib.suppress(OSError):
                self._inbox.put(os.read(self._master, 1024))

    def write(self, octets: bytes, /) -> None:
        if self._master is not None:
            with contextlib.suppress(OSError):
                os.write(self._master, octets)

    def forget_unread(self) -> None:
        if self._slave is not None:
            with contextlib.suppress(termios.error):
                termios.tcflush(self._slave, termios.TCIFLUSH)

    async def read(self) -> int:
        return await self._inbox.take()

    def forget_unheard(self) -> None:
        self._inbox.clear()


class _NetworkWire(asyncio.Protocol):
    """What server and client share: one connection at a time, the newest."""

    def __init__(self) -> None:
        self._inbox = _Inbox()
        self._transport: asyncio.Transport | None = None
        self.connected = asyncio.Event()

    def write(self, octets: bytes, /) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    def forget_unread(self) -> None:
        """A serial server has no such thing: what is sent is sent."""

    async def read(self) -> int:
        return await self._inbox.take()

    def forget_unheard(self) -> None:
        self._inbox.clear()

    def _attach(self, transport: asyncio.Transport) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._transport = transport
        self._inbox.clear()
        self.connected.set()

    def _detach(self, transport: asyncio.Transport) -> None:
        if self._transport is transport:
            self._transport = None
            self.connected.clear()

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
            self._detach(self._transport)

    def _protocol(self) -> asyncio.Protocol:
        return _Ear(self._attach, self._detach, self._inbox)


class _Ear(asyncio.Protocol):
    def __init__(
        self,
        attach: Callable[[asyncio.Transport], None],
        detach: Callable[[asyncio.Transport], None],
        inbox: _Inbox,
    ) -> None:
        self._attach = attach
        self._detach = detach
        self._inbox = inbox
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
            self._attach(transport)

    def data_received(self, octets: bytes) -> None:
        self._inbox.put(octets)

    def connection_lost(self, _exc: Exception | None, /) -> None:
        if self._transport is not None:
            self._detach(self._transport)


class ServerWire(_NetworkWire):
    """A serial server (terminal server) to which the hub connects."""

    def __init__(self, host: str = "127.0.0.1", number: int = 0) -> None:
        super().__init__()
        self._host = host
        self._number = number
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> str:
        return f"socket://{self._host}:{self._number}"

    async def plug_in(self) -> None:
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, self._host, self._number)
            self._number = self._server.sockets[0].getsockname()[1]

    async def hang_up(self) -> None:
        if self._server is not None:
            self._server.close()
            self._drop()
            await self._server.wait_closed()
            self._server = None


class ClientWire(_NetworkWire):
    """A converter that connects to a hub which listens, and tries again when it is dropped."""

    def __init__(self, host: str, number: int, *, retry_s: float = 0.05) -> None:
        super().__init__()
        self._host = host
        self._number = number
        self._retry_s = retry_s
        self._dialling: asyncio.Task[None] | None = None

    @property
    def port(self) -> str:
        return f"listen://{self._host}:{self._number}"

    async def plug_in(self) -> None:
        if self._dialling is None:
            self._dialling = asyncio.create_task(self._dial())

    async def hang_up(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.wait({self._dialling})
            self._dialling = None
        self._drop()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self.connected.is_set():
                with contextlib.suppress(OSError):
                    await loop.create_connection(self._protocol, self._host, self._number)
            await asyncio.sleep(self._retry_s)
