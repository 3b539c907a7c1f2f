"""The result of a hub's health check: lines, each with what was found, its limit, and the next step.

One model for the hub that makes it, the central that keeps and compares it, and every screen that shows it. Texts are
named by keys of `cloud_sync/texts/health.toml`; `params` fill them in. The writer is strict. The reader takes what a
newer hub adds, and whatever it cannot make out counts as unknown, never as good.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from cloud_sync import canonical
from cloud_sync.errors import MalformedError
from cloud_sync.vocabulary import Scalar, is_scalar

VERSION = 1
COMMAND = "health_check"
"""The name of the command; see `expectation` for its arguments."""
EXPECTED_SOFTWARE = "expected_software"
EXPECTED_CONFIG = "expected_config"

MAX_LINES = 1000
MAX_PARAMS = 12
MAX_BYTES = 60 * 1024
"""A result travels in one message; one that is longer leaves lines out, those in order first, and says how many."""
MAX_MS = 2**53

LINE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}(?:\.[a-z0-9][a-z0-9_-]{0,39}){0,3}")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,47}")
_UNIT = re.compile(r"[A-Za-z%°]{0,8}")


class Outcome(StrEnum):
    """How one line came out, worst first."""

    FAIL = "fail"
    WARN = "warn"
    UNKNOWN = "unknown"
    OK = "ok"


class Bound(StrEnum):
    """How a value is held against its limit."""

    MOST = "most"
    LEAST = "least"
    SAME = "same"


_ORDER = {outcome: place for place, outcome in enumerate(Outcome)}


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLine:
    """One thing that was looked at. `id` names it for ever on this hub: `uplink.main`, `device.pendant-1.battery`.

    `value` and `limit` are in `unit` (ms, s, d, %, dBm, C, MiB, or none for a word). `text_key` says what it is,
    `found_key` what was found, `next_key` what to do about it; there is a next step wherever it is not ok.
    """

    id: str
    result: Outcome
    text_key: str
    value: Scalar = None
    unit: str = ""
    limit: Scalar = None
    bound: Bound = Bound.MOST
    found_key: str = ""
    next_key: str = ""
    params: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """The strict writer: a line that could not be read back is not made. Raises ValueError."""
        if not LINE_ID.fullmatch(self.id):
            raise ValueError(f"not a line id: {self.id!r}")
        if not all(_KEY.fullmatch(key) for key in (self.text_key, self.found_key or "x", self.next_key or "x")):
            raise ValueError(f"not a text key in line {self.id}")
        if not (_UNIT.fullmatch(self.unit) and is_scalar(self.value) and is_scalar(self.limit)):
            raise ValueError(f"not a value in line {self.id}")
        if len(self.params) > MAX_PARAMS or not all(
            _KEY.fullmatch(name) and is_scalar(value) for name, value in self.params.items()
        ):
            raise ValueError(f"not parameters in line {self.id}")
        if self.result is not Outcome.OK and not self.next_key:
            raise ValueError(f"line {self.id} is not ok and names no next step")

    def to_plain(self) -> dict[str, Any]:
        """What JSON and CBOR carry. What is empty is left out, but for the five that everybody looks for."""
        plain: dict[str, Any] = {
            "id": self.id,
            "result": self.result.value,
            "value": self.value,
            "limit": self.limit,
            "text_key": self.text_key,
        }
        optional = {
            "unit": self.unit,
            "bound": "" if self.bound is Bound.MOST else self.bound.value,
            "found_key": self.found_key,
            "next_key": self.next_key,
            "params": dict(self.params),
        }
        return plain | {name: value for name, value in optional.items() if value}

    @classmethod
    def from_plain(cls, plain: object) -> HealthLine:
        """Read a line of whatever version. Raises MalformedError when it has no id: then nothing can be said of it."""
        if not isinstance(plain, Mapping) or not isinstance(plain.get("id"), str) or not LINE_ID.fullmatch(plain["id"]):
            raise MalformedError("health_line")
        given = plain.get("params", {})
        params = given if isinstance(given, Mapping) and len(given) <= MAX_PARAMS else {}
        word = plain.get("result")
        result = Outcome(word) if isinstance(word, str) and word in tuple(Outcome) else Outcome.UNKNOWN
        return cls(
            id=plain["id"],
            result=result,
            text_key=_key(plain.get("text_key")) or "other",
            value=_scalar(plain.get("value")),
            unit=unit if isinstance(unit := plain.get("unit"), str) and _UNIT.fullmatch(unit) else "",
            limit=_scalar(plain.get("limit")),
            bound=Bound(bound) if (bound := plain.get("bound")) in tuple(Bound) else Bound.MOST,
            found_key=_key(plain.get("found_key")),
            next_key=_key(plain.get("next_key")) or ("" if result is Outcome.OK else "ask_again"),
            params={
                name: value
                for name, value in params.items()
                if isinstance(name, str) and _KEY.fullmatch(name) and is_scalar(value)
            },
        )


def _key(value: object) -> str:
    return value if isinstance(value, str) and _KEY.fullmatch(value) else ""


def _scalar(value: Any) -> Scalar:
    """What may stand in a line; anything else is nothing, so that it reaches no page and no JSON."""
    return value if isinstance(value, bool | int | float | str) and is_scalar(value) else None


def tally(lines: Sequence[HealthLine]) -> dict[Outcome, int]:
    """How many lines of each outcome, worst first."""
    counts = Counter(line.result for line in lines)
    return {outcome: counts[outcome] for outcome in Outcome}


def worst(lines: Sequence[HealthLine]) -> Outcome:
    """The overall outcome. A check that looked at nothing found out nothing."""
    if not lines:
        return Outcome.UNKNOWN
    return min((line.result for line in lines), key=_ORDER.__getitem__)


def deviations_first(lines: Sequence[HealthLine]) -> list[HealthLine]:
    """Fail, warn, unknown, then what is in order; within each as the hub told them."""
    return sorted(lines, key=lambda line: _ORDER[line.result])


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthResult:
    """A whole check. `started_ms` is the hub's wall clock; `left_out` counts lines that did not fit."""

    started_ms: int
    took_ms: int
    lines: tuple[HealthLine, ...]
    left_out: int = 0

    @property
    def outcome(self) -> Outcome:
        """The worst of its lines."""
        return worst(self.lines)

    def line(self, line_id: str) -> HealthLine | None:
        """The line with this id."""
        return next((line for line in self.lines if line.id == line_id), None)

    def to_plain(self) -> dict[str, Any]:
        """What JSON and CBOR carry, never more than a message holds. Raises ValueError when two lines share an id."""
        if len({line.id for line in self.lines}) != len(self.lines):
            raise ValueError("two lines of a health check have the same id")
        fitted = self._fitted()
        plain: dict[str, Any] = {
            "version": VERSION,
            "started_ms": fitted.started_ms,
            "took_ms": fitted.took_ms,
            "result": fitted.outcome.value,
            "lines": [line.to_plain() for line in fitted.lines],
        }
        return plain | ({"left_out": fitted.left_out} if fitted.left_out else {})

    def _fitted(self) -> HealthResult:
        """Without the last lines that are in order, until the rest fits. Deviations go last, and only for others."""
        sizes = {line.id: len(canonical.dumps(line.to_plain())) for line in self.lines}
        room = MAX_BYTES - sum(sizes.values()) - 200
        surplus = len(self.lines) - MAX_LINES
        dropped: set[str] = set()
        for line in reversed(deviations_first(self.lines)):
            if room >= 0 and surplus <= 0:
                break
            dropped.add(line.id)
            room += sizes[line.id]
            surplus -= 1
        if not dropped:
            return self
        kept = tuple(line for line in self.lines if line.id not in dropped)
        return replace(self, lines=kept, left_out=self.left_out + len(dropped))

    @classmethod
    def from_plain(cls, plain: object) -> HealthResult:
        """Read a result of whatever version. Raises MalformedError; "health_refused" when the hub could not check."""
        if not isinstance(plain, Mapping):
            raise MalformedError("health_result")
        error = plain.get("error")
        if isinstance(error, Mapping):
            raise MalformedError("health_refused", str(error.get("detail") or error.get("reason") or "")[:200])
        lines = plain.get("lines")
        if not isinstance(lines, list | tuple) or len(lines) > MAX_LINES:
            raise MalformedError("health_lines")
        read = tuple(HealthLine.from_plain(line) for line in lines)
        if len({line.id for line in read}) != len(read):
            raise MalformedError("health_lines", "two lines have the same id")
        return cls(
            started_ms=_count(plain.get("started_ms")),
            took_ms=_count(plain.get("took_ms")),
            lines=read,
            left_out=_count(plain.get("left_out", 0)),
        )


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_MS:
        raise MalformedError("health_number")
    return value


def expectation(last: HealthResult | None) -> dict[str, str]:
    """The arguments of the command: software and settings as the last check found them, for the hub to compare."""
    arguments: dict[str, str] = {}
    for name, line_id in ((EXPECTED_SOFTWARE, "software"), (EXPECTED_CONFIG, "settings")):
        line = last.line(line_id) if last is not None else None
        if line is not None and isinstance(line.value, str):
            arguments[name] = line.value
    return arguments
