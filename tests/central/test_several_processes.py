"""Several processes of central on one PostgreSQL: they share what they know, and do once what is to be done once."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from central import commands
from central.clock import SystemClock
from central.console.accounts import Accounts
from central.console.roles import Role
from central.daemon import open_central
from central.errors import NotStoredError
from central.feed import publish
from central.keys import load_keys
from central.links import HubLinks
from central.news import News
from central.presence import LATE_S, Presence
from central.replies import LEFT_FOR_OTHERS_S, POLL_S, SETTLE_S, Replies
from central.settings import DatabaseSettings, load
from central.store import Priority, open_store
from central.wakeup import Wakeup
from central.windows import Windows
from cloud_sync.central_messages import Command, Reply
from cloud_sync.enrolment import CLAIM_PATH
from cloud_sync.frames import ReplayWindow
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.uplink import FRAMES_PATH
from cloud_sync.uplinks.tls import client_context
from simulators.central_process import CentralProcess, central_running
from simulators.frame_hub import FrameHub, unpacked
from simulators.postgresql import Postgres
from tests.central.conftest import ALWAYS_ON_DUTY, FIRST, TEMPLATE, Bench, ManualClock

DATABASE = "several"
pytestmark = pytest.mark.timeout(300)
PASSWORD = "en lang setning om fisk"
TIMEOUT_S = 60
CONSOLE = "0011223344556677"


LINES = (
    {"id": "software", "result": "ok", "value": "0.1.0", "limit": None, "text_key": "software"},
    {"id": "journal.write", "result": "ok", "value": 1.5, "unit": "ms", "limit": 50, "text_key": "journal_write"},
)


class Person:
    """Somebody at the console of one of the processes."""

    def __init__(self, session: aiohttp.ClientSession, csrf: str) -> None:
        self._session = session
        self._headers = {"X-CSRF-Token": csrf}

    async def post(self, path: str, content: Any = None) -> tuple[int, Any]:
        async with self._session.post(path, json=content or {}, headers=self._headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """What the open stream says of alarms, as it comes."""
        async with self._session.get(f"/api/v1/feed?console={CONSOLE}") as answer:
            assert answer.status == 200
            async for line in answer.content:
                if line.startswith(b"data: ") and b'"topic": "alarm"' in line:
                    yield json.loads(line[6:])


class Pair:
    """Two processes on one database, a hub that both know, and what the database says."""

    def __init__(self, processes: list[CentralProcess], bench: Bench, folder: Path, stack: AsyncExitStack) -> None:
        self.processes = processes
        self.bench = bench
        self._folder = folder
        self._stack = stack
        self._hubs: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        trust = self.bench.services.keys.trust
        context = client_context(trust.tls_authorities())
        connector = aiohttp.TCPConnector(ssl=context)
        self._hubs = await self._stack.enter_async_context(aiohttp.ClientSession(connector=connector))

    async def send(self, process: int, path: str, frame: bytes) -> tuple[int, bytes]:
        assert self._hubs is not None
        async with self._hubs.post(self.processes[process].hub_url + path, data=frame) as answer:
            return answer.status, await answer.read()

    async def hub(self, process: int = 0) -> FrameHub:
        code = await self.bench.services.hubs.new_code("Flat 1", "test")
        bundle = TrustBundle.read(
            (self._folder / "trust.bundle").read_bytes(), EnrolmentCode.parse(code).root_fingerprint
        )
        hub = FrameHub(bundle)
        status, grant = await self.send(process, CLAIM_PATH, hub.claim(code))
        assert status == 200
        hub.take_grant(grant)
        hub.start()
        return hub

    async def press(self, process: int, hub: FrameHub, device: str = "pendant-1") -> str:
        sealed = hub.seal("pendant_pressed", device=device)
        status, answer = await self.send(process, FRAMES_PATH, hub.envelope(sealed))
        assert status == 200
        assert hub.receipt(unpacked(answer))
        return (await self.bench.alarm_of(sealed)).id

    async def person(self, process: int, name: str) -> Person:
        accounts = Accounts(self.bench.store, SystemClock())
        account = await accounts.add(name, Role.RESPONDER)
        await accounts.set_password(account.id, PASSWORD)
        session = await self._stack.enter_async_context(
            aiohttp.ClientSession(self.processes[process].console_url, cookie_jar=aiohttp.CookieJar(unsafe=True))
        )
        async with session.post("/api/v1/session", json={"name": name, "password": PASSWORD}) as answer:
            assert answer.status == 200
            return Person(session, (await answer.json())["csrf"])


@pytest.fixture
def several(postgres: Postgres) -> Iterator[str]:
    """A database of these tests' own."""
    postgres.drop(DATABASE)
    postgres.create(DATABASE, TEMPLATE)
    yield postgres.url(DATABASE)
    postgres.drop(DATABASE)


