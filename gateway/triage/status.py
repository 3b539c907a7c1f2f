"""What is kept of a device beside its conditions: states last told, its battery, what was told once or is counted."""

from __future__ import annotations

from cloud_sync.identity import Lane
from cloud_sync.vocabulary import Kind, Scalar
from config.profiles import BATTERY_HYSTERESIS_PCT
from gateway.triage.draft import Draft, key_of
from gateway.triage.folding import Fold
from gateway.triage.moments import Moment, Now, recall
from gateway.triage.rules import DeviceRules


class _Timeless:
    """A watch without a timer."""

    __slots__ = ()

    def due_ms(self, _now: Now) -> int | None:
        return None

    def run(self, now: Now, draft: Draft) -> None:
        """Never called: it is never due."""


class Status(_Timeless):
    """The state a device last told, where no rule wants it: only changes become telemetry."""

    __slots__ = ("_every_ms", "_last", "_value", "key")

    def __init__(self, device: DeviceRules, name: str, *, every_ms: int | None) -> None:
        self.key = key_of(device.alias, name, Lane.TELEMETRY)
        self._every_ms = every_ms
        self._value: bool | None = None
        self._last: Moment | None = None

    def is_news(self, value: bool, now: Now) -> bool:
        """Whether this is to be told; remembers it then."""
        goes_on = (
            value
            and self._every_ms is not None
            and self._last is not None
            and now.boot_ms - self._last.at_ms >= self._every_ms
        )
        if value is self._value and not goes_on:
            return False
        self._value = value
        self._last = now.moment() if self._every_ms is not None else None
        return True

    @property
    def is_known(self) -> bool:
        """Whether it was ever told."""
        return self._value is not None

    def dump(self) -> str:
        last = "" if self._last is None else self._last.text
        return "" if self._value is None else f"{int(self._value)}|{last}"

    def restore(self, text: str, now: Now) -> None:
        value, _, last = text.partition("|")
        self._value = {"0": False, "1": True}.get(value)
        if last:
            self._last = recall(last, now, assumed_ms=self._every_ms or 0)


class Battery(_Timeless):
    """What is known of a battery: percent as last told, and the device's own warning."""

    __slots__ = ("has_warned", "key", "pct")

    def __init__(self, device: DeviceRules) -> None:
        self.key = key_of(device.alias, "battery-level", Lane.TELEMETRY)
        self.pct: int | None = None
        self.has_warned = False

    def is_low(self, low_pct: int, *, was_low: bool) -> bool:
        """With hysteresis: it counts as good again only well above the level at which it became low."""
        if self.has_warned:
            return True
        if self.pct is None:
            return False
        return self.pct <= low_pct or (was_low and self.pct < low_pct + BATTERY_HYSTERESIS_PCT)

    def dump(self) -> str:
        return f"{'' if self.pct is None else self.pct}|{'warned' if self.has_warned else ''}"

    def restore(self, text: str, _now: Now) -> None:
        pct, _, warned = text.partition("|")
        self.pct = int(pct) if pct.isdecimal() else None
        self.has_warned = warned == "warned"


class Tally:
    """Something that happens at a moment and is told folded: the first at once, then a count once in a while."""

    __slots__ = ("_device", "_fold", "_kind", "_reason", "key")

    def __init__(self, device: DeviceRules, name: str, kind: Kind, *, fold_ms: int) -> None:
        self.key = key_of(device.alias, name, kind.lane)
        self._device = device
        self._kind = kind
        self._reason = name
        self._fold = Fold(fold_ms, pair=False)

    def add(self, now: Now, draft: Draft, value: Scalar) -> None:
        draft.touch(self)
        if self._fold.change(is_on=True, now=now) is not None:
            draft.tell(self._device, self._kind, value=value, details={"reason": self._reason}, rule=self._reason)

    def due_ms(self, _now: Now) -> int | None:
        return self._fold.due_ms()

    def run(self, now: Now, draft: Draft) -> None:
        draft.touch(self)
        told = self._fold.run(is_on=True, now=now)
        if told is not None:
            draft.tell(self._device, self._kind, details={"reason": self._reason}, rule=self._reason, count=told.count)

    def dump(self) -> str:
        return self._fold.dump()

    def restore(self, text: str, now: Now) -> None:
        self._fold.restore(text, now)


class Mark(_Timeless):
    """That something was told once, for ever."""

    __slots__ = ("is_set", "key")

    def __init__(self, device: DeviceRules, name: str) -> None:
        self.key = key_of(device.alias, name, Lane.TECHNICAL)
        self.is_set = False

    def dump(self) -> str:
        return "1" if self.is_set else ""

    def restore(self, text: str, _now: Now) -> None:
        self.is_set = bool(text)
