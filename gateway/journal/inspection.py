"""Looking into a journal from outside, also while the daemon uses it: no content, nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_sync.identity import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One record as it lies there: its name and times in the clear, the rest as hex of what is sealed."""

    lane: Lane
    epoch: str
    seq: int
    wall_ms: int | None
    boot_ms: int | None
    is_settled: bool
    size_bytes: int
    hex: str


def inspect(directory: Path) -> dict[str, Any]:
    """A summary for `vaktpost hub journal --json`: files, epochs, counts, gaps, what was set aside.

    Raises JournalError with a text for a person when there is no journal or it cannot be read.
    """
    raise NotImplementedError


def dump(directory: Path, lane: Lane | None = None) -> Iterator[RawRow]:
    """All records, oldest first per lane, memory flat. Raises JournalError."""
    raise NotImplementedError
