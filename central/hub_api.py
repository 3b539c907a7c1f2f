"""What hubs speak to over HTTPS: frames, the held stream, enrolment."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from central.answering import Said, body_of, machine_app
from central.clock import Clock
from central.hubs import Hubs
from central.links import HubLinks, Link
from central.reception import BusyError, Reception
from central.replies import Replies
from central.security import SecurityLog
from central.store import Store
from cloud_sync.enrolment import CLAIM_PATH, MAX_CLAIM, TRUST_PATH
from cloud_sync.errors import WireError
from cloud_sync.frames import KEEP_ALIVE, MAX_FRAME, join
from cloud_sync.uplink import FRAMES_PATH, MEDIA_TYPE, STREAM_PATH

PATH = "https"
KEEP_ALIVE_S = 10.0
MAX_HELLO = 16 * 1024
CLAIMS_PER_S, CLAIM_BURST = 0.5, 20.0
MAX_STREAMS_PER_HUB = 16


SAID = Said(
    again="keep it and send it again",
    too_large_reason="frame_length",
    too_large="longer than any message may be",
)


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


def hub_app(api: HubApi) -> Starlette:
    """The application behind the TLS listener."""
    return machine_app(
        (
            ("POST", FRAMES_PATH, api.frames),
            ("POST", STREAM_PATH, api.stream),
            ("GET", TRUST_PATH, api.trust),
            ("POST", CLAIM_PATH, api.claim),
        ),
        SAID,
    )
