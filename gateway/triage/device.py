"""One device in triage: which fact goes to which rule, and what is kept about the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cloud_sync.vocabulary import BY_WORD, Kind, Scalar
from config.profiles import Meaning
from drivers.contract import Fact, Observation
from gateway.triage.conditions import Condition
from gateway.triage.draft import Draft, Watch
from gateway.triage.moments import Now
from gateway.triage.rules import DeviceRules
from gateway.triage.status import Battery, Mark, Status, Tally
from gateway.triage.supervision import Activity, Heard

MOTION_EVERY_MS = 60_000
"""Motion that goes on is told once a minute."""

_STATUS: dict[Fact, Kind] = {
    Fact.DOOR: BY_WORD["door_state"],
    Fact.MOTION: BY_WORD["motion"],
    Fact.PRESENCE: BY_WORD["presence_state"],
    Fact.CONTACT: BY_WORD["contact_state"],
}
_MEASURED: dict[Fact, Kind] = {
    Fact.TEMPERATURE: BY_WORD["temperature"],
    Fact.HUMIDITY: BY_WORD["humidity"],
    Fact.MEASUREMENT: BY_WORD["measurement"],
}
_SIGNAL_LEVEL = BY_WORD["signal_level"]
_BATTERY_LEVEL = BY_WORD["battery_level"]
_SECURITY = BY_WORD["security"]
_DEVICE_UNKNOWN = BY_WORD["device_unknown"]
_MOVED = frozenset({Fact.DOOR, Fact.PRESENCE})
"""Whoever opens a door, lies down or gets up has moved; the same state told again says nothing."""
_OFF_WORDS = frozenset({"", "0", "off", "false", "no", "none"})

W = TypeVar("W", bound=Watch)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """A device as the health check shows it.

    `state`: missing, link_down, fault, battery_low, never_heard or ok, the first that holds.
    """

    alias: str
    profile: str
    driver: str | None
    is_known: bool
    last_heard_boot_s: float | None
    rssi_dbm: int | None
    battery_pct: int | None
    state: str
    missing_after_s: float | None
    """How long it may be silent; None: its silence says nothing."""
    battery_low_pct: int
    has_battery_warning: bool
    """The device itself says that its battery is low."""


class Device:
    """Judges the Observations of one device. `watches` are all its rules that have a memory, by name."""

    def __init__(
        self, rules: DeviceRules, *, now: Now, fold_ms: int, is_listening: Callable[[str | None], bool]
    ) -> None:
        self.rules = rules
        self.driver = rules.driver
        self.watches: dict[str, Watch] = {}
        self._profile = rules.profile
        self._fold_ms = fold_ms
        self._heard_ms: int | None = None
        self._rssi_dbm: int | None = None
        self.heard: Heard | None = None
        self.activity: Activity | None = None
        if rules.missing_after_ms is not None:
            missing = self._condition("missing", self._profile.missing)
            self.heard = Heard(rules, missing, rules.missing_after_ms, now, lambda: is_listening(self.driver))
            self.watches["heard"] = self.heard
        if self._profile.inactivity_after_s is not None:
            inactive = self._condition("inactivity", self._profile.inactivity)
            self.activity = Activity(rules, inactive, round(self._profile.inactivity_after_s * 1000), now)
            self.watches["activity"] = self.activity

    @property
    def is_line(self) -> bool:
        """Whether others are heard through it: a radio or panel by the settings, and itself not missed."""
        return self.rules.driver is not None and self.rules.missing_after_ms is None

    @property
    def has_link(self) -> bool:
        """Whether its line was not told to be down."""
        return not self._is_on("link")

    def judge(self, seen: Observation, now: Now, draft: Draft) -> bool:
        """Add what this fact means to the draft. Returns whether it shows that the resident is active."""
        fact, value = seen.fact, seen.value
        if seen.rssi_dbm is not None:
            self._rssi_dbm = seen.rssi_dbm
        if seen.is_replay_suspect:
            # It may be a recording: it can raise, and it can neither reassure nor count as a sign of life.
            self._replay.add(now, draft, fact.value)
            if not self._may_raise(fact, value):
                return False
        elif fact is not Fact.LINK or value is True:
            self._heard_ms = now.boot_ms
            if self.heard is not None:
                self.heard.hear(now, draft)
        if not self.rules.is_known and fact is not Fact.LINK:
            self._tell_unknown(fact, draft)
        if fact in self._profile.ignored:
            return False
        is_activity = self._judge_fact(seen, now, draft)
        return is_activity and not seen.is_replay_suspect

    def watch(self, name: str) -> Watch | None:
        """The watch that is remembered under this name, made when it is not there yet; None when no rule has it."""
        if name in self.watches:
            return self.watches[name]
        word, _, nth = name.removeprefix("status.").partition(".")
        match name:
            case "battery":
                return self._battery_low
            case "battery-level":
                return self._battery
            case "limit":
                return self._limit if self._profile.limits is not None else None
            case "replay":
                return self._replay
            case "unknown":
                return self._unknown if not self.rules.is_known else None
        fact = next((each for each in Fact if each.value == word), None)
        if fact is None or (nth and not nth.isdecimal()):
            return None
        meaning = self._profile.meanings.get(fact)
        if name.startswith("status."):
            return self._status(fact, name) if meaning is None and fact in _STATUS else None
        if meaning is None or fact in {Fact.BUTTON, Fact.BATTERY_LOW}:
            return None
        return self._condition(name, meaning)

    def state(self) -> DeviceState:
        """The device as it is now."""
        word = "never_heard" if self._heard_ms is None else "ok"
        for name, found in (
            ("missing", "missing"),
            ("link", "link_down"),
            ("fault", "fault"),
            ("battery", "battery_low"),
        ):
            if self._is_on(name):
                word = found
                break
        battery = self.watches.get("battery-level")
        return DeviceState(
            alias=self.rules.alias,
            profile=self._profile.name,
            driver=self.driver,
            is_known=self.rules.is_known,
            last_heard_boot_s=None if self._heard_ms is None else self._heard_ms / 1000,
            rssi_dbm=self._rssi_dbm,
            battery_pct=battery.pct if isinstance(battery, Battery) else None,
            state=word,
            missing_after_s=None if self.rules.missing_after_ms is None else self.rules.missing_after_ms / 1000,
            battery_low_pct=self._profile.battery_low_pct,
            has_battery_warning=isinstance(battery, Battery) and battery.has_warned,
        )

    def _judge_fact(self, seen: Observation, now: Now, draft: Draft) -> bool:
        fact, value = seen.fact, seen.value
        if fact in _MEASURED:
            self._measure(seen, now, draft)
            return False
        if fact is Fact.BUTTON:
            self._tell(self._profile.meanings[fact], value, fact.value, draft)
            return True
        if fact is Fact.NURSE_CALL:
            # A word that nobody knows is a call: the panel would not have sent it for nothing.
            called = self._profile.calls.get(str(value)) or self._profile.calls["call"]
            self._tell(called, value, f"{fact.value}.{value}", draft)
            return False
        if fact is Fact.BATTERY:
            self._judge_battery(value, now, draft)
            return False
        is_true = truth(value)
        if is_true is None:
            return False
        if fact is Fact.BATTERY_LOW:
            self._judge_battery(is_true, now, draft)
            return False
        name = _name(fact, seen)
        meaning = self._profile.meanings.get(fact)
        if meaning is not None:
            is_on = is_true is meaning.when
            is_change = self._condition(name, meaning).observe(now, draft, is_on=is_on, value=is_true)
            return (is_change and fact in _MOVED) or (is_true and fact in {Fact.MOTION, Fact.CORD})
        status = self._status(fact, f"status.{name}")
        was_known = status.is_known
        is_news = status.is_news(is_true, now)
        if is_news:
            draft.touch(status)
            draft.tell(self.rules, _STATUS[fact], value=is_true)
        return (is_news and was_known and fact in _MOVED) or (is_true and fact is Fact.MOTION)

    def _measure(self, seen: Observation, now: Now, draft: Draft) -> None:
        kind = _MEASURED[seen.fact]
        quantity = seen.details.get("quantity")
        if kind is _MEASURED[Fact.MEASUREMENT] and quantity == "rssi":
            kind = _SIGNAL_LEVEL
        draft.tell(self.rules, kind, value=seen.value)
        limits = self._profile.limits
        if limits is None or seen.fact is not self._profile.main or kind is _SIGNAL_LEVEL:
            return
        if limits.quantity is not None and limits.quantity != quantity:
            return
        value = seen.value
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return
        above, below, margin = limits.above, limits.below, limits.hysteresis
        is_beyond = (above is not None and value > above) or (below is not None and value < below)
        is_inside = (above is None or value <= above - margin) and (below is None or value >= below + margin)
        limit = self._limit
        limit.observe(now, draft, is_on=is_beyond or (limit.is_on and not is_inside), value=value)

    def _judge_battery(self, value: Scalar, now: Now, draft: Draft) -> None:
        battery = self._battery
        if isinstance(value, bool):
            battery.has_warned = value
        elif isinstance(value, int | float) and math.isfinite(value):
            pct = max(0, min(100, round(value)))
            if pct != battery.pct:
                draft.tell(self.rules, _BATTERY_LEVEL, value=pct)
            battery.pct = pct
        else:
            return
        draft.touch(battery)
        condition = self._battery_low
        is_low = battery.is_low(self._profile.battery_low_pct, was_low=condition.is_on)
        condition.observe(now, draft, is_on=is_low, value=battery.pct)

    def _tell(self, meaning: Meaning, value: Scalar, name: str, draft: Draft) -> None:
        """Something that happens at a moment: always an event of its own."""
        draft.tell(
            self.rules,
            meaning.kind,
            lane=meaning.lane,
            action=meaning.action,
            value=value,
            rule=f"{self._profile.name}/{name}",
        )

    def _tell_unknown(self, fact: Fact, draft: Draft) -> None:
        unknown = self._unknown
        if not unknown.is_set:
            unknown.is_set = True
            draft.touch(unknown)
            draft.tell(self.rules, _DEVICE_UNKNOWN, details={"fact": fact.value}, rule="unknown")

    def _may_raise(self, fact: Fact, value: Scalar) -> bool:
        """Whether this fact can raise an alarm of a person or a detector."""
        if fact is Fact.NURSE_CALL:
            return value not in {"presence", "reset"}
        meaning = self._profile.meanings.get(fact)
        if meaning is None or not meaning.kind.is_alarm:
            return False
        return fact is Fact.BUTTON or truth(value) is meaning.when

    def _is_on(self, name: str) -> bool:
        condition = self.watches.get(name)
        return isinstance(condition, Condition) and condition.is_on

    def _condition(self, name: str, meaning: Meaning, *, value: Scalar = None) -> Condition:
        known = self.watches.get(name)
        if isinstance(known, Condition):
            return known
        value = meaning.when if value is None and name.partition(".")[0] in _FACT_WORDS else value
        return self._keep(name, Condition(self.rules, name, meaning, fold_ms=self._fold_ms, value=value))

    def _status(self, fact: Fact, name: str) -> Status:
        known = self.watches.get(name)
        if isinstance(known, Status):
            return known
        every_ms = MOTION_EVERY_MS if fact is Fact.MOTION else None
        return self._keep(name, Status(self.rules, name, every_ms=every_ms))

    @property
    def _limit(self) -> Condition:
        return self._condition("limit", self._profile.limit)

    @property
    def _battery_low(self) -> Condition:
        return self._condition("battery", self._profile.meanings[Fact.BATTERY_LOW])

    @property
    def _battery(self) -> Battery:
        known = self.watches.get("battery-level")
        return known if isinstance(known, Battery) else self._keep("battery-level", Battery(self.rules))

    @property
    def _replay(self) -> Tally:
        known = self.watches.get("replay")
        if isinstance(known, Tally):
            return known
        return self._keep("replay", Tally(self.rules, "replay", _SECURITY, fold_ms=self._fold_ms))

    @property
    def _unknown(self) -> Mark:
        known = self.watches.get("unknown")
        return known if isinstance(known, Mark) else self._keep("unknown", Mark(self.rules, "unknown"))

    def _keep(self, name: str, watch: W) -> W:
        self.watches[name] = watch
        return watch


_FACT_WORDS = frozenset(fact.value for fact in Fact) - {Fact.BATTERY.value}


def truth(value: Scalar) -> bool | None:
    """A two-valued fact as a driver tells it; None when it says nothing. What is not clearly off is on."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.strip().lower() not in _OFF_WORDS
    return bool(value)


def _name(fact: Fact, seen: Observation) -> str:
    """A device may have several of a kind: each has a condition of its own."""
    nth = seen.details.get("nth") if seen.details else None
    return f"{fact.value}.{nth}" if type(nth) is int and nth > 1 else fact.value
