"""Health checks as people and programs see them: a result beside the one before it, and what no answer means.

A hub that did not answer is unknown, whatever it said last: its last known result is told as such, with its time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from central.commands import HealthCheck
from cloud_sync.errors import MalformedError
from cloud_sync.health import HealthLine, HealthResult, Outcome
from cloud_sync.vocabulary import Scalar

HISTORY = 30
"""How many checks back a line's series goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A result and when it was asked for, ms UTC by central's clock."""

    at_ms: int
    result: HealthResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What a line was in an earlier check."""

    at_ms: int
    result: Outcome
    value: Scalar
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The newest check of a hub beside the earlier ones.

    `now` is its result, None when it did not answer; `last` the newest result before it. `before` and `series` (oldest
    first, the newest included) go by line id. `gone` are lines that the last result had and this one has not.
    """

    check: HealthCheck | None
    now: Known | None
    last: Known | None
    before: Mapping[str, Before]
    series: Mapping[str, tuple[tuple[int, float], ...]]
    gone: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Of the newest check. No answer is unknown."""
        return Outcome.UNKNOWN if self.now is None else self.now.result.outcome


def read(check: HealthCheck) -> HealthResult | None:
    """The result of an answered check; None when there is none, or nobody can read it."""
    if check.state != "answered" or check.result is None:
        return None
    try:
        return HealthResult.from_plain(check.result)
    except MalformedError:
        return None


def compare(checks: Sequence[HealthCheck]) -> Comparison:
    """`checks` are of one hub, newest first. One that still waits for its answer is passed over."""
    done = [check for check in checks if check.state != "waiting"]
    newest = done[0] if done else None
    known = [Known(at_ms=check.asked_ms, result=result) for check in done if (result := read(check)) is not None]
    is_answered = newest is not None and read(newest) is not None
    now = known[0] if is_answered else None
    earlier = known[1:] if is_answered else known
    last = earlier[0] if earlier else None
    before: dict[str, Before] = {}
    for one in earlier:
        for line in one.result.lines:
            before.setdefault(line.id, Before(at_ms=one.at_ms, result=line.result, value=line.value, unit=line.unit))
    is_whole = now is not None and not now.result.left_out
    told = {line.id for line in now.result.lines} if now is not None else set()
    return Comparison(
        check=newest,
        now=now,
        last=last,
        before=before,
        series=_series(known),
        gone=tuple(line.id for line in last.result.lines if line.id not in told) if last and is_whole else (),
    )


def _series(known: Sequence[Known]) -> dict[str, tuple[tuple[int, float], ...]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for one in reversed(known[:HISTORY]):
        for line in one.result.lines:
            if isinstance(line.value, int | float) and not isinstance(line.value, bool):
                found.setdefault(line.id, []).append((one.at_ms, float(line.value)))
    return {line_id: tuple(points) for line_id, points in found.items()}


def to_plain(comparison: Comparison, *, hub: str, label: str) -> dict[str, Any]:
    """What `vaktpost central check --json` prints and the API answers."""
    check, now, last = comparison.check, comparison.now, comparison.last
    told: dict[str, Any] = {
        "hub": hub,
        "label": label,
        "state": "never" if check is None else check.state,
        "outcome": comparison.outcome.value,
        "asked_ms": None if check is None else check.asked_ms,
        "answered_ms": None if check is None else check.answered_ms,
        "result": None,
        "last_known": None,
        "gone": list(comparison.gone),
    }
    if now is not None:
        told["result"] = now.result.to_plain() | {"lines": list(_lines(now.result.lines, comparison))}
    elif check is not None and check.result is not None:
        told["error"] = check.result.get("error")
    if last is not None:
        told["last_known"] = {"at_ms": last.at_ms, "outcome": last.result.outcome.value}
        if now is None:
            told["last_known"]["result"] = last.result.to_plain()
    return told


def _lines(lines: Sequence[HealthLine], comparison: Comparison) -> Iterator[dict[str, Any]]:
    for line in lines:
        before = comparison.before.get(line.id)
        yield line.to_plain() | {
            "previous": None
            if before is None
            else {"value": before.value, "result": before.result.value, "at_ms": before.at_ms},
            "series": [list(point) for point in comparison.series.get(line.id, ())],
        }
