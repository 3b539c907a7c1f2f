"""Counters and durations, without personal data."""

from __future__ import annotations

from collections import Counter
from typing import Any


class Metrics:
    """Counts since start. Names are `group.reason`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] += by

    def snapshot(self) -> dict[str, Any]:
        """All counters, for /api/v1/metrics."""
        return {"counts": dict(sorted(self.counts.items()))}
