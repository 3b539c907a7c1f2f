"""What the hub relies on in every driver. One list, held against each driver and the other end it talks to."""

from __future__ import annotations

import ast
import asyncio
import importlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from drivers.contract import ALIAS, Driver, DriverPlugin, DriverSettings, Fact, Observation
from drivers.errors import PermanentDriverError
from simulators.bare_hub import BareHub
from simulators.boot_clock import boot_s

if TYPE_CHECKING:
    from conftest import OtherEnd

pytestmark = pytest.mark.timeout(60)

PATIENCE_S = 15.0
ALARMS = frozenset({Fact.BUTTON, Fact.CORD, Fact.NURSE_CALL})
DRIVERS = Path(__file__).parents[2] / "drivers"
DOES_IO = frozenset({"asyncio", "socket", "os", "io", "time", "threading", "subprocess", "serial", "bleak", "gpiozero"})


def plugin_of(type_name: str) -> DriverPlugin:
    (point,) = entry_points(group="vaktpost.drivers", name=type_name)
    plugin = point.load()
    assert isinstance(plugin, DriverPlugin)
    return plugin


def build(end: OtherEnd) -> Driver:
    plugin = plugin_of(end.type_name)
    return plugin.build(end.type_name, plugin.settings.model_validate(end.settings), end.base)


def is_alarm(observation: Observation) -> bool:
    return observation.fact in ALARMS and observation.value is not False


async def next_alarm(hub: BareHub) -> Observation:
    async with asyncio.timeout(PATIENCE_S):
        while not is_alarm(seen := await hub.next()):
            pass
        return seen


# What is there before anything runs.


def test_every_driver_folder_is_an_entry_point_and_is_held_to_this_contract(
    type_name: str, held_type_names: set[str]
) -> None:
    folders = {path.parent.name for path in DRIVERS.glob("*/__init__.py")}
    # Simulators may offer drivers too (for load); those are not part of the product.
    points = {point.name for point in entry_points(group="vaktpost.drivers") if point.module.startswith("drivers.")}
    assert folders == points == held_type_names
    assert plugin_of(type_name).type_name == type_name


@pytest.mark.parametrize("module", ["codec", "link", "driver", "settings"])
def test_a_driver_folder_looks_like_every_other(type_name: str, module: str) -> None:
    assert (DRIVERS / type_name / f"{module}.py").is_file()
    assert importlib.import_module(f"drivers.{type_name}.{module}").__doc__


