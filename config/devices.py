"""`[[devices]]`: which device belongs to which resident, and how it differs from its profile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, KINDS, AlarmClass
from config.hours import Hours
from config.nearest import suggestion
from config.profiles import PROFILES, Limits, Meaning, Profile, means
from drivers.contract import Fact
from ground.models import BaseModel, ConfigDict, Field, StringConstraints, field_validator

DEVICE_KINDS = tuple(
    kind.word
    for kind in KINDS
    if kind.is_alarm or kind.word in {"nurse_presence", "nurse_reset", "tamper", "detector_fault", "mains_lost"}
)
"""What `kind` may be: everything that a device can bring about, nothing that the hub says about itself."""

_MEASURED = frozenset({Fact.TEMPERATURE, Fact.HUMIDITY, Fact.MEASUREMENT})
_LIMIT_KEYS = ("above", "below", "hysteresis", "quantity")
_MOMENTARY = frozenset({Fact.BUTTON, Fact.NURSE_CALL})

AliasPattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$|^[a-z0-9][a-z0-9-]{0,14}\*$")]
ResidentId = Annotated[str, StringConstraints(pattern=r"^r-[0-9a-f]{6,16}$")]
Seconds = Annotated[float, Field(ge=0, le=30 * 86_400)]


class DeviceSettings(BaseModel):
    """What a device means. Everything but alias and profile may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    alias: AliasPattern
    """The device's name on this hub, as its driver uses it. A `*` at the end covers all that begin so: `room-*`."""
    profile: str
    """What sort of device it is; gives every setting below that is left out."""
    resident: ResidentId | None = None
    """The pseudonym that central knows the resident by; never a name. Left out for what belongs to a building."""
    kind: str | None = None
    """The kind of event that the device's main fact raises, instead of the profile's."""
    lane: Literal["alarm", "care", "technical"] | None = None
    """How urgently it travels, instead of the kind's own way."""
    action: Literal["none", "lamp", "lamp_and_buzzer"] | None = None
    """What the hub does on the spot when nobody answers in time."""
    delay_s: Seconds | None = None
    """How long the condition must last before it raises. Not for presses and fire."""
    active_between: Annotated[tuple[str, str], Field(strict=False)] | None = None
    """Hours of the day in which the rule applies, such as `["22:00", "06:00"]`. While the hub does not know the time
    the rule always applies."""
    missing_after_s: Seconds | None = None
    """How long the device may be silent; 0 means that silence says nothing."""
    battery_low_pct: Annotated[int, Field(ge=0, le=90)] | None = None
    """The level at which the battery counts as low."""
    inactivity_after_s: Seconds | None = None
    """Raise when no device of this resident has shown activity for so long; 0 switches it off."""
    above: float | None = None
    """Raise when a measured value is higher."""
    below: float | None = None
    """Raise when a measured value is lower."""
    hysteresis: Annotated[float, Field(ge=0)] | None = None
    """How far back inside the limits a value must come before it counts as normal."""
    quantity: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    """Which of a meter's quantities the limits are for, as the driver names it."""
    ignore: Annotated[tuple[Annotated[Fact, Field(strict=False)], ...], Field(strict=False, max_length=8)] = ()
    """Facts of this device that mean nothing, such as the pairing button of a thermometer."""

    @field_validator("profile")
    @classmethod
    def _is_a_profile(cls, value: str) -> str:
        if value not in PROFILES:
            raise ValueError(f'there is no profile "{value}"; {suggestion(value, PROFILES, what="the profiles are")}')
        return value

    @field_validator("kind")
    @classmethod
    def _is_a_kind(cls, value: str | None) -> str | None:
        if value is not None and value not in DEVICE_KINDS:
            raise ValueError(f'a device cannot raise "{value}"; {suggestion(value, DEVICE_KINDS, what="it can raise")}')
        return value

    @field_validator("active_between")
    @classmethod
    def _are_hours(cls, value: tuple[str, str] | None) -> tuple[str, str] | None:
        if value is not None:
            Hours.between(*value)
        return value

    @property
    def is_family(self) -> bool:
        """Whether the alias covers all devices that begin so."""
        return self.alias.endswith("*")

    @property
    def resolved(self) -> Profile:
        """The profile with this device's overrides. Only for settings in which `objections` found nothing."""
        profile = PROFILES[self.profile]
        hours = None if self.active_between is None else Hours.between(*self.active_between)
        changes: dict[str, object] = {"ignored": frozenset(self.ignore)}
        if self.missing_after_s is not None:
            changes["missing_after_s"] = self.missing_after_s or None
        if self.battery_low_pct is not None:
            changes["battery_low_pct"] = self.battery_low_pct
        if self.inactivity_after_s is not None:
            changes["inactivity_after_s"] = self.inactivity_after_s or None
        if hours is not None:
            changes["inactivity"] = replace(profile.inactivity, hours=hours)
        if self._has_limits:
            changes["limits"] = Limits(
                above=self.above, below=self.below, hysteresis=self.hysteresis or 0.0, quantity=self.quantity
            )
            changes["limit"] = self._override(profile.limit, hours)
        elif profile.main is not None:
            meaning = self._main_meaning(profile)
            if meaning is not None:
                changes["meanings"] = {**profile.meanings, profile.main: self._override(meaning, hours)}
        return replace(profile, **changes)  # type: ignore[arg-type]

    def objections(self) -> Iterator[tuple[str, str, str]]:
        """(key, what is wrong, what to do) for overrides that do not fit the profile or would cost an alarm."""
        profile = PROFILES[self.profile]
        meaning = profile.limit if self._has_limits else self._main_meaning(profile)
        watches_activity = bool(
            profile.inactivity_after_s if self.inactivity_after_s is None else self.inactivity_after_s
        )
        for key in _LIMIT_KEYS:
            if getattr(self, key) is not None and profile.main not in _MEASURED:
                yield key, f'a device with profile "{self.profile}" measures nothing', "leave it out"
        if not self._has_limits and (self.hysteresis is not None or self.quantity is not None):
            key = "hysteresis" if self.hysteresis is not None else "quantity"
            yield key, "belongs to a limit", "set above or below, or leave it out"
        if self.above is not None and self.below is not None and self.below >= self.above:
            yield "below", f"{self.below:g} is not lower than above = {self.above:g}", "every value would raise"
        if profile.main is Fact.NURSE_CALL:
            for key in ("kind", "lane", "action", "delay_s", "active_between"):
                if getattr(self, key) is not None:
                    yield key, "the panel itself says what a nurse call is", "leave it out; see the driver's mapping"
            return
        if meaning is None:
            for key in ("kind", "lane", "action", "delay_s"):
                if getattr(self, key) is not None:
                    yield key, *_nothing_to_override(profile)
            if self.active_between is not None and not watches_activity:
                yield "active_between", *_nothing_to_override(profile)
            return
        changed = self._override(meaning, None)
        yield from self._lane_objections(changed)
        is_prompt = changed.kind.rank <= 1 or profile.main in _MOMENTARY
        for key in ("delay_s", "active_between"):
            value = getattr(self, key)
            if is_prompt and value not in {None, 0.0}:
                yield key, f'"{changed.kind.word}" is raised at once and at any hour', "leave it out"

    @property
    def _has_limits(self) -> bool:
        return self.above is not None or self.below is not None

    def _main_meaning(self, profile: Profile) -> Meaning | None:
        if profile.main is None or profile.main in _MEASURED or profile.main is Fact.NURSE_CALL:
            return None
        known = profile.meanings.get(profile.main)
        if self.kind is None:
            return known
        changed = means(self.kind, when=True if known is None else known.when)
        if known is None:
            return changed
        return replace(changed, delay_s=known.delay_s, hours=known.hours) if changed.kind.rank > 1 else changed

    def _override(self, meaning: Meaning, hours: Hours | None) -> Meaning:
        if self.kind is not None and self._has_limits:
            meaning = replace(means(self.kind), when=meaning.when)
        return replace(
            meaning,
            lane=meaning.lane if self.lane is None else Lane[self.lane.upper()],
            action=meaning.action if self.action is None else LocalAction[self.action.upper()],
            delay_s=meaning.delay_s if self.delay_s is None else self.delay_s,
            hours=meaning.hours if hours is None else hours,
        )

    def _lane_objections(self, meaning: Meaning) -> Iterator[tuple[str, str, str]]:
        if self.lane == "technical" and meaning.kind.alarm_class is not AlarmClass.TECHNICAL:
            yield (
                "lane",
                f'"{meaning.kind.word}" is no technical event and cannot travel as one',
                f'use "{BY_WORD[meaning.kind.word].lane.word}", or leave it out',
            )


def _nothing_to_override(profile: Profile) -> tuple[str, str]:
    if profile.main in _MEASURED:
        return f'profile "{profile.name}" raises nothing without a limit', "set above or below"
    if profile.main is None:
        return f'profile "{profile.name}" has no main fact to change', "choose the profile that fits the device"
    return f'profile "{profile.name}" raises nothing by itself', "set kind to say what it should raise"
