"""A hub's health check as it is shown: deviations first, unknown never green, every line with its next step.

A hub that does not answer keeps its last known values on the page, marked as such, and every line becomes unknown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from central.commands import HealthCheck
from central.console.gate import Visit
from central.hubs import HubView

RESULTS = ("fail", "warn", "unknown", "ok")
PRESENCE_SIGN = {"new": "unknown", "present": "ok", "late": "warn", "silent": "fail"}
FIRST_SHOWN = 4
URGENT_LANES = ("alarm", "care")
_LOWER_IS_WORSE = frozenset({"device_battery", "device_signal", "journal_space"})
_LINE_NAMES = (
    (re.compile(r"driver\.(?P<name>.+)"), "driver"),
    (re.compile(r"device\.(?P<name>.+)\.(?P<part>heard|signal|battery)"), "device"),
    (re.compile(r"uplink\.(?P<name>.+)"), "uplink"),
)
_WIDTH, _HEIGHT, _MARGIN = 100.0, 28.0, 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A small curve of earlier values, as attributes of SVG."""

    points: str
    end_x: str
    end_y: str
    limit_y: str | None
    gap: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was looked at."""

    id: str
    result: str
    was: str
    title: str
    text: str
    value: str
    limit: str
    previous: str
    next: str
    spark: Spark | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A check in one sign and a few words."""

    when: str
    worst: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPage:
    """What the page of a hub says beside the hub itself."""

    subtitle: str
    progress: bool
    no_answer: str
    lines: tuple[Line, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    tally: Mapping[str, int]
    before: str
    first: tuple[str, ...]
    earlier: tuple[Summary, ...]
    waiting: str
    gaps: str
    has_any: bool


def raw_lines(check: HealthCheck | None) -> dict[str, Mapping[str, Any]]:
    """The lines of an answered check by id; anything that is not a line is left out."""
    if check is None or check.result is None:
        return {}
    lines = check.result.get("lines")
    if not isinstance(lines, list):
        return {}
    return {str(line["id"]): line for line in lines if isinstance(line, dict) and "id" in line}


def result_of(line: Mapping[str, Any]) -> str:
    """The result's word; one we do not know is unknown, never good."""
    result = line.get("result")
    return result if result in RESULTS else "unknown"


def tally_of(lines: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """How many of each result."""
    return {result: sum(result_of(line) == result for line in lines.values()) for result in RESULTS}


def summary_of(visit: Visit, check: HealthCheck) -> Summary:
    """For lists of checks."""
    t, when = visit.words, visit.figures.when(check.asked_ms, visit.now_ms())
    if check.state == "waiting":
        return Summary(when=when, worst="unknown", summary=t("check.sum_waiting"))
    tally = tally_of(raw_lines(check))
    if check.state != "answered" or not any(tally.values()):
        return Summary(when=when, worst="unknown", summary=t("check.sum_no_answer"))
    worst = next(result for result in RESULTS if tally[result])
    return Summary(when=when, worst=worst, summary=t(f"check.sum_{worst}", n=tally[worst]))


def check_page(
    visit: Visit, hub: HubView, checks: Sequence[HealthCheck], names: Mapping[str, str], *, progress: bool = False
) -> CheckPage:
    """`checks` are newest first; `names` maps account ids to names."""
    t = visit.words
    done = [check for check in checks if check.state != "waiting"]
    answered = [check for check in done if raw_lines(check)]
    newest = done[0] if done else None
    has_answer = newest is not None and newest in answered
    base = answered[0] if answered else None
    before = answered[1] if len(answered) > 1 else None
    lines = tuple(_lines(visit, base, answered, is_stale=not has_answer)) if base else ()
    needs = tuple(line for line in lines if line.was != "ok")
    fine = tuple(line for line in lines if line.was == "ok")
    groups = [("needs", needs)] if needs else []
    if fine:
        groups.append(("ok" if has_answer else "was_ok", fine))
    urgent = sum(hub.waiting.get(lane, 0) for lane in URGENT_LANES)
    gaps = sum(hub.gaps.values())
    return CheckPage(
        subtitle=_subtitle(visit, newest, before, names, has_answer=has_answer),
        progress=progress or any(check.state == "waiting" for check in checks),
        no_answer=_no_answer(visit, newest, base) if newest and not has_answer else "",
        lines=lines,
        groups=tuple(groups),
        tally={result: sum(line.result == result for line in lines) for result in RESULTS},
        before=t("check.before_tally", **tally_of(raw_lines(before))) if before and has_answer else "",
        first=tuple(line.next for line in needs if line.next)[:FIRST_SHOWN],
        earlier=tuple(summary_of(visit, check) for check in done[1:8]),
        waiting=t("hub.waits_text", urgent=urgent, rest=sum(hub.waiting.values()) - urgent),
        gaps=t("hub.gaps_text", n=visit.figures.number(gaps)) if gaps else "",
        has_any=bool(checks),
    )


def _subtitle(
    visit: Visit,
    newest: HealthCheck | None,
    before: HealthCheck | None,
    names: Mapping[str, str],
    *,
    has_answer: bool,
) -> str:
    t, figures, now = visit.words, visit.figures, visit.now_ms()
    if newest is None:
        return t("check.never")
    time, name = figures.when(newest.asked_ms, now), names.get(newest.actor, newest.actor)
    if not has_answer or newest.answered_ms is None:
        return t("check.unanswered", time=time, name=name)
    said = t("check.answered", took=figures.span(newest.answered_ms - newest.asked_ms), time=time, name=name)
    if before is None:
        return said
    return f"{said} {t('check.compared', time=figures.when(before.asked_ms, now))}"


def _no_answer(visit: Visit, newest: HealthCheck, base: HealthCheck | None) -> str:
    t = visit.words
    why = f"{t('check.no_link')} " if newest.state == "no_link" else ""
    if base is None:
        return why + t("check.no_answer_unknown")
    return why + t("check.no_answer_known", time=visit.figures.when(base.asked_ms, visit.now_ms()))


def _lines(visit: Visit, base: HealthCheck, answered: Sequence[HealthCheck], *, is_stale: bool) -> list[Line]:
    history = [raw_lines(check) for check in reversed(answered)]  # oldest first
    previous = raw_lines(answered[1]) if len(answered) > 1 else {}
    found = [
        _line(visit, line_id, line, previous.get(line_id), history, is_stale=is_stale)
        for line_id, line in raw_lines(base).items()
    ]
    return sorted(found, key=lambda line: RESULTS.index(line.was))


def _line(
    visit: Visit,
    line_id: str,
    line: Mapping[str, Any],
    previous: Mapping[str, Any] | None,
    history: Sequence[Mapping[str, Mapping[str, Any]]],
    *,
    is_stale: bool,
) -> Line:
    t = visit.words
    family, name = family_of(line_id)
    params = line.get("params")
    values = {"name": name, **(params if isinstance(params, dict) else {})}
    was = result_of(line)
    limit = line.get("limit")
    bound = "min" if family in _LOWER_IS_WORSE else "max"
    next_key = str(line.get("next_key") or family)
    unit = line.get("unit")
    value = line.get("value")
    return Line(
        id=line_id,
        result="unknown" if is_stale else was,
        was=was,
        title=_said(visit, f"check_line.{family}", values) or line_id,
        text=_said(visit, f"check_text.{line.get('text_key')}", values),
        value=t("check.no_value") if value is None and was == "unknown" else _value(visit, value, unit),
        limit="" if limit is None else _limit(visit, limit, unit, bound),
        previous="" if previous is None else _value(visit, previous.get("value"), previous.get("unit")),
        next="" if was == "ok" else _said(visit, f"check_next.{next_key}", values) or t("check_next.other"),
        spark=_spark([lines.get(line_id, {}).get("value") for lines in history], limit, is_stale=is_stale),
    )


def family_of(line_id: str) -> tuple[str, str]:
    """`device.pendant-1.battery` → ("device_battery", "pendant-1"): how texts are found."""
    for pattern, family in _LINE_NAMES:
        match = pattern.fullmatch(line_id)
        if match:
            part = match.groupdict().get("part")
            return (f"{family}_{part}" if part else family), match["name"]
    return line_id.replace(".", "_"), ""


def _said(visit: Visit, key: str, values: Mapping[str, Any]) -> str:
    if not visit.words.has(key):
        return ""
    try:
        return visit.words(key, **values)
    except KeyError:  # a hub of another version sends other values
        return ""


def _value(visit: Visit, value: Any, unit: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return visit.words("check.yes" if value else "check.no")
    text = visit.figures.number(value) if isinstance(value, int | float) else str(value)
    return f"{text} {unit}" if isinstance(unit, str) and unit else text


def _limit(visit: Visit, limit: Any, unit: Any, bound: str) -> str:
    text = _value(visit, limit, unit)
    return visit.words(f"check.{bound}", value=text) if isinstance(limit, int | float) else text


def _spark(values: Sequence[Any], limit: Any, *, is_stale: bool) -> Spark | None:
    numbers = [
        (place, float(value))
        for place, value in enumerate(values)
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if len(numbers) < 2:
        return None
    bound = float(limit) if isinstance(limit, int | float) and not isinstance(limit, bool) else None
    every = [number for _, number in numbers] + ([bound] if bound is not None else [])
    low, high = min(every), max(every)
    last = len(values) - 1

    def at_x(place: int) -> str:
        return f"{2 + place * (_WIDTH - 2) / last:.1f}"

    def at_y(number: float) -> str:
        share = 0.5 if high == low else (number - low) / (high - low)
        return f"{_HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN):.1f}"

    end_place, end_number = numbers[-1]
    has_gap = is_stale or end_place < last
    return Spark(
        points=" ".join(f"{at_x(place)},{at_y(number)}" for place, number in numbers),
        end_x=at_x(end_place),
        end_y=at_y(end_number),
        limit_y=None if bound is None else at_y(bound),
        gap=f"M{at_x(end_place)} {at_y(end_number)}H104" if has_gap else "",
    )
