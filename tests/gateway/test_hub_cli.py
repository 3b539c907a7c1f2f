from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud_sync import sd_notify, signing
from cloud_sync.trust import EnrolmentCode
from drivers.errors import PermanentDriverError
from gateway import cli, enrol, identity_store, log, start
from gateway.drivers_host import DriverState
from gateway.enrol import EnrolmentError

if TYPE_CHECKING:
    from tests.gateway.conftest import Central, HubUnderTest  # type: ignore[import-not-found]
else:
    Central = HubUnderTest = Any

SETTINGS = """
[uplinks.main]
type = "https"
url = "https://127.0.0.1:9"

[drivers.radio]
type = "ble"

[[drivers.radio.devices]]
alias = "climate-1"
address = "A4:C1:38:00:00:02"

[[devices]]
alias = "climate-1"
profile = "thermometer"
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "hub.toml"
    path.write_text(SETTINGS)
    return str(path)


def test_a_wrong_word_is_answered_with_the_nearest_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["stauts"])
    assert ended.value.code == 2
    assert 'did you mean "status"?' in capsys.readouterr().err


def test_good_settings_are_called_good_with_their_fingerprint(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", "--config", config]) == 0
    shown = capsys.readouterr().out
    assert "good" in shown
    assert "1 path, 1 driver, 1 device" in shown
    assert cli.main(["check-config", "--config", config, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert told["config_hash"] in shown


def test_bad_settings_are_named_with_file_key_and_the_right_word(
    config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(config).write_text(SETTINGS.replace('profile = "thermometer"', 'profile = "termometer"'))
    assert cli.main(["check-config", "--config", config]) == 2
    shown = capsys.readouterr().out
    assert "devices[0].profile" in shown
    assert "thermometer" in shown
    with pytest.raises(SystemExit) as ended:
        cli.main(["status", "--config", config])
    assert ended.value.code == 2


def test_a_hub_that_does_not_run_says_so_and_what_to_do(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--config", config]) == 1
    shown = capsys.readouterr().out
    assert "does NOT run" in shown
    assert "vaktpost hub enrol" in shown
    assert cli.main(["status", "--config", config, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["is_running"], told["is_enrolled"]) == (False, False)


async def test_a_hub_that_runs_on_its_last_good_settings_can_be_asked_how_it_is(home: HubUnderTest) -> None:
    async def said(*words: str) -> tuple[int | None, bytes, bytes]:
        command = (sys.executable, "-m", "vaktpost", "hub", *words, "--config", str(config))
        asking = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = await asyncio.wait_for(asking.communicate(), 60)
        return asking.returncode, out, err

    async with home.running():
        config = home.folder / "hub.toml"
        (home.state_dir / start.LAST_GOOD).write_text(config.read_text())
        config.write_text(config.read_text().replace("[uplinks", "[uplingks"))
        status, out, _ = await said("status", "--json")
        assert (status, json.loads(out)["is_running"]) == (0, True)
        assert json.loads((await said("self-test", "--json"))[1])["state"] == "answered"
        assert b"does not wait to be tried again" in (await said("retry-driver", "buttons"))[1]
        assert (await said("journal"))[0] == 0
    assert (await said("check-config"))[0] == 2, "what is wrong is told by whoever is asked that"


def test_a_hub_that_is_not_enrolled_does_not_start(
    config: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "")  # put back what `run` sets
    monkeypatch.setenv("SSL_CERT_DIR", "")
    monkeypatch.setattr(log, "configure", lambda **_: None)
    assert cli.main(["run", "--config", config]) == 1
    assert "vaktpost hub enrol --central URL CODE" in capsys.readouterr().err


async def test_a_code_that_was_mistyped_is_not_even_tried(tmp_path: Path, central: Central) -> None:
    code = str(EnrolmentCode.generate(signing.raw_public(central.root.public_key())))
    swapped = code[1] + code[0] + code[2:] if code[0] != code[1] else "7" + code[1:]
    with pytest.raises(EnrolmentError, match="changed places"):
        enrol.enrol(tmp_path, "https://127.0.0.1:9", swapped, software="test")
    with pytest.raises(EnrolmentError, match="40 letters"):
        enrol.enrol(tmp_path, "https://127.0.0.1:9", code[:-3], software="test")


@pytest.mark.parametrize(
    "address", ["http://central:8443", "https://central:8443/hub", "https://central:99999", "ftp:x"]
)
async def test_an_address_that_cannot_be_centrals_is_refused_with_an_example(
    tmp_path: Path, central: Central, address: str
) -> None:
    code = str(EnrolmentCode.generate(signing.raw_public(central.root.public_key())))
    with pytest.raises(EnrolmentError, match=r"https://central\.example\.org:8443"):
        enrol.enrol(tmp_path, address, code, software="test")


async def test_an_enrolled_hub_keeps_its_identity_and_the_code_stays_unused(tmp_path: Path, central: Central) -> None:
    identity_store.store(tmp_path, central.identity())
    code = str(EnrolmentCode.generate(signing.raw_public(central.root.public_key())))
    with pytest.raises(EnrolmentError, match="--replace"):
        enrol.enrol(tmp_path, "https://127.0.0.1:9", code, software="test")


async def test_a_central_that_cannot_be_reached_is_named(tmp_path: Path, central: Central) -> None:
    code = str(EnrolmentCode.generate(signing.raw_public(central.root.public_key())))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        with pytest.raises(EnrolmentError, match=f"https://127.0.0.1:{port} cannot be reached"):
            enrol.enrol(tmp_path, f"127.0.0.1:{port}", code, software="test")


def test_systemd_is_told_when_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert sd_notify.notify("READY=1") is False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert sd_notify.notify("READY=1") is True
        assert manager.recv(100) == b"READY=1"
    (tmp_path / "notify").unlink()
    assert sd_notify.notify("WATCHDOG=1") is False


def test_the_watchdog_is_fed_twice_as_often_as_systemd_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert sd_notify.watchdog_interval_s() == 5.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert sd_notify.watchdog_interval_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "junk")
    assert sd_notify.watchdog_interval_s() is None


async def _on_the_command_line(home: HubUnderTest, *words: str) -> int:
    config = home.folder / "hub.toml"
    return await asyncio.to_thread(cli.main, [*words, "--config", str(config)])


async def test_a_driver_that_waits_after_a_failure_is_tried_again_at_once(
    home: HubUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    async with home.running() as hub:
        (hosted,) = hub.drivers.hosted
        home.button.told.put_nowait(PermanentDriverError("the radio is missing"))
        async with asyncio.timeout(10):
            while hosted.retry_boot_s is None:
                await asyncio.sleep(0.01)
        assert home.button.opened == 1
        assert await _on_the_command_line(home, "retry-driver", "buttons") == 0
        assert "buttons is tried again now" in capsys.readouterr().out
        async with asyncio.timeout(10):
            while home.button.opened < 2:
                await asyncio.sleep(0.01)


async def test_a_driver_that_runs_is_left_alone_and_that_is_said(
    home: HubUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    async with home.running():
        assert await _on_the_command_line(home, "retry-driver", "buttons") == 0
        assert "it is running" in capsys.readouterr().out
        assert await _on_the_command_line(home, "retry-driver", "buttons", "--json") == 0
        told = json.loads(capsys.readouterr().out)
    assert told == {"driver": "buttons", "state": "running", "is_tried_again": False}
    assert home.button.opened == 1


async def test_a_driver_that_is_not_there_is_answered_with_the_nearest_one(
    home: HubUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    async with home.running():
        assert await _on_the_command_line(home, "retry-driver", "botton") == 1
    assert 'there is no driver "botton"; did you mean "buttons"?' in capsys.readouterr().err


async def test_a_driver_that_hangs_is_told_apart_because_only_a_restart_helps(
    home: HubUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    async with home.running() as hub:
        hub.drivers.hosted[0].state = DriverState.HUNG
        assert await _on_the_command_line(home, "retry-driver", "buttons") == 1
    assert "systemctl restart vaktpost-hub" in capsys.readouterr().out
