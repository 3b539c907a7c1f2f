"""A broker between hub and central: second path when the first fails, only path, killed and back, and in the hands of
somebody who records and repeats.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiomqtt
import pytest
import pytest_asyncio

from cloud_sync.frames import FrameType, split
from cloud_sync.vocabulary import BY_WORD
from simulators import plans
from simulators.boot_clock import boot_s
from simulators.broker import Broker
from simulators.load_driver import LOAD_SETTINGS
from simulators.scene import Scene

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENT = "\n[dispatch]\nresend_after_s = 15.0\n"
"""The first copy stays under way for so long: it is to arrive after the second."""
SECOND_PATH = '\n[uplinks.reserve]\ntype = "mqtt"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
CENTRAL = '\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'


class Overheard:
    """Whoever runs the broker: sees every frame, and can publish what it likes."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self._frames: list[tuple[str, bytes]] = []
        self._more = asyncio.Condition()

    @classmethod
    @asynccontextmanager
    async def at(cls, broker: Broker) -> AsyncIterator[Overheard]:
        async with aiomqtt.Client(
            "127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5, max_queued_incoming_messages=10_000
        ) as client:
            await client.subscribe("vaktpost/#", qos=1)
            overheard = cls(client)
            listening = asyncio.create_task(overheard._listen())
            try:
                yield overheard
            finally:
                listening.cancel()
                await asyncio.wait({listening})

    async def _listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            async with self._more:
                self._frames.append((message.topic.value, message.payload))
                self._more.notify_all()

    async def frame(self, direction: str, frame_type: FrameType, channel: str = "") -> tuple[str, bytes]:
        """The first frame of a type that went up or down; waits for it."""

        def found() -> tuple[str, bytes] | None:
            for topic, payload in self._frames:
                is_there = topic.startswith(f"vaktpost/1/{direction}/") and topic.endswith(channel)
                if is_there and split(payload).type is frame_type:
                    return topic, payload
            return None

        async with asyncio.timeout(20), self._more:
            await self._more.wait_for(lambda: found() is not None)
        frame = found()
        assert frame is not None
        return frame

    async def publish(self, topic: str, frame: bytes) -> None:
        await self._client.publish(topic, frame, qos=1)


class Wired:
    """A scene whose hub and central also share a broker."""

    def __init__(self, scene: Scene, broker: Broker, both: str, only: str) -> None:
        self.scene = scene
        self.broker = broker
        self._both = both
        self._only = only

    async def use(self, *, only_broker: bool) -> None:
        """Let the hub have both paths, or only the broker; return when all it has are up."""
        stage, wanted = self.scene.stage, self._only if only_broker else self._both
        if stage.hub_config.read_text() != wanted:
            await stage.hub.stop()
            stage.hub_config.write_text(wanted)
        await self.scene.calm()

        async def are_up() -> bool:
            return all(path["state"] == "up" for path in (await stage.hub_status())["paths"])

        await self.scene.until(are_up, "not every path is up")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def wired(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wired]:
    folder = tmp_path_factory.mktemp("m")
    async with (
        Broker(folder / "broker") as broker,
        Scene.open(
            folder, plans.WARD, more_settings=LOAD_SETTINGS + PATIENT + SECOND_PATH.format(port=broker.port)
        ) as scene,
    ):
        await scene.stage.central.stop()
        with scene.stage.central_config.open("a") as settings:
            settings.write(CENTRAL.format(port=broker.port))
        await scene.stage.central.start()
        await scene.stage.central_is_up()
        both = scene.stage.hub_config.read_text()
        without_https = re.sub(r"\[uplinks\.main\]\n(?:[^\[\n].*\n)+", "", both)
        only = without_https.replace("[uplinks.reserve]", "[uplinks.main]")
        assert only.count("[uplinks.") == 1
        yield Wired(scene, broker, both, only)


