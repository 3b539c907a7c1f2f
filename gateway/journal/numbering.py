"""Row numbers: where a record lies in its table, and sets of them.

A row's id is `epoch number << 40 | seq`. Epoch numbers count the runs of the daemon from 1 in both files alike.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

SEQ_BITS = 40
MAX_SEQ = (1 << SEQ_BITS) - 1
MAX_EPOCH_NUMBER = (1 << 22) - 1

Range = tuple[int, int]


def row_id(number: int, seq: int) -> int:
    """The id of a record. Raises ValueError for numbers that nothing has."""
    if not 1 <= seq <= MAX_SEQ:
        raise ValueError(f"not a sequence number: {seq}")
    if not 1 <= number <= MAX_EPOCH_NUMBER:
        raise ValueError(f"not the number of an epoch: {number}")
    return number << SEQ_BITS | seq


def epoch_number(row: int) -> int:
    """Which epoch a row belongs to."""
    return row >> SEQ_BITS


def seq_of(row: int) -> int:
    """The sequence number of a row."""
    return row & MAX_SEQ


def epoch_range(number: int) -> Range:
    """All ids of one epoch."""
    return number << SEQ_BITS | 1, number << SEQ_BITS | MAX_SEQ


class Spans:
    """A set of ids as sorted, disjoint, closed ranges that do not touch. Small as long as the holes are few."""

    __slots__ = ("_firsts", "_lasts", "size")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self.size = 0
        """How many ids are in the set."""
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add first..last."""
        if self._lasts and first == self._lasts[-1] + 1:  # how a lane grows
            self._lasts[-1] = last
            self.size += last - first + 1
            return
        start = bisect_left(self._lasts, first - 1)
        end = start
        while end < len(self._firsts) and self._firsts[end] <= last + 1:
            self.size -= self._lasts[end] - self._firsts[end] + 1
            end += 1
        if start < end:
            first = min(first, self._firsts[start])
            last = max(last, self._lasts[end - 1])
        self._firsts[start:end] = [first]
        self._lasts[start:end] = [last]
        self.size += last - first + 1

    def remove(self, first: int, last: int) -> None:
        """Take first..last out, as far as it is there."""
        for low, high in list(self.within(first, last)):
            at = bisect_left(self._lasts, low)
            left, right = self._firsts[at], self._lasts[at]
            rest = [(left, low - 1)] if left < low else []
            if high < right:
                rest.append((high + 1, right))
            self._firsts[at : at + 1] = [edge for edge, _ in rest]
            self._lasts[at : at + 1] = [edge for _, edge in rest]
            self.size -= high - low + 1

    def within(self, first: int, last: int) -> Iterator[Range]:
        """What of first..last is in the set."""
        at = bisect_left(self._lasts, first)
        while at < len(self._firsts) and self._firsts[at] <= last:
            yield max(first, self._firsts[at]), min(last, self._lasts[at])
            at += 1

    def overlaps(self, first: int, last: int) -> bool:
        """Whether anything of first..last is in the set."""
        return any(True for _ in self.within(first, last))

    def outside(self, first: int, last: int) -> Iterator[Range]:
        """What of first..last is not in the set."""
        for low, high in self.within(first, last):
            if first < low:
                yield first, low - 1
            first = high + 1
        if first <= last:
            yield first, last

    def minus(self, other: Spans) -> Iterator[Range]:
        """What is in this set and not in the other."""
        for first, last in self:
            yield from other.outside(first, last)

    @property
    def last(self) -> int:
        """The greatest id, or 0."""
        return self._lasts[-1] if self._lasts else 0

    def clear(self) -> None:
        """Take everything out."""
        self._firsts.clear()
        self._lasts.clear()
        self.size = 0

    def __contains__(self, row: int) -> bool:
        at = bisect_right(self._firsts, row) - 1
        return at >= 0 and row <= self._lasts[at]

    def __iter__(self) -> Iterator[Range]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __repr__(self) -> str:
        return f"Spans({list(self)})"
