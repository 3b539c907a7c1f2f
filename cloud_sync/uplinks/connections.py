"""POST over HTTP/1.1 on TLS connections that are kept: h11 knows the protocol, asyncio moves the bytes.

No more of HTTP than a path to central needs, because a hub has little memory and an alarm little time: a general
client takes a sixth of the one and a large part of the other.

A connection serves one exchange at a time, and the next one only if the last was complete on both sides and nothing
came that was not asked for. Nothing is repeated here: whether a request took effect is for receipts to tell.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from asyncio import sslproto
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self, cast
from urllib.parse import urlsplit

import h11

from cloud_sync.errors import UplinkError

KEPT_S = 60.0
"""An idle connection is not used again after so long: central hangs up after 75 s, and the two must not meet."""
WHOLE_BYTES = 64 * 1024
"""What is longer is handed over in pieces of this size, so that the loop goes on in between."""
AHEAD_BYTES = 256 * 1024
"""The other end is not listened to while so much has come and was not looked at."""
MAX_HEAD = 16 * 1024
CLOSING_S = 1.0
NEXT_ADDRESS_S = 0.25

TLS_BUFFER_BYTES = 64 * 1024
"""asyncio sets four times this aside for every TLS connection, for as long as it lasts; a TLS record has 16 KiB."""
sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES

Headers = tuple[tuple[str, str], ...]


class Connection(asyncio.Protocol):
    """One TLS connection to a host. Its methods raise UplinkError."""

    def __init__(self, on_lost: Callable[[Connection], None]) -> None:
        self._on_lost = on_lost
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._came = bytearray()
        self._change = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_busy = False
        self._is_all_sent = True
        self._is_ended = False
        self._is_pausing = False
        self._fault: Exception | None = None
        self._transport: asyncio.Transport | None = None
        self._idle_since_s = 0.0
        self.lost = asyncio.Event()

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext, on_lost: Callable[[Connection], None]) -> Self:
        """Connect."""
        loop = asyncio.get_running_loop()
        # Given up at the wrong moment, a race between addresses leaves a socket behind; one address needs no race.
        race_s = None if _is_address(host) else NEXT_ADDRESS_S
        try:
            _, made = await loop.create_connection(
                lambda: cls(on_lost), host, port, ssl=tls, server_hostname=host, happy_eyeballs_delay=race_s
            )
        except (OSError, UnicodeError) as error:  # a name may be none
            raise UplinkError(why(error)) from error
        return made

    # what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_busy:
            self.abort()  # nobody asked; whatever this is, it must not be taken for the next answer
            return
        self._came += data
        if len(self._came) > AHEAD_BYTES and self._transport is not None and not self._is_pausing:
            self._is_pausing = True
            self._transport.pause_reading()
        self._change.set()

    def eof_received(self) -> None:
        self._is_ended = True
        self._change.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_ended, self._fault = True, exc
        self._change.set()
        self._may_write.set()
        self.lost.set()
        self._on_lost(self)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    # one exchange

    async def post(self, target: str, headers: Headers, body: bytes) -> Answer:
        """Send a request and return its answer as soon as its head is there."""
        self._is_busy = True
        request = h11.Request(method="POST", target=target, headers=[*headers, ("Content-Length", str(len(body)))])
        head = self._http.send(request) or b""
        self._http.send(h11.Data(data=body))
        self._http.send(h11.EndOfMessage())
        if len(body) <= WHOLE_BYTES:
            self._write(head + body)
            return await self._answer()
        self._is_all_sent = False
        sending = asyncio.create_task(self._send(head, body), name="uplink-body")
        try:
            return await self._answer()  # a refusal may come before all is sent
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, head: bytes, body: bytes) -> None:
        self._write(head)
        for at in range(0, len(body), WHOLE_BYTES):
            await self._may_write.wait()
            self._write(body[at : at + WHOLE_BYTES])
            await asyncio.sleep(0)
        self._is_all_sent = True

    def _write(self, octets: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(octets)

    async def _answer(self) -> Answer:
        event = await self._event()
        while isinstance(event, h11.InformationalResponse):
            event = await self._event()
        if not isinstance(event, h11.Response):
            raise UplinkError("the other end hung up without an answer")
        return Answer(event, self)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body of the answer, as it comes."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
        if not isinstance(event, h11.EndOfMessage):
            raise UplinkError("the answer ends too early")

    async def _event(self) -> h11.Event:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._more())
        except h11.ProtocolError as error:
            raise UplinkError(f"the other end speaks no HTTP: {error}") from error
        if isinstance(event, type):  # no event, but a word about why there is none
            raise UplinkError("more came than was asked for")
        return event

    async def _more(self) -> bytes:
        """What came, at once or later; b"" at the end."""
        while not self._came and not self._is_ended:
            self._change.clear()
            await self._change.wait()
        if not self._came and self._fault is not None:
            raise UplinkError(why(self._fault)) from self._fault
        came = bytes(self._came)
        self._came.clear()
        if self._is_pausing and self._transport is not None and not self._transport.is_closing():
            self._is_pausing = False
            self._transport.resume_reading()
        return came

    # between two

    def finish(self) -> bool:
        """The exchange is over; tells whether there may be another one."""
        http = self._http
        is_complete = http.our_state is h11.DONE and http.their_state is h11.DONE and self._is_all_sent
        if not is_complete or self._came or http.trailing_data[0] or not self.is_open:
            return False
        http.start_next_cycle()
        self._is_busy = False
        self.rest()
        return True

    def rest(self) -> None:
        """From now on it is idle."""
        self._idle_since_s = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Whether the other end is not known to have hung up."""
        return not self._is_ended and self._transport is not None and not self._transport.is_closing()

    @property
    def is_fresh(self) -> bool:
        """Whether it was not idle for so long that something on the way may have forgotten it."""
        return time.monotonic() - self._idle_since_s < KEPT_S

    def abort(self) -> None:
        """Drop it."""
        if self._transport is not None:
            self._transport.abort()


