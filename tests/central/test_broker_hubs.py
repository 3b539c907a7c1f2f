"""Hubs that come by a real broker: alarms in, receipts and replies back, through a loss of the broker."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiomqtt
import pytest

from central import mqtt
from central.daemon import Running, running
from central.settings import CentralSettings, MqttSettings
from cloud_sync.central_messages import HeartbeatAnswer, Receipt, Reply, ReplyState
from cloud_sync.identity import Lane
from cloud_sync.uplink import mqtt_topic_down, mqtt_topic_up
from cloud_sync.uplinks.broker import BrokerClient
from simulators.broker import Broker
from simulators.frame_hub import FrameHub
from tests.central.conftest import FIRST

pytestmark = pytest.mark.sqlite  # what comes by a broker is stored by the same code as what comes by HTTPS

T = TypeVar("T")


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with Broker(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
async def where(settings: CentralSettings, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(mqtt, "BACK_OFF_S", (0.1,))
    shared = MqttSettings(host="127.0.0.1", port=broker.port, tls=False)
    async with running(settings.model_copy(update={"mqtt": (shared,)})) as where:
        yield where


class BrokerHub:
    """A hub at a broker."""

    def __init__(self, hub: FrameHub, client: aiomqtt.Client) -> None:
        self.hub = hub
        self.client = client
        self.kept: list[object] = []

    async def say(self, frame: bytes, lane: Lane | None) -> None:
        await self.client.publish(mqtt_topic_up(self.hub.id, lane), frame, qos=1)

    async def hear(self, kind: type[T]) -> T:
        """The next message of this kind; others are kept for later."""
        for at, kept in enumerate(self.kept):
            if isinstance(kept, kind):
                del self.kept[at]
                return kept
        async with asyncio.timeout(10):
            async for message in self.client.messages:
                assert isinstance(message.payload, bytes)
                found = self.hub.read(message.payload)
                if isinstance(found, kind):
                    return found
                self.kept.append(found)
        raise AssertionError

    async def hello(self) -> HeartbeatAnswer:
        """Say hello until somebody answers: central may still be connecting."""
        while True:
            await self.say(self.hub.heartbeat(is_hello=True), None)
            try:
                async with asyncio.timeout(1):
                    return await self.hear(HeartbeatAnswer)
            except TimeoutError:
                continue


async def enrolled(where: Running) -> FrameHub:
    hubs = where.central.services.hubs
    hub = FrameHub(where.central.services.keys.trust)
    hub.take_grant(await hubs.enrol(hub.claim(await hubs.new_code("Flat 1", "test"))))
    hub.start()
    return hub


@asynccontextmanager
async def at_broker(hub: FrameHub, broker: Broker) -> AsyncIterator[BrokerHub]:
    async with aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.subscribe(mqtt_topic_down(hub.id, hub.now.epoch), qos=1)
        yield BrokerHub(hub, client)


async def test_an_alarm_goes_in_and_receipt_and_replies_come_back(where: Running, broker: Broker) -> None:
    hub = await enrolled(where)
    async with at_broker(hub, broker) as speaker:
        answer = await speaker.hello()
        assert answer.lineage == where.central.services.store.lineage
        snapshot = await speaker.hear(Reply)
        assert snapshot.is_snapshot
        sealed = hub.seal("pendant_pressed")
        await speaker.say(hub.envelope(sealed), Lane.ALARM)
        assert (await speaker.hear(Receipt)).high == 1
        waiting = await speaker.hear(Reply)
        assert (waiting.alarms[0].state, waiting.alarms[0].events) == (ReplyState.WAITING, (sealed.id,))
        await where.central.services.alarms.claim(waiting.alarms[0].alarm.hex(), FIRST)
        assert (await speaker.hear(Reply)).alarms[0].state is ReplyState.TAKEN


async def test_bulk_comes_by_its_own_topic_and_connection(where: Running, broker: Broker) -> None:
    hub = await enrolled(where)
    async with at_broker(hub, broker) as speaker:
        await speaker.hello()
        readings = [hub.seal("temperature", device="t", value=n) for n in range(100)]
        await speaker.say(hub.envelope(*readings, has_header=True), Lane.TELEMETRY)
        assert (await speaker.hear(Receipt)).high == 100


async def test_a_frame_that_the_broker_doubles_has_one_effect_and_two_receipts(where: Running, broker: Broker) -> None:
    hub = await enrolled(where)
    async with at_broker(hub, broker) as speaker:
        await speaker.hello()
        frame = hub.envelope(hub.seal("pendant_pressed"))
        for _ in range(2):
            await speaker.say(frame, Lane.ALARM)
            assert (await speaker.hear(Receipt)).high == 1
    (alarm,) = await where.central.services.alarms.queue()
    assert alarm.repeats == 0


async def test_a_hub_that_publishes_in_anothers_name_is_not_heard(where: Running, broker: Broker) -> None:
    hub, other = await enrolled(where), await enrolled(where)
    async with at_broker(hub, broker) as speaker:
        await speaker.hello()
        await speaker.client.publish(
            mqtt_topic_up(other.id, Lane.ALARM), hub.envelope(hub.seal("pendant_pressed")), qos=1
        )
        await speaker.client.publish(mqtt_topic_up(hub.id, Lane.ALARM), b"junk", qos=1)
        await speaker.say(hub.envelope(hub.seal("fall", device="watch")), Lane.ALARM)
        receipt = await speaker.hear(Receipt)
    assert (receipt.high, receipt.beyond) == (0, ((2, 2),))
    assert [alarm.kind.word for alarm in await where.central.services.alarms.queue()] == ["fall"]
    assert where.central.services.metrics.counts["refused.topic"] == 1


async def test_a_fault_over_one_message_does_not_cost_another_hub_its_alarm(
    where: Running, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, other = await enrolled(where), await enrolled(where)
    poison = hub.envelope(hub.seal("pendant_pressed"))
    real = where.central.reception.receive

    async def receive(frame: bytes, path: str, *, may_be_doubled: bool = False) -> list[bytes]:
        if frame == poison:
            raise ArithmeticError("nobody thought of this")
        return await real(frame, path, may_be_doubled=may_be_doubled)

    monkeypatch.setattr(where.central.reception, "receive", receive)
    async with at_broker(hub, broker) as bad, at_broker(other, broker) as good:
        await good.hello()
        await bad.say(poison, Lane.ALARM)
        await good.say(other.envelope(other.seal("pendant_pressed")), Lane.ALARM)
        async with asyncio.timeout(5):
            assert (await good.hear(Receipt)).high == 1
    assert where.central.services.metrics.counts["refused.fault"] == 1


async def test_central_finds_a_broker_again_that_was_killed(where: Running, broker: Broker) -> None:
    hub = await enrolled(where)
    async with at_broker(hub, broker) as speaker:
        await speaker.hello()
    await broker.kill()
    await broker.start()
    async with at_broker(hub, broker) as speaker:
        async with asyncio.timeout(30):
            await speaker.hello()
        await speaker.say(hub.envelope(hub.seal("pendant_pressed")), Lane.ALARM)
        assert (await speaker.hear(Receipt)).high == 1  # whoever was answered is heard at the first time of saying


async def test_who_is_answered_may_send_alarms_however_late_the_alarm_connection_comes(
    settings: CentralSettings, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, subscribe = asyncio.Event(), BrokerClient.subscribe

    async def late(client: BrokerClient, topic: str, **more: Any) -> Any:
        if topic.endswith("/alarm"):
            await gate.wait()
        return await subscribe(client, topic, **more)

    monkeypatch.setattr(BrokerClient, "subscribe", late)
    shared = MqttSettings(host="127.0.0.1", port=broker.port, tls=False)
    async with running(settings.model_copy(update={"mqtt": (shared,)})) as where:
        hub = await enrolled(where)
        async with at_broker(hub, broker) as speaker:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2):
                    await speaker.hello()
            gate.set()
            await speaker.hello()
            await speaker.say(hub.envelope(hub.seal("pendant_pressed")), Lane.ALARM)
            assert (await speaker.hear(Receipt)).high == 1


def connected(broker: Broker, end: str) -> list[str]:
    """Central's clients of this kind as the broker's log names them, in the order in which they came."""
    told = (broker.folder / "mosquitto.log").read_text()
    return re.findall(rf"New client connected .* as (vaktpost-central-\w+-{end}) ", told)


async def test_without_the_alarm_connection_central_is_silent_at_the_broker(where: Running, broker: Broker) -> None:
    hub = await enrolled(where)
    async with at_broker(hub, broker) as speaker:
        await speaker.hello()
        (alarm,) = connected(broker, "alarm")
        # A second client of that name: the broker ends the first.
        async with aiomqtt.Client("127.0.0.1", broker.port, identifier=alarm, protocol=aiomqtt.ProtocolVersion.V5):
            async with asyncio.timeout(10):
                while len(connected(broker, "bulk")) < 2:
                    await asyncio.sleep(0.02)
        await speaker.hello()
        await speaker.say(hub.envelope(hub.seal("pendant_pressed")), Lane.ALARM)
        assert (await speaker.hear(Receipt)).high == 1


async def test_a_broker_that_is_not_there_does_not_keep_central_from_running(
    settings: CentralSettings, unused_port: int
) -> None:
    shared = MqttSettings(host="127.0.0.1", port=unused_port, tls=False)
    async with running(settings.model_copy(update={"mqtt": (shared,)})) as where:
        hub = await enrolled(where)
        answers = await where.central.reception.receive(hub.envelope(hub.seal("pendant_pressed")), "https")
        assert hub.receipt(answers).high == 1


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
