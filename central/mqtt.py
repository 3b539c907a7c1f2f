"""Hubs that come by a broker (MQTT 5): frames from their topics, answers and everything else to theirs.

Alarm and care have a connection of their own, so that nothing bulky is ahead of them. The other one, which signs of
life come by, is there only while that one is: a hub that is answered over the broker must be right in sending its
alarms there. Subscriptions are shared, so that several centrals may divide the work. The broker delivers at least once:
a doubled envelope is answered again.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from typing import NoReturn

import aiomqtt
import structlog

from central.clock import Clock
from central.errors import CentralError, NotStoredError
from central.links import HubLinks, Link
from central.metrics import Metrics
from central.reception import BusyError, Reception
from central.replies import Replies
from central.security import SecurityLog
from central.settings import MqttSettings
from cloud_sync import canonical
from cloud_sync.cancellation import end_if_cancelled
from cloud_sync.errors import WireError
from cloud_sync.frames import MAX_FRAME, split
from cloud_sync.hub_messages import Sender
from cloud_sync.uplink import mqtt_topic_down
from cloud_sync.uplinks.broker import BrokerClient

log = structlog.get_logger()

PATH = "mqtt"
SHARE = "$share/vaktpost/vaktpost/1/up/+/"
LINK_LIFE_S = 100.0
"""A run of a hub that said nothing over the broker for this long is not sent to any more."""
MAX_LINKS = 100_000
BACK_OFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Never long: what hubs give to a broker that is back before central is there, nobody reads."""
CONNECT_S = 5.0
"""A broker that says nothing for so long is tried anew."""
_NODELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


@dataclass(frozen=True, slots=True)
class Channel:
    """One connection: which topics, how many messages may wait, and how many are worked on at once."""

    name: str
    topics: tuple[str, ...]
    waiting: int
    at_once: int


ALARM = Channel("alarm", ("alarm",), 2000, 16)
BULK = Channel("bulk", ("bulk", "control"), 200, 4)


