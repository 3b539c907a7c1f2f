"""What each sort of device means, before an installation says anything about it.

Every profile knows every fact, so that a press on whatever device is never lost: a door sensor with a button raises
when the button is pressed. A profile differs from that ground in its main fact, its hours and delays, and in how long
its silence is normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cloud_sync.identity import Lane
from cloud_sync.stub import LocalAction
from cloud_sync.vocabulary import BY_WORD, AlarmClass, Kind
from config.hours import Hours
from drivers.contract import Fact

HOUR_S = 3600.0
BATTERY_HYSTERESIS_PCT = 10
"""A battery counts as good again this far above the level at which it counted as low."""

_REPEAT_S = 900.0
_REPEAT_SUPERVISION_S = 12 * HOUR_S

_BACK = {
    "battery_low": "battery_ok",
    "device_missing": "device_back",
    "link_lost": "link_back",
    "mains_lost": "mains_back",
    "detector_fault": "detector_fault_cleared",
}
_ACTIONS = {
    AlarmClass.PERSONAL: LocalAction.LAMP_AND_BUZZER,
    AlarmClass.SAFETY: LocalAction.LAMP_AND_BUZZER,
    AlarmClass.SUPERVISION: LocalAction.LAMP,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What one fact of a device means when its value is `when`.

    `delay_s`: how long it must last; with `hours` only time within them counts. `repeat_after_s`: told again while it
    lasts, this much silence makes it a new event (its end may have been lost on the way).
    """

    kind: Kind
    lane: Lane
    action: LocalAction
    when: bool = True
    delay_s: float = 0.0
    hours: Hours | None = None
    repeat_after_s: float

    @property
    def back(self) -> Kind | None:
        """The kind that says that it is over, where there is one."""
        if self.kind.is_alarm:
            return BY_WORD["alarm_cleared"]
        word = _BACK.get(self.kind.word)
        return None if word is None else BY_WORD[word]

    @property
    def back_lane(self) -> Lane:
        """Where the end is told: technical ends in the lane of their beginning, so that they keep their order."""
        return Lane.CARE if self.kind.is_alarm else self.lane

    @property
    def is_folded(self) -> bool:
        """Only technical conditions are: a person's second press is never folded into the first."""
        return self.kind.alarm_class is AlarmClass.TECHNICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a measured value is out of bounds; `quantity` picks one of several that a device measures."""

    above: float | None = None
    below: float | None = None
    hysteresis: float = 0.0
    quantity: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A sort of device. `main` is the fact that the overrides of a device are about."""

    name: str
    title: str
    main: Fact | None
    meanings: Mapping[Fact, Meaning]
    calls: Mapping[str, Meaning]
    limit: Meaning
    inactivity: Meaning
    missing: Meaning
    missing_after_s: float | None = None
    battery_low_pct: int = 20
    inactivity_after_s: float | None = None
    limits: Limits | None = None
    ignored: frozenset[Fact] = field(default_factory=frozenset)


def means(word: str, *, when: bool = True, lane: Lane | None = None, action: LocalAction | None = None) -> Meaning:
    """A meaning with the lane of its kind and the local action of its class."""
    kind = BY_WORD[word]
    return Meaning(
        kind=kind,
        lane=kind.lane if lane is None else lane,
        action=_ACTIONS.get(kind.alarm_class, LocalAction.NONE) if action is None else action,
        when=when,
        repeat_after_s=_REPEAT_S if kind.alarm_class <= AlarmClass.SAFETY else _REPEAT_SUPERVISION_S,
    )


_GROUND: Mapping[Fact, Meaning] = MappingProxyType(
    {
        Fact.BUTTON: means("pendant_pressed"),
        Fact.CORD: means("cord_pulled"),
        Fact.FALL: means("fall"),
        Fact.SMOKE: means("smoke"),
        Fact.CO: means("carbon_monoxide"),
        Fact.GAS: means("gas"),
        Fact.HEAT: means("heat"),
        Fact.WATER: means("water"),
        Fact.TAMPER: means("tamper"),
        Fact.FAULT: means("detector_fault"),
        Fact.BATTERY_LOW: means("battery_low"),
        Fact.MAINS: means("mains_lost", when=False),
        Fact.LINK: means("link_lost", when=False),
    }
)
_CALLS: Mapping[str, Meaning] = MappingProxyType(
    {
        "call": means("nurse_call"),
        "emergency": means("nurse_emergency"),
        "assistance": means("nurse_assistance"),
        "presence": means("nurse_presence"),
        "reset": means("nurse_reset"),
    }
)


