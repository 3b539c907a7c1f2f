"""The pages for people: links lead somewhere, commands and settings exist, tables and figures are the code's."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from pydantic import BaseModel

import config
import vaktpost
from central import lifecycle, presence, replies
from central.cli import main as central_main
from central.console.roles import ALLOWED, Action, Role
from central.console.sessions import IDLE_MS
from central.settings import (
    CentralSettings,
    ConsoleSettings,
    DatabaseSettings,
    HubListenerSettings,
    MqttSettings,
    SmsSettings,
    load,
)
from config.local_response import LocalResponseSection

ROOT = Path(__file__).resolve().parents[2]
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)|<img[^>]* src=\"([^\"]+)\"")
_FENCE = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_IGNORED = {"node_modules", "build", "egg-info"}


def pages() -> list[Path]:
    """Every page in the repository."""
    found = [
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in _IGNORED for part in path.relative_to(ROOT).parts)
    ]
    return sorted(found)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


DOCS = [path for path in pages() if path.parent == ROOT or ROOT / "docs" in path.parents]
"""The pages that are written for people outside."""


def anchors(text: str) -> set[str]:
    """The names that headings have on the web."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        found.add(slug if slug not in found else f"{slug}-{sum(one.startswith(slug) for one in found)}")
    return found


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    broken = []
    for match in _LINK.finditer(_FENCE.sub("", text)):
        target = unquote(match[1] or match[2])
        if _ELSEWHERE.match(target):
            continue
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists():
            broken.append(f"{target}: there is no {other}")
        elif anchor and other.suffix == ".md" and anchor not in anchors(other.read_text(encoding="utf-8")):
            broken.append(f"{target}: there is no such heading")
    assert broken == []


# commands


@dataclass(frozen=True)
class Command:
    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def _commands() -> Iterator[Command]:
    for page in DOCS:
        text = page.read_text(encoding="utf-8")
        lines = [line.strip() for _, block in _FENCE.findall(text) for line in block.splitlines()]
        lines += re.findall(r"`(vaktpost [^`]+)`", _FENCE.sub("", text))
        for line in lines:
            found = re.match(r"(?:sudo (?:-u \S+ )?)?(?:\S*/)?(vaktpost .*)", line)
            if found is None or "…" in line:
                continue
            words = shlex.split(found[1], comments=True)[1:]
            end = next((n for n, word in enumerate(words) if word in {"|", ">", "&&", "\\"}), len(words))
            yield Command(named(page), tuple(words[:end]))


COMMANDS = sorted(set(_commands()), key=str)


def help_of(words: tuple[str, ...]) -> str:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            status = vaktpost.main([*words, "--help"])
        except SystemExit as ended:
            status = int(ended.code or 0)
    assert status == 0, told.getvalue()
    return told.getvalue()


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_in_the_docs_is_one_that_exists_with_these_options(command: Command) -> None:
    words = tuple(word for word in command.words if word not in {"--help", "--version"})
    if not words:
        return
    told = help_of(words)
    for word in words:
        if word.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", told), f"{word} is no option of it:\n{told}"


def test_the_docs_name_commands_at_all() -> None:
    words = {command.words[:2] for command in COMMANDS}
    assert {("central", "init"), ("central", "code"), ("hub", "enrol"), ("hub", "self-test")} <= words


# settings


def _toml() -> Iterator[tuple[str, str]]:
    for page in DOCS:
        for n, (language, block) in enumerate(_FENCE.findall(page.read_text(encoding="utf-8"))):
            if language == "toml":
                yield f"{named(page)}-{n}", block


TOML = dict(_toml())
_CENTRAL = {
    *("mqtt", "sms", "hubs", "console", "database", "data_dir", "master_key"),
    *("email", "channels", "notify", "call_out", "audit"),
}
_LEAST = {
    "hub": "[hub]\n",
    "uplinks": '[uplinks.main]\ntype = "https"\nurl = "https://central.example.org:8443"\n',
    "devices": "",
}


@pytest.mark.parametrize("name", TOML)
def test_example_settings_in_the_docs_load(name: str, tmp_path: Path) -> None:
    block = TOML[name]
    tables = tomllib.loads(block)
    if "project" in tables:
        return  # a piece of pyproject.toml
    if set(tables) <= _CENTRAL:
        path = tmp_path / "central.toml"
        path.write_text(block, encoding="utf-8")
        load(path)
        return
    path = tmp_path / "hub.toml"
    path.write_text("\n".join([block, *(text for key, text in _LEAST.items() if key not in tables)]), encoding="utf-8")
    for other in re.findall(r'_file = "([^"]+)"', block):
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_text("00112233445566778899aabbccddeeff")
    errors = [problem for problem in config.check(path).problems if problem.severity == "error"]
    assert errors == []


