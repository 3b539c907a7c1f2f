"""What is wrong with a settings file, in words that help: the place, what stands there, what was probably meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend. `key` is the dotted path in the file ("" for the file as a whole), `hint` the next step.

    An error keeps the settings from being used; a warning says that something will not work as its writer may think.
    """

    file: str
    key: str
    message: str
    hint: str = ""
    line: int | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        where = f"{place}: {self.key}" if self.key else place
        word = "warning: " if self.severity == "warning" else ""
        text = f"{where}: {word}{self.message}"
        return f"{text}\n    {self.hint}" if self.hint else text


class SettingsError(Exception):
    """The settings cannot be used. `problems` holds everything that was found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def render_text(path: Path, problems: Iterable[Problem], *, summary: str = "") -> str:
    """What `check-config` prints: every problem, then one line that sums up."""
    found = list(problems)
    errors = sum(problem.severity == "error" for problem in found)
    warnings = len(found) - errors
    lines = [str(problem) for problem in found]
    if errors:
        lines.append(f"{path}: {_count(errors, 'error')}, {_count(warnings, 'warning')}: not usable")
    else:
        tail = f" ({_count(warnings, 'warning')})" if warnings else ""
        lines.append(f"{path}: good{tail}{': ' + summary if summary else ''}")
    return "\n".join(lines)


def render_json(path: Path, problems: Iterable[Problem], *, config_hash: str | None = None) -> str:
    """The same for machines: `{"file", "ok", "config_hash", "problems": [...]}`."""
    found = list(problems)
    answer = {
        "file": str(path),
        "ok": not any(problem.severity == "error" for problem in found),
        "config_hash": config_hash,
        "problems": [asdict(problem) for problem in found],
    }
    return json.dumps(answer, ensure_ascii=False, indent=2)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
