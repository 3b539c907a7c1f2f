"""What drivers and triage remember, over both files: the newest entry of a key counts.

Every call that remembers something gets the next tick, so that a value committed late in one file does not win over a
newer one in the other. (The greater of two counters would not do: a replay counter falls when a battery is changed.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.journal.database import Found, MemoryRow
from gateway.journal.reports import Memory

_INT64 = 1 << 63


class MemoryBook:
    """Everything remembered, with its ticks."""

    def __init__(self) -> None:
        self.values: dict[str, int | str] = {}
        """Without what was forgotten."""
        self._rows: dict[str, MemoryRow] = {}
        self._tick = 0

    def merge(self, rows: Iterable[MemoryRow]) -> None:
        """Take what a file holds; the newer counts."""
        for row in rows:
            key, value, tick = row
            self._tick = max(self._tick, tick)
            if key not in self._rows or tick > self._rows[key][2]:
                self._rows[key] = row
                self._show(key, value)

    def overrule(self, rows: Iterable[MemoryRow]) -> list[MemoryRow]:
        """Take what a file holds that came late: this run knows better. Returns what is to be written again for it."""
        own = list(self._rows.values())
        self.merge(rows)
        return self.take({key: value for key, value, _ in own}) if own else []

    def take(self, memory: Memory) -> list[MemoryRow]:
        """New entries, as rows to be committed. Raises ValueError for what cannot be stored."""
        given: Mapping[str, Any] = memory  # drivers of others come without a type checker
        for key, value in given.items():
            if not isinstance(value, str) and (not isinstance(value, int) or not -_INT64 <= value < _INT64):
                raise ValueError(f"{key} can remember a text or a 64-bit integer, not {type(value).__name__}")
        self._tick += 1
        rows: list[MemoryRow] = [
            (key, int(value) if isinstance(value, bool) else value, self._tick) for key, value in memory.items()
        ]
        for row in rows:
            self._rows[row[0]] = row
            self._show(row[0], row[1])
        return rows

    def _show(self, key: str, value: int | str) -> None:
        if value == "":
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def rows(self) -> list[MemoryRow]:
        """Everything, for a new file."""
        return list(self._rows.values())

    def useless(self, found: Found, other: Found | None) -> list[MemoryRow]:
        """What of a file's table need not be kept: overruled entries, and forgotten ones that overrule nothing."""
        if other is None:
            return []
        elsewhere = {row[0] for row in (*other.memory, *other.memos)}
        return [
            row for row in found.memory if self._rows[row[0]][2] > row[2] or (row[1] == "" and row[0] not in elsewhere)
        ]
