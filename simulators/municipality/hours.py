"""The time of a night: what the wall clock in town shows, which instant that is, and a clock that is set by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND_MS = 1000
NOON = 12


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours from an evening to the noon after, in a time zone."""

    evening: date
    zone: ZoneInfo

    def at(self, wall: str, *, second: bool = False) -> int:
        """The instant of "22:05" or "22:05:30". `second`: where the clock shows it twice, the later one."""
        hour, minute, seconds = ([int(part) for part in wall.split(":")] + [0])[:3]
        day = self.evening if hour >= NOON else self.evening + timedelta(days=1)
        local = datetime(day.year, day.month, day.day, hour, minute, seconds, tzinfo=self.zone, fold=int(second))
        return int(local.astimezone(UTC).timestamp()) * SECOND_MS

    def wall(self, at_ms: int) -> str:
        """What the wall clock shows, with the name of its time: the same hour may come twice."""
        return self._local(at_ms).strftime("%H:%M:%S %Z")

    def hour(self, at_ms: int) -> str:
        """The hour of the wall clock."""
        return self._local(at_ms).strftime("%H:00 %Z")

    def minute(self, at_ms: int) -> int:
        """The minute of the local day."""
        local = self._local(at_ms)
        return local.hour * 60 + local.minute

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / SECOND_MS, UTC).astimezone(self.zone)


class TownClock:
    """Wall time and monotonic time that move together, and only when told to."""

    def __init__(self, wall_ms: int) -> None:
        self._wall_ms = wall_ms
        self._mono_s = 10_000.0

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        return self._wall_ms

    def mono_s(self) -> float:
        """Seconds that never go back."""
        return self._mono_s

    def set_to(self, at_ms: int) -> None:
        """Time passes until then. Raises ValueError for a time that is over."""
        if at_ms < self._wall_ms:
            raise ValueError(f"time does not go back: {at_ms} is before {self._wall_ms}")
        self._mono_s += (at_ms - self._wall_ms) / SECOND_MS
        self._wall_ms = at_ms
