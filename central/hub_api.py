"""What hubs speak to over HTTPS: frames, the held stream, enrolment.

Errors are `application/problem+json` (RFC 9457) with a machine-readable `reason`. A body is refused by its announced
length before it is read, and while it is read if it was not announced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from central.clock import Clock
from central.errors import NotStoredError
from central.hubs import Hubs
from central.links import HubLinks, Link
from central.reception import BusyError, Reception
from central.replies import Replies
from central.security import SecurityLog
from central.store import Store
from cloud_sync.enrolment import CLAIM_PATH, MAX_CLAIM, TRUST_PATH
from cloud_sync.errors import ForgedError, ReplayedError, WireError
from cloud_sync.frames import KEEP_ALIVE, MAX_FRAME, join
from cloud_sync.uplink import FRAMES_PATH, MEDIA_TYPE, STREAM_PATH

log = structlog.get_logger()

PATH = "https"
KEEP_ALIVE_S = 10.0
MAX_HELLO = 16 * 1024
BODY_TIME_S = 30.0
CLAIMS_PER_S, CLAIM_BURST = 0.5, 20.0
MAX_STREAMS_PER_HUB = 16


class TooLargeError(Exception):
    """More than this endpoint takes."""


def problem(status: int, title: str, reason: str, detail: str = "", **headers: str) -> Response:
    """A refusal that machines and people can read."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail or title, "reason": reason}
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def refusal(error: WireError) -> Response:
    """What a wire error is over HTTP."""
    if isinstance(error, ReplayedError):
        return problem(409, "Seen before", error.reason, error.detail)
    if isinstance(error, ForgedError):
        return problem(401, "Not believed", error.reason, error.detail)
    return problem(400, "Not understood", error.reason, error.detail)


class HubApi:
    """The endpoints. `hub_app` makes the application of them."""

    def __init__(
        self,
        *,
        clock: Clock,
        store: Store,
        hubs: Hubs,
        trust: bytes,
        reception: Reception,
        replies: Replies,
        links: HubLinks,
        security: SecurityLog,
    ) -> None:
        self._clock = clock
        self._store = store
        self._hubs = hubs
        self._trust = trust
        self._reception = reception
        self._replies = replies
        self._links = links
        self._security = security
        self._claims = CLAIM_BURST
        self._claims_at_s = clock.mono_s()

    async def frames(self, request: Request) -> Response:
        """One frame in, the frames that answer it out."""
        frame = await body_of(request, MAX_FRAME)
        answers = await self._reception.receive(frame, PATH)
        return Response(join(answers), media_type=MEDIA_TYPE)

    async def stream(self, request: Request) -> Response:
        """A hello in; then everything that central has for this run of the hub, for as long as it listens."""
        hello, answer = await self._reception.hello(await body_of(request, MAX_HELLO), PATH)
        sender = hello.sender
        held = [link for link in self._links.of(sender.hub) if link.path == PATH]
        if len(held) >= MAX_STREAMS_PER_HUB:
            held[0].close()  # a network that comes and goes leaves dead ones behind: the newest is the one that lives
        link = Link(sender.hub, sender.sender_epoch, PATH)
        return StreamingResponse(self._serve(link, answer), media_type=MEDIA_TYPE)

    async def _serve(self, link: Link, answer: bytes) -> AsyncIterator[bytes]:
        self._links.add(link)
        try:
            yield join([answer])
            await self._replies.snapshot(link)
            while not link.is_broken:
                frame = await link.next(KEEP_ALIVE_S)
                if frame is not None:
                    yield join([frame])
                elif not link.is_broken:
                    if not self._store.takes_alarms:
                        return  # a central that cannot store must look dead
                    yield KEEP_ALIVE
        finally:
            self._links.remove(link)

    async def trust(self, _: Request) -> Response:
        """The trust bundle, for everybody; a hub checks it against the code in its hand."""
        return Response(self._trust, media_type="application/cbor")

    async def claim(self, request: Request) -> Response:
        """A code and a key in, a hub id out. Slow on purpose for who guesses."""
        now_s = self._clock.mono_s()
        self._claims = min(CLAIM_BURST, self._claims + (now_s - self._claims_at_s) * CLAIMS_PER_S)
        self._claims_at_s = now_s
        if self._claims < 1:
            raise BusyError(1 / CLAIMS_PER_S)
        self._claims -= 1
        blob = await body_of(request, MAX_CLAIM)
        try:
            grant = await self._hubs.enrol(blob)
        except WireError as error:
            self._security.note(error.reason, hub=None, path="enrol", detail=error.detail)
            raise
        return Response(grant, media_type="application/octet-stream")


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body. Raises TooLargeError, and TimeoutError for a body that trickles."""
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced) > limit:
        raise TooLargeError
    body = bytearray()
    async with asyncio.timeout(BODY_TIME_S):
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise TooLargeError
    return bytes(body)


def _answering(endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Every refusal as a problem document."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except WireError as error:
            return refusal(error)
        except BusyError as error:
            return problem(429, "Too many messages", "busy", str(error), **{"Retry-After": f"{error.wait_s:.0f}"})
        except NotStoredError as error:
            log.warning("frame_not_committed", reason=str(error))
            return problem(503, "Cannot commit", "not_stored", "central cannot store now; keep it and send it again")
        except TooLargeError:
            return problem(413, "Too large", "frame_length", "longer than any message may be", Connection="close")
        except TimeoutError:
            return problem(408, "Too slow", "timeout", "the body did not come in time", Connection="close")
        except ClientDisconnect:
            return Response(status_code=400)
        except Exception:
            log.exception("request_failed", path=request.url.path)
            return problem(500, "A fault in central", "fault", "keep it and send it again")

    return answer


def hub_app(api: HubApi) -> Starlette:
    """The application behind the TLS listener."""
    return Starlette(
        routes=[
            Route(FRAMES_PATH, _answering(api.frames), methods=["POST"]),
            Route(STREAM_PATH, _answering(api.stream), methods=["POST"]),
            Route(TRUST_PATH, _answering(api.trust), methods=["GET"]),
            Route(CLAIM_PATH, _answering(api.claim), methods=["POST"]),
        ]
    )
