"""What a run has found so far, in a file: a run of hours that was stopped, or found one fault, can be gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from simulators.faults.registry import Scenario
from simulators.faults.report import Line
from simulators.faults.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """How many rounds, and which: what a run that goes on has in common with the one before it."""

    seed: int
    is_short: bool = False
    share: float = 1.0
    rounds: int | None = None

    def rounds_of(self, one: Scenario) -> int:
        """How many of a scenario."""
        if self.rounds is not None:
            return self.rounds
        return one.short if self.is_short else max(one.short, round(one.long * self.share))

    @property
    def words(self) -> str:
        """On the command line."""
        found = ["--short"] if self.is_short else [] if self.share == 1 else [f"--share {self.share:g}"]
        found += [] if self.rounds is None else [f"--rounds {self.rounds}"]
        return " ".join([*found, f"--seed {self.seed}"])


def keep(file: Path, choice: Choice, lines: Iterable[Line]) -> None:
    """Write what is known."""
    rows = [
        {"scenario": line.scenario.name, "rounds": line.rounds, "took_s": line.took_s, "revision": line.revision}
        | {"verdict": asdict(line.verdict)}
        for line in lines
    ]
    whole = file.with_suffix(".new")
    whole.write_text(json.dumps({"choice": asdict(choice), "lines": rows}, indent=1), encoding="utf-8")
    whole.replace(file)


def kept(file: Path, known: Mapping[str, Scenario]) -> tuple[Choice, dict[str, Line]]:
    """What a run before has found, and was good; the rest is to be played. Raises LookupError without one."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        lines = [
            Line(
                scenario=known[row["scenario"]],
                rounds=row["rounds"],
                took_s=row["took_s"],
                revision=row["revision"],
                verdict=Verdict(**row["verdict"] | {"complaints": tuple(row["verdict"]["complaints"])}),
            )
            for row in told["lines"]
            if row["scenario"] in known
        ]
        choice = Choice(**told["choice"])
    except FileNotFoundError:
        raise LookupError("no run before this one is known here") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LookupError(f"{file} cannot be read: {error}") from None
    return choice, {line.scenario.name: line for line in lines if line.is_good}
