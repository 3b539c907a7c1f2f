"""Hours of the day in which a rule applies, in a home's own zone; summer time is followed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")


def minutes_of(text: str) -> int:
    """Minutes after midnight of "22:30". Raises ValueError in words."""
    match = _CLOCK.match(text.strip())
    if match is None:
        raise ValueError(f'{text!r} is not a time of day: write hours and minutes, such as "22:00"')
    return int(match[1]) * 60 + int(match[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """From `start` until `end`, minutes after midnight; over midnight when `end` is the earlier one."""

    start: int
    end: int

    @classmethod
    def between(cls, start: str, end: str) -> Hours:
        """Raises ValueError when a time cannot be read or both are the same."""
        hours = cls(start=minutes_of(start), end=minutes_of(end))
        if hours.start == hours.end:
            raise ValueError(f"from {start} to {end} is no time at all: leave the hours out for the whole day")
        return hours

    def __str__(self) -> str:
        return f"{_text(self.start)}-{_text(self.end)}"

    def opened_ms(self, wall_ms: int, zone: ZoneInfo) -> int | None:
        """When the hours that `wall_ms` lies in began; None outside of them."""
        local = _local(wall_ms, zone)
        minute = local.hour * 60 + local.minute
        if self.start < self.end:
            if not self.start <= minute < self.end:
                return None
        elif self.end <= minute < self.start:
            return None
        days_back = 1 if minute < self.start else 0
        return min(wall_ms, _instant_ms(local, -days_back, self.start, zone))

    def opens_ms(self, wall_ms: int, zone: ZoneInfo) -> int:
        """When the hours begin next, strictly after `wall_ms`."""
        local = _local(wall_ms, zone)
        for days in range(3):
            at_ms = _instant_ms(local, days, self.start, zone)
            if at_ms > wall_ms:
                return at_ms
        raise AssertionError("hours begin every day")


def _local(wall_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(wall_ms // 1000, UTC).astimezone(zone)


def _instant_ms(local: datetime, days: int, minute: int, zone: ZoneInfo) -> int:
    day = local.date() + timedelta(days=days)
    return round(datetime.combine(day, time(minute // 60, minute % 60), tzinfo=zone).timestamp() * 1000)


def _text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
