"""What else one could take: two mosquittos, one bridging to the other over TLS, both with persistence.

It is the nearest peer that many would set up. It promises less: its store is written to the disk now and then and never
waited for, nothing is sealed or signed from end to end, and nobody answers for a message once a broker has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiomqtt

from bench.machine import usage
from bench.rows import percentile
from simulators.boot_clock import boot_s
from simulators.broker import Broker
from simulators.certificates import Authority

TOPIC = "readings"
PAYLOAD = bytes(107)
"""As long as a sealed reading."""
UNDER_WAY = 500
PERSISTENT = ("autosave_interval 1", "autosave_on_changes false")


@dataclass(slots=True)
class BridgeFigures:
    """Latencies in milliseconds at ten messages a second, QoS 1 all the way; and what many messages cost the edge.

    How many it can take a second is not told: our publisher is the bottleneck there, not the bridge.
    """

    latencies_ms: list[float] = field(default_factory=list)
    messages: int = 0
    edge_cpu_s: float = 0.0
    """Per 10,000."""
    edge_memory_mb: float = 0.0
    edge_start_s: float = 0.0
    edge_written_bytes: int = 0
    """For all messages, as far as it was written before we looked."""

    def p(self, share: float) -> float:
        """A percentile of the latencies."""
        return percentile(self.latencies_ms, share)


@asynccontextmanager
async def _brokers(folder: Path) -> AsyncIterator[tuple[Broker, Broker]]:
    authority = Authority()
    pem = folder / "ca.pem"
    folder.mkdir(parents=True)
    pem.write_bytes(authority.pem)
    files = authority.issue(folder / "tls")
    async with Broker(folder / "central", tls=files, is_persistent=True, more=PERSISTENT) as central:
        bridge = [
            "connection up",
            f"address 127.0.0.1:{central.port}",
            f"topic {TOPIC} out 1",
            f"bridge_cafile {pem}",
            "bridge_protocol_version mqttv50",
            "cleansession false",
            "notifications false",
            "try_private false",
        ]
        async with Broker(folder / "edge", is_persistent=True, more=[*PERSISTENT, *bridge]) as edge:
            yield edge, central


async def _start_s(broker: Broker) -> float:
    """From its start until it takes connections."""
    await broker.stop()
    start_s = boot_s()
    await broker.start()
    return boot_s() - start_s


async def bridge(folder: Path, *, rounds: int, messages: int) -> BridgeFigures:
    """Publish at the edge, subscribe at central."""
    logging.getLogger("mqtt").setLevel(logging.ERROR)  # it counts aloud what is under way
    found = BridgeFigures(messages=messages)
    async with _brokers(folder) as (edge, central):
        found.edge_start_s = await _start_s(edge)
        context = aiomqtt.TLSParameters(ca_certs=str(folder / "ca.pem"))
        async with (
            aiomqtt.Client("127.0.0.1", edge.port) as sender,
            aiomqtt.Client("127.0.0.1", central.port, tls_params=context) as receiver,
        ):
            await receiver.subscribe(TOPIC, qos=1)
            arrivals = aiter(receiver.messages)
            await _first(sender, arrivals)
            for _ in range(rounds):
                await asyncio.sleep(0.1)
                start = boot_s()
                await sender.publish(TOPIC, PAYLOAD, qos=1)
                await anext(arrivals)
                found.latencies_ms.append((boot_s() - start) * 1000)
            before = usage(edge.pid or 0)
            found.edge_memory_mb = before.rss_mb
            await _flood(sender, arrivals, messages)
            after = usage(edge.pid or 0)
            found.edge_cpu_s = (after.cpu_s - before.cpu_s) * 10_000 / messages
            found.edge_written_bytes = after.written_bytes - before.written_bytes
    return found


async def _first(sender: aiomqtt.Client, arrivals: AsyncIterator[aiomqtt.Message]) -> None:
    """Until the bridge is up: what is published before may have come already, or comes now."""
    async with asyncio.timeout(30):
        await sender.publish(TOPIC, PAYLOAD, qos=1)
        await anext(arrivals)


async def _flood(sender: aiomqtt.Client, arrivals: AsyncIterator[aiomqtt.Message], messages: int) -> None:
    room = asyncio.Semaphore(UNDER_WAY)

    async def publish() -> None:
        await sender.publish(TOPIC, PAYLOAD, qos=1, timeout=60)

    async def take() -> None:
        for _ in range(messages):
            await anext(arrivals)
            room.release()

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        for _ in range(messages):
            await room.acquire()
            group.create_task(publish())
