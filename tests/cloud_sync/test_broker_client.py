"""A broker that dies in the middle of something is noticed at once, whatever was being waited for."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiomqtt
import pytest

from cloud_sync.uplinks.broker import BrokerClient

CONNACK = bytes([0x20, 3, 0, 0, 0])
Broker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LIMIT_S = 30.0


async def hangs_up_at_once(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    return


async def hangs_up_at_connect(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(100)


async def is_killed_at_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hangs_up_after_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(CONNACK)
    await writer.drain()
    await reader.read(100)


@asynccontextmanager
async def listening(broker: Broker) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await broker(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def client(port: int) -> BrokerClient:
    return BrokerClient("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, timeout=LIMIT_S)


@pytest.mark.parametrize("broker", [hangs_up_at_once, hangs_up_at_connect, is_killed_at_connect])
async def test_a_broker_that_dies_before_it_answers_a_connection_is_given_up_at_once(broker: Broker) -> None:
    began_s = time.monotonic()
    async with listening(broker) as port:
        with pytest.raises(aiomqtt.MqttError, match="hung up"):
            async with client(port):
                pytest.fail("there is nobody")
    assert time.monotonic() - began_s < LIMIT_S / 3


@pytest.mark.parametrize("what", ["subscribe", "publish"])
async def test_a_broker_that_dies_before_it_acknowledges_is_given_up_at_once(what: str) -> None:
    began_s = time.monotonic()
    async with listening(hangs_up_after_connect) as port:
        with pytest.raises(aiomqtt.MqttError):
            async with client(port) as connected:
                if what == "subscribe":
                    await connected.subscribe("x", qos=1)
                else:
                    await connected.publish("x", b"y", qos=1)
    assert time.monotonic() - began_s < LIMIT_S / 3


async def test_a_broker_that_says_nothing_is_given_up_when_the_time_is_over() -> None:
    silence = asyncio.Event()

    async def says_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await silence.wait()

    async with listening(says_nothing) as port:
        quick = BrokerClient("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5, timeout=0.2)
        with pytest.raises(aiomqtt.MqttError):
            async with quick:
                pytest.fail("nobody answered")
        silence.set()
        await asyncio.sleep(0)


async def test_who_is_cancelled_while_it_waits_ends() -> None:
    silence = asyncio.Event()

    async def says_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await silence.wait()

    async def connect(port: int) -> None:
        async with client(port):
            pytest.fail("nobody answered")

    async with listening(says_nothing) as port:
        task = asyncio.create_task(connect(port))
        await asyncio.sleep(0.1)
        task.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await task
        silence.set()
        await asyncio.sleep(0)


async def refuses_to_subscribe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(CONNACK)
    asked = await reader.read(100)
    not_authorized = 0x87
    writer.write(bytes([0x90, 4, *asked[2:4], 0, not_authorized]))
    await writer.drain()
    await reader.read(100)


async def test_a_broker_that_lets_nobody_subscribe_is_an_error_and_not_a_silence() -> None:
    async with listening(refuses_to_subscribe) as port, client(port) as connection:
        with pytest.raises(aiomqtt.MqttError, match="subscribe to a/b: Not authorized"):
            await connection.subscribe("a/b", qos=1)
