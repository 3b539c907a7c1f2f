"""When a path that is seldom used is asked whether it works. Pure: time and chance come in.

A reserve that nobody has tried is none. The first probe leaves soon after the start, at a moment drawn by chance (a
whole region may have started together), the next ones at a fixed distance. One that could not be sent, or was not
answered, is followed by another one sooner.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass

EVERY_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRule:
    """The times, in seconds."""

    every_s: float = EVERY_S
    first_within_s: float = 600.0
    answered_within_s: float = 900.0
    """A text message may be minutes on its way, both ways."""
    again_s: float = 3600.0
    """After one without an answer."""
    retry_s: float = 300.0
    """After one that could not be sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeView:
    """What is known of the path. Times are wall clock, ms since 1970; `awaited_s` is how long nothing has come back."""

    sent_ms: int | None = None
    answered_ms: int | None = None
    answered_s_ago: float | None = None
    """None also when the clock cannot say, because the answer came in an earlier run."""
    awaited_s: float | None = None
    is_overdue: bool = False
    is_stale: bool = False
    """The last answer says nothing about now: by the plan there should have been another one since."""
    error: str = ""


class Probes:
    """The plan for one path."""

    def __init__(self, chance: random.Random, rule: ProbeRule, now_s: float) -> None:
        self._chance = chance
        self._rule = rule
        self.due_s = now_s + min(rule.first_within_s, rule.every_s) * chance.uniform(0.1, 1.0)
        self._awaited_since_s: float | None = None
        self._sent_s: float | None = None
        self._sent_ms: int | None = None
        self._answered_ms: int | None = None
        self._answered_s: float | None = None
        self._error = ""

    def recall(self, remembered: int | str | None, now_s: float, wall_ms: int) -> None:
        """What an earlier run knew, as `memory` put it; nothing when it is none of that."""
        if not isinstance(remembered, str):
            return
        with suppress(ValueError):
            answered_ms, awaited_ms = map(int, remembered.split())
            self._answered_ms = answered_ms or None
            if awaited_ms:
                self._awaited_since_s = now_s - max(0, wall_ms - awaited_ms) / 1000

    def memory(self, now_s: float, wall_ms: int) -> str:
        """For the next run: when an answer came last, and since when one is missing (0: none)."""
        since_s = self._awaited_since_s
        awaited_ms = 0 if since_s is None else wall_ms - round((now_s - since_s) * 1000)
        return f"{self._answered_ms or 0} {awaited_ms}"

    def sent(self, now_s: float, wall_ms: int) -> None:
        """The network has one."""
        self._sent_s, self._sent_ms, self._error = now_s, wall_ms, ""
        self._await(now_s)
        self.due_s = now_s + self._jittered(min(self._rule.again_s, self._rule.every_s))

    def failed(self, now_s: float, why: str) -> None:
        """One could not be sent."""
        self._error = why
        self._await(now_s)
        self.due_s = now_s + self._jittered(min(self._rule.retry_s, self._rule.every_s))

    def answered(self, now_s: float, wall_ms: int) -> None:
        """Something that was sent has been answered: a probe, or an alarm."""
        self._answered_ms, self._answered_s, self._awaited_since_s, self._error = wall_ms, now_s, None, ""
        self.due_s = now_s + self._jittered(self._rule.every_s)

    def soon(self, now_s: float) -> None:
        """The way is there again after it was away: do not wait for the day's turn."""
        earliest_s = now_s + self._chance.uniform(1.0, 30.0)
        if self._sent_s is not None:
            earliest_s = max(earliest_s, self._sent_s + self._rule.retry_s)
        self.due_s = min(self.due_s, earliest_s)

    def is_overdue(self, now_s: float) -> bool:
        """Whether an answer should have come by now."""
        return self._awaited_since_s is not None and now_s - self._awaited_since_s >= self._rule.answered_within_s

    def view(self, now_s: float, wall_ms: int) -> ProbeView:
        """For people to look at."""
        since_s, ago_s = self._awaited_since_s, self._answered_s_ago(now_s, wall_ms)
        fresh_s = self._rule.every_s + self._rule.answered_within_s
        return ProbeView(
            sent_ms=self._sent_ms,
            answered_ms=self._answered_ms,
            answered_s_ago=ago_s,
            is_stale=self._answered_ms is not None and (ago_s is None or ago_s > fresh_s),
            awaited_s=None if since_s is None else max(0.0, now_s - since_s),
            is_overdue=self.is_overdue(now_s),
            error=self._error,
        )

    def _answered_s_ago(self, now_s: float, wall_ms: int) -> float | None:
        if self._answered_s is not None:
            return max(0.0, now_s - self._answered_s)
        if self._answered_ms is None or wall_ms < self._answered_ms:
            return None
        return (wall_ms - self._answered_ms) / 1000

    def _await(self, now_s: float) -> None:
        if self._awaited_since_s is None:
            self._awaited_since_s = now_s

    def _jittered(self, span_s: float) -> float:
        return span_s * self._chance.uniform(0.9, 1.0)
