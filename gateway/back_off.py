"""How long to wait before a path is tried again. Pure: time and chance come in.

Decorrelated jitter: each pause is drawn anew between the shortest there is and three times the last one, never longer
than `max_s`. The longest pauses are drawn as well, not fixed, so that hubs which failed together do not come back
together. Only a connection on which central was heard and that then held for `stable_s` sets the pauses back: one that
opens and breaks at once earns nothing. What broke such a connection may have broken those of a whole region: from then
on every pause is drawn up to `spread_s` at least.

While an alarm waits, none of this counts: the pause is a short one, always.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOffRule:
    """The limits of one path, in seconds."""

    base_s: float = 0.5
    spread_s: float = 10.0
    max_s: float = 30.0
    stable_s: float = 60.0
    hurry_min_s: float = 0.1
    hurry_max_s: float = 0.2
    """An alarm is to be out within a quarter of a second of the path's return, however long it was away."""
    hurry_grows_s: float = 10.0
    """After so much of an outage pauses are the longest that an alarm allows."""


FRAMES = BackOffRule()
STUBS = BackOffRule(hurry_min_s=0.5, hurry_max_s=2.0)
"""A modem needs seconds to come back by itself."""


class BackOff:
    """The pauses of one path."""

    def __init__(self, chance: random.Random, rule: BackOffRule = FRAMES) -> None:
        self._chance = chance
        self._rule = rule
        self._last_s = rule.base_s
        self._least_most_s = rule.base_s
        self._heard_s: float | None = None
        self._lost_s: float | None = None

    @property
    def last_s(self) -> float:
        """The pause that was drawn last."""
        return self._last_s

    def opened(self) -> None:
        """There is a connection. That alone says nothing."""
        self._heard_s = None

    def heard(self, now_s: float) -> None:
        """Central was heard on it."""
        if self._heard_s is None:
            self._heard_s = now_s

    def lost(self, now_s: float) -> None:
        """The connection is gone, or there was none."""
        self._lost_s = now_s if self._lost_s is None or self._heard_s is not None else self._lost_s
        if self._heard_s is not None and now_s - self._heard_s >= self._rule.stable_s:
            self._last_s, self._least_most_s = self._rule.base_s, self._rule.spread_s
        self._heard_s = None

    def pause_s(self) -> float:
        """How long to wait before the next attempt, when nothing is urgent."""
        rule = self._rule
        most_s = max(self._least_most_s, min(rule.max_s, self._last_s * 3))
        self._last_s = self._chance.uniform(rule.base_s, most_s)
        return self._last_s

    def hurry_s(self, now_s: float) -> float:
        """How long to wait while an alarm waits."""
        rule = self._rule
        outage_s = 0.0 if self._lost_s is None else max(0.0, now_s - self._lost_s)
        share = min(1.0, outage_s / rule.hurry_grows_s)
        most_s = rule.hurry_min_s + (rule.hurry_max_s - rule.hurry_min_s) * share
        return self._chance.uniform(most_s * 0.75, most_s)
