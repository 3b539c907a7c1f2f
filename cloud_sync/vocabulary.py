"""What can happen: the closed list of event kinds, and the Event that triage makes of Observations.

A kind has a number that never changes or is reused (it is on the wire), a word, a class, the lane it travels in by
default, and the rank it is shown by: 0 fire, gas, assault · 1 pressed, pulled, fall · 2 supervision, nurse call ·
3 medication · 4 technical for a critical resident · 5 technical · 6 test and information.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from cloud_sync import canonical
from cloud_sync.errors import MalformedError
from cloud_sync.identity import Lane

Scalar = bool | int | float | str | None

MAX_EVENT_BYTES = 4096
MAX_DETAILS = 32
MAX_TEXT = 256


class AlarmClass(IntEnum):
    """How a municipality sorts alarms; also all that an SMS stub tells."""

    PERSONAL = 1
    SAFETY = 2
    SUPERVISION = 3
    TECHNICAL = 4
    MEASUREMENT = 5
    STATUS = 6


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the vocabulary."""

    code: int
    word: str
    alarm_class: AlarmClass
    lane: Lane
    rank: int

    @property
    def is_alarm(self) -> bool:
        """Whether a person has to answer it: personal, safety and supervision alarms."""
        return self.alarm_class <= AlarmClass.SUPERVISION and self.rank <= 3


_P, _S, _V, _T, _M, _I = AlarmClass
_A, _C, _X, _L = Lane

KINDS: tuple[Kind, ...] = (
    Kind(1, "pendant_pressed", _P, _A, 1),
    Kind(2, "cord_pulled", _P, _A, 1),
    Kind(3, "fall", _P, _A, 1),
    Kind(4, "assault", _P, _A, 0),
    Kind(5, "nurse_emergency", _P, _A, 1),
    Kind(6, "nurse_assistance", _P, _A, 1),
    Kind(7, "seizure", _P, _A, 1),
    Kind(10, "smoke", _S, _A, 0),
    Kind(11, "carbon_monoxide", _S, _A, 0),
    Kind(12, "gas", _S, _A, 0),
    Kind(13, "heat", _S, _A, 0),
    Kind(14, "water", _S, _C, 2),
    Kind(20, "nurse_call", _V, _C, 2),
    Kind(21, "bed_absent", _V, _C, 2),
    Kind(22, "door_opened", _V, _C, 2),
    Kind(23, "door_left_open", _V, _C, 2),
    Kind(24, "inactivity", _V, _C, 2),
    Kind(25, "medication_missed", _V, _C, 3),
    Kind(26, "limit_exceeded", _V, _C, 2),
    Kind(27, "alarm_cleared", _I, _C, 6),  # the device says the condition is over; never closes a personal alarm
    Kind(28, "nurse_presence", _I, _C, 6),
    Kind(29, "nurse_reset", _I, _C, 6),
    Kind(40, "battery_low", _T, _X, 5),
    Kind(41, "battery_ok", _T, _X, 6),
    Kind(42, "device_missing", _T, _X, 5),
    Kind(43, "device_back", _T, _X, 6),
    Kind(44, "link_lost", _T, _X, 5),
    Kind(45, "link_back", _T, _X, 6),
    Kind(46, "mains_lost", _T, _X, 5),
    Kind(47, "mains_back", _T, _X, 6),
    Kind(48, "detector_fault", _T, _X, 5),
    Kind(49, "detector_fault_cleared", _T, _X, 6),
    Kind(50, "tamper", _T, _X, 5),
    Kind(51, "security", _T, _X, 5),
    Kind(52, "epoch_forked", _T, _X, 5),
    Kind(53, "journal_trouble", _T, _X, 5),
    Kind(54, "journal_recovered", _T, _X, 6),
    Kind(55, "driver_parked", _T, _X, 5),
    Kind(56, "driver_back", _T, _X, 6),
    Kind(57, "observations_dropped", _T, _X, 5),
    Kind(58, "clock_untrusted", _T, _X, 5),
    Kind(59, "hub_started", _I, _X, 6),
    Kind(60, "hub_stopped", _I, _X, 6),
    Kind(61, "local_response", _T, _X, 5),
    Kind(62, "path_lost", _T, _X, 5),
    Kind(63, "path_back", _T, _X, 6),
    Kind(64, "device_unknown", _T, _X, 5),
    Kind(65, "safe_mode", _T, _X, 4),  # the hub runs with less than it was set up with
    Kind(66, "safe_mode_over", _T, _X, 6),
    Kind(67, "local_response_ended", _I, _X, 6),
    Kind(68, "local_measure_failed", _T, _X, 5),
    Kind(69, "local_measure_back", _T, _X, 6),
    Kind(70, "test_alarm", _I, _A, 6),  # travels the alarm lane end to end and is answered by machine
    Kind(80, "temperature", _M, _L, 6),
    Kind(81, "humidity", _M, _L, 6),
    Kind(82, "measurement", _M, _L, 6),
    Kind(83, "battery_level", _M, _L, 6),
    Kind(84, "motion", _I, _L, 6),
    Kind(85, "door_state", _I, _L, 6),
    Kind(86, "presence_state", _I, _L, 6),
    Kind(87, "contact_state", _I, _L, 6),
    Kind(88, "signal_level", _M, _L, 6),
)

