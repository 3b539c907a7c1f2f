"""What somebody has typed into the plan editor: kept as typed, changed by its buttons, made into a plan when it is one.

The page holds the draft; nothing of it is stored until it is saved. Field names are paths: `v0.h1.begin` is where the
second hours of the first variant begin, `v0.s2.to` whom its third step turns to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from pydantic import ValidationError

from central.console.typed import pressed
from central.notify.channels import at_consoles, channels
from central.routing.plan import MAX_DEFER_H, MAX_STEPS, MAX_VARIANTS, WEEKDAYS, Ends, Plan, ReceiverKind
from central.routing.words import clock_words

MAX_HOURS = 6
_CLOCK = re.compile(r"([01]?\d|2[0-3])[:.]?([0-5]\d)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Fields(Protocol):
    """A form as it was sent."""

    def get(self, name: str, default: str, /) -> Any:
        """The value of a field."""
        ...

    def getlist(self, name: str, /) -> list[Any]:
        """All values of a field."""
        ...

    def __contains__(self, name: object) -> bool: ...


@dataclass(slots=True, kw_only=True)
class DraftHours:
    """Some days, from one time to another."""

    days: set[int] = field(default_factory=lambda: set(WEEKDAYS))
    begin: str = ""
    to: str = ""


@dataclass(slots=True, kw_only=True)
class DraftStep:
    """`to` is a team's id, `centres` or `contacts`."""

    to: str = ""
    by: set[str] = field(default_factory=lambda: {"console"})
    patience: str = "60"
    is_accepted: bool = False


@dataclass(slots=True, kw_only=True)
class DraftVariant:
    """The last one of a plan has no hours."""

    name: str = ""
    hours: list[DraftHours] = field(default_factory=list)
    steps: list[DraftStep] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Draft:
    """Everything in the form. `focus` is the id of the field that a button has just made."""

    name: str = ""
    tenant: str = ""
    service: str = ""
    why: str = ""
    version: str = ""
    no_receipt: str = "15"
    no_claim: str = "120"
    defer_within: str = "24"
    variants: list[DraftVariant] = field(default_factory=list)
    focus: str = ""

    def do(self, order: str) -> None:
        """What an edit button says, such as `add_step:0` or `up_step:0.2`. What makes no sense changes nothing."""
        verb, path = pressed(order)
        match verb.split("_"):
            case ["add", "variant"] if len(self.variants) < MAX_VARIANTS:
                self.variants.insert(len(self.variants) - 1, DraftVariant(hours=[DraftHours()], steps=[DraftStep()]))
                self.focus = f"v{len(self.variants) - 2}-name"
            case [("drop" | "up" | "down") as how, "variant"] if len(path) == 1 and path[0] < len(self.variants) - 1:
                _rearrange(self.variants, how, path[0], limit=len(self.variants) - 1)
                self.focus = f"v{_after(how, path[0], len(self.variants) - 1)}-name"
            case ["add", "hours"] if len(path) == 1 and path[0] < len(self.variants) - 1:
                hours = self.variants[path[0]].hours
                if len(hours) < MAX_HOURS:
                    hours.append(DraftHours())
                    self.focus = f"v{path[0]}-h{len(hours) - 1}-begin"
            case ["drop", "hours"] if len(path) == 2 and path[0] < len(self.variants):
                _rearrange(self.variants[path[0]].hours, "drop", path[1], least=1)
                self.focus = f"v{path[0]}-h0-begin"
            case ["add", "step"] if len(path) == 1 and path[0] < len(self.variants):
                steps = self.variants[path[0]].steps
                if len(steps) < MAX_STEPS:
                    steps.append(DraftStep())
                    self.focus = f"v{path[0]}-s{len(steps) - 1}-to"
            case [("drop" | "up" | "down") as how, "step"] if len(path) == 2 and path[0] < len(self.variants):
                steps = self.variants[path[0]].steps
                _rearrange(steps, how, path[1], least=1)
                self.focus = f"v{path[0]}-s{_after(how, path[1], len(steps))}-to"
            case _:
                pass

    def made(self) -> tuple[Plan | None, dict[str, str]]:
        """The plan, or what is wrong: by place, as the end of a text's key."""
        faults: dict[str, str] = {}
        if not self.name:
            faults["name"] = "no_name"
        names = [variant.name for variant in self.variants]
        variants = []
        for number, variant in enumerate(self.variants):
            where = f"variants.{number}"
            if not variant.name:
                faults[f"{where}.name"] = "no_variant_name"
            elif variant.name in names[:number]:
                faults[f"{where}.name"] = "name_twice"
            hours = [_made_hours(one, f"{where}.hours.{place}", faults) for place, one in enumerate(variant.hours)]
            steps = [_made_step(one, f"{where}.steps.{place}", faults) for place, one in enumerate(variant.steps)]
            variants.append({"name": variant.name, "hours": hours, "steps": steps})
        local = {
            "no_receipt_s": _number(self.no_receipt, "local.no_receipt_s", 5, 600, "bad_receipt", faults),
            "no_claim_s": _number(self.no_claim, "local.no_claim_s", 15, 3600, "bad_claim", faults),
        }
        defer_h = _number(self.defer_within, "defer_within_h", 1, MAX_DEFER_H, "bad_defer", faults)
        if faults:
            return None, faults
        made = {"name": self.name, "variants": variants, "local": local, "defer_within_h": defer_h}
        try:
            return Plan.model_validate(made), {}
        except ValidationError as error:
            return None, {".".join(map(str, problem["loc"])): "bad_plan" for problem in error.errors()}


