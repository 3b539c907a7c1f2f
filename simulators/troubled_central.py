"""Central behind something that misbehaves: a TLS front that passes requests on, or does not, or does it badly.

It shows a certificate that it is given, so that an expired or a strange one can be shown, and speaks to the real
central behind it. HTTP is read from its specification, as far as requests with a known length need it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from enum import StrEnum
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024
HEAD_END = b"\r\n\r\n"
SLOW_S = 1.5


class Trouble(StrEnum):
    """What is wrong."""

    NONE = "none"
    SLOW = "slow"
    """Everything takes longer than a hub waits before it uses a second path."""
    ERROR = "answers 500"
    GARBAGE = "answers 200 with noise"
    NONSENSE = "answers what is not HTTP"
    CLOSES = "closes after central has committed"
    HALF = "closes in the middle of the answer"
    HANGS = "never answers"


class TroubledCentral:
    """Listens on loopback for as long as the context lasts. `trouble` may be changed at any time."""

    def __init__(self, central_port: int, certificate: ssl.SSLContext, *, host: str = "127.0.0.1") -> None:
        self._central_port = central_port
        self._certificate = certificate
        self._host = host
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.trouble = Trouble.NONE
        self.met: dict[Trouble, int] = dict.fromkeys(Trouble, 0)
        """How many requests met which trouble."""
        self._behind = ssl.create_default_context()
        self._behind.check_hostname = False
        self._behind.verify_mode = ssl.CERT_NONE

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, 0, ssl=self._certificate)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """Break every connection."""
        for task in list(self._tasks):
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection("127.0.0.1", self._central_port, ssl=self._behind)
            while (request := await _message(reader)) is not None:
                if not await self._one(request, far_reader, far, reader, writer):
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # one side is gone: so is the connection
        finally:
            for end in (writer, far):
                if end is not None:
                    end.transport.abort()

    async def _one(
        self,
        request: bytes,
        far_reader: asyncio.StreamReader,
        far: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """One request. False: the connection is over."""
        trouble = self.trouble
        self.met[trouble] += 1
        if trouble is Trouble.HANGS:
            await reader.read()  # until the other side has had enough
            return False
        if trouble in {Trouble.ERROR, Trouble.GARBAGE, Trouble.NONSENSE}:
            noise = os.urandom(64)
            status = b"500 Internal Server Error" if trouble is Trouble.ERROR else b"200 OK"
            head = (
                b"HTTP/1.1 "
                + status
                + b"\r\nContent-Type: application/vnd.vaktpost.frames\r\nContent-Length: 64\r\n\r\n"
            )
            writer.write(noise if trouble is Trouble.NONSENSE else head + noise)
            await writer.drain()
            return trouble is not Trouble.NONSENSE
        if trouble is Trouble.SLOW:
            await asyncio.sleep(SLOW_S)
        far.write(request)
        await far.drain()
        head = await far_reader.readuntil(HEAD_END)
        if trouble is Trouble.CLOSES:
            return False
        length = _length(head)
        if length is None:  # the held stream: it ends with one of its ends
            writer.write(head)
            await _either(_pump(far_reader, writer), reader.read(1))
            return False
        body = await far_reader.readexactly(length)
        if trouble is Trouble.HALF:
            writer.write((head + body)[: len(head) + length // 2])
            await writer.drain()
            return False
        writer.write(head + body)
        await writer.drain()
        return True


async def _message(reader: asyncio.StreamReader) -> bytes | None:
    """A request with its body; None when there is no other one."""
    try:
        head = await reader.readuntil(HEAD_END)
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
        return None
    return head + await reader.readexactly(_length(head) or 0)


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return None


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()


async def _either(one: object, other: object) -> None:
    tasks = [asyncio.ensure_future(each) for each in (one, other)]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