def test_there_are_examples_of_settings_on_the_pages_of_all_drivers() -> None:
    assert {f"docs/drivers/{name}.md" for name in ("ble", "gpio", "espa")} <= {name.rpartition("-")[0] for name in TOML}


def test_the_page_for_administrators_names_every_setting_of_central() -> None:
    text = (ROOT / "docs/administrators/README.md").read_text(encoding="utf-8")
    sections: dict[str, type[BaseModel]] = {
        "database": DatabaseSettings,
        "hubs": HubListenerSettings,
        "console": ConsoleSettings,
    }
    wanted = {name for name in CentralSettings.model_fields if name not in {"source", "mqtt", "sms", *sections}}
    wanted |= {f"{section}.{name}" for section, model in sections.items() for name in model.model_fields}
    table = text[text.index("## `central.toml`") : text.index("## TLS for the console")]
    assert set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)?)`", table)) >= wanted
    broker = text[text.index("## A broker") :]
    assert [name for name in MqttSettings.model_fields if name != "tls" and name not in broker] == []
    texts = text[text.index("## Alarms by SMS") :]
    assert [name for name in SmsSettings.model_fields if name not in texts] == []


# tables and figures


def test_the_table_of_roles_is_the_one_in_the_code() -> None:
    text = (ROOT / "docs/administrators/README.md").read_text(encoding="utf-8")
    head = re.search(r"^\| may \| (.*) \|$", text, re.MULTILINE)
    assert head is not None
    roles = [Role(word) for word in head[1].split(" | ")]
    told: dict[Action, frozenset[Role]] = {}
    for action, cells in re.findall(r"^\| .*\(`(\w+)`\) \| (.*)\|$", text, re.MULTILINE):
        marks = [cell.strip() for cell in cells.split("|")]
        told[Action(action)] = frozenset(role for role, mark in zip(roles, marks, strict=True) if mark == "yes")
    assert told == {action: who for action, who in ALLOWED.items() if action is not Action.SIGNED_IN}


_LOCAL = LocalResponseSection()
_CONSOLE = ConsoleSettings()
FIGURES = [
    ("responders", "for 90 seconds without a sign of that window", lifecycle.LEASE_MS, 90_000),
    ("responders", "on the way, for 30 minutes", lifecycle.VISIT_MS, 30 * 60_000),
    ("responders", "**Undo** (`Z`) for ten seconds", lifecycle.UNDO_MS, 10_000),
    ("responders", "nobody confirms it for 90 seconds", replies.VALID_MS, 90_000),
    ("responders", "has not got through within 15 seconds", _LOCAL.after_no_receipt_s, 15),
    ("responders", "silent for ten minutes", presence.SILENT_S, 600),
    ("technicians", "nothing for ten minutes", presence.SILENT_S, 600),
    ("technicians", "*late* after 90 seconds", presence.LATE_S, 90),
    ("responders", "After 120 seconds without anybody", _LOCAL.after_no_claim_s, 120),
    ("installers", "after 15 seconds the buzzer", _LOCAL.after_no_receipt_s, 15),
    ("administrators", "works once, for 15 minutes", _CONSOLE.login_link_minutes, 15),
    ("administrators", "ends after 12 hours", _CONSOLE.session_hours, 12),
    ("administrators", "one hour after the last page was open", IDLE_MS, 3_600_000),
]


@pytest.mark.parametrize(("page", "said", "value", "expected"), FIGURES, ids=[said for _, said, *_ in FIGURES])
def test_a_figure_on_a_page_is_the_one_in_the_code(page: str, said: str, value: float, expected: float) -> None:
    assert said in " ".join((ROOT / "docs" / page / "README.md").read_text(encoding="utf-8").split())
    assert value == expected


def test_a_code_is_good_for_as_long_as_the_installers_page_says(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        central_main(["code", "--help"])
    hours = re.search(r"default: (\d+)\)", capsys.readouterr().out.partition("--hours")[2])
    assert hours is not None
    assert f"one hub and {hours[1]} hours" in (ROOT / "docs/installers/README.md").read_text(encoding="utf-8")


def test_the_console_is_lost_after_as_long_as_the_responders_page_says() -> None:
    worker = (ROOT / "central/console/static/js/feed-worker.js").read_text(encoding="utf-8")
    assert "LOST_AFTER_MS = 12_000" in worker
    assert "After twelve seconds" in (ROOT / "docs/responders/README.md").read_text(encoding="utf-8")


def test_every_picture_is_shown_somewhere() -> None:
    shown = "\n".join(page.read_text(encoding="utf-8") for page in DOCS)
    assert [path.name for path in (ROOT / "docs/pictures").glob("*.png") if path.name not in shown] == []
