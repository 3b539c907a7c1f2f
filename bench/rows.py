"""A measured row and how it is judged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a value is beside its budget."""

    NONE = ""
    AIM = "aim"
    MUST = "must"
    MISS = "MISS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """What else one could take did in the same run, in the unit of the row."""

    name: str
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `must` and `aim` come together or not at all; less is better unless said otherwise."""

    what: str
    value: float
    unit: str
    must: float | None = None
    aim: float | None = None
    is_more_better: bool = False
    peer: Peer | None = None

    @property
    def verdict(self) -> Verdict:
        """How the value stands to its budget."""
        if self.must is None or self.aim is None:
            return Verdict.NONE
        if self._is_within(self.aim):
            return Verdict.AIM
        return Verdict.MUST if self._is_within(self.must) else Verdict.MISS

    @property
    def ratio(self) -> float | None:
        """Ours to the peer's."""
        return self.value / self.peer.value if self.peer is not None and self.peer.value else None

    def _is_within(self, limit: float) -> bool:
        return self.value >= limit if self.is_more_better else self.value <= limit

    def as_json(self) -> dict[str, Any]:
        """For results.json."""
        ratio = self.ratio
        return asdict(self) | {
            "value": round(self.value, 4),
            "verdict": self.verdict.value or None,
            "ratio": None if ratio is None else round(ratio, 3),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least this share of all do not exceed."""
    if not values:
        raise ValueError("a percentile of nothing")
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[min(len(ordered), max(1, rank)) - 1]


def median(values: Sequence[float]) -> float:
    """The value in the middle, by nearest rank: one that was measured."""
    return percentile(values, 0.5)
