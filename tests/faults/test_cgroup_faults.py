"""The real daemon with little memory, and little of a processor."""

from __future__ import annotations

from typing import Any

FAULTS = "limits"


async def test_alarms_get_through_with(short_fault: Any, play_short: Any) -> None:
    await play_short(short_fault)