BY_WORD: Mapping[str, Kind] = {kind.word: kind for kind in KINDS}
BY_CODE: Mapping[int, Kind] = {kind.code: kind for kind in KINDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """When something happened, as the hub knows it. `boot_ms` is CLOCK_BOOTTIME; the boot id is in the epoch header."""

    boot_ms: int
    wall_ms: int
    is_wall_trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What an Observation means for a resident. Sealed before it touches card or wire.

    `device` is the alias on the hub, `resident` a pseudonym (never a name). `rule` names the rule of triage that made
    it, `count` how many conditions were folded into it.
    """

    kind: Kind
    stamp: Stamp
    device: str
    resident: str | None = None
    value: Scalar = None
    details: Mapping[str, Scalar] = field(default_factory=dict)
    device_time_ms: int | None = None
    rule: str | None = None
    count: int = 1

    def to_bytes(self) -> bytes:
        """The plaintext of a record. The stamp is not in it: it lies in the record's clear header."""
        body: dict[int, Any] = {1: self.kind.code, 2: self.device}
        optional = (
            (3, self.resident),
            (4, self.value),
            (5, dict(self.details) or None),
            (6, self.device_time_ms),
            (7, self.rule),
            (8, None if self.count == 1 else self.count),
        )
        body.update((key, value) for key, value in optional if value is not None)
        return canonical.dumps(body)

    @classmethod
    def from_bytes(cls, data: bytes, stamp: Stamp) -> Event:
        """Read a plaintext. Raises MalformedError, with reason "kind" for a kind this version does not know."""
        if len(data) > MAX_EVENT_BYTES:
            raise MalformedError("event_too_long")
        body = canonical.load_map(data)
        code = canonical.take_uint(body, 1, 65536)
        if code not in BY_CODE:
            raise MalformedError("kind", str(code))
        details = body.get(5, {})
        if type(details) is not dict or len(details) > MAX_DETAILS:
            raise MalformedError("details")
        for key, value in details.items():
            if type(key) is not str or len(key) > MAX_TEXT or not is_scalar(value):
                raise MalformedError("details")
        if not is_scalar(body.get(4)):
            raise MalformedError("value")
        return cls(
            kind=BY_CODE[code],
            stamp=stamp,
            device=_text(body, 2) or "",
            resident=_text(body, 3),
            value=body.get(4),
            details=details,
            device_time_ms=canonical.take_optional(body, 6, int),
            rule=_text(body, 7),
            count=canonical.take_optional(body, 8, int) or 1,
        )


def is_scalar(value: object) -> bool:
    """Whether a value may stand in an event: null, bool, 64-bit int, finite float, text of at most 256 characters."""
    if isinstance(value, str):
        return len(value) <= MAX_TEXT
    if isinstance(value, float):
        return value == value and abs(value) != float("inf")  # noqa: PLR0124  # NaN never reaches JSON
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None


def _text(body: Mapping[int, Any], key: int) -> str | None:
    value = canonical.take_optional(body, key, str)
    if value is not None and len(value) > MAX_TEXT:
        raise MalformedError("field", f"{key} is too long")
    return value
