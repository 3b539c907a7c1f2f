"""HTTPS: frames up by POST, frames down in the answers and over one held connection.

Three pools of connections, so that nothing bulky is ever ahead of an alarm in a socket: urgent (alarm, care, signs of
life), bulk, and the held stream.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from cloud_sync.errors import MalformedError, RefusedError, UplinkError
from cloud_sync.frames import MAX_FRAME, FrameStream
from cloud_sync.identity import Lane
from cloud_sync.settings import HttpsSettings
from cloud_sync.trust import TrustBundle
from cloud_sync.uplink import FRAMES_PATH, MEDIA_TYPE, STREAM_PATH
from cloud_sync.uplinks.tls import client_context

MAX_ANSWER = MAX_FRAME
MAX_PROBLEM = 4096
WHOLE_BODY = 256 * 1024
QUEUE_LENGTH = 256
_HEADERS = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}


class HttpsUplink:
    """See `cloud_sync.uplink.Uplink`."""

    def __init__(self, name: str, settings: HttpsSettings, trust: TrustBundle) -> None:
        self.name = name
        self._settings = settings
        self._trust = trust

    @asynccontextmanager
    async def open(self, hello: bytes, /) -> AsyncIterator[HttpsSession]:
        """Connect the held stream and start to read it."""
        settings = self._settings
        context = client_context(self._trust.tls_authorities())
        async with AsyncExitStack() as stack:

            async def pool(limit: int) -> aiohttp.ClientSession:
                connector = aiohttp.TCPConnector(ssl=context, limit=limit, keepalive_timeout=120)
                return await stack.enter_async_context(
                    aiohttp.ClientSession(
                        settings.url,
                        connector=connector,
                        headers=_HEADERS,
                        cookie_jar=aiohttp.DummyCookieJar(),
                        auto_decompress=False,
                        timeout=aiohttp.ClientTimeout(sock_connect=settings.connect_timeout_s),
                    )
                )

            urgent, bulk, held = await pool(8), await pool(2), await pool(1)
            try:
                async with asyncio.timeout(settings.connect_timeout_s * 2):
                    stream = await stack.enter_async_context(
                        held.post(
                            STREAM_PATH,
                            data=hello,
                            timeout=aiohttp.ClientTimeout(total=None, sock_read=settings.idle_timeout_s),
                        )
                    )
                    await _check(stream)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise UplinkError(f"{settings.url}: {_why(error)}") from error
            session = HttpsSession(urgent, bulk)
            reader = asyncio.create_task(session.read(stream), name=f"uplink-{self.name}-stream")
            try:
                yield session
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)


class HttpsSession:
    """See `cloud_sync.uplink.UplinkSession`."""

    def __init__(self, urgent: aiohttp.ClientSession, bulk: aiohttp.ClientSession) -> None:
        self._urgent = urgent
        self._bulk = bulk
        self._incoming: asyncio.Queue[bytes | UplinkError] = asyncio.Queue(QUEUE_LENGTH)

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        """POST one frame; the answer's frames join those of the stream. A broken connection is not used again."""
        pool = self._urgent if lane is None or lane.is_urgent else self._bulk
        if pool.closed:
            raise UplinkError("this path was left")
        data = frame if len(frame) <= WHOLE_BODY else io.BytesIO(frame)  # in pieces, so that the loop goes on
        try:
            async with asyncio.timeout(deadline_s), pool.post(FRAMES_PATH, data=data) as answer:
                await _check(answer)
                body = await answer.content.read(MAX_ANSWER + 1)
                while len(body) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER)):
                    body += more
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UplinkError(_why(error)) from error
        if len(body) > MAX_ANSWER:
            raise UplinkError("the answer is too long")
        cut = FrameStream()
        try:
            frames = cut.feed(body)
        except MalformedError as error:
            raise UplinkError(f"the answer is not made of frames: {error}") from error
        if not cut.is_whole:
            raise UplinkError("the answer ends in the middle of a frame")
        for one in frames:
            await self._incoming.put(one)

    async def read(self, stream: aiohttp.ClientResponse) -> None:
        """Read the held connection until it ends; runs as a task of `open`."""
        cut = FrameStream()
        try:
            async for chunk in stream.content.iter_any():
                for frame in cut.feed(chunk):
                    await self._incoming.put(frame)
            fault = UplinkError("central closed the held connection")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            fault = UplinkError(_why(error))
        except MalformedError as error:
            fault = UplinkError(f"the held connection carries no frames: {error}")
        await self._incoming.put(fault)

    async def frames(self) -> AsyncIterator[bytes]:
        """Frames of the stream and of all answers, as they come."""
        while True:
            frame = await self._incoming.get()
            if isinstance(frame, UplinkError):
                raise frame
            yield frame


async def _check(answer: aiohttp.ClientResponse) -> None:
    """Raise unless central said yes. 5xx and 429 may pass; other refusals will not."""
    if answer.status == 200:
        return
    text = (await answer.content.read(MAX_PROBLEM)).decode("utf-8", "replace")
    if answer.status >= 500 or answer.status == 429:
        raise UplinkError(f"central answered {answer.status}: {text[:200]}")
    raise RefusedError(answer.status, text[:200])


def _why(error: BaseException) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
