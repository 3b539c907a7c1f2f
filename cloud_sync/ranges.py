"""Sets of sequence numbers as a receipt carries them: a contiguous high-water mark plus ranges beyond it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cloud_sync.errors import MalformedError

MAX_RANGES = 512
"""More holes than this are not told in one receipt; the hub offers what is missing again."""


class SeqRanges:
    """A growing set of integers ≥ 1, kept as sorted, disjoint, closed ranges. Small as long as the holes are few."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[Sequence[int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Add the closed range first..last (or the one number)."""
        last = first if last is None else last
        if not 1 <= first <= last:
            raise ValueError(f"not a range of sequence numbers: {first}..{last}")
        start = bisect_right(self._lasts, first - 2)
        end = start
        while end < len(self._firsts) and self._firsts[end] <= last + 1:
            end += 1
        if start < end:
            first = min(first, self._firsts[start])
            last = max(last, self._lasts[end - 1])
        self._firsts[start:end] = [first]
        self._lasts[start:end] = [last]

    @property
    def high(self) -> int:
        """The contiguous high-water mark: everything from 1 up to here is in the set. 0 when 1 is missing."""
        return self._lasts[0] if self._firsts and self._firsts[0] == 1 else 0

    @property
    def last(self) -> int:
        """The greatest number in the set, or 0."""
        return self._lasts[-1] if self._lasts else 0

    def beyond(self) -> list[tuple[int, int]]:
        """The ranges above the high-water mark."""
        skip = 1 if self.high else 0
        return list(zip(self._firsts[skip:], self._lasts[skip:], strict=True))

    def up_to(self, last: int) -> SeqRanges:
        """Those of the set that are not above `last`."""
        return SeqRanges((first, min(end, last)) for first, end in self if first <= last)

    def missing(self, up_to: int) -> list[tuple[int, int]]:
        """The holes in 1..up_to."""
        holes, expected = [], 1
        for first, last in self:
            if first > up_to:
                break
            if first > expected:
                holes.append((expected, first - 1))
            expected = last + 1
        if expected <= up_to:
            holes.append((expected, up_to))
        return holes

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeqRanges) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"SeqRanges({list(self)})"


def ranges_from(value: Any) -> tuple[tuple[int, int], ...]:
    """A list of [first, last] pairs from the wire. Raises MalformedError."""
    if type(value) is not list or len(value) > MAX_RANGES:
        raise MalformedError("ranges")
    found = []
    for pair in value:
        if type(pair) is not list or len(pair) != 2 or any(type(edge) is not int for edge in pair):
            raise MalformedError("ranges")
        first, last = pair
        if not 1 <= first <= last < 2**63:
            raise MalformedError("ranges")
        found.append((first, last))
    return tuple(found)
