"""The one clock that all processes of a machine agree on."""

from __future__ import annotations

import time


def boot_s() -> float:
    """CLOCK_BOOTTIME, in seconds."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