def _profile(
    name: str,
    title: str,
    main: Fact | None,
    meanings: Mapping[Fact, Meaning] | None = None,
    *,
    missing_after_h: float | None = 26.0,
    inactivity_after_h: float | None = None,
    inactive_between: tuple[str, str] | None = None,
) -> Profile:
    inactivity = means("inactivity")
    if inactive_between is not None:
        inactivity = replace(inactivity, hours=Hours.between(*inactive_between))
    return Profile(
        name=name,
        title=title,
        main=main,
        meanings=MappingProxyType({**_GROUND, **(meanings or {})}),
        calls=_CALLS,
        limit=means("limit_exceeded"),
        inactivity=inactivity,
        missing=means("device_missing"),
        missing_after_s=None if missing_after_h is None else missing_after_h * HOUR_S,
        inactivity_after_s=None if inactivity_after_h is None else inactivity_after_h * HOUR_S,
    )


def _after(meaning: Meaning, minutes: float, between: tuple[str, str] | None = None) -> Meaning:
    return replace(meaning, delay_s=minutes * 60, hours=None if between is None else Hours.between(*between))


_ABSENT = means("bed_absent", when=False)

_ALL = (
    _profile("pendant", "Alarm button worn on neck or wrist, or fixed to a wall", Fact.BUTTON),
    _profile("pull-cord", "Pull cord, in a bathroom for instance", Fact.CORD),
    _profile(
        "assault-button",
        "Assault button of staff or resident: neither lamp nor buzzer gives it away",
        Fact.BUTTON,
        {Fact.BUTTON: means("assault", action=LocalAction.NONE)},
    ),
    _profile("fall-sensor", "Fall sensor", Fact.FALL),
    _profile(
        "seizure-sensor",
        "Sensor for epileptic seizures, wired to a plain contact",
        Fact.CONTACT,
        {Fact.CONTACT: means("seizure")},
    ),
    _profile("smoke-detector", "Smoke detector", Fact.SMOKE),
    _profile("co-detector", "Carbon monoxide detector", Fact.CO),
    _profile("gas-detector", "Gas detector", Fact.GAS),
    _profile("heat-detector", "Heat detector", Fact.HEAT),
    _profile("water-sensor", "Water leak sensor", Fact.WATER),
    _profile(
        "bed-mat",
        "Bed sensor: nobody in bed for 15 minutes between 22:00 and 07:00",
        Fact.PRESENCE,
        {Fact.PRESENCE: _after(_ABSENT, 15, ("22:00", "07:00"))},
        missing_after_h=6,
    ),
    _profile(
        "chair-mat",
        "Chair sensor: nobody in the chair for 30 minutes between 08:00 and 22:00",
        Fact.PRESENCE,
        {Fact.PRESENCE: _after(_ABSENT, 30, ("08:00", "22:00"))},
        missing_after_h=6,
    ),
    _profile(
        "door",
        "Door left open for 10 minutes",
        Fact.DOOR,
        {Fact.DOOR: _after(means("door_left_open"), 10)},
        missing_after_h=6,
    ),
    _profile(
        "door-night",
        "Door opened between 22:00 and 06:00",
        Fact.DOOR,
        {Fact.DOOR: _after(means("door_opened"), 0, ("22:00", "06:00"))},
        missing_after_h=6,
    ),
    _profile("motion", "Motion sensor: activity, no alarm of its own", Fact.MOTION, missing_after_h=6),
    _profile(
        "activity",
        "Motion sensor: no sign of life for 12 hours, told between 08:00 and 22:00",
        Fact.MOTION,
        missing_after_h=6,
        inactivity_after_h=12,
        inactive_between=("08:00", "22:00"),
    ),
    _profile(
        "medicine-dispenser",
        "Medicine dispenser with a contact for a dose that was not taken",
        Fact.CONTACT,
        {Fact.CONTACT: means("medication_missed")},
    ),
    _profile(
        "nurse-call",
        "Nurse-call panel or room: call, emergency, assistance, presence, reset",
        Fact.NURSE_CALL,
        # A silent panel means that no call of the whole ward comes through.
        {Fact.LINK: means("link_lost", when=False, lane=Lane.CARE, action=LocalAction.LAMP)},
        missing_after_h=None,
    ),
    _profile("mains", "Mains supply of the hub or a device", Fact.MAINS, missing_after_h=None),
    _profile(
        "thermometer",
        "Thermometer: measurements, alarm beyond limits that are set",
        Fact.TEMPERATURE,
        missing_after_h=6,
    ),
    _profile(
        "hygrometer",
        "Humidity sensor: measurements, alarm beyond limits that are set",
        Fact.HUMIDITY,
        missing_after_h=6,
    ),
    _profile(
        "health-meter",
        "Blood pressure, pulse, weight and so on: measurements, alarm beyond limits that are set",
        Fact.MEASUREMENT,
        missing_after_h=None,
    ),
    _profile("generic-contact", "A plain contact: set `kind` to say what it means", Fact.CONTACT),
    _profile("other", "Anything else: presses and detectors raise, the rest is status", None, missing_after_h=None),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _ALL})
UNKNOWN = replace(PROFILES["other"], name="unknown", title="A device that the settings do not know")
