"""A technician who is the wrong user, and files that another version wrote: told in words, with what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sync import signing
from cloud_sync.trust import EnrolmentCode
from gateway import identity_store
from gateway.identity_store import IdentityError

if TYPE_CHECKING:
    from tests.gateway.conftest import Central  # type: ignore[import-not-found]
else:
    Central = Any

NOBODY = 65534
IS_ROOT = os.geteuid() == 0
AS_SOMEBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if IS_ROOT else ()
LIMIT_S = 60
SETTINGS = """
[hub]
state_dir = "state"

[uplinks.main]
type = "https"
url = "https://127.0.0.1:9"

[modem]
port = "/dev/ttyUSB0"
pin_file = "closed/sim.pin"

[drivers.radio]
type = "ble"

[[drivers.radio.devices]]
alias = "climate-1"
address = "A4:C1:38:00:00:02"
key_file = "closed/climate-1.key"

[[devices]]
alias = "climate-1"
profile = "thermometer"
"""


@pytest.fixture
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="vp-"))  # pytest's own folders are closed to everybody else
    folder.chmod(0o755)
    (folder / "hub.toml").write_text(SETTINGS)
    (folder / "closed").mkdir()
    (folder / "closed" / "climate-1.key").write_text("00" * 16)
    (folder / "closed" / "sim.pin").write_text("1234")
    (folder / "state").mkdir()
    yield folder
    for below in ("closed", "closed/in", "state"):
        if (folder / below).exists():
            (folder / below).chmod(0o700)
    shutil.rmtree(folder)


def close(*those: Path) -> None:
    """Nobody but its owner, root, may use it; without root nobody at all."""
    for one in those:
        one.chmod(0o700 if IS_ROOT else 0)


def say(place: Path, *words: str) -> tuple[int, str]:
    """What somebody else is told who types these words after `vaktpost hub`."""
    command = [*AS_SOMEBODY, sys.executable, "-m", "vaktpost", "hub", *words, "--config", str(place / "hub.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)  # ours
    return done.returncode, done.stdout + done.stderr


def code() -> str:
    return str(EnrolmentCode.generate(signing.raw_public(Ed25519PrivateKey.generate().public_key())))


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("status",),
        ("journal",),
        ("journal", "--records"),
        ("self-test",),
        ("self-test", "--local"),
        ("retry-driver", "radio"),
        ("enrol", "--central", "https://127.0.0.1:1", "CODE"),
    ],
    ids=" ".join,
)
def test_a_state_folder_that_is_not_for_this_user_is_told_with_what_to_do(place: Path, words: tuple[str, ...]) -> None:
    close(place / "state")
    status, told = say(place, *(code() if word == "CODE" else word for word in words))
    assert "sudo" in told
    assert "Traceback" not in told
    assert status in {1, 3}


def test_files_that_this_user_may_not_read_are_named_with_what_to_do(place: Path) -> None:
    close(place / "closed")
    status, told = say(place, "check-config", "--json")
    found = {each["key"]: each["message"] for each in json.loads(told)["problems"] if each["severity"] == "error"}
    assert set(found) == {"drivers.radio.devices[0].key_file", "modem.pin_file"}
    assert all("may not be read by this user" in each for each in found.values())
    assert status == 2


def test_a_folder_that_may_not_be_looked_into_ends_no_search_for_the_right_name(place: Path) -> None:
    (place / "closed" / "in").mkdir()
    close(place / "closed" / "in")
    (place / "hub.toml").write_text(SETTINGS.replace('"closed/climate-1.key"', '"closed/im/climate-1.key"'))
    status, told = say(place, "check-config")
    assert "there is no file" in told
    assert "Traceback" not in told
    assert status == 2


@pytest.mark.parametrize("word", ["run", "status", "check-config"])
def test_settings_that_are_not_for_this_user_are_refused_in_words(place: Path, word: str) -> None:
    (place / "hub.toml").chmod(0o600 if IS_ROOT else 0)
    close(place / "state")
    status, told = say(place, word)
    assert "hub.toml: cannot be read: Permission denied" in told
    assert "Traceback" not in told
    assert status == 2


async def test_an_identity_of_a_newer_program_is_not_called_damaged(tmp_path: Path, central: Central) -> None:
    identity_store.store(tmp_path, central.identity())
    facts = tmp_path / "identity" / "hub.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "version": 2, "colour": "red"}))
    with pytest.raises(IdentityError, match="newer version") as refused:
        identity_store.load(tmp_path)
    assert "--replace" not in str(refused.value), "that would give up an identity that is whole"
