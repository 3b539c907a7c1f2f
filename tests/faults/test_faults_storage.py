"""Cards that are full, read-only, failing, hanging, damaged or gone."""

from __future__ import annotations

from typing import Any

FAULTS = "storage"


async def test_nothing_confirmed_is_lost_or_doubled_by(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
