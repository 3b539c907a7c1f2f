"""HTTPS: frames up by POST, frames down in the answers and over one held connection.

Three pools of connections, so that nothing bulky is ever ahead of an alarm in a socket: urgent (alarm, care, signs of
life), bulk, and the held stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from cloud_sync.errors import MalformedError, RefusedError, UplinkError
from cloud_sync.frames import MAX_FRAME, FrameStream
from cloud_sync.identity import Lane
from cloud_sync.settings import HttpsSettings
from cloud_sync.trust import TrustBundle
from cloud_sync.uplink import FRAMES_PATH, MEDIA_TYPE, STREAM_PATH
from cloud_sync.uplinks.connections import Answer, Connections, why
from cloud_sync.uplinks.tls import client_context

MAX_ANSWER = MAX_FRAME
MAX_PROBLEM = 4096
QUEUE_LENGTH = 256
PASSING = (408, 425, 429)
"""Refusals that say "not now"."""
_HEADERS = (("Content-Type", MEDIA_TYPE), ("Accept", MEDIA_TYPE), ("User-Agent", "vaktpost"))


class HttpsUplink:
    """See `cloud_sync.uplink.Uplink`."""

    carries_stubs = False

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

            def pool(limit: int) -> Connections:
                made = Connections(
                    settings.url, context, _HEADERS, limit=limit, connect_timeout_s=settings.connect_timeout_s
                )
                stack.push_async_callback(made.close)
                return made

            urgent, bulk, held = pool(8), pool(2), pool(1)
            try:
                async with asyncio.timeout(settings.connect_timeout_s * 2):
                    stream = await stack.enter_async_context(held.post(STREAM_PATH, hello))
                    await _check(stream)
            except TimeoutError as error:
                raise UplinkError(f"{settings.url}: {why(error)}") from error
            except RefusedError:
                raise
            except UplinkError as error:
                raise UplinkError(f"{settings.url}: {error}") from error
            session = HttpsSession(urgent, bulk)
            reader = asyncio.create_task(
                session.read(stream, settings.idle_timeout_s), name=f"uplink-{self.name}-stream"
            )
            try:
                yield session
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)


class HttpsSession:
    """See `cloud_sync.uplink.UplinkSession`."""

    def __init__(self, urgent: Connections, bulk: Connections) -> None:
        self._urgent = urgent
        self._bulk = bulk
        self._incoming: asyncio.Queue[bytes | UplinkError] = asyncio.Queue(QUEUE_LENGTH)

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        """POST one frame; the answer's frames join those of the stream. A broken connection is not used again."""
        pool = self._urgent if lane is None or lane.is_urgent else self._bulk
        try:
            async with asyncio.timeout(deadline_s):
                async with pool.post(FRAMES_PATH, frame) as answer:
                    await _check(answer)
                    body = await answer.read(MAX_ANSWER)
                for one in _cut(body):
                    await self._incoming.put(one)
        except TimeoutError as error:
            raise UplinkError(why(error)) from error

    async def read(self, stream: Answer, idle_timeout_s: float) -> None:
        """Read the held connection until it ends or is silent for too long; runs as a task of `open`."""
        cut = FrameStream()
        chunks = stream.chunks()
        try:
            while True:
                async with asyncio.timeout(idle_timeout_s):
                    chunk = await anext(chunks)
                for frame in cut.feed(chunk):
                    await self._incoming.put(frame)
        except StopAsyncIteration:
            fault = UplinkError("central closed the held connection")
        except UplinkError as error:
            fault = error
        except TimeoutError as error:
            fault = UplinkError(why(error))
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


def _cut(body: bytes) -> list[bytes]:
    """The frames of an answer."""
    cut = FrameStream()
    try:
        frames = cut.feed(body)
    except MalformedError as error:
        raise UplinkError(f"the answer is not made of frames: {error}") from error
    if not cut.is_whole:
        raise UplinkError("the answer ends in the middle of a frame")
    return frames


async def _check(answer: Answer) -> None:
    """Raise unless central said yes. Only a 4xx is central's last word; the rest may pass."""
    if answer.status == 200:
        return
    try:
        text = (await answer.read(MAX_PROBLEM)).decode("utf-8", "replace")
    except UplinkError:  # who writes a book about it, or breaks off, has said enough with the status
        text = ""
    if not 400 <= answer.status < 500 or answer.status in PASSING:
        raise UplinkError(f"central answered {answer.status}: {text[:200]}")
    raise RefusedError(answer.status, text[:200])
