"""Networks that are cut, flap, lose and delay; addresses and brokers that die while another one is there."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from simulators.broker import Broker
from simulators.faults.namespace import Namespace
from simulators.faults.registry import Run, scenario
from simulators.faults.trial import Trial
from simulators.faults.verdict import Verdict
from simulators.network import Cable

QUICK = "\n[dispatch]\nreconnect_spread_s = 1.0\n"
SIGNS = "heartbeat_s = 10\nreserve_heartbeat_s = 30\n"
"""Of a reserve it is one an hour as delivered: so long would nothing be known of it."""
NOBODY = ("127.0.0.1", 9)
HTTPS_RESERVE = '\n[uplinks.reserve]\ntype = "https"\nurl = "https://127.0.0.1:{port}"\nidle_timeout_s = 300\n'
"""So that it is the sign of life that finds out, and not the silence of the held connection."""
BROKER_PATH = '\n[uplinks.{name}]\ntype = "mqtt"\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'
BROKER_OF_CENTRAL = '\n[[mqtt]]\nhost = "127.0.0.1"\nport = {port}\ntls = false\n'


@scenario(
    "two-addresses",
    "one of central's two addresses dies under load",
    short=2,
    long=40,
    timeout_s=240,
    long_timeout_s=3600,
)
async def two_addresses(run: Run) -> Verdict:
    """Each cut without a word, then each broken and refused; the other one carries on. Both are told of as they are."""
    async with (
        Cable(NOBODY) as other,
        Trial.open(run, more_settings=QUICK + SIGNS + HTTPS_RESERVE.format(port=other.port)) as trial,
    ):
        other.target = real = ("127.0.0.1", trial.stage.ports.hubs)
        cables = {"main": trial.stage.cable, "reserve": other}
        async with trial.load():
            await all_up(trial, *cables)
            async for number in run.each_round():
                name, whole = ("main", "reserve") if number % 2 == 0 else ("reserve", "main")
                cable = cables[name]
                if number % 4 < 2:
                    cable.cut()
                else:
                    cable.target = NOBODY
                    cable.reset()
                await trial.confirmed(5)
                await trial.says(  # after its next sign of life at the latest
                    lambda status, cut=name, whole=whole: _is_down_alone(status, cut, whole),  # type: ignore[misc]
                    f"{name} is still called up, or {whole} is not",
                    within_s=75,
                )
                cable.target = real
                cable.mend()
                await all_up(trial, *cables)
            await trial.confirmed(3)
        return await trial.judged()


def _is_down_alone(status: dict[str, Any], cut: str, whole: str) -> bool:
    return state(status, cut) != "up" and state(status, whole) == "up"


@scenario("two-brokers", "one of two brokers is killed under load, and there is no other path", short=1, long=40)
async def two_brokers(run: Run) -> Verdict:
    """Central listens to both. What the dead one had taken comes again by the other, and has one effect."""
    async with AsyncExitStack() as stack:
        run.folder.mkdir(parents=True, exist_ok=True)
        names = ("one", "two")
        brokers = {name: await stack.enter_async_context(Broker(run.folder / name)) for name in names}
        trial = await stack.enter_async_context(
            Trial.open(
                run,
                more_settings=QUICK + "".join(BROKER_PATH.format(name=n, port=b.port) for n, b in brokers.items()),
                more_of_central="".join(BROKER_OF_CENTRAL.format(port=one.port) for one in brokers.values()),
            )
        )
        await trial.only_broker()
        async with trial.load():
            await all_up(trial, *names)
            async for number in run.each_round():
                name = names[number % 2]
                await brokers[name].kill()
                await trial.confirmed(5)
                await trial.says(lambda status, name=name: state(status, name) != "up", f"broker {name} is called up")  # type: ignore[misc]
                await brokers[name].start()
                await all_up(trial, *names)
            await trial.confirmed(3)
        return await trial.judged()


@scenario("broker-restart", "the only broker is restarted, without persistence", short=1, long=10)
async def broker_restart(run: Run) -> Verdict:
    """What it forgot was never receipted."""
    return await _restart_broker(run, keeps=False)


@scenario("broker-restart-kept", "the only broker is restarted, with persistence", short=1, long=10)
async def broker_restart_kept(run: Run) -> Verdict:
    """What it kept comes late, after what was sent again."""
    return await _restart_broker(run, keeps=True)


async def _restart_broker(run: Run, *, keeps: bool) -> Verdict:
    async with Trial.open(run, has_broker=True, broker_keeps=keeps, only_broker=True) as trial:
        async with trial.load(often=2):
            async for _ in run.each_round():
                await trial.confirmed(3)
                trial.no_way()
                await trial.broker.stop()
                await asyncio.sleep(run.chance.uniform(0.0, 1.5))
                await trial.broker.start()
                trial.way()
            await trial.confirmed(3)
        return await trial.judged()


@scenario("bad-line", "a line that loses, delays, flaps and resets", short=1, long=40)
async def bad_line(run: Run) -> Verdict:
    """In user space, so that it is the same on every machine: what is lost comes late, and all after it waits."""
    chance = run.chance
    async with Trial.open(run, more_settings=QUICK) as trial:
        cable = trial.stage.cable
        cable.chance = chance
        async with trial.load():
            async for _ in run.each_round():
                cable.loss, cable.delay_s = chance.uniform(0.0, 0.3), chance.uniform(0.0, 0.15)
                await asyncio.sleep(chance.uniform(1.0, 3.0))
                for _flap in range(chance.randrange(1, 5)):
                    trial.no_way()
                    cable.cut()
                    await asyncio.sleep(chance.uniform(0.05, 0.8))
                    cable.mend()
                    trial.way()
                    if chance.random() < 0.4:
                        cable.reset()
                    await asyncio.sleep(chance.uniform(0.05, 0.5))
                cable.loss = cable.delay_s = 0.0
                await trial.confirmed(2)
        return await trial.judged()


@scenario("partition", "a hub in a network of its own: partitioned, its link pulled and flapping", short=2, long=40)
async def partition(run: Run) -> Verdict:
    """The kernel's own TCP meets the fault: packets that go nowhere without a word, and a link without carrier."""
    chance = run.chance
    async with (
        Namespace.open() as apart,
        Trial.open(run, more_settings=QUICK) as trial,
        Cable(("127.0.0.1", trial.stage.ports.hubs), host=apart.ours) as wire,
    ):
        await _move(trial, apart, wire.port)
        async with trial.load():
            await trial.confirmed(3)
            async for number in run.each_round():
                trial.no_way()
                if number % 2 == 0:
                    await apart.partition()
                    await asyncio.sleep(chance.uniform(1.0, 8.0))
                    await apart.heal()
                else:
                    for _flap in range(chance.randrange(1, 4)):
                        await apart.link(is_up=False)
                        await asyncio.sleep(chance.uniform(0.1, 2.0))
                        await apart.link(is_up=True)
                        await asyncio.sleep(chance.uniform(0.0, 0.5))
                trial.way()
                await trial.confirmed(3)
        return await trial.judged()


async def _move(trial: Trial, apart: Namespace, port: int) -> None:
    """Start the hub again, in the namespace. Its certificate's name is one that means this machine there."""
    hub, settings = trial.stage.hub, trial.stage.hub_config
    await hub.stop()
    settings.write_text(settings.read_text().replace(f"127.0.0.1:{trial.stage.cable.port}", f"localhost:{port}"))
    hub.command[:0] = apart.words
    await hub.start()
    await trial.stage.hub_is_up()


async def all_up(trial: Trial, *names: str) -> None:
    """Wait until all these paths are, and complain if `status` does not come to say so."""
    await trial.says(
        lambda status: all(state(status, name) == "up" for name in names), f"not all of {names} are up", within_s=45
    )


def state(status: dict[str, Any], name: str) -> str:
    """What the hub says of a path."""
    return next(str(path["state"]) for path in status["paths"] if path["uplink"] == name)