class Answer:
    """What came back, as far as it was read."""

    def __init__(self, response: h11.Response, connection: Connection) -> None:
        self.status = response.status_code
        self._length = int(next((value for name, value in response.headers if name == b"content-length"), b"0"))
        self._connection = connection

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises UplinkError."""
        return self._connection.chunks()

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises UplinkError; also when it is longer than `limit`, or says that it is."""
        body = bytearray()
        if self._length <= limit:
            async for chunk in self.chunks():
                body += chunk
                if len(body) > limit:
                    break
            else:
                return bytes(body)
        raise UplinkError("the answer is too long")


class Connections:
    """At most `limit` connections to one address, opened when needed and kept."""

    def __init__(
        self, url: str, tls: ssl.SSLContext, headers: Headers, *, limit: int, connect_timeout_s: float
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._headers = (("Host", _host_header(self._host, parts.port)), *headers)
        self._tls = tls
        self._connect_timeout_s = connect_timeout_s
        self._free = asyncio.Semaphore(limit)
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._left: list[asyncio.Task[Connection]] = []
        """Connecting, and who asked for it has given up: the next one takes over. A dead line would otherwise get a new
        call from everybody in turn."""
        self._is_closed = False

    @asynccontextmanager
    async def post(self, target: str, body: bytes) -> AsyncIterator[Answer]:
        """One exchange. A connection whose exchange was not completed is not used again. Raises UplinkError."""
        async with self._free:
            connection = await self._take()
            try:
                yield await connection.post(target, self._headers, body)
            finally:
                # A refusal that was read to its end is an exchange like any other: were it to cost the connection, a
                # central with too much to do would get a TLS handshake on top for everything that it puts off.
                if connection.finish() and not self._is_closed:
                    self._idle.append(connection)
                else:
                    connection.abort()

    async def _take(self) -> Connection:
        """One that lately served, else a new one."""
        self._refuse_when_closed()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and connection.is_fresh:
                return connection
            connection.abort()
        connecting = self._left.pop() if self._left else asyncio.create_task(self._connect(), name="uplink-connect")
        try:
            connection = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            self._leave(connecting)
            raise
        self._refuse_when_closed()
        return connection

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await Connection.open(self._host, self._port, self._tls, self._lost)
        except TimeoutError as error:
            raise UplinkError(why(error)) from error
        self._open.add(connection)
        if not connection.is_open:
            self._lost(connection)
        if self._is_closed:
            connection.abort()
        return connection

    def _leave(self, connecting: asyncio.Task[Connection]) -> None:
        """Nobody waits for it now; until somebody does, or it comes to an end by itself."""

        def ended(_: object) -> None:
            if connecting not in self._left:
                return  # somebody has taken over
            self._left.remove(connecting)
            if connecting.cancelled() or connecting.exception() is not None:
                return
            connection = connecting.result()
            if connection.is_open and not self._is_closed:
                connection.rest()
                self._idle.append(connection)

        self._left.append(connecting)
        connecting.add_done_callback(ended)
        if self._is_closed:
            connecting.cancel()

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise UplinkError("this path was left")

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    async def close(self) -> None:
        """Drop all connections, busy ones too: who waits for an answer gets an error. Connecting ends by its limit."""
        self._is_closed = True
        left = list(self._left)
        for connecting in left:
            connecting.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        connections = list(self._open)
        for connection in connections:
            connection.abort()
        try:
            async with asyncio.timeout(CLOSING_S):
                for connection in connections:
                    await connection.lost.wait()
        except TimeoutError:
            return  # they are aborted; the loop tells them when it gets round to it


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host_header(host: str, port: int | None) -> str:
    try:
        name = f"[{host}]" if ":" in host else host.encode("ascii" if host.isascii() else "idna").decode()
    except UnicodeError as error:
        raise UplinkError(f"{host} is no host name: {error}") from error
    return name if port is None else f"{name}:{port}"


def why(error: BaseException) -> str:
    """An error in a few words."""
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