def draft_of(plan: Plan, *, tenant: str = "", service: str = "", version: str = "") -> Draft:
    """A plan as the form shows it."""
    return Draft(
        name=plan.name,
        tenant=tenant,
        service=service,
        version=version,
        no_receipt=str(plan.local.no_receipt_s),
        no_claim=str(plan.local.no_claim_s),
        defer_within=str(plan.defer_within_h),
        variants=[
            DraftVariant(
                name=variant.name,
                hours=[
                    DraftHours(
                        days=set(hours.days), begin=clock_words(hours.begin), to=clock_words(hours.to % (24 * 60))
                    )
                    for hours in variant.hours
                ],
                steps=[
                    DraftStep(
                        to=step.team or str(step.receiver),
                        by=set(step.channels),
                        patience=str(step.patience_s),
                        is_accepted=step.ends is Ends.ACCEPTED,
                    )
                    for step in variant.steps
                ],
            )
            for variant in plan.variants
        ],
    )


def draft_from(form: Fields) -> Draft:
    """What was sent, with at least one variant of one step."""
    draft = Draft(
        name=_text(form, "name", 128),
        tenant=_text(form, "tenant", 16),
        service=_text(form, "service", 16),
        why=_text(form, "why", 256),
        version=_text(form, "version", 9),
        no_receipt=_text(form, "no_receipt", 9),
        no_claim=_text(form, "no_claim", 9),
        defer_within=_text(form, "defer_within", 9),
    )
    for number in range(MAX_VARIANTS):
        if f"v{number}.name" not in form:
            break
        variant = DraftVariant(name=_text(form, f"v{number}.name", 64))
        for place in range(MAX_HOURS):
            prefix = f"v{number}.h{place}"
            if f"{prefix}.begin" not in form:
                break
            days = {int(day) for day in form.getlist(f"{prefix}.day") if day in {"0", "1", "2", "3", "4", "5", "6"}}
            begin, to = _text(form, f"{prefix}.begin", 9), _text(form, f"{prefix}.to", 9)
            variant.hours.append(DraftHours(days=days, begin=begin, to=to))
        for place in range(MAX_STEPS):
            prefix = f"v{number}.s{place}"
            if f"{prefix}.to" not in form:
                break
            variant.steps.append(
                DraftStep(
                    to=_text(form, f"{prefix}.to", 16),
                    by={str(one) for one in form.getlist(f"{prefix}.by")} & set(channels()),
                    patience=_text(form, f"{prefix}.patience", 9),
                    is_accepted=f"{prefix}.accepted" in form,
                )
            )
        variant.steps = variant.steps or [DraftStep()]
        draft.variants.append(variant)
    draft.variants = draft.variants or [DraftVariant(steps=[DraftStep()])]
    draft.variants[-1].hours = []
    return draft


def minute_of(text: str) -> int | None:
    """07:00 or 7.00 or 0700 as a minute of the day."""
    found = _CLOCK.fullmatch(text.strip())
    return int(found[1]) * 60 + int(found[2]) if found else None


def day_in(text: str) -> date | None:
    """2026-11-22 as a day of these times."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 2000 <= day.year < 2100 else None


def _text(form: Fields, name: str, most: int) -> str:
    value = form.get(name, "")
    return " ".join(_CONTROL.sub(" ", value).split())[:most] if isinstance(value, str) else ""


def _number(text: str, where: str, least: int, most: int, fault: str, faults: dict[str, str]) -> int:
    if text.isascii() and text.isdecimal() and least <= int(text) <= most:
        return int(text)
    faults[where] = fault
    return least


def _made_hours(hours: DraftHours, where: str, faults: dict[str, str]) -> Mapping[str, Any]:
    begin, to = minute_of(hours.begin), minute_of(hours.to)
    if not hours.days:
        faults[f"{where}.days"] = "no_days"
    if begin is None:
        faults[f"{where}.begin"] = "bad_time"
    if to is None:
        faults[f"{where}.to"] = "bad_time"
    return {"days": tuple(sorted(hours.days)), "begin": begin or 0, "to": to or 0}


def _made_step(step: DraftStep, where: str, faults: dict[str, str]) -> Mapping[str, Any]:
    is_team = step.to not in {ReceiverKind.CENTRES.value, ReceiverKind.CONTACTS.value}
    if not step.to:
        faults[f"{where}.receiver"] = "no_receiver"
    if not step.by:
        faults[f"{where}.channels"] = "no_channel"
    if step.to == ReceiverKind.CONTACTS and at_consoles(step.by):
        faults[f"{where}.channels"] = "contacts_console"
    return {
        "receiver": ReceiverKind.TEAM if is_team else step.to,
        "team": step.to if is_team else None,
        "channels": tuple(channel for channel in channels() if channel in step.by),
        "patience_s": _number(step.patience, f"{where}.patience_s", 5, 3600, "bad_patience", faults),
        "ends": Ends.ACCEPTED if step.is_accepted else Ends.CLAIMED,
    }


def _rearrange(items: list[Any], how: str, place: int, *, least: int = 0, limit: int | None = None) -> None:
    end = len(items) if limit is None else limit
    if place >= end:
        return
    if how == "drop":
        if len(items) > least:
            del items[place]
        return
    to = place - 1 if how == "up" else place + 1
    if 0 <= to < end:
        items[place], items[to] = items[to], items[place]


def _after(how: str, place: int, count: int) -> int:
    to = {"up": place - 1, "down": place + 1}.get(how, place)
    return max(0, min(to, count - 1))
