"""One Bluetooth device: what it advertises in, Observations out, copies and refusals counted. Pure."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from drivers.ble.codec import TAG_LENGTH, Frame, Reading, Refused, decode
from drivers.ble.freshness import ALARMING, Freshness, Verdict, is_alarming_reading
from drivers.ble.settings import BleDevice, BleSettings
from drivers.contract import Fact, Observation, Scalar

MEASUREMENTS: Final = frozenset({Fact.BATTERY, Fact.TEMPERATURE, Fact.HUMIDITY})
"""Facts that creep: told when they changed, but not more often than `measurement_s`."""
MAY_ALARM: Final = frozenset({*ALARMING, Fact.BUTTON})
STALE: Final = "counter_went_back"


class Tally:
    """Counts what was not passed on, in the driver's diagnostics."""

    def __init__(self, diagnostics: MutableMapping[str, Scalar]) -> None:
        self._diagnostics = diagnostics
        for name in ("frames_refused", "duplicates", "unknown_objects", "frames_cut_short", "replay_suspects"):
            diagnostics.setdefault(name, 0)

    def add(self, name: str) -> None:
        seen = self._diagnostics.get(name, 0)
        self._diagnostics[name] = seen + 1 if isinstance(seen, int) else 1

    def refuse(self, reason: str) -> None:
        self.add("frames_refused")
        self.add(f"refused_{reason}")
        self._diagnostics["last_refusal"] = reason


class Device:
    """Decides what of a device's advertisements the hub is told.

    A press: once. A state: when it changes, and again every `refresh_s` while the device is heard, which also puts
    right what was lost on the way. A frame that has neither still shows that the device is there: its signal strength
    is told every `refresh_s`.
    """

    def __init__(
        self,
        settings: BleDevice,
        rules: BleSettings,
        *,
        key: bytes | None,
        boot_id: str,
        started_boot_s: float,
        remembered: Callable[[str], int | str | None],
        tally: Tally,
        log: Any,
    ) -> None:
        self.alias = settings.alias
        self.address = bytes.fromhex(settings.address.replace(":", ""))
        self._refresh_s = rules.refresh_s
        self._measurement_s = rules.measurement_s
        self._cipher = AESCCM(key, tag_length=TAG_LENGTH) if key is not None else None
        self._freshness = Freshness(
            alias=settings.alias, key=key, boot_id=boot_id, started_boot_s=started_boot_s, remembered=remembered
        )
        self._tally = tally
        self._log = log
        self._logged: set[str] = set()
        self._known: dict[tuple[int, int], Scalar] = {}
        self._told: dict[tuple[int, int], tuple[Scalar, float]] = {}
        self._told_at_s = float("-inf")

    def hear(self, service_data: bytes, rssi_dbm: int | None, now_s: float) -> list[Observation]:
        """What one advertisement of this device tells; nothing when it was a copy or not believed."""
        if self._freshness.is_copy(service_data, now_s):
            self._tally.add("duplicates")
            return []
        frame = decode(service_data, address=self.address, cipher=self._cipher)
        if isinstance(frame, Refused):
            self._refuse(frame.reason.value)
            return []
        before = self._freshness.counter
        verdict = self._freshness.judge(frame, service_data, now_s, tells_news=self._tells_news(frame))
        if verdict is Verdict.COPY:
            # What it says is what was last heard, if only before a restart: it is known now, and no news later.
            self._known |= {(each.object_id, each.nth): each.value for each in frame.readings}
            self._tally.add("duplicates")
            return []
        if verdict is Verdict.STALE:
            self._refuse(STALE)
            return []
        if frame.unknown_id is not None:
            self._tally.add("unknown_objects")
            self._log_once(f"unknown_{frame.unknown_id}", "ble_object_unknown", object_id=frame.unknown_id)
        if frame.is_truncated:
            self._tally.add("frames_cut_short")
        is_suspect = verdict is Verdict.SUSPECT
        if is_suspect:
            self._tally.add("replay_suspects")
            self._log.warning("ble_counter_went_back", device=self.alias, counter=frame.counter, before=before)
        return self._observe(frame, rssi_dbm, now_s, before if is_suspect else None)

    def _tells_news(self, frame: Frame) -> bool:
        if frame.presses:
            return True
        return any(self._known.get((each.object_id, each.nth)) != each.value for each in frame.readings)

    def _observe(self, frame: Frame, rssi_dbm: int | None, now_s: float, before: int | None) -> list[Observation]:
        is_suspect = before is not None
        # Of a frame that may be a recording only what alarms is believed: it must not clear or reassure.
        readings = [each for each in frame.readings if not is_suspect or is_alarming_reading(each)]
        marks: dict[str, Scalar] = {"counter": frame.counter, "counter_before": before} if is_suspect else {}

        def observation(fact: Fact, value: Scalar, details: dict[str, Scalar]) -> Observation:
            may_alarm = fact in MAY_ALARM
            return Observation(
                device=self.alias,
                fact=fact,
                value=value,
                observed_boot_s=now_s,
                may_alarm=may_alarm,
                rssi_dbm=rssi_dbm,
                details=details | marks,
                remember=self._freshness.remember(is_alarm=may_alarm),
                is_replay_suspect=is_suspect,
            )

        told: list[Observation] = []
        for press in self._freshness.new_presses(frame, now_s):
            details: dict[str, Scalar] = {}
            if press.nth > 1:
                details["button"] = press.nth
            if press.value == "long" and press.count > 1:
                details["count"] = press.count
            told.append(observation(Fact.BUTTON, press.value, details))
        if frame.presses and not told:
            self._tally.add("duplicates")
        told += [
            observation(each.fact, each.value, {"nth": each.nth} if each.nth > 1 else {})
            for each in readings
            if self._is_due(each, now_s, is_suspect=is_suspect)
        ]
        if not told and now_s - self._told_at_s >= self._refresh_s and rssi_dbm is not None:
            told.append(observation(Fact.MEASUREMENT, float(rssi_dbm), {"quantity": "rssi", "unit": "dBm"}))
        if told:
            self._told_at_s = now_s
        return told

    def _is_due(self, reading: Reading, now_s: float, *, is_suspect: bool) -> bool:
        place = reading.object_id, reading.nth
        self._known[place] = reading.value
        value, at_s = self._told.get(place, (None, float("-inf")))
        is_changed = value is None or value != reading.value
        if reading.fact in MEASUREMENTS:
            is_due = now_s - at_s >= (self._measurement_s if is_changed else self._refresh_s)
        else:
            is_due = is_changed or is_suspect or now_s - at_s >= self._refresh_s
        if is_due:
            self._told[place] = reading.value, now_s
        return is_due

    def _refuse(self, reason: str) -> None:
        self._tally.refuse(reason)
        self._log_once(reason, "ble_frame_refused", reason=reason)

    def _log_once(self, key: str, event: str, **facts: Scalar) -> None:
        """The first of a kind is written down, the rest counted: what is refused may come ten times a second."""
        if key not in self._logged:
            self._logged.add(key)
            self._log.warning(event, device=self.alias, **facts)
