"""`vaktpost central` as people type it, in processes of its own; and a central that is killed."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from central import cli
from central.keys import load_keys
from cloud_sync.enrolment import CLAIM_PATH
from cloud_sync.trust import EnrolmentCode, TrustBundle
from cloud_sync.uplink import FRAMES_PATH, STREAM_PATH
from cloud_sync.uplinks.tls import client_context
from simulators.central_process import CentralProcess, central_running
from simulators.frame_hub import FrameHub, unpacked


def vaktpost(*words: str | Path) -> tuple[int, str, str]:
    """One command in a process of its own."""
    command = [sys.executable, "-m", "vaktpost", "central", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def told(*words: str | Path, status: int = 0) -> Any:
    """A command's JSON answer."""
    code, out, err = vaktpost(*words, "--json")
    assert code == status, out + err
    return json.loads(out)


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A central founded by the command."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    words = ("--name", "localhost", "--name", "127.0.0.1", "--hub-port", "0", "--console-port", "0")
    answer = told("init", "--data", folder, *words)
    assert answer["ok"]
    return folder


@pytest.fixture
def config(home: Path) -> Path:
    return home / "central.toml"


@asynccontextmanager
async def https(home: Path) -> AsyncIterator[aiohttp.ClientSession]:
    context = client_context(load_keys(home).trust.tls_authorities())
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield session


async def enrolled(home: Path, where: CentralProcess, session: aiohttp.ClientSession) -> FrameHub:
    code = told("code", "--label", "Flat 1", "--config", home / "central.toml")["code"]
    hub = FrameHub(TrustBundle.read((home / "trust.bundle").read_bytes(), EnrolmentCode.parse(code).root_fingerprint))
    async with session.post(where.hub_url + CLAIM_PATH, data=hub.claim(code)) as answer:
        assert answer.status == 200
        hub.take_grant(await answer.read())
    hub.start()
    return hub


def test_founding_makes_private_keys_private_and_puts_the_root_apart(home: Path) -> None:
    for key in [*home.glob("keys/*.key"), *home.glob("offline/*"), home / "central.db"]:
        assert key.stat().st_mode & 0o077 == 0, key
    assert {path.name for path in home.glob("offline/*.key")} >= {"root.key", "tls-ca.key"}
    assert not list(home.glob("keys/root*"))
    (escrow,) = home.glob("offline/seal-*.key")
    assert escrow.read_bytes() == (home / "keys" / escrow.name).read_bytes()
    assert "off the server" in (home / "offline" / "README.txt").read_text()


def test_central_runs_without_the_offline_folder(home: Path, tmp_path: Path) -> None:
    (home / "offline").rename(tmp_path / "safe")
    try:
        assert load_keys(home).sign_id
    finally:
        (tmp_path / "safe").rename(home / "offline")


def test_founding_twice_changes_nothing(home: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*") if "central.db" not in path.name}
    answer = told("init", "--data", home, status=1)
    assert "already" in answer["detail"]
    assert before == {path: path.stat().st_mtime_ns for path in home.rglob("*") if "central.db" not in path.name}


def test_a_key_that_others_can_read_is_not_used(home: Path, config: Path) -> None:
    (key,) = home.glob("keys/sign-*.key")
    key.chmod(0o644)
    try:
        status, _, err = vaktpost("code", "--config", config)
        assert status == 1
        assert f"chmod 600 {key}" in err
    finally:
        key.chmod(0o600)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('langauge = "nb"', "Did you mean `language`?"),
        ("[console]\nprot = 1", "Did you mean `port`?"),
        ("[hubs]\nport = 99999", "hubs.port"),
        ("[mqtt]\nport = 1883", "mqtt.host"),
        ("language = ", "not valid TOML"),
        ('[database]\nurl = "mysql://x/y"', "not supported"),
    ],
)
def test_wrong_settings_are_named_with_the_nearest_right_ones(tmp_path: Path, text: str, expected: str) -> None:
    config = tmp_path / "central.toml"
    config.write_text(text + "\n")
    status, _, err = vaktpost("verify-log", "--config", config)
    assert status in {1, 2}
    assert expected in err


def test_a_settings_file_that_is_missing_says_how_to_make_one(tmp_path: Path) -> None:
    status, _, err = vaktpost("run", "--config", tmp_path / "none.toml")
    assert status == 2
    assert "central init" in err


def test_wrong_words_get_the_nearest_right_ones(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["chekc"])
    assert end.value.code == 2
    assert 'did you mean "check"?' in capsys.readouterr().err
    assert cli.main(["user", "add", "Operator One", "--role", "leed", "--config", str(config)]) == 2
    assert "lead" in capsys.readouterr().err


def test_people_get_in_by_a_link_and_names_are_taken_once(config: Path) -> None:
    answer = told("user", "add", "Operator One", "--role", "lead", "--config", config)
    assert "/link/" in answer["link"]
    assert told("user", "add", "operator one", "--role", "lead", "--config", config, status=1)["reason"] == "name_taken"
    assert "/link/" in told("user", "link", "Operator One", "--config", config)["link"]
    assert "Operator One" in told("user", "link", "Operator On", "--config", config, status=1)["detail"]
    users = told("user", "list", "--config", config)["users"]
    assert [(user["name"], user["role"]) for user in users] == [("Operator One", "lead")]


