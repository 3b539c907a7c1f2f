"""Hub and central as services under a real systemd: hangs, crash loops and bad settings, and alarms in each.

Root and the Debian package systemd-container are needed (`make debian`), so these are part of `make soak`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from central.alarms import Alarms
from central.clock import SystemClock
from central.lifecycle import Queue, dispositions
from central.people.words import Words
from central.routines.outcomes import shipped
from central.settings import CentralSettings
from central.store import open_store
from central.views import Actor
from central.wakeup import Wakeup
from cloud_sync.vocabulary import BY_WORD
from gateway import control as hub_control
from gateway.errors import HubError
from simulators import control
from simulators.faults.machine import HOME, Machine, booted, stopped_thread

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

VAKTPOST = f"{HOME}/bin/vaktpost"
HUB, CENTRAL = "vaktpost-hub", "vaktpost-central"
DISPOSITION, OUTCOME = dispositions(Queue.PERSONAL)[0].value, shipped().outcomes[0].code
SETTINGS = """
[hub]
state_dir = "/var/lib/vaktpost-hub"

[service]
healthy_after_s = 10
crashes = 3
safe_for_s = 30

[uplinks.main]
type = "https"
url = "https://localhost:8443"

[uplinks.reserve]
type = "https"
url = "https://127.0.0.1:8443"

[drivers.inputs]
type = "load"
socket = "/var/lib/vaktpost-hub/load.sock"

[drivers.extra]
type = "load"
socket = "/var/lib/vaktpost-hub/extra.sock"
sensor = "sensor-2"
button = "button-2"
optional = true

[[devices]]
alias = "button-1"
profile = "pendant"
resident = "r-7f3a90"

