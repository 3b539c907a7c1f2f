"""From the samples of one input to its stable states.

The rules, all in values of time handed in:

- A level counts as a state once it has held for `stable_s` without a contrary sample. It counts at that very moment,
  whenever `advance` or `sample` is next called: no stable state is missed, however late one looks.
- Shorter levels are bounces: counted, never reported.
- The first state is reported too, active or not.
- An input that has not held still for `restless_s` is restless: reported once, and once when it has settled. Where
  the input is `raised_by_unrest`, restless counts as active until it has settled at rest.
- Time never goes back: an earlier time is read as the latest one seen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A new stable state. It began at `since_s` and counted from `at_s`."""

    is_active: bool
    since_s: float
    at_s: float
    is_initial: bool
    is_unrest: bool = False
    """Not a stable level: unrest that counts as active."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restless:
    """The input stopped (or began again) to have a stable level at all."""

    is_restless: bool
    at_s: float


Change = Settled | Restless


class Zone:
    """The debounce of one input."""

    __slots__ = (
        "_edges",
        "_is_raised_by_unrest",
        "_is_restless",
        "_last_s",
        "_level",
        "_restless_s",
        "_since_s",
        "_stable_s",
        "_state",
        "_unsettled_s",
        "bounces",
    )

    def __init__(self, *, stable_s: float, restless_s: float, is_raised_by_unrest: bool = False) -> None:
        """`restless_s` must be longer than `stable_s`, or a plain change would already be unrest."""
        if not 0 < stable_s < restless_s:
            raise ValueError(f"restless_s ({restless_s}) must be longer than stable_s ({stable_s}), both above 0")
        self._stable_s = stable_s
        self._restless_s = restless_s
        self._is_raised_by_unrest = is_raised_by_unrest
        self._state: bool | None = None
        self._level: bool | None = None
        self._since_s = 0.0
        self._unsettled_s: float | None = None
        self._is_restless = False
        self._last_s = float("-inf")
        self._edges = 0
        self.bounces = 0
        """Level changes that led to no state."""

    @property
    def state(self) -> bool | None:
        """The state reported last; None until the first."""
        return self._state

    @property
    def level(self) -> bool | None:
        """The level sampled last."""
        return self._level

    @property
    def is_restless(self) -> bool:
        return self._is_restless

    def due_s(self) -> float | None:
        """When `advance` will have something to report if nothing moves until then; None when settled."""
        if self._unsettled_s is None:
            return None
        settles_s = self._since_s + self._stable_s
        return settles_s if self._is_restless else min(settles_s, self._unsettled_s + self._restless_s)

    def sample(self, is_active: bool, at_s: float) -> tuple[Change, ...]:
        """Take one reading or edge. Returns what had become true before it."""
        changes = self.advance(at_s)
        if is_active is not self._level:
            if self._level is not None:
                self._edges += 1
            self._level = is_active
            self._since_s = self._last_s
            if self._unsettled_s is None:
                self._unsettled_s = self._last_s
        return changes

    def advance(self, now_s: float) -> tuple[Change, ...]:
        """Let time pass with the level as it is. Returns what has become true by `now_s`, in order."""
        self._last_s = now_s = max(now_s, self._last_s)
        if self._unsettled_s is None:
            return ()
        changes: list[Change] = []
        settles_s = self._since_s + self._stable_s
        restless_s = self._unsettled_s + self._restless_s
        if not self._is_restless and restless_s <= now_s and restless_s < settles_s:
            self._is_restless = True
            changes.append(Restless(is_restless=True, at_s=restless_s))
            if self._is_raised_by_unrest and self._state is not True:
                changes.append(self._settle(is_active=True, since_s=self._unsettled_s, at_s=restless_s, is_unrest=True))
        if settles_s <= now_s:
            changes += self._come_to_rest(settles_s)
        return tuple(changes)

    def _come_to_rest(self, at_s: float) -> list[Change]:
        """The level has held: report what that changes."""
        changes: list[Change] = []
        level = bool(self._level)
        if self._is_restless:
            self._is_restless = False
            changes.append(Restless(is_restless=False, at_s=at_s))
        is_first = self._state is None
        if level is not self._state:
            changes.append(self._settle(is_active=level, since_s=self._since_s, at_s=at_s, is_unrest=False))
            self._edges -= 0 if is_first else 1
        self.bounces += max(0, self._edges)
        self._edges = 0
        self._unsettled_s = None
        return changes

    def _settle(self, *, is_active: bool, since_s: float, at_s: float, is_unrest: bool) -> Settled:
        is_initial = self._state is None
        self._state = is_active
        return Settled(is_active=is_active, since_s=since_s, at_s=at_s, is_initial=is_initial, is_unrest=is_unrest)
