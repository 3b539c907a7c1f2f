"""The health check with real processes: one thing is broken at a time, and the check names exactly that."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from central.admin import ask
from simulators import plans
from simulators.demo.program import Program, ProgramError, run, vaktpost
from simulators.demo.stage import Ports, Stage, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

LABEL, WARD_LABEL = "Solbakken 214", "Solbakken, 2. etasje"
WITHIN_S = 30.0
"""For what is broken or mended to show: a poll that is missed, an input that is read, a card that was slow for once."""


@asynccontextmanager
async def staged(folder: Path, plan: plans.Plan) -> AsyncIterator[Stage]:
    ports = Ports(page=free_port(), console=free_port(), hubs=free_port())
    async with Stage.open(folder, plan, ports, language="en") as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def flat(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("flat"), plans.FLAT) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ward(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with staged(tmp_path_factory.mktemp("ward"), plans.WARD) as stage:
        yield stage


async def check(stage: Stage, *, within_s: float = 12.0) -> Mapping[str, Any]:
    """What `vaktpost central check --json` prints, asked for where the command line asks."""
    socket = stage.central_config.parent / "admin.sock"
    hub = LABEL if stage.plan.ble else WARD_LABEL
    told: Mapping[str, Any] = await asyncio.to_thread(ask, socket, {"do": "check", "hub": hub, "timeout_s": within_s})
    return told


def lines_of(told: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    assert told["state"] == "answered", told
    return {line["id"]: line for line in told["result"]["lines"]}


def deviations(told: Mapping[str, Any]) -> dict[str, str]:
    return {line_id: line["result"] for line_id, line in lines_of(told).items() if line["result"] != "ok"}


async def until(stage: Stage, is_so: Callable[[dict[str, str]], bool], wanted: object) -> Mapping[str, Any]:
    """Check until it says so; the last deviations are told when it never does."""
    found: dict[str, str] = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            while True:
                told = await check(stage)
                if is_so(found := deviations(told)):
                    return told
                await asyncio.sleep(0.3)
    except TimeoutError:
        raise AssertionError(f"the check says {found}, wanted was {wanted}\n{stage.hub.last_words()}") from None


async def until_named(stage: Stage, wanted: Mapping[str, str]) -> Mapping[str, Any]:
    return await until(stage, lambda found: found == wanted, wanted)


async def whole(stage: Stage) -> None:
    """Everything has been heard and is in order."""
    if stage.plan.ble:
        await stage.home_act(do="battery", device=plans.BLE_PENDANT, percent=90)
        await stage.home_act(do="close", device="door-1")
        await stage.home_act(do="move", device="motion-1")
        await stage.home_act(do="readings", per_s=100)
        await asyncio.sleep(0.5)
        await stage.home_act(do="readings", per_s=0)
    await until_named(stage, {})


def behind(drivers: Iterable[str], stage: Stage) -> dict[str, str]:
    """The lines of what is heard through a driver, when nothing can be told of it."""
    aliases = {
        "bluetooth": [device.alias for device in plans.ble_devices(stage.plan)],
        "panel": ["panel"],
    }
    return {f"device.{alias}.heard": "unknown" for driver in drivers for alias in aliases[driver]}


# nothing is broken


async def test_a_sound_flat_is_in_order_and_is_compared_with_the_last_check(flat: Stage) -> None:
    await whole(flat)
    told = await check(flat)
    lines = lines_of(told)
    assert {"test", "journal.write", "journal.space", "uplink.main", "clock", "key.identity"} <= set(lines)
    assert {"driver.bluetooth", "driver.inputs", "device.pendant-1.battery", "device.cord-bath.heard"} <= set(lines)
    assert told["answered_ms"] - told["asked_ms"] < 10_000
    assert told["last_known"]["at_ms"] < told["asked_ms"]
    battery = lines["device.pendant-1.battery"]
    assert battery["previous"]["value"] == battery["value"] == 90
    assert [value for _, value in lines["test"]["series"]][-1] == lines["test"]["value"]


async def test_the_command_line_shows_the_table_and_ends_with_nought(flat: Stage) -> None:
    await whole(flat)
    words = vaktpost("central", "check", LABEL, "--config", str(flat.central_config))
    shown = await eventually(lambda: run("check", words))
    assert "Test alarm, end to end" in shown
    assert "Everything that was looked at is in order" in shown
    told = json.loads(await eventually(lambda: run("check", [*words, "--json"])))
    assert (told["state"], told["outcome"], told["label"]) == ("answered", "ok", LABEL)


async def test_the_self_test_on_the_spot_says_the_same(flat: Stage) -> None:
    await whole(flat)
    words = vaktpost("hub", "self-test", "--config", str(flat.hub_config), "--json")
    told = json.loads(await eventually(lambda: run("self-test", words)))
    by_central = lines_of(await check(flat))
    assert [line["id"] for line in told["lines"]] == list(by_central)


async def eventually(command: Callable[[], Awaitable[str]], attempts: int = 10) -> str:
    """The output of a command that is to end well; a card that was slow for once is forgiven."""
    for _ in range(attempts):
        try:
            return await command()
        except ProgramError as error:
            failed = error
            await asyncio.sleep(0.3)
    raise failed


# one thing is broken


async def test_a_flat_battery_is_named(flat: Stage) -> None:
    await whole(flat)
    await flat.home_act(do="battery", device=plans.BLE_PENDANT, percent=8)
    told = await until_named(flat, {"device.pendant-1.battery": "fail"})
    line = lines_of(told)["device.pendant-1.battery"]
    assert (line["value"], line["limit"], line["unit"]) == (8, 20, "%")
    assert line["next_key"] == "change_battery"
    assert line["previous"]["value"] in {8, 90}


async def test_bluetooth_that_died_is_one_fault_and_what_is_heard_through_it_unknown(flat: Stage) -> None:
    await whole(flat)
    try:
        await flat.home_act(do="bluetooth", what="kill")
        told = await until_named(flat, {"driver.bluetooth": "fail", **behind(["bluetooth"], flat)})
    finally:
        await flat.home_act(do="bluetooth", what="on")
    assert lines_of(told)["driver.bluetooth"]["next_key"] == "start_bluetooth"
    await whole(flat)


async def test_a_serial_line_that_was_cut_is_named(ward: Stage) -> None:
    await whole(ward)
    try:
        await ward.home_act(do="serial", on=False)
        told = await until_named(ward, {"driver.panel": "fail", **behind(["panel"], ward)})
    finally:
        await ward.home_act(do="serial", on=True)
    line = lines_of(told)["driver.panel"]
    assert line["next_key"] == "plug_in_serial"
    assert line["params"]["reason"] in {"line_lost", "no_poll"}
    await whole(ward)


async def test_a_hub_that_stands_still_gives_no_answer_and_is_never_shown_as_good(flat: Stage) -> None:
    await whole(flat)
    last = await check(flat)
    assert flat.hub.pid is not None
    os.kill(flat.hub.pid, signal.SIGSTOP)
    try:
        told = await check(flat, within_s=2)
        words = vaktpost("central", "check", LABEL, "--config", str(flat.central_config), "--timeout", "2")
        with pytest.raises(ProgramError, match="ended with status 3") as shown:
            await run("check", words)
    finally:
        os.kill(flat.hub.pid, signal.SIGCONT)
    assert (told["state"], told["outcome"], told["result"]) == ("no_answer", "unknown", None)
    assert told["last_known"]["at_ms"] == last["asked_ms"]
    assert told["last_known"]["outcome"] == last["outcome"]
    assert "No answer. Last known" in str(shown.value)
    await whole(flat)


async def test_a_hub_that_is_gone_has_no_link_and_is_told_with_its_last_known_time(ward: Stage) -> None:
    await whole(ward)
    await ward.hub.kill()
    try:
        async with asyncio.timeout(WITHIN_S):
            while (told := await check(ward, within_s=1))["state"] != "no_link":
                await asyncio.sleep(0.2)
        words = vaktpost("hub", "self-test", "--config", str(ward.hub_config), "--json")
        on_the_spot = await asyncio.to_thread(subprocess.run, words, check=False, capture_output=True, timeout=30)
    finally:
        await ward.hub.start()
        await ward.hub_is_up()
    assert (told["outcome"], told["result"]) == ("unknown", None)
    assert told["last_known"]["outcome"] == "ok"
    found = {line["id"]: line["result"] for line in json.loads(on_the_spot.stdout)["lines"]}
    assert (on_the_spot.returncode, found["program"], found["settings"]) == (1, "fail", "ok")
    assert "ok" not in {found[line] for line in ("test", "uplink", "driver", "device")}
    await whole(ward)


async def test_a_hub_that_nobody_knows_is_refused_with_the_nearest_name(flat: Stage) -> None:
    words = vaktpost("central", "check", "Solbaken 214", "--config", str(flat.central_config))
    with pytest.raises(ProgramError, match="Solbakken 214") as shown:
        await run("check", words)
    assert "Traceback" not in str(shown.value)


# the hub in a machine of its own


@asynccontextmanager
async def anew(stage: Stage, command: list[str], environment: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """The ward's hub restarted under another command line; afterwards as it was."""
    before = stage.hub
    await before.stop()
    stage.hub = Program("hub", command, stage.folder / "logs" / "hub.log", before.environment | dict(environment or {}))
    try:
        await stage.hub.start()
        await stage.hub_is_up()
        yield
    finally:
        await stage.hub.stop()
        stage.hub = before
        await stage.hub.start()
        await stage.hub_is_up()


