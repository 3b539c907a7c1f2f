"""The service units and what is installed beside them: systemd understands them, and they stay locked down."""

from __future__ import annotations

import configparser
import re
import subprocess
from pathlib import Path

import pytest

from central import cli as central_cli
from gateway import cli as hub_cli

FOLDER = Path(__file__).parents[2] / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
WORST = 1.8
WORST_OF_HUB = 2.0
"""It needs sound, serial lines and pins, and asks the kernel whether its clock is synchronised: that alone counts 0.6,
although setting the clock takes a capability that the hub has not got."""


def analyze(*words):
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def unit(name):
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(FOLDER / f"vaktpost-{name}.service")
    return parser


def test_every_program_has_one():
    assert [unit.name for unit in UNITS] == [
        "vaktpost-central-audit.service",
        "vaktpost-central.service",
        "vaktpost-hub.service",
    ]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_but_that_it_is_not_installed_here(path):
    said = analyze("verify", "--man=no", str(path)).stderr.splitlines()
    assert [line for line in said if path.name in line and "is not executable" not in line] == []


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_the_exposure_stays_low(path):
    said = analyze("security", "--offline=yes", "--no-pager", str(path)).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", said)
    assert found is not None, said[-500:]
    assert float(found[1]) < (WORST_OF_HUB if path.stem == "vaktpost-hub" else WORST)


@pytest.mark.parametrize("name", ["hub", "central", "central-audit"])
def test_systemd_feeds_on_the_watchdog_and_never_gives_up(name):
    found = unit(name)
    assert found["Service"]["Type"] == "notify"
    assert int(found["Service"]["WatchdogSec"]) > 0
    assert found["Service"]["Restart"] == "always"
    assert found["Unit"]["StartLimitIntervalSec"] == "0"


def test_a_hub_does_not_wait_for_a_network():
    assert "network" not in unit("hub")["Unit"]["After"]


def test_the_count_of_starts_survives_a_restart_and_not_a_boot():
    assert unit("hub")["Service"]["RuntimeDirectoryPreserve"] == "restart"


def test_units_and_command_line_agree_on_where_things_lie():
    command = unit("central")["Service"]["ExecStart"]
    assert "--config" not in command
    state = Path("/var/lib") / unit("central")["Service"]["StateDirectory"]
    assert state / "central.toml" == central_cli.DEFAULT_CONFIG
    assert unit("hub")["Service"]["ExecStart"].endswith(f"--config {hub_cli.DEFAULT_CONFIG}")


def test_users_and_folders_are_made_for_whom_the_units_name():
    users = set(re.findall(r"^u (\S+)", (FOLDER / "vaktpost.sysusers").read_text(), re.MULTILINE))
    groups = set(re.findall(r"^g (\S+)", (FOLDER / "vaktpost.sysusers").read_text(), re.MULTILINE))
    folders = dict(
        re.findall(r"^d\s+(/var/lib/\S+)\s+0700\s+(\S+)", (FOLDER / "vaktpost.tmpfiles").read_text(), re.MULTILINE)
    )
    for name in ("hub", "central"):
        service = unit(name)["Service"]
        assert service["User"] in users
        assert set(service.get("SupplementaryGroups", "").split()) <= groups
        assert folders[f"/var/lib/{service['StateDirectory']}"] == service["User"]


@pytest.mark.parametrize(("tool", "file"), [("sysusers", "vaktpost.sysusers"), ("tmpfiles", "vaktpost.tmpfiles")])
def test_systemd_takes_the_lists(tool, file, tmp_path):
    (tmp_path / "etc").mkdir()
    # Users first: the folders are theirs.
    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", str(FOLDER / "vaktpost.sysusers")], check=True, timeout=20
    )
    words = ["--clean"] if tool == "tmpfiles" else []  # reads all of it, and needs no privilege
    done = subprocess.run(
        [f"systemd-{tool}", f"--root={tmp_path}", *words, str(FOLDER / file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert not re.search(r"invalid|unknown|fail|ignor", done.stderr, re.IGNORECASE), done.stderr
    assert "vaktpost-hub" in (tmp_path / "etc" / "passwd").read_text()


def test_every_line_of_the_udev_rules_sets_something_and_every_word_is_closed():
    text = (FOLDER / "vaktpost.udev.rules").read_text().replace("\\\n", " ")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert rules
    word = re.compile(r'^[A-Z_]+(\{[^}]+\})?\s*(==|!=|=|\+=|:=)\s*"[^"]*"$')
    for rule in rules:
        parts = [part.strip() for part in re.split(r",\s+(?=[A-Z])", rule)]
        assert [part for part in parts if not word.match(part)] == []
        assert re.search(r"(?<![=!+])=(?!=)|\+=", re.sub(r'"[^"]*"', "", rule)), rule


def test_polkit_lets_one_user_restart_one_service():
    text = (FOLDER / "vaktpost.polkit.js").read_text()
    for word in ('"bluetooth.service"', '"restart"', f'"{unit("hub")["Service"]["User"]}"', "polkit.Result.YES"):
        assert word in text


def test_the_auditor_neither_waits_for_central_nor_goes_with_it():
    section = unit("central-audit")["Unit"]
    assert "vaktpost-central" not in " ".join(section.values()).replace("central is not", "")
    assert not {"Requires", "BindsTo", "PartOf"} & set(section)
