"""Power cuts: the card has what it confirmed; a hub that only believes itself durable is found out."""

from __future__ import annotations

from typing import Any

FAULTS = "power_cut"


async def test_nothing_confirmed_is_lost_or_doubled_by(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