@pytest.fixture
async def pair(founded: Path, several: str, tmp_path: Path) -> AsyncIterator[Pair]:
    configs = []
    for name in ("a", "b", "test"):
        shutil.copytree(founded, tmp_path / name)
        config = tmp_path / name / "central.toml"
        config.write_text(at_database(config.read_text(), several).replace(str(founded), str(tmp_path / name)))
        configs.append(config)
    async with AsyncExitStack() as stack:
        central = await stack.enter_async_context(open_central(load(configs[2])))
        bench = Bench(central, ManualClock())
        await bench.change(ALWAYS_ON_DUTY)
        processes = [await stack.enter_async_context(central_running(config)) for config in configs[:2]]
        pair = Pair(processes, bench, founded, stack)
        await pair.open()
        yield pair


def at_database(config: str, url: str) -> str:
    """The settings with this database; each process says itself where its console is."""
    assert "\n[database]" not in config
    lines = [line for line in config.splitlines() if not line.startswith("public_url")]
    return "\n".join([*lines, "", "[database]", f'url = "{url}"', ""])


async def test_a_console_of_one_process_sees_what_a_hub_delivered_to_the_other(pair: Pair) -> None:
    hub = await pair.hub(process=1)
    operator = await pair.person(0, "Operator One")
    took = []
    stream = operator.changes()
    listening = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.5)  # the stream begins with what comes after it was opened
    for number in range(3):
        begun = time.monotonic()
        alarm = await pair.press(1, hub, f"pendant-{number}")
        async with asyncio.timeout(TIMEOUT_S):
            while (change := await listening)["ref"] != alarm:
                listening = asyncio.ensure_future(anext(stream))
        took.append(time.monotonic() - begun)
        assert change["what"] == "raised"
        listening = asyncio.ensure_future(anext(stream))
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert min(took) < 1.0, took


async def test_of_many_who_claim_at_two_processes_exactly_one_gets_the_alarm(pair: Pair) -> None:
    hub = await pair.hub()
    alarm = await pair.press(0, hub)
    people = [await pair.person(number % 2, f"Operator {number}") for number in range(8)]
    answers = await asyncio.gather(*(one.post(f"/api/v1/alarms/{alarm}/claim") for one in people))
    assert sorted(status for status, _ in answers) == [200] + [409] * 7
    winner = next(body["owner_name"] for status, body in answers if status == 200)
    assert {body["holder"]["name"] for status, body in answers if status == 409} == {winner}
    assert await pair.bench.value(f"SELECT count(*) FROM log_entry WHERE alarm = '{alarm}' AND what = 'claimed'") == 1


async def test_a_step_that_is_due_is_taken_by_one_of_the_processes_only(pair: Pair) -> None:
    hub = await pair.hub()
    alarms = [await pair.press(number % 2, hub, f"pendant-{number}") for number in range(10)]
    await pair.bench.change("UPDATE escalation SET due_ms = 1 WHERE state IN ('due', 'running')")
    async with asyncio.timeout(TIMEOUT_S):
        while await pair.bench.value(
            "SELECT count(*) FROM escalation WHERE due_ms = 1 AND state IN ('due', 'running')"
        ):
            await asyncio.sleep(0.2)
    rows = await pair.bench.rows("SELECT alarm, content FROM log_entry WHERE what = 'escalated'")
    steps = Counter((alarm, content) for alarm, content in rows)
    assert {alarm for alarm, _ in steps} == set(alarms)
    assert set(steps.values()) == {1}


async def test_what_one_process_has_taken_is_new_to_no_other(pair: Pair) -> None:
    hub = await pair.hub()
    beat = hub.heartbeat()
    envelope = hub.envelope(hub.seal("pendant_pressed"))
    assert [(await pair.send(0, FRAMES_PATH, frame))[0] for frame in (beat, envelope)] == [200, 200]
    for frame in (beat, envelope):
        status, body = await pair.send(1, FRAMES_PATH, frame)
        assert (status, json.loads(body)["reason"]) == (409, "replayed")
    assert (await pair.send(1, FRAMES_PATH, hub.heartbeat()))[0] == 200
    assert await pair.bench.value("SELECT count(*) FROM alarm WHERE queue = 'personal'") == 1


# ── the parts by themselves ────────────────────────────────────────────────────────────


