"""A plan in words, as one would read it aloud to somebody new: pure, from the catalogue's texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

from central.routing.calendar import local
from central.routing.plan import DAY_MIN, WEEKDAYS, Ends, Plan, ReceiverKind, Step, Variant, WeekHours


class Tongue(Protocol):
    """The catalogue in one language."""

    def __call__(self, key: str, **values: object) -> str:
        """A text, filled in."""
        ...

    def count(self, key: str, n: int, **values: object) -> str:
        """The form of a text for one or for others."""
        ...

    def either(self, key: str, fallback: str, **values: object) -> str:
        """A text, or the fallback where there is none."""
        ...


def in_words(plan: Plan, teams: Mapping[str, str], t: Tongue) -> list[str]:
    """One sentence per variant."""
    return [variant_words(variant, teams, t, is_only=len(plan.variants) == 1) for variant in plan.variants]


def variant_words(variant: Variant, teams: Mapping[str, str], t: Tongue, *, is_only: bool = False) -> str:
    """At which hours, and then who after whom."""
    if variant.hours:
        when = _listed([hours_words(hours, t) for hours in variant.hours], t)
    else:
        when = t("planwords.always" if is_only else "planwords.else")
    return t("planwords.sentence", when=_capital(when), steps=steps_words(variant.steps, teams, t))


def steps_words(steps: Sequence[Step], teams: Mapping[str, str], t: Tongue) -> str:
    """Who after whom."""
    said = []
    for place, step in enumerate(steps):
        key = "only" if len(steps) == 1 else "first" if place == 0 else "last" if place == len(steps) - 1 else "then"
        said.append(
            t(
                f"planwords.{key}",
                who=receiver_words(step, teams, t),
                how=channels_words(step, t) + (t("planwords.until_accepted") if step.ends is Ends.ACCEPTED else ""),
                patience=duration_words(step.patience_s, t),
            )
        )
    return "; ".join(said)


def receiver_words(step: Step, teams: Mapping[str, str], t: Tongue) -> str:
    """Who is asked."""
    if step.receiver is ReceiverKind.TEAM:
        return teams.get(step.team or "") or t("planwords.no_team")
    return t(f"planwords.{step.receiver}")


def channels_words(step: Step, t: Tongue) -> str:
    """How they are told."""
    return _listed([t.either(f"planwords.by_{channel}", channel) for channel in step.channels], t)


def hours_words(hours: WeekHours, t: Tongue) -> str:
    """Days and hours, as one says them."""
    days = days_words(hours.days, t)
    if hours.begin == 0 and hours.to == DAY_MIN:
        return days
    # "22:00 to 07:00" of every day needs no more said; of a Saturday it does.
    is_over_night = hours.to <= hours.begin and len(hours.days) < len(WEEKDAYS)
    key = "hours_over_night" if is_over_night else "hours"
    return t(f"planwords.{key}", days=days, begin=clock_words(hours.begin), to=clock_words(hours.to % DAY_MIN))


def days_words(days: Sequence[int], t: Tongue) -> str:
    """Every day, a run of days, or the days one by one."""
    wanted = sorted(set(days))
    if len(wanted) == len(WEEKDAYS):
        return t("planwords.every_day")
    if len(wanted) > 2 and wanted[-1] - wanted[0] == len(wanted) - 1:
        return t("planwords.days_run", first=t(f"weekday.d{wanted[0]}"), last=t(f"weekday.d{wanted[-1]}"))
    return _listed([t(f"weekday.d{day}") for day in wanted], t)


def duration_words(seconds: int, t: Tongue) -> str:
    """60 seconds, 2 minutes, 1 minute 30 seconds."""
    if (seconds <= 90 and seconds % 60) or seconds == 60:
        return t.count("planwords.seconds", seconds)
    minutes, rest = divmod(seconds, 60)
    said = t.count("planwords.minutes", minutes)
    return f"{said} {t.count('planwords.seconds', rest)}" if rest else said


def clock_words(minute: int) -> str:
    """07:00."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def clock_at(at_ms: int, zone: ZoneInfo) -> str:
    """What the wall clock shows there."""
    return clock_words(local(at_ms, zone)[1])


def _listed(parts: Sequence[str], t: Tongue) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return t("planwords.and", before=", ".join(parts[:-1]), last=parts[-1])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
