"""How far a hub's clocks are from central's, learnt from every message it sends.

A message says what the hub's clocks showed when it was made; it arrives a moment later, or minutes later when a network
held it. The true offset is therefore the smallest that was seen of late: a message that was held makes it too large,
nothing makes it too small but a clock that was set, which is forgotten after ten minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from cloud_sync.hub_messages import Sender

WINDOW_MS = 300_000
MAX_RUNS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """Central's time minus the hub's, in ms. `wall_ms` None: the hub does not trust its wall clock."""

    boot_ms: int
    wall_ms: int | None

    def least(self, other: Offset | None) -> Offset:
        """The smaller of both, clock by clock."""
        if other is None:
            return self
        walls = [wall for wall in (self.wall_ms, other.wall_ms) if wall is not None]
        return Offset(boot_ms=min(self.boot_ms, other.boot_ms), wall_ms=min(walls, default=None))


class Offsets:
    """The offsets of runs of hubs, in memory: a run that is heard again is learnt again."""

    def __init__(self) -> None:
        self._runs: OrderedDict[tuple[bytes, bytes], tuple[int, Offset, Offset | None]] = OrderedDict()

    def hear(self, sender: Sender, now_ms: int) -> Offset:
        """Take in one authentic message. Returns the best offset now."""
        stamp = sender.stamp
        seen = Offset(boot_ms=now_ms - stamp.boot_ms, wall_ms=now_ms - stamp.wall_ms if stamp.is_wall_trusted else None)
        key = (sender.hub, sender.sender_epoch)
        since_ms, current, before = self._runs.pop(key, (now_ms, seen, None))
        if not 0 <= now_ms - since_ms < WINDOW_MS:
            since_ms, current, before = now_ms, seen, current
        current = current.least(seen)
        self._runs[key] = (since_ms, current, before)
        if len(self._runs) > MAX_RUNS:
            self._runs.popitem(last=False)
        return current.least(before)

    def forget(self) -> None:
        """Central's own clock was set: everything is learnt again from the next messages."""
        self._runs.clear()
