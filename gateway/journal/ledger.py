"""What of one lane is on the card, settled, kept for a while, to be deleted, or lost: in memory, without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cloud_sync.identity import Lane
from gateway.journal.database import Found
from gateway.journal.numbering import Range, Spans

AGAIN = 0


class Ledger:
    """The bookkeeping of a lane. Ids are row ids.

    After a start `present` may hold ids that are not there (holes inside an epoch), until `survey` has gone by.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.present = Spans()
        self.settled = Spans()
        self.kept: dict[int, Spans] = {}
        self.again = Spans()
        """Settled once, by a central that has lost it since. On the card these are kept under day 0."""
        self.gaps = Spans()
        self.dropped = 0
        """How many became gaps since the start."""
        self.doomed = Spans()
        """To be deleted, when there is a commit to ride on."""
        self.high = 0
        """The greatest id ever given out."""
        self.mean_bytes = 0.0
        self.is_exact = True
        self.arrivals = 0
        """Counts what was added out of order, so that a survey that ran beside it is not believed."""
        self.changed_days: set[int] = set()
        self.has_changed_gaps = False

    def load(self, found: Found) -> None:
        """Begin with what a file holds."""
        lane = self.lane
        for first, last in found.present.get(lane, ()):
            self.present.add(first, last)
            self.is_exact = self.is_exact and first == last
        for its_lane, day, first, last in found.kept:
            if its_lane is not lane:
                continue
            if day == AGAIN:
                self.again.add(first, last)
            else:
                self.kept.setdefault(day, Spans()).add(first, last)
                self.settled.add(first, last)
        for its_lane, first, last in found.gaps:
            if its_lane is lane:
                self.gaps.add(first, last)
        self.mean_bytes = self.mean_bytes or found.mean_bytes.get(lane, 0.0)
        told = int(found.meta.get(f"last/{lane.word}", 0))
        self.high = max(self.high, told, self.present.last, self.settled.last, self.gaps.last)

    def stored(self, ids: Sequence[int], size_bytes: int) -> None:
        """These are durable now. What central had receipted before is deleted again, unless it is to be kept."""
        for first, last in runs(ids):
            if first <= self.present.last:
                self.arrivals += 1
            self.present.add(first, last)
            self.high = max(self.high, last)
            self.doom(first, last)
        if ids:
            mean = size_bytes / len(ids)
            self.mean_bytes = mean if not self.mean_bytes else self.mean_bytes + (mean - self.mean_bytes) / 8

    def doom(self, first: int, last: int) -> None:
        """Delete what of these is settled (still: central may have been restored meanwhile) and not to be kept."""
        ranges = list(self.settled.within(first, last))
        for kept in self.kept.values():
            ranges = [part for low, high in ranges for part in kept.outside(low, high)]
        for part in ranges:
            self.doomed.add(*part)

    def settle(self, ranges: Iterable[Range], day: int, *, is_kept: bool) -> int:
        """Central has these. Returns how many were not settled before."""
        count = 0
        for first, last in ranges:
            for low, high in list(self.settled.outside(first, last)):
                count += high - low + 1
                if is_kept:
                    self.kept.setdefault(day, Spans()).add(low, high)
                    self.changed_days.add(day)
                else:
                    for part in list(self.present.within(low, high)):
                        self.doomed.add(*part)
            self.settled.add(first, last)
            if self.again.overlaps(first, last):
                self.again.remove(first, last)
                self.changed_days.add(AGAIN)
            if self.gaps.overlaps(first, last):
                self.gaps.remove(first, last)
                self.has_changed_gaps = True
        return count

    def offer_again(self) -> None:
        """Central has lost what it had: nothing is settled any more."""
        for spans in self.kept.values():
            for first, last in spans:
                self.again.add(first, last)
        self.changed_days.update(self.kept, [AGAIN])
        self.kept.clear()
        self.settled.clear()
        self.doomed.clear()

    def expire(self, day: int) -> None:
        """What was settled on that day or before need not be kept."""
        for old in [old for old in self.kept if old <= day]:
            for first, last in self.kept.pop(old):
                self.doom(first, last)
            self.changed_days.add(old)

    def lose(self, ranges: Iterable[Range]) -> None:
        """These will never come; what was settled before is no loss."""
        for first, last in ranges:
            self.present.remove(first, last)
            self.high = max(self.high, last)
            for part in list(self.settled.outside(first, last)):
                before = self.gaps.size
                self.gaps.add(*part)
                self.dropped += self.gaps.size - before
                self.has_changed_gaps = True

    def on_day(self, day: int) -> list[Range]:
        """What the card shall hold as kept since that day."""
        return list(self.again if day == AGAIN else self.kept.get(day, ()))

    def days(self) -> list[int]:
        """Days with something to hold."""
        return [*self.kept, AGAIN]

    def deleted(self, first: int, last: int) -> None:
        """These are gone from the card."""
        self.present.remove(first, last)

    def unsettled(self, first: int, last: int) -> list[Range]:
        """Where in first..last to look for records to send."""
        return list(self.settled.outside(first, last))

    def count(self) -> int:
        """How many wait for a receipt."""
        return sum(last - first + 1 for first, last in self.present.minus(self.settled))

    def oldest(self) -> int | None:
        """The first that waits for a receipt."""
        return next((first for first, _ in self.present.minus(self.settled)), None)

    def surveyed(self, after: int, ids: Sequence[int], last: int) -> None:
        """Only `ids` are there of what lies after `after` up to `last`."""
        there = Spans(runs(ids))
        for part in list(there.outside(after + 1, last)):
            self.present.remove(*part)


def runs(ids: Sequence[int]) -> list[Range]:
    """Ascending ids as closed ranges."""
    found: list[Range] = []
    for row in ids:
        if found and found[-1][1] + 1 == row:
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return found


Ledgers = Mapping[Lane, Ledger]
