"""A plan: who is asked to answer an alarm, in which order, at which hours, and after how long the next one is.

A plan is a value that never changes; an edit makes a new one, and a running alarm keeps the steps it began with. Its
last step repeats until a person answers: an alarm never runs out of steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from central.notify.channels import LONGEST_NAME, at_consoles

DAY_MIN = 24 * 60
MAX_STEPS = 12
MAX_VARIANTS = 12
MAX_DEFER_H = 72
WEEKDAYS = tuple(range(7))
"""0 is Monday, as in `datetime.weekday`."""

ChannelName = Annotated[str, Field(pattern=rf"^[a-z][a-z0-9_]{{0,{LONGEST_NAME - 1}}}$")]
"""Whether there is such a channel is asked when a plan is written (`central.routing.checking`), not when it runs."""
Minute = Annotated[int, Field(ge=0, le=DAY_MIN)]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReceiverKind(StrEnum):
    """Who a step turns to."""

    TEAM = "team"
    CONTACTS = "contacts"
    """The resident's next of kin, in their order, as far as their agreements cover the service and the hour."""
    CENTRES = "centres"
    """Every centre that serves the resident's municipality: what is asked when nothing else is set up."""


class Channel(StrEnum):
    """How somebody is told: the ways that come with Vaktpost. Others have a name too: `central.notify.channels`."""

    CONSOLE = "console"
    SMS = "sms"
    EMAIL = "email"


class Ends(StrEnum):
    """What counts as an answer."""

    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    """A patrol has accepted to go."""


class Step(_Value):
    """One receiver and how long it has."""

    receiver: ReceiverKind
    team: str | None = None
    """Id of the team, for `ReceiverKind.TEAM` only."""
    channels: tuple[ChannelName, ...] = (Channel.CONSOLE,)
    patience_s: Annotated[int, Field(ge=5, le=3600)] = 60
    """Without an answer for so long the next step begins; at the last one, it begins again."""
    ends: Ends = Ends.CLAIMED

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.receiver is ReceiverKind.TEAM) != (self.team is not None):
            raise ValueError("a step for a team names it, and no other step does")
        if not self.channels:
            raise ValueError("a step says how its receiver is told: console, sms or email")
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("a channel stands in a step once")
        if self.receiver is ReceiverKind.CONTACTS and at_consoles(self.channels):
            raise ValueError("next of kin have no console: tell them by sms or email")
        return self


class WeekHours(_Value):
    """Some days of the week, from one minute of the local day to another; `to` not after `begin` ends next day.

    Whether an instant lies within is asked of the local wall clock, so that "22:00 to 07:00" is what people mean by it
    also on the nights when the clock is put forward or back.
    """

    days: tuple[Annotated[int, Field(ge=0, le=6)], ...] = WEEKDAYS
    begin: Minute = 0
    to: Minute = DAY_MIN

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.days or len(set(self.days)) != len(self.days):
            raise ValueError("hours name at least one day of the week, each once")
        if self.begin == DAY_MIN:
            raise ValueError("hours begin before midnight")
        return self

    def covers(self, day: int, minute: int) -> bool:
        """Whether a local day of the week and minute of it lie within."""
        if self.to > self.begin:
            return day in self.days and self.begin <= minute < self.to
        return (day in self.days and minute >= self.begin) or ((day - 1) % 7 in self.days and minute < self.to)


class Variant(_Value):
    """The steps at certain hours; without hours, at all that no variant before it covers."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    hours: tuple[WeekHours, ...] = ()
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MAX_STEPS)]

    def covers(self, day: int, minute: int) -> bool:
        """Whether these steps hold then."""
        return not self.hours or any(hours.covers(day, minute) for hours in self.hours)


class LocalDeadlines(_Value):
    """When the hub acts by itself."""

    no_receipt_s: Annotated[int, Field(ge=5, le=600)] = 15
    no_claim_s: Annotated[int, Field(ge=15, le=3600)] = 120


class Plan(_Value):
    """All variants, the first that covers an instant holds. The last one has no hours, so that none is uncovered."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    variants: Annotated[tuple[Variant, ...], Field(min_length=1, max_length=MAX_VARIANTS)]
    local: LocalDeadlines = LocalDeadlines()
    defer_within_h: Annotated[int, Field(ge=1, le=MAX_DEFER_H)] = 24
    """An alarm may wait for a planned visit that is over within so many hours, and for none after that."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("two variants have the same name")
        if self.variants[-1].hours:
            raise ValueError("the last variant has no hours: it is for every time that no other covers")
        for variant in self.variants[:-1]:
            if not variant.hours:
                raise ValueError(f'nothing after the variant "{variant.name}" would ever be used: it has no hours')
        return self

    def teams(self) -> frozenset[str]:
        """Ids of every team it names."""
        return frozenset(step.team for variant in self.variants for step in variant.steps if step.team is not None)


def local_time(at_ms: int, zone: ZoneInfo) -> tuple[int, int]:
    """The local day of the week and minute of the day."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return local.weekday(), local.hour * 60 + local.minute


def resolve(plan: Plan, at_ms: int, zone: ZoneInfo) -> Variant:
    """Which variant holds at an instant."""
    day, minute = local_time(at_ms, zone)
    return variant_at(plan, day, minute)


def variant_at(plan: Plan, day: int, minute: int) -> Variant:
    """Which variant holds at a local day of the week and minute."""
    return next(variant for variant in plan.variants if variant.covers(day, minute))


def week(plan: Plan) -> Sequence[Sequence[tuple[int, int, Variant]]]:
    """The week grid: for each day the spans (from minute, to minute, variant), without gaps, for a page to draw."""
    return [list(_spans(plan, day)) for day in WEEKDAYS]


def _spans(plan: Plan, day: int) -> Iterator[tuple[int, int, Variant]]:
    marks = {0, DAY_MIN}
    for variant in plan.variants:
        for hours in variant.hours:
            marks |= {hours.begin, hours.to}
    edges = sorted(marks)
    begin, current = 0, variant_at(plan, day, 0)
    for edge in edges[1:-1]:
        variant = variant_at(plan, day, edge)
        if variant is not current:
            yield begin, edge, current
            begin, current = edge, variant
    yield begin, DAY_MIN, current


DEFAULT_PLAN = Plan(
    name="default",
    variants=(
        Variant(
            name="always",
            steps=(
                Step(receiver=ReceiverKind.CENTRES, channels=(Channel.CONSOLE,), patience_s=60),
                Step(receiver=ReceiverKind.CENTRES, channels=(Channel.CONSOLE, Channel.SMS), patience_s=120),
            ),
        ),
    ),
)
"""What holds until somebody writes a plan: the consoles of every centre there is, then their duty telephones too."""
