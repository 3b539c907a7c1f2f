"""When a driver that failed is tried again, and when people are told of it. Pure: time comes in as a value.

Three kinds of end, because they pass in different ways:

* The driver itself says what is missing and that it will likely pass (no such port, bus gone): tried again after
  `BACK_OFF_BASE_S` to `BACK_OFF_MAX_S`, with jitter. What was unplugged must be found soon after it is plugged in.
* It crashed, hung or blocked the hub: as above, but parked after `FRUITLESS` ends in a row, with pauses that double
  from `PARKED_BASE_S` to `CRASHING_MAX_S`. It may hear an alarm between two crashes, so the longest pause stays short.
* It says that a person is needed: parked at once, with pauses that double from `PARKED_BASE_S` to `PARKED_MAX_S`.

People are told once, when a driver is parked or failed `FRUITLESS` times in a row, and once when it is back: when it
has run for `STEADY_S`. One observation is not enough: a driver that crashes on every second frame is not back.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum

BACK_OFF_BASE_S = 0.5
BACK_OFF_MAX_S = 60.0
PARKED_BASE_S = 30.0
CRASHING_MAX_S = 300.0
PARKED_MAX_S = 600.0
STEADY_S = 60.0
"""A driver that ran for so long starts again from the shortest pause."""
FRUITLESS = 5
"""After so many ends in a row people are told, though the driver is tried again."""


class End(Enum):
    """Why a run of a driver ended."""

    PASSING = "passing"
    CRASHED = "crashed"
    NEEDS_PERSON = "needs_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How patient the rules are; other than these only in tests."""

    base_s: float = BACK_OFF_BASE_S
    max_s: float = BACK_OFF_MAX_S
    parked_base_s: float = PARKED_BASE_S
    crashing_max_s: float = CRASHING_MAX_S
    parked_max_s: float = PARKED_MAX_S
    steady_s: float = STEADY_S
    fruitless: int = FRUITLESS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """What to do after an end: wait so long. `is_news`: people have not been told of this trouble yet."""

    seconds: float
    is_parked: bool
    is_news: bool


class Comeback:
    """The record of one driver."""

    __slots__ = ("_back_off_s", "_chance", "_parkings", "_times", "failures_in_a_row", "is_told")

    def __init__(self, times: Times, chance: random.Random) -> None:
        self._times = times
        self._chance = chance
        self._back_off_s = times.base_s
        self._parkings = 0
        self.failures_in_a_row = 0
        self.is_told = False
        """People know of it, and have not been told that it is over."""

    def ended(self, end: End, ran_s: float) -> Pause:
        """A run of `ran_s` seconds is over. `steadied` must have been asked before when it was long enough."""
        times = self._times
        if ran_s >= times.steady_s:
            self._forget()
        self.failures_in_a_row += 1
        is_fruitless = self.failures_in_a_row >= times.fruitless
        is_parked = end is End.NEEDS_PERSON or (end is End.CRASHED and is_fruitless)
        is_news = not self.is_told and (is_parked or is_fruitless)
        self.is_told = self.is_told or is_news
        if is_parked:
            longest_s = times.parked_max_s if end is End.NEEDS_PERSON else times.crashing_max_s
            pause_s = min(longest_s, times.parked_base_s * 2.0 ** min(self._parkings, 16))
            self._parkings += 1
            return Pause(seconds=pause_s * self._chance.uniform(0.9, 1.1), is_parked=True, is_news=is_news)
        self._back_off_s = min(times.max_s, self._chance.uniform(times.base_s, self._back_off_s * 3))
        return Pause(seconds=self._back_off_s, is_parked=False, is_news=is_news)

    def steadied(self, ran_s: float) -> bool:
        """Whether a run that has lasted `ran_s` ends a trouble that people were told of. True once."""
        if ran_s < self._times.steady_s:
            return False
        was_told, self.is_told = self.is_told, False
        self._forget()
        return was_told

    def _forget(self) -> None:
        self._back_off_s = self._times.base_s
        self._parkings = 0
        self.failures_in_a_row = 0