def test_a_log_that_was_edited_is_reported_with_the_place(home: Path, config: Path, tmp_path: Path) -> None:
    told("user", "add", "Somebody Else", "--config", config)
    assert told("verify-log", "--config", config)["ok"]
    with closing(sqlite3.connect(home / "central.db")) as connection:
        (kept,) = connection.execute("SELECT content FROM log_entry WHERE no = 1").fetchone()
        connection.execute("UPDATE log_entry SET content = '{}' WHERE no = 1")
        connection.commit()
        answer = told("verify-log", "--config", config, status=1)
        assert (answer["ok"], answer["broken_at"], answer["problem"]) == (False, 1, "changed")
        connection.execute("UPDATE log_entry SET content = ? WHERE no = 1", (kept,))
        connection.commit()
    assert told("verify-log", "--config", config)["ok"]


def test_checking_a_hub_needs_a_central_that_runs(config: Path) -> None:
    assert "no central is running" in told("check", "Flat 1", "--config", config, status=1)["detail"]


async def test_a_running_central_is_asked_by_its_socket(home: Path, config: Path) -> None:
    async with central_running(config) as where, https(home) as session:
        assert (home / "admin.sock").stat().st_mode & 0o077 == 0
        hub = await enrolled(home, where, session)
        hubs = await asyncio.to_thread(told, "hubs", "--config", config)
        assert [one["id"] for one in hubs["hubs"]] == [hub.id.hex()]
        answer = await asyncio.to_thread(told, "check", "Flat 1", "--config", config, status=3)
        assert answer["state"] == "no_link"
        answer = await asyncio.to_thread(told, "check", "Flat 2", "--config", config, status=1)
        assert "Flat 1" in answer["detail"]  # the nearest
        async with session.post(
            where.hub_url + STREAM_PATH, data=hub.heartbeat(is_hello=True, has_header=True)
        ) as held:
            assert held.status == 200
            asking = asyncio.create_task(
                asyncio.to_thread(told, "check", "Flat 1", "--config", config, "--timeout", "20")
            )
            cut = unpacked
            command = None
            buffer = b""
            async with asyncio.timeout(20):
                while command is None:
                    buffer += await held.content.readany()
                    for frame in cut(buffer):
                        message = hub.read(frame)
                        if type(message).__name__ == "Command":
                            command = message.command  # type: ignore[union-attr]
            line = {"id": "software", "result": "ok", "value": "1", "limit": None, "text_key": "software"}
            result = {"version": 1, "started_ms": 1, "took_ms": 2, "lines": [line]}
            async with session.post(where.hub_url + FRAMES_PATH, data=hub.result(command, result)) as answered:
                assert answered.status == 200
            checked = await asking
            assert (checked["state"], checked["result"]["lines"][0]["id"]) == ("answered", "software")
    assert not (home / "admin.sock").exists()


async def test_a_second_central_on_the_same_port_says_which_setting_to_change(config: Path, tmp_path: Path) -> None:
    async with central_running(config) as where:
        port = where.hub_url.rsplit(":", 1)[1]
        words = ("--name", "localhost", "--hub-port", port, "--console-port", "0")
        await asyncio.to_thread(told, "init", "--data", tmp_path / "other", *words)
        status, _, err = await asyncio.to_thread(vaktpost, "run", "--config", tmp_path / "other" / "central.toml")
        assert status == 1
        assert "hubs.port" in err


async def test_nothing_is_lost_or_doubled_when_central_is_killed_between_commit_and_receipt(
    home: Path, config: Path
) -> None:
    """Kill -9 again and again while presses come in; every press that is resent has exactly one effect."""
    async with https(home) as session:
        hub: FrameHub | None = None
        presses = []
        for attempt in range(3):
            async with central_running(config) as where:
                hub = hub or await enrolled(home, where, session)
                batch = [
                    hub.seal("pendant_pressed", device=f"p-{attempt}-{n}", resident=f"r-{attempt:04}{n:02}")
                    for n in range(10)
                ]
                presses += batch
                frames = [hub.envelope(press) for press in batch]

                async def send(frame: bytes, url: str = where.hub_url) -> None:
                    try:
                        async with session.post(url + FRAMES_PATH, data=frame) as answer:
                            await answer.read()
                    except aiohttp.ClientError:
                        pass  # killed meanwhile: nobody knows whether it was committed

                tasks = [asyncio.create_task(send(frame)) for frame in frames]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                await where.kill()
                await asyncio.gather(*tasks)
        assert hub is not None
        async with central_running(config) as where:
            for press in presses:
                async with session.post(where.hub_url + FRAMES_PATH, data=hub.envelope(press)) as answer:
                    assert answer.status == 200
                    receipt = hub.receipt(unpacked(await answer.read()))
            assert (receipt.high, receipt.beyond, receipt.unopened) == (len(presses), (), ())
    with closing(sqlite3.connect(home / "central.db")) as connection:
        alarms = connection.execute(
            "SELECT device, repeats FROM alarm WHERE hub = ? AND queue = 'personal'", (hub.id.hex(),)
        ).fetchall()
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(alarms) == len({device for device, _ in alarms}) == len(presses)
    assert {repeats for _, repeats in alarms} == {0}
    assert (await asyncio.to_thread(told, "verify-log", "--config", config))["ok"]


def test_what_is_nobodys_in_a_home_can_be_forgotten_and_an_unknown_id_is_told(home: Path, config: Path) -> None:
    assert told("people", "forget", "00" * 8, "--config", config, status=1)["reason"] == "hub"
    with closing(sqlite3.connect(home / "central.db")) as database, database:
        database.execute(
            "INSERT INTO hub (id, public_key, suite, enrolled_ms) VALUES ('abababababababab', x'00', 1, 0)"
        )
        database.execute(
            "INSERT INTO resident_key (resident, wrapped, master, made_ms)"
            " VALUES ('hub/abababababababab/0', x'00', '00', 0)"
        )
    assert told("people", "forget", "ab" * 8, "--config", config) == {"ok": True, "keys": 1}
    assert told("people", "forget", "ab" * 8, "--config", config) == {"ok": True, "keys": 0}
