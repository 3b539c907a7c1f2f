"""Which step of a pattern is on at a given moment."""

from __future__ import annotations

from drivers.contract import Pattern

SHORTEST_STEP_S = 0.02
"""Shorter steps are not visible, and would keep the hub busy."""


def step_at(pattern: Pattern, elapsed_s: float) -> tuple[bool, float | None]:
    """Whether the pattern is on after `elapsed_s`, and how long this lasts; None means for good."""
    if not pattern.steps:
        return False, None
    if len(pattern.steps) == 1:
        return pattern.steps[0][0], None
    steps = [(is_on, max(SHORTEST_STEP_S, length_s)) for is_on, length_s in pattern.steps]
    left_s = max(0.0, elapsed_s) % sum(length_s for _is_on, length_s in steps)
    for is_on, length_s in steps:
        if left_s < length_s:
            return is_on, length_s - left_s
        left_s -= length_s
    return steps[0][0], steps[0][1]  # the remainder was rounded up to a whole cycle
