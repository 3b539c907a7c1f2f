"""What somebody in the room sees: the word that the light on the hub's outputs spells.

It knows only pins and times, nothing of what the hub believes: yellow that blinks is waiting, green that stands is
taken, green with short dark gaps is on the way, red is unknown, darkness is off.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MEMORY_S = 3.0
"""A little more than the longest code (2.4 s), so that a gap in it is always in sight."""
SHORT_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class _Change:
    colour: str
    is_on: bool
    at_s: float


class LampWatch:
    """Fed with switchings of the lamp's colours; `word(now)` reads the code. Times from one monotonic clock."""

    def __init__(self) -> None:
        self._changes: deque[_Change] = deque(maxlen=64)
        self._lit: dict[str, float] = {}
        self._gaps: dict[str, tuple[float, float]] = {}

    def switch(self, colour: str, *, is_on: bool, at_s: float) -> None:
        """A colour went on or off, or was said to be what it was."""
        if is_on == (colour in self._lit):
            return
        if is_on:
            dark = next((c for c in reversed(self._changes) if c.colour == colour and not c.is_on), None)
            if dark is not None and at_s - dark.at_s <= SHORT_GAP_S:
                self._gaps[colour] = (dark.at_s, at_s)
            else:
                self._gaps.pop(colour, None)  # it was out for longer than any gap of a code: this is another code
            self._lit[colour] = at_s
        else:
            self._lit.pop(colour, None)
        self._changes.append(_Change(colour, is_on, at_s))

    def colour(self, now_s: float) -> str | None:
        """The colour that shines now or did within the memory; None is darkness."""
        if self._lit:
            return max(self._lit, key=lambda colour: self._lit[colour])
        last = self._changes[-1] if self._changes else None
        return last.colour if last is not None and now_s - last.at_s < MEMORY_S else None

    def since(self) -> float | None:
        """When the colour that shines now came on after another or after darkness; blinking starts nothing anew."""
        if not self._changes:
            return None
        colour, since = self._changes[-1].colour, self._changes[-1].at_s
        before = since
        for change in reversed(self._changes):
            if change.colour != colour or before - change.at_s > MEMORY_S:
                break
            since = before = change.at_s
        return since

    def is_lit(self) -> bool:
        """Whether any colour shines at this very moment."""
        return bool(self._lit)

    def word(self, now_s: float) -> str:
        """`off`, `waiting`, `taken`, `on_the_way` or `unknown`."""
        colour = self.colour(now_s)
        if colour == "green":
            if "green" not in self._lit and now_s - self._changes[-1].at_s > SHORT_GAP_S:
                return "off"
            gap = self._gaps.get("green")
            return "on_the_way" if gap is not None and now_s - gap[1] < MEMORY_S else "taken"
        return {"red": "unknown", "yellow": "waiting"}.get(colour or "", "off")