async def test_the_database_tells_of_a_change_and_again_after_the_connection_was_lost(several: str) -> None:
    clock = SystemClock()
    async with open_store(several, clock) as store:
        wakeup = Wakeup()
        news = News(store.dialect, wakeup)
        task = asyncio.create_task(news.run())
        try:
            for _ in range(2):
                async with asyncio.timeout(TIMEOUT_S):
                    while not news.is_listening:
                        await asyncio.sleep(0.05)
                seen = wakeup.count
                async with store.write() as connection:
                    await publish(connection, clock.now_ms(), "alarm", "x", "raised")
                assert await wakeup.wait(seen, TIMEOUT_S) > seen
                async with store.write() as connection:
                    await connection.exec_driver_sql(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
                    )
                async with asyncio.timeout(TIMEOUT_S):
                    while news.is_listening:
                        await asyncio.sleep(0.05)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_home_hears_within_a_second_although_another_process_was_first_at_the_outbox(
    several: str, founded: Path
) -> None:
    clock = ManualClock()
    settings = load(founded / "central.toml").model_copy(update={"database": DatabaseSettings(url=several)})
    keys = load_keys(settings.data_dir)
    async with AsyncExitStack() as stack:
        central = await stack.enter_async_context(open_central(settings, clock))
        bench = Bench(central, clock)
        hub = await bench.enrolled()
        other = Replies(bench.store, keys, clock, HubLinks(), Wakeup())
        mine = central.works["replies"].__self__  # type: ignore[attr-defined]
        with bench.services.links.open(hub.id, hub.now.epoch, "https") as link:
            for _ in range(3):
                await bench.press(hub)
                assert await other.send_due() == 1
                clock.advance(SETTLE_S)
                await other.settle()  # it has no link to this hub, and is done with the row
                clock.advance(POLL_S)
                assert await mine.send_due() == 1
                assert (frame := await link.next(0)) is not None
                assert isinstance(hub.read(frame), Reply)
                assert await link.next(0) is None  # once
        clock.advance(LEFT_FOR_OTHERS_S)
        await other.settle()
        assert await bench.value("SELECT count(*) FROM outbox") == 0