def test_a_codec_does_no_io_and_reads_no_clock(type_name: str) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((DRIVERS / type_name / "codec.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert not imported & DOES_IO


def test_naming_a_driver_does_not_import_what_reaches_its_hardware(end: OtherEnd) -> None:
    asked = f"import sys, drivers.{end.type_name}; sys.exit({end.library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], check=False, timeout=30).returncode == 0


def test_an_unknown_setting_is_refused_by_its_name(end: OtherEnd) -> None:
    with pytest.raises(ValidationError, match="frobnicate"):
        plugin_of(end.type_name).settings.model_validate({**end.settings, "frobnicate": 1})


def test_the_settings_are_closed_and_frozen(end: OtherEnd) -> None:
    plugin = plugin_of(end.type_name)
    assert issubclass(plugin.settings, DriverSettings)
    settings: Any = plugin.settings.model_validate(end.settings)
    with pytest.raises(ValidationError, match="frozen"):
        settings.type = "other"


def test_devices_are_named_as_everywhere_on_a_hub(end: OtherEnd) -> None:
    plugin = plugin_of(end.type_name)
    settings = plugin.settings.model_validate(end.settings)
    aliases = plugin.aliases(settings)
    assert aliases
    assert all(ALIAS.match(alias) for alias in aliases)
    assert end.alarm_device in aliases or plugin.finds_devices
    assert all(key and path for key, path in plugin.files(settings))


async def test_building_a_driver_touches_no_hardware(
    end: OtherEnd, leaves_nothing_behind: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    async with leaves_nothing_behind():
        assert build(end).name == end.type_name


# What it tells.


async def test_an_alarm_is_told_once_on_the_queue_that_nothing_bulky_can_fill(end: OtherEnd) -> None:
    async with BareHub(build(end)) as hub:
        await end.ready()
        began_s = boot_s()
        await end.press()
        alarm = await next_alarm(hub)
        assert alarm.device == end.alarm_device
        assert alarm.may_alarm
        assert began_s <= alarm.observed_boot_s <= boot_s()
        await end.press()
        await next_alarm(hub)
        alarms = [seen for seen in hub.seen if is_alarm(seen) and seen.observed_boot_s >= began_s]
    assert len(alarms) == 2


async def test_it_gives_signs_of_life_so_that_one_that_hangs_is_noticed(end: OtherEnd) -> None:
    signs = 0
    lives = asyncio.Event()

    def alive() -> None:
        nonlocal signs
        signs += 1
        if signs >= 3:
            lives.set()

    hub = BareHub(build(end))
    hub.context.alive = alive
    async with hub:
        await end.ready()
        async with asyncio.timeout(PATIENCE_S):
            await lives.wait()


async def test_what_is_told_is_made_of_plain_values(end: OtherEnd) -> None:
    async with BareHub(build(end)) as hub:
        await end.ready()
        await end.press()
        await next_alarm(hub)
        for seen in hub.seen:
            assert ALIAS.match(seen.device)
            assert isinstance(seen.value, bool | int | float | str | None)
            assert all(isinstance(value, bool | int | float | str | None) for value in seen.details.values())
            assert all(isinstance(value, int | str) for value in seen.remember.values())
        diagnostics = hub.context.diagnostics
        assert diagnostics
        assert all(isinstance(value, bool | int | float | str | None) for value in diagnostics.values())


async def test_an_alarm_waits_for_a_hub_that_is_slow_to_take_it(end: OtherEnd) -> None:
    hub = BareHub(build(end))
    async with asyncio.timeout(PATIENCE_S), hub.driver.open(hub.context) as observations:
        await end.ready()
        await end.press()
        await asyncio.sleep(0.3)
        while not is_alarm(seen := await anext(observations)):
            pass
        hub.resolve(seen, verdict=True)


async def test_giving_up_a_wait_does_not_end_the_driver(end: OtherEnd) -> None:
    hub = BareHub(build(end))
    async with asyncio.timeout(PATIENCE_S), hub.driver.open(hub.context) as observations:
        await end.ready()
        with pytest.raises(TimeoutError):
            while True:
                await asyncio.wait_for(anext(observations), 0.3)
        await end.press()
        while not is_alarm(seen := await anext(observations)):
            pass
        hub.resolve(seen, verdict=True)


# How it begins and ends.


async def test_leaving_gives_back_everything(
    end: OtherEnd, leaves_nothing_behind: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    async with BareHub(build(end)) as hub:  # what a library keeps for the whole process is opened here
        await end.ready()
        await end.press()
        await next_alarm(hub)
    await asyncio.sleep(0.1)
    async with leaves_nothing_behind(), BareHub(build(end)) as hub:
        await end.ready()
        await end.press()
        await next_alarm(hub)


async def test_one_driver_can_be_opened_again_and_again(end: OtherEnd) -> None:
    driver = build(end)
    for _ in range(3):
        async with BareHub(driver) as hub:
            await end.ready()
            await end.press()
            await next_alarm(hub)


async def test_a_second_driver_of_the_same_settings_takes_over_from_the_first(end: OtherEnd) -> None:
    for _ in range(2):
        async with BareHub(build(end)) as hub:
            await end.ready()
            await end.press()
            await next_alarm(hub)


async def test_cancelling_is_clean_within_a_second(
    end: OtherEnd, leaves_nothing_behind: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    hub = BareHub(build(end))

    async def run() -> None:
        async with hub.driver.open(hub.context) as observations:
            async for seen in observations:
                hub.resolve(seen, verdict=True)

    async with BareHub(build(end)):
        await end.ready()
    async with leaves_nothing_behind():
        running = asyncio.create_task(run())
        await end.ready()
        began_s = time.monotonic()
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=5)
        assert done
        assert running.cancelled()
        assert time.monotonic() - began_s < 1


async def test_cancelling_in_the_middle_of_opening_is_clean(
    end: OtherEnd, leaves_nothing_behind: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    async with BareHub(build(end)):
        await end.ready()
    for turns in range(12):
        async with leaves_nothing_behind():
            hub = BareHub(build(end))

            async def run(hub: BareHub = hub) -> None:
                async with hub.driver.open(hub.context):
                    await asyncio.Event().wait()

            running = asyncio.create_task(run())
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel()
            await asyncio.wait({running}, timeout=5)
            assert running.cancelled()


# When the other end fails.


async def test_a_lost_link_is_told_once_and_its_return_once(end: OtherEnd) -> None:
    async with BareHub(build(end)) as hub, asyncio.timeout(PATIENCE_S):
        await end.ready()
        await hub.until(lambda: hub.values(Fact.LINK) == [True])
        for times in (1, 2):
            await end.cut()
            await hub.until(lambda: hub.values(Fact.LINK)[-1] is False)
            await asyncio.sleep(0.3)
            await end.restore()
            await hub.until(lambda times=times: hub.values(Fact.LINK).count(True) > times)  # type: ignore[misc]
        assert hub.values(Fact.LINK) == [True, False, True, False, True]
        assert not any(seen.may_alarm for seen in hub.seen if seen.fact is Fact.LINK)
        await end.ready()
        await end.press()
        await next_alarm(hub)


async def test_another_end_that_is_not_there_at_the_start_is_told_and_waited_for(end: OtherEnd) -> None:
    await end.cut()
    async with BareHub(build(end)) as hub, asyncio.timeout(PATIENCE_S):
        await hub.until(lambda: bool(hub.failures) or False in hub.values(Fact.LINK))
        assert not any(isinstance(failure, PermanentDriverError) for failure in hub.failures)
        assert all(len(str(failure)) > 20 for failure in hub.failures), "words for a person"
        await end.restore()
        await end.ready()
        await end.press()
        await next_alarm(hub)
    assert hub.values(Fact.LINK)[-1] is True


async def test_leaving_while_the_link_is_down_is_clean(
    end: OtherEnd, leaves_nothing_behind: Callable[[], AbstractAsyncContextManager[None]]
) -> None:
    async with BareHub(build(end)):
        await end.ready()
    async with asyncio.timeout(PATIENCE_S), leaves_nothing_behind(), BareHub(build(end)) as hub:
        await end.ready()
        await hub.until(lambda: True in hub.values(Fact.LINK))
        await end.cut()
        await hub.until(lambda: False in hub.values(Fact.LINK))
        await asyncio.sleep(0.1)


def noise(end: OtherEnd) -> Iterator[bytes]:
    dice = random.Random(20_261_122)
    for _ in range(150):
        yield dice.choice((b"", *end.junk)) + dice.randbytes(dice.randrange(40))


async def test_junk_from_the_device_never_ends_the_driver_nor_deafens_it(end: OtherEnd) -> None:
    async with BareHub(build(end)) as hub:
        await end.ready()
        for octets in noise(end):
            await end.babble(octets)
        await end.ready()
        began_s = boot_s()
        await end.press()
        async with asyncio.timeout(PATIENCE_S):
            while not is_alarm(seen := await hub.next()) or seen.observed_boot_s < began_s:
                pass
    assert hub.failures == []
