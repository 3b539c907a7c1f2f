"""Centrals that are slow, wrong, or show the wrong certificate."""

from __future__ import annotations

from typing import Any

FAULTS = "central_troubled"


async def test_nothing_confirmed_is_lost_or_doubled_by(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
