"""The broker settings on the administrators' page, given to a real mosquitto: TLS, users, and who sees which topic."""

from __future__ import annotations

import asyncio
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest

from central.founding import Plan, found
from central.mqtt import SHARE
from cloud_sync.identity import Lane
from cloud_sync.uplink import mqtt_topic_down, mqtt_topic_up
from simulators.demo.stage import free_port

PAGE = Path(__file__).resolve().parents[2] / "docs/administrators/README.md"
MINE, OTHER, EPOCH = bytes.fromhex("cb17c2d687cd93ae"), bytes.fromhex("0123456789abcdef"), b"epoch-12"
PASSWORD = "a password of the test"
TIMEOUT_S = 10


def _block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, f"no {language} on the page"
    return found[1]


@dataclass
class Example:
    port: int
    authority: Path

    def client(self, name: str, password: str = PASSWORD) -> AbstractAsyncContextManager[aiomqtt.Client]:
        return aiomqtt.Client(
            "127.0.0.1",
            self.port,
            protocol=aiomqtt.ProtocolVersion.V5,
            username=name,
            password=password,
            tls_context=ssl.create_default_context(cafile=str(self.authority)),
            timeout=TIMEOUT_S,
        )


@pytest.fixture
async def example(tmp_path: Path) -> AsyncIterator[Example]:
    keys = found(Plan(data_dir=tmp_path / "central", names=["127.0.0.1"]), time.time_ns() // 1_000_000)
    folder = keys.settings.parent / "keys"
    port = free_port()
    settings = _block("mosquitto")
    for was, becomes in (
        ("/etc/mosquitto/vaktpost.passwords", str(tmp_path / "passwords")),
        ("/etc/mosquitto/vaktpost.acl", str(tmp_path / "acl")),
        ("/etc/mosquitto/broker.crt", str(folder / "tls.crt")),
        ("/etc/mosquitto/broker.key", str(folder / "tls.key")),
        ("listener 8883", f"listener {port} 127.0.0.1"),
    ):
        assert was in settings
        settings = settings.replace(was, becomes)
    (tmp_path / "mosquitto.conf").write_text(f"user root\n{settings}")
    (tmp_path / "acl").write_text(_block("mosquitto-acl"))
    (tmp_path / "passwords").touch(mode=0o600)
    places = "/usr/bin:/usr/sbin:/usr/local/sbin"
    broker, passwd = (shutil.which(name, path=places) for name in ("mosquitto", "mosquitto_passwd"))
    assert broker, "mosquitto is not installed; on Debian: apt-get install mosquitto"
    assert passwd, "mosquitto is not installed; on Debian: apt-get install mosquitto"
    for name in ("central", MINE.hex(), OTHER.hex()):
        subprocess.run([passwd, "-b", str(tmp_path / "passwords"), name, PASSWORD], check=True, capture_output=True)
    process = await asyncio.create_subprocess_exec(
        broker,
        "-c",
        str(tmp_path / "mosquitto.conf"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    assert process.returncode is None, "mosquitto does not take the settings on the page"
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
        yield Example(port, folder / "tls-ca.crt")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def test_a_hub_and_central_hear_each_other_and_no_hub_hears_or_speaks_for_another(example: Example) -> None:
    async with (
        example.client("central") as central,
        example.client(MINE.hex()) as mine,
        example.client(OTHER.hex()) as other,
        asyncio.timeout(TIMEOUT_S),
    ):
        for part in ("alarm", "bulk", "control"):
            await central.subscribe(f"{SHARE}{part}", qos=1)
        await mine.subscribe(mqtt_topic_down(MINE, EPOCH), qos=1)
        await other.subscribe(mqtt_topic_down(MINE, EPOCH), qos=1)
        await other.subscribe("vaktpost/1/up/#", qos=1)

        await other.publish(mqtt_topic_up(MINE, Lane.ALARM), b"in another's name", qos=1)
        lanes = (Lane.ALARM, Lane.TELEMETRY, None)
        for lane in lanes:
            await mine.publish(mqtt_topic_up(MINE, lane), b"up", qos=1)
        arrived = [await anext(central.messages) for _ in lanes]
        assert sorted(message.topic.value for message in arrived) == sorted(mqtt_topic_up(MINE, lane) for lane in lanes)
        assert {message.payload for message in arrived} == {b"up"}

        await central.publish(mqtt_topic_down(MINE, EPOCH), b"down", qos=1)
        assert (await anext(mine.messages)).payload == b"down"
        await other.subscribe(mqtt_topic_down(OTHER, EPOCH), qos=1)
        await central.publish(mqtt_topic_down(OTHER, EPOCH), b"for the other", qos=1)
        assert (await anext(other.messages)).payload == b"for the other", "the other hub heard what was not for it"


async def test_a_wrong_password_gets_nobody_in(example: Example) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with example.client(MINE.hex(), "guessed"):
            pass
