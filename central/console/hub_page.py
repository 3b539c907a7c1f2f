"""A hub's health check as it is shown: deviations first, unknown never green, every line with its next step.

A hub that does not answer keeps its last known values on the page, marked as such, and every line becomes unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from central.commands import HealthCheck
from central.console.gate import Visit
from central.gaps import Dropped
from central.health import Comparison, Known, compare, read
from central.hubs import HubView
from cloud_sync.health import HealthLine, Outcome, deviations_first, tally, worst
from cloud_sync.health_texts import NOTHING, HealthWords

PRESENCE_SIGN = {"new": "unknown", "present": "ok", "late": "warn", "silent": "fail"}
FIRST_SHOWN = 4
EARLIER_SHOWN = 7
URGENT_LANES = ("alarm", "care")
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
    """One thing that was looked at. `result` is what is shown, `was` what the hub said."""

    id: str
    result: str
    was: Outcome
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
    is_waiting: bool
    no_answer: str
    lines: tuple[Line, ...]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]
    tally: Mapping[str, int]
    before: str
    first: tuple[str, ...]
    left_over: str
    earlier: tuple[Summary, ...]
    waiting: str
    gaps: tuple[str, ...]
    has_any: bool


def summary_of(visit: Visit, check: HealthCheck) -> Summary:
    """For lists of checks."""
    t, when = visit.words, visit.figures.when(check.asked_ms, visit.now_ms())
    if check.state == "waiting":
        return Summary(when=when, worst="unknown", summary=t("check.sum_waiting"))
    result = read(check)
    if result is None or not result.lines:
        return Summary(when=when, worst="unknown", summary=t("check.sum_no_answer"))
    worst_of = worst(result.lines)
    count = tally(result.lines)[worst_of]
    return Summary(when=when, worst=worst_of.value, summary=t(f"check.sum_{worst_of.value}", n=count))


def check_page(
    visit: Visit,
    hub: HubView,
    checks: Sequence[HealthCheck],
    names: Mapping[str, str],
    dropped: Sequence[Dropped] = (),
) -> CheckPage:
    """`checks` are newest first; `names` maps account ids to names."""
    t = visit.words
    seen = compare(checks)
    shown = seen.now or seen.last
    lines = tuple(_lines(visit, seen, shown)) if shown else ()
    needs = tuple(line for line in lines if line.was is not Outcome.OK)
    fine = tuple(line for line in lines if line.was is Outcome.OK)
    groups = [("needs", needs)] if needs else []
    if fine:
        groups.append(("ok" if seen.now else "was_ok", fine))
    urgent = sum(hub.waiting.get(lane, 0) for lane in URGENT_LANES)
    return CheckPage(
        subtitle=_subtitle(visit, seen, names),
        is_waiting=any(check.state == "waiting" for check in checks),
        no_answer=_no_answer(visit, seen),
        lines=lines,
        groups=tuple(groups),
        tally={outcome.value: sum(line.result == outcome.value for line in lines) for outcome in Outcome},
        before=_before(visit, seen.last) if seen.now and seen.last else "",
        first=tuple(dict.fromkeys(line.next for line in needs if line.next))[:FIRST_SHOWN],
        left_over=_left_over(visit, seen, shown),
        earlier=tuple(summary_of(visit, check) for check in checks[1 : 1 + EARLIER_SHOWN]),
        waiting=t("hub.waits_text", urgent=urgent, rest=sum(hub.waiting.values()) - urgent),
        gaps=tuple(_gap(visit, gap) for gap in dropped),
        has_any=bool(checks),
    )


def _gap(visit: Visit, gap: Dropped) -> str:
    t, figures, now = visit.words, visit.figures, visit.now_ms()
    what = t(f"hub.gaps_{gap.lane.word}", n=figures.number(gap.count))
    since = t("hub.gaps_start") if gap.from_ms is None else figures.when(gap.from_ms, now)
    until = t("hub.gaps_now") if gap.to_ms is None else figures.when(gap.to_ms, now)
    return t("hub.gaps_text", what=what, since=since, until=until)


def _subtitle(visit: Visit, seen: Comparison, names: Mapping[str, str]) -> str:
    t, figures, now = visit.words, visit.figures, visit.now_ms()
    check = seen.check
    if check is None:
        return t("check.never")
    time, name = figures.when(check.asked_ms, now), names.get(check.actor, check.actor)
    if seen.now is None or check.answered_ms is None:
        return t("check.unanswered", time=time, name=name)
    said = t("check.answered", took=figures.span(check.answered_ms - check.asked_ms), time=time, name=name)
    if seen.last is None:
        return said
    return f"{said} {t('check.compared', time=figures.when(seen.last.at_ms, now))}"


def _no_answer(visit: Visit, seen: Comparison) -> str:
    if seen.check is None or seen.now is not None:
        return ""
    t, why = visit.words, ""
    if seen.check.state == "no_link":
        why = f"{t('check.no_link')} "
    elif seen.check.state == "failed":
        why = f"{t('check.failed')} "
    if seen.last is None:
        return why + t("check.no_answer_unknown")
    return why + t("check.no_answer_known", time=visit.figures.when(seen.last.at_ms, visit.now_ms()))


def _before(visit: Visit, last: Known) -> str:
    counts = tally(last.result.lines)
    return visit.words("check.before_tally", **{outcome.value: counts[outcome] for outcome in Outcome})


def _left_over(visit: Visit, seen: Comparison, shown: Known | None) -> str:
    words = HealthWords(visit.words.language)
    said = []
    if shown and shown.result.left_out:
        said.append(words.say("health_check.left_out", n=shown.result.left_out))
    if seen.gone:
        said.append(words.say("health_check.gone", lines=", ".join(seen.gone)))
    return ". ".join(said)


def _lines(visit: Visit, seen: Comparison, shown: Known) -> list[Line]:
    words = HealthWords(visit.words.language)
    is_stale = seen.now is None
    return [_line(visit, words, line, seen, is_stale=is_stale) for line in deviations_first(shown.result.lines)]


def _line(visit: Visit, words: HealthWords, line: HealthLine, seen: Comparison, *, is_stale: bool) -> Line:
    before = seen.before.get(line.id)
    is_unanswered = line.value is None and line.result is Outcome.UNKNOWN
    return Line(
        id=line.id,
        result=Outcome.UNKNOWN.value if is_stale else line.result.value,
        was=line.result,
        title=words.what(line),
        text=words.found(line),
        value=visit.words("check.no_value") if is_unanswered else _amount(words.value(line)),
        limit=words.limit(line),
        previous="" if before is None or is_stale else _amount(words.amount(before.value, before.unit)),
        next=words.next_step(line),
        spark=_spark(seen.series.get(line.id, ()), line.limit, is_cut=is_stale or is_unanswered),
    )


def _amount(text: str) -> str:
    return "" if text == NOTHING else text


def _spark(series: Sequence[tuple[int, float]], limit: object, *, is_cut: bool) -> Spark | None:
    if len(series) < 2:
        return None
    bound = float(limit) if isinstance(limit, int | float) and not isinstance(limit, bool) else None
    every = [number for _, number in series] + ([bound] if bound is not None else [])
    low, high = min(every), max(every)
    right = 74.0 if is_cut else _WIDTH

    def at_x(place: int) -> str:
        return f"{2 + place * (right - 2) / (len(series) - 1):.1f}"

    def at_y(number: float) -> str:
        share = 0.5 if high == low else (number - low) / (high - low)
        return f"{_HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN):.1f}"

    end_x, end_y = at_x(len(series) - 1), at_y(series[-1][1])
    return Spark(
        points=" ".join(f"{at_x(place)},{at_y(number)}" for place, (_, number) in enumerate(series)),
        end_x=end_x,
        end_y=end_y,
        limit_y=None if bound is None else at_y(bound),
        gap=f"M{end_x} {end_y}H104" if is_cut else "",
    )
