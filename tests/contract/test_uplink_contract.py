"""What every path from hub to central must do, said once and tried on each: HTTPS, and MQTT over a real mosquitto."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack

import aiomqtt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing, uplinks
from cloud_sync.errors import RefusedError, UplinkError
from cloud_sync.identity import Lane
from cloud_sync.settings import HttpsSettings, MqttSettings
from cloud_sync.trust import KeyCertificate, Purpose, TrustBundle
from cloud_sync.uplink import mqtt_topic_down
from simulators.broker import Broker
from simulators.certificates import Authority
from simulators.receiving_centre import HttpsCentre, MqttCentre

HUB, EPOCH = b"hubhubhu", b"epochepo"
ROOT = Ed25519PrivateKey.from_private_bytes(bytes(32))
HELLO = b"hello"


def trust_in(authority):
    certificate = KeyCertificate(purpose=Purpose.TLS_CA, key_id=b"tlsca001", key=authority.der, created_ms=1)
    return TrustBundle.read(TrustBundle.write(signing.raw_public(ROOT.public_key()), [certificate.signed(ROOT)]))


class Https:
    name = "https"

    def __init__(self, stack, folder):
        self._stack, self._folder = stack, folder

    async def start(self):
        self.authority = Authority()
        self.centre = await self._stack.enter_async_context(
            HttpsCentre(self.authority.server_context(self._folder / "tls"))
        )

    def uplink(self, *, trust=None, host="127.0.0.1", port=None):
        settings = HttpsSettings(url=f"https://{host}:{port or self.centre.port}", connect_timeout_s=2)
        return uplinks.build("main", settings, trust=trust or trust_in(self.authority), hub=HUB, hub_epoch=EPOCH)


class Mqtt:
    name = "mqtt"

    def __init__(self, stack, folder):
        self._stack, self._folder = stack, folder

    async def start(self):
        self.authority = Authority()
        files = self.authority.issue(self._folder / "tls")
        self.broker = await self._stack.enter_async_context(Broker(self._folder / "broker", tls=files))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.authority.der)
        self.centre = await self._stack.enter_async_context(
            MqttCentre(self.broker.port, context, mqtt_topic_down(HUB, EPOCH))
        )

    def uplink(self, *, trust=None, host="127.0.0.1", port=None):
        settings = MqttSettings(type="mqtt", host=host, port=port or self.broker.port, connect_timeout_s=2)
        return uplinks.build("main", settings, trust=trust or trust_in(self.authority), hub=HUB, hub_epoch=EPOCH)


@pytest.fixture(params=[Https, Mqtt], ids=lambda kind: kind.name)
async def path(request, tmp_path):
    async with AsyncExitStack() as stack:
        made = request.param(stack, tmp_path)
        await made.start()
        yield made


async def taken(centre):
    return await asyncio.wait_for(centre.arrived.get(), 5)


async def next_frame(frames):
    return await asyncio.wait_for(anext(frames), 5)


async def test_the_hello_arrives_first(path):
    async with path.uplink().open(HELLO):
        assert await taken(path.centre) == ("hello", HELLO)


@pytest.mark.parametrize(
    ("lane", "channel"),
    [
        (Lane.ALARM, "alarm"),
        (Lane.CARE, "alarm"),
        (Lane.TECHNICAL, "bulk"),
        (Lane.TELEMETRY, "bulk"),
        (None, "control"),
    ],
)
async def test_a_frame_arrives_as_it_was_sent(path, lane, channel):
    frame = channel.encode().ljust(5) + bytes(range(256)) * 4
    async with path.uplink().open(HELLO) as session:
        await taken(path.centre)
        await session.send(frame, lane=lane, deadline_s=5)
        got = await taken(path.centre)
    assert got[1] == frame
    assert got[0] in {channel, channel[:5]}


async def test_a_frame_of_a_megabyte_and_a_half_arrives(path):
    frame = b"bulk " + bytes(1_500_000)
    async with path.uplink().open(HELLO) as session:
        await taken(path.centre)
        await session.send(frame, lane=Lane.TELEMETRY, deadline_s=10)
        assert (await taken(path.centre))[1] == frame


async def test_answers_and_what_central_says_by_itself_come_down_the_same_way(path):
    path.centre.answer_with = [b"receipt-1", b"receipt-2"]
    async with path.uplink().open(HELLO) as session:
        await taken(path.centre)
        frames = session.frames()
        await session.send(b"alarm", lane=Lane.ALARM, deadline_s=5)
        assert [await next_frame(frames), await next_frame(frames)] == [b"receipt-1", b"receipt-2"]
        await path.centre.say(b"reply")
        assert await next_frame(frames) == b"reply"


async def test_many_may_send_at_once(path):
    async with path.uplink().open(HELLO) as session:
        await taken(path.centre)
        sent = {b"alarm%d" % n for n in range(20)}
        async with asyncio.TaskGroup() as group:
            for frame in sent:
                group.create_task(session.send(frame, lane=Lane.ALARM, deadline_s=5))
        assert {(await taken(path.centre))[1] for _ in sent} == sent


async def test_nobody_there_is_said_in_time(path):
    async with asyncio.timeout(8):
        with pytest.raises(UplinkError):
            async with path.uplink(port=1).open(HELLO):
                pass


# paho drops the socket of a handshake that failed without closing it.
@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning", "ignore:Exception ignored in. <ssl")
async def test_another_authority_is_not_believed(path):
    with pytest.raises(UplinkError):
        async with path.uplink(trust=trust_in(Authority("stranger"))).open(HELLO):
            pass
    assert path.centre.arrived.empty()


@pytest.mark.filterwarnings("ignore:unclosed <ssl:ResourceWarning", "ignore:Exception ignored in. <ssl")
async def test_another_name_is_not_believed(path):
    with pytest.raises(UplinkError):
        async with path.uplink(host="127.0.0.2").open(HELLO):
            pass
    assert path.centre.arrived.empty()


async def test_leaving_ends_everything(path):
    before = asyncio.all_tasks()
    async with path.uplink().open(HELLO) as session:
        await session.send(b"alarm", lane=Lane.ALARM, deadline_s=5)
    with pytest.raises(UplinkError):
        await session.send(b"alarm", lane=Lane.ALARM, deadline_s=2)
    await asyncio.sleep(0)
    left = [
        task for task in asyncio.all_tasks() - before if "Centre" not in repr(task) and "aiohttp/web" not in repr(task)
    ]
    assert not [task for task in left if "uplink" in task.get_name()]


class TestHttps:
    """What only HTTPS has."""

    @pytest.fixture
    async def path(self, tmp_path):
        async with AsyncExitStack() as stack:
            made = Https(stack, tmp_path)
            await made.start()
            yield made

    async def test_an_alarm_does_not_wait_for_a_bulk_request_that_hangs(self, path):
        path.centre.hold_bulk = asyncio.Event()
        async with path.uplink().open(HELLO) as session:
            await taken(path.centre)
            stuck = [asyncio.create_task(session.send(b"bulk ", lane=Lane.TELEMETRY, deadline_s=20)) for _ in range(6)]
            await taken(path.centre)
            async with asyncio.timeout(2):
                await session.send(b"alarm", lane=Lane.ALARM, deadline_s=2)
            path.centre.hold_bulk.set()
            await asyncio.gather(*stuck)

    async def test_silence_ends_at_the_deadline(self, path):
        async with path.uplink().open(HELLO) as session:
            path.centre.fall_silent()
            async with asyncio.timeout(3):
                with pytest.raises(UplinkError):
                    await session.send(b"alarm", lane=Lane.ALARM, deadline_s=0.2)

    @pytest.mark.parametrize(
        ("status", "is_final"), [(400, True), (401, True), (409, True), (429, False), (503, False)]
    )
    async def test_a_refusal_tells_whether_repeating_may_help(self, path, status, is_final):
        async with path.uplink().open(HELLO) as session:
            path.centre.status = status
            with pytest.raises(UplinkError) as refusal:
                await session.send(b"alarm", lane=Lane.ALARM, deadline_s=5)
        assert isinstance(refusal.value, RefusedError) is is_final

    @pytest.mark.parametrize("garbage", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x10short", b"<html>" * 10])
    async def test_an_answer_that_is_no_frames_is_an_error_not_a_receipt(self, path, garbage):
        path.centre.raw_answer = garbage
        async with path.uplink().open(HELLO) as session:
            with pytest.raises(UplinkError):
                await session.send(b"alarm", lane=Lane.ALARM, deadline_s=5)

    async def test_the_path_goes_down_and_comes_back(self, path):
        uplink = path.uplink()
        async with uplink.open(HELLO) as session:
            await taken(path.centre)
            await path.centre.vanish()
            with pytest.raises(UplinkError):
                await next_frame(session.frames())
        await path.centre.come_back()
        async with uplink.open(HELLO):
            assert await taken(path.centre) == ("hello", HELLO)

    async def test_a_certificate_out_of_date_is_believed_because_a_hub_may_have_no_clock(self, tmp_path):
        authority = Authority()
        async with HttpsCentre(authority.server_context(tmp_path, days=-100)) as centre:
            settings = HttpsSettings(url=f"https://127.0.0.1:{centre.port}")
            uplink = uplinks.build("main", settings, trust=trust_in(authority), hub=HUB, hub_epoch=EPOCH)
            async with uplink.open(HELLO):
                assert await taken(centre) == ("hello", HELLO)


class TestMqtt:
    """What only MQTT has."""

    @pytest.fixture
    async def path(self, tmp_path):
        async with AsyncExitStack() as stack:
            made = Mqtt(stack, tmp_path)
            await made.start()
            yield made

    async def test_the_broker_dies_and_comes_back(self, path):
        uplink = path.uplink()
        with pytest.raises(UplinkError):
            async with uplink.open(HELLO) as session:
                await taken(path.centre)
                await path.broker.kill()
                await next_frame(session.frames())
        await path.centre.vanish()
        await path.broker.start()
        await path.centre.come_back()
        async with uplink.open(HELLO):
            assert await taken(path.centre) == ("hello", HELLO)

    async def test_the_loss_of_the_bulk_connection_alone_ends_the_path_so_that_it_is_opened_anew(self, path):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=path.authority.der)
        async with path.uplink().open(HELLO) as session:
            await taken(path.centre)
            waiting = asyncio.create_task(next_frame(session.frames()))
            async with aiomqtt.Client(
                "127.0.0.1",
                path.broker.port,
                identifier=f"{HUB.hex()}-{EPOCH.hex()}-b",  # the broker lets the newcomer have the name
                protocol=aiomqtt.ProtocolVersion.V5,
                tls_context=context,
            ):
                with pytest.raises(UplinkError):
                    await waiting
