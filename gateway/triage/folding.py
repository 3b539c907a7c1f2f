"""Telling a technical condition that comes and goes: the first pair at once, then at most one event in a while.

Pure; the state is a handful of numbers. What was not told is counted, and the count is told.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.triage.moments import Moment, Now, recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One thing to tell: the state, and how many changes it stands for."""

    is_on: bool
    count: int = 1


class Fold:
    """`pair`: both beginning and end are told; otherwise only beginnings are."""

    __slots__ = ("_folded", "_length_ms", "_pair", "_start", "_told")

    def __init__(self, length_ms: int, *, pair: bool) -> None:
        self._length_ms = length_ms
        self._pair = pair
        self._start: Moment | None = None
        self._told = 0
        self._folded = 0

    def change(self, *, is_on: bool, now: Now) -> Told | None:
        """The condition began or ended."""
        if not is_on and not self._pair:
            return None
        if self._start is None or (now.boot_ms - self._start.at_ms >= self._length_ms and not self._folded):
            self._start, self._told = now.moment(), 0
        if self._told < (2 if self._pair else 1):
            self._told += 1
            return Told(is_on=is_on)
        self._folded += 1
        return None

    def due_ms(self) -> int | None:
        """When what was folded has to be told."""
        return self._start.at_ms + self._length_ms if self._start is not None and self._folded else None

    def run(self, *, is_on: bool, now: Now) -> Told | None:
        """Tell the present state when it is time."""
        due_ms = self.due_ms()
        if due_ms is None or due_ms > now.boot_ms:
            return None
        told = Told(is_on=is_on or not self._pair, count=self._folded)
        self._start, self._told, self._folded = now.moment(), 1, 0
        return told

    def dump(self) -> str:
        return "" if self._start is None else f"{self._told},{self._folded},{self._start.text}"

    def restore(self, text: str, now: Now) -> None:
        told, _, rest = text.partition(",")
        folded, _, start = rest.partition(",")
        if told.isdecimal() and folded.isdecimal():
            self._told, self._folded = int(told), int(folded)
            self._start = recall(start, now, assumed_ms=self._length_ms)