@pytest_asyncio.fixture(loop_scope="module")
async def both_paths(wired: Wired) -> Scene:
    await wired.use(only_broker=False)
    return wired.scene


@pytest_asyncio.fixture(loop_scope="module")
async def only_broker(wired: Wired) -> Scene:
    await wired.use(only_broker=True)
    return wired.scene


async def taken_in(scene: Scene) -> int:
    """How many records of the alarm lane reached central, doubled ones included."""
    counters = (await scene.operator.call("GET", "/api/v1/metrics"))["counts"]
    return int(counters.get("records.alarm", 0))


async def test_with_the_first_path_dead_the_alarm_comes_by_the_second_and_both_copies_have_one_effect(
    both_paths: Scene,
) -> None:
    scene = both_paths
    before = await taken_in(scene)
    scene.stage.cable.cut()
    pressed_s = (await scene.act(do="pull", for_s=0.3))["at_boot_s"]
    await scene.lamp("unknown")
    told_s = await scene.lamp("waiting")
    assert 1.8 < told_s - pressed_s < 5.0  # two seconds without receipt, then the second path
    alarm = await scene.new_alarm("cord_pulled", plans.CORD)
    await scene.claim(alarm["id"])
    await scene.lamp("taken", within_s=4)  # an answer finds its way home as well
    scene.stage.cable.mend()

    async def came_twice() -> bool:
        return await taken_in(scene) >= before + 2

    await scene.until(came_twice, "the first copy did not arrive after all")
    await scene.settled("alarm", "care")
    code = BY_WORD["cord_pulled"].code
    events = scene.stage.rows("SELECT seq FROM event WHERE kind = ? AND boot_ms >= ?", code, int(pressed_s * 1000))
    assert len(events) == 1
    assert [(one["id"], one["repeats"]) for one in await scene.open_alarms()] == [(alarm["id"], 0)]


async def test_over_a_broker_alone_a_press_is_taken_and_the_lamp_tells_each_step(only_broker: Scene) -> None:
    scene = only_broker
    async with scene.lamp_diary() as diary:
        await scene.act(do="pull", for_s=0.3)
        alarm = await scene.new_alarm("cord_pulled")
        await scene.lamp("waiting")
        await scene.claim(alarm["id"])
        await scene.lamp("taken")
        await scene.go(alarm["id"])
        await scene.lamp("on_the_way")
        await scene.close(alarm["id"])
        await scene.lamp("off")
    assert [word for word in diary if word != "unknown"] == ["off", "waiting", "taken", "on_the_way", "off"]
    await scene.steps(alarm["id"], "durable", "sent", "receipt", "committed", "taken", "reassured")


async def test_a_press_while_the_broker_is_dead_arrives_once_it_is_back(wired: Wired, only_broker: Scene) -> None:
    scene = only_broker
    await wired.broker.kill()
    pressed_s = (await scene.act(do="pull", for_s=0.3))["at_boot_s"]
    await scene.lamp("unknown")
    await asyncio.sleep(1.0)  # both ends have noticed and try again
    back_s = boot_s()
    await wired.broker.start()
    told_s = await scene.lamp("waiting")
    assert told_s - back_s < 8.0
    await scene.settled("alarm", "care")
    code = BY_WORD["cord_pulled"].code
    assert (
        len(scene.stage.rows("SELECT 1 FROM event WHERE kind = ? AND boot_ms >= ?", code, int(pressed_s * 1000))) == 1
    )


async def security(scene: Scene, reason: str, after: int = 0) -> int:
    """Wait until central has noted a refusal of this kind; returns how many."""
    rows = await scene.found(
        "SELECT sum(count) FROM security_event WHERE reason = ? HAVING sum(count) > ?", reason, after
    )
    return int(rows[0][0])


def noted(scene: Scene, reason: str) -> int:
    ((count,),) = scene.stage.rows("SELECT coalesce(sum(count), 0) FROM security_event WHERE reason = ?", reason)
    return int(count)


