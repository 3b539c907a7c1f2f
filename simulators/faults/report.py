"""The table of what was tried and what was lost, for a terminal and for docs/fault-report.md."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from simulators.faults.registry import Scenario
from simulators.faults.verdict import Verdict

_HEADS = ("fault", "rounds", "events in", "lost", "doubled", "longest silence", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One scenario and its outcome."""

    scenario: Scenario
    rounds: int
    verdict: Verdict
    took_s: float
    revision: str
    """Of the programs that were tried."""

    @property
    def is_good(self) -> bool:
        """As it must be: nothing lost, or caught where the product was broken on purpose."""
        verdict = self.verdict
        if self.scenario.must_fail:
            return verdict.events_in > 0 and verdict.lost > 0
        return verdict.is_good

    @property
    def words(self) -> str:
        """The outcome in a word or two."""
        if self.scenario.must_fail:
            return "caught, as it must be" if self.is_good else "NOT CAUGHT"
        return "good" if self.is_good else "FAILED"

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        verdict = self.verdict
        silence = f"{verdict.longest_silence_s:.2f} s" if verdict.longest_silence_s else "-"
        counts = (f"{count:,}" for count in (self.rounds, verdict.events_in, verdict.lost, verdict.doubled))
        return (self.scenario.title, *counts, silence, self.words)


def table(lines: Sequence[Line]) -> str:
    """For a terminal."""
    rows = [_HEADS, *(line.cells for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in {0, 6} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def write(path: Path, lines: Sequence[Line], *, of: int, words: str) -> None:
    """The page; `of` so many scenarios, when it is written before all are over; `words` choose the same rounds."""
    good = [line for line in lines if not line.scenario.must_fail]
    events, lost, doubled = (
        sum(getattr(line.verdict, what) for line in good) for what in ("events_in", "lost", "doubled")
    )
    hours = sum(line.took_s for line in lines) / 3600
    tried = Counter(line.revision for line in lines).most_common()
    revisions = ", ".join(name if len(tried) == 1 else f"{name} for {count}" for name, count in tried)
    text = [
        "# Fault report",
        "",
        "Written by `make faults`; do not edit. What is done to the programs, and how it is judged, stands in",
        "[testing-faults.md](testing-faults.md).",
        "",
        f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {hours:.1f} hours of faults",
        f"- `make faults FAULTS='{words}'` repeats it",
        f"- {_machine()}, revision {revisions}",
        *([] if len(lines) == of else [f"- not whole: {len(lines)} of {of} faults were played"]),
        f"- {events:,} confirmed events in {len(good)} faults: {lost} lost, {doubled} doubled",
        "",
        "| fault | rounds | events in | lost | doubled | longest silence | |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- |",
        *(f"| {' | '.join(line.cells)} |" for line in lines),
    ]
    notes = [
        f"- {line.scenario.title}: " + ", ".join(f"{name} {value}" for name, value in line.verdict.notes.items())
        for line in lines
        if line.verdict.notes
    ]
    if notes:
        text += ["", "## Figures", "", *notes]
    troubles = [
        f"- {line.scenario.title}: {complaint.splitlines()[0]}"
        for line in lines
        if not line.is_good
        for complaint in line.verdict.complaints[:8]
    ]
    if troubles:
        text += ["", "## What is not as it must be", "", *troubles]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def revision() -> str:
    """What was tried; with a plus sign when files were changed that are not in it (this report is none of them)."""
    name = _git("describe", "--always", "--abbrev=9")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)docs/fault-report.md")
    return (name or "unknown") + ("+" if changed else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout.strip()


def _machine() -> str:
    cores = os.cpu_count() or 1
    return (
        f"{platform.machine()}, {cores} cores, Linux {platform.release()},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )
