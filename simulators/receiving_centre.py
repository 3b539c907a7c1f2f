"""Stand-ins for central's door: they take frames by HTTPS or MQTT as the wire's page says, and misbehave on request.

They verify nothing and know no keys: for trying what a path does, not what central does.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import aiomqtt
from aiohttp import web

LENGTH = 4


class Centre(ABC):
    """What a test asks of either. Open while it is entered."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        """(channel, frame): channel is "hello", "alarm", "bulk" or "control"."""
        self.answer_with: list[bytes] = []
        """What every frame (not the hello) is answered with."""
        self._is_silent = False

    async def __aenter__(self) -> Self:
        await self.come_back()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.vanish()

    @abstractmethod
    async def say(self, frame: bytes) -> None:
        """Send a frame to the hub over the held connection."""

    @abstractmethod
    async def vanish(self) -> None:
        """Go away under the hub."""

    @abstractmethod
    async def come_back(self) -> None:
        """Be there again, at the same address."""

    def fall_silent(self) -> None:
        """Take what comes and answer nothing any more."""
        self._is_silent = True


class HttpsCentre(Centre):
    """Plays central's HTTPS door on loopback."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__()
        self.status = 200
        self.raw_answer: bytes | None = None
        self.hold_bulk: asyncio.Event | None = None
        self.port = 0
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self._streams: set[web.StreamResponse] = set()
        self._end = asyncio.Event()

    async def come_back(self) -> None:
        self._end = asyncio.Event()
        self._is_silent = False
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.add_routes([web.post("/hub/v1/frames", self._frames), web.post("/hub/v1/stream", self._stream)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def vanish(self) -> None:
        self._end.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def say(self, frame: bytes) -> None:
        for stream in self._streams:
            await stream.write(len(frame).to_bytes(LENGTH, "big") + frame)

    async def _frames(self, request: web.Request) -> web.Response:
        body = await request.read()
        channel = body[:5].decode("latin-1").strip()
        await self.arrived.put((channel, body))
        if self._is_silent:
            await self._end.wait()
        if self.hold_bulk is not None and channel == "bulk":
            await self.hold_bulk.wait()
        if self.status != 200:
            return web.Response(status=self.status, text='{"title": "no"}', content_type="application/problem+json")
        stream = b"".join(len(frame).to_bytes(LENGTH, "big") + frame for frame in self.answer_with)
        return web.Response(body=self.raw_answer if self.raw_answer is not None else stream)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        await self.arrived.put(("hello", await request.read()))
        response = web.StreamResponse()
        await response.prepare(request)
        self._streams.add(response)
        try:
            with contextlib.suppress(ConnectionError):
                await self._end.wait()
        finally:
            self._streams.discard(response)
        return response


class MqttCentre(Centre):
    """Plays central behind a broker."""

    def __init__(self, port: int, tls: ssl.SSLContext | None, down_topic: str) -> None:
        super().__init__()
        self._port = port
        self._tls = tls
        self._down = down_topic
        self._task: asyncio.Task[None] | None = None
        self._client: aiomqtt.Client | None = None
        self._is_there = asyncio.Event()

    async def come_back(self) -> None:
        self._is_silent = False
        self._is_there.clear()
        self._task = asyncio.create_task(self._listen())
        async with asyncio.timeout(10):
            await self._is_there.wait()

    async def vanish(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def say(self, frame: bytes) -> None:
        if self._client is not None:
            await self._client.publish(self._down, frame, qos=1)

    async def _listen(self) -> None:
        async with aiomqtt.Client(
            "127.0.0.1", self._port, protocol=aiomqtt.ProtocolVersion.V5, tls_context=self._tls, identifier="centre"
        ) as self._client:
            await self._client.subscribe("$share/vaktpost/vaktpost/1/up/#", qos=1)
            self._is_there.set()
            async for message in self._client.messages:
                payload = bytes(message.payload)
                channel = str(message.topic).rsplit("/", 1)[-1]
                is_hello = payload.startswith(b"hello")
                await self.arrived.put(("hello" if is_hello else channel, payload))
                if not is_hello and not self._is_silent:
                    for answer in self.answer_with:
                        await self.say(answer)
