"""The one clock of central. Times in the database are whole milliseconds UTC; durations come from `mono_s`."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Wall time and monotonic time. Tests bring their own."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...

    def mono_s(self) -> float:
        """Seconds that never jump."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_s(self) -> float:
        return time.monotonic()