async def test_a_clock_two_hours_slow_is_named(ward: Stage) -> None:
    faketime = shutil.which("faketime")
    assert faketime, "the Debian package faketime is needed: make debian"
    library = (await run("faketime", [faketime, "-m", "-f", "-2h", "printenv", "LD_PRELOAD"])).strip()
    slow = {"LD_PRELOAD": library, "FAKETIME": "-2h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    async with anew(ward, ward.hub.command, slow):
        told = await until_named(ward, {"clock": "fail"})
    line = lines_of(told)["clock"]
    assert line["value"] == pytest.approx(-7200, abs=5)
    assert line["next_key"] == "set_clock"


SMALL_DISK = 'mount -t tmpfs -o size=320m tmpfs "$1" && shift && exec "$@"'


def in_a_small_disk(folder: Path, command: list[str]) -> list[str] | None:
    """The command with a small file system of its own at `folder`. None: this machine lets nobody mount one."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    alone = [unshare, "--mount"] if os.geteuid() == 0 else [unshare, "--mount", "--map-root-user"]
    mounted = [*alone, "sh", "-c", SMALL_DISK, "sh", str(folder)]
    tried = subprocess.run([*mounted, sys.executable, "-c", "pass"], check=False, capture_output=True, timeout=20)
    return [*mounted, *command] if tried.returncode == 0 else None


def fill(folder: Path) -> None:
    """Leave no block free."""
    ballast = os.open(folder / "ballast", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for step in (16 << 20, 1 << 20, 4096):
            try:
                while True:
                    end = os.lseek(ballast, 0, os.SEEK_END)
                    os.posix_fallocate(ballast, end, step)
            except OSError:
                continue
    finally:
        os.close(ballast)


async def test_a_full_disk_is_named_and_alarms_go_on(ward: Stage) -> None:
    journal = ward.hub_config.parent / "state" / "journal"
    small = in_a_small_disk(journal, ward.hub.command)
    async with anew(ward, small or ward.hub.command):
        await until_named(ward, {})
        assert ward.hub.pid is not None
        if small is None:
            # Nobody may mount here: the kernel refuses this one process every further byte instead.
            resource.prlimit(ward.hub.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            told = await until_named(ward, {"journal.write": "fail"})
        else:
            seen = Path(f"/proc/{ward.hub.pid}/root") / journal.relative_to("/")
            await asyncio.to_thread(fill, seen)
            told = await until(
                ward,
                # The journal gives its reserve to alarms by itself; while that lasts a page can be written again.
                lambda found: found.get("journal.space") == "fail" and set(found) <= {"journal.space", "journal.write"},
                "journal.space fails, and at most journal.write with it",
            )
    assert lines_of(told)["test"]["result"] == "ok"
