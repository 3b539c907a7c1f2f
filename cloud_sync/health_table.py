"""A health check as a table in a terminal: deviations first, each with its next step."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping

from cloud_sync.health import HealthLine, HealthResult, Outcome, deviations_first, tally
from cloud_sync.health_texts import HealthWords
from cloud_sync.vocabulary import Scalar

_MARKS = {Outcome.OK: " ", Outcome.WARN: "!", Outcome.FAIL: "X", Outcome.UNKNOWN: "?"}
_GAP = "  "
_MAX_WHAT = 42


def render(
    result: HealthResult, words: HealthWords, *, last: Mapping[str, tuple[Scalar, str]] | None = None, width: int = 0
) -> str:
    """All lines of a result. `last`: line id → value and unit of the check before, where there was one."""
    width = width or min(140, shutil.get_terminal_size((110, 24)).columns)
    rows = [_row(line, words, last) for line in deviations_first(result.lines)]
    head = [words.say(f"health_check.column_{name}") for name in ("result", "what", "now", "limit", "last")]
    if last is None:
        head.pop()
        rows = [(cells[:-1], rest) for cells, rest in rows]
    sizes = [max(len(cell) for cell in column) for column in zip(head, *(cells for cells, _ in rows), strict=True)]
    said = [_line(head, sizes), ""]
    for place, (cells, rest) in enumerate(rows):
        said.append(_line(cells, sizes))
        if place + 1 < len(rows) and rows[place + 1][1] == rest:
            continue  # what is the matter with several is said once, below them
        for text in rest:
            said += textwrap.wrap(text, max(40, width - 12), initial_indent=" " * 12, subsequent_indent=" " * 12)
    said += ["", summary(result, words)]
    return "\n".join(text.rstrip() for text in said)


def summary(result: HealthResult, words: HealthWords) -> str:
    """How many lines of each outcome, in one sentence."""
    counts = tally(result.lines)
    if result.outcome is Outcome.OK:
        text = words.say("health_check.all_ok", n=counts[Outcome.OK])
    else:
        text = words.say("health_check.count", **{outcome.value: count for outcome, count in counts.items()})
    if result.left_out:
        text += ", " + words.say("health_check.left_out", n=result.left_out)
    return f"{text}. {words.say('health_check.answered', took_s=words.span(result.took_ms / 1000))}."


def _row(
    line: HealthLine, words: HealthWords, last: Mapping[str, tuple[Scalar, str]] | None
) -> tuple[list[str], list[str]]:
    before = words.amount(*last[line.id]) if last and line.id in last else ""
    cells = [
        f"{_MARKS[line.result]} {words.result(line.result)}",
        textwrap.shorten(words.what(line), _MAX_WHAT, placeholder="…"),
        words.value(line),
        words.limit(line),
        before,
    ]
    if line.result is Outcome.OK:
        return cells, []
    return cells, [text for text in (words.found(line), words.next_step(line)) if text]


def _line(cells: list[str], sizes: list[int]) -> str:
    return _GAP.join(
        cell.rjust(size) if place in {2, 3, 4} else cell.ljust(size)
        for place, (cell, size) in enumerate(zip(cells, sizes, strict=True))
    )
