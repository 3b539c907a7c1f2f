"""Every word the console says, in English and Norwegian bokmål: read once from texts/*.toml.

A text is found by `section.key`; `{n}` and other names in braces are filled in. A text about a number has a form for
one and a form for others (`key_one`, `key_other`). A missing key is an error of ours, and raises KeyError.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

LANGUAGES = ("nb", "en")
TEXTS = Path(__file__).parent / "texts"

SCRIPT_SECTIONS = ("live", "toast", "queue", "duty", "close", "lamp", "conflict", "time", "rank")
"""What the scripts in the page need to say."""

_PLACE = re.compile(r"\{(\w+)\}")


@cache
def texts() -> Mapping[str, Mapping[str, Any]]:
    """All texts: key → language → a sentence, or a list of them. Raises ValueError when the files are at odds."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(TEXTS.glob("*.toml")):
        for section, entries in tomllib.loads(path.read_text("utf-8")).items():
            for key, entry in entries.items():
                name = f"{section}.{key}"
                if name in found or set(entry) != set(LANGUAGES):
                    raise ValueError(f"{path.name}: {name} must stand once, with {' and '.join(LANGUAGES)}")
                found[name] = entry
    return found


def places(text: str) -> set[str]:
    """The names in braces of a text."""
    return set(_PLACE.findall(text))


class Words:
    """The catalogue in one language."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"there is no catalogue for {language!r}, only for {', '.join(LANGUAGES)}")
        self.language = language
        self._texts = texts()

    def __call__(self, key: str, **values: object) -> str:
        """One text, filled in."""
        return _fill(str(self._texts[key][self.language]), values)

    def count(self, key: str, n: int, **values: object) -> str:
        """The form of a text for one or for others."""
        return self(f"{key}_{'one' if n == 1 else 'other'}", n=n, **values)

    def lines(self, key: str) -> tuple[str, ...]:
        """A text that is a list, such as the steps of a routine card."""
        return tuple(self._texts[key][self.language])

    def has(self, key: str) -> bool:
        """Whether there is such a text: for words that come from hubs of another version."""
        return key in self._texts

    def either(self, key: str, fallback: str, **values: object) -> str:
        """The text, or the fallback when a hub or a newer central uses a word we do not know."""
        return self(key, **values) if key in self._texts else fallback

    def for_scripts(self) -> dict[str, str]:
        """What goes into the page for its scripts."""
        return {
            key: entry[self.language] for key, entry in self._texts.items() if key.split(".", 1)[0] in SCRIPT_SECTIONS
        }


def _fill(text: str, values: Mapping[str, object]) -> str:
    return _PLACE.sub(lambda match: str(values[match[1]]), text)


@cache
def words(language: str) -> Words:
    """The catalogue in this language, one instance each."""
    return Words(language)


def language_from(*wishes: str | None, accept: str = "", default: str = "nb") -> str:
    """The first wish that there is a catalogue for (account, cookie), then the browser's, then the default."""
    for wish in wishes:
        if wish in LANGUAGES:
            return wish
    for language in _accepted(accept):
        if language in LANGUAGES:
            return language
        if language in {"no", "nn", "da", "sv"}:  # neighbours read bokmål more easily than English
            return "nb"
    return default if default in LANGUAGES else LANGUAGES[0]


def _accepted(header: str) -> list[str]:
    weighed = []
    for place, part in enumerate(header[:400].split(",")):
        tag, _, parameters = part.strip().partition(";")
        match = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameters) if parameters else None
        weight = float(match[1]) if match else 1.0
        if weight > 0:
            weighed.append((-weight, place, tag.split("-")[0].lower()))
    return [tag for _, _, tag in sorted(weighed)]
