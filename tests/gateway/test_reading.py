"""The settings that the daemon is given by the process that reads them: the same values, and nothing that reads."""

from __future__ import annotations

import enum
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any

import pytest

EVERYTHING = """
[hub]
zone = "Europe/Oslo"
telemetry_commit_s = 1.5

[uplinks.main]
type = "https"
url = "https://central.example.org:8443"

[uplinks.broker]
type = "mqtt"
host = "broker.example.org"
tls = false

[uplinks.sms]
type = "sms"
number = "+47 59 00 00 00"

[modem]
port = "socket://127.0.0.1:4001"

[drivers.radio]
type = "ble"

[[drivers.radio.devices]]
alias = "pendant-1"
address = "a4:c1:38:00:00:01"
key_file = "pendant.key"

[drivers.pins]
type = "gpio"

[[drivers.pins.inputs]]
alias = "cord-bath"
pin = "GPIO17"
kind = "cord"

[drivers.pins.outputs]
red = 5
healthy = 26

[drivers.panel]
type = "espa"
alias = "panel"
port = "listen://127.0.0.1:4002"
role = "control"
allow_from = ["192.0.2.10"]

[[drivers.panel.mapping]]
text = "^ROM (?P<room>\\\\d+)"
value = "call"
device = "room-{room}"

[[devices]]
alias = "pendant-1"
profile = "pendant"
resident = "r-19c04e"

[[devices]]
alias = "cord-bath"
profile = "pull-cord"

[[devices]]
alias = "panel"
profile = "nurse-call"

[[devices]]
alias = "room-*"
profile = "nurse-call"

[indicators]
driver = "pins"

[local_response.pager]
port = "socket://192.0.2.11:4001"
address = "550"

[local_response.on_call]
numbers = ["+4790000000"]

[local_response.voice]
output = "default"
"""


def told(value: Any) -> Any:
    """Everything in it, with the names of classes and, of what is worked out, the results."""
    if isinstance(value, enum.Enum):
        return [type(value).__name__, value.value]
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Mapping):
        return {str(key): told(one) for key, one in value.items()}
    if isinstance(value, frozenset):
        return sorted(told(one) for one in value)
    if isinstance(value, tuple | list):
        return [told(one) for one in value]
    if is_dataclass(value):
        return {each.name: told(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, PurePath) or not hasattr(value, "__dict__"):
        return [type(value).__name__, str(value)]
    worked_out = {name for name, one in vars(type(value)).items() if isinstance(one, property) and name[0] != "_"}
    found = {name: told(getattr(value, name)) for name in {*vars(value), *worked_out} if not name.startswith("model_")}
    return {"class": f"{type(value).__module__}.{type(value).__qualname__}"} | found


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    path = tmp_path / "hub.toml"
    path.write_text(EVERYTHING)
    (tmp_path / "pendant.key").write_text("00" * 16)
    (tmp_path / "pendant.key").chmod(0o600)
    (tmp_path / "state").mkdir()
    return path


def read_as_the_daemon_does(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, __file__, str(path)], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_daemon_holds_what_the_file_says_and_neither_pydantic_nor_the_loader(settings_file: Path) -> None:
    from config import load

    done = read_as_the_daemon_does(settings_file)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["loaded"] == []
    settings = load(settings_file)
    expected = told(settings.model_copy(update={"hash_as_read": settings.config_hash}))
    assert set(expected["drivers"]) == {"radio", "pins", "panel"}
    assert answer["settings"] == json.loads(json.dumps(expected))


def test_a_line_that_is_worked_out_while_running_has_its_defaults(settings_file: Path) -> None:
    from config import load

    answer = json.loads(read_as_the_daemon_does(settings_file).stdout)
    pager: Any = load(settings_file).local_response.pager
    assert answer["line"] == {
        "port": "socket://192.0.2.11:4001",
        "charset": "iso646-no",
        "station": pager.line().station,
        "confirm_timeout_s": pager.line().confirm_timeout_s,
        "optional": pager.line().optional,
    }


def test_the_start_is_counted_where_the_settings_are_read(settings_file: Path) -> None:
    from gateway.safe_mode import Starts

    for _ in range(2):
        assert read_as_the_daemon_does(settings_file).returncode == 0
    assert Starts(settings_file.parent / "state").record.unfinished == 2


def test_settings_that_cannot_be_used_are_told_once_and_end_the_program_with_2(settings_file: Path) -> None:
    settings_file.write_text(EVERYTHING.replace("telemetry_commit_s", "telemetry_comit_s"))
    done = read_as_the_daemon_does(settings_file)
    assert done.returncode == 2
    assert done.stderr.count("there is no key") == 1
    assert 'did you mean "telemetry_commit_s"?' in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_is_ended_is_told_in_words(settings_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("END_THE_READER", "1")
    done = read_as_the_daemon_does(settings_file)
    assert "ended by signal 9" in done.stderr
    assert "ReadingError" in done.stderr


def _main(path: Path) -> None:
    from gateway import reading

    if os.environ.get("END_THE_READER"):
        reading._hand_over = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    settings = reading.start_of(path, meanwhile=lambda: import_module("gateway.launch")).settings
    import gateway.launch

    assert gateway.launch.drivers_of(settings)  # what the daemon makes of them loads nothing either
    pager: Any = settings.local_response.pager
    line = pager.line()
    names = ("port", "charset", "station", "confirm_timeout_s", "optional")
    answer = {
        "loaded": [name for name in sys.modules if name.startswith("pydantic") or name in {"config.loader", "tomllib"}],
        "settings": told(settings),
        "line": {one: getattr(line, one) for one in names},
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