async def test_a_recorded_alarm_sent_again_has_no_effect_and_is_noted(wired: Wired, only_broker: Scene) -> None:
    scene = only_broker
    async with Overheard.at(wired.broker) as eve:
        await scene.load(press=True)
        alarm = await scene.new_alarm("pendant_pressed")
        topic, frame = await eve.frame("up", FrameType.ENVELOPE, "/alarm")
        stored, before = scene.stored(), {reason: noted(scene, reason) for reason in ("replayed", "signature", "topic")}
        assert b"pendant" not in frame
        assert b"r-7f3a90" not in frame

        await eve.publish(topic, frame)
        await eve.publish(topic, frame[:-1] + bytes([frame[-1] ^ 1]))
        await eve.publish("vaktpost/1/up/0123456789abcdef/alarm", frame)
        for reason, count in before.items():
            assert await security(scene, reason, count) == count + 1

        # Also a central that was restarted knows what it has heard.
        await scene.stage.central.kill()
        await scene.stage.central.start()
        await scene.stage.central_is_up()

        async def is_refused_again() -> bool:
            await eve.publish(topic, frame)
            await asyncio.sleep(0.5)
            return noted(scene, "replayed") > before["replayed"] + 1

        await scene.until(is_refused_again, "the restarted central did not refuse the old frame")
    assert {place for place in scene.stored() if place[1] == 1} == {place for place in stored if place[1] == 1}
    assert [(one["id"], one["repeats"]) for one in await scene.open_alarms()] == [(alarm["id"], 0)]


async def test_what_central_said_to_an_earlier_run_is_refused_by_the_next(wired: Wired, only_broker: Scene) -> None:
    scene = only_broker
    async with Overheard.at(wired.broker) as eve:
        await scene.load(press=True)
        alarm = await scene.new_alarm("pendant_pressed")
        await scene.claim(alarm["id"])
        await scene.lamp("taken")
        assert (await scene.check())["state"] == "answered"
        recorded = [
            (await eve.frame("down", kind))[1] for kind in (FrameType.RECEIPT, FrameType.REPLY, FrameType.COMMAND)
        ]
        await scene.close(alarm["id"])
        await scene.lamp("off")
        await scene.stage.hub.stop()
        await scene.stage.hub.start()
        await scene.stage.hub_is_up()
        status = await scene.stage.hub_status()
        assert status["refused_frames"] == 0
        for frame in recorded:
            await eve.publish(f"vaktpost/1/down/{status['hub']}/{status['epoch']}", frame)

        async def all_refused() -> bool:
            return (await scene.stage.hub_status())["refused_frames"] == len(recorded)

        await scene.until(all_refused, "the hub did not refuse what was said to its earlier run")
    told = await scene.found(
        "SELECT details FROM event WHERE kind = ? AND epoch = ?", BY_WORD["security"].code, status["epoch"]
    )
    assert "other_epoch" in told[0][0]
    assert (await scene.act(do="state"))["lamp"]["word"] == "off"


async def test_a_command_sent_twice_to_the_same_run_is_carried_out_once(wired: Wired, only_broker: Scene) -> None:
    scene = only_broker
    async with Overheard.at(wired.broker) as eve:
        assert (await scene.check())["state"] == "answered"
        topic, first = await eve.frame("down", FrameType.COMMAND)
        assert (await scene.check())["state"] == "answered"
        before = (await scene.stage.hub_status())["refused_frames"]
        tests = len(scene.stage.rows("SELECT 1 FROM event WHERE kind = ?", BY_WORD["test_alarm"].code))
        await eve.publish(topic, first)

        async def is_refused() -> bool:
            return (await scene.stage.hub_status())["refused_frames"] == before + 1

        await scene.until(is_refused, "the hub took an old command")
    assert len(scene.stage.rows("SELECT 1 FROM event WHERE kind = ?", BY_WORD["test_alarm"].code)) == tests
