"""Times, ages and numbers as people read them, in the zone and language of the console."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from central.console.catalogue import Words

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MINUS = "\N{MINUS SIGN}"
_THIN = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Figures:
    """How numbers and times look for one reader."""

    words: Words
    zone: ZoneInfo

    def clock(self, at_ms: int) -> str:
        """Hours, minutes and seconds."""
        return self._local(at_ms).strftime("%H:%M:%S")

    def short_clock(self, at_ms: int) -> str:
        """Hours and minutes."""
        return self._local(at_ms).strftime("%H:%M")

    def date(self, at_ms: int) -> str:
        """Day, month and year."""
        moment = self._local(at_ms)
        if self.words.language == "nb":
            return f"{moment:%d.%m.%Y}"
        return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}"

    def day_and_month(self, day: dt.date) -> str:
        """Where the year goes without saying."""
        return f"{day:%d.%m.}" if self.words.language == "nb" else f"{day.day} {_MONTHS[day.month - 1]}"

    def when(self, at_ms: int, now_ms: int) -> str:
        """The clock today, date and clock before."""
        if self._local(at_ms).date() == self._local(now_ms).date():
            return self.clock(at_ms)
        return f"{self.date(at_ms)} {self.short_clock(at_ms)}"

    def age(self, since_ms: int, until_ms: int) -> str:
        """0:09, 1:45, 72:10 up to three hours; then 4 t, 3 d. The page's script writes the same."""
        seconds = max(0, until_ms - since_ms) // 1000
        if seconds < 3 * 3600:
            return f"{seconds // 60}:{seconds % 60:02d}"
        if seconds < 72 * 3600:
            return f"{seconds // 3600} {self.words('time.unit_h')}"
        return f"{seconds // 86400} {self.words('time.unit_d')}"

    def ago(self, at_ms: int | None, now_ms: int) -> str:
        """9 s ago."""
        if at_ms is None:
            return self.words("time.never")
        seconds = max(0, now_ms - at_ms) // 1000
        for unit, size, upto in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
            if seconds < upto:
                return self.words(f"time.{unit}_ago", n=seconds // size)
        return self.words("time.d_ago", n=seconds // 86_400)

    def number(self, value: float, digits: int | None = None) -> str:
        """With the language's comma; up to one decimal under 100 unless told."""
        if digits is None:
            digits = 0 if float(value).is_integer() or abs(value) >= 100 else 1
        text = f"{abs(value):,.{digits}f}".replace(",", _THIN)
        if self.words.language == "nb":
            text = text.replace(".", ",")
        return f"{_MINUS}{text}" if value < 0 and text.strip("0.,") else text

    def span(self, ms: float) -> str:
        """48 ms, 4.1 s, 2 min 5 s."""
        if ms < 1000:
            return f"{self.number(ms, 1 if 0 < ms < 10 else 0)} ms"
        if ms < 60_000:
            return f"{self.number(ms / 1000, 1)} {self.words('time.unit_s')}"
        minutes, seconds = divmod(round(ms / 1000), 60)
        if minutes < 120:
            return f"{minutes} {self.words('time.unit_min')} {seconds} {self.words('time.unit_s')}"
        return f"{minutes // 60} {self.words('time.unit_h')} {minutes % 60} {self.words('time.unit_min')}"

    def _local(self, at_ms: int) -> datetime:
        return datetime.fromtimestamp(at_ms / 1000, self.zone)
