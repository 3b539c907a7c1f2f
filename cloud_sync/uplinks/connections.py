"""POST over HTTP/1.1 on TLS connections that are kept: h11 knows the protocol, asyncio moves the bytes.

No more of HTTP than a path to central needs, because a hub has little memory and an alarm little time: a general
client takes a sixth of the one and a large part of the other.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

import h11

from cloud_sync.errors import UplinkError

KEPT_S = 120.0
"""An idle connection is not used again after so long."""
WHOLE_BYTES = 64 * 1024
"""What is longer is handed over in pieces of this size, so that the loop goes on in between."""
READ_BYTES = 64 * 1024
MAX_HEAD = 16 * 1024
CLOSING_S = 0.25
NEXT_ADDRESS_S = 0.25

Headers = tuple[tuple[str, str], ...]


class Connection:
    """One TLS connection to a host, for one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.idle_since_s = 0.0

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext) -> Self:
        """Connect. Raises OSError."""
        reader, writer = await asyncio.open_connection(
            host, port, ssl=tls, server_hostname=host, happy_eyeballs_delay=NEXT_ADDRESS_S
        )
        return cls(reader, writer)

    async def post(self, target: str, headers: Headers, body: bytes) -> int:
        """Send a request and return the status of its answer. Raises OSError, h11.ProtocolError."""
        request = h11.Request(method="POST", target=target, headers=[*headers, ("Content-Length", str(len(body)))])
        head = self._http.send(request) or b""
        self._http.send(h11.Data(data=body))
        self._http.send(h11.EndOfMessage())
        if len(body) <= WHOLE_BYTES:
            self._writer.write(head + body)
            await self._writer.drain()
        else:
            self._writer.write(head)
            for at in range(0, len(body), WHOLE_BYTES):
                self._writer.write(body[at : at + WHOLE_BYTES])
                await self._writer.drain()
                await asyncio.sleep(0)
        answer = await self._event()
        while isinstance(answer, h11.InformationalResponse):
            answer = await self._event()
        if not isinstance(answer, h11.Response):
            raise h11.RemoteProtocolError("no answer")
        return answer.status_code

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body of the answer, as it comes. Raises as `post` does."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise h11.RemoteProtocolError("the answer ends too early")

    async def _event(self) -> h11.Event:
        while isinstance(event := self._http.next_event(), type):  # no event, but a word about why there is none
            if event is h11.PAUSED:
                raise h11.RemoteProtocolError("more came than was asked for")
            self._http.receive_data(await self._reader.read(READ_BYTES))
        return event

    def is_usable_again(self) -> bool:
        """Whether the exchange is complete on both sides; then the connection is ready for the next one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.idle_since_s = time.monotonic()
        return True

    def is_open(self) -> bool:
        """Whether the other end has not hung up while nothing was asked."""
        is_fresh = time.monotonic() - self.idle_since_s < KEPT_S
        return is_fresh and not self._reader.at_eof() and not self._writer.is_closing()

    def abort(self) -> None:
        """Drop it."""
        self._writer.transport.abort()

    async def close(self) -> None:
        """Take leave; who does not answer soon is dropped."""
        self._writer.close()
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._writer.wait_closed()
        except OSError:  # a timeout is one
            self.abort()


class Answer:
    """What came back, as far as it was read."""

    def __init__(self, status: int, connection: Connection) -> None:
        self.status = status
        self._connection = connection

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes."""
        return self._connection.chunks()

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises UplinkError when it is longer than `limit`."""
        body = bytearray()
        async for chunk in self._connection.chunks():
            body += chunk
            if len(body) > limit:
                raise UplinkError("the answer is too long")
        return bytes(body)


class Connections:
    """At most `limit` connections to one address, opened when needed and kept."""

    def __init__(
        self, url: str, tls: ssl.SSLContext, headers: Headers, *, limit: int, connect_timeout_s: float
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._headers = (("Host", parts.netloc), *headers)
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._free = asyncio.Semaphore(limit)
        self._idle: list[Connection] = []
        self._is_closed = False

    @asynccontextmanager
    async def post(self, target: str, body: bytes) -> AsyncIterator[Answer]:
        """One exchange. A connection whose exchange was not completed is not used again. Raises UplinkError."""
        async with self._free:
            connection = await self._take()
            try:
                try:
                    status = await connection.post(target, self._headers, body)
                    yield Answer(status, connection)
                except h11.ProtocolError as error:
                    raise UplinkError(f"the other end speaks no HTTP: {error}") from error
                except OSError as error:
                    raise UplinkError(why(error)) from error
            except BaseException:
                connection.abort()
                raise
            if self._is_closed or not connection.is_usable_again():
                connection.abort()
            else:
                self._idle.append(connection)

    async def _take(self) -> Connection:
        if self._is_closed:
            raise UplinkError("this path was left")
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open():
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                return await Connection.open(self._host, self._port, self._tls)
        except OSError as error:
            raise UplinkError(why(error)) from error

    async def close(self) -> None:
        """Close what is idle; what is busy is dropped when it is done."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.close() for connection in idle))


def why(error: BaseException) -> str:
    """An error in a few words."""
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
