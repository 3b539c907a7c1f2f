"""Lines, addresses and brokers that are cut, flap, lose, delay and die."""

from __future__ import annotations

from typing import Any

FAULTS = "network"


async def test_nothing_confirmed_is_lost_or_doubled_by(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
