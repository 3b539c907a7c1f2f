"""A health check in words, English or Norwegian bokmål: the same at the hub, in the console and in a terminal.

Read once from `texts/health.toml`, which the console's catalogue takes in as well.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cloud_sync.health import Bound, HealthLine, Outcome
from cloud_sync.vocabulary import Scalar

FILE = Path(__file__).parent / "texts" / "health.toml"
LANGUAGES = ("nb", "en")
NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

_PLACE = re.compile(r"\{(\w+)\}")
_SPANS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """`section.key` → language → sentence."""
    read = tomllib.loads(FILE.read_text("utf-8"))
    return {f"{section}.{key}": entry for section, entries in read.items() for key, entry in entries.items()}


@dataclass(frozen=True, slots=True)
class HealthWords:
    """The texts in one language."""

    language: str

    def __post_init__(self) -> None:
        """Raises ValueError for a language that there is no catalogue for."""
        if self.language not in LANGUAGES:
            raise ValueError(f"there is no catalogue for {self.language!r}, only for {' and '.join(LANGUAGES)}")

    def say(self, key: str, /, **values: object) -> str:
        """One text, filled in. A key of a newer version says nothing; a place without a value shows a dash."""
        entry = texts().get(key)
        if entry is None:
            return ""
        return _PLACE.sub(lambda match: str(values.get(match[1], NOTHING)), entry[self.language])

    def result(self, outcome: Outcome) -> str:
        """The word for how a line came out."""
        return self.say(f"health_result.{outcome.value}")

    def what(self, line: HealthLine) -> str:
        """What was looked at. A line of a newer version goes by its id."""
        return self._filled(f"health_what.{line.text_key}", line) or line.id

    def found(self, line: HealthLine) -> str:
        """What was found; empty where the value says it all."""
        return self._filled(f"health_found.{line.found_key}", line) if line.found_key else ""

    def next_step(self, line: HealthLine) -> str:
        """What to do; never empty for a line that is not in order."""
        said = self._filled(f"health_next.{line.next_key}", line) if line.next_key else ""
        if said or line.result is Outcome.OK:
            return said
        return self.say("health_next.ask_again")

    def value(self, line: HealthLine) -> str:
        """What was measured, with its unit. A line that did not answer shows a dash."""
        return self.amount(line.value, line.unit)

    def limit(self, line: HealthLine) -> str:
        """What it is held against; empty where there is none."""
        if line.limit is None:
            return ""
        shown = self.amount(line.limit, line.unit)
        return self.say("health_check.at_least", value=shown) if line.bound is Bound.LEAST else shown

    def amount(self, value: Scalar, unit: str) -> str:
        """A value for people: `6 min`, `11,2 ms`."""
        if value is None:
            return NOTHING
        if isinstance(value, bool | str):
            return str(value)
        if unit == "s":
            return self.span(value)
        if unit == "d":
            return f"{self.number(value)} {self.say('health_unit.day')}"
        named = self.say(f"health_unit.{unit}") if unit else ""
        return f"{self.number(value)} {named or unit}".rstrip()

    def span(self, seconds: float) -> str:
        """A length of time in its largest fitting unit; a signed difference of clocks keeps its sign."""
        size, word = next(((size, word) for size, word in _SPANS if abs(seconds) >= 2 * size), (1, "second"))
        amount = seconds / size
        shown = round(amount, 1) if size == 1 and abs(amount) < 10 else int(amount)
        return f"{self.number(shown)} {self.say(f'health_unit.{word}')}"

    def number(self, value: float) -> str:
        """With the language's decimal sign and a true minus."""
        text = str(int(value)) if value == int(value) else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
        if self.language == "nb":
            text = text.replace(".", ",")
        return text.replace("-", MINUS)

    def _filled(self, key: str, line: HealthLine) -> str:
        given: dict[str, object] = {name: self._param(name, value) for name, value in line.params.items()}
        return self.say(key, expected=line.limit, **given)

    def _param(self, name: str, value: Scalar) -> str:
        if isinstance(value, str):
            return self.say(f"health_word.{value}") or value
        for ending, unit in (("_ms", "ms"), ("_pct", "%"), ("_mib", "MiB"), ("_s", "s")):
            if name.endswith(ending):
                return self.amount(value, unit)
        return self.amount(value, "")
