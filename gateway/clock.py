"""The hub's clocks: boot time for durations, wall time with a word on whether it can be trusted.

A Pi has no clock after a power cut. Durations come from CLOCK_BOOTTIME, which also runs while the machine sleeps. Wall
time is believed when the kernel says that it is synchronised, or when central has told the time in a signed message
bound to this run of the hub; otherwise it is at least never earlier than the floor time found on disk.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloud_sync.vocabulary import Stamp

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
KERNEL_CHECK_S = 5.0
DISAGREEMENT_MS = 2_000
"""A wall clock this far from central's is set aside for central's."""
DRIFT = 200e-6
"""How fast a learnt offset may go bad, in seconds per second: a cheap crystal drifts by 20 to 100 ppm."""

_STA_UNSYNC = 0x40
_TIME_ERROR = 5


class _Timex(ctypes.Structure):
    """`struct timex` of <sys/timex.h>, as far as `status`; the rest is room for the kernel to write into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def is_kernel_synchronised() -> bool:
    """What adjtimex(2) says: somebody (NTP, PTP) disciplines the system clock, and lately."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return False
    state = _Timex()
    answer = int(adjtimex(ctypes.byref(state)))
    return answer not in {-1, _TIME_ERROR} and not state.status & _STA_UNSYNC


def boot_id() -> bytes:
    """The kernel's id of this boot, sixteen bytes. Random where the kernel has none to tell."""
    try:
        return bytes.fromhex(BOOT_ID.read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return os.urandom(16)


@dataclass(frozen=True, slots=True)
class _Sample:
    offset_ms: float  # central's clock minus boot time
    uncertainty_ms: float
    at_boot_s: float

    def uncertainty_at(self, boot_s: float) -> float:
        return self.uncertainty_ms + (boot_s - self.at_boot_s) * DRIFT * 1000


class HubClock:
    """Reads the clocks and learns central's. The sources are arguments, so that tests can turn them."""

    def __init__(
        self,
        *,
        floor_ms: int = 0,
        boot_s: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        wall_s: Callable[[], float] = time.time,
        is_synchronised: Callable[[], bool] = is_kernel_synchronised,
    ) -> None:
        self.boot_s = boot_s
        self.floor_ms = floor_ms
        self._wall_s = wall_s
        self._is_synchronised = is_synchronised
        self._sample: _Sample | None = None
        self._at_least: tuple[int, float] | None = None  # central's clock was at least so, at this boot time
        self.set_back = 0
        """How often central's clock was found to have been set back in this run."""
        self._kernel_word = False
        self._kernel_asked_s = float("-inf")

    def stamp(self, observed_boot_s: float | None = None) -> Stamp:
        """Now, or the moment in the near past at which something was observed."""
        boot_s = self.boot_s()
        wall_ms, is_trusted = self._wall(boot_s)
        if observed_boot_s is not None:
            wall_ms -= max(0, round((boot_s - observed_boot_s) * 1000))
            boot_s = min(boot_s, observed_boot_s)
        return Stamp(boot_ms=max(0, round(boot_s * 1000)), wall_ms=max(0, wall_ms), is_wall_trusted=is_trusted)

    @property
    def is_trusted(self) -> bool:
        """Whether the wall time in stamps can be believed."""
        return self._wall(self.boot_s())[1]

    def wall_ms(self) -> int:
        """The best wall time there is, milliseconds since 1970."""
        return self._wall(self.boot_s())[0]

    def central_ms(self) -> int | None:
        """Central's clock now, or None before central has told it in this run."""
        boot_s = self.boot_s()
        known = [] if self._sample is None else [round(self._sample.offset_ms + boot_s * 1000)]
        if self._at_least is not None:
            known.append(self._at_least[0] + round((boot_s - self._at_least[1]) * 1000))
        return max(known, default=None)

    @property
    def central_offset_ms(self) -> float | None:
        """Central's clock minus the system's wall clock, for people to look at."""
        central_ms = None if self._sample is None else self.central_ms()
        return None if central_ms is None else central_ms - self._wall_s() * 1000

    def learn(self, central_ms: int, *, sent_boot_s: float, received_boot_s: float) -> None:
        """Central answered a message of this run. The answer with the shortest round trip is the best witness."""
        round_trip_s = received_boot_s - sent_boot_s
        if round_trip_s < 0:
            return
        middle_ms = (sent_boot_s + received_boot_s) * 500
        new = _Sample(central_ms - middle_ms, round_trip_s * 500, received_boot_s)
        old = self._sample
        is_moved = old is not None and abs(new.offset_ms - old.offset_ms) > (
            old.uncertainty_at(received_boot_s) + new.uncertainty_ms + DISAGREEMENT_MS
        )
        if old is not None and is_moved and new.offset_ms < old.offset_ms:
            self.set_back += 1
        if old is None or is_moved or new.uncertainty_ms <= old.uncertainty_at(received_boot_s):
            self._sample = new
            self._at_least = None
        self.raise_floor()

    def hear(self, central_ms: int) -> None:
        """Central said this of its own accord, some time ago: its clock is at least so far."""
        if self._sample is None and (self.central_ms() or 0) < central_ms:
            self._at_least = (central_ms, self.boot_s())

    def raise_floor(self) -> int:
        """Move the floor up to the present when the present is trusted. Returns the floor, to be kept on disk."""
        wall_ms, is_trusted = self._wall(self.boot_s())
        if is_trusted:
            self.floor_ms = max(self.floor_ms, wall_ms)
        return self.floor_ms

    def _wall(self, boot_s: float) -> tuple[int, bool]:
        wall_ms = round(self._wall_s() * 1000)
        if self._sample is not None:
            central_ms = round(self._sample.offset_ms + boot_s * 1000)
            return (central_ms if abs(central_ms - wall_ms) > DISAGREEMENT_MS else wall_ms), True
        if boot_s - self._kernel_asked_s >= KERNEL_CHECK_S:
            self._kernel_asked_s = boot_s
            self._kernel_word = self._is_synchronised()
        if wall_ms < self.floor_ms:
            return self.floor_ms, False
        return wall_ms, self._kernel_word
