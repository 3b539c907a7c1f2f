"""MQTT 5 through aiomqtt, which nothing else on the hub knows but `broker` beside it.

Two connections with client ids made of hub and epoch, so that a clone cannot push the original out: one for alarm,
care, signs of life and everything from central, one for bulk. QoS 1, clean start, nothing retained. A PUBACK is the
broker's word, not central's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NoReturn

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud_sync.errors import UplinkError
from cloud_sync.frames import MAX_FRAME
from cloud_sync.identity import Lane
from cloud_sync.settings import MqttSettings
from cloud_sync.trust import TrustBundle
from cloud_sync.uplink import mqtt_topic_down, mqtt_topic_up
from cloud_sync.uplinks.broker import BrokerClient
from cloud_sync.uplinks.tls import client_context

QUEUE_LENGTH = 256
CONTROL_EXPIRY_S = 60
"""A sign of life that nobody read within a minute has no value."""
_NODELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)


class MqttUplink:
    """See `cloud_sync.uplink.Uplink`."""

    carries_stubs = False

    def __init__(
        self, name: str, settings: MqttSettings, trust: TrustBundle, hub: bytes, hub_epoch: bytes, base: Path
    ) -> None:
        self.name = name
        self._settings = settings
        self._trust = trust
        self._hub = hub
        self._epoch = hub_epoch
        self._base = base

    @asynccontextmanager
    async def open(self, hello: bytes, /) -> AsyncIterator[MqttSession]:
        """Connect both clients, listen for central, and say hello."""
        timeout_s = self._settings.connect_timeout_s
        tls, password = await asyncio.to_thread(self._secrets)
        try:
            async with AsyncExitStack() as stack:
                urgent = await stack.enter_async_context(self._client("a", tls, password))
                bulk = await stack.enter_async_context(self._client("b", tls, password))
                await urgent.subscribe(mqtt_topic_down(self._hub, self._epoch), qos=1, timeout=timeout_s)
                session = MqttSession(self._hub, urgent, bulk)
                await session.send(hello, lane=None, deadline_s=timeout_s)
                yield session
        except (aiomqtt.MqttError, OSError, ValueError) as error:  # also when saying goodbye fails
            raise UplinkError(f"{self._settings.host}:{self._settings.port}: {error}") from error

    def _client(self, part: str, tls: ssl.SSLContext | None, password: str | None) -> aiomqtt.Client:
        settings = self._settings
        return BrokerClient(
            settings.host,
            settings.port,
            identifier=f"{self._hub.hex()}-{self._epoch.hex()}-{part}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            username=settings.username,
            password=password,
            tls_context=tls,
            timeout=settings.connect_timeout_s,
            keepalive=settings.keepalive_s,
            socket_options=_NODELAY,
            max_queued_incoming_messages=QUEUE_LENGTH,
        )

    def _secrets(self) -> tuple[ssl.SSLContext | None, str | None]:
        settings = self._settings
        try:
            password = None
            if settings.password_file is not None:
                password = (self._base / settings.password_file).read_text().strip()
            if not settings.tls:
                return None, password
            if settings.ca_file is None:
                return client_context(self._trust.tls_authorities()), password
            authority = ssl.PEM_cert_to_DER_cert((self._base / settings.ca_file).read_text())
            return client_context([authority]), password
        except (OSError, ValueError) as error:
            raise UplinkError(str(error)) from error


class MqttSession:
    """See `cloud_sync.uplink.UplinkSession`."""

    def __init__(self, hub: bytes, urgent: aiomqtt.Client, bulk: aiomqtt.Client) -> None:
        self._hub = hub
        self._urgent = urgent
        self._bulk = bulk

    async def send(self, frame: bytes, /, *, lane: Lane | None, deadline_s: float) -> None:
        """Publish one frame; return at the broker's PUBACK."""
        client = self._urgent if lane is None or lane.is_urgent else self._bulk
        properties = None
        if lane is None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = CONTROL_EXPIRY_S
        try:
            await client.publish(
                mqtt_topic_up(self._hub, lane), frame, qos=1, timeout=deadline_s, properties=properties
            )
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise UplinkError(str(error)) from error

    async def frames(self) -> AsyncIterator[bytes]:
        """Frames that central published to this run of the hub. Ends when either connection is lost."""
        bulk_lost = asyncio.create_task(_until_lost(self._bulk), name="mqtt-bulk")
        try:
            while True:
                coming = asyncio.create_task(_next(self._urgent), name="mqtt-urgent")
                try:
                    await asyncio.wait({coming, bulk_lost}, return_when=asyncio.FIRST_COMPLETED)
                    message = coming.result() if coming.done() else await bulk_lost
                finally:
                    await _end(coming)
                if len(message.payload) <= MAX_FRAME:
                    yield bytes(message.payload)
        except (aiomqtt.MqttError, OSError) as error:
            raise UplinkError(str(error)) from error
        finally:
            await _end(bulk_lost)


async def _next(client: aiomqtt.Client) -> aiomqtt.Message:
    return await anext(client.messages)


async def _until_lost(client: aiomqtt.Client) -> NoReturn:
    """Raises MqttError. Nothing is expected there, and nobody would notice otherwise."""
    while True:
        await anext(client.messages)


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()  # taken note of: the first of two losses has been told