async def test_a_health_check_goes_by_the_process_that_has_the_hubs_link(
    several: str, founded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(founded / "central.toml").model_copy(update={"database": DatabaseSettings(url=several)})
    async with AsyncExitStack() as stack:
        here, there = [
            Bench(await stack.enter_async_context(open_central(settings, clock)), ManualClock())
            for clock in (SystemClock(), SystemClock())
        ]
        hub = await there.enrolled()
        await there.send(hub, hub.envelope(hub.seal("temperature", device="t"), has_header=True))
        for bench in (there, here):  # as they do every ten seconds
            await bench.services.hubs.ear.share()  # type: ignore[attr-defined]
        with there.services.links.open(hub.id, hub.now.epoch, "https") as link:
            asking = asyncio.create_task(here.services.commands.check(hub.id.hex(), FIRST))
            async with asyncio.timeout(TIMEOUT_S):
                while not await there.services.commands.carrying.carry():
                    await asyncio.sleep(0.05)
            assert await there.services.commands.carrying.carry() == 0
            frame = await link.next(5)
            assert frame is not None
            asked = hub.read(frame)
            assert isinstance(asked, Command)
            for part, process in ((1, there), (0, here)):  # the answer comes up by any path
                result = {"version": 1, "started_ms": 1, "took_ms": 2, "lines": [LINES[part]]}
                frame = hub.result(asked.command, result, part=part, is_last=part == 1)
                await process.reception.receive(frame, "https")
            check = await asking
        assert check.state == "answered"
        assert check.result is not None
        assert [line["id"] for line in check.result["lines"]] == ["software", "journal.write"]
        assert await here.value("SELECT count(*) FROM command_part") == 0
        assert await here.value("SELECT state FROM command") == "answered"
        monkeypatch.setattr(commands, "CARRIED_WITHIN_S", 0.1)
        assert (await here.services.commands.check(hub.id.hex(), FIRST)).state == "no_link"  # nobody has one now
        assert await here.value("SELECT count(*) FROM command WHERE state = 'wanted'") == 0


async def test_what_a_process_has_committed_itself_is_no_news_to_it(several: str) -> None:
    clock = SystemClock()
    async with open_store(several, clock) as own, open_store(several, clock) as other:
        wakeup = Wakeup()
        news = News(own.dialect, wakeup, own.writers)
        task = asyncio.create_task(news.run())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                while not news.is_listening:
                    await asyncio.sleep(0.05)
            seen = wakeup.count
            for store in (own, own, other):
                async with store.write() as connection:
                    await publish(connection, clock.now_ms(), "alarm", "x", "raised")
            assert await wakeup.wait(seen, TIMEOUT_S) == seen + 1
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_two_windows_of_one_database_never_both_take_a_message(several: str) -> None:
    clock = SystemClock()
    async with open_store(several, clock) as one, open_store(several, clock) as two:
        windows = [Windows(one, clock), Windows(two, clock)]
        for number in range(1, 40):
            taken = await asyncio.gather(*(window.accept("h" * 16, "e" * 16, number) for window in windows * 2))
            assert sum(taken) == 1, number
        fresh = Windows(two, clock)
        assert not await fresh.accept("h" * 16, "e" * 16, 7)
        assert await fresh.accept("h" * 16, "e" * 16, 40)


async def test_bulky_messages_take_their_places_together_each_once_and_for_all_processes(several: str) -> None:
    clock = SystemClock()
    async with open_store(several, clock) as one, open_store(several, clock) as two:
        here, there = Windows(one, clock), Windows(two, clock)
        wanted = [(f"{hub:016}", "e" * 16, number) for number in range(1, 20) for hub in range(3)]
        before = one.commits
        taken = await asyncio.gather(*(here.accept(*one, Priority.UPKEEP) for one in wanted * 2))
        assert sum(taken) == len(wanted)
        assert one.commits - before < len(wanted) / 4
        assert not any(await asyncio.gather(*(there.accept(*one, Priority.UPKEEP) for one in wanted)))
        assert await there.accept("0" * 16, "e" * 16, 20, Priority.UPKEEP)
        async with one.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE sender_window RENAME TO gone")
        again = [here.accept("1".zfill(16), "e" * 16, number, Priority.UPKEEP) for number in (20, 21)]
        assert {type(said) for said in await asyncio.gather(*again, return_exceptions=True)} == {NotStoredError}
        async with one.write() as connection:
            await connection.exec_driver_sql("ALTER TABLE gone RENAME TO sender_window")
        assert await here.accept("1".zfill(16), "e" * 16, 22, Priority.UPKEEP)


def test_windows_that_are_merged_have_seen_what_either_had() -> None:
    odd, even = ReplayWindow(), ReplayWindow()
    for number in range(1, 50, 2):
        odd.accept(number)
    for number in range(2, 40, 2):
        even.accept(number)
    even.merge(odd)
    assert [number for number in range(1, 50) if even.accept(number)] == [40, 42, 44, 46, 48]
    old = ReplayWindow()
    old.accept(1)
    old.merge(ReplayWindow(high=5000, bits=1))
    assert (old.high, old.accept(1), old.accept(4999)) == (5000, False, True)


async def test_a_hub_that_another_process_hears_is_not_late(several: str) -> None:
    clock = ManualClock()
    async with open_store(several, clock) as store, store.write() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO hub (id, public_key, suite, enrolled_ms, presence)"
            " VALUES ('00000000000000aa', '', 1, 0, 'present')"
        )
    async with open_store(several, clock) as one, open_store(several, clock) as two:
        hears, is_told = (Presence(store, clock, HubLinks(), Wakeup()) for store in (one, two))
        for presence in (hears, is_told):
            await presence.load()
        for _ in range(30):
            clock.advance(4)
            hears.hear("00000000000000aa", "e" * 16)
            for presence in (hears, is_told):
                await presence.share()
                await presence.sweep()
            assert is_told.heard("00000000000000aa").presence == "present"  # type: ignore[union-attr]
        for _ in range(int(LATE_S) // 4 + 2):  # and late once, for both, when nobody hears it
            clock.advance(4)
            for presence in (hears, is_told):
                await presence.share()
                await presence.sweep()
        assert {presence.heard("00000000000000aa").presence for presence in (hears, is_told)} == {"late"}  # type: ignore[union-attr]
        async with one.read() as connection:
            found = await connection.exec_driver_sql("SELECT count(*) FROM log_entry WHERE what = 'hub_late'")
            assert found.scalar_one() == 1


@pytest.mark.sqlite
def test_a_second_process_on_sqlite_is_refused_with_what_to_do(founded: Path, tmp_path: Path) -> None:
    shutil.copytree(founded, tmp_path / "central")
    config = tmp_path / "central" / "central.toml"
    config.write_text(config.read_text().replace(str(founded), str(tmp_path / "central")))
    command = [sys.executable, "-m", "vaktpost", "central", "run", "--config", str(config), "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        try:
            first.stdout.readline()
            first.stdout.readline()
            second = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        finally:
            first.terminate()
    assert second.returncode == 1
    assert f"process {first.pid}" in second.stderr
    assert "PostgreSQL" in second.stderr
    assert "Traceback" not in second.stderr
