"""The real daemon under a clock that is wrong."""

from __future__ import annotations

from typing import Any

FAULTS = "clocks"


async def test_alarms_leave_and_their_times_are_right_with(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
