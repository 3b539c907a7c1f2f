"""When a radio counts as stuck, what to do about it, and when people are told. Pure: time comes in as a value.

A stuck radio says that it searches and hears nothing. So does a sound one where nothing advertises. What tells them
apart is what was heard before: how long this place has ever been quiet since the driver started.

* **Too long** is `GAPS` times the longest pause between two advertisements, once `LEARNT` of them were heard; never
  less than `SHORTEST_S` nor more than the setting `silence_s`, which also holds until enough was heard.
* **The rungs**, each after twice the wait of the one before: search anew; switch the radio off and on; restart the
  Bluetooth service where that is allowed. Then from the beginning, `ROUNDS` times over. After that the search alone is
  begun anew, at most `LONGEST_WAIT_S` apart: a quiet home is not reset for ever. Anything heard ends it.
* **People are told** when the radio is to be switched off and on, if this silence is longer than any before by far.
  Where hardly anything was ever heard, silence proves nothing: there the count in the health check has to do.
* A pause that ended right after a reset was not quiet but deafness, and is not learnt from.
* **A search that is refused, or that ends by itself, again and again** climbs the same rungs by count: a bluetoothd
  that answers "in progress" for ever is as stuck as a deaf radio. Being forbidden is no reason to reset anything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

GAPS: Final = 4.0
LEARNT: Final = 20
SHORTEST_S: Final = 30.0
LONGEST_WAIT_S: Final = 3600.0
ROUNDS: Final = 3
REFUSALS: Final = 3
"""So many refusals in a row, and twice as many before each further reset."""


class Rung(StrEnum):
    """What can be done. The words stand in the diagnostics."""

    SCAN = "scan_restarted"
    POWER = "power_cycled"
    SERVICE = "service_restarted"


class Ladder:
    """One radio's record."""

    __slots__ = (
        "_climbed",
        "_heard_at_s",
        "_heard_count",
        "_longest_gap_s",
        "_refusals",
        "_rungs",
        "_silence_s",
        "_since_s",
        "is_told",
    )

    def __init__(self, *, silence_s: float, may_restart_service: bool, now_s: float) -> None:
        self._silence_s = silence_s
        self._rungs = (Rung.SCAN, Rung.POWER, *((Rung.SERVICE,) if may_restart_service else ()))
        self._heard_at_s = now_s
        self._since_s = now_s
        """From when the wait for the next rung counts."""
        self._heard_count = 0
        self._longest_gap_s = 0.0
        self._climbed = 0
        self._refusals = 0
        self.is_told = False
        """People were told that the radio is deaf."""

    @property
    def climbed(self) -> int:
        """How many rungs since anything was heard."""
        return self._climbed

    @property
    def patience_s(self) -> float:
        """How long a silence may last before the first rung."""
        if self._heard_count < LEARNT:
            return self._silence_s
        return min(self._silence_s, max(SHORTEST_S, GAPS * self._longest_gap_s))

    @property
    def due_s(self) -> float:
        """When the next rung is due, if nothing is heard until then."""
        return self._since_s + min(
            max(LONGEST_WAIT_S, self._silence_s), self.patience_s * 2.0 ** min(self._climbed, 16)
        )

    def scanning(self, now_s: float) -> None:
        """A search has begun: the wait counts from here."""
        self._since_s = now_s

    def heard(self, now_s: float) -> bool:
        """Something advertised. True when that ends what people were told of."""
        # A gap in which the radio was reset says nothing about the place.
        if self._climbed <= 1 and self._heard_count:
            self._longest_gap_s = max(self._longest_gap_s, now_s - self._heard_at_s)
        self._heard_at_s = self._since_s = now_s
        self._heard_count += 1
        self._climbed = self._refusals = 0
        was_told, self.is_told = self.is_told, False
        return was_told

    def climb(self, now_s: float) -> Rung:
        """The next rung, now that it is due. Look at `is_told` before and after."""
        place, count = self._climbed % len(self._rungs), len(self._rungs)
        rung = self._rungs[place] if self._climbed < ROUNDS * count else Rung.SCAN
        self._climbed += 1
        if rung is not Rung.SCAN and self._is_evident(now_s):
            self.is_told = True
        return rung

    def refused(self) -> Rung | None:
        """A search was refused or ended by itself. What to do before the next try, None for just trying again."""
        self._refusals += 1
        resets, left = 0, self._refusals
        while left >= REFUSALS and left % 2 == 0 and left > REFUSALS:
            left //= 2
            resets += 1
        if left != REFUSALS:
            return None
        rungs = self._rungs[1:]
        rung: Rung = rungs[resets % len(rungs)]
        return rung

    def granted(self) -> None:
        """A search has lasted."""
        self._refusals = 0

    def _is_evident(self, now_s: float) -> bool:
        return self._heard_count >= LEARNT and now_s - self._heard_at_s >= 2 * self._longest_gap_s