[[devices]]
alias = "button-2"
profile = "pendant"
resident = "r-7f3a91"
"""


class Site:
    """The machine with both services, and how to ask them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.state = machine.root / "var/lib/vaktpost-hub"
        self.database = machine.root / "var/lib/vaktpost-central/central.db"
        self.config = machine.root / "etc/vaktpost/hub.toml"

    async def set_up(self) -> None:
        """As an administrator does it: found central, let the hub in, start both. All of it as root."""
        run = self.machine.run
        await run(VAKTPOST, "central", "init", "--json")
        await run("systemctl", "start", CENTRAL)
        self.config.write_text(SETTINGS)
        await run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/vaktpost.conf")
        code = json.loads(await run(VAKTPOST, "central", "code", "--json"))["code"]
        await run(VAKTPOST, "hub", "enrol", "--central", "https://localhost:8443", code)
        await run("systemctl", "start", HUB)
        await self.is_up()

    async def status(self) -> dict[str, Any] | None:
        try:
            return dict(await asyncio.to_thread(hub_control.ask, self.state, {"ask": "status"}))
        except HubError:
            return None

    async def until(
        self, what: str, is_so: Callable[[dict[str, Any]], bool], *, within_s: float = 60.0
    ) -> dict[str, Any]:
        last: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(within_s):
                while True:
                    last = await self.status()
                    if last is not None and is_so(last):
                        return last
                    await asyncio.sleep(0.2)
        except TimeoutError:
            log = await self.machine.log(HUB, 60)
            raise AssertionError(f"not within {within_s:g} s: {what}; status {last}\n{log}") from None

    async def is_up(self, *, within_s: float = 60.0) -> dict[str, Any]:
        return await self.until(
            "a path is up", lambda found: any(path["state"] == "up" for path in found["paths"]), within_s=within_s
        )

    async def alarm_gets_through(self, *, within_s: float = 20.0) -> None:
        """Press, and find the alarm in central's database."""
        before = self.alarms("pendant_pressed")
        answer = await control.ask(self.state / "load.sock", {"press": True, "wait_s": 10}, timeout_s=15)
        assert answer["confirmed_at_boot_s"] is not None
        async with asyncio.timeout(within_s):
            while self.alarms("pendant_pressed") <= before:
                await asyncio.sleep(0.1)

    def alarms(self, kind: str) -> int:
        """How many events of this kind central has."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            (count,) = connection.execute("SELECT count(*) FROM event WHERE kind = ?", (BY_WORD[kind].code,)).fetchone()
            return int(count)
        finally:
            connection.close()

    async def new_process(self, unit: str, before: int, *, within_s: float) -> int:
        async with asyncio.timeout(within_s):
            while (now := await self.machine.host_pid(unit)) in {0, before}:
                await asyncio.sleep(0.2)
        return now

    async def calm(self) -> None:
        """Full set, own settings, nothing counted."""
        self.config.write_text(SETTINGS)
        await self.machine.run("systemctl", "stop", HUB)
        await self.machine.run("rm", "-f", "/run/vaktpost-hub/starts.json")
        await self.machine.run("systemctl", "start", HUB)
        await self.until("the full set runs", lambda found: bool(found["mode"]["is_full"]))
        await self.is_up()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raised_site() -> AsyncIterator[Site]:
    async with booted("units") as machine:
        site = Site(machine)
        try:
            await site.set_up()
            yield site
        except BaseException as error:
            for unit in (HUB, CENTRAL):
                error.add_note(await machine.log(unit, 60))
            raise


@pytest_asyncio.fixture(loop_scope="module")
async def site(raised_site: Site) -> Site:
    await raised_site.calm()
    return raised_site


async def test_both_services_run_as_users_of_their_own_and_an_alarm_gets_through(site: Site) -> None:
    for unit in (HUB, CENTRAL):
        found = await site.machine.asked(unit, "ActiveState", "User", "StatusText", "WatchdogUSec")
        assert (found["ActiveState"], found["User"], found["WatchdogUSec"]) == ("active", unit, "30s")
    await site.alarm_gets_through()


async def test_a_loop_that_hangs_is_named_ended_and_started_again(site: Site) -> None:
    before = await site.machine.host_pid(HUB)
    async with stopped_thread(before):
        await site.new_process(HUB, before, within_s=60)
    await site.is_up()
    log = await site.machine.log(HUB)
    assert '"silent": ["loop"]' in log
    assert "(code=dumped, signal=ABRT)" in log or "status=6/ABRT" in log
    await site.alarm_gets_through()


async def test_a_process_that_is_stopped_altogether_is_ended_by_systemd_and_started_again(site: Site) -> None:
    before = await site.machine.host_pid(HUB)
    os.kill(before, signal.SIGSTOP)
    await site.new_process(HUB, before, within_s=75)
    await site.is_up()
    await site.alarm_gets_through()


async def test_a_central_that_hangs_is_ended_and_started_again_and_the_hub_finds_it(site: Site) -> None:
    before = await site.machine.host_pid(CENTRAL)
    async with stopped_thread(before):
        await site.new_process(CENTRAL, before, within_s=60)
    await site.is_up()
    assert '"silent": ["loop"]' in await site.machine.log(CENTRAL)
    await site.alarm_gets_through()


async def crash(site: Site, times: int) -> None:
    for _ in range(times):
        await site.until("it runs", lambda _: True)  # what dies before it is a program at all cannot be counted
        before = await site.machine.host_pid(HUB)
        assert before
        os.kill(before, signal.SIGKILL)
        await site.new_process(HUB, before, within_s=30)


async def test_a_crash_loop_ends_in_safe_mode_with_alarms_and_safe_mode_ends_by_itself(site: Site) -> None:
    # Kept as the last good one after ten healthy seconds.
    async with asyncio.timeout(60):
        while not (site.state / "last-good.toml").exists():
            await asyncio.sleep(0.5)
    await site.calm()
    told = site.alarms("safe_mode")
    await crash(site, 3)
    found = await site.until("safe mode", lambda found: bool(found["mode"]["is_safe"]))
    assert [driver["driver"] for driver in found["drivers"]] == ["inputs"]
    assert [path["uplink"] for path in found["paths"]] == ["main"]
    assert found["mode"]["why"] == "crash_loop"
    await site.is_up()
    await site.alarm_gets_through()
    async with asyncio.timeout(30):  # the alarm has overtaken it
        while site.alarms("safe_mode") == told:
            await asyncio.sleep(0.2)
    assert site.alarms("safe_mode") == told + 1
    checked = json.loads(await site.machine.run(VAKTPOST, "hub", "self-test", "--json", is_checked=False))
    (line,) = [line for line in checked["lines"] if line["id"] == "mode"]
    assert (line["result"], line["next_key"]) == ("fail", "leave_safe_mode")
    assert "SAFE MODE" in await site.machine.run(VAKTPOST, "hub", "status")

    over = site.alarms("safe_mode_over")
    # An alarm that nobody has answered is at home: a restart now would be the worst moment.
    await close_all(site)
    await site.until("the full set is tried again", lambda found: bool(found["mode"]["is_full"]), within_s=120)
    async with asyncio.timeout(60):
        while site.alarms("safe_mode_over") == over:
            await asyncio.sleep(0.5)
    await site.alarm_gets_through()


async def close_all(site: Site) -> None:
    """What people do at the console: take every alarm and close it."""
    clock = SystemClock()
    person = Actor(id="system", name="Kari", role="lead")
    async with open_store(f"sqlite+aiosqlite:///{site.database}", clock) as store:
        alarms = Alarms(store, clock, Wakeup(), Words.of(CentralSettings(data_dir=site.database.parent)))
        for alarm in await alarms.queue():
            await alarms.claim(alarm.id, person)
            await alarms.close(alarm.id, person, DISPOSITION, OUTCOME)


async def test_settings_that_cannot_be_used_do_not_stop_the_hub(site: Site) -> None:
    async with asyncio.timeout(60):
        while not (site.state / "last-good.toml").exists():
            await asyncio.sleep(0.5)
    site.config.write_text(SETTINGS.replace('profile = "pendant"', 'profile = "pendent"', 1))
    refused = await site.machine.run(VAKTPOST, "hub", "check-config", is_checked=False)
    assert "pendent" in refused
    await site.machine.run("systemctl", "restart", HUB)
    found = await site.until("the last good settings", lambda found: bool(found["mode"]["is_last_good"]))
    assert found["mode"]["why"] == "settings"
    assert len(found["drivers"]) == 2
    await site.is_up()
    await site.alarm_gets_through()
