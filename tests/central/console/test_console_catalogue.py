"""Every word stands in the catalogue, in both languages, and nowhere else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from central.alarms.calling import CALLED, RESULTS
from central.console import catalogue, rendering
from central.console.catalogue import LANGUAGES, SCRIPT_SECTIONS, Words, language_from, places, texts, words
from central.console.passwords import MIN_LENGTH
from central.console.problems import PAGE_CODES
from central.console.roles import Role
from central.lifecycle import (
    CENTRAL_KINDS,
    TECHNICAL_OUTCOMES,
    DispatchState,
    Disposition,
    KindOfHelp,
)
from central.routines.outcomes import shipped
from cloud_sync.vocabulary import KINDS

CONSOLE = Path(catalogue.__file__).parent
TEMPLATES = sorted(rendering.TEMPLATES.glob("*.html"))
SCRIPTS = sorted((CONSOLE / "static" / "js").glob("*.js"))


def both(key: str) -> list[object]:
    return [texts()[key][language] for language in LANGUAGES]


def test_both_languages_have_every_text_and_fill_in_the_same_places() -> None:
    for key, entry in texts().items():
        nb, en = (entry[language] for language in LANGUAGES)
        assert type(nb) is type(en), key
        if isinstance(nb, list):
            assert len(nb) == len(en) > 0, key
        else:
            assert nb, key
            assert en, key
            assert places(nb) == places(en), key


def test_every_kind_of_alarm_has_a_title_and_those_for_people_a_routine_card() -> None:
    for kind in (*KINDS, *CENTRAL_KINDS.values()):
        assert f"kind.{kind.word}" in texts(), kind.word
        if kind.rank <= 3:
            assert 2 <= len(words("nb").lines(f"card.{kind.word}")) <= 6


def test_all_that_can_be_chosen_and_all_that_can_go_wrong_has_words() -> None:
    wanted = [f"disposition.{word}" for word in Disposition]
    wanted += [f"outcome.{word}" for word in (*(one.code for one in shipped().outcomes), *TECHNICAL_OUTCOMES)]
    wanted += [f"help.{word}" for word in KindOfHelp]
    wanted += [f"dispatch.state_{state}" for state in DispatchState]
    wanted += [f"call.{word}" for word in (*CALLED, *RESULTS)]
    wanted += [f"role.{role}" for role in Role]
    wanted += [f"error.e{code}_{part}" for code in PAGE_CODES for part in ("title", "text")]
    wanted += [f"rank.r{rank}" for rank in range(7)]
    assert not [key for key in wanted if key not in texts()]
    assert all(str(MIN_LENGTH) in str(text) for text in both("password.text"))


def test_every_word_the_event_log_uses_has_a_text() -> None:
    written = set()
    for path in (CONSOLE.parent).rglob("*.py"):
        source = path.read_text()
        written |= set(re.findall(r"event_log\.append\(\s*connection,\s*now,\s*\"(\w+)\"", source))
        written |= set(re.findall(r"log_act\(\s*visit,\s*\"(\w+)\"", source))
        written |= set(re.findall(r"\bDone\(\s*\"(\w+)\"", source))
        for pair in re.findall(r"\"(\w+)\" if repeats else \"(\w+)\"", source):
            written |= set(pair) - {"repeat"}  # what joins an event to an alarm is not in the log
    written |= {f"dispatch_{state}" for state in DispatchState}
    assert {"raised", "claimed", "shown", "account_added", "returned", "hub_enrolled"} <= written
    own_trip = {"on_the_way", "on_site", "accepted", "declined", "done", "cancelled"}
    assert not [word for word in written | own_trip if f"what.{word}" not in texts()]


def test_what_the_event_log_says_asks_only_for_what_its_pages_know() -> None:
    known = {"name", "kind", "n", "channel"}
    asked = {key: set(re.findall(r"\{(\w+)\}", str(text))) for key, text in texts().items()}
    assert not [key for key, places in asked.items() if key.startswith(("what.", "what_you.")) and not places <= known]


def test_a_text_about_a_number_has_a_form_for_one_and_for_others() -> None:
    ones = {key.removesuffix("_one") for key in texts() if key.endswith("_one")}
    others = {key.removesuffix("_other") for key in texts() if key.endswith("_other") and key != "alarm.hidden_other"}
    assert ones <= others
    assert words("nb").count("queue.new_above", 1) == "1 ny over"
    assert words("nb").count("queue.new_above", 3) == "3 nye over"


class _Texts(HTMLParser):
    """What a person would read, hear or see as a hint."""

    SPOKEN = frozenset({"alt", "title", "placeholder", "aria-label", "label", "summary"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_data = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_data = tag in {"script", "style"}
        self.found += [value for name, value in attrs if name in self.SPOKEN and value]

    def handle_endtag(self, _tag: str) -> None:
        self._in_data = False

    def handle_data(self, text: str) -> None:
        if not self._in_data:
            self.found.append(text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_of_its_own(path: Path) -> None:
    source = re.sub(r"\{% block (script|body_class|body_data) %\}.*?\{% endblock %\}", "", path.read_text())
    source = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", "", source, flags=re.DOTALL)
    parser = _Texts()
    parser.feed(source)
    said = [text.strip() for text in parser.found if re.search(r"[A-Za-zÆØÅæøå]{2,}", text)]
    assert not said


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_carries_a_style_or_a_script_of_its_own(path: Path) -> None:
    source = path.read_text()
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|hx-on|javascript:", source)
    assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", source))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_says_anything_of_its_own(path: Path) -> None:
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
    said = re.findall(
        r"(?:textContent|innerText|title|placeholder)\s*=\s*['\"`]([^'\"`$]*[A-Za-zÆØÅæøå]{2,}[^'\"`]*)", code
    )
    said += re.findall(r"(?:say|alert|confirm|prompt)\(\s*['\"`]", code)
    assert not said
    assert "innerHTML" not in code
    assert "eval(" not in code


def test_every_key_that_templates_code_and_scripts_ask_for_exists() -> None:
    asked = set()
    for path in (*TEMPLATES, *sorted(CONSOLE.glob("*.py"))):
        asked |= set(
            re.findall(
                r"\bt(?:\.words)?(?:\.count|\.lines)?\(\s*[\"']([a-z_]+\.[a-z0-9_]+)[\"'](?! ~)", path.read_text()
            )
        )
        asked |= set(re.findall(r"visit\.words(?:\.count)?\(\s*\"([a-z_]+\.[a-z0-9_]+)\"", path.read_text()))
    assert len(asked) > 150
    assert not [key for key in asked if key not in texts() and f"{key}_one" not in texts()]
    for path in SCRIPTS:
        for key in re.findall(r"\b(?:t|count)\('([a-z_]+\.[a-z0-9_]+)'", path.read_text()):
            assert key.split(".", 1)[0] in SCRIPT_SECTIONS, key
            assert key in texts() or f"{key}_one" in texts(), key


@pytest.mark.parametrize(
    ("wishes", "accept", "found"),
    [
        (("en", "nb"), "nb", "en"),  # the account
        ((None, "en"), "nb", "en"),  # the cookie
        ((None, None), "en-GB,en;q=0.9,nb;q=0.8", "en"),
        ((None, None), "nb-NO,nb;q=0.9,en;q=0.8", "nb"),
        ((None, None), "nn-NO,en;q=0.4", "nb"),
        ((None, None), "de,en;q=0.5,nb;q=0.7", "nb"),
        ((None, None), "en;q=0,fr", "nb"),
        ((None, None), "", "nb"),
        (("xx", "../../etc"), "fr;q=x", "nb"),
    ],
)
def test_the_language_is_the_accounts_then_the_cookies_then_the_browsers_then_centrals(
    wishes: tuple[str | None, ...], accept: str, found: str
) -> None:
    assert language_from(*wishes, accept=accept, default="nb") == found


def test_a_missing_key_is_an_error_of_ours_and_a_foreign_word_is_not() -> None:
    with pytest.raises(KeyError):
        words("nb")("queue.no_such_text")
    assert words("nb").either("kind.from_the_future", "from_the_future") == "from_the_future"
    with pytest.raises(ValueError, match="nn"):
        Words("nn")
