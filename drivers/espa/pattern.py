"""Regular expressions from a settings file, admitted only when no text can make them slow.

Python's matcher backtracks and cannot be stopped, and it would run between a block and its ACK. So a pattern is read
before it is used: a repeat inside a repeat (`(a+)+`, `(a|b)*`) is refused, since it may try exponentially many ways,
and so is a pattern whose repeats multiply to more ways than `WAYS_LIMIT` on a text of TEXT_LIMIT characters.
"""

from __future__ import annotations

import re

from drivers.espa.charset import TEXT_LIMIT

WAYS_LIMIT = TEXT_LIMIT**3 * 4
"""Three open repeats (`.*`, `\\d+`) and two optional parts: half a second at the very worst, microseconds as a rule."""

_OPENING = re.compile(r"\((?:\?(?:P<\w+>|[aimsu-]*:|[=!>]|<[=!]))?(?!\?)")
_FLAGS = re.compile(r"\(\?[aimsu]+\)")
_REFERENCE = re.compile(r"\(\?P=\w+\)")
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises ValueError with what is wrong and what to write instead."""
    try:
        compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    ways = _Reading(pattern).alternatives()
    if ways > WAYS_LIMIT:
        raise ValueError(
            f"{pattern!r} can match one text in too many ways: use at most three open repeats (* or +),"
            " and bounded ones such as \\d{1,4} for the rest"
        )
    return compiled


class _Reading:
    """One pass over a pattern that `re` has accepted, counting the ways in which it may match."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._place = 0

    def alternatives(self) -> int:
        ways, branch = 0, 1
        while self._place < len(self._pattern) and self._pattern[self._place] != ")":
            if self._pattern[self._place] == "|":
                self._place += 1
                ways, branch = ways + branch, 1
                continue
            atom = self._atom()
            low, high = self._quantifier()
            if atom > 1 and high > 1:
                raise ValueError(
                    f"{self._pattern!r} repeats something that can itself match in several ways, which may take for"
                    " ever: use a character class such as [ab]+ or [\\w-]+ instead of a repeated group"
                )
            branch = min(branch * atom * (high - low + 1), WAYS_LIMIT + 1)
        return min(ways + branch, WAYS_LIMIT + 1)

    def _atom(self) -> int:
        pattern, place = self._pattern, self._place
        if pattern[place] == "\\":
            self._place += 2
            return 1
        for plain in (_CLASS, _FLAGS, _REFERENCE):
            if (found := plain.match(pattern, place)) is not None:
                self._place = found.end()
                return 1
        if pattern[place] != "(":
            self._place += 1
            return 1
        opening = _OPENING.match(pattern, place)
        if opening is None:
            raise ValueError(
                f"{pattern!r} uses {pattern[place : place + 4]!r}, which is not supported here: use plain and named"
                " groups such as (?P<room>\\d+)"
            )
        self._place = opening.end()
        ways = self.alternatives()
        self._place += 1
        return ways

    def _quantifier(self) -> tuple[int, int]:
        rest = self._pattern[self._place : self._place + 1]
        if rest and rest in "*+?":
            low, high = (1, TEXT_LIMIT) if rest == "+" else (0, 1 if rest == "?" else TEXT_LIMIT)
            self._place += 1
        elif (count := _COUNT.match(self._pattern, self._place)) is not None and count.group() != "{}":
            low = int(count[1] or 0)
            high = int(count[3] or TEXT_LIMIT) if count[2] else low
            self._place = count.end()
        else:
            return 1, 1
        if self._pattern[self._place : self._place + 1] in {"?", "+"}:
            self._place += 1
        return min(low, TEXT_LIMIT), max(min(high, TEXT_LIMIT), min(low, TEXT_LIMIT))
