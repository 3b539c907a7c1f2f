"""Central put back from a backup."""

from __future__ import annotations

from typing import Any

FAULTS = "restored"


async def test_nothing_confirmed_is_lost_or_doubled_by(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
