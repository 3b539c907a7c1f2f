"""The endpoints for hubs, over real TLS with central's own authority."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest

from central.daemon import Running, running
from central.hub_api import MAX_STREAMS_PER_HUB
from central.settings import CentralSettings
from cloud_sync.central_messages import HeartbeatAnswer, Receipt, Reply, ReplyState
from cloud_sync.enrolment import CLAIM_PATH, TRUST_PATH
from cloud_sync.errors import ForgedError
from cloud_sync.frames import MAX_FRAME, FrameStream
from cloud_sync.seal import SealSuite
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.uplink import FRAMES_PATH, MEDIA_TYPE, STREAM_PATH
from cloud_sync.uplinks.tls import client_context
from simulators.frame_hub import FrameHub, tampered, unpacked
from tests.central.conftest import FIRST


class Client:
    """HTTPS as a hub speaks it."""

    def __init__(self, where: Running, session: aiohttp.ClientSession) -> None:
        self.where = where
        self.services = where.central.services
        self.session = session
        self.trust = self.services.keys.trust

    async def post(self, path: str, data: object) -> tuple[int, bytes, str]:
        async with self.session.post(self.where.hub_url + path, data=data) as answer:
            return answer.status, await answer.read(), answer.content_type

    async def enrolled(self, label: str = "Flat 1") -> FrameHub:
        hub = FrameHub(self.trust)
        code = await self.services.hubs.new_code(label, "test")
        status, grant, _ = await self.post(CLAIM_PATH, hub.claim(code))
        assert status == 200
        hub.take_grant(grant)
        hub.start()
        return hub

    async def refused(self, path: str, data: object) -> tuple[int, str]:
        status, body, media_type = await self.post(path, data)
        assert media_type == "application/problem+json"
        problem = json.loads(body)
        assert (problem["type"], problem["status"]) == ("about:blank", status)
        assert problem["title"]
        assert problem["detail"]
        return status, problem["reason"]

    @asynccontextmanager
    async def stream(self, hub: FrameHub) -> AsyncIterator[asyncio.Queue[object]]:
        """A held connection; what comes down it, read."""
        heard: asyncio.Queue[object] = asyncio.Queue()
        async with self.session.post(self.where.hub_url + STREAM_PATH, data=hub.heartbeat(is_hello=True)) as answer:
            assert answer.status == 200
            assert answer.content_type == MEDIA_TYPE

            async def read() -> None:
                cut = FrameStream()
                async for chunk in answer.content.iter_any():
                    for frame in cut.feed(chunk):
                        heard.put_nowait(hub.read(frame))
                heard.put_nowait(None)

            task = asyncio.create_task(read())
            try:
                yield heard
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def client(settings: CentralSettings) -> AsyncIterator[Client]:
    async with running(settings) as where:
        context = client_context(where.central.services.keys.trust.tls_authorities())
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            yield Client(where, session)


async def soon(heard: asyncio.Queue[object]) -> object:
    async with asyncio.timeout(5):
        return await heard.get()


async def reply(heard: asyncio.Queue[object], is_meant: Callable[[Reply], bool]) -> Reply:
    """The next reply of this kind; those about earlier changes may come between."""
    while True:
        told = await soon(heard)
        assert isinstance(told, Reply)
        if is_meant(told):
            return told


async def test_a_hub_enrols_with_nothing_but_a_code(client: Client) -> None:
    code = await client.services.hubs.new_code("Solbakken 214", "test")
    insecure = ssl.create_default_context()
    insecure.check_hostname, insecure.verify_mode = False, ssl.CERT_NONE
    async with client.session.get(client.where.hub_url + TRUST_PATH, ssl=insecure) as answer:
        trust = TrustBundle.read(await answer.read(), EnrolmentCode.parse(code).root_fingerprint)
    hub = FrameHub(trust)
    status, grant, _ = await client.post(CLAIM_PATH, hub.claim(code))
    assert status == 200
    hub.take_grant(grant)
    status, body, media_type = await client.post(FRAMES_PATH, hub.envelope(hub.seal("pendant_pressed")))
    assert (status, media_type) == (200, MEDIA_TYPE)
    assert hub.receipt(unpacked(body)).high == 1
    (alarm,) = await client.services.alarms.queue()
    assert alarm.hub_label == "Solbakken 214"


async def test_a_code_works_once_but_a_lost_answer_can_be_asked_for_again(client: Client) -> None:
    code = await client.services.hubs.new_code("Flat 1", "test")
    hub = FrameHub(client.trust)
    grants = [hub.take_grant((await client.post(CLAIM_PATH, hub.claim(code)))[1]) for _ in range(2)]
    assert grants[0].hub == grants[1].hub
    assert await client.refused(CLAIM_PATH, FrameHub(client.trust).claim(code)) == (401, "code_used")


async def test_wrong_old_and_foreign_codes_are_refused_with_a_reason(client: Client) -> None:
    hub = FrameHub(client.trust)
    stranger = str(EnrolmentCode.generate(client.trust.root))
    assert await client.refused(CLAIM_PATH, hub.claim(stranger)) == (401, "code_unknown")
    old = await client.services.hubs.new_code("Flat 1", "test", valid_hours=-1)
    assert await client.refused(CLAIM_PATH, hub.claim(old)) == (401, "code_expired")
    fresh = await client.services.hubs.new_code("Flat 1", "test")
    assert await client.refused(CLAIM_PATH, hub.claim(fresh, suites=[SealSuite.X25519])) == (400, "suite")
    assert await client.refused(CLAIM_PATH, tampered(hub.claim(fresh))) in {(401, "signature"), (400, "cbor")}
    assert (await client.refused(CLAIM_PATH, b"x" * 5000))[0] == 413
    with pytest.raises(ForgedError, match="root"):
        hub.claim(str(EnrolmentCode.generate(bytes(32))))


async def test_guessing_codes_is_slow(client: Client) -> None:
    hub = FrameHub(client.trust)
    guess = hub.claim(str(EnrolmentCode.generate(client.trust.root)))
    reasons = [await client.refused(CLAIM_PATH, guess) for _ in range(30)]
    assert reasons[-1] == (429, "busy")


async def test_refusals_say_why_and_whose_fault_it_is(client: Client) -> None:
    hub = await client.enrolled()
    frame = hub.envelope(hub.seal("pendant_pressed"))
    assert await client.refused(FRAMES_PATH, b"") == (400, "frame_magic")
    assert await client.refused(FRAMES_PATH, b"GET / HTTP/1.1") == (400, "frame_magic")
    assert await client.refused(FRAMES_PATH, tampered(frame)) == (401, "signature")
    assert (await client.post(FRAMES_PATH, frame))[0] == 200
    assert await client.refused(FRAMES_PATH, frame) == (409, "replayed")
    hub.id = bytes(8)
    hub.start()
    assert await client.refused(FRAMES_PATH, hub.envelope(b"x")) == (401, "unknown_hub")


async def test_a_body_that_is_too_long_is_refused_before_it_is_read(client: Client) -> None:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        int(client.where.hub_url.rsplit(":", 1)[1]),
        ssl=client_context(client.trust.tls_authorities()),
        server_hostname="localhost",
    )
    writer.write(f"POST {FRAMES_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert b" 413 " in await reader.readline()
    writer.close()


async def test_a_body_without_a_length_is_cut_off_where_it_gets_too_long(client: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_FRAME // 65536 + 16):
            yield bytes(65536)

    with contextlib.suppress(aiohttp.ClientError):  # it may hang up while we are still sending: as good
        assert await client.refused(FRAMES_PATH, endless()) == (413, "frame_length")


async def test_a_held_connection_brings_answer_snapshot_and_every_change(client: Client) -> None:
    hub = await client.enrolled()
    await client.post(FRAMES_PATH, hub.envelope(hub.seal("fall", device="watch-1", resident="r-222222")))
    async with client.stream(hub) as heard:
        assert isinstance(await soon(heard), HeartbeatAnswer)
        snapshot = await reply(heard, lambda told: told.is_snapshot)
        assert len(snapshot.alarms) == 1
        press = hub.seal("pendant_pressed")
        _, body, _ = await client.post(FRAMES_PATH, hub.envelope(press))
        assert isinstance(hub.read(unpacked(body)[0]), Receipt)
        waiting = await reply(heard, lambda told: any(press.id in alarm.events for alarm in told.alarms))
        (state,) = waiting.alarms
        assert (state.state, state.events) == (ReplyState.WAITING, (press.id,))
        async with asyncio.timeout(1):  # within a second of a person's act
            await client.services.alarms.claim(state.alarm.hex(), FIRST)
            taken = await heard.get()
        assert isinstance(taken, Reply)
        assert (taken.alarms[0].state, taken.alarms[0].version) == (ReplyState.TAKEN, 2)
        assert client.services.links.has_link(hub.id.hex())
    async with asyncio.timeout(5):
        while client.services.links.has_link(hub.id.hex()):
            await asyncio.sleep(0.02)


async def test_several_held_connections_of_one_run_all_hear(client: Client) -> None:
    hub = await client.enrolled()
    async with client.stream(hub) as one, client.stream(hub) as two:
        for heard in (one, two):
            assert isinstance(await soon(heard), HeartbeatAnswer)
            assert isinstance(await soon(heard), Reply)
        await client.post(FRAMES_PATH, hub.envelope(hub.seal("pendant_pressed")))
        for heard in (one, two):
            assert isinstance(await soon(heard), Reply)


async def test_a_new_held_connection_is_taken_however_many_dead_ones_a_hub_has_left(
    client: Client, stack: AsyncExitStack
) -> None:
    hub = await client.enrolled()
    heard = [await stack.enter_async_context(client.stream(hub)) for _ in range(MAX_STREAMS_PER_HUB + 3)]
    for one in heard:
        assert isinstance(await soon(one), HeartbeatAnswer)
    assert len(client.services.links.of(hub.id)) <= MAX_STREAMS_PER_HUB
    assert isinstance(await soon(heard[-1]), Reply)
    await client.post(FRAMES_PATH, hub.envelope(hub.seal("pendant_pressed")))
    assert isinstance(await soon(heard[-1]), Reply)
    assert isinstance(await soon(heard[0]), Reply)
    assert await soon(heard[0]) is None


async def test_a_held_connection_begins_with_a_hello_and_nothing_else(client: Client) -> None:
    hub = await client.enrolled()
    assert await client.refused(STREAM_PATH, hub.envelope(hub.seal("pendant_pressed"))) == (400, "hello")
    assert await client.refused(STREAM_PATH, tampered(hub.heartbeat(is_hello=True))) == (401, "signature")
    hello = hub.heartbeat(is_hello=True)
    async with client.session.post(client.where.hub_url + STREAM_PATH, data=hello) as answer:
        assert answer.status == 200
    assert await client.refused(STREAM_PATH, hello) == (409, "replayed")


async def test_a_central_that_cannot_commit_answers_503_and_hangs_up(client: Client) -> None:
    hub = await client.enrolled()
    store = client.services.store
    async with client.stream(hub) as heard:
        assert isinstance(await soon(heard), HeartbeatAnswer)
        assert isinstance(await soon(heard), Reply)
        async with store.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE event RENAME TO event_away")
            await connection.exec_driver_sql("ALTER TABLE central_state RENAME TO central_state_away")
        assert await client.refused(FRAMES_PATH, hub.envelope(hub.seal("pendant_pressed"))) == (503, "not_stored")
        store._proven_s = float("-inf")
        assert await client.refused(FRAMES_PATH, hub.heartbeat()) == (503, "not_stored")
        assert await client.refused(STREAM_PATH, hub.heartbeat(is_hello=True)) == (503, "not_stored")
        async with asyncio.timeout(15):
            assert await heard.get() is None
        async with store.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE event_away RENAME TO event")
            await connection.exec_driver_sql("ALTER TABLE central_state_away RENAME TO central_state")


async def test_a_keep_alive_connection_outlasts_the_pause_between_two_signs_of_life(client: Client) -> None:
    from central.listener import KEEP_ALIVE_S

    assert KEEP_ALIVE_S > 2 * 30


async def test_other_methods_and_paths_are_not_there(client: Client) -> None:
    async with client.session.get(client.where.hub_url + FRAMES_PATH) as answer:
        assert (answer.status, answer.content_type) == (405, "application/problem+json")
        assert answer.headers["allow"] == "POST"
    async with client.session.get(client.where.hub_url + "/sign-in") as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert (await answer.json())["reason"] == "not_found"  # the console is not on the hubs' listener


async def test_the_certificate_holds_for_the_names_it_was_made_for_only(client: Client) -> None:
    context = client_context(client.trust.tls_authorities())
    port = int(client.where.hub_url.rsplit(":", 1)[1])
    for name in ("localhost", "127.0.0.1"):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname=name)
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="central.example.net")
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context(), server_hostname="localhost")