class _Reading:
    """Whether alarms are read; either way can be waited for."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.end()

    def begin(self) -> None:
        self.begun.set()
        self.ended.clear()

    def end(self) -> None:
        self.begun.clear()
        self.ended.set()


class _BrokerLink(Link):
    """A way down over the broker: frames go to one bounded queue for all hubs."""

    def __init__(self, hub: bytes, epoch: bytes, outgoing: asyncio.Queue[tuple[str, bytes]]) -> None:
        super().__init__(hub, epoch, PATH)
        self.heard_s = 0.0
        self._outgoing = outgoing
        self._topic = mqtt_topic_down(hub, epoch)

    def put(self, frame: bytes) -> None:
        if self.is_broken:
            return
        try:
            self._outgoing.put_nowait((self._topic, frame))
        except asyncio.QueueFull:
            self.is_broken = True  # the next sign of life opens it again, with a snapshot

    def close(self) -> None:
        self.is_broken = True


class MqttReception:
    """The consumer. `run` connects, and again after a loss, until cancelled."""

    def __init__(
        self,
        settings: MqttSettings,
        *,
        clock: Clock,
        reception: Reception,
        replies: Replies,
        links: HubLinks,
        security: SecurityLog,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._reception = reception
        self._replies = replies
        self._links = links
        self._security = security
        self._metrics = metrics
        self._identity = f"vaktpost-central-{secrets.token_hex(6)}"
        self._known: OrderedDict[tuple[bytes, bytes], _BrokerLink] = OrderedDict()
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(10_000)
        self._reading = _Reading()

    async def run(self) -> None:
        """Both connections. The loss of the one for bulk does not touch alarms."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_connected(BULK))
            await self._keep_connected(ALARM)  # here: see cloud_sync.cancellation

    async def _keep_connected(self, channel: Channel) -> None:
        failures = 0
        while True:
            if channel is BULK:
                await self._reading.begun.wait()
            try:
                context, password = await asyncio.to_thread(self._secrets)
                async with self._client(channel, context, password) as client:
                    for topic in channel.topics:
                        await client.subscribe(SHARE + topic, qos=1)
                        end_if_cancelled()
                    log.info("broker_connected", channel=channel.name)
                    failures = 0
                    await self._consume(client, channel)
            except (aiomqtt.MqttError, OSError, CentralError) as error:
                self._metrics.count("mqtt.lost")
                log.warning("broker_lost", channel=channel.name, reason=str(error))
            end_if_cancelled()
            await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
            failures += 1

    def _client(self, channel: Channel, context: ssl.SSLContext | None, password: str | None) -> aiomqtt.Client:
        settings = self._settings
        return BrokerClient(
            settings.host,
            settings.port,
            identifier=f"{self._identity}-{channel.name}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            username=settings.username,
            password=password,
            tls_context=context,
            timeout=CONNECT_S,
            keepalive=20,
            socket_options=_NODELAY,
            max_queued_incoming_messages=channel.waiting,
        )

    def _secrets(self) -> tuple[ssl.SSLContext | None, str | None]:
        settings = self._settings
        try:
            password = settings.password_file.read_text().strip() if settings.password_file else None
            if not settings.tls:
                return None, password
            context = ssl.create_default_context(cafile=settings.ca_file)
            if settings.cert_file is not None:
                context.load_cert_chain(settings.cert_file, settings.key_file)
        except OSError as error:
            raise CentralError(f"[mqtt]: {error}") from error
        return context, password

    async def _consume(self, client: aiomqtt.Client, channel: Channel) -> None:
        """Until the connection is lost (MqttError)."""
        places = asyncio.Semaphore(channel.at_once)
        try:
            async with asyncio.TaskGroup() as group:
                if channel is ALARM:
                    group.create_task(self._publish(client))
                    self._reading.begin()
                else:
                    group.create_task(self._until_alarms_are_not_read())
                async for message in client.messages:
                    if len(message.payload) > MAX_FRAME:
                        self._metrics.count("refused.frame_length")
                        continue
                    await places.acquire()
                    task = group.create_task(self._receive(client, message.topic.value, message.payload))
                    task.add_done_callback(lambda _: places.release())
        except* (aiomqtt.MqttError, OSError) as lost:
            raise aiomqtt.MqttError(str(lost.exceptions[0])) from None
        finally:
            if channel is ALARM:
                self._reading.end()

    async def _until_alarms_are_not_read(self) -> NoReturn:
        await self._reading.ended.wait()
        raise aiomqtt.MqttError("alarms are not read")

    async def _publish(self, client: aiomqtt.Client) -> None:
        while True:
            topic, frame = await self._outgoing.get()
            await client.publish(topic, frame, qos=1)
            end_if_cancelled()

    async def _receive(self, client: aiomqtt.Client, topic: str, frame: bytes) -> None:
        try:
            raw = split(frame)
            if topic.split("/")[3] != raw.sender.hex():
                self._security.note("topic", hub=raw.sender.hex(), path=PATH, detail=topic)
                return
            answers = await self._reception.receive(frame, PATH, may_be_doubled=True)
            sender = Sender.read(canonical.load_map(raw.body))  # verified by now
        except (WireError, BusyError, NotStoredError) as error:
            log.info("frame_refused", path=PATH, reason=getattr(error, "reason", type(error).__name__))
            return
        except Exception:  # a fault of ours in one message must not take those of all other hubs along
            self._metrics.count("refused.fault")
            log.exception("frame_failed", path=PATH)
            return
        down = mqtt_topic_down(sender.hub, sender.sender_epoch)
        for answer in answers:
            await client.publish(down, answer, qos=1)
        await self._link(sender)

    async def _link(self, sender: Sender) -> None:
        """This run of the hub is at the broker, and listens: open the way, with a snapshot when it is new.

        Whatever it sent tells so: an alarm that comes by a reserve path is to be answered by it.
        """
        key, now_s = (sender.hub, sender.sender_epoch), self._clock.mono_s()
        link = self._known.pop(key, None)
        if link is not None and link.is_broken:
            self._links.remove(link)
            link = None
        is_new = link is None
        if link is None:
            link = _BrokerLink(*key, self._outgoing)
            self._links.add(link)
        link.heard_s = now_s
        self._known[key] = link
        while self._known:
            oldest = next(iter(self._known.values()))
            if now_s - oldest.heard_s < LINK_LIFE_S and len(self._known) <= MAX_LINKS:
                break
            self._links.remove(self._known.popitem(last=False)[1])
        if is_new:
            await self._replies.snapshot(link)
